"""Run one shard of paths on the CPU."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np

from .. import cache as store
from ..compilers.compiling import compilation
from ..compilers.numba_private import is_compiled
from .central import central, pooled
from .shard import NEVER, Part, Shard, StoppedError, diverged_and_alarms, initial, same_versions

LINE = 64  # bytes of a cache line


def aligned(size: int, dtype: Any) -> np.ndarray:
    """Scratch memory that begins with a cache line: vectors that straddle two lines are slow to load and store."""
    if size == 0:
        return np.empty(0, dtype)
    item = np.dtype(dtype).itemsize
    raw = np.empty(size + LINE // item, dtype)
    first = -raw.__array_interface__["data"][0] % LINE // item
    return raw[first : first + size]


def run_shard(shard: Shard, stop: np.ndarray = NEVER) -> Part:
    """Run it. `stop[0] = 1`, set from another thread, makes it raise StoppedError soon."""
    same_versions(shard)
    p, settings, n = shard.program, shard.params.shape[1], shard.paths
    state, dtype = initial(shard), p.dtype
    blocks, records, features = -(-n // p.lanes), len(shard.record), len(p.labels)
    sums = np.empty((blocks, settings, records, features, 1 + p.moments))
    count = np.empty((blocks, settings, records), np.int64)
    bad = np.empty((settings, n), np.int64)
    bad.fill(-1)
    values = np.empty((settings, records, features, n) if shard.keep_values else (0, 0, 0, 0), dtype)
    run = store.load(p).run
    arguments = (
        int(shard.first),
        int(shard.start),
        n,
        np.uint64(shard.seed),
        np.uint64(shard.tag),
        state.reshape(-1),
        np.ascontiguousarray(shard.params),
        shard.shift.reshape(-1),
        shard.mask,
        shard.record,
        sums.reshape(-1),
        count.reshape(-1),
        bad.reshape(-1),
        values.reshape(-1),
        aligned(settings * p.state_rows * p.lanes if p.lanes > 1 else 0, dtype),
        aligned(p.noise_rows * p.lanes, p.noise_dtype),
        aligned(p.feature_rows * p.lanes, dtype),
        stop,
    )
    with nullcontext() if is_compiled(run) else compilation():
        done = run(*arguments)
    if done < shard.record[-1]:
        raise StoppedError
    moments, kept = pooled(central(sums, count), count)
    diverged, alarms = diverged_and_alarms(shard, bad, state)
    return Part(
        first=shard.first,
        paths=n,
        tag=shard.tag,
        moments=moments,
        count=kept,
        diverged=diverged,
        alarms=alarms,
        values=values if shard.keep_values else None,
        state=state if shard.keep_state else None,
    )
