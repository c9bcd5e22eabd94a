"""paired_msd: by how much SGD outruns SAM (Corollary 1), estimated from pairs of paths on the same noise."""

from __future__ import annotations

from concurrent.futures import Executor
from functools import partial
from typing import Any, Literal

import numpy as np

from .. import theory
from ..checks import choice, numbers
from ..model import losses, observe
from ..model.noise import Minibatches
from ..model.paired import paired
from ..model.parameters import Drift, NoiseKind, Numbers
from ..simulation.arguments import Device, DType
from ..simulation.progress import Progress
from ..simulation.run import Run, enough
from ..simulation.simulate import batch, simulate
from .comparison import Comparison, compared
from .plan import MsdArguments, Plan, planned
from .process import DRIFTS, NOISES, LinearProcess, Values

PATHS = 10_000  # default number of pairs
LEVEL = 3.0  # standard deviations at which `needed` resolves the difference


def paired_msd(
    *,
    eigenvalue: Numbers = -1.0,
    lr: Numbers = 1e-3,
    rho: Numbers = 0.1,
    momentum: Numbers = 0.0,
    dampening: Numbers = 0.0,
    batch_size: Numbers = 64,
    times: Numbers | None = None,
    paths: int | None = None,
    until: float | None = None,
    drift: Drift = "plain",
    noise: Minibatches = "unit",
    method: Literal["em", "algorithm"] = "em",
    dt: Numbers | None = None,
    kind: NoiseKind = "normal",
    seed: int | None = 0,
    dtype: DType = "mixed",
    device: Device = "cpu",
    executor: Executor | None = None,
    progress: Progress = None,
) -> Comparison:
    r"""Estimate Delta_SGD - Delta_SAM, the difference of mean squared displacements, on common noise.

    Each path runs SGD (X) and SAM (Y) from the critical point on the same numbers; the estimate is the mean of
    :math:`X^2-Y^2`. It resolves Corollary 1 (Kim et al., Stability Analysis of SAM, eq. 13) with some 20 paths where
    independent runs may need 10^11. Arguments as in `msd` (with momentum both have it); rho > 0.

    paths: default 10,000. until: a relative standard error; pairs are added until se/|difference| is below it at every time and
    setting, at most `paths` if that is given.

    Variables, over the swept parameters and time: difference and its standard error se, measured over the pairs; exact,
    that of the simulated recursion; z; sde, the exact difference of the diffusions (theory.corollary1_exact); printed,
    eq. 13; low, high, the rigorous bounds of sde; gain, the variance of independent runs over that of the pairs; needed,
    pairs that resolve the difference at 3 standard deviations (theory.paths_to_resolve). Where a formula is about no
    momentum, or unit noise, and the setting is not, it is nan.
    """
    numbers("rho", rho, above=0.0, example=0.1)
    choice("drift", drift, DRIFTS)
    choice("noise", noise, NOISES)
    choice("method", method, ("em", "algorithm"))
    from .variables import provenance, written_call

    first, most = batch(PATHS if paths is None and until is None else paths, until)
    given = MsdArguments(
        eigenvalue=eigenvalue,
        lr=lr,
        rho=rho,
        momentum=momentum,
        dampening=dampening,
        batch_size=batch_size,
        times=times,
        paths=first if until is None or first is None else max(first, 2),
        drift=drift,
        noise=noise,
        method=method,
        dt=dt,
        kind=kind,
        seed=seed,
        dtype=dtype,
    )
    todo = planned(given)
    model, values = todo.models[0], todo.values
    still = {**values, "rho": np.zeros(())}
    both = paired(model.rule(values, kind), model.rule(still, kind))
    run = simulate(
        losses.quadratic(values["eigenvalue"][..., None]),
        both,
        [0.0],
        record=np.unique(todo.steps),
        paths=todo.paths,
        observe=observe.paired_msd(),
        seed=seed,
        dtype=dtype,
        device=device,
        state=False,
        executor=executor,
        progress=progress,
    )
    if until is not None:
        run = enough(run, until, most, partial(_relative, todo), executor, progress)
    at = np.searchsorted(run.record, np.broadcast_to(todo.steps, (*todo.sweep, len(todo.times))))
    difference, se, spread, apart, count = (
        np.take_along_axis(np.broadcast_to(x, (*todo.sweep, len(run.record))), at, -1)
        for x in (run["difference"], run.std_error[..., 2], run.var[..., 2], run.var[..., :2].sum(-1), run.count)
    )
    left_out = run.paths - count
    se, spread = (np.where(left_out == 0, x, np.nan) for x in (se, spread))  # the survivors are no fair sample
    exact = model.difference(todo.with_time, todo.steps)
    with np.errstate(all="ignore"):
        z, gain = (np.where(spread > 0, x, np.nan) for x in ((difference - exact) / se, apart / spread))
    columns = {
        "difference": ("MSD of SGD - MSD of SAM, simulated on common noise", difference),
        "se": ("standard error of difference, over the pairs", se),
        "exact": ("exact difference of what was simulated", exact),
        "z": ("(difference - exact)/se", z),
        **_theory(todo, model),
        "gain": ("variance of independent runs / variance of the pairs", gain),
        "left_out": ("pairs that diverged and are left out: where there are any, se, z and gain are nan", left_out),
    }
    decided = {k: x for k, x in vars(given).items() if k not in ("until", "theorem", "confidence")}
    call = {**decided, "times": todo.times, "paths": run.paths if until is None else paths, "seed": run.seed, "until": until}
    about = {
        "title": "MSD of SGD - MSD of SAM on common noise",
        "value": "difference",
        "curves": "sde printed",
        "unit": "length²",
        "shown": "difference se exact z sde printed gain needed",
        "paths": run.paths,
        "seed": run.seed,
        "drift": drift,
        "noise": noise,
        "method": method,
        "kind": kind,
        "dtype": dtype,
        **provenance(written_call("paired_msd", call), [run.job]),
    }
    return compared(values, columns, about, time=todo.times)


