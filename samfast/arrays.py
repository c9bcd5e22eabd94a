"""Arrays from anywhere: NumPy, CuPy, JAX, PyTorch, and whatever speaks DLPack or `__cuda_array_interface__`. No copies."""

from __future__ import annotations

from typing import Any

import numpy as np

CUDA_DEVICES = (2, 13)  # of DLPack: memory of a GPU, and memory that host and GPU share


def kind_of(x: Any) -> str:
    """The library that an array belongs to: "cupy", "torch" or "jax"; "numpy" for all that is in host memory otherwise."""
    top = type(x).__module__.split(".")[0]
    if top in ("cupy", "torch"):
        return top
    if top in ("jax", "jaxlib"):
        return "jax"
    return "cupy" if on_gpu(x) else "numpy"


def on_gpu(x: Any) -> bool:
    """Whether an array lies in the memory of a GPU. (PyTorch raises where a tensor on the CPU is asked for CUDA's view.)"""
    if type(x) in (np.ndarray, list, tuple, int, float):
        return False
    if hasattr(x, "__dlpack_device__"):
        try:
            return int(x.__dlpack_device__()[0]) in CUDA_DEVICES
        except (RuntimeError, BufferError, TypeError):
            return False
    return hasattr(x, "__cuda_array_interface__")


def to_cupy(x: Any) -> Any:
    """A CuPy view of an array on a GPU; it is ordered after the work on the array's own stream."""
    import cupy

    if isinstance(x, cupy.ndarray):
        return x
    x = x.detach() if hasattr(x, "detach") else x
    return cupy.from_dlpack(x) if hasattr(x, "__dlpack__") else cupy.asarray(x)


def to_host(x: Any) -> np.ndarray:
    """A NumPy array of anything, from a GPU by a copy."""
    if on_gpu(x):
        return np.asarray(to_cupy(x).get())
    return np.asarray(x.detach() if hasattr(x, "detach") else x)


def module_of(x: Any) -> Any:
    """NumPy or CuPy, whichever the array is of."""
    if on_gpu(x):
        import cupy

        return cupy
    return np


def tree(x: Any, xp: Any) -> Any:
    """The sum over the first axis, pairwise in index order: ((x0 + x1) + (x2 + x3)) + x4, on every device."""
    while x.shape[0] > 1:
        even = x.shape[0] // 2 * 2
        pairs = x[0:even:2] + x[1:even:2]
        x = pairs if even == x.shape[0] else xp.concatenate((pairs, x[even:]))
    return x[0]


def free_memory(xp: Any = np) -> float | None:
    """Bytes that are free: of the host; for CuPy of its current device, with what its pool keeps. None: unknown."""
    if xp is not np:
        return float(xp.cuda.runtime.memGetInfo()[0] + xp.get_default_memory_pool().free_bytes())
    try:
        with open("/proc/meminfo", encoding="ascii") as f:
            return next(float(line.split()[1]) * 1024 for line in f if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None


def like(x: Any, kind: str) -> Any:
    """An array (NumPy's or CuPy's) as one of the library `kind`, without a copy."""
    if kind == "torch":
        import torch

        return torch.from_dlpack(x)
    if kind == "jax":
        import jax

        with _x64(jax):  # otherwise JAX makes a copy in float32 of it, and says nothing
            return jax.dlpack.from_dlpack(x)
    return x


def _x64(jax: Any) -> Any:
    """JAX's context in which float64 stays float64, under its new or its old name."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64

    return enable_x64()
