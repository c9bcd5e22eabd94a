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


def made_by(device: str) -> str:
    """What compiles the programs of a device in this process; "none" for device "plain", whose text Python runs."""
    return "none" if device == "plain" else chosen() if device == "cpu" else "numba"


def use(compiler: str) -> None:
    """Choose the compiler for this process, and for processes that it starts: "llvm", "numba" or "checked".

    Programs that have been loaded before are loaded again by the new one. The numbers of a simulation do not depend on it.
    """
    os.environ["SAMFAST_COMPILER"] = choice("compiler", compiler, COMPILERS)


def strict() -> bool:
    """Whether a program that the front end refuses is an error."""
    return os.environ.get("SAMFAST_STRICT", "0") not in ("", "0")
