"""A file is written beside and renamed, so that no reader ever sees half of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any


def beside(path: Path, write: Callable[[IO[bytes]], Any], *, private: bool = False) -> None:
    """Write a file beside and rename it. private: readable by the owner alone.

    The temporary file's name begins with that of the file, so that who clears away the one finds the other.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path={str(path)!r}: folder {path.parent} does not exist; create it first")
    handle, temporary = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            write(file)
        if not private:
            os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
