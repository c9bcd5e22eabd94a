"""Layers of the cache: folders that are only read, from whom; the folder that is written, and the bound on its size."""

import logging
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from programs import CASES, shard_of

from samfast import cache
from samfast.backends import cpu
from samfast.cache import files, folders
from samfast.cli.main import main

SHARD = shard_of(CASES["linear"], "float64", paths=1, record=(0, 2))[0]
POSIX = pytest.mark.skipif(os.name != "posix", reason="owner and mode mean something on POSIX")


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    """The folder that is written, not created yet; no layer, and nothing loaded."""
    monkeypatch.setenv("SAMFAST_CACHE_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("SAMFAST_COMPILER", "llvm")
    for name in ("SAMFAST_CACHE_PATH", "SAMFAST_CACHE_MAX_BYTES"):
        monkeypatch.delenv(name, raising=False)
    for place, value in (("files._unusable", set()), ("folders._passed", set()), ("folders._written", 0), ("_modules", {})):
        monkeypatch.setattr(f"samfast.cache.{place}", value)
    return tmp_path / "own"


@pytest.fixture
def layer(tmp_path, monkeypatch):
    """A folder of SAMFAST_CACHE_PATH."""
    (tmp_path / "layer").mkdir(mode=0o755)
    monkeypatch.setenv("SAMFAST_CACHE_PATH", str(tmp_path / "layer"))
    return tmp_path / "layer"


def program(i=0):
    return SimpleNamespace(text="", name=f"program {i}", device="cpu")


def stem(i=0):
    return f"samfast_cpu_{i:024x}"


def found(i=0):
    return folders.find(f"{stem(i)}.o", program(i))


def put(folder, data=b"code", i=0):
    files.write_checked(folder / f"{stem(i)}.o", data)


def state(folder):
    return {f.name: (f.stat().st_mtime_ns, f.stat().st_mode) for f in folder.iterdir()}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The object file of SHARD's program: its name and its bytes."""
    folder = tmp_path_factory.mktemp("compiled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMFAST_CACHE_DIR", str(folder))
        patch.setenv("SAMFAST_COMPILER", "llvm")
        patch.setattr("samfast.cache._modules", {})
        cpu.run_shard(SHARD)
    (path,) = folder.glob("*.o")
    return path.name, path.read_bytes()


def test_a_layer_spares_the_compilation_and_nothing_is_written(own, layer, compiled, monkeypatch):
    (layer / compiled[0]).write_bytes(compiled[1])
    before = state(layer)
    monkeypatch.setattr("samfast.compilers.native.object_file", lambda *_: pytest.fail("it was compiled"))
    assert cpu.run_shard(SHARD).count.sum() == 4
    assert state(layer) == before and not own.exists()


def test_the_folder_that_is_written_comes_first_then_the_layers_in_their_order(own, tmp_path, monkeypatch):
    both = [tmp_path / "one", tmp_path / "two"]
    monkeypatch.setenv("SAMFAST_CACHE_PATH", os.pathsep.join(["", str(tmp_path / "missing"), *map(str, both)]))
    for folder in both:
        folder.mkdir(mode=0o755)
    assert found() is None
    put(both[1], b"two")
    assert found() == b"two"
    put(both[0], b"one")
    assert found() == b"one"
    folders.keep(f"{stem()}.o", program(), b"own")
    assert found() == b"own"
    (both[0] / f"{stem()}.o").write_bytes(b"damaged")
    (own / f"{stem()}.o").write_bytes(b"damaged")
    assert found() == b"two"


@POSIX
@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_a_layer_that_others_can_write_is_passed_by_with_one_line(layer, caplog, mode):
    put(layer)
    assert found() == b"code"
    layer.chmod(mode)
    with caplog.at_level(logging.WARNING, logger="samfast"):
        assert found() is None and found() is None
    assert [r.getMessage() for r in caplog.records] == [
        f"layer {layer} of the cache is passed by: others can write to it; chmod go-w"
    ]


@POSIX
def test_a_file_that_others_can_write_is_passed_by(layer):
    put(layer)
    (layer / f"{stem()}.o").chmod(0o646)
    assert found() is None
    (layer / f"{stem()}.o").chmod(0o644)
    assert found() == b"code"


@POSIX
def test_whose_files_are_run(monkeypatch):
    """One's own and root's; in the folder that is written only one's own."""

    def status(owner, mode):
        return os.stat_result((mode, 0, 0, 1, owner, 0, 0, 0, 0, 0))

    monkeypatch.setattr("os.geteuid", lambda: 1000)
    for owner in (1000, 0):
        assert files.unsafe(status(owner, 0o40755), *folders._trusted()) == ""
    assert files.unsafe(status(1001, 0o40755), *folders._trusted()) == "it belongs to user 1001"
    assert files.unsafe(status(0, 0o40755), os.geteuid()) == "it belongs to user 0"


@pytest.mark.parametrize("what", ["missing", "file", "closed"])
def test_a_layer_that_cannot_be_read_is_passed_by(layer, caplog, monkeypatch, what):
    if what == "closed":
        monkeypatch.setattr("os.access", lambda path, mode: False)
    else:
        layer.rmdir()
    if what == "file":
        layer.write_text("")
    with caplog.at_level(logging.WARNING, logger="samfast"):
        assert found() is None
    words = {"missing": "no such file or directory", "file": "it is no folder", "closed": "it cannot be read"}
    assert [r.getMessage() for r in caplog.records] == [f"layer {layer} of the cache is passed by: {words[what]}"]


def test_a_full_disk_beside_a_layer(layer, compiled, monkeypatch):
    """What the layer has is run without a warning."""

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("samfast.cache.files.write", full)
    (layer / compiled[0]).write_bytes(compiled[1])
    assert cpu.run_shard(SHARD).count.sum() == 4


CHILD = """
from samfast.backends import cpu
import pickle, sys
print(cpu.run_shard(pickle.load(open(sys.argv[1], "rb"))).moments.tobytes().hex())
"""


def test_processes_that_remove_from_one_folder_at_once_are_harmless(own, tmp_path):
    """The bound is so small that each of them removes what another has just written or is about to read."""
    import pickle

    (tmp_path / "shard").write_bytes(pickle.dumps(SHARD))
    env = {**os.environ, "SAMFAST_CACHE_MAX_BYTES": "100", "SAMFAST_CACHE_PATH": str(tmp_path / "none")}
    command = [sys.executable, "-c", CHILD, str(tmp_path / "shard")]
    some = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [p.communicate(timeout=120) for p in some]
    assert {out.strip() for out, _ in said} == {cpu.run_shard(SHARD).moments.tobytes().hex()}
    assert {err for _, err in said} == {""}


# --- the bound ------------------------------------------------------------------------------------------------------------
def fill(own, programs):
    """One program of 1000 bytes for each; the first was used longest ago."""
    own.mkdir(mode=0o700)
    for i in range(programs):
        path = own / f"{stem(i)}.o"
        path.write_bytes(bytes(1000))
        os.utime(path, (time.time() - 100 + i,) * 2)


def test_the_folder_keeps_within_its_bound(own, monkeypatch):
    """The program that was written last stays; a use makes an old one new."""
    fill(own, 5)
    monkeypatch.setenv("SAMFAST_CACHE_MAX_BYTES", "3_100")
    put(own, bytes(984), 1)
    assert found(1) is not None
    folders.keep(f"{stem(9)}.o", program(9), bytes(984))
    assert [int(e.key, 16) for e in cache.entries()] == [4, 1, 9]


def test_the_size_is_looked_at_once_in_a_while(own, monkeypatch):
    looks = []
    monkeypatch.setattr("samfast.cache.folders.evict", lambda *limits: looks.append(limits))
    for i in range(2 * folders.OFTEN):
        folders.keep(f"{stem(i)}.o", program(i), b"")
    assert looks == [(folders.MOST, None)] * 2
    monkeypatch.setenv("SAMFAST_CACHE_MAX_BYTES", "inf")
    folders.keep(f"{stem()}.o", program(), b"")
    assert len(looks) == 2


@pytest.mark.parametrize("said", ["-1", "much", "nan"])
def test_a_bound_that_is_none_is_refused_before_anything_is_compiled(own, monkeypatch, said):
    monkeypatch.setenv("SAMFAST_CACHE_MAX_BYTES", said)
    monkeypatch.setattr("samfast.compilers.native.object_file", lambda *_: pytest.fail("it was compiled"))
    with pytest.raises(ValueError, match=f"SAMFAST_CACHE_MAX_BYTES='{said}': give a number of at least 0, e.g. 1e9, or inf"):
        cpu.run_shard(SHARD)
    assert not own.exists()


# --- what is shown --------------------------------------------------------------------------------------------------------
def test_the_command_shows_the_layers(own, layer, tmp_path, monkeypatch, capsys):
    fill(own, 2)
    put(layer, bytes(2_000_000))
    missing = tmp_path / "missing"
    monkeypatch.setenv("SAMFAST_CACHE_PATH", os.pathsep.join((str(layer), str(missing))))
    assert main(["cache"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"2 programs, 0.0 MB in {own}",
        f"1 programs, 2.0 MB in {layer}, read only",
        f"passed by: {missing}, no such file or directory",
    ]
    assert [(x.writable, x.programs, x.bytes) for x in cache.layers()] == [
        (True, 2, 2000),
        (False, 1, 2_000_016),
        (False, 0, 0),
    ]
