"""msd: how fast SGD, SAM and their heavy-ball versions leave a saddle; simulated, exact and as published."""
from __future__ import annotations

import platform
import time as clock
import warnings
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

import numpy as np

from . import losses, observe, rules, theory
from . import noise as noises
from .checks import DivergenceWarning, check, choice, integer, numbers
from .closed_form import NOISES, Model
from .engine import Progress, simulate
from .study import PARAMETERS, Study

if TYPE_CHECKING:
    from .results import Run

UPDATES, RECORDS = 1000, 12         # default times: about this many, up to this many updates
ROUNDING = 1e-6                     # of a step: how far a time may be from a multiple of the step
CANDIDATES = 10 ** 7                # steps among which default times are looked for


def msd(*, eigenvalue: Any = -1.0, lr: Any = 1e-2, rho: Any = 0.0, momentum: Any = 0.0, dampening: float = 0.0,
        batch_size: Any = 64, times: Any = None, paths: int = 10 ** 6, drift: str = "plain", noise: str = "unit",
        method: str = "em", dt: float | None = None, kind: str = "normal", seed: int | None = 0, dtype: str = "mixed",
        confidence: float = 0.95, executor: Executor | None = None, progress: Progress = None) -> Study:
    """Mean squared displacement <(w(t) - w(0))^2> along one eigenvector of a saddle or minimum, started at its centre.

    eigenvalue, lr, rho, momentum, batch_size: a number, or a sequence for a dimension of the grid. All settings run in
    one compiled pass over the same noise. rho=0 is SGD. times: in units of lr per update (t = lr*updates), multiples of
    the step; default: about 12 up to 1000 updates.

    method: "em" takes Euler-Maruyama steps of size dt (default lr) of dw = -kappa w dt + sqrt(2D) dW, with momentum of
    M dv = -phi M v dt - kappa w dt + sqrt(2D) dW (Kim, Park, Choi, Lee, "Stability Analysis of Sharpness-Aware
    Minimization", eq. 11 and Theorems 2, 3), where 2D = s^2 lr |eigenvalue|/batch_size; "algorithm" runs SGD or SAM on
    minibatch gradients. drift: "plain", kappa = eigenvalue (1 + rho eigenvalue), is what SAM does; "chain", kappa =
    eigenvalue (1 + rho eigenvalue)^2, is the drift of the published formulas. noise: "unit" (s^2 = 1, as published), or
    on which gradients the minibatch acts: "descent", "same" for both, "independent" (see theory.noise_factor).

    kind, seed, dtype, executor, progress: as in `simulate`. confidence: level of the interval low..high.
    Raises ValueError or TypeError for what is out of its domain, also for times that are not multiples of the step.
    """
    given = {"eigenvalue": eigenvalue, "lr": lr, "rho": rho, "momentum": momentum, "batch_size": batch_size}
    values, sweep = _grid(given)
    numbers("dampening", dampening, low=0.0, below=1.0, example=0.0)
    numbers("confidence", confidence, above=0.0, below=1.0, example=0.95)
    check(np.ndim(dampening) == 0 and np.ndim(confidence) == 0, "dampening and confidence: give one number each")
    choice("drift", drift, ("plain", "chain"))
    choice("noise", noise, NOISES)
    choice("method", method, ("em", "algorithm"))
    choice("kind", kind, noises.KINDS)
    integer("paths", paths, 2, "10_000")
    check(dt is None or method == "em", f"dt={dt!r}: it belongs to method='em'; leave it out")
    check(dt is None or np.ndim(numbers("dt", dt, above=0.0, example=0.01)) == 0, f"dt={dt!r}: give one number, e.g. dt=0.01")
    heavy = bool(np.any(values["momentum"] > 0)) or dampening > 0
    check(dt is None or not heavy or bool(np.all(values["momentum"] > 0)), f"momentum={momentum!r} with dt={dt!r}: away "
          "from dt=lr, momentum 0 and above have different diffusion limits (Theorems 2 and 3); study them apart")
    step = values["lr"] if dt is None else np.asarray(float(dt))
    instants = _default(step, values["lr"]) if times is None else _instants(times)
    steps = _steps(instants, step)
    model = Model(drift, noise, method, float(dampening), None if dt is None else float(dt), heavy)
    rule = rules.sam(lr=values["lr"], rho=values["rho"], drift=drift, momentum=values["momentum"] if heavy else None,
                     dampening=dampening if heavy else 0.0)
    if method == "algorithm":
        rule = noises.noisy(rule, batch_size=values["batch_size"], minibatch=noise, kind=kind)
    else:       # one coordinate, on the last axis
        deviation = np.sqrt(model.factor(values) * np.abs(values["eigenvalue"]) / values["batch_size"])
        rule = noises.diffusion(rule, sigma=np.asarray(deviation)[..., None], dt=dt, kind=kind)
    started = clock.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)      # counted below, up to the times that were asked for
        run = simulate(losses.quadratic(values["eigenvalue"][..., None]), rule, [0.0], record=np.unique(steps),
                       paths=paths, observe=observe.msd(), seed=seed, dtype=dtype, state=False, executor=executor,
                       progress=progress)
    wall = clock.perf_counter() - started
    along = {p: a[..., None] for p, a in values.items()}
    exact, theorem = model.exact(along, steps), model.theorem(along, instants)
    with np.errstate(all="ignore"):
        columns = {**_compare(run, steps, sweep, exact, kind, confidence), "theorem": theorem, "ratio": theorem / exact,
                   "valid": model.valid(along, instants)}
    about = {"paths": int(paths), "dampening": float(dampening), "drift": drift, "noise": noise, "method": method,
             "kind": kind, "seed": run.seed, "dtype": dtype, "confidence": float(confidence)}
    call = given | about | {"times": None if times is None else instants, "dt": dt}
    return _study(given, values, columns, instants, about | _provenance(call, dt, wall))


