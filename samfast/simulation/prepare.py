"""A model and the arguments of a simulation become a job: everything checked, the program rendered."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from .. import arrays
from ..backends.dispatch import run_shard
from ..backends.shard import Shard
from ..checks import check, choice, flag, integer
from ..codegen.pipeline import recipe_of, render
from ..codegen.program import BLOCK, LIMIT, MODES, Program
from ..machine import processor, threads, versions
from ..model.loss import Loss
from ..model.observe import position
from ..model.observer import ORIGIN, Observer, Stop, stopping
from ..model.parameters import TABLE, PerPath, tables, which_array
from ..model.rule import ROW, Rule, begin, is_number
from . import arguments
from .job import Job, check_size

AUTO_SECONDS = 0.1  # estimated time on all processors from which device="auto" takes the GPU; a guess, not yet measured

# A run of at most FEW paths (WITH_NORMALS where it draws normals, a vector of numbers at a time) has that many lanes.
FEW, WITH_NORMALS = 8, 32


def _better_device(job: Job, steps: int) -> str:
    """For device="auto": the GPU if there is one and the processors would need longer than it takes to get going."""
    if job.nanoseconds(job.paths, steps, job.settings) / 1e9 / threads() < AUTO_SECONDS:
        return "cpu"
    from ..backends.cuda import missing

    return "cpu" if missing() else "cuda"


def checked_job(
    loss: Loss,
    rule: Rule,
    start: Any,
    *,
    seed: int | None,
    dtype: str,
    device: str | None = None,
    moments: int,
    on_divergence: str,
    observe: Observer | None,
    steps: int,
    **options: Any,
) -> Job:
    """The job of a simulation of so many steps, with every argument looked at. Compiles nothing, writes nothing."""
    arguments.types(loss, rule, observe)
    choice("dtype", dtype, MODES)
    start_on_gpu = arrays.on_gpu(start)
    device = arguments.device(device, start_on_gpu)
    choice("on_divergence", on_divergence, ("mask", "raise", "keep"))
    moments = integer("moments", moments, 1, 2)
    check(moments <= 4, f"moments={moments}: give at most 4")
    _warn_of_slow_processor()

    def on(device: str) -> Job:
        return plan(
            loss,
            rule,
            start,
            observe=observe,
            seed=arguments.seed(seed),
            dtype=dtype,
            device=device,
            moments=max(2, moments),
            on_divergence=on_divergence,
            **options,
        )

    if device == "auto":
        device = "cuda" if start_on_gpu else _better_device(on("cpu"), steps)
    return on(device)


def ready(job: Job, record: np.ndarray, executor: Executor | None = None) -> Job:
    """A job that may begin: it fits into memory, and sums are about the features at the start of path 0."""
    check_size(job, record, executor)
    return replace(job, shift=_shift(job))


@cache
def _warn_of_slow_processor() -> None:
    """Once: without fused multiply-add in hardware every fma is a library call, and nothing vectorises."""
    about = processor()
    if not about["fma"]:
        warnings.warn(
            f"the processor {about['name']!r} has no fused multiply-add: kernels give the same bits but are much "
            "slower; use another machine for long runs",
            RuntimeWarning,
            stacklevel=3,
        )


def prepared_job(loss: Loss, rule: Rule, start: Any, **options: Any) -> Job:
    """The job of a simulation, without its recorded times. device "plain" runs the text as ordinary Python."""
    job = plan(loss, rule, start, **options)
    return replace(job, shift=_shift(job))


def plan(
    loss: Loss,
    rule: Rule,
    start: Any,
    *,
    paths: int | None = None,
    observe: Observer | None = None,
    seed: int = 0,
    dtype: str = "mixed",
    device: str = "cpu",
    moments: int = 2,
    values: bool = False,
    state: bool = True,
    shared_noise: bool = True,
    on_divergence: str = "mask",
    stop: Stop | None = None,
) -> Job:
    """Check and render; the shift is still to be filled in. Compiles nothing, writes nothing."""
    observer = stopping(observe or position(), stop)
    values, state, shared_noise = flag("values", values), flag("state", state), flag("shared_noise", shared_noise)
    origin = arguments.origin(start, loss.dim)
    given = arguments.parameters(loss, rule, observer)
    own = {k: v.values for k, v in given.items() if isinstance(v, PerPath)}
    sizes = {k: len(v) for k, v in own.items()} | ({"start": len(origin)} if origin.ndim == 2 else {})
    n = arguments.paths(paths, sizes)
    vectors = loss.vectors | rule.vectors | {k + TABLE for o in (observer, loss, rule) for k in tables(o.params)}
    common = {k: np.asarray(v, float) for k, v in given.items() if k not in own}
    for k in sorted(rule.either & set(common) - vectors):
        which_array(k, common[k], loss.dim, factor=True, sweep=f"give an array of shape {(*common[k].shape, 1)}")
    for k in sorted(rule.vectors & set(common)):
        common[k] = np.atleast_1d(common[k])
        check(
            common[k].shape[-1] in (1, loss.dim),
            f"{k} has shape {common[k].shape}: its last axis is the coordinates, so give it length dim={loss.dim}",
        )
        common[k] = np.broadcast_to(common[k], (*common[k].shape[:-1], loss.dim))
    for k, v in own.items():
        check(
            v.ndim == 1 or v.shape[-1] == loss.dim,
            f"{k}: per_path of shape {v.shape}; give one value per path, or vectors of shape (paths, {loss.dim})",
        )
    sweep = arguments.sweep({k: v.shape[:-1] if k in vectors else v.shape for k, v in common.items()})
    settings = int(np.prod(sweep))
    program = render(
        loss,
        rule,
        observer,
        mode=dtype,
        device=device,
        lanes=lanes(loss, rule, n, device),
        shared=settings > 1 and shared_noise,
        moments=moments,
        start_per_path=origin.ndim == 2,
        single=n == 1,
    )
    where = origin.T if origin.ndim == 2 else origin[:, None]
    rows = {"w": where, **{f"p_{k}": v.T if v.ndim > 1 else v[None] for k, v in own.items()}}
    rows |= _named_state(rule, where, loss.dim)
    if f"p_{ORIGIN}" in program.rows:
        rows[f"p_{ORIGIN}"] = where
    return Job(
        program=program,
        paths=n,
        seed=seed,
        params=_columns(program, common, vectors, origin, sweep),
        rows={k: v.astype(program.dtype, copy=False) for k, v in rows.items()},
        shift=np.zeros((settings, len(program.labels))),
        shared_noise=shared_noise,
        on_divergence=on_divergence,
        values=values,
        state=state,
        sweep=sweep,
        given=given,
        recipe=recipe_of(program),
        array_library=arrays.kind_of(start) if device == "cuda" else "numpy",
    )


def _named_state(rule: Rule, start: Any, dim: int) -> dict[str, Any]:
    """The initial rows of a rule's named state, by the names of the rows; start: the rows of w."""
    rows: dict[str, Any] = {}
    for name, given in rule.state.items():
        value = begin(name, given)
        if isinstance(value, str):
            rows[ROW + name] = start
            continue
        size = 1 if is_number(given) else dim
        column = np.atleast_1d(np.asarray(value, float))
        check(column.shape in ((1,), (size,)), f"state {name!r} has shape {column.shape}: give shape ({dim},)")
        rows[ROW + name] = np.broadcast_to(column, (size,))[:, None].copy()
    return rows


