"""The end of a simulation: run the shards that are missing, merge all into one result, report what diverged."""
from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import numpy as np

from . import arrays
from .backends.shard import Part, Shard, merge
from .checks import CriticalPointError, DivergenceWarning
from .jobs import Job
from .results import Run
from .schedule import Interrupted, Progress, bar, execute


def finish(job: Job, times: np.ndarray, before: Run | None, executor: Executor | None, progress: Progress,
            parts: dict[tuple[int, int], Part]) -> Run:
    """Run the shards that `parts` lacks, from the end of `before` if that is given, and merge all."""
    start, state = (0, None) if before is None else (int(before.record[-1]), before.state)
    shards = job.shards(start, times, state)
    sizes = {(s.tag, s.first): s.paths for s in shards}
    parts = {k: q for k, q in parts.items() if sizes.get(k) == q.paths}     # another machine may cut other shards
    todo = [s for s in shards if (s.tag, s.first) not in parts]
    total = sum(sizes.values())
    done_before = total - sum(s.paths for s in todo)
    show = bar(total) if progress is True else None
    report = None
    if show is not None or callable(progress):
        def report(done: int) -> None:
            if show is not None:
                show(done_before + done)
            elif callable(progress):
                progress(done_before + done, total)
    estimate = job.nanoseconds(job.paths, int(times[-1]) - start, job.configurations)
    try:
        if todo:
            execute(todo, executor, report, parts, estimate)
    except KeyboardInterrupt:
        raise Interrupted(_collect(job, times, parts, shards, before)) from None
    finally:
        if show is not None:
            show.close()  # type: ignore[attr-defined]
    run = _collect(job, times, parts, shards, before)
    known = set() if before is None else {(c, path) for c, path, _ in before.diverged.tolist()}
    fresh = _sorted([row for row in run.diverged.tolist() if (row[0], row[1]) not in known])
    _complain(run, fresh, [parts[k] for k in sizes])
    return run if before is None else _append(before, run, fresh)


def _append(old: Run, new: Run, fresh: np.ndarray) -> Run:
    """The records of one run and of its continuation. fresh: what diverged in the continuation only."""
    t = len(old.sweep)
    values = None
    if old.values is not None and new.values is not None:
        values = _joined(old.values, new.values, t, old.job.kind)
    return replace(new, record=np.concatenate([old.record, new.record]), sums=np.concatenate([old.sums, new.sums], t),
                   count=np.concatenate([old.count, new.count], t), values=values,
                   diverged=_sorted([*old.diverged.tolist(), *fresh.tolist()]))


def _joined(a: Any, b: Any, axis: int, kind: str) -> Any:
    """One array of two; on the host if one of them is there."""
    if arrays.on_gpu(a) and arrays.on_gpu(b):
        both = [arrays.to_cupy(a), arrays.to_cupy(b)]
        return arrays.like(arrays.module_of(both[0]).concatenate(both, axis), kind)
    return np.concatenate([arrays.to_host(a), arrays.to_host(b)], axis)


def _sorted(diverged: list[list[int]]) -> np.ndarray:
    """By configuration, then path: the same order under every schedule."""
    return np.array(sorted(diverged), np.int64).reshape(-1, 3)


def _collect(job: Job, times: np.ndarray, parts: Mapping[tuple[int, int], Part], shards: Sequence[Shard],
             before: Run | None) -> Run:
    """Merge the shards that there are, in path order, into one result."""
    p, configurations = job.program, job.configurations
    missing = tuple((s.tag, s.first) for s in shards if (s.tag, s.first) not in parts)
    kept = [s for s in shards if (s.tag, s.first) in parts]
    sums = np.zeros((configurations, len(times), len(p.labels), p.moments))
    count = np.zeros((configurations, len(times)), np.int64)
    values = state = None
    some = next((parts[s.tag, s.first] for s in kept), None)
    if some is not None and job.values and not missing:
        values = arrays.module_of(some.values).empty((configurations, len(times), job.paths, len(p.labels)), p.dtype)
    if some is not None and job.state and not missing:
        state = arrays.module_of(some.state).empty((configurations, p.state_rows, job.paths), p.dtype)
    diverged: list[list[int]] = []
    by_tag: dict[int, list[Part]] = {}
    for s in kept:
        by_tag.setdefault(s.tag, []).append(parts[s.tag, s.first])
    for tag, which in job.groups():
        mine = by_tag.get(tag, [])
        if mine:
            sums[which] = merge([q.sums for q in mine])
        for q in mine:
            at = slice(q.first - job.first, q.first - job.first + q.paths)
            count[which] += q.count
            diverged += (q.diverged + np.array([which.start, 0, 0])).tolist()
            if values is not None and q.values is not None:
                values[which, :, at] = q.values.swapaxes(2, 3)
            if state is not None and q.state is not None:
                state[which, :, at] = q.state
    shape = job.sweep
    if values is not None:
        values = arrays.like(values.reshape(*shape, *values.shape[1:]), job.kind)
    return Run(job, times, p.labels, shape, job.given, sums.reshape(*shape, *sums.shape[1:]),
               count.reshape(*shape, *count.shape[1:]), job.shift.reshape(*shape, -1), _sorted(diverged),
               sum(s.paths for s in kept if s.tag == 0), job.seed,
               values, state, missing,
               dict(parts) if missing else {}, before if missing else None)


def _complain(run: Run, diverged: np.ndarray, parts: Sequence[Part]) -> None:
    alarms = [tuple(int(x) for x in row) for q in parts for row in q.alarms]
    if alarms:
        raise CriticalPointError(f"{len(alarms)} paths met an exactly zero gradient, where a normalised step is "
                                 f"undefined; the first is path {alarms[0][1]}. Use at_critical='stay' to go on")
    if len(diverged) and run.job.mask:
        _, path, step = diverged[0].tolist()
        per = {} if not run.sweep else {int(k): int(v) for k, v in zip(*np.unique(diverged[:, 0], return_counts=True),
                                                                      strict=True)}
        text = (f"{len(diverged):,} of {run.paths * run.job.configurations:,} paths diverged"
                + (f" (by configuration: {per})" if per else "") + f"; the first is path {path}, by step {step}. ")
        if run.job.on_divergence == "raise":
            raise FloatingPointError(text + "A smaller lr or rho may keep them; on_divergence='mask' gives a run, "
                                     f"whose run.replay({path}) shows one")
        warnings.warn(text + f"They are left out of the statistics: run.replay({path}) shows one; a smaller lr or rho "
                      "may keep them", DivergenceWarning, stacklevel=4)
