"""The cache: nothing compiled twice, damage repaired in silence, other users kept out, any number at once."""

import os
import re
import subprocess
import sys
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

from samfast import cache
from samfast.cache import files
from samfast.compilers import numba_cpu

ROOT = Path(__file__).resolve().parents[2]
TEXT = """
from numba import njit

@njit(cache=True)
def run(x):
    return x + {shift}
"""
CHILD = """
import sys
from types import SimpleNamespace
from samfast import cache
program = SimpleNamespace(text=sys.stdin.read(), name="child", device="cpu")
run = cache.load(program).run
print(run(1.5), sum(run.stats.cache_hits.values()), sum(run.stats.cache_misses.values()))
"""


@dataclass(frozen=True)
class Rendered:
    text: str
    name: str = "toy sam mixed"
    device: str = "cpu"


PROGRAM = Rendered(TEXT.format(shift=1))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty cache directory, and nothing loaded; Numba compiles, since these texts have no driver of the kernel language."""
    monkeypatch.setenv("SAMFAST_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SAMFAST_COMPILER", "numba")
    monkeypatch.setattr(cache, "_modules", {})
    monkeypatch.setattr(files, "_unusable", set())
    monkeypatch.setattr(files, "_temporary", None)
    return tmp_path / "cache"


def fresh(program=PROGRAM):
    """The module as a new process would load it."""
    cache._modules.clear()
    return cache.load(program)


def used(module, *args):
    """Run it: the value, and whether the machine code came from the cache (hits, misses)."""
    value, stats = module.run(*args), module.run.stats
    return value, sum(stats.cache_hits.values()), sum(stats.cache_misses.values())


def child(program=PROGRAM, code=CHILD, **environ):
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
    pipes = {s: subprocess.PIPE for s in ("stdin", "stdout", "stderr")}
    process = subprocess.Popen([sys.executable, "-c", code], env=env, text=True, **pipes)
    process.stdin.write(program.text)
    process.stdin.close()
    process.stdin = None
    return process


def said(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and not err, err
    return out.split()


def only(folder, pattern):
    (path,) = folder.glob(pattern)
    return path


def test_processes_that_start_together_are_harmless_and_the_next_compiles_nothing(folder, tmp_path):
    assert [said(p)[0] for p in [child() for _ in range(3)]] == ["2.5"] * 3
    assert said(child(NUMBA_CACHE_DIR=str(tmp_path / "numba"))) == ["2.5", "1", "0"]
    assert sorted(f.suffix for f in folder.iterdir() if f.is_file()) == [".label", ".nbc", ".py"]


def test_importing_the_cache_imports_no_compiler():
    heavy = {"numba", "llvmlite", "platformdirs", "scipy"}
    code = f"import sys, samfast.cache; print(*{heavy} & set(sys.modules))"
    assert said(child(code=code)) == []


def test_a_loaded_program_is_the_same_module_and_named_by_its_key():
    module = cache.load(PROGRAM)
    assert cache.load(Rendered(str(PROGRAM.text), "another label")) is module
    assert module.__name__ == f"samfast_cpu_{cache.key(PROGRAM)}" and sys.modules[module.__name__] is module
    assert type(module.run).__name__ == "CPUDispatcher"  # raw: nothing between a caller and Numba


def test_the_key_depends_on_text_device_and_toolchain(monkeypatch):
    programs = PROGRAM, Rendered(PROGRAM.text + "\n"), Rendered(PROGRAM.text, device="cuda")
    keys = {cache.key(program) for program in programs}
    assert len(keys) == 3 and all(re.fullmatch("[0-9a-f]{24}", k) for k in keys)
    assert cache.key(Rendered(PROGRAM.text, "another label")) in keys
    before = numba_cpu.inputs()
    assert {"numba", "llvmlite", "numpy"} <= {word.split()[0] for word in before}
    monkeypatch.setattr("samfast.compilers.numba_cpu.inputs", lambda: (*before, "numba 99"))
    cache._key.cache_clear()
    assert cache.key(PROGRAM) not in keys
    cache._key.cache_clear()


def test_two_threads_load_once(monkeypatch):
    calls, importer = [], cache._import

    def slow(program):
        calls.append(program)
        time.sleep(0.05)
        return importer(program)

    monkeypatch.setattr(cache, "_import", slow)
    found = []
    threads = [threading.Thread(target=lambda: found.append(cache.load(PROGRAM))) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(calls) == 1 and len(found) == 4 and len({id(m) for m in found}) == 1


def test_signatures_have_a_file_each_and_all_hit_later(folder):
    module = fresh()
    assert used(module, 1.5) == (2.5, 0, 1) and used(module, 1) == (2, 0, 2)
    assert len(list(folder.glob("*.nbc"))) == 2
    module = fresh()
    assert used(module, 1) == (2, 1, 0) and used(module, 1.5) == (2.5, 2, 0)


def swapped(good):
    """Sound, but not a code object: only Numba's rebuilding can tell."""
    import pickle

    key, _ = pickle.loads(good[files.DIGEST :])
    data = pickle.dumps((key, ("nothing", "of use")))
    return files.digest(data) + data