def _grid(given: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], tuple[int, ...]]:
    """The parameters, each on its own axis of the grid, and the shape of the grid."""
    bounds: dict[str, dict[str, Any]] = {"eigenvalue": {"example": -1.0}, "lr": {"above": 0.0, "example": 0.01},
                                         "rho": {"low": 0.0, "example": 0.05},
                                         "momentum": {"low": 0.0, "below": 1.0, "example": 0.9},
                                         "batch_size": {"low": 1.0, "example": 64}}
    arrays = {p: np.asarray(numbers(p, given[p], **bounds[p]), float) for p in PARAMETERS}
    for p, a in arrays.items():
        check(a.ndim <= 1, f"{p} has shape {a.shape}: give a number or a flat sequence of numbers")
        check(len(np.unique(a)) == a.size, f"{p}={given[p]!r}: a value occurs twice; give each once")
    sweep = tuple(a.size for a in arrays.values() if a.ndim)
    axes = iter(np.eye(len(sweep), dtype=bool))
    return {p: a.reshape(np.where(next(axes), a.size, 1)) if a.ndim else a for p, a in arrays.items()}, sweep


def _instants(times: Any) -> np.ndarray:
    numbers("times", times, low=0.0, example=[0.1, 1.0])
    instants = np.atleast_1d(np.asarray(times, float))
    check(instants.ndim == 1 and bool((np.diff(instants) > 0).all()), f"times={times!r}: give ascending times without "
          "repeats, e.g. times=[0.1, 1.0]")
    return instants


def _default(step: np.ndarray, lr: np.ndarray) -> np.ndarray:
    """About 12 times, evenly on a log scale, that every setting reaches by whole steps."""
    large = float(step.max())
    many = max(1, round(UPDATES * float(lr.min()) / large))
    check(many <= CANDIDATES, f"dt={large:.6g}: {UPDATES} updates would be {many:,} steps; give times=")
    common = np.arange(1, many + 1)
    for h in np.unique(step):
        n = common * (large / h)
        common = common[np.abs(n - np.rint(n)) < ROUNDING]
    check(common.size > 0, f"lr={np.unique(step).tolist()}: these steps have no common multiple within {UPDATES} updates; "
          "give times=, or study each lr apart")
    wanted = np.geomspace(common[0], common[-1], RECORDS)
    return np.unique(common[np.argmin(np.abs(common[:, None] - wanted), 0)]) * large


