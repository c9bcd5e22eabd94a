"""Programs by the front end of `compilers`: one object file each, Numba for what it refuses, and no `import numba`."""

import logging
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from programs import CASES, shard_of

import samfast as sf
from samfast import cache
from samfast.backends import cpu
from samfast.cache import files, objects
from samfast.compilers import choice, native
from samfast.compilers.errors import LanguageError

ROOT = Path(__file__).resolve().parents[2]
SHARD = shard_of(CASES["linear"], "float64", paths=1, record=(0, 2))[0]
FEW = replace(SHARD.program, name="a program")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty cache directory, nothing loaded, and the front end chosen."""
    monkeypatch.setenv("SAMFAST_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SAMFAST_COMPILER", "llvm")
    monkeypatch.delenv("SAMFAST_STRICT", raising=False)
    monkeypatch.setattr(cache, "_modules", {})
    monkeypatch.setattr(files, "_unusable", set())
    return tmp_path / "cache"


def object_of(folder):
    (path,) = folder.glob("*.o")
    return path


def counted(monkeypatch):
    """How often LLVM makes an object file from now on."""
    made, make = [], native.object_file
    monkeypatch.setattr(
        "samfast.compilers.native.object_file", lambda *args, **level: made.append(args) or make(*args, **level)
    )
    return made


def test_a_program_is_one_small_private_file_and_a_label(folder, monkeypatch):
    made = counted(monkeypatch)
    first = cpu.run_shard(SHARD)
    assert {f.suffix for f in folder.iterdir()} == {".o", ".label"}
    assert object_of(folder).stat().st_size <= 40_000 and object_of(folder).stat().st_mode & 0o077 == 0
    assert object_of(folder).stem == f"samfast_cpu_{cache.key(SHARD.program)}"
    cache._modules.clear()
    again = cpu.run_shard(SHARD)
    assert len(made) == 1 and first.moments.tobytes() == again.moments.tobytes()
    assert [e.name for e in cache.entries()] == [SHARD.program.name]


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"x" + b[1:], lambda b: b[:40] + b"x" + b[41:], lambda b: b""])
def test_a_damaged_file_is_made_anew(folder, monkeypatch, damage):
    first = cpu.run_shard(SHARD)
    made, path = counted(monkeypatch), object_of(folder)
    path.write_bytes(damage(path.read_bytes()))
    cache._modules.clear()
    assert cpu.run_shard(SHARD).moments.tobytes() == first.moments.tobytes() and len(made) == 1
    cache._modules.clear()
    cpu.run_shard(SHARD)
    assert len(made) == 1


def test_the_name_of_the_file_depends_on_all_that_shapes_the_code(monkeypatch):
    keys = {objects.key("a", "llvm"), objects.key("b", "llvm"), objects.key("a", "checked")}
    for what, value in (("versions", ("another LLVM",)), ("host", ("x86_64", "old", "-avx2"))):
        objects.key.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(f"samfast.compilers.native.{what}", lambda value=value: value)
            keys.add(objects.key("a", "llvm"))
    objects.key.cache_clear()
    monkeypatch.setattr("samfast.cache.objects._own_source", lambda: "another front end")
    keys.add(objects.key("a", "llvm"))
    assert len(keys) == 6
    objects.key.cache_clear()


def test_what_is_refused_goes_to_numba_with_one_logged_line(monkeypatch, caplog):
    def refuse(*args):
        raise LanguageError("samfast_cpu_x.py", 7, "u64 with i64", "convert one")

    monkeypatch.setattr("samfast.cache.objects.typed_tree", refuse)
    monkeypatch.setattr("samfast.cache._import", lambda program: SimpleNamespace(compiler="numba"))
    with caplog.at_level(logging.WARNING, logger="samfast"):
        assert cache.compiler_of(FEW) == "llvm"
        assert cache.load(FEW) is cache.load(FEW) and cache.compiler_of(FEW) == "numba"
    assert [r.getMessage() for r in caplog.records] == [
        "program 'a program' goes to Numba, refused by the front end: samfast_cpu_x.py:7: u64 with i64: convert one"
    ]
    cache._modules.clear()
    monkeypatch.setenv("SAMFAST_STRICT", "1")
    with pytest.raises(LanguageError, match="convert one"):
        cache.load(FEW)


def test_text_that_llvm_refuses_is_an_exception(monkeypatch):
    """A condition of another type ends in an exception at once, not in an abort in the midst of a pass."""
    with pytest.raises(RuntimeError):
        native.object_file("define i64 @entry(ptr %w) { %x = select double 1.0, i64 1, i64 2\n ret i64 %x }")


def test_a_file_that_cannot_be_kept_is_still_run(monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("samfast.cache.files.write_checked", full)
    with pytest.warns(RuntimeWarning, match="machine code is not kept"):
        assert cpu.run_shard(SHARD).count.sum() > 0


CHILD = """
import sys, numpy as np, samfast as sf
run = sf.simulate(sf.losses.ravine(), sf.sam(lr=0.01, rho=0.1), [1.0, 1.0], record=[5], paths=3, seed=1)
print(repr(float(run.mean().sum())) if callable(run.mean) else repr(float(np.sum(run.mean))))
print([m for m in ("numba", "llvmlite.ir", "scipy", "pandas") if m in sys.modules])
"""


def test_no_numba_is_imported_on_the_way_and_three_processes_at_once_are_harmless(folder):
    env = {**os.environ, "SAMFAST_STRICT": "1"}
    some = [subprocess.Popen([sys.executable, "-c", CHILD], env=env, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [p.communicate(timeout=120)[0] for p in some]
    assert {p.returncode for p in some} == {0} and len(set(said)) == 1
    assert "numba" not in said[0].splitlines()[1]
    assert len(list(folder.glob("*.o"))) == 1


def test_the_choice(monkeypatch):
    sf.use_compiler("numba")
    assert choice.chosen() == "numba" and sf.cache.compiler_of(FEW) == "numba"
    sf.use_compiler("llvm")
    assert sf.cache.compiler_of(FEW) == "llvm" and sf.cache.compiler_of(replace(FEW, device="cuda")) == "numba-cuda"
    with pytest.raises(ValueError, match="compiler='gcc': choose one of 'llvm', 'numba', 'checked'"):
        sf.use_compiler("gcc")
    monkeypatch.setenv("SAMFAST_COMPILER", "gcc")
    with pytest.raises(ValueError, match="SAMFAST_COMPILER='gcc': choose one of llvm, numba, checked"):
        cache.load(FEW)


def test_ctrl_c_inside_llvmlite_waits_for_the_end_of_the_compilation(folder, monkeypatch):
    """An exception there could end in an abort of the process; the work of the compilation is kept."""
    inside = {"__name__": "llvmlite.stand_in", "reached": []}
    exec("import os, signal\ndef interrupted():\n    os.kill(os.getpid(), signal.SIGINT)\n    reached.append(1)", inside)
    make = native.object_file
    monkeypatch.setattr(
        "samfast.compilers.native.object_file", lambda *args, **how: inside["interrupted"]() or make(*args, **how)
    )
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            cache.load(FEW)
    finally:
        signal.signal(signal.SIGINT, usual)
    assert inside["reached"] == [1] and object_of(folder).exists()
