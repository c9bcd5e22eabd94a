"""The folders of the cache: one that is written, and any number that are only read; and the bound on the size of the first.

A cluster or a container can hold a folder of compiled programs that all its users read: SAMFAST_CACHE_PATH lists such folders.
They are never written and never needed. Since what lies in them is run, a folder or file counts only if it belongs to this
user or to root and nobody else can write to it.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from ..checks import check
from ..compilers.choice import log
from . import files
from .listing import evict, listing

MOST = 2**30  # bytes of the folder that is written, unless SAMFAST_CACHE_MAX_BYTES says otherwise
OFTEN = 16  # programs that a process writes from one look at the size to the next: a look reads the whole folder

_passed: set[Path] = set()  # folders that were logged as passed by
_written = 0  # programs, by this process


@dataclass(frozen=True)
class Layer:
    """One folder of the cache.

    path; writable: whether programs are kept in it; programs, bytes: what it holds; fault: why it is passed by, else ''.
    """

    path: Path
    writable: bool
    programs: int
    bytes: int
    fault: str

    def __str__(self) -> str:
        if self.fault:
            return f"passed by: {self.path}, {self.fault}"
        return f"{self.programs} programs, {self.bytes / 1e6:.1f} MB in {self.path}{'' if self.writable else ', read only'}"


def layers() -> list[Layer]:
    """The folders in the order in which programs are looked for: the one that is written, then those of SAMFAST_CACHE_PATH."""
    return [_layer(files.directory(), True, ""), *(_layer(folder, False, _fault(folder)) for folder in _path())]


def _layer(folder: Path, writable: bool, fault: str) -> Layer:
    found = [] if fault else [entry for entry, _ in listing(folder)]
    return Layer(folder, writable, len(found), sum(e.bytes for e in found), fault)


def find(name: str, program: files.Program) -> bytes | None:
    """The file of a program in the first layer that has it sound, and a note of its use; None if it has to be made."""
    own = files.directory() if files.wanted().exists() else None  # it is created only when there is something to write
    if own is not None and (data := files.read_checked(own / name)) is not None:
        files.label(own, name.partition(".")[0], program)
        return data
    for folder in _path():
        if fault := _fault(folder):
            _pass_by(folder, fault)
        elif (data := _read(folder / name)) is not None:
            return data
    limit()  # a bound that is no number is refused before anything is compiled
    return None


def keep(name: str, program: files.Program, data: bytes) -> None:
    """Write a file of a program into the folder that is written."""
    folder = files.directory()
    try:
        files.write_checked(folder / name, data)
    except OSError as error:
        files.warn(f"machine code is not kept, {folder} cannot be written ({error})")
    files.label(folder, name.partition(".")[0], program)
    grown()


def grown() -> None:
    """After a program was written: keep the folder within its bound, by removing what was used longest ago."""
    global _written
    if _written % OFTEN == 0 and (most := limit()) is not None:
        evict(most, None)
    _written += 1


def limit() -> int | None:
    """SAMFAST_CACHE_MAX_BYTES, else MOST; None for no bound. Raises ValueError if it is no number."""
    said = os.environ.get("SAMFAST_CACHE_MAX_BYTES") or str(MOST)
    try:
        most = float(said)
    except ValueError:
        most = -1.0
    check(most >= 0, f"SAMFAST_CACHE_MAX_BYTES={said!r}: give a number of at least 0, e.g. 1e9, or inf for no bound")
    return int(most) if most < float("inf") else None


def _path() -> list[Path]:
    return [Path(p).expanduser().absolute() for p in os.environ.get("SAMFAST_CACHE_PATH", "").split(os.pathsep) if p]


def _fault(folder: Path) -> str:
    """Why nothing is taken from a folder; '' if it may be."""
    try:
        status = folder.stat()
    except OSError as error:
        return (error.strerror or str(error)).lower()
    if not stat.S_ISDIR(status.st_mode):
        return "it is no folder"
    return files.unsafe(status, *_trusted()) or ("" if os.access(folder, os.R_OK | os.X_OK) else "it cannot be read")


def _read(path: Path) -> bytes | None:
    try:
        if files.unsafe(path.stat(), *_trusted()):
            return None
    except OSError:
        return None
    return files.read_checked(path)


def _trusted() -> tuple[int, ...]:
    """This user and root, whose files are run."""
    return (os.geteuid(), 0) if os.name == "posix" else ()


def _pass_by(folder: Path, fault: str) -> None:
    with files.lock:
        if folder not in _passed:
            _passed.add(folder)
            log.warning("layer %s of the cache is passed by: %s", folder, fault)
