"""The computation of msd: the paths of every program in batches, their estimates beside the exact values and the theorems."""

from __future__ import annotations

import time as clock
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .. import ahead, theory
from ..checks import DivergenceWarning
from ..codegen.program import BLOCK
from ..model import losses, observe
from ..simulation.progress import Progress
from ..simulation.simulate import simulate
from . import exact_sampling, two_point
from .batches import Batches, Begin, Estimate, More, next_paths
from .plan import CHOICES, MsdArguments, Plan, planned
from .process import LinearProcess, Values

if TYPE_CHECKING:
    import xarray as xr

    from ..simulation.run import Run

Made: TypeAlias = Callable[["xr.Dataset"], Any]
Stopped: TypeAlias = Callable[[Any, Any, Callable[[], Any]], BaseException]
FEW = 2 * BLOCK  # paths of a run that is only asked for its program: as many as a large run's program has


def source(todo: Plan, model: LinearProcess, device: str, executor: Executor | None) -> tuple[Begin, More]:
    """What gives the first batch of paths, and the next ones."""
    values, given = todo.values, todo.given
    how: dict[str, Any] = {"seed": given.seed, "dtype": given.dtype, "device": device, "executor": executor}
    if model.method == "exact":
        return (
            lambda paths, progress: exact_sampling.sample(
                model, values, todo.times, law="sde", paths=paths, kind=given.kind, progress=progress, **how
            ),
            partial(next_paths, executor=executor),
        )
    rule, loss = model.rule(values, given.kind), losses.quadratic(values["eigenvalue"][..., None])
    return (
        lambda paths, progress: simulate(
            loss,
            rule,
            [0.0],
            record=np.unique(todo.steps),
            paths=paths,
            observe=observe.msd(),
            state=False,
            progress=progress,
            **how,
        ),
        partial(next_paths, executor=executor),
    )


def finish(todo: Plan, work: list[Batches], about: Mapping[str, Any], started: float, made: Made, stopped: Stopped) -> Any:
    """Run what is left; after an interrupt, hand over what was finished.

    made: makes the result of a dataset. stopped: makes the exception of Ctrl-C from a run, the result and what goes on.
    """

    def study(status: str) -> Any:
        return made(_dataset(todo, work, {**about, "status": status, "wall_seconds": clock.perf_counter() - started}))

    ahead.begin()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DivergenceWarning)  # counted below, up to the times that were asked for
            for batches in work:
                batches.go()
    except BaseException as stop:

        def resume() -> Any:
            return finish(todo, work, about, started, made, stopped)

        if not hasattr(stop, "run"):  # nothing had begun
            raise
        stop.resume = resume  # type: ignore[attr-defined]
        if any(batches.estimate().paths for batches in work):
            stop.study = study("interrupted")  # type: ignore[attr-defined]
            if isinstance(stop, KeyboardInterrupt):
                raise stopped(stop.run, stop.study, resume) from None  # type: ignore[attr-defined]
        raise
    return study("complete" if all(batches.reached for batches in work) else "until not reached")


def _dataset(todo: Plan, work: list[Batches], about: Mapping[str, Any]) -> xr.Dataset:
    ahead.ready()
    from .variables import build, msd_call, provenance

    seen = [batches.estimate() for batches in work]
    columns = [_columns(todo, model, one) for model, one in zip(todo.models, seen, strict=True)]
    table = {k: np.stack([c[k] for c in columns]) for k in columns[0]}
    _warn_of_divergence(table["n_diverged"], seen)
    jobs = [run.job for batches in work if (run := batches.last or batches.pending)]
    call = str(about.get("call") or msd_call(todo))
    return build(todo, table, {**about, "paths": max(one.paths for one in seen), **provenance(call, jobs)})


def more(
    dataset: xr.Dataset,
    given: MsdArguments,
    *,
    paths: int | None,
    until: float | None,
    device: str,
    executor: Executor | None,
    progress: Progress,
    made: Made,
    stopped: Stopped,
) -> Any:
    """A study with further paths: those numbered after its own, whose moments are pooled with what the dataset has.

    given: the arguments with which it was computed. paths: how many to add. until: add until se/msd is below it; at most
    `paths` if both are given.
    """
    done = int(dataset.attrs["paths"])
    todo = planned(replace(given, paths=None if paths is None else done + paths, until=until))
    call = (
        str(dataset.attrs["call"]) + f".more({', '.join(f'{k}={x!r}' for k, x in (('paths', paths), ('until', until)) if x)})"
    )
    prior = [_estimate(todo, part, done) for part in _by_program(todo, dataset)]
    work = []
    for model, known in zip(todo.models, prior, strict=True):
        begin, further = source(todo, model, device, executor)
        work.append(Batches(todo, partial(_after, begin, further, done), further, executor, progress, known))
    begun = {"started": str(dataset.attrs["started"]), "call": call}
    return finish(todo, work, begun, clock.perf_counter() - float(dataset.attrs["wall_seconds"]), made, stopped)


