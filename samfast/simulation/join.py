"""Runs of one experiment put together: which paths a run is of, and the paths of two runs as one run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from typing import Any, TypeVar

import numpy as np

from .. import arrays
from ..backends.central import about_the_mean, central, pooled
from ..checks import check
from ..stats.moments import Source
from .job import Job
from .merge import in_order

R = TypeVar("R", bound=Any)  # a Run, which this file does not import: its method `merge` calls `join`
OF_LANES = re.compile(r"^[WN],? .*\n?", re.M)  # constants that depend on the number of paths and on the driver


@lru_cache(maxsize=100)
def _program(text: str) -> str:
    """A digest of what one step and one record compute: the same for every number of paths that run side by side."""
    whole = text.partition("# --- the program")[2].partition("# --- the driver")[0]
    functions = re.findall(r"^def (?:advance|observe)\(.*?(?=^@|\Z)", whole, re.M | re.S)
    constants = whole.partition("\n@")[0]
    return _digest(OF_LANES.sub("", constants + "\n" + "".join(functions) if functions else whole).encode())


def _digest(*parts: bytes) -> str:
    return sha256(b"".join(parts)).hexdigest()[:16]


def _rows(rows: Mapping[str, Any], own: bool) -> str:
    """Of the start and the parameters that all paths share, or of those that each path has for itself."""
    kept = {k: arrays.to_host(v) for k, v in sorted(rows.items()) if (v.shape[1] > 1) == own}
    return _digest(*(f"{k} {v.shape}".encode() + np.ascontiguousarray(v).tobytes() for k, v in kept.items()))


def source(job: Job, record: np.ndarray, missing: tuple[tuple[int, int], ...], parts: Mapping[tuple[int, int], Any]) -> Source:
    """Which paths of what: the paths are told apart by the seed, or without noise by their start."""
    of = {
        "program": _program(job.program.text),
        "parameters": _digest(str(job.params.shape).encode(), np.ascontiguousarray(job.params).tobytes()),
        "start": _rows(job.rows, False),
        "record": _digest(np.asarray(record, np.int64).tobytes()),
        "shared_noise": str(job.shared_noise),
    }
    stream = f"seed {job.seed}" if job.program.calls else f"start {_rows(job.rows, True)} without noise"
    whole = ((stream, job.first_path, job.paths),)
    there = tuple(sorted((stream, first, part.paths) for (tag, first), part in parts.items() if tag == 0))
    return Source(tuple(of.items()), there if missing else whole)


def join(a: R, b: R) -> R:
    """All paths of two runs of one experiment; see `Run.merge`."""
    check(isinstance(b, type(a)), f"other={b!r:.60}: give a Run, the result of simulate", TypeError)
    for run in (a, b):
        check(not run.missing, "merge: a run was interrupted; finish it first by sf.resume(run)")
    _ = a.moments + b.moments  # refuses what are no runs of one experiment
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
    """The statistics of the paths of both, which are runs of one program; values, state and the rest are those of `b`."""
    both = [central(np.concatenate([run.shift[..., None], run.sums], -1), run.count) for run in (a, b)]
    moments, count = pooled(np.stack(both), np.stack([a.count, b.count]))
    sums, shift = about_the_mean(moments, count, b.job.program.dtype)
    return replace(b, sums=sums, shift=shift, count=count, paths=a.paths + b.paths)


def joined(a: Any, b: Any, axis: int, kind: str) -> Any:
    """One array of two; on the host if one of them is there."""
    if arrays.on_gpu(a) and arrays.on_gpu(b):
        both = [arrays.to_cupy(a), arrays.to_cupy(b)]
        return arrays.like(arrays.module_of(both[0]).concatenate(both, axis), kind)
    return np.concatenate([arrays.to_host(a), arrays.to_host(b)], axis)
