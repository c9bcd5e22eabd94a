"""Numba's machine code of one function, kept in files with checksums."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from . import files, numba_private


class _Unpickler(pickle.Unpickler):
    """Loads code some of whose functions were taken from an earlier program, whose module they name (see sharing.py).

    A process that has not loaded that module finds equal functions in the module `home`.
    """

    def __init__(self, data: bytes, home: str) -> None:
        super().__init__(io.BytesIO(data))
        self._home = home

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if not numba_private.rebuilds_environment(module, name):
            return found
        return lambda origin, *rest: found(origin if origin in sys.modules else self._home, *rest)


class MachineCode:
    """Numba's cache of one function, kept in files that can be trusted.

    Numba's data files have no checksum, so that a damaged one ends in UnpicklingError at best and in a crash of the process
    at worst. Its index is shared by all signatures and CPUs, and processes that save at once can leave one of them with the
    code of another. Here every signature and CPU has its own file, a checksum followed by the pickled (key, names, code).
    The names are those of functions and data of other libraries that the code needs.

    Before it loads anything, Numba gets ready to compile, which imports some 40 modules, SciPy's linear algebra among them,
    and takes 0.4 s. Code whose names the process already has is loaded without this.
    """

    def __init__(self, cache: Any, base: Path) -> None:
        self._cache, self._base = cache, base
        self._dump, self._load = numba_private.take_files(cache, self)
        self._names: list[str] = []
        self._prepare: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def _path(self, key: object) -> Path:
        return self._base.with_name(f"{self._base.name}.{files.digest(repr(key).encode()).hex()}.nbc")

    def load(self, key: object) -> object:
        """The code of one signature from our own file, not Numba's index and data file; None if it is missing or damaged."""
        data = files.read_checked(self._path(key))
        if data is None:
            return None
        found, names, code = _Unpickler(data, self._base.stem).load()
        if not all(map(numba_private.is_symbol, names)):
            self._prepare()
        return code if found == key else None

    def save(self, key: object, code: object) -> None:
        files.write_checked(self._path(key), self._dump((key, self._names, code)))

    def flush(self) -> None:
        files.unlink(self._base.parent.glob(f"{self._base.name}.*.nbc"))

    def load_overload(self, sig: object, target_context: Any) -> object:
        """Called by Numba for compiled code; files that cannot be loaded are deleted, and None makes Numba compile."""
        self._prepare = partial(numba_private.get_ready, target_context)
        try:
            return self._load(sig, target_context)
        except Exception:
            self.flush()
            return None

    def save_overload(self, sig: object, data: Any) -> None:
        """Called by Numba with compiled code; where it cannot be written we only warn, and the next process compiles again."""
        self._names = numba_private.needed_symbols(data)
        try:
            self._cache.save_overload(sig, data)
        except OSError as error:
            files.warn(f"machine code is not kept, {self._base.parent} cannot be written ({error})")
