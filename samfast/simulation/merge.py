"""The parts of all shards become the sums, counts, values and state of one result."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import arrays
from ..backends.central import about_the_mean, pooled
from ..backends.shard import Part, Shard
from .job import Job


@dataclass(frozen=True, kw_only=True)
class Merged:
    """The merged result of the shards that were run; some may be missing."""

    sums: np.ndarray  # (*sweep, time, feature, moment) about the shift
    shift: np.ndarray  # (*sweep, time, feature): the mean of the paths
    count: np.ndarray  # (*sweep, time)
    diverged: np.ndarray  # (k, 3): setting, path, step
    paths: int  # number of paths in the sums
    values: Any  # (*sweep, time, path, feature), or None
    state: Any  # (setting, row, path), or None
    missing: tuple[tuple[int, int], ...]  # (tag, first) of shards that were not run


def in_order(diverged: list[list[int]]) -> np.ndarray:
    """Rows (setting, path, step) sorted by setting, then path, so that their order does not depend on the schedule."""
    return np.array(sorted(diverged), np.int64).reshape(-1, 3)


class Parts(UserDict[tuple[int, int], Part]):
    """The finished parts of a job by (tag, first path).

    When a part is put in, its values and state are copied to their place in the arrays of the result, and the part keeps
    views of that place. So they lie in memory once, apart from those of the shards that are on their way.
    """

    def __init__(self, job: Job, records: int) -> None:
        self._job, self._records, self._settings = job, records, dict(job.groups())
        self.values: Any = None  # (setting, time, path, feature)
        self.state: Any = None  # (setting, row, path)
        super().__init__()

    def __setitem__(self, key: tuple[int, int], part: Part) -> None:
        job, which = self._job, self._settings[part.tag]
        p, at = job.program, slice(part.first - job.first_path, part.first - job.first_path + part.paths)
        if part.values is not None:
            if self.values is None:
                shape = job.settings, self._records, job.paths, len(p.labels)
                self.values = arrays.module_of(part.values).empty(shape, p.dtype)
            part = replace(part, values=_put(self.values[which, :, at].swapaxes(2, 3), part.values))
        if part.state is not None:
            if self.state is None:
                self.state = arrays.module_of(part.state).empty((job.settings, p.state_rows, job.paths), p.dtype)
            part = replace(part, state=_put(self.state[which, :, at], part.state))
        super().__setitem__(key, part)


def _put(place: Any, array: Any) -> Any:
    """Copy `array` into the view `place` and return this; each of the two may lie on the host or on a GPU."""
    xp = arrays.module_of(place)
    place[...] = arrays.to_host(array) if xp is np else xp.asarray(array)
    return place


def collect(job: Job, record: np.ndarray, parts: Parts, shards: Sequence[Shard]) -> Merged:
    """Merge the finished shards, in path order, into one result; it has values and state only if no shard is missing."""
    p, settings = job.program, job.settings
    missing = tuple((s.tag, s.first) for s in shards if (s.tag, s.first) not in parts)
    moments = np.zeros((settings, len(record), len(p.labels), 1 + p.moments))
    count = np.zeros((settings, len(record)), np.int64)
    diverged: list[list[int]] = []
    by_tag: dict[int, list[Part]] = {}
    for s in shards:
        if (s.tag, s.first) in parts:
            by_tag.setdefault(s.tag, []).append(parts[s.tag, s.first])
    for tag, which in job.groups():
        mine = by_tag.get(tag, [])
        if mine:
            moments[which], count[which] = pooled(np.stack([q.moments for q in mine]), np.stack([q.count for q in mine]))
        for q in mine:
            diverged += (q.diverged + np.array([which.start, 0, 0])).tolist()
    values, state = (None, None) if missing else (parts.values, parts.state)
    if values is not None:
        values = arrays.like(values.reshape(*job.sweep, *values.shape[1:]), job.array_library)
    sums, shift = about_the_mean(moments, count, p.dtype)
    return Merged(
        sums=sums.reshape(*job.sweep, *sums.shape[1:]),
        shift=shift.reshape(*job.sweep, *shift.shape[1:]),
        count=count.reshape(*job.sweep, *count.shape[1:]),
        diverged=in_order(diverged),
        paths=sum(q.paths for q in by_tag.get(0, [])),
        values=values,
        state=state,
        missing=missing,
    )
