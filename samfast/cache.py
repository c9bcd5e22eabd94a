"""From the text of a program to a compiled module, by way of a cache on disk.

One program has files of one stem, ``samfast_<device>_<key>``: the module's text (``.py``), its label
(``.label``), whose modification time is the time of last use, and machine code (``.nbc``), one file per
function, signature and CPU. The key is a hash of the text and of every version that shapes machine code, so
a file can be missing or damaged but never stale. What runs is the text that was rendered; its copy on disk
is for Numba, tracebacks and readers.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Protocol

from .compiling import compilation

__all__ = ["Entry", "Program", "built", "clear", "directory", "entries", "key", "load", "prune",
           "toolchain"]

LAYOUT = "samfast cache 2"  # a change of the files below is a new name: older ones are then never looked at
DIGEST = 16  # bytes of checksum before the machine code
# Numba's settings that shape machine code but are not in its own cache key; packages of the GPU compiler
SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "USING_SVML")
GPU = ("numba-cuda", "cuda-bindings", "nvidia-nvvm", "nvidia-cuda-nvcc", "nvidia-cuda-nvcc-cu12")
STEM = re.compile(r"(samfast_([a-z]+)_([0-9a-f]{24}))\.")

_lock = threading.RLock()
_modules: dict[tuple[str, str], ModuleType] = {}
_functions: dict[bytes, Any] = {}  # compiled functions by what they are made of: programs share them
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


@dataclass(frozen=True)
class Entry:
    """One cached program: size of all its files; when first written and last used, in seconds since 1970."""

    key: str
    name: str
    device: str
    bytes: int
    created: float
    used: float

    def __str__(self) -> str:
        made, used = (time.strftime("%Y-%m-%d %H:%M", time.localtime(t)) for t in (self.created, self.used))
        size = f"{self.bytes / 1000:8.1f} kB"
        return f"{self.key}  {self.device:<6} {size}  made {made}  used {used}  {self.name}"


def load(program: Program) -> ModuleType:
    """The module of a program, imported once per process; what it holds is compiled, or loaded, when called.

    Raises ImportError if the text cannot be imported, PermissionError if the cache directory is not safe.
    """
    content = program.device, program.text
    module = _modules.get(content)
    if module is None:
        with _lock:
            module = _modules.get(content)
            if module is None:
                module = _modules[content] = _import(program)
    return module


def built(program: Program, kind: str, build: Callable[[], bytes]) -> bytes:
    """What `build` makes of a program, e.g. a GPU's machine code: made once, kept beside its text with a checksum."""
    name = f"samfast_{program.device}_{key(program)}"
    path = _place(program, name).with_suffix(f".{kind}.nbc")
    data = _read(path)
    if data is not None and data[:DIGEST] == _digest(data[DIGEST:]):
        return data[DIGEST:]
    with compilation():
        made = build()
    try:
        _write(path, _digest(made) + made)
    except OSError as error:
        _warn(f"machine code is not kept, {path.parent} cannot be written ({error})")
    return made


def key(program: Program) -> str:
    """24 hex digits that name a program on this toolchain (Numba itself tells CPUs and GPUs apart)."""
    return _key(program.device, program.text)


@lru_cache(None)
def _key(device: str, text: str) -> str:
    return hashlib.blake2b("\0".join((*toolchain(device), device, text)).encode(), digest_size=12).hexdigest()


@lru_cache(None)
def toolchain(device: str = "cpu") -> tuple[str, ...]:
    """What decides, beside the text, which machine code comes out: versions and Numba's settings."""
    import llvmlite
    import numba
    import numpy

    versions = [f"{m.__name__} {m.__version__}" for m in (numba, llvmlite, numpy)]
    settings = [f"{s} {getattr(numba.config, s, None)}" for s in SETTINGS]
    if device == "cuda":
        from importlib.metadata import PackageNotFoundError, version

        for package in GPU:
            with suppress(PackageNotFoundError):
                versions.append(f"{package} {version(package)}")
    return (LAYOUT, str(sys.implementation.cache_tag), *versions, *settings)


def _import(program: Program) -> ModuleType:
    from importlib.util import module_from_spec, spec_from_file_location

    name = f"samfast_{program.device}_{key(program)}"
    path = _place(program, name)
    spec = spec_from_file_location(name, path)
    assert spec is not None
    module = module_from_spec(spec)
    try:  # not by the loader: Python's own bytecode cache trusts time and size, and nothing repairs it
        exec(compile(program.text, str(path), "exec", dont_inherit=True), vars(module))
        _ = module.run
    except Exception as error:
        raise ImportError(
            f"program {program.name!r}: its module {path} cannot be imported, {type(error).__name__}: {error}"
            f". If no package is missing, the rendered text is at fault: please report it with that file",
            name=name,
            path=str(path),
        ) from error
    _share(vars(module))
    for function in list(vars(module).values()):
        cache = getattr(function, "_cache", None)
        ours = getattr(function, "__module__", None) == name and not isinstance(cache, _MachineCode)
        # a Numba without these two attributes keeps its own files, unchecked
        if ours and hasattr(getattr(cache, "_cache_file", None), "_dump"):
            function._cache = _MachineCode(cache, path.with_suffix(f".{function.__name__}"))
    sys.modules[name] = module
    return module


