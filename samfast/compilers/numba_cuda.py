"""The GPU compiler: from the text of a program to machine code for one compute capability. Needs no GPU and no driver.

Nothing else knows numba-cuda: another compiler would replace this file and the header `kernels/target_cuda.py`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace
from typing import Any

from ..codegen.program import Program
from . import numba_cpu, numba_private

CONTRACTIBLE = re.compile(r"\b(?:add|sub|mul)\.f(?:32|64)\b")  # without .rn: the assembler may fuse a product with a sum
# Register limits per thread to try, smallest first; they leave room for 4, 3, 2, 1 blocks of 256 threads at a time. The first
# that spills at most SPILLS bytes is taken, since so few lie outside the loop over the steps.
REGISTERS = (64, 80, 128, 255)
SPILLS = 64
NVVM = ("nvidia-nvvm", "nvidia-cuda-nvcc", "nvidia-cuda-nvcc-cu12")
LINKER = ("nvidia-nvjitlink", "nvidia-nvjitlink-cu12")
PACKAGES = ("numba-cuda", "cuda-bindings", *NVVM, *LINKER)
_lock = threading.Lock()


@cache
def inputs() -> tuple[str, ...]:
    """What decides, beside the text, which machine code comes out: Numba's inputs and the packages of CUDA."""
    return (*numba_cpu.inputs(), *_installed(PACKAGES))


def _installed(packages: Iterable[str]) -> list[str]:
    """Those of the packages that are there, each with its version."""
    found = []
    for package in packages:
        with suppress(PackageNotFoundError):
            found.append(f"{package} {version(package)}")
    return found


@dataclass(frozen=True)
class Code:
    """Machine code of one program; its kernel is called `run`. registers: per thread; stack and spills in bytes per thread."""

    cubin: bytes
    ptx: str
    registers: int
    stack: int
    spills: int


@contextmanager
def _without_a_device(cc: tuple[int, int]) -> Iterator[None]:
    """numba-cuda asks the driver for a compute capability, and lets NVVM fuse products with sums. Here it does neither."""
    with _lock, numba_private.replaced(lambda: SimpleNamespace(compute_capability=cc), fma=False):
        yield


def _signature(program: Program) -> Any:
    """Numba's types of the driver's arguments: numbers first, then bare pointers to the arrays."""
    from numba import types

    number, pointer = types.int64, types.CPointer
    value = types.float64 if program.dtype == "float64" else types.float32
    arrays = (value, value, types.float64, number, types.float64, number, number, value, value)
    noise = (types.uint64, types.uint64, types.UniTuple(types.uint32, 16))
    return types.void(*[number] * 9, *noise, number, number, *map(pointer, arrays))


def assembly(program: Program, module: Any, cc: tuple[int, int]) -> str:
    """PTX of a program's module for a compute capability."""
    from numba import cuda

    with _without_a_device(cc):
        ptx, _ = cuda.compile(module.run.py_func, _signature(program), cc=cc, device=False, abi="numba", output="ptx")
    loose = CONTRACTIBLE.search(ptx)
    if loose:
        raise RuntimeError(
            f"numba-cuda gave {loose[0]} without .rn, which may be fused with its neighbours: the paths would "
            "differ from the CPU's; install the version of numba-cuda that samfast[cuda13] names"
        )
    entry = re.search(r"\.visible \.entry (\w+)", ptx)
    assert entry
    return str(ptx.replace(entry[1], "run"))


def compile(program: Program, module: Any, cc: tuple[int, int]) -> Code:
    """Machine code of a program's module for a compute capability, e.g. (9, 0)."""
    ptx = assembly(program, module, cc)
    for limit in REGISTERS:
        cubin, log = link(ptx, cc, limit)
        registers, stack, stores, loads = (
            int(m[1]) if (m := re.search(pattern, log)) else -1
            for pattern in (
                r"Used (\d+) registers",
                r"(\d+) bytes stack frame",
                r"(\d+) bytes spill stores",
                r"(\d+) bytes spill loads",
            )
        )
        if stores + loads <= SPILLS:
            break
    return Code(cubin, ptx, registers, stack, stores + loads)


def link(ptx: str, cc: tuple[int, int], registers: int, *more: str) -> tuple[bytes, str]:
    """Assemble PTX with a limit of registers; returns (cubin, the assembler's report). more: options of nvJitLink."""
    from cuda.bindings import nvjitlink as linker

    text = ptx.encode()
    options = [f"-arch=sm_{cc[0]}{cc[1]}", f"-maxrregcount={registers}", "-verbose", *more]
    handle = linker.create(len(options), options)
    try:
        try:
            linker.add_data(handle, linker.InputType.PTX, text, len(text), "program")
            linker.complete(handle)
        except Exception as error:
            raise RuntimeError(_unlinked(linker, handle, error)) from None
        cubin = bytearray(linker.get_linked_cubin_size(handle))
        linker.get_linked_cubin(handle, cubin)
        log = bytearray(linker.get_info_log_size(handle))
        linker.get_info_log(handle, log)
    finally:
        linker.destroy(handle)
    return bytes(cubin), log.decode()


def _unlinked(linker: Any, handle: Any, error: Exception) -> str:
    """Why nvJitLink did not take the PTX: its own log, and the versions, since an older one does not know NVVM's newer PTX."""
    said = bytearray(linker.get_error_log_size(handle))
    linker.get_error_log(handle, said)
    log = " ".join(said.decode(errors="replace").replace("\0", " ").split())
    return (
        f"nvJitLink: {error}: {log or 'it gives no reason'} ({', '.join(_installed((*NVVM, *LINKER)))}); it must not be older "
        'than NVVM: pip install --upgrade "samfast[cuda13]" (or "samfast[cuda12]")'
    )
