"""The machine that computes, with its versions of packages, its processor and its threads."""

from __future__ import annotations

import os
import platform
from functools import cache
from typing import Any


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """(package, version) of the packages on which the bits of a result depend."""
    from importlib.metadata import version

    from . import __version__

    # The version of Numba is read from its metadata, since importing Numba takes long and other compilers do not need it.
    return (("samfast", __version__), *((name, version(name)) for name in ("numba", "llvmlite", "numpy")))


def processor() -> dict[str, Any]:
    """LLVM's name of the processor, whether it has fused multiply-add (fma), and the width of its vectors in bits."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    width = 512 if features.get("avx512f") else 256 if features.get("avx2") else 128
    return {"name": binding.get_host_cpu_name(), "fma": bool(features.get("fma") or features.get("neon")), "vector_bits": width}


def threads() -> int:
    """Number of processors that this process may use, at least 1."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:
        return os.cpu_count() or 1


def processor_name() -> str:
    """The name that the vendor gave the processor, where the system tells it; else a shorter name, or "unknown"."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
            for line in f:
                if line.lower().startswith(("model name", "hardware")):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"
