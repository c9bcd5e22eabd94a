"""Plant the faults of faults.toml one by one in a copy of the tree, run the tests that should see them, and tell which lived.

    python tests/mutate.py              # all of them, some fifteen minutes
    python tests/mutate.py -k pictures  # those whose area, file or reason has this word
    python tests/mutate.py --check      # only whether each can still be planted
    python tests/mutate.py --list my.toml

mutmut and cosmic-ray derive their faults from the syntax (an operator turned, a number raised by one) and run the same tests
on each. For this tree that makes some ten thousand, most of them in error messages, and misses what went wrong here: a curve
under the label of another, a unit, a limit, the bits of a path. mutmut also wraps each function in a switch, which the linker
of kernels/ would take for text to compile, and neither plants anything in files that are no Python modules. So the faults are
written by hand. Each bug that was ever mended has its line, with the tests that hold it; the list is read, and it grows.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tests" / "faults.toml"
LINKS = {"samfast/kernels": "../kernels", "samfast/bench": "../bench"}  # as pyproject.toml maps them when samfast is installed
LONGEST = 600  # seconds: tests that take longer saw the fault
MOST = 8 * 2**30  # bytes that tests may take: a fault may ask for any
HEAVY = ("pytest", "scipy.stats", "scipy.integrate", "xarray", "h5netcdf", "matplotlib.figure", "mpmath", "numba")


@dataclass(frozen=True)
class Fault:
    """One change of a file, and the tests (arguments of pytest) that should fail on it."""

    area: str
    why: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def planted(self, text: str) -> str:
        """The file with the fault. Raises ValueError where the place is not found, or is not one."""
        many = text.count(self.old)
        if many != 1 or self.old == self.new:
            raise ValueError(f"{self.file}: {self.old!r} stands there {many} times")
        changed = text.replace(self.old, self.new)
        if self.file.endswith(".py"):
            ast.parse(changed)
        return changed

    def missing(self) -> list[str]:
        """The tests that do not exist (any more)."""
        return [t for t in self.tests if not exists(*t.split("::"))]


def exists(file: str, name: str = "") -> bool:
    path = ROOT / file
    if not path.exists():
        return False
    name = name.partition("[")[0]
    return not name or re.search(rf"^def {re.escape(name)}\(", path.read_text(encoding="utf-8"), re.MULTILINE) is not None


def faults(path: Path = LIST) -> list[Fault]:
    """The list, in its order."""
    areas = tomllib.loads(path.read_text(encoding="utf-8"))
    return [
        Fault(area, x["why"], x["file"], x["old"], x["new"], tuple(x["tests"].split()))
        for area, all_ in areas.items()
        for x in all_
    ]


def cannot_be_planted(fault: Fault) -> str:
    """Why, or ''."""
    try:
        fault.planted((ROOT / fault.file).read_text(encoding="utf-8"))
    except (ValueError, OSError, SyntaxError) as error:
        return f"{type(error).__name__}: {error}"
    return f"no such tests: {' '.join(fault.missing())}" if fault.missing() else ""


def linked(source: Path | str, place: Path | str) -> None:
    """One file under two names, where the system has that; files of the cache are replaced, never written to."""
    try:
        os.link(source, place)
    except OSError:
        shutil.copy2(source, place)


def ended(child: int) -> int:
    """The exit status of a process, 1 where it had to be killed."""
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 1


class Scratch:
    """A copy of the tree, with a cache of machine code that no fault can spoil."""

    def __init__(self, folder: Path) -> None:
        self.tree, self.cache = folder / "tree", folder / "cache"
        self.cache.mkdir(mode=0o700)
        for kept in Path(os.environ.get("SAMFAST_CACHE_DIR") or self.cache).iterdir():  # to begin with; names are digests
            if kept.suffix in (".o", ".label"):
                linked(kept, self.cache / kept.name)
        names = subprocess.run(
            ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
        )
        for name in filter(None, names.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.tree / name)
        for link, to in LINKS.items():
            (self.tree / link).symlink_to(to)

    def write(self, file: str, text: str) -> None:
        (self.tree / file).write_text(text, encoding="utf-8")
        for name in (self.tree / file, *(self.tree / link / Path(file).name for link in LINKS)):
            Path(importlib.util.cache_from_source(str(name))).unlink(missing_ok=True)  # it may have the same size and second

    def run(self, tests: list[str], cache: Path, *more: str) -> tuple[int, str]:
        """(exit status of pytest, what it printed), in a fork that has what takes long to import; status 1 without an end."""
        words = ["-n", "0", "-p", "no:cacheprovider", "-rf", "--tb=line", *more, *tests]
        with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
            child = os.fork()
            if child == 0:
                self._tests(words, cache, printed.fileno())
            status = ended(child)
            printed.seek(0)
            return status, printed.read() or "FAILED (no end)"

    def _tests(self, words: list[str], cache: Path, out: int) -> NoReturn:
        """Run pytest in this process, which ends with its status."""
        status = 99
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_DATA, (MOST, MOST))
            for stream in (1, 2):
                os.dup2(out, stream)
            paths = {"PYTHONPATH": self.tree, "SAMFAST_CACHE_DIR": cache, "SAMFAST_COMPILER": "llvm", "MPLBACKEND": "Agg"}
            os.environ.update({k: str(v) for k, v in paths.items()})
            os.chdir(self.tree)
            sys.path[0] = str(self.tree)
            status = int(import_module("pytest").main(words))
            sys.stdout.flush()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(status)

    def sees(self, fault: Fault) -> str:
        """The test that fails on the fault; '' if none does."""
        kept = (self.tree / fault.file).read_text(encoding="utf-8")
        own = self.cache.with_name("planted")
        shutil.rmtree(own, ignore_errors=True)
        shutil.copytree(self.cache, own, copy_function=linked)
        self.write(fault.file, fault.planted(kept))
        try:
            status, printed = self.run(list(fault.tests), own, "-x")
        finally:
            self.write(fault.file, kept)
        if status == 0:
            return ""
        found = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - |$)", printed, re.MULTILINE)
        return found[1] if found else f"status {status}: {printed.strip().splitlines()[-1:]}"


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-k", metavar="WORD", default="", help="only faults whose area, file or reason has it")
    parser.add_argument("--check", action="store_true", help="only say which cannot be planted any more")
    parser.add_argument("--trust", action="store_true", help="do not run the tests without a fault first")
    parser.add_argument("--nice", type=int, default=10, metavar="N", help="lower the priority by N (10)")
    parser.add_argument("--list", type=Path, default=LIST, help="another list")
    given = parser.parse_args(words)
    chosen = [f for f in faults(given.list) if given.k in f"{f.area} {f.file} {f.why}"]
    stale = {f: reason for f in chosen if (reason := cannot_be_planted(f))}
    for fault, reason in stale.items():
        print(f"STALE   {fault.area}: {fault.why}\n        {reason}")
    if given.check or not chosen:
        print(f"{len(chosen)} faults, {len(stale)} stale")
        return bool(stale)
    os.nice(given.nice)
    for name in HEAVY:
        import_module(name)
    with tempfile.TemporaryDirectory(prefix="samfast-faults-") as folder:
        return judge([f for f in chosen if f not in stale], Scratch(Path(folder)), given.trust) or bool(stale)


def judge(planted: list[Fault], scratch: Scratch, trust: bool) -> int:
    """Plant them and print what came of each; 1 if one lived."""
    status, printed = (0, "") if trust else scratch.run(sorted({t for f in planted for t in f.tests}), scratch.cache)
    if status:
        print(printed[-3000:], "these tests fail without a fault", sep="\n")
        return 2
    tally: Counter[tuple[str, bool]] = Counter()
    for fault in planted:
        started = time.perf_counter()
        by = scratch.sees(fault)
        tally[fault.area, bool(by)] += 1
        said = f"caught  {fault.area}: {fault.why}; by {by}" if by else f"LIVED   {fault.area}: {fault.why} ({fault.file})"
        print(f"{said}  [{time.perf_counter() - started:.0f} s]", flush=True)
    for area in dict.fromkeys(f.area for f in planted):
        print(f"{area:16} {tally[area, True]:3} caught of {tally[area, True] + tally[area, False]}")
    lived = sum(many for (_, seen), many in tally.items() if not seen)
    print(f"{'all':16} {len(planted) - lived:3} caught of {len(planted)}")
    return int(lived > 0)


if __name__ == "__main__":
    sys.exit(main())
