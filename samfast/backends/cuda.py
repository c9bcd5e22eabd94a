"""Run one shard of paths on a GPU, in launches of about half a second, and pool its moments on the device.

The emulator and numba-cuda's simulator run the same code with NumPy in place of CuPy, so that everything but the loading and
launching of machine code is tested without a GPU.
"""

from __future__ import annotations

import queue
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np

from .. import cache as store
from ..arrays import to_host
from ..checks import NoGpuError, check
from ..codegen.program import Program
from ..compilers import numba_cuda
from ..compilers.numba_private import import_arrays
from .central import central, pooled
from .shard import NEVER, Part, Shard, StoppedError, diverged_and_alarms, initial, same_versions

LAUNCH = 0.4  # seconds of one launch, for whose end Ctrl-C and progress wait
FIRST, LONGEST = (
    2e11,
    2**18,
)  # statements, and at most steps, of the first launch; later ones follow the speed of the one before
GRID = (2**31 - 1, 65535)  # most blocks of a launch along x (paths) and y (settings), a limit of CUDA
EXTRA = 'pip install "samfast[cuda13]" (or "samfast[cuda12]" for an older driver)'
_loaded = threading.local()


def missing() -> str | None:
    """The reason why this process cannot use a GPU, with the remedy; None if it can use one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # their warnings about their own use of NumPy concern no user
            import cupy
            from cuda.bindings import nvjitlink  # noqa: F401

            import_arrays()
    except ImportError as error:
        return f"{error}: {EXTRA}"
    except AttributeError as error:
        return f'numba-cuda does not work with NumPy {np.__version__} ({error}): pip install "numpy<2.5"'
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        old = "insufficient" in str(error).lower()  # a driver is there, but older than the runtime of CUDA that is installed
        remedy = (
            'pip install "samfast[cuda12]", which an older driver can run, or install a newer' if old else "install NVIDIA's"
        )
        return f"{error}: {remedy} driver, or leave device out to run on the CPU"
    return None if count else "the driver shows no GPU (see CUDA_VISIBLE_DEVICES): leave device out to run on the CPU"


def require() -> None:
    """Raise NoGpuError with the reason if there is no GPU to use, since device="cuda" never falls back to the CPU."""
    reason = missing()
    if reason:
        raise NoGpuError(f"device='cuda': {reason}")


def module_of(device: str) -> Any:
    """The module of the arrays that a device works on, CuPy for "cuda", else NumPy."""
    if device != "cuda":
        return np
    import cupy

    return cupy


def machine_code(program: Program, cc: tuple[int, int]) -> bytes:
    """The cubin of a program for compute capability `cc`, e.g. (9, 0), from the cache or compiled now; needs no GPU."""
    return store.built(program, f"sm_{cc[0]}{cc[1]}", lambda: numba_cuda.compile(program, store.load(program), cc).cubin)


def _launch(program: Program, grid: tuple[int, int], args: tuple[Any, ...]) -> None:
    """Start the driver of a program on the current device and stream; machine code gets arrays as bare pointers."""
    if program.device != "cuda":
        store.load(program).run[grid, program.lanes](*args)
        return
    flat = [a for x in args for a in (x if isinstance(x, tuple) else (x,))]
    _function(program)((*grid, 1), (program.lanes, 1, 1), [np.uint64(a.data.ptr) if a.ndim else a for a in flat])


def _function(program: Program) -> Any:
    """The driver of a program, loaded on the current device once for each thread."""
    import cupy

    gpu = cupy.cuda.Device()
    known = _loaded.__dict__.setdefault("functions", {})
    if (gpu.id, program.text) not in known:
        digits = gpu.compute_capability
        module = cupy.cuda.function.Module()
        module.load(machine_code(program, (int(digits[:-1]), int(digits[-1]))))
        known[gpu.id, program.text] = module.get_function("run")
    return known[gpu.id, program.text]


def gpus(numbers: Sequence[int] | None = None) -> ThreadPoolExecutor:
    """An executor with one worker for each GPU, to be used as sf.simulate(..., device="cuda", executor=sf.gpus()).

    numbers: the GPUs to use, by default all. The result is bitwise the same with any number of GPUs; its values and state
    are in host memory. Raises NoGpuError if there is no GPU, ValueError for a number that is no GPU or is given twice.
    """
    require()
    import cupy

    there = range(count())
    chosen = list(there) if numbers is None else list(numbers)
    for number in chosen:
        check(number in there, f"numbers={chosen}: there are {len(there)} GPUs, numbered 0 to {len(there) - 1}")
    check(len(set(chosen)) == len(chosen) > 0, f"numbers={chosen}: give each GPU once, e.g. numbers=[0, 1]")
    left = queue.SimpleQueue[int]()
    for number in chosen:
        left.put(number)
    return ThreadPoolExecutor(len(chosen), "samfast-gpu", lambda: cupy.cuda.Device(left.get()).use())


def round_keys(seed: int) -> tuple[np.uint32, ...]:
    """Keys of rounds 3 to 10 of Philox4x32, in pairs; they depend on the seed alone, so the driver gets them ready made."""
    from samfast.kernels.stream import ROUNDS, W0, W1

    low, high = seed & 0xFFFFFFFF, seed >> 32
    return tuple(
        np.uint32((key + r * int(step)) & 0xFFFFFFFF) for r in range(2, ROUNDS) for key, step in ((low, W0), (high, W1))
    )


def run_shard(shard: Shard, stop: np.ndarray = NEVER) -> Part:
    """Run a shard on the current GPU, or by the emulator if its program is for that, and return its Part.

    When another thread sets `stop[0] = 1`, it raises StoppedError at the end of the launch that is on its way. It raises
    RuntimeError if this process has other versions of the packages than the shard names.
    """
    same_versions(shard)
    p, settings, n = shard.program, shard.params.shape[1], shard.paths
    xp = module_of(p.device)
    state = initial(shard, xp)
    blocks, records, features = -(-n // p.lanes), len(shard.record), len(p.labels)
    sums = xp.empty((blocks, settings, records, features, 1 + p.moments))
    count = xp.empty((blocks, settings, records), np.int64)
    bad = xp.full((settings, n) if shard.mask else (1, 1), -1, np.int64)
    values = xp.empty((settings, records, features, n) if shard.keep_values else (1, 1, 1, 1), p.dtype)
    room = xp.empty(settings * features * n if p.wide else 1, p.dtype)
    arrays = [
        state,
        xp.asarray(np.ascontiguousarray(shard.params, p.dtype)),
        xp.asarray(shard.shift, np.float64),
        xp.asarray(shard.record, np.int64),
        sums,
        count,
        bad,
        values,
        room,
    ]
    grid = min(blocks, GRID[0]), min(-(-settings // p.group), GRID[1])

    def launch(start: int, end: int, r0: int, r1: int) -> None:
        numbers = (shard.first, start, end, n, settings, records, r0, r1, len(shard.params))
        _launch(
            p,
            grid,
            (
                *map(np.int64, numbers),
                np.uint64(shard.seed),
                np.uint64(shard.tag),
                round_keys(shard.seed),
                np.int64(shard.mask),
                np.int64(shard.keep_values),
                *(a.reshape(-1) for a in arrays),
            ),
        )

    _steps(shard, launch, stop, n * settings, xp)
    diverged, alarms = diverged_and_alarms(shard, bad, state, xp)
    moments, kept = pooled(central(sums, count, xp), count, xp)
    return Part(
        first=shard.first,
        paths=n,
        tag=shard.tag,
        moments=to_host(moments),
        count=to_host(kept),
        diverged=diverged,
        alarms=alarms,
        values=values if shard.keep_values else None,
        state=state if shard.keep_state else None,
    )


def _steps(shard: Shard, launch: Callable[[int, int, int, int], None], stop: np.ndarray, work: int, xp: Any) -> None:
    """Run to the last recorded step in launches of about LAUNCH seconds each; work: paths times settings.

    Nothing is known of the speed before the first launch, so it is sized by the statements of a step; those of a program that
    loops over the coordinates count for each of them.
    """
    done, r0, last, p = shard.start, 0, int(shard.record[-1]), shard.program
    piece = max(1, min(LONGEST, int(FIRST / (work * max(1, p.statements) * (p.dim if p.wide else 1)))))
    while True:
        if stop[0] != 0:
            raise StoppedError
        end = min(done + piece, last)
        r1 = int(np.searchsorted(shard.record, end, "right"))
        began = time.perf_counter()
        launch(done, end, r0, r1)
        if end == last:
            return
        if xp is not np:
            xp.cuda.get_current_stream().synchronize()
        piece = max(1, int(piece * min(8.0, LAUNCH / max(time.perf_counter() - began, 1e-6))))
        done, r0 = end, r1


def count() -> int:
    """Number of GPUs that this process sees."""
    import cupy

    return int(cupy.cuda.runtime.getDeviceCount())


def gpu() -> str:
    """The current GPU, its driver and the versions of the packages for it, or the reason why there is none to use."""
    from importlib.metadata import PackageNotFoundError, version

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
    return (
        f"{name}, number {device.id} of {runtime.getDeviceCount()}, compute capability {cc[:-1]}.{cc[-1]}, "
        f"{device.mem_info[1] / 1e9:.0f} GB, driver for CUDA {driver // 1000}.{driver % 1000 // 10}; {', '.join(versions)}"
    )
