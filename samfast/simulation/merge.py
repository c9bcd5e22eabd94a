"""The parts of all shards become the sums, counts, values and state of one result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import arrays
from ..backends.shard import Part, Shard, merge
from .job import Job


@dataclass(frozen=True)
class Merged:
    """What the shards that were run gave together."""

    sums: np.ndarray  # (*sweep, time, feature, moment)
    count: np.ndarray  # (*sweep, time)
    diverged: np.ndarray  # (k, 3): setting, path, step
    paths: int  # in the sums
    values: Any  # (*sweep, time, path, feature), or None
    state: Any  # (setting, row, path), or None
    missing: tuple[tuple[int, int], ...]  # (tag, first) of shards that were not run


def in_order(diverged: list[list[int]]) -> np.ndarray:
    """By setting, then path: the same order under every schedule."""
    return np.array(sorted(diverged), np.int64).reshape(-1, 3)


def collect(job: Job, record: np.ndarray, parts: Mapping[tuple[int, int], Part], shards: Sequence[Shard]) -> Merged:
    """Merge the shards that there are, in path order, into one result."""
    p, settings = job.program, job.settings
    missing = tuple((s.tag, s.first) for s in shards if (s.tag, s.first) not in parts)
    kept = [s for s in shards if (s.tag, s.first) in parts]
    sums = np.zeros((settings, len(record), len(p.labels), p.moments))
    count = np.zeros((settings, len(record)), np.int64)
    values = state = None
    some = next((parts[s.tag, s.first] for s in kept), None)
    if some is not None and job.values and not missing:
        values = arrays.module_of(some.values).empty((settings, len(record), job.paths, len(p.labels)), p.dtype)
    if some is not None and job.state and not missing:
        state = arrays.module_of(some.state).empty((settings, p.state_rows, job.paths), p.dtype)
    diverged: list[list[int]] = []
    by_tag: dict[int, list[Part]] = {}
    for s in kept:
        by_tag.setdefault(s.tag, []).append(parts[s.tag, s.first])
    for tag, which in job.groups():
        mine = by_tag.get(tag, [])
        if mine:
            sums[which] = merge([q.sums for q in mine])
        for q in mine:
            at = slice(q.first - job.first_path, q.first - job.first_path + q.paths)
            count[which] += q.count
            diverged += (q.diverged + np.array([which.start, 0, 0])).tolist()
            if values is not None and q.values is not None:
                values[which, :, at] = q.values.swapaxes(2, 3)
            if state is not None and q.state is not None:
                state[which, :, at] = q.state
    shape = job.sweep
    if values is not None:
        values = arrays.like(values.reshape(*shape, *values.shape[1:]), job.array_library)
    return Merged(
        sums.reshape(*shape, *sums.shape[1:]),
        count.reshape(*shape, *count.shape[1:]),
        in_order(diverged),
        sum(s.paths for s in kept if s.tag == 0),
        values,
        state,
        missing,
    )
