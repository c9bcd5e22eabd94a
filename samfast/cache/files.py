"""The files of the cache: in a directory that no other user can write to, and never read half written."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import threading
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ..atomic import beside
from ..compilers.choice import log

DIGEST = 16  # bytes of checksum, before the data
REMEDY = "set SAMFAST_CACHE_DIR to a directory that you can write to, with space"
STEM = re.compile(r"(samfast_([a-z]+)_([0-9a-f]{24}))\.")

lock = threading.RLock()  # of what the cache holds in this process; a forked child gets a new one: take it as files.lock
_unusable: set[Path] = set()
_temporary: Path | None = None


class Program(Protocol):
    """What the cache needs of a rendered program."""

    @property
    def text(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def device(self) -> str: ...


def wanted() -> Path:
    """The folder that is to be written: SAMFAST_CACHE_DIR, else samfast's in the user's cache directory."""
    if given := os.environ.get("SAMFAST_CACHE_DIR"):
        return Path(given).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_path("samfast", appauthor=False))


def directory() -> Path:
    """The cache directory, created private: SAMFAST_CACHE_DIR, else samfast's in the user's cache directory.

    If it cannot be created or written, is not the user's own or can be written by others: a temporary directory of this
    process, and one line to the logger "samfast".
    """
    folder = wanted()
    if folder in _unusable:
        return _fallback(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "not writable", str(folder))
        fault = unsafe(folder.stat(), os.geteuid() if os.name == "posix" else 0)
    except OSError as error:
        fault = str(error)
    return _fallback(folder, fault) if fault else folder


def unsafe(status: os.stat_result, *owners: int) -> str:
    """Who else than these users could have written a file or folder, since samfast runs code from it; '' for nobody."""
    if os.name != "posix":
        return ""
    if status.st_uid not in owners:
        return f"it belongs to user {status.st_uid}"
    return "others can write to it; chmod go-w" if status.st_mode & 0o022 else ""


def _fallback(folder: Path, fault: str = "", loud: bool = False) -> Path:
    """One temporary directory per process, removed at its end; we tell once of each folder that it replaces."""
    global _temporary
    import atexit
    import tempfile

    with lock:
        if _temporary is None or not _temporary.is_dir():
            _temporary = Path(tempfile.mkdtemp(prefix="samfast-"))
            atexit.register(_discard, _temporary, os.getpid())
        if folder not in _unusable:
            _unusable.add(folder)
            message = f"cache directory {folder} cannot be used ({fault}), {_temporary} serves this process only"
            warn(message) if loud else log.warning("%s: %s", message, REMEDY)
        return _temporary


def warn(message: str) -> None:
    """Warn that something was not kept on disk, and say how to change that."""
    warnings.warn(f"{message}: {REMEDY}", RuntimeWarning, stacklevel=4)


def _discard(folder: Path, process: int) -> None:
    import shutil

    if os.getpid() == process:  # not in a forked child, which may end first
        shutil.rmtree(folder, ignore_errors=True)


def place(program: Program, name: str) -> Path:
    """Make sure that the program's text and label are on disk; the path of the text."""
    folder = directory()
    try:
        return _put(folder, name, program)
    except OSError as error:  # a full disk, a quota, a permission that os.access did not see
        return _put(_fallback(folder, str(error), loud=True), name, program)


def _put(folder: Path, name: str, program: Program) -> Path:
    path, text = folder / f"{name}.py", program.text.encode()
    found = read(path)
    if found != text:
        if found is not None:  # tampered with or truncated: drop what may have been compiled from it
            unlink(f for f in scan(folder).get(name, ()) if f.suffix in (".nbc", ".nbi", ".pyc"))
        try:
            write(path, text)
        except OSError:
            if read(path) != text:  # Windows refuses to replace what another process has just written and reads
                raise
    label(folder, name, program)
    return path


def label(folder: Path, name: str, program: Program) -> None:
    """Write down which program the files of this name belong to, and that it was used now."""
    file, words = folder / f"{name}.label", " ".join(program.name.split()).encode()
    with suppress(OSError):  # only informs
        if read(file) == words:
            os.utime(file)
        else:
            write(file, words)


def scan(folder: Path) -> dict[str, list[Path]]:
    """The files of each program, those of Numba in __pycache__ included; none that samfast did not name."""
    found: dict[str, list[Path]] = {}
    for where in (folder, folder / "__pycache__"):
        with suppress(OSError):
            for file in where.iterdir():
                if match := STEM.match(file.name):
                    found.setdefault(match[1], []).append(file)
    return found


def unlink(files: Iterable[Path]) -> None:
    for file in files:
        with suppress(OSError):
            file.unlink()


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST).digest()


def read(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() else None  # reading a pipe or a device would not end
    except OSError:
        return None


def read_checked(path: Path) -> bytes | None:
    """What `write_checked` wrote; None if it is missing or damaged."""
    data = read(path)
    return None if data is None or data[:DIGEST] != digest(data[DIGEST:]) else data[DIGEST:]


def write(path: Path, data: bytes) -> None:
    """Readable by the owner alone; no reader ever sees half a file."""
    beside(path, lambda file: file.write(data), private=True)


def write_checked(path: Path, data: bytes) -> None:
    """Write the data after its checksum, for `read_checked`."""
    write(path, digest(data) + data)


def _unlock() -> None:
    """In a forked child: the thread that held the lock does not exist there."""
    global lock
    lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)