def _share(names: dict[str, Any]) -> None:
    """Functions that an earlier module of this process has too are taken from it: compiled already."""
    for name, value in list(names.items()):
        if hasattr(value, "py_func") and name != "run":
            names[name] = _functions.setdefault(_made_of(value, {}), value)


def _made_of(compiled: Any, seen: dict[int, bytes]) -> bytes:
    """A digest of a function: its options, its code, and all that its code names, however deep."""
    if id(compiled) in seen:
        return seen[id(compiled)]
    seen[id(compiled)] = b"itself"
    function = getattr(compiled, "py_func", None) or getattr(compiled, "_defn", compiled)
    parts, codes = [repr((type(compiled), getattr(compiled, "targetoptions", None))).encode()], [function.__code__]
    while codes:
        code = codes.pop()
        parts += [repr((code.co_name, code.co_code, code.co_names, code.co_varnames)).encode()]
        parts += [repr(c).encode() for c in code.co_consts if not hasattr(c, "co_code")]
        codes += [c for c in code.co_consts if hasattr(c, "co_code")]
        for name in code.co_names:
            value = function.__globals__.get(name)
            deep = hasattr(value, "py_func") or hasattr(value, "_defn") or _own(value, function)
            parts += [name.encode(), _made_of(value, seen) if deep else repr((type(value), value)).encode()]
    seen[id(compiled)] = _digest(b"\0".join(parts))
    return seen[id(compiled)]


def _own(value: Any, function: Any) -> bool:
    """Whether a value is a function that is not compiled, of the same module."""
    return isinstance(value, FunctionType) and value.__globals__ is function.__globals__


class _MachineCode:
    """Numba's cache of one function, kept in files that can be trusted.

    Numba's data files have no checksum: a damaged one ends in UnpicklingError at best, in a crash of the
    process at worst. Its index is shared by all signatures and CPUs, and processes that save at once can
    leave one of them with the code of another. Here every signature and CPU has its own file: checksum,
    pickled (key, names, code); names are the functions and data of other libraries that the code needs.

    Before it loads anything Numba gets ready to compile: it imports some 40 modules, SciPy's linear algebra
    among them, 0.4 s. Code that needs nothing of all that, because the process has all its names, is loaded
    without.
    """

    def __init__(self, cache: Any, base: Path) -> None:
        self._cache, self._base, self._dump = cache, base, cache._cache_file._dump
        self._load = getattr(cache, "_load_overload", cache.load_overload)
        self._names: list[str] = []
        self._prepare: Any = None
        cache._cache_file = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def _path(self, key: object) -> Path:
        return self._base.with_name(f"{self._base.name}.{_digest(repr(key).encode()).hex()}.nbc")

    def load(self, key: object) -> object:
        """In place of Numba's index and data file: the code of one signature, None if missing or damaged."""
        import pickle

        data = _read(self._path(key))
        if data is None or data[:DIGEST] != _digest(data[DIGEST:]):
            return None
        from llvmlite.binding import address_of_symbol

        found, names, code = pickle.loads(data[DIGEST:])
        if not all(map(address_of_symbol, names)):
            self._prepare()
        return code if found == key else None

    def save(self, key: object, code: object) -> None:
        data = self._dump((key, self._names, code))
        _write(self._path(key), _digest(data) + data)

    def flush(self) -> None:
        _unlink(self._base.parent.glob(f"{self._base.name}.*.nbc"))

    def load_overload(self, sig: object, target_context: Any) -> object:
        """Numba asks here; what cannot be loaded is deleted, and Numba compiles as if there had been none."""
        self._prepare = target_context.refresh
        try:
            return self._load(sig, target_context)
        except Exception:
            self.flush()
            return None

    def save_overload(self, sig: object, data: Any) -> None:
        """Numba hands over here; a full disk costs the next process a compilation, not this one a result."""
        module = data.library._final_module
        declared = [v.name for v in (*module.functions, *module.global_variables) if v.is_declaration]
        self._names = [name for name in declared if not name.startswith("llvm.")]
        try:
            self._cache.save_overload(sig, data)
        except OSError as error:
            _warn(f"machine code is not kept, {self._base.parent} cannot be written ({error})")


def directory() -> Path:
    """The cache directory, created private: SAMFAST_CACHE_DIR, else samfast's in the user's cache directory.

    If it cannot be created or written: a temporary directory of this process, and one RuntimeWarning. Raises
    PermissionError if other users could place code in it.
    """
    if given := os.environ.get("SAMFAST_CACHE_DIR"):
        wanted = Path(given).expanduser().absolute()
    else:
        import platformdirs

        wanted = platformdirs.user_cache_path("samfast", appauthor=False)
    if wanted in _unusable:
        return _fallback(wanted)
    try:
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(wanted, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "not writable", str(wanted))
        status = wanted.stat()
    except OSError as error:
        return _fallback(wanted, error)
    if os.name == "posix" and (status.st_uid != os.geteuid() or status.st_mode & 0o002):
        fault, remedy = f"belongs to user {status.st_uid}", ""
        if status.st_uid == os.geteuid():
            fault, remedy = "is writable by everyone", f", or empty this one and chmod 700 {wanted}"
        raise PermissionError(
            f"cache directory {wanted} {fault}, and samfast executes code from it: "
            f"set SAMFAST_CACHE_DIR to a directory of your own{remedy}"
        )
    return wanted


