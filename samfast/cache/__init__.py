"""From the text of a program to a compiled module, by way of a cache on disk.

One program has files of one stem, ``samfast_<device>_<key>``: its label (``.label``), whose modification time is the time of
last use, and its machine code. That of our own front end is one object file (``.o``, see objects.py). Numba needs the module's
text (``.py``) and leaves one file per signature and CPU (``.nbc``), as the compiler for GPUs does. The key is a hash of the
text and of every version that shapes machine code, so a file can be missing or damaged but never stale.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import Any

from ..compilers.choice import chosen
from ..compilers.compiling import compilation
from . import files, folders
from .files import Program, directory
from .folders import Layer, layers
from .listing import Entry, clear, entries, prune

__all__ = [
    "Entry", "Layer", "Program", "built", "clear", "compiler_of", "directory", "entries", "key", "layers", "load", "prune",
]  # fmt: skip

LAYOUT = "samfast cache 2"  # a change of the files is a new name: older ones are then never looked at
COMPILERS = {"cpu": "numba", "cuda": "numba-cuda", "simulator": "numba-cuda"}  # others are run by Python

OURS = ("llvm", "checked")  # what the front end of `compilers` makes

_modules: dict[tuple[str, str, str], Any] = {}


def load(program: Program) -> Any:
    """A program ready to run: its driver is `run`, and `compiler` names what makes its machine code. Made once per process.

    The front end of `compilers` compiles now. Numba is given the program's whole module, and compiles when `run` is called.

    Raises ImportError if the text cannot be imported.
    """
    compiler = asked_for(program)
    content = program.device, program.text, compiler
    module = _modules.get(content)
    if module is None:
        with files.lock:
            module = _modules.get(content)
            if module is None:
                module = _modules[content] = _loaded(program, compiler)
    return module


def compiler_of(program: Program) -> str:
    """The compiler that made the program in this process; before it is loaded, the one that is asked for."""
    module = _modules.get((program.device, program.text, asked_for(program)))
    return str(getattr(module, "compiler", asked_for(program)))


def asked_for(program: Program) -> str:
    """The compiler that is asked for a program: the chosen one for the CPU, else the only one that there is."""
    return chosen() if program.device == "cpu" else COMPILERS.get(program.device, "none")


def _loaded(program: Program, compiler: str) -> Any:
    if compiler in OURS:
        from . import objects

        if (found := objects.load(program, compiler)) is not None:
            return found
    return _import(program)


def built(program: Program, kind: str, build: Callable[[], bytes]) -> bytes:
    """What `build` makes of a program, e.g. a GPU's machine code: made once, kept beside its text with a checksum."""
    name = f"samfast_{program.device}_{key(program)}.{kind}.nbc"
    made = folders.find(name, program)
    if made is None:
        with compilation():
            made = build()
        folders.keep(name, program, made)
    return made


def key(program: Program) -> str:
    """24 hex digits that name a program on this toolchain (Numba itself tells CPUs and GPUs apart)."""
    if (compiler := asked_for(program)) in OURS:
        from . import objects

        return objects.key(program.text, compiler)
    return _key(program.device, program.text)


@lru_cache(None)
def _key(device: str, text: str) -> str:
    return hashlib.blake2b("\0".join((LAYOUT, *_inputs(device), device, text)).encode(), digest_size=12).hexdigest()


def _inputs(device: str) -> tuple[str, ...]:
    """What decides, beside the text, which machine code comes out; nothing where Python runs the text."""
    if device == "cpu":
        from ..compilers import numba_cpu

        return numba_cpu.inputs()
    if device in ("cuda", "simulator"):
        from ..compilers import numba_cuda

        return numba_cuda.inputs()
    return ()


def _import(program: Program) -> ModuleType:
    from importlib.util import module_from_spec, spec_from_file_location

    name = f"samfast_{program.device}_{_key(program.device, program.text)}"
    path = files.place(program, name)
    folders.grown()
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
    vars(module)["compiler"] = COMPILERS.get(program.device, "none")
    if program.device == "cpu":
        from ..compilers import numba_cpu

        numba_cpu.keep(module.run, path.with_suffix(".run"), files)
    sys.modules[name] = module
    return module


def __dir__() -> list[str]:
    return __all__
