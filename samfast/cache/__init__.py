"""From the text of a program to a compiled module, by way of a cache on disk.

One program has files of one stem, ``samfast_<device>_<key>``: the module's text (``.py``), its label
(``.label``), whose modification time is the time of last use, and machine code (``.nbc``), one file per
function, signature and CPU. The key is a hash of the text and of every version that shapes machine code, so
a file can be missing or damaged but never stale. What runs is the text that was rendered; its copy on disk
is for Numba, tracebacks and readers.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from types import ModuleType
from typing import Any

from ..compilers.choice import chosen
from . import files, numba_private
from .compiling import compilation
from .files import Program, directory
from .listing import Entry, clear, entries, prune
from .machine_code import MachineCode
from .sharing import share

__all__ = ["Entry", "Program", "built", "clear", "compiler_inputs", "directory", "entries", "key", "load", "prune"]

LAYOUT = "samfast cache 2"  # a change of the files is a new name: older ones are then never looked at
# Numba's settings that shape machine code but are not in its own cache key; packages of the GPU compiler
SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "USING_SVML")
GPU = ("numba-cuda", "cuda-bindings", "nvidia-nvvm", "nvidia-cuda-nvcc", "nvidia-cuda-nvcc-cu12")

_modules: dict[tuple[str, str, str], Any] = {}


def load(program: Program) -> Any:
    """The module of a program, imported once per process; what it holds is compiled, or loaded, when called.

    By the front end of `compilers`, if that is chosen, it is compiled now and has no more than `run`.

    Raises ImportError if the text cannot be imported, PermissionError if the cache directory is not safe.
    """
    compiler = compiler_of(program)
    content = program.device, program.text, compiler
    module = _modules.get(content)
    if module is None:
        with files.lock:
            module = _modules.get(content)
            if module is None:
                module = _modules[content] = _loaded(program, compiler)
    return module


def compiler_of(program: Program) -> str:
    """The compiler that is asked for this program; what `load` gives says which one made it."""
    return chosen() if program.device == "cpu" else "numba"


def _loaded(program: Program, compiler: str) -> Any:
    if compiler != "numba":
        from . import objects

        if (found := objects.load(program, compiler)) is not None:
            return found
    return _import(program)


def built(program: Program, kind: str, build: Callable[[], bytes]) -> bytes:
    """What `build` makes of a program, e.g. a GPU's machine code: made once, kept beside its text with a checksum."""
    name = f"samfast_{program.device}_{key(program)}"
    path = files.place(program, name).with_suffix(f".{kind}.nbc")
    kept = files.read_checked(path)
    if kept is not None:
        return kept
    with compilation():
        made = build()
    try:
        files.write_checked(path, made)
    except OSError as error:
        files.warn(f"machine code is not kept, {path.parent} cannot be written ({error})")
    return made


def key(program: Program) -> str:
    """24 hex digits that name a program on this toolchain (Numba itself tells CPUs and GPUs apart)."""
    if (compiler := compiler_of(program)) != "numba":
        from . import objects

        return objects.key(program.text, compiler)
    return _key(program.device, program.text)


@lru_cache(None)
def _key(device: str, text: str) -> str:
    return hashlib.blake2b("\0".join((*compiler_inputs(device), device, text)).encode(), digest_size=12).hexdigest()


@lru_cache(None)
def compiler_inputs(device: str = "cpu") -> tuple[str, ...]:
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

    name = f"samfast_{program.device}_{_key(program.device, program.text)}"
    path = files.place(program, name)
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
    share(vars(module))
    for function in list(vars(module).values()):
        cache = numba_private.cache_of(function)
        ours = getattr(function, "__module__", None) == name and not isinstance(cache, MachineCode)
        if ours and cache is not None:  # otherwise Numba keeps its own files, unchecked
            numba_private.set_cache(function, MachineCode(cache, path.with_suffix(f".{function.__name__}")))
    sys.modules[name] = module
    return module


def __dir__() -> list[str]:
    return __all__
