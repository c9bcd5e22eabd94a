"""Which compiler makes the programs of the CPU in this process."""

from __future__ import annotations

import logging
import os

from ..checks import check, choice

COMPILERS = ("llvm", "numba", "checked")
log = logging.getLogger("samfast")
log.addHandler(logging.NullHandler())  # silent unless the application listens


def chosen() -> str:
    """SAMFAST_COMPILER, or "llvm".

    "llvm": the front end of `samfast.compilers`; a program that it refuses goes to Numba, with one line to the logger "samfast"
    (with SAMFAST_STRICT=1 that is an error instead). "numba": the reference. "checked": as "llvm", with checks of what the
    kernel language promises, for tests.
    """
    name = os.environ.get("SAMFAST_COMPILER") or "llvm"
    check(name in COMPILERS, f"SAMFAST_COMPILER={name!r}: choose one of {', '.join(COMPILERS)}")
    return name


def use_compiler(compiler: str) -> None:
    """Choose what compiles programs of the CPU in this process, and in processes that it starts from now on.

    "llvm" is the front end of samfast's own and the default; a program that it refuses goes to Numba, with one line to the
    logger "samfast". "numba" is the reference. "checked" is "llvm" with checks of what the kernel language promises, slow and
    for tests. Programs that were loaded before are loaded again. The numbers of a simulation do not depend on it, bit for bit.
    The command has it as `samfast --compiler`; the environment variable SAMFAST_COMPILER says the same.

    Raises ValueError for any other name.
    """
    os.environ["SAMFAST_COMPILER"] = choice("compiler", compiler, COMPILERS)


def strict() -> bool:
    """Whether a program that the front end refuses is an error."""
    return os.environ.get("SAMFAST_STRICT", "0") not in ("", "0")
