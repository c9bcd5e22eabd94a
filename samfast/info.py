"""What samfast runs on: versions, processor, cache."""
from __future__ import annotations

import platform
import sys
from contextlib import suppress
from typing import Any

from .machine import processor


def info() -> dict[str, Any]:
    """Versions, what the compiler uses of the processor, threads, and the cache's directory and size in bytes."""
    import llvmlite
    import numba
    import numpy as np

    from . import __version__, cache
    from .machine import host, threads
    entries = cache.entries()
    return {"samfast": __version__, "python": f"{platform.python_version()} ({sys.implementation.name})",
            "numba": numba.__version__, "llvmlite": llvmlite.__version__, "numpy": np.__version__,
            "system": f"{platform.system()} {platform.machine()}", "processor": processor(), **host(),
            "threads": threads(), "cache": str(cache.directory()), "cache_programs": len(entries),
            "cache_bytes": sum(e.bytes for e in entries), "gpu": gpu()}


def gpu() -> str:
    """The current GPU, its driver and the packages for it; or what is missing."""
    from importlib.metadata import PackageNotFoundError, version

    from .backends.cuda import missing
    reason = missing()
    if reason:
        return f"none: {reason}"
    import cupy
    runtime, device = cupy.cuda.runtime, cupy.cuda.Device()
    name = runtime.getDeviceProperties(device.id)["name"].decode()
    versions = []
    for package in ("cupy-cuda13x", "cupy-cuda12x", "numba-cuda", "nvidia-nvjitlink", "nvidia-nvjitlink-cu12"):
        with suppress(PackageNotFoundError):
            versions.append(f"{package} {version(package)}")
    cc, driver = device.compute_capability, runtime.driverGetVersion()
    return (f"{name}, number {device.id} of {runtime.getDeviceCount()}, compute capability {cc[:-1]}.{cc[-1]}, "
            f"{device.mem_info[1] / 1e9:.0f} GB, driver for CUDA {driver // 1000}.{driver % 1000 // 10}; {', '.join(versions)}")


def report() -> str:
    """`info` for reading."""
    i = info()
    rows = {"samfast": i["samfast"], "python": i["python"], "numba": i["numba"], "llvmlite": i["llvmlite"],
            "numpy": i["numpy"], "system": i["system"], "processor": f"{i['processor']} (compiled for {i['name']})",
            "vectors": f"{i['vector_bits']} bits, {'with' if i['fma'] else 'without'} fused multiply-add (FMA)",
            "threads": i["threads"],
            "cache": f"{i['cache']} ({i['cache_programs']} programs, {i['cache_bytes'] / 1e6:.1f} MB)", "gpu": i["gpu"]}
    return "\n".join(f"{k:<10} {v}" for k, v in rows.items())
