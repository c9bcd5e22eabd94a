"""The machine that computes, with its versions of packages, its processor and its threads."""

from __future__ import annotations

import math
import os
import platform
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from .checks import check

MPI_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")  # set by the launchers of Open MPI, and of MPICH and its kin
MANY = 2**20  # processors: no limit
STREAM = "v1"  # the name of the stream of random numbers, see kernels/stream.py


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """(package, version) of the packages on which the bits of a result depend."""
    from importlib.metadata import version

    from . import __version__

    # The version of Numba is read from its metadata, since importing Numba takes long and other compilers do not need it.
    return (("samfast", __version__), *((name, version(name)) for name in ("numba", "llvmlite", "numpy")))


def described(device: str = "cpu") -> dict[str, str | int]:
    """What a result remembers of the machine and the versions that computed it, as plain words and numbers."""
    from . import NUMERICS

    return {
        **dict(versions()),
        "python": platform.python_version(),
        "numerics": NUMERICS,
        "stream": STREAM,
        "device": device,
        "machine": f"{platform.machine()} {_processor()}",
        "processor": processor_name(),
        "system": platform.system(),
    }


@cache
def _processor() -> str:
    return str(processor()["name"])


def processor() -> dict[str, Any]:
    """LLVM's name of the processor, whether it has fused multiply-add (fma), and the width of its vectors in bits."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    width = 512 if features.get("avx512f") else 256 if features.get("avx2") else 128
    return {"name": binding.get_host_cpu_name(), "fma": bool(features.get("fma") or features.get("neon")), "vector_bits": width}


def threads() -> int:
    """Number of threads that a simulation takes, at least 1.

    SAMFAST_NUM_THREADS, if it is set. Otherwise a worker of a pool of processes (also of Dask or joblib) and a process of MPI
    take one, since the others keep the other processors busy; and any other process takes as many as it may use: the
    processors that it is bound to, os.process_cpu_count (PYTHON_CPU_COUNT), and the quota of its control group, rounded up.
    Raises ValueError if SAMFAST_NUM_THREADS is no whole number of at least 1.
    """
    if said := os.environ.get("SAMFAST_NUM_THREADS"):
        check(
            said.isdecimal() and int(said) >= 1,
            f"SAMFAST_NUM_THREADS={said!r}: give a whole number of at least 1, e.g. 4, or unset it",
        )
        return int(said)
    return 1 if _one_of_many() else max(1, min(_processors(), _quota()))


def _one_of_many() -> bool:
    """Whether this process is a worker of multiprocessing, which all pools of processes are, or was started by MPI."""
    process = sys.modules.get("multiprocessing.process")  # a worker has loaded it
    if process is not None and process.parent_process() is not None:
        return True
    return any(os.environ.get(name, "1") not in ("", "1") for name in MPI_SIZES)


def _processors() -> int:
    if hasattr(os, "process_cpu_count"):  # new in Python 3.13
        return os.process_cpu_count() or 1
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


@cache
def _quota(root: str = "/") -> int:
    """Processors that the control groups of this process allow, its own and those around it; many where nothing is said."""
    allowed = float(MANY)
    try:
        lines = Path(root, "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return MANY
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = Path(root, "sys/fs/cgroup", controllers and "cpu")
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(top):
                with suppress(OSError, ValueError):
                    quota, period = _limits(folder, version=1 if controllers else 2)
                    allowed = min(allowed, quota / period if quota > 0 else MANY)
    return math.ceil(allowed)


def _limits(folder: Path, version: int) -> tuple[int, int]:
    """(microseconds of processor time, of each so many); the first is not positive for no limit."""
    if version == 2:
        quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        return (0 if quota == "max" else int(quota)), int(period)
    quota, period = ((folder / f"cpu.cfs_{name}_us").read_text(encoding="utf-8") for name in ("quota", "period"))
    return int(quota), int(period)


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
