"""A job holds all that defines the paths of a simulation, cuts it into shards, and is checked to fit into memory."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import arrays
from ..backends.shard import Shard
from ..checks import check
from ..codegen.program import BLOCK, EXACT, Program
from ..codegen.recipe import Recipe
from ..machine import threads, versions
from .schedule import outstanding

GPU_STEPS = 1e12  # most path-steps of one shard on a GPU, which take some seconds
SHARDS_PER_GPU = 4  # least shards for each GPU where there are several, so that all have work
GPU_SHARE = 0.3  # of a GPU's free memory, the most that one shard may take
SHARD_NS = 3e7  # estimated nanoseconds of one shard, and so about the most that an interrupt or a retry loses
LITTLE = 2**18  # bytes up to which the free memory is not looked up


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything that defines the paths, as plain data. C is the number of settings, the sweep flattened."""

    program: Program
    paths: int
    seed: int
    params: np.ndarray  # (1, C, columns), or (times, C, columns) with those of the steps up to each recorded time
    rows: Mapping[str, np.ndarray]  # initial rows by name, (size, 1) common or (size, paths)
    shift: np.ndarray  # (C, features): a path farther than LIMIT from it has diverged
    shared_noise: bool
    on_divergence: str
    values: bool
    state: bool
    sweep: tuple[int, ...]
    given: Mapping[str, Any]
    recipe: Recipe | None = None  # from which the program can be written again
    array_library: str = "numpy"  # library whose arrays the user gets
    first_path: int = 0  # number of the first path, not 0 in a replay or a later batch

    @property
    def settings(self) -> int:
        return self.params.shape[1]

    @property
    def time_independent(self) -> bool:
        """Whether the parameters are the same at all recorded times."""
        return len(self.params) == 1

    @property
    def mask(self) -> bool:
        return self.on_divergence != "keep"

    def groups(self) -> list[tuple[int, slice]]:
        """(tag, settings) of each group of settings that share one noise; the tag, its number, selects its random numbers."""
        n = self.settings
        return [(0, slice(0, n))] if self.shared_noise else [(c, slice(c, c + 1)) for c in range(n)]

    def nanoseconds(self, paths: int, steps: int, settings: int) -> float:
        """A rough estimate of the time that one processor takes, by which the job is cut into shards."""
        p = self.program
        per_step = 1.0 + 4.0 * p.calls / p.served * (1.5 if p.mode != "float64" else 2.5)
        return max(paths, p.lanes) * steps * (per_step + settings * (0.05 * p.statements + 0.05))

    def chunk(self, steps: int, records: int) -> int:
        """Paths of one shard, 256*2^m, for a number of steps and of recorded times.

        On a CPU more than 256 paths take at most about SHARD_NS and leave shards for all processors. On a GPU a shard
        is as large as GPU_SHARE, GPU_STEPS and SHARDS_PER_GPU allow.
        """
        p, settings = self.program, self.settings if self.shared_noise else 1
        size = BLOCK
        per_block = settings * records * len(p.labels) * (p.moments + 1) * 8
        per_path = settings * p.dtype.itemsize * (p.state_rows + records * len(p.labels) * self.values)
        if p.device == "cuda":
            from ..backends.cuda import count

            each = per_path + settings * 8 + 6 * per_block / BLOCK
            most = min(GPU_SHARE * _gpu_memory() / each, GPU_STEPS / max(1, steps * settings))
            most = most if count() == 1 else min(most, self.paths / (SHARDS_PER_GPU * count()))
            while size < self.paths and 2 * size <= most:
                size *= 2
            return size
        while (
            size < self.paths
            and self.nanoseconds(2 * size, steps, settings) < SHARD_NS
            and 2 * size // BLOCK * per_block < 2**26
            and 2 * size * per_path < 2**28
            and 8 * threads() * 2 * size <= max(self.paths, 8 * threads() * 1024)
        ):
            size *= 2
        return size

    def shards(self, start: int, record: np.ndarray, state: np.ndarray | None) -> list[Shard]:
        chunk, out = self.chunk(int(record[-1]) - start, len(record)), []
        for tag, which in self.groups():
            for a in range(0, self.paths, chunk):
                b = min(a + chunk, self.paths)
                rows = {k: v[:, a:b] if v.shape[1] > 1 else v for k, v in self.rows.items()}
                out.append(
                    Shard(
                        program=self.program,
                        first=self.first_path + a,
                        paths=b - a,
                        start=start,
                        seed=self.seed,
                        tag=tag,
                        params=self.params[:, which],
                        shift=self.shift[which],
                        record=record,
                        rows=rows,
                        state=None if state is None else state[which, :, a:b],
                        mask=self.mask,
                        keep_values=self.values,
                        keep_state=self.state,
                        versions=versions(),
                    )
                )
        return out


def check_size(job: Job, record: np.ndarray, executor: Executor | None = None) -> None:
    """Raise an error for a job that cannot run to its end, before anything is allocated.

    The error is ValueError if a path would use up its random numbers or float32 cannot count its updates, MemoryError if
    the results do not fit. executor: its workers return their results to the host, also from a GPU.
    """
    p = job.program
    most = 2**32 // max(1, p.calls) * p.served
    check(
        not p.calls or int(record[-1]) <= most,
        f"record={int(record[-1])}: one path draws at most 2**32 Philox calls, here {most:,} steps; "
        "use another seed for a further run",
    )
    check(
        not p.counting or p.dtype != np.float32 or int(record[-1]) <= EXACT,
        f"dtype='float32': record={int(record[-1])}, and {p.counting} counts updates exactly up to 2**24 = {EXACT:,}; use "
        "dtype='mixed'",
    )
    settings, features = job.settings, len(p.labels)
    chunk = job.chunk(int(record[-1]), len(record))
    shards = -(-job.paths // chunk)
    per_path = {
        "values": settings * len(record) * features * p.dtype.itemsize if job.values else 0,
        "state": settings * p.state_rows * p.dtype.itemsize if job.state else 0,
    }
    need = {k: v * job.paths for k, v in per_path.items()}
    on_gpu = p.device == "cuda" and executor is None
    if on_gpu:
        _check_gpu(need)
        need = {}
    elif shards > 1:  # shards whose arrays are not yet copied into the result
        need["shards on their way"] = min(shards, outstanding(executor)) * chunk * sum(per_path.values())
    need["sums"] = settings * len(record) * features * p.moments * 8 * (shards + 2)  # one set for each shard, and merged ones
    have = arrays.free_memory() if sum(need.values()) > LITTLE else None
    check(
        have is None or sum(need.values()) < 0.8 * have,
        "memory: this run needs "
        + ", ".join(f"{v / 1e9:.3g} GB for {k}" for k, v in need.items() if v)
        + f", and {(have or 0) / 1e9:.3g} GB are free: record fewer times or paths, or give values=False or "
        "state=False",
        MemoryError,
    )


def _gpu_memory() -> float:
    """Free bytes of the current GPU."""
    import cupy

    return arrays.free_memory(cupy) or 0.0


def _check_gpu(need: Mapping[str, int]) -> None:
    """Raise MemoryError if the results that stay on the GPU leave no room for the arrays of one shard; need: bytes."""
    have = _gpu_memory()
    check(
        sum(need.values()) < (1 - GPU_SHARE) * have,
        "memory: this run needs "
        + ", ".join(f"{v / 1e9:.3g} GB for {k}" for k, v in need.items() if v)
        + f" on the GPU, where {have / 1e9:.3g} GB "
        "are free: run fewer paths at once, or give values=False or state=False",
        MemoryError,
    )
