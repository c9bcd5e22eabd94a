"""A file is written whole or not at all, and what a killed process left is cleared away."""

import os
import re
import subprocess
import sys
import textwrap

import pytest

from samfast import atomic, cache

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows cannot ask whether a process runs")

KILLED = """
    import os, signal, sys
    from pathlib import Path
    from samfast.atomic import beside

    def write(file):
        file.write(b"half")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    beside(Path(sys.argv[1]), write)
"""


def killed(path):
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(path)], capture_output=True, timeout=120)
    assert done.returncode == -9, done.stderr


def put(path, data=b"whole"):
    atomic.beside(path, lambda file: file.write(data))


def test_what_a_killed_process_left_is_removed_by_the_next_save(tmp_path):
    killed(tmp_path / "study.png")
    [left] = tmp_path.iterdir()
    assert left.name.startswith("study.png.") and left.read_bytes() == b"half"
    put(tmp_path / "study.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["study.csv"]


def test_files_that_are_being_written_stay(tmp_path):
    """Those of this process, of another that runs, of another machine; and files that only look alike."""
    here, parent = atomic._machine(), os.getppid()
    names = [
        f"a.{here}-{parent}-x.tmp",
        "a.0123abcd-99999999-x.tmp",
        "notes.tmp",
        f"a.{here}-1x-y.tmp",
        f"{here}-99999999-x.tmp",
    ]
    for name in names:
        (tmp_path / name).touch()

    def write(file):
        put(tmp_path / "other")
        file.write(b"outer")

    atomic.beside(tmp_path / "outer", write)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*names, "other", "outer"])
    assert (tmp_path / "outer").read_bytes() == b"outer"


def test_a_failed_write_leaves_the_old_file_alone(tmp_path):
    def write(file):
        file.write(b"half")
        raise OSError("disk full")

    put(tmp_path / "a")
    with pytest.raises(OSError, match="disk full"):
        atomic.beside(tmp_path / "a", write)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"whole")]


def test_permissions(tmp_path):
    """A private file is readable by its owner alone, another as the umask says."""
    put(tmp_path / "a")
    atomic.beside(tmp_path / "b", lambda file: None, private=True)
    umask = atomic._umask()
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~umask and (tmp_path / "b").stat().st_mode & 0o777 == 0o600


def test_the_cache_clears_its_own(tmp_path, monkeypatch):
    """A temporary file beside a program is part of its entry until then."""
    monkeypatch.setenv("SAMFAST_CACHE_DIR", str(tmp_path))
    (tmp_path).chmod(0o700)
    killed(tmp_path / f"samfast_cpu_{24 * '0'}.py")
    assert len(list(tmp_path.iterdir())) == 1
    cache.files.write(tmp_path / f"samfast_cpu_{24 * '1'}.py", b"text")
    assert re.fullmatch(r"samfast_cpu_1{24}\.py", next(tmp_path.iterdir()).name) and len(list(tmp_path.iterdir())) == 1
