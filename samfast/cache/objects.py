"""Programs for the CPU that were compiled without Numba, each in one object file beside its label.

The file is an object file of LLVM behind a checksum, and nothing in it is unpickled. Its name is a digest of the program's
text, LLVM's version, the processor and the front end's own source, so it can be missing or damaged but never stale.
"""

from __future__ import annotations

import hashlib
from functools import cache, lru_cache
from importlib.resources import files as resources
from typing import Any

import numpy as np

from ..compilers import choice, native
from ..compilers.compiling import compilation
from ..compilers.errors import LanguageError
from ..compilers.language import typed_tree
from ..compilers.llvm import llvm_text
from . import files, folders

LAYOUT = "samfast objects 1"


class Compiled:
    """A compiled program, used in place of its Python module. run: its driver; compiler: the name of its compiler."""

    def __init__(self, run: native.Kernel, compiler: str) -> None:
        self.run, self.compiler = run, compiler


@cache
def _own_source() -> str:
    """A digest of the source of the front end, since another front end may make other code of the same text."""
    texts = (
        f.read_bytes()
        for f in sorted(resources("samfast.compilers").iterdir(), key=str)
        if f.name.endswith(".py") and not f.name.startswith("numba")
    )
    return hashlib.blake2b(b"\0".join(texts), digest_size=12).hexdigest()


@lru_cache(None)
def key(text: str, compiler: str) -> str:
    """24 hex digits that name the machine code of a program's text, made by this front end on this machine."""
    parts = (LAYOUT, compiler, *native.versions(), *native.host(), _own_source(), text)
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=12).hexdigest()


def load(program: files.Program, compiler: str) -> Compiled | None:
    """The driver of a program, from its object file or made anew; None, with a warning in the log, if Numba has to make it.

    Ctrl-C waits for the end of what llvmlite is doing: an exception in the midst of it leaves objects that own the same memory.
    """
    with compilation():
        return _loaded(program, compiler)


def _loaded(program: files.Program, compiler: str) -> Compiled | None:
    name = f"samfast_cpu_{key(program.text, compiler)}"
    code = folders.find(f"{name}.o", program)
    if code is None:
        try:
            checked = compiler == "checked"
            text = llvm_text(typed_tree(program.text, f"{name}.py", checked), checked)
            code = native.object_file(text, level=native.CHECKED if checked else native.LEVEL)
        except (LanguageError, RuntimeError) as error:
            if choice.strict():
                raise
            choice.log.warning("program %r goes to Numba, refused by the front end: %s", program.name, error)
            return None
        folders.keep(f"{name}.o", program, code)
    return Compiled(native.Kernel(code, _types(program), f"{name}.py", compiler == "checked"), compiler)


def _types(program: Any) -> dict[str, np.dtype]:
    """The types that the text of a program calls T (its numbers) and N (its random numbers)."""
    return {"T": np.dtype(program.dtype), "N": np.dtype(program.noise_dtype)}