def _after(begin: Begin, further: More, done: int, paths: int, progress: Progress) -> Run:
    """The paths numbered from `done` on: a few others tell what is simulated, with a program for many."""
    few = begin(FEW, None)
    return further(replace(few, job=replace(few.job, first_path=done - FEW)), paths, progress)


def _by_program(todo: Plan, dataset: xr.Dataset) -> list[xr.Dataset]:
    """The part of the dataset of each program, in the order of the plan."""
    words = [{c: getattr(model, c) for c in CHOICES if c in dataset.dims} for model in todo.models]
    return [dataset.sel(word) if word else dataset for word in words]


def _estimate(todo: Plan, part: xr.Dataset, paths: int) -> Estimate:
    """What the paths of a saved study gave, as `Batches.estimate` says it."""
    shape = (*todo.sweep, len(todo.times))
    mean, se, alive = (np.array(part[k]).reshape(shape) for k in ("msd", "se", "count"))
    return Estimate(mean, se, alive, np.array(part["n_diverged"]).reshape(todo.sweep), paths)


def _columns(todo: Plan, model: LinearProcess, seen: Estimate) -> dict[str, np.ndarray]:
    """The variables of one program's settings, each (*grid, time) or less."""
    v, t, shape = todo.with_time, todo.times, (*todo.sweep, len(todo.times))
    exact = np.broadcast_to(model.exact(v, model.steps_at(v, t)), shape)
    low, high, z = _judged(todo, model, seen, exact)
    some = seen.alive > 0
    whole = some & (seen.alive == seen.paths)  # the survivors of a row that lost paths are no sample of its law
    found = {"msd": np.where(some, seen.mean, np.nan)}
    found |= {k: np.where(whole, x, np.nan) for k, x in {"se": seen.se, "low": low, "high": high, "z": z}.items()}
    known = {"exact": exact, "steps": todo.steps, **_theorems(model, v, t, exact, todo.given.theorem)}
    return {
        **found,
        **{k: np.broadcast_to(x, shape) for k, x in known.items()},
        "count": seen.alive,
        "left_out": seen.paths - seen.alive,
        "n_diverged": seen.lost,
    }


def _theorems(model: LinearProcess, v: Values, times: np.ndarray, exact: np.ndarray, which: str) -> dict[str, np.ndarray]:
    """The formula that was asked for; with "both", that of the paper, and the same with the drift of the simulation."""
    columns: dict[str, np.ndarray] = {}
    for prefix, one in (("", "published"), ("matched", "matched")) if which == "both" else (("", which),):
        theorem = model.theorem(v, times, one)
        with np.errstate(all="ignore"):
            ratio = theorem / exact
        ends = {"theorem": theorem, "ratio": ratio, "valid": model.valid(v, times, ratio)}
        columns |= {f"{prefix}_{k}" if prefix else k: x for k, x in ends.items()}
    return columns


def _judged(todo: Plan, model: LinearProcess, seen: Estimate, exact: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(low, high, z). Gaussian paths: N msd/exact is chi-square with N degrees of freedom; else see two_point."""
    kind, confidence, alive = todo.given.kind, float(todo.given.confidence), np.maximum(seen.alive, 1)
    if kind == "normal":
        low, high = theory.msd_interval(np.nan_to_num(seen.mean), paths=alive, confidence=confidence)
        with np.errstate(all="ignore"):
            return low, high, (seen.mean - exact) / (exact * np.sqrt(2 / alive))
    law = two_point.squares(model, todo.with_time, todo.steps, kind)
    low, high = two_point.interval(seen.mean, law, alive, confidence)
    return low, high, two_point.standard(seen.mean, exact, law, alive)


def _warn_of_divergence(lost: np.ndarray, seen: list[Estimate]) -> None:
    if lost.any():
        total = sum(one.paths * max(1, one.lost.size) for one in seen)
        warnings.warn(
            f"{int(lost.sum()):,} of {total:,} paths diverged and were left out from there on: give earlier times, "
            "or a smaller lr or momentum",
            DivergenceWarning,
            stacklevel=6,
        )
