"""exit_times: how long paths stay within a distance of a saddle or minimum, simulated and exact."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, overload

import numpy as np

from .. import theory
from .. import tracing as T
from ..checks import check, choice, integer, numbers
from ..codegen.program import EXACT, MODES
from ..model import losses, observe
from ..model.loss import Loss
from ..model.noise import Minibatches
from ..model.observer import Observer, Seen
from ..model.parameters import Drift, Numbers
from ..model.rule import Oracle, Rule
from ..simulation.arguments import Device, DType, Point
from ..simulation.progress import Progress
from ..simulation.run import Run, enough
from ..simulation.simulate import batch, resume, simulate
from .comparison import Comparison, compared
from .leaving import Exits, exits
from .plan import BOUNDS, axes
from .process import DRIFTS, NOISES, LinearProcess

NAMED = 3  # settings that a warning names
PATHS = 10_000  # default number of paths
MOST = 10**8  # mean number of steps of a setting beyond which nothing is begun
FIRST = 4  # the first round lasts so many mean exit times of the slowest setting, further ones double it
SPARE = 20.0  # exits are at least as fast as exponential ones: a path is later than log(paths) + SPARE means once in 5e8 calls
NARROW = 1 / 20_000  # of the limit: narrower steps are beyond theory.em_exit_time
LIMIT = {"above": 0.0, "example": 0.1}


@overload
def exit_times(
    loss: Loss,
    rule: Rule,
    start: Point,
    *,
    limit: Numbers,
    steps: int,
    paths: int = ...,
    seed: int | None = ...,
    dtype: DType = ...,
    device: Device | None = ...,
    executor: Executor | None = ...,
    progress: Progress = ...,
) -> Exits: ...


@overload
def exit_times(
    *,
    limit: Numbers,
    eigenvalue: Numbers = ...,
    lr: Numbers = ...,
    rho: Numbers = ...,
    batch_size: Numbers = ...,
    dt: Numbers | None = ...,
    drift: Drift = ...,
    noise: Minibatches = ...,
    paths: int | None = ...,
    until: float | None = ...,
    seed: int | None = ...,
    dtype: DType = ...,
    device: Device | None = ...,
    executor: Executor | None = ...,
    progress: Progress = ...,
) -> Comparison: ...


def exit_times(
    loss: Loss | None = None,
    rule: Rule | None = None,
    start: Point | None = None,
    *,
    limit: Numbers,
    steps: int | None = None,
    eigenvalue: Numbers = -1.0,
    lr: Numbers = 1e-3,
    rho: Numbers = 0.0,
    batch_size: Numbers = 64,
    dt: Numbers | None = None,
    drift: Drift = "plain",
    noise: Minibatches = "unit",
    paths: int | None = None,
    until: float | None = None,
    seed: int | None = 0,
    dtype: DType = "mixed",
    device: Device | None = None,
    executor: Executor | None = None,
    progress: Progress = None,
) -> Comparison | Exits:
    r"""Mean time until paths are first farther than `limit` from their start: on a quadratic, or of any rule on any loss.

    **exit_times(loss, rule, start, limit=, steps=)** takes any loss, rule (with its noise, momentum, sweeps) and start, and at
    most `steps` updates; a path stops when it has left. The result is an `Exits`, in updates: means, medians, survival.
    Paths that have not left are censored: Kaplan and Meier's estimate counts them, and settings in which a mean is therefore
    unknown are named beside the others. Where the start is a saddle and the rule is gd or SAM with noise sigma, theory stands
    beside: the mean exit of the diffusion along the most unstable direction.

    **exit_times(limit=, ...)** without a loss is the quadratic of one eigenvalue, from w = 0 and without momentum, where the
    mean is known exactly; every path runs until it has left. Settings that would take more than 10^8 updates on average,
    or for ever, are left out (nan) and named in a warning.

    limit, eigenvalue, lr, rho, batch_size, dt: a number, or a sequence for a dimension of the grid. The chain
    :math:`w^+=(1-\kappa\,dt)w+\sqrt{2D\,dt}\,\xi` is looked at after each step (of size dt, default lr: SGD or SAM on
    Gaussian minibatch gradients), so it leaves later than the diffusion. drift, noise: as in `msd`; seed, dtype,
    device, executor, progress: as in `simulate`. Derived in this library; see theory.em_exit_time. On losses
    of one or two coordinates that are no quadratics, `density` gives the mean exit time of an algorithm.

    paths: default 10,000. until: a relative standard error; paths are added until se/time is below it for every setting, at
    most `paths` if that is given.

    Variables: time, the mean exit time in units of lr per update, and its standard error se; exact, that of the chain by
    Nystrom's method (nan where a step is narrower than limit/20,000); estimate, the diffusion's from a limit wider by 0.5826
    deviations of a step, after theory.ou_embedding; sde, the diffusion's; z, against exact, or estimate where that is nan;
    steps, the mean number of steps.

    Raises ValueError for what is out of its domain, and where paths of every setting would stay longer than 10^8 steps.
    """
    if loss is not None or rule is not None or start is not None:
        return _of_any(
            loss,
            rule,
            start,
            steps,
            {"lr": lr, "rho": rho, "eigenvalue": eigenvalue, "batch_size": batch_size, "dt": dt, "until": until},
            limit=limit,
            paths=PATHS if paths is None else paths,
            seed=seed,
            dtype=dtype,
            device=device,
            executor=executor,
            progress=progress,
        )
    check(steps is None, f"steps={steps!r}: it belongs to exit_times(loss, rule, start, ...); leave it out")
    given = {"limit": limit, "eigenvalue": eigenvalue, "lr": lr, "rho": rho, "batch_size": batch_size}
    values = axes(given if dt is None else {**given, "dt": dt}, {**BOUNDS, "limit": LIMIT})
    model = LinearProcess(choice("drift", drift, DRIFTS), choice("noise", noise, NOISES), "em", False)
    choice("dtype", dtype, MODES)
    first, most = batch(PATHS if paths is None and until is None else paths, until)
    integer("paths", first, 2, "10_000")
    numbers("eigenvalue", np.abs(values["eigenvalue"]), above=0.0, example=-1.0)
    from .variables import provenance, written_call

    known = _theory(model, values)
    grid = np.shape(known["best"])
    needed = np.broadcast_to(known["best"] / model.step(values), grid)
    good = needed <= MOST  # False for nan
    check(
        bool(good.any()),
        f"limit={limit!r}: a path needs {float(np.min(needed)):.3g} steps on average to leave; give a smaller limit, or "
        "settings that hold it less",
    )
    average = float(needed[good].max())
    settings = int(good.sum())
    kept = values if good.all() else {k: np.broadcast_to(x, grid)[good] for k, x in values.items()}
    check(
        dtype != "float32" or average * (np.log(max(first or 0, most) * settings) + SPARE) <= EXACT,
        f"dtype='float32': a path needs {average:.3g} steps on average to leave, the slowest may need more, and float32 counts "
        "updates exactly up to 2**24; use dtype='mixed'",
    )
    run = _until_all_left(
        model,
        kept,
        int(np.ceil(FIRST * average)),
        paths=first,
        until=until,
        most=most,
        seed=seed,
        dtype=dtype,
        device="cpu" if device is None else device,
        executor=executor,
        progress=progress,
    )
    step, dt = dt, model.step(values)
    mean, left_out = run.mean[..., -1, 0], run.paths - run.count[..., -1]
    se = np.where(left_out == 0, run.std_error[..., -1, 0], np.nan)  # the survivors are no fair sample
    if not good.all():
        mean, se, left_out = (_spread(x, good, fill) for x, fill in ((mean, np.nan), (se, np.nan), (left_out, 0)))
        _name(values, needed, good)
    columns = {
        "time": ("mean exit time, simulated", mean * dt),
        "se": ("standard error of time", se * dt),
        "exact": ("exact mean exit time of the chain (Nystrom)", known["exact"]),
        "z": ("(time - exact)/se; where exact is nan, of estimate", (mean * dt - known["best"]) / (se * dt)),
        "estimate": ("the diffusion's exit time from a wider limit", known["estimate"]),
        "sde": ("exact mean exit time of the diffusion", known["sde"]),
        "steps": ("mean number of steps", mean),
        "left_out": ("paths that diverged and are left out: where there are any, se and z are nan", left_out),
    }
    call = {**given, "dt": step, "drift": drift, "noise": noise, "paths": run.paths, "seed": run.seed, "dtype": dtype}
    if until is not None:
        call |= {"paths": paths, "until": until}
    about = {
        "title": "mean exit time",
        "value": "time",
        "curves": "estimate sde",
        "unit": "length²",
        "shown": "time se exact z estimate sde steps",
        "paths": run.paths,
        "seed": run.seed,
        "drift": drift,
        "noise": noise,
        "dtype": dtype,
        **provenance(written_call("exit_times", call), [run.job]),
    }
    return compared(values, columns, about)


def _of_any(loss: Any, rule: Any, start: Any, steps: int | None, others: Mapping[str, Any], **options: Any) -> Exits:
    """The exits of a rule on a loss, with the arguments of the other form refused."""
    check(
        loss is not None and rule is not None and start is not None,
        "exit_times: give loss, rule and start, e.g. exit_times(loss, rule, [0.0, 0.0], limit=0.5, steps=100), or none of them",
    )
    check(steps is not None, "steps: give the most updates of a path, e.g. steps=10_000")
    defaults = {"lr": 1e-3, "rho": 0.0, "eigenvalue": -1.0, "batch_size": 64, "dt": None, "until": None}
    odd = [k for k, v in others.items() if np.ndim(v) or v != defaults[k]]
    check(
        not odd, f"{odd[0] if odd else ''}: with a loss and a rule it belongs to them (until: to the quadratic); leave it out"
    )
    return exits(loss, rule, start, steps=int(steps or 0), **options)


def _spread(x: np.ndarray, good: np.ndarray, fill: float) -> np.ndarray:
    """The numbers of the good settings in the grid of all."""
    out = np.full(good.shape, fill, x.dtype)
    out[good] = x
    return out


def _name(values: Mapping[str, np.ndarray], needed: np.ndarray, good: np.ndarray) -> None:
    """Warn of the settings that were left out, by what varies."""
    varied = {k: np.broadcast_to(x, good.shape)[~good] for k, x in values.items() if x.size > 1}
    rows = [", ".join(f"{k}={v[i]:.6g}" for k, v in varied.items()) for i in range(min(NAMED, int((~good).sum())))]
    more = f" and {int((~good).sum()) - NAMED} more" if (~good).sum() > NAMED else ""
    warnings.warn(
        f"{'; '.join(rows)}{more}: paths would need more than {MOST:,} steps on average to leave, or never leave; these "
        "settings are nan, the others were computed",
        RuntimeWarning,
        stacklevel=3,
    )


def _theory(model: LinearProcess, v: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Mean exit times of the chain (exact, estimate, and best: exact where it is known) and of the diffusion (sde)."""
    kappa, d, dt = (np.asarray(x) for x in np.broadcast_arrays(model.curvature(v), model.diffusion(v), model.step(v)))
    inner = kappa * dt < 1  # beyond, no diffusion has the law of the chain
    near, wide = theory.ou_embedding(curvature=np.where(inner, kappa, 0.0), diffusion=d, dt=dt)
    estimate = np.asarray(
        theory.em_exit_time_estimate(
            v["limit"], curvature=np.where(inner, near, kappa), diffusion=np.where(inner, wide, d), dt=dt
        )
    )
    exact = np.full(estimate.shape, np.nan)
    for index in np.ndindex(exact.shape):
        k, e, h, size = (float(np.broadcast_to(x, exact.shape)[index]) for x in (kappa, d, dt, v["limit"]))
        if estimate[index] < MOST * h and np.sqrt(2 * e * h) > NARROW * size:
            exact[index] = theory.em_exit_time(size, curvature=k, diffusion=e, dt=h)
    return {
        "exact": exact,
        "estimate": estimate,
        "best": np.where(np.isnan(exact), estimate, exact),
        "sde": np.asarray(theory.mean_exit_time(v["limit"], curvature=kappa, diffusion=d)),
    }


