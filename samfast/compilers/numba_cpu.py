"""Numba compiles the text of a program as it is. Its machine code is kept in files with checksums.

Numba is the reference: `SAMFAST_COMPILER=numba` asks for it, and programs that the front end refuses go to it.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from . import numba_private

# Numba's settings that shape machine code but are not in its own cache key
SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "USING_SVML")


class Files(Protocol):
    """What is needed of the files of the cache."""

    def read_checked(self, path: Path) -> bytes | None: ...
    def write_checked(self, path: Path, data: bytes) -> None: ...
    def unlink(self, files: Iterable[Path]) -> None: ...
    def digest(self, data: bytes) -> bytes: ...
    def warn(self, message: str) -> None: ...


@cache
def inputs() -> tuple[str, ...]:
    """What decides, beside the text, which machine code comes out: versions and Numba's settings."""
    import llvmlite
    import numba
    import numpy

    versions = [f"{m.__name__} {m.__version__}" for m in (numba, llvmlite, numpy)]
    settings = [f"{s} {getattr(numba.config, s, None)}" for s in SETTINGS]
    return (str(sys.implementation.cache_tag), *versions, *settings)


def keep(run: Any, base: Path, files: Files) -> None:
    """Have Numba keep the machine code of a driver in files whose names begin with that of `base`."""
    kept = numba_private.cache_of(run)
    if kept is not None:  # otherwise Numba keeps its own files, unchecked
        numba_private.set_cache(run, MachineCode(kept, base, files))


class MachineCode:
    """Numba's cache of one function, kept in files that can be trusted.

    Numba's data files have no checksum, so that a damaged one ends in UnpicklingError at best and in a crash of the process
    at worst. Its index is shared by all signatures and CPUs, and processes that save at once can leave one of them with the
    code of another. Here every signature and CPU has its own file, a checksum followed by the pickled (key, code).
    """

    def __init__(self, kept: Any, base: Path, files: Files) -> None:
        self._cache, self._base, self._files = kept, base, files
        self._dump = numba_private.take_files(kept, self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def _path(self, key: object) -> Path:
        return self._base.with_name(f"{self._base.name}.{self._files.digest(repr(key).encode()).hex()}.nbc")

    def load(self, key: object) -> object:
        """The code of one signature from our own file, not Numba's index and data file; None if it is missing or damaged."""
        data = self._files.read_checked(self._path(key))
        if data is None:
            return None
        found, code = pickle.loads(data)
        return code if found == key else None

    def save(self, key: object, code: object) -> None:
        self._files.write_checked(self._path(key), self._dump((key, code)))

    def flush(self) -> None:
        self._files.unlink(self._base.parent.glob(f"{self._base.name}.*.nbc"))

    def load_overload(self, sig: object, target_context: Any) -> object:
        """Called by Numba for compiled code; files that cannot be loaded are deleted, and None makes Numba compile."""
        try:
            return self._cache.load_overload(sig, target_context)
        except Exception:
            self.flush()
            return None

    def save_overload(self, sig: object, data: Any) -> None:
        """Called by Numba with compiled code; where it cannot be written we only warn, and the next process compiles again."""
        try:
            self._cache.save_overload(sig, data)
        except OSError as error:
            self._files.warn(f"machine code is not kept, {self._base.parent} cannot be written ({error})")
