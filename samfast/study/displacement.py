"""msd: how fast SGD, SAM and their heavy-ball versions leave a saddle; simulated, exact and as published."""

from __future__ import annotations

import time as clock
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import numpy as np

from .. import theory
from ..checks import DivergenceWarning
from ..model import losses, observe
from ..model.noise import Minibatches
from ..model.parameters import Drift, NoiseKind, Numbers
from ..simulation.arguments import Device, DType
from ..simulation.progress import Progress
from ..simulation.simulate import simulate
from . import exact_sampling, two_point
from .batches import Batches, Begin, Estimate, More, next_paths
from .plan import MsdArguments, Plan, planned
from .process import LinearProcess, Values
from .result import Study, StudyInterrupted


def msd(
    *,
    eigenvalue: Numbers = -1.0,
    lr: Numbers = 1e-3,
    rho: Numbers = 0.0,
    momentum: Numbers = 0.0,
    dampening: Numbers = 0.0,
    batch_size: Numbers = 64,
    times: Numbers | None = None,
    paths: int | None = None,
    until: float | None = None,
    drift: Drift | Sequence[Drift] = "plain",
    noise: Minibatches | Sequence[Minibatches] = "unit",
    method: Literal["em", "exact", "algorithm"] = "em",
    theorem: Literal["both", "published", "printed", "matched"] = "both",
    dt: Numbers | None = None,
    kind: NoiseKind = "normal",
    seed: int | None = 0,
    dtype: DType = "mixed",
    device: Device = "cpu",
    confidence: float = 0.95,
    executor: Executor | None = None,
    progress: Progress = None,
) -> Study:
    """Mean squared displacement <(w(t) - w(0))^2> along one eigenvector of a saddle or minimum, started at its centre.

    eigenvalue, lr, rho, momentum, dampening, batch_size, dt: a number, or a sequence for a dimension of the grid. All
    settings run in one compiled pass over the same noise. rho=0 is SGD. drift and noise may be sequences too; each
    combination is a program of its own, on the same numbers. times: in units of lr per update (t = lr*updates),
    multiples of the step; default: about 12 up to 1000 updates.

    paths: default 1,000,000. until: a relative standard error; paths are then added in batches until se/msd is below it
    at every time and setting (about 2/until^2 paths), at most `paths` if that is given. Ctrl-C raises StudyInterrupted,
    whose .study holds the paths that were finished, and whose .resume() goes on.

    method: "em" takes Euler-Maruyama steps of size dt (default lr) of dw = -kappa w dt + sqrt(2D) dW, with momentum of
    M dv = -phi M v dt - kappa w dt + sqrt(2D) dW (Kim, Park, Choi, Lee, "Stability Analysis of Sharpness-Aware
    Minimization", eq. 11 and Theorems 2, 3), where 2D = s^2 lr |eigenvalue|/batch_size; "exact" draws that SDE from its
    law at the times, any times; "algorithm" runs SGD or SAM on minibatch gradients. drift: "plain", kappa = eigenvalue
    (1 + rho eigenvalue), is what SAM does; "chain", kappa = eigenvalue (1 + rho eigenvalue)^2, is the drift of the
    published formulas. noise: "unit" (s^2 = 1, as published), or on which gradients the minibatch acts: "descent",
    "same" for both, "independent" (see theory.noise_factor).

    theorem: the formula to compare with. "published": Theorem 2 or 3 of the paper, with its drift ("chain") and unit noise
    whatever is simulated, and C2 = t/lr where Theorem 3 prints C2 = lr/t; "printed": with that misprint; "matched": the
    same formulas with the drift and noise of the simulation; "both" (default): "published", and beside it "matched".
    kind, seed, dtype, device, executor, progress: as in `simulate`. confidence: level of the interval ci.
    Raises ValueError or TypeError for what is out of its domain, also for times that are not multiples of the step.
    """
    given = MsdArguments(
        eigenvalue=eigenvalue,
        lr=lr,
        rho=rho,
        momentum=momentum,
        dampening=dampening,
        batch_size=batch_size,
        times=times,
        paths=paths,
        until=until,
        drift=drift,
        noise=noise,
        method=method,
        theorem=theorem,
        dt=dt,
        kind=kind,
        seed=int(np.random.default_rng().integers(2**63)) if seed is None else seed,
        dtype=dtype,
        confidence=confidence,
    )
    todo = planned(given)
    started, begun = clock.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    work = [Batches(todo, *_source(todo, model, device, executor), executor, progress) for model in todo.models]
    return _finish(todo, work, {"started": begun}, started)


def _source(todo: Plan, model: LinearProcess, device: str, executor: Executor | None) -> tuple[Begin, More]:
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


def _finish(todo: Plan, work: list[Batches], about: Mapping[str, Any], started: float) -> Study:
    """Run what is left; after an interrupt, hand over what was finished."""

    def study(status: str) -> Study:
        return _study(todo, work, {**about, "status": status, "wall_seconds": clock.perf_counter() - started})

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DivergenceWarning)  # counted below, up to the times that were asked for
            for batches in work:
                batches.go()
    except BaseException as stop:

        def resume() -> Study:
            return _finish(todo, work, about, started)

        if not hasattr(stop, "run"):  # nothing had begun
            raise
        stop.resume = resume  # type: ignore[attr-defined]
        if any(batches.estimate().paths for batches in work):
            stop.study = study("interrupted")  # type: ignore[attr-defined]
            if isinstance(stop, KeyboardInterrupt):
                raise StudyInterrupted(stop.run, stop.study, resume) from None  # type: ignore[attr-defined]
        raise
    return study("complete" if all(batches.reached for batches in work) else "until not reached")


def _study(todo: Plan, work: list[Batches], about: Mapping[str, Any]) -> Study:
    from .variables import build, msd_call, provenance

    seen = [batches.estimate() for batches in work]
    columns = [_columns(todo, model, one) for model, one in zip(todo.models, seen, strict=True)]
    table = {k: np.stack([c[k] for c in columns]) for k in columns[0]}
    _warn_of_divergence(table["n_diverged"], seen)
    jobs = [run.job for batches in work if (run := batches.last or batches.pending)]
    return Study(
        build(
            todo,
            table,
            {**about, "paths": max(one.paths for one in seen), **provenance(msd_call(todo), jobs)},
        )
    )


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
