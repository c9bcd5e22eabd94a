"""The machine: versions of what computes, the processor, the threads."""

from __future__ import annotations

import os
import platform
from functools import cache
from typing import Any


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """The versions that decide what a shard computes."""
    from importlib.metadata import version

    from . import __version__

    # Numba is asked for its number without being imported, which takes long: other compilers need it for nothing else.
    return (("samfast", __version__), *((name, version(name)) for name in ("numba", "llvmlite", "numpy")))


def processor() -> dict[str, Any]:
    """What the processor offers to the compiler."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    width = 512 if features.get("avx512f") else 256 if features.get("avx2") else 128
    return {"name": binding.get_host_cpu_name(), "fma": bool(features.get("fma") or features.get("neon")), "vector_bits": width}


def threads() -> int:
    """Processors that this process may use."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:
        return os.cpu_count() or 1


def processor_name() -> str:
    """The processor's name in the vendor's words, where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
            for line in f:
                if line.lower().startswith(("model name", "hardware")):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"