def _steps(instants: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Numbers of steps, (*grid, time); the grid axes other than that of lr have length 1."""
    n = instants / step[..., None]
    whole = np.rint(n)
    off = np.abs(n - whole) > np.maximum(ROUNDING, 4e-16 * np.abs(n))
    if off.any():
        where = tuple(np.argwhere(off)[0])
        h, k = float(step[where[:-1]]), np.floor(n[where])
        check(False, f"times: {instants[where[-1]]:.10g} is no multiple of the step {h:.10g}; the nearest are {k * h:.10g} "
              f"and {(k + 1) * h:.10g}")
    return whole.astype(np.int64)


def _compare(run: Run, steps: np.ndarray, sweep: tuple[int, ...], exact: np.ndarray, kind: str,
             confidence: float) -> dict[str, np.ndarray]:
    """What the paths gave at each setting's own step numbers, with its interval and its distance from the exact value."""
    shape = (*sweep, steps.shape[-1])
    at = np.searchsorted(run.record, np.broadcast_to(steps, shape))
    mean, se, count = (np.take_along_axis(np.broadcast_to(a, (*sweep, len(run.record))), at, -1)
                       for a in (run.mean[..., 0], run.std_error[..., 0], run.count))
    lost = run.paths - count[..., -1]
    if lost.any():
        warnings.warn(f"{int(lost.sum()):,} of {run.paths * lost.size:,} paths diverged and were left out from there on: "
                      "give earlier times, or a smaller lr or momentum", DivergenceWarning, stacklevel=3)
    alive = np.maximum(count, 1)
    with np.errstate(all="ignore"):
        if kind == "normal":
            low, high = theory.msd_interval(np.nan_to_num(mean), paths=alive, confidence=confidence)
            sd = exact * np.sqrt(2 / alive)         # Gaussian paths: N msd/exact is chi-square with N degrees of freedom
        else:
            from scipy.special import ndtri
            half = float(ndtri((1 + confidence) / 2)) * se
            low, high, sd = mean - half, mean + half, se
        z = (mean - exact) / sd
    columns = {"msd": mean, "se": se, "low": low, "high": high, "exact": exact, "z": z}
    return {**{k: np.where(count > 0, x, np.nan) if k != "exact" else x for k, x in columns.items()}, "count": count,
            "n_diverged": lost, "steps": steps}


def _provenance(call: Mapping[str, Any], dt: float | None, wall: float) -> dict[str, Any]:
    from . import __version__
    from .backends.cpu import toolchain
    return {"title": "mean squared displacement from a critical point", "call": _call(call), "dt": "lr" if dt is None else dt,
            "device": "cpu", "stream": "v1", "wall_seconds": wall, "python": platform.python_version(),
            **{k: v for k, v in toolchain() if k != "samfast"}, "samfast": __version__}


def _call(given: Mapping[str, Any]) -> str:
    """The call that gives this study, without the arguments that are at their defaults."""
    defaults = msd.__kwdefaults__ or {}
    plain = {k: np.asarray(v).tolist() if v is not None and not isinstance(v, str) else v for k, v in given.items()}
    return "sf.msd(" + ", ".join(f"{k}={plain[k]!r}" for k in defaults if k in plain and plain[k] != defaults[k]) + ")"


def _study(given: Mapping[str, Any], values: Mapping[str, np.ndarray], columns: Mapping[str, np.ndarray],
           instants: np.ndarray, attrs: Mapping[str, Any]) -> Study:
    import xarray as xr
    swept = tuple(p for p in PARAMETERS if values[p].ndim)
    sizes = tuple(values[p].size for p in swept)
    coords: dict[str, Any] = {"time": ("time", instants, {"units": "lr per update"})}
    coords |= {p: (p, a.ravel()) if a.ndim else float(a) for p, a in values.items()}
    data = {k: (swept, np.array(np.broadcast_to(a, sizes))) if k == "n_diverged" else
            ((*swept, "time"), np.array(np.broadcast_to(a, (*sizes, len(instants))))) for k, a in columns.items()}
    return Study(xr.Dataset(data, coords, dict(attrs)))