def _relative(todo: Plan, run: Run) -> float:
    """The largest se/|difference| at the times of each setting."""
    at = np.searchsorted(run.record, np.broadcast_to(todo.steps, (*todo.sweep, len(todo.times))))
    with np.errstate(all="ignore"):
        relative = np.where(run.std_error[..., 2] > 0, run.std_error[..., 2] / np.abs(run["difference"]), 0.0)
    whole = np.broadcast_to(relative, (*todo.sweep, len(run.record)))
    return float(np.max(np.take_along_axis(whole, at, -1), initial=0.0))


def _of_sde(model: LinearProcess, v: Values, times: np.ndarray) -> np.ndarray:
    return theory.corollary1_exact(times, drift=model.drift, noise=NOISES[model.noise], **_setting(v, "lr", "batch_size"))


def _setting(v: Values, *names: str) -> dict[str, Any]:
    return {k: v[k] for k in ("eigenvalue", "rho", *names)}


def _theory(todo: Plan, model: LinearProcess) -> dict[str, tuple[str, np.ndarray]]:
    """What is known of the diffusions without momentum."""
    v, t = todo.with_time, todo.times
    light = (v["momentum"] == 0) & (v["dampening"] == 0)
    unit = light & (model.noise == "unit")
    whole = _setting(v, "lr", "batch_size")
    with np.errstate(all="ignore"):
        low, high = theory.corollary1_bounds(t, drift=model.drift, **whole)
        needed = theory.paths_to_resolve(t, drift=model.drift, z=LEVEL, **_setting(v))
        found = {
            "sde": ("exact difference of the diffusions", light, _of_sde(model, v, t)),
            "printed": ("Kim et al., Corollary 1, eq. 13", light, theory.corollary1(t, **whole)),
            "low": ("lower bound of sde", unit, low),
            "high": ("upper bound of sde", unit, high),
            "needed": ("pairs that resolve the difference at 3 standard deviations", unit, needed),
        }
    return {k: (text, np.where(where, x, np.nan)) for k, (text, where, x) in found.items()}