def _until_all_left(
    model: LinearProcess,
    v: Mapping[str, np.ndarray],
    steps: int,
    *,
    until: float | None,
    most: int,
    executor: Executor | None,
    progress: Progress,
    **options: Any,
) -> Run:
    run = simulate(
        losses.quadratic(v["eigenvalue"][..., None]),
        held(model.rule(v), limit=v["limit"]),
        [0.0],
        record=[steps],
        observe=_left(v["limit"]),
        executor=executor,
        progress=progress,
        **options,
    )
    longest = EXACT if options["dtype"] == "float32" else 2**62

    def all_left(run: Run) -> Run:
        while run.mean[..., -1, 1].any():
            run = resume(run, record=[min(2 * int(run.record[-1]), longest)], executor=executor, progress=progress)
        return run

    def error(run: Run) -> float:
        with np.errstate(all="ignore"):
            relative = run.std_error[..., -1, 0] / run.mean[..., -1, 0]
        return float(np.max(relative, initial=0.0, where=np.isfinite(relative)))

    run = all_left(run)
    return run if until is None else enough(run, until, most, error, executor, progress, all_left)


def held(base: Rule, *, limit: Any) -> Rule:
    """The rule for paths that stay where they first exceed the limit: outside a saddle they would grow beyond float64."""

    def step(w: Any, v: Any, grad: Oracle, p: Any, z: Any) -> tuple[Any, Any]:
        x, after = base.step(w, v, grad, p, z)
        outside = T.dot(w, w) > p.limit * p.limit
        return T.where(outside, w, x), after

    return replace(base, name=base.name + "_held", step=step, params={**base.params, "limit": limit}, direction=None)


def _left(limit: Any) -> Observer:
    """Steps until the exit, 0 as long as there was none, and 1 for a path inside."""
    base = observe.exit_time(radius=limit)

    def features(s: Seen) -> list[Any]:
        inside = s.m[0] < 0
        return [T.where(inside, 0.0, s.m[0]), T.where(inside, 1.0, 0.0)]

    return Observer("left", features, ("steps", "inside"), base.memory, base.watch, base.params)
