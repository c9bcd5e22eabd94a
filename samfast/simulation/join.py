"""Runs of one experiment put together, and the record of the experiment and the paths that tells whether they may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from .. import arrays
from ..backends.central import about_the_mean, central, pooled
from ..checks import check
from ..stats.moments import Source
from .fingerprint import digest, formulas
from .job import Job
from .merge import in_order

R = TypeVar("R", bound=Any)  # a Run, which this file cannot import, since run.py imports this file


def _rows(rows: Mapping[str, Any], own: bool) -> str:
    """A digest of the initial rows that all paths share, or, for own=True, of those that each path has for itself."""
    kept = {k: arrays.to_host(v) for k, v in sorted(rows.items()) if (v.shape[1] > 1) == own}
    return digest(*(f"{k} {v.shape}".encode() + np.ascontiguousarray(v).tobytes() for k, v in kept.items()))


def source(job: Job, record: np.ndarray, missing: tuple[tuple[int, int], ...], parts: Mapping[tuple[int, int], Any]) -> Source:
    """The Source of a run, in which paths are told apart by the seed, or, where there is no noise, by their own starts."""
    of = {
        "program": formulas(job.program.text),
        "parameters": digest(str(job.params.shape).encode(), np.ascontiguousarray(job.params).tobytes()),
        "start": _rows(job.rows, False),
        "record": digest(np.asarray(record, np.int64).tobytes()),
        "shared_noise": str(job.shared_noise),
    }
    stream = f"seed {job.seed}" if job.program.calls else f"start {_rows(job.rows, True)} without noise"
    whole = ((stream, job.first_path, job.paths),)
    there = tuple(sorted((stream, first, part.paths) for (tag, first), part in parts.items() if tag == 0))
    return Source(tuple(of.items()), there if missing else whole)


def join(a: R, b: R) -> R:
    """All paths of two runs of one experiment as one run, with those of `b` numbered after those of `a`; see `Run.merge`."""
    check(isinstance(b, type(a)), f"other={b!r:.60}: give a Run, the result of simulate", TypeError)
    for run in (a, b):
        check(not run.missing, "merge: a run was interrupted; finish it first by sf.resume(run)")
    _ = a.moments + b.moments  # raises ValueError unless these are different paths of one experiment
    both = pool(a, b)
    axis, kind = len(a.sweep), a.job.array_library
    moved = [[c, path + a.paths, step] for c, path, step in b.diverged.tolist()]
    return replace(
        a,
        sums=both.sums,
        shift=both.shift,
        count=both.count,
        diverged=in_order([*a.diverged.tolist(), *moved]),
        paths=a.paths + b.paths,
        values=None if a.values is None or b.values is None else joined(a.values, b.values, axis + 1, kind),
        state=None if a.state is None or b.state is None else joined(a.state, b.state, 2, "numpy"),
        of_runs=(*(a.of_runs or (a,)), *(b.of_runs or (b,))),
    )


def pool(a: R, b: R) -> R:
    """The run `b` with the statistics of the paths of both, which are of one program; values, state and the rest stay."""
    both = [central(np.concatenate([run.shift[..., None], run.sums], -1), run.count) for run in (a, b)]
    moments, count = pooled(np.stack(both), np.stack([a.count, b.count]))
    sums, shift = about_the_mean(moments, count, b.job.program.dtype)
    return replace(b, sums=sums, shift=shift, count=count, paths=a.paths + b.paths)


def joined(a: Any, b: Any, axis: int, kind: str) -> Any:
    """Two arrays joined along an axis, as one of the library `kind` if both lie on a GPU, else in host memory."""
    if arrays.on_gpu(a) and arrays.on_gpu(b):
        both = [arrays.to_cupy(a), arrays.to_cupy(b)]
        return arrays.like(arrays.module_of(both[0]).concatenate(both, axis), kind)
    return np.concatenate([arrays.to_host(a), arrays.to_host(b)], axis)
