"""What samfast uses of Numba, llvmlite and numba-cuda beyond their documented interfaces, and the only Python that does so.

A new version may drop any of these names without notice. `missing` says which; tests/compilers/test_numba_private.py asks it.
The names that the headers in kernels/ use are listed here too, but stand there as text, which is compiled without samfast.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

CHECKED = {"numba": "0.68.1", "llvmlite": "0.50.0", "numba-cuda": "0.30.4"}  # versions with which all of it was there


@dataclass(frozen=True)
class Names:
    """Names of one module or class. where: "module" or "module:Class". use: what samfast does with them."""

    package: str
    where: str
    names: tuple[str, ...]
    use: str


USED = (
    Names("numba", "numba.core.dispatcher:Dispatcher", ("_cache", "overloads"), "the cache is replaced"),
    Names("numba", "numba.core.caching:FunctionCache", ("_cache_file",), "machine code goes to our files"),
    Names(
        "numba", "numba.core.caching:IndexDataCacheFile", ("_dump", "load", "save", "flush"), "machine code goes to our files"
    ),
    Names(
        "numba", "numba.core.cpu:CPUTargetOptions", ("_nrt", "forceinline", "no_cfunc_wrapper", "no_cpython_wrapper"), "options"
    ),
    Names("numba", "numba.np.arrayobj", ("make_array", "populate_array"), "target_cpu.py reads and makes arrays"),
    Names(
        "numba",
        "numba.core.base:BaseContext",
        (
            "cast",
            "get_abi_sizeof",
            "get_constant",
            "get_data_type",
            "get_dummy_value",
            "get_value_type",
            "make_tuple",
        ),
        "target_cpu.py writes LLVM's language",
    ),
    Names("numba-cuda", "numba.cuda.dispatcher", ("get_current_device",), "code for a GPU is made without one"),
    Names("numba-cuda", "numba.cuda.cudadrv.nvvm", ("compile_ir",), "products are not fused with sums"),
    Names("numba-cuda", "numba.cuda.np.arrayobj", (), "its import shows whether numba-cuda works with this NumPy"),
    Names("numba-cuda", "numba.cuda.extending", ("intrinsic",), "target_cuda.py writes PTX"),
)


def missing(package: str) -> list[str]:
    """The names in USED that the installed version of a package does not have, each with its use; empty if all is well."""
    found = []
    for each in (u for u in USED if u.package == package):
        try:
            holder = _holder(each.where)
        except (ImportError, AttributeError) as error:
            found.append(f"{each.where} ({error}): {each.use}")
            continue
        found += [f"{each.where}.{name}: {each.use}" for name in each.names if not _has(holder, name)]
    return found


def _holder(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(import_module(module), name) if name else import_module(module)


def _has(holder: Any, name: str) -> bool:
    """Whether a module or class has a name; for a class also whether its methods or those of its bases set it on self."""
    if hasattr(holder, name) or isinstance(holder, ModuleType):
        return hasattr(holder, name)
    sources = (inspect.getsource(base) for base in holder.__mro__ if base.__module__.startswith("numba."))
    return any(f"self.{name} = " in source for source in sources)


# The cache of a function -----------------------------------------------------------------------------------------------


def cache_of(function: Any) -> Any:
    """Numba's cache of a compiled function, if it writes files in the way that we can replace; else None."""
    cache = getattr(function, "_cache", None)
    return cache if hasattr(getattr(cache, "_cache_file", None), "_dump") else None


def set_cache(function: Any, cache: Any) -> None:
    """Give a compiled function another cache."""
    function._cache = cache


def take_files(cache: Any, files: Any) -> Callable[[Any], bytes]:
    """Let `files` load, save and flush in place of a cache's own files. Returns how the cache pickles."""
    dump: Callable[[Any], bytes] = cache._cache_file._dump
    cache._cache_file = files
    return dump


def is_compiled(function: Any) -> bool:
    """Whether a function needs no compiler any more: some signature of it is there, or Numba has nothing to do with it."""
    return bool(getattr(function, "overloads", True))


# numba-cuda ------------------------------------------------------------------------------------------------------------


@contextmanager
def replaced(current_device: Callable[[], Any], **compile_options: Any) -> Iterator[None]:
    """In this context numba-cuda takes `current_device` for the driver's, and gives NVVM these options. Not thread-safe."""
    from numba.cuda import dispatcher
    from numba.cuda.cudadrv import nvvm

    ask, compile_ir = dispatcher.get_current_device, nvvm.compile_ir
    dispatcher.get_current_device = current_device
    nvvm.compile_ir = lambda *args, **given: compile_ir(*args, **{**given, **compile_options})
    try:
        yield
    finally:
        dispatcher.get_current_device, nvvm.compile_ir = ask, compile_ir


def import_arrays() -> None:
    """Import the part of numba-cuda that a new NumPy breaks; raises AttributeError then, ImportError without numba-cuda."""
    import numba.cuda.np.arrayobj  # noqa: F401
