"""A description of the installation, with its versions, processor, GPU and cache."""

from __future__ import annotations

import platform
import sys
from typing import Any

from .backends.cuda import gpu
from .machine import processor_name


def info() -> dict[str, Any]:
    """Return a dict that describes the installation.

    It holds the versions of samfast, Python and the packages that compute, the compiler, the processor and its features that
    programs use, the number of threads, the cache's directory, number of programs and bytes, and the GPU.
    """
    from . import __version__, cache
    from .compilers.choice import chosen
    from .machine import processor, threads, versions

    found = dict(versions())

    entries = cache.entries()
    return {
        "samfast": __version__,
        "python": f"{platform.python_version()} ({sys.implementation.name})",
        **{name: found[name] for name in ("numba", "llvmlite", "numpy")},
        "compiler": chosen(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor_name(),
        **processor(),
        "threads": threads(),
        "cache": str(cache.directory()),
        "cache_programs": len(entries),
        "cache_bytes": sum(e.bytes for e in entries),
        "gpu": gpu(),
    }


def report() -> str:
    """The entries of `info` as text, one per line."""
    i = info()
    rows = {
        "samfast": i["samfast"],
        "python": i["python"],
        "numba": i["numba"],
        "llvmlite": i["llvmlite"],
        "numpy": i["numpy"],
        "compiler": f"{i['compiler']} (programs of the CPU; samfast --compiler chooses)",
        "system": i["system"],
        "processor": f"{i['processor']} (compiled for {i['name']})",
        "vectors": f"{i['vector_bits']} bits, {'with' if i['fma'] else 'without'} fused multiply-add (FMA)",
        "threads": i["threads"],
        "cache": f"{i['cache']} ({i['cache_programs']} programs, {i['cache_bytes'] / 1e6:.1f} MB)",
        "gpu": i["gpu"],
    }
    return "\n".join(f"{k:<10} {v}" for k, v in rows.items())
