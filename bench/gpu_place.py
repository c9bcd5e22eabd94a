"""The places at which bench.gpu measures: the current GPU, or the host for a dry run, whose times mean nothing."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from multiprocessing import get_context
from typing import Any

import numpy as np

from samfast.backends import cuda
from samfast.codegen.program import Program

from . import gpu_kernel, machine
from .work import Answer

TINY = 2.0**-10  # scale of a dry run
HOPPER = (9, 0)


class Gpu:
    """The current GPU; a time is that between two events on the current stream."""

    scale, dry = 1.0, False

    def __init__(self) -> None:
        import cupy

        self.cp = cupy
        digits = cupy.cuda.Device().compute_capability
        self.cc = int(digits[:-1]), int(digits[-1])

    def about(self) -> dict[str, Any]:
        runtime, device = self.cp.cuda.runtime, self.cp.cuda.Device()
        clocks = machine._first_line(
            "nvidia-smi", "--query-gpu=clocks.sm,clocks.max.sm,clocks.mem,power.limit,temperature.gpu", "--format=csv,noheader"
        )
        return {
            "name": runtime.getDeviceProperties(device.id)["name"].decode(),
            "compute_capability": list(self.cc),
            "memory": device.mem_info[1],
            "driver": runtime.driverGetVersion(),
            "runtime": runtime.runtimeGetVersion(),
            "cupy": self.cp.__version__,
            "clocks, power, temperature": clocks,
        }

    def timed(self, call: Callable[[], Any]) -> tuple[float, float | None]:
        """Returns the seconds of a call, and those of samfast's kernels alone or None if it started none."""
        event = self.cp.cuda.Event
        before, after = event(), event()
        self.cp.cuda.Device().synchronize()
        with launches(event) as pairs:
            before.record()
            call()
            after.record()
        after.synchronize()
        self.cp.cuda.Device().synchronize()
        between = self.cp.cuda.get_elapsed_time
        return between(before, after) / 1e3, sum(between(a, b) for a, b in pairs) / 1e3 if pairs else None

    def compile(self, programs: Iterable[Program], sources: Iterable[str], left: Callable[[], float]) -> str:
        """Compiles all programs into the cache, on all processors."""
        todo = list(programs)
        with ProcessPoolExecutor(min(len(todo), os.cpu_count() or 1), get_context("spawn")) as pool:
            sizes = [len(x) for x in pool.map(cuda.machine_code, todo, repeat(self.cc))]
        return f"{len(sizes)} programs compiled, {sum(sizes) / 1e6:.1f} MB"

    def tidy(self) -> None:
        gc.collect()
        self.cp.get_default_memory_pool().free_all_blocks()
        if "torch" in sys.modules:
            sys.modules["torch"].cuda.empty_cache()


class DryRun:
    """A run without a device: other libraries do tiny works on the host, samfast only compiles, and times mean nothing."""

    cp, scale, dry = np, TINY, True

    def about(self) -> dict[str, Any]:
        return {"name": "dry run"}

    def timed(self, call: Callable[[], Any]) -> tuple[float, float | None]:
        begun = time.perf_counter()
        call()
        return time.perf_counter() - begun, None

    def compile(self, programs: Iterable[Program], sources: Iterable[str], left: Callable[[], float]) -> str:
        """Compiles the CUDA C sources and, while time is left, samfast's programs."""
        texts, todo, made = [gpu_kernel.machine_code(text) for text in sources], list(programs), 0
        for program in todo:
            if left() > 0:
                cuda.machine_code(program, HOPPER)
                made += 1
        return f"{len(texts)} sources and {made} of {len(todo)} programs compiled for sm_{HOPPER[0]}{HOPPER[1]}"

    def tidy(self) -> None:
        pass


@contextmanager
def launches(event: Any) -> Iterator[list[tuple[Any, Any]]]:
    """Gives a list that gains a pair of events, before and after, at each kernel launch of samfast inside the block."""
    launch, pairs = cuda._launch, []

    def watched(*args: Any) -> None:
        before, after = event(), event()
        before.record()
        launch(*args)
        after.record()
        pairs.append((before, after))

    cuda._launch = watched  # type: ignore[assignment]
    try:
        yield pairs
    finally:
        cuda._launch = launch


def fetch(answer: Answer) -> Answer:
    """Copies an answer of NumPy, CuPy or PyTorch arrays to NumPy."""
    return {
        k: x.get() if hasattr(x, "get") else x.cpu().numpy() if hasattr(x, "cpu") else np.asarray(x) for k, x in answer.items()
    }
