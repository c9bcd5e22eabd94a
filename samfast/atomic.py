"""A file is written beside and renamed, so that no reader ever sees half of it."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

TEMPORARY = re.compile(r"\.([0-9a-f]{8})-(\d+)-\w+\.tmp$")  # (machine, process) that writes it


def beside(path: Path, write: Callable[[IO[bytes]], Any], *, private: bool = False) -> None:
    """Write a file beside and rename it. private: readable by the owner alone.

    The name of the temporary file begins with that of the file, so that whoever clears one away finds the other, and it holds
    the machine and the process that write it. Temporary files of killed processes of this machine are removed first.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path={str(path)!r}: folder {path.parent} does not exist; create it first")
    if path.is_dir():
        raise IsADirectoryError(f"path={str(path)!r}: this is a folder; give a file")
    remove_leftovers(path.parent)
    handle, temporary = tempfile.mkstemp(prefix=f"{path.name}.{_machine()}-{os.getpid()}-", suffix=".tmp", dir=path.parent)
    try:
        os.close(handle)
        with open(temporary, "wb") as file:
            write(file)
        if not private:
            os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def renamed(path: Path, write: Callable[[Path], Any]) -> None:
    """Like `beside`, for a library that writes to a path: `write` gets that of the temporary file."""

    def put(file: IO[bytes]) -> None:
        write(Path(file.name))

    beside(path, put)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of processes of this machine that have ended; files of other machines stay."""
    with suppress(OSError):
        for name in os.listdir(folder):
            found = TEMPORARY.search(name)
            if found and found[1] == _machine() and not _alive(int(found[2])):
                with suppress(OSError):
                    os.unlink(folder / name)


@cache
def _machine() -> str:
    """Eight hex digits for this machine: processes of two that share a folder may have the same number."""
    return hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()


def _alive(process: int) -> bool:
    """Whether a process runs here; where a signal cannot ask (Windows: it would end the process), it is taken to."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
