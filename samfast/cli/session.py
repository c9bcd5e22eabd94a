"""What the verbs share while they run: a folder for the results, an executor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FOLDER = "samfast-msd"


def writing_to(given: Path | None) -> Path:
    """Create the folder for the results, and check that it can be written, before the simulation and not after it."""

    def used(path: Path) -> bool:
        return path.exists() and (not path.is_dir() or any(path.iterdir()))

    folder, number = given or Path(FOLDER), 1
    while given is None and used(folder):
        number += 1
        folder = Path(f"{FOLDER}-{number}")
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"--out {folder}: this is a file; give a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(f"--out {folder}: it cannot be created ({error.strerror}); give another folder") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"--out {folder}: it cannot be written; give another folder")
    return folder


def remove_if_empty(folder: Path) -> None:
    """Remove a folder in which nothing was written, as after an error or an interrupt."""
    with suppress(OSError):
        folder.rmdir()


@contextmanager
def workers(threads: int | None) -> Iterator[Any]:
    """An executor with so many threads; None, for the library's own choice, where no number is given."""
    if threads is None:
        yield None
        return
    from concurrent.futures import ThreadPoolExecutor

    from ..checks import check

    check(threads >= 1, f"--threads {threads}: give at least 1")
    with ThreadPoolExecutor(threads) as pool:
        yield pool