def _fallback(wanted: Path, error: OSError | None = None) -> Path:
    """One temporary directory per process, removed at its end; one warning per directory that it replaces."""
    global _temporary
    import atexit
    import tempfile

    with _lock:
        if _temporary is None or not _temporary.is_dir():
            _temporary = Path(tempfile.mkdtemp(prefix="samfast-"))
            atexit.register(_discard, _temporary, os.getpid())
        if wanted not in _unusable:
            _unusable.add(wanted)
            _warn(f"cache directory {wanted} cannot be used ({error}), {_temporary} serves this process only")
        return _temporary


def _warn(message: str) -> None:
    remedy = "set SAMFAST_CACHE_DIR to a directory that you can write to, with space"
    warnings.warn(f"{message}: {remedy}", RuntimeWarning, stacklevel=4)


def _discard(folder: Path, process: int) -> None:
    import shutil

    if os.getpid() == process:  # not in a forked child, which may end first
        shutil.rmtree(folder, ignore_errors=True)


def _place(program: Program, name: str) -> Path:
    """Make sure that the program's text and label are on disk; the path of the text."""
    folder = directory()
    try:
        return _put(folder, name, program)
    except OSError as error:  # a full disk, a quota, a permission that os.access did not see
        return _put(_fallback(folder, error), name, program)


def _put(folder: Path, name: str, program: Program) -> Path:
    path, text = folder / f"{name}.py", program.text.encode()
    found = _read(path)
    if found != text:
        if found is not None:  # tampered with or truncated: drop what may have been compiled from it
            _unlink(f for f in _scan(folder).get(name, ()) if f.suffix in (".nbc", ".nbi", ".pyc"))
        try:
            _write(path, text)
        except OSError:
            if (
                _read(path) != text
            ):  # Windows refuses to replace what another process has just written and reads
                raise
    label, words = path.with_suffix(".label"), " ".join(program.name.split()).encode()
    with suppress(OSError):  # only informs
        if _read(label) == words:
            os.utime(label)
        else:
            _write(label, words)
    return path


def entries() -> list[Entry]:
    """What is in the cache, oldest use first."""
    return [entry for entry, _ in _listing()]


def prune(max_bytes: int | None = 500_000_000, max_age_days: float | None = 90) -> list[Entry]:
    """Remove entries not used for `max_age_days`, then those used longest ago while all exceed `max_bytes`.

    None is no limit. Returns what was removed; a program that is needed again is compiled again.
    """
    for name, limit in (("max_bytes", max_bytes), ("max_age_days", max_age_days)):
        if limit is not None and not limit >= 0:
            raise ValueError(f"{name}={limit}: give at least 0, or None for no limit")
    return _evict(max_bytes, None if max_age_days is None else time.time() - 86400 * max_age_days)


def clear() -> list[Entry]:
    """Remove every entry; returns what was removed. Files that samfast did not write stay."""
    return _evict(-1, None)


def _evict(max_bytes: int | None, oldest: float | None) -> list[Entry]:
    listing, removed = _listing(), []
    total = sum(entry.bytes for entry, _ in listing)
    for entry, files in listing:
        if (oldest is not None and entry.used < oldest) or (max_bytes is not None and total > max_bytes):
            _unlink(files)
            if not any(file.exists() for file in files):
                removed.append(entry)
                total -= entry.bytes
    return removed


def _listing() -> list[tuple[Entry, list[Path]]]:
    listing = []
    for stem, files in _scan(folder := directory()).items():
        stats = []
        for file in files:
            with suppress(OSError):  # removed by another process meanwhile
                stats.append(file.stat())
        if stats:
            _, device, digits = stem.split("_")
            name = (_read(folder / f"{stem}.label") or b"(no label)").decode(errors="replace")
            size, times = sum(s.st_size for s in stats), [s.st_mtime for s in stats]
            listing.append((Entry(digits, name, device, size, min(times), max(times)), files))
    return sorted(listing, key=lambda pair: pair[0].used)


def _scan(folder: Path) -> dict[str, list[Path]]:
    """The files of each program, those of Numba in __pycache__ included; none that samfast did not name."""
    found: dict[str, list[Path]] = {}
    for place in (folder, folder / "__pycache__"):
        with suppress(OSError):
            for file in place.iterdir():
                if match := STEM.match(file.name):
                    found.setdefault(match[1], []).append(file)
    return found


def _unlink(files: Any) -> None:
    for file in files:
        with suppress(OSError):
            file.unlink()


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST).digest()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _write(path: Path, data: bytes) -> None:
    """Beside and renamed, so that no reader ever sees half a file; readable by the owner alone."""
    import tempfile

    handle, beside = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _unlock() -> None:
    """In a forked child: the thread that held the lock does not exist there."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)