def lanes(loss: Loss, rule: Rule, paths: int, device: str) -> int:
    """Paths that a program runs side by side: a block, or fewer on a CPU where there are only a few paths."""
    if device == "cuda":
        return BLOCK
    normals = (rule.draws and rule.kind == "normal") or (loss.samples and loss.kind == "normal")
    few = WITH_NORMALS if normals and device == "cpu" else FEW
    return few if paths <= few else BLOCK


def _columns(
    program: Program, common: Mapping[str, np.ndarray], vectors: Iterable[str], origin: Any, sweep: tuple[int, ...]
) -> np.ndarray:
    """The parameters of every setting as the program takes them, (1, setting, column)."""
    settings, columns = int(np.prod(sweep)), []
    for name, size in program.columns:
        if name == ORIGIN:
            columns.append(np.broadcast_to(arrays.to_host(origin), (settings, size)))
        elif name in vectors:
            columns.append(np.broadcast_to(common[name], (*sweep, size)).reshape(settings, size))
        else:
            columns.append(np.broadcast_to(common[name], sweep).reshape(settings, 1))
    return np.ascontiguousarray(np.concatenate([*columns, np.zeros((settings, 0))], 1), program.dtype)[None]


def _shift(job: Job) -> np.ndarray:
    """The features at the start of path 0: sums about it keep their digits."""
    shard = Shard(
        program=job.program,
        first=0,
        paths=1,
        start=0,
        seed=0,
        tag=0,
        params=job.params[:1],
        shift=job.shift,
        record=np.zeros(1, np.int64),
        rows={k: v[:, :1] for k, v in job.rows.items()},
        state=None,
        mask=False,
        keep_values=True,
        keep_state=False,
        versions=versions(),
    )
    part = run_shard(shard)
    assert part.values is not None
    value = arrays.to_host(part.values[:, 0, :, 0]).astype(float)
    return np.where(np.abs(value) < LIMIT, value, 0.0)