@pytest.mark.parametrize(
    "damage",
    [
        lambda good: b"",
        lambda good: good[:10],
        lambda good: good[: len(good) // 2],
        lambda good: os.urandom(len(good)),
        lambda good: bytes([good[0] ^ 1]) + good[1:],  # nothing but the checksum can tell
        swapped,
    ],
    ids=["empty", "short", "truncated", "garbage", "one bit", "checksum right"],
)
def test_damaged_machine_code_is_compiled_again_once(folder, damage):
    used(fresh(), 1.5)
    path = only(folder, "*.nbc")
    path.write_bytes(damage(path.read_bytes()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert used(fresh(), 1.5) == (2.5, 0, 1)
        assert used(fresh(), 1.5) == (2.5, 1, 0)


def test_machine_code_of_another_signature_is_not_taken(folder):
    module = fresh()
    used(module, 1.5)
    first = only(folder, "*.nbc")
    used(module, 1)
    (second,) = set(folder.glob("*.nbc")) - {first}
    second.write_bytes(first.read_bytes())
    assert used(fresh(), 1) == (2, 0, 1)


@pytest.mark.parametrize("fake", [PROGRAM.text.replace("+ 1", "+ 7"), PROGRAM.text[:40], ""])
def test_a_changed_text_is_written_again_and_its_machine_code_dropped(folder, fake):
    used(fresh(), 1.5)
    text, code = only(folder, "*.py"), only(folder, "*.nbc")
    text.write_text(fake)
    module = fresh()
    assert text.read_text() == PROGRAM.text and not code.exists()
    assert used(module, 1.5) == (2.5, 0, 1)


def test_an_equal_text_is_not_written_again_but_its_use_is_noted(folder):
    used(fresh(), 1.5)
    for file in folder.iterdir():
        os.utime(file, (1000, 1000))
    (before,) = cache.entries()
    assert before.used == before.created == 1000
    assert used(fresh(), 1.5) == (2.5, 1, 0)
    (after,) = cache.entries()
    assert only(folder, "*.py").stat().st_mtime == 1000 == after.created and after.used > time.time() - 60


def test_a_pipe_in_the_cache_is_no_file(folder):
    """Reading it would wait for a writer for ever."""
    folder.mkdir(exist_ok=True)
    os.mkfifo(folder / "pipe")
    assert files.read(folder / "pipe") is None


def test_a_text_that_cannot_be_imported_says_so_and_leaves_no_module():
    for text, word in {"def run(:": "SyntaxError", "1/0": "ZeroDivisionError", "walk = 1": "run"}.items():
        broken = Rendered(text, "broken toy")
        with pytest.raises(ImportError, match=rf"'broken toy'.*{word}"):
            cache.load(broken)
        assert f"samfast_cpu_{cache.key(broken)}" not in sys.modules


def test_an_error_of_the_run_is_the_callers_and_costs_no_machine_code(folder):
    program = Rendered("from numba import njit\n@njit(cache=True)\ndef run(n):\n    return 1 // n\n")
    for counts in ((0, 1), (1, 0)):
        module = fresh(program)
        with pytest.raises(ZeroDivisionError):
            module.run(0)
        assert used(module, 1) == (1, *counts)


def test_files_are_private(folder):
    used(fresh(), 1.5)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {f.stat().st_mode & 0o777 for f in folder.iterdir() if f.is_file()} == {0o600}


@pytest.mark.parametrize("why", ["below a file", "no access", "disk full"])
def test_an_unusable_directory_costs_one_line(tmp_path, monkeypatch, caplog, why):
    """In the log; a warning where it was usable and its disk is full."""

    def full(path, data, write=files.write):
        if path.is_relative_to(tmp_path):
            raise OSError(28, "No space left on device")
        write(path, data)

    if why == "below a file":
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("SAMFAST_CACHE_DIR", str(tmp_path / "file" / "cache"))
    elif why == "no access":
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    else:
        monkeypatch.setattr(files, "write", full)
    wanted = os.environ["SAMFAST_CACHE_DIR"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert used(fresh(), 1.5) == (2.5, 0, 1)
        assert used(fresh(), 1.5) == (2.5, 1, 0)
        assert len(cache.entries()) == 1 and not cache.directory().is_relative_to(tmp_path)
    assert all(w.category is RuntimeWarning for w in caught) and len(caught) == (why == "disk full")
    (line,) = [str(w.message) for w in caught] + [r.getMessage() for r in caplog.records]
    assert wanted in line and "set SAMFAST_CACHE_DIR" in line
    files._discard(cache.directory(), os.getpid())


def test_machine_code_that_cannot_be_stored_is_still_run(monkeypatch):
    def full(path, data, write=files.write):
        if path.suffix == ".nbc":
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr(files, "write", full)
    module = fresh()
    with pytest.warns(RuntimeWarning, match="No space left.*set SAMFAST_CACHE_DIR"):
        assert used(module, 1.5) == (2.5, 0, 1)


@pytest.mark.skipif(os.name != "posix", reason="owner and mode mean something on POSIX")
@pytest.mark.parametrize("mode, user", [(0o777, None), (0o770, None), (0o700, 4321)])
def test_a_directory_that_others_can_write_is_passed_by(folder, monkeypatch, caplog, mode, user):
    """Code that they may have put there is not run."""
    used(fresh(), 1.5)
    folder.chmod(mode)
    if user:
        monkeypatch.setattr(os, "geteuid", lambda: user)
    assert used(fresh(), 1.5) == (2.5, 0, 1)
    (record,) = caplog.records
    words = f"it belongs to user {os.getuid()}" if user else "others can write to it"
    assert str(folder) in record.getMessage() and words in record.getMessage()
    files._discard(cache.directory(), os.getpid())


def test_the_default_directory_is_the_users(monkeypatch, tmp_path):
    import platformdirs

    monkeypatch.delenv("SAMFAST_CACHE_DIR")
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda app, appauthor: tmp_path / "home" / app)
    assert cache.directory() == tmp_path / "home" / "samfast" and cache.directory().is_dir()


def test_an_entry_prints_itself_in_one_line(folder):
    used(fresh(), 1.5)
    (entry,) = cache.entries()
    assert entry.key == cache.key(PROGRAM) and (entry.name, entry.device) == ("toy sam mixed", "cpu")
    assert entry.bytes == sum(f.stat().st_size for f in folder.iterdir() if f.is_file()) > 1000
    line, words = str(entry), (entry.key, "cpu", "kB", "made 20", "used 20", "toy sam mixed")
    assert "\n" not in line and all(word in line for word in words)


@pytest.fixture
def three(folder):
    """Three programs last used 100, 10 and 0 days ago, 1000 bytes each, and a file of the user's."""
    folder.mkdir(mode=0o700)
    (folder / "notes.py").write_text("mine")
    for i, days in enumerate((100, 10, 0)):
        path = folder / f"samfast_cpu_{i:024x}.py"
        path.write_bytes(bytes(1000))
        os.utime(path, (time.time() - 86400 * days,) * 2)
    return folder


@pytest.mark.parametrize(
    ("limits", "gone"),
    [
        ({}, [0]),
        ({"max_age_days": None}, []),
        ({"max_age_days": 5}, [0, 1]),
        ({"max_bytes": 2000, "max_age_days": None}, [0]),
        ({"max_bytes": 1999, "max_age_days": None}, [0, 1]),
        ({"max_bytes": 0}, [0, 1, 2]),
    ],
)
def test_prune_removes_what_was_used_longest_ago(three, limits, gone):
    assert [int(entry.key, 16) for entry in cache.prune(**limits)] == gone
    assert [int(entry.key, 16) for entry in cache.entries()] == [i for i in range(3) if i not in gone]
    assert (three / "notes.py").read_text() == "mine"


def test_prune_keeps_what_is_old_and_in_use(three):
    """Written 100 days ago and used today: the label tells the use."""
    (three / f"samfast_cpu_{0:024x}.label").write_text("used")
    assert [int(entry.key, 16) for entry in cache.prune(max_age_days=5)] == [1]
    old = next(entry for entry in cache.entries() if int(entry.key, 16) == 0)
    assert old.used - old.created > 99 * 86400 and old.name == "used"


def test_clear_removes_all_that_samfast_wrote_and_nothing_else(three):
    (three / "__pycache__").mkdir()
    own = three / "__pycache__" / f"samfast_cpu_{7:024x}.run-3.py312.nbi"
    own.write_bytes(b"")
    os.utime(own, (time.time() + 9,) * 2)  # empty and last, when the size is down to 0 already
    assert len(cache.clear()) == 4 and cache.entries() == []
    assert sorted(f.name for f in three.rglob("*") if f.is_file()) == ["notes.py"]


def test_a_cleared_program_is_compiled_again(folder):
    module = fresh()
    used(module, 1.5)
    cache.clear()
    assert cache.load(PROGRAM) is module and module.run(1) == 2
    assert used(fresh(), 1.5) == (2.5, 0, 1)


@pytest.mark.parametrize("limits", [{"max_bytes": -1}, {"max_age_days": -0.5}, {"max_age_days": float("nan")}], ids=str)
def test_prune_names_a_bad_limit(limits):
    ((name, value),) = limits.items()
    with pytest.raises(ValueError, match=f"{name}={value}: give at least 0"):
        cache.prune(**limits)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_during_a_load_can_load(folder):
    inside, leave = threading.Event(), threading.Event()

    def holder():
        with files.lock:
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=holder)
    thread.start()
    inside.wait(10)
    if (pid := os.fork()) == 0:
        os._exit(0 if files.lock.acquire(blocking=False) else 1)
    leave.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
