"""Arrays of NumPy, CuPy, JAX, PyTorch, or any library with DLPack or `__cuda_array_interface__`, passed on without copies."""

from __future__ import annotations

from typing import Any

import numpy as np

CUDA_DEVICES = (2, 13)  # numbers of DLPack for the memory of a GPU and for managed memory, which host and GPU share


def kind_of(x: Any) -> str:
    """The library of an array: "torch" or "jax" for theirs; for any other "cupy" if it lies on a GPU, else "numpy"."""
    top = type(x).__module__.split(".")[0]
    if top in ("cupy", "torch"):
        return top
    if top in ("jax", "jaxlib"):
        return "jax"
    return "cupy" if on_gpu(x) else "numpy"


def on_gpu(x: Any) -> bool:
    """Whether an array lies in the memory of a GPU.

    DLPack is asked first, since PyTorch raises where a tensor on the CPU is asked for `__cuda_array_interface__`.
    """
    if type(x) in (np.ndarray, list, tuple, int, float):
        return False
    if hasattr(x, "__dlpack_device__"):
        try:
            return int(x.__dlpack_device__()[0]) in CUDA_DEVICES
        except (RuntimeError, BufferError, TypeError):
            return False
    return hasattr(x, "__cuda_array_interface__")


def to_cupy(x: Any) -> Any:
    """A CuPy view of an array on a GPU, which waits for the work on the array's own stream."""
    import cupy

    if isinstance(x, cupy.ndarray):
        return x
    x = x.detach() if hasattr(x, "detach") else x
    return cupy.from_dlpack(x) if hasattr(x, "__dlpack__") else cupy.asarray(x)


def to_host(x: Any) -> np.ndarray:
    """Any array as a NumPy array; from a GPU it is copied."""
    if on_gpu(x):
        return np.asarray(to_cupy(x).get())
    return np.asarray(x.detach() if hasattr(x, "detach") else x)


def module_of(x: Any) -> Any:
    """The module for computing with an array, CuPy if it lies on a GPU, else NumPy."""
    if on_gpu(x):
        import cupy

        return cupy
    return np


def tree(x: Any, xp: Any) -> Any:
    """The sum over the first axis, pairwise in index order, e.g. ((x0 + x1) + (x2 + x3)) + x4, with the same bits anywhere."""
    while x.shape[0] > 1:
        even = x.shape[0] // 2 * 2
        pairs = x[0:even:2] + x[1:even:2]
        x = pairs if even == x.shape[0] else xp.concatenate((pairs, x[even:]))
    return x[0]


def free_memory(xp: Any = np) -> float | None:
    """Free bytes of the host (None if unknown), or for CuPy those of its current device and of its memory pool there."""
    if xp is not np:
        return float(xp.cuda.runtime.memGetInfo()[0] + xp.get_default_memory_pool().free_bytes())
    try:
        with open("/proc/meminfo", encoding="ascii") as f:
            return next(float(line.split()[1]) * 1024 for line in f if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None


def like(x: Any, kind: str) -> Any:
    """An array of NumPy or CuPy as one of the library `kind`, "torch" or "jax", without a copy; for other kinds itself."""
    if kind == "torch":
        import torch

        return torch.from_dlpack(x)
    if kind == "jax":
        import jax

        with _x64(jax):  # otherwise JAX silently makes a copy in float32
            return jax.dlpack.from_dlpack(x)
    return x


def _x64(jax: Any) -> Any:
    """JAX's context in which float64 stays float64, under its new or its old name."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64

    return enable_x64()
