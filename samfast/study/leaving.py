"""Exits of any rule on any loss: when paths first are farther than a limit from their start, and what theory says of it."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import theory
from ..arrays import to_host
from ..checks import integer, numbers, picture
from ..model import observe
from ..model.loss import Loss
from ..model.parameters import Numbers, PerPath
from ..model.rule import Rule
from ..plotting import GREY, MARKS, STYLE, colour
from ..simulation.run import Run
from ..simulation.simulate import simulate
from ..stats.escape import survival
from . import saved
from .panels import LABELS
from .table import number
from .variables import fingerprint, provenance

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

POINTS = 200  # at which the survival function is kept
FLAT = 1e-8  # a start with a gradient below this times the curvature is a critical point
SHOWN = ("updates", "se", "stayed", "restricted", "median", "exponential", "theory")
ABOUT = {
    "updates": "mean number of updates until the exit; nan where paths stayed",
    "se": "standard error of updates",
    "stayed": "share of paths that had not left after the last update (they are censored)",
    "restricted": "mean of the smaller of exit and last update; its standard error is restricted_se",
    "restricted_se": "standard error of restricted",
    "median": "median number of updates by Kaplan and Meier; nan where more than half stayed",
    "exponential": "updates that all paths spent inside, over the number of exits: the mean if the rate of exits is constant",
    "theory": "mean exit of the diffusion along the most unstable direction at the start, in updates; nan where it is unknown",
    "survival": "Kaplan and Meier's estimate of the share that has not left",
    "survival_low": "low end of its 95 % interval",
    "survival_high": "high end of its 95 % interval",
}


@dataclass(frozen=True, repr=False)
class Exits:
    """First exits of many paths, for a grid of settings (see `samfast.exit_times`).

    dataset: an xarray.Dataset over the dimensions of the sweep and, for the survival function, `at`, in updates; its variables
    say by `long_name` what they are. exits: the number of updates until each path left, (*sweep, path); -1 for one that stayed.
    """

    dataset: xr.Dataset
    exits: np.ndarray

    @property
    def stayed(self) -> list[str]:
        """The settings in which paths stayed, so that their mean is unknown, each in words."""
        return [
            f"{name or 'all paths'} ({share:.1%} stayed)"
            for name, part in self._settings()
            if (share := float(part["stayed"])) > 0
        ]

    def _settings(self) -> list[tuple[str, xr.Dataset]]:
        ds = self.dataset
        dims = [d for d in ds["updates"].dims]
        found = []
        for index in np.ndindex(*(ds.sizes[d] for d in dims)):
            part = ds.isel(dict(zip(dims, index, strict=True)))
            names = {k: part[k] for k in ds.coords if k != "at" and set(ds[k].dims) & set(dims) and ds[k].dtype.kind == "f"}
            found.append((", ".join(f"{k} {number(x)}" for k, x in names.items()), part))
        return found

    def __repr__(self) -> str:
        a = self.dataset.attrs
        n = len(self.stayed)
        left = f", {n} setting{'s' if n > 1 else ''} with paths that stayed" if n else ""
        return (
            f"Exits({a['program']}: {a['paths']:,} paths, at most {a['updates']:,} updates{left}, numbers {a['numbers'][:16]})"
        )

    def __str__(self) -> str:
        settings = self._settings()
        wide = max(12, *(len(name) for name, _ in settings))
        lines = [f"{'':{wide}} " + " ".join(f"{k:>11}" for k in SHOWN)]
        lines += [f"{name:{wide}} " + " ".join(f"{float(part[k]):>11.5g}" for k in SHOWN) for name, part in settings]
        if self.stayed:
            lines.append(
                f"No finite mean is known for {'; '.join(self.stayed)} after {self.dataset.attrs['updates']:,} updates: these "
                "paths are censored. restricted counts them at the last update; median and survival are Kaplan and Meier's; "
                "exponential assumes a constant rate"
            )
        return "\n".join([*lines, repr(self)])

    def to_pandas(self, form: Literal["wide", "long"] = "wide") -> pd.DataFrame:
        """A data frame with a row for each setting; form: "wide", or "long" with the columns `variable` and `value`."""
        ds = self.dataset
        rows = []
        for _, part in self._settings():
            fixed = {str(k): float(part[k]) for k in ds.coords if k != "at" and part[k].ndim == 0 and part[k].dtype.kind == "f"}
            rows.append({**fixed, **{k: float(part[k]) for k in (*SHOWN, "restricted_se")}})
        return saved.frame(rows, form, [str(k) for k in ds.coords])

    def plot(self, path: Any = None) -> Figure:
        """The mean exit over the swept parameter with theory's line, or, where none or several vary, the survival functions.

        Points are means with bars of 2 standard errors; open ones are restricted means of settings in which paths stayed,
        and so lower bounds. path: .png, .pdf or .svg, written if given.
        """
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        with rc_context(STYLE):
            figure = Figure(figsize=(7.2, 4.6), layout="constrained")
            axes = figure.add_subplot()
            if self.dataset["updates"].ndim == 1 and self.dataset["updates"].dims[0] in self.dataset.coords:
                self._over(axes, str(self.dataset["updates"].dims[0]))
            else:
                self._survival(axes)
            axes.set_title(
                f"leaving |w \N{MINUS SIGN} w(0)| < {number(self.dataset.attrs['limit'])}", loc="left", fontweight="bold"
            )
            axes.legend(fontsize=9)
        if path is not None:
            saved.write_figure(figure, picture("path", path))
        return figure

    def _over(self, axes: Any, along: str) -> None:
        ds = self.dataset.sortby(along)
        x, all_left = ds[along].values, ds["stayed"].values == 0
        look = {"linestyle": "none", "marker": "o", "capsize": 2, "color": colour(0, 2)}
        axes.errorbar(
            x[all_left], ds["updates"].values[all_left], 2 * ds["se"].values[all_left], label="mean, simulated", **look
        )
        if not all_left.all():
            low, bars = ds["restricted"].values[~all_left], 2 * ds["restricted_se"].values[~all_left]
            axes.errorbar(x[~all_left], low, bars, label="paths stayed: lower bound", markerfacecolor="white", **look)
        if np.isfinite(ds["theory"]).any():
            axes.plot(x, ds["theory"], "-", color=GREY, label="theory (diffusion, most unstable direction)")
        seen = np.concatenate([ds[k].values[np.isfinite(ds[k].values)] for k in ("updates", "restricted")])
        if seen.size and seen.min() > 0:
            axes.set_yscale("log")
            axes.set_ylim(seen.min() / 1.6, seen.max() * 1.6)
        axes.set(xlabel=LABELS.get(along, along), ylabel="updates until the exit")

    def _survival(self, axes: Any) -> None:
        settings = self._settings()
        for i, (name, part) in enumerate(settings):
            c = colour(i, len(settings))
            axes.step(
                part["at"],
                part["survival"],
                where="post",
                color=c,
                label=name or "simulated",
                marker=MARKS[i % 7],
                markevery=40,
            )
            axes.fill_between(
                part["at"], part["survival_low"], part["survival_high"], step="post", color=c, alpha=0.15, linewidth=0
            )
        axes.set(xlabel="updates", ylabel="share that has not left", ylim=(0, 1.02))


def exits(
    loss: Loss,
    rule: Rule,
    start: Any,
    *,
    limit: Numbers,
    steps: int,
    paths: int,
    executor: Executor | None,
    **options: Any,
) -> Exits:
    """See `samfast.exit_times`: the paths of a rule on a loss until they are farther than `limit` from their start."""
    import xarray as xr

    numbers("limit", limit, above=0.0, example=0.5)
    steps = integer("steps", steps, 1, 10_000)
    leaving = observe.exit_time(radius=limit)
    run = simulate(
        loss,
        rule,
        start,
        record=[steps],
        paths=paths,
        observe=leaving,
        stop=leaving,
        values=True,
        state=False,
        executor=executor,
        on_divergence="keep",
        **options,
    )
    left = to_host(run.values)[..., 0, :, 0].astype(float)
    at = np.unique(np.rint(np.linspace(0, steps, POINTS + 1)))
    curve = survival(left, at, last=float(steps))
    gone, bounded = left >= 0, np.where(left < 0, float(steps), left)
    count, inside = gone.sum(-1), bounded.sum(-1)
    whole = count == left.shape[-1]
    mean, error = bounded.mean(-1), bounded.std(-1, ddof=1) / np.sqrt(left.shape[-1]) if left.shape[-1] > 1 else np.nan
    half = np.sort(np.where(gone, left, np.inf), -1)[..., (left.shape[-1] - 1) // 2]
    with np.errstate(all="ignore"):
        columns = {
            "updates": np.where(whole, mean, np.nan),
            "se": np.where(whole, error, np.nan),
            "stayed": 1 - count / left.shape[-1],
            "restricted": mean,
            "restricted_se": error,
            "median": np.where(np.isfinite(half), half, np.nan),
            "exponential": np.where(count > 0, inside / np.maximum(count, 1), np.nan),
            "theory": _theory(loss, rule, start, run),
        }
    shown = run.dataset
    names = [d for d in shown["count"].dims if d != "time"]
    kept = {k: x for k, x in shown.coords.items() if "time" not in x.dims and "path" not in x.dims and k != "coordinate"}
    data: dict[str, Any] = {k: (names, np.broadcast_to(x, run.sweep), {"long_name": ABOUT[k]}) for k, x in columns.items()}
    for k, x in (("survival", curve.value), ("survival_low", curve.low), ("survival_high", curve.high)):
        data[k] = ((*names, "at"), x, {"long_name": ABOUT[k]})
    about = {
        "title": "first exits",
        "program": run.job.program.name,
        "paths": run.paths,
        "updates": steps,
        "limit": float(np.max(limit)),
        "seed": run.seed,
        **{k: v for k, v in provenance("", [run.job]).items() if k != "call"},
    }
    ds = xr.Dataset(data, {**kept, "at": ("at", at, {"units": "updates"})}, about)
    return Exits(ds.assign_attrs(numbers=fingerprint(ds)), left.astype(np.int64))


def _theory(loss: Loss, rule: Rule, start: Any, run: Run) -> np.ndarray:
    """The mean exit of the diffusion along the most unstable direction, in updates; nan where a formula does not apply.

    It applies from a critical point with a negative eigenvalue, to gd and SAM without normalisation and momentum, with noise
    sigma.
    """
    p, nothing = {**loss.params, **rule.params}, np.full(run.sweep, np.nan)
    known = rule.name in KNOWN and "sigma" in p and not loss.samples and np.ndim(start) == 1
    scalars = all(np.ndim(v) <= len(run.sweep) and not isinstance(v, PerPath) for v in rule.params.values())
    if (
        not known
        or not scalars
        or rule.vectors
        or any(np.ndim(getattr(v, "values", v)) > (k in loss.vectors) for k, v in loss.params.items())
    ):
        return nothing
    w = np.asarray(start, float)
    curvature = np.linalg.eigvalsh(loss.hessian(w))
    if curvature[0] >= 0 or float(np.abs(loss.gradient(w)).max()) > FLAT * float(np.abs(curvature).max()):
        return nothing
    lr, rho, sigma, limit = (
        np.broadcast_to(np.asarray(x, float), run.sweep) for x in (p["lr"], p.get("rho", 0.0), p["sigma"], run.params["radius"])
    )
    kappa = theory.curvature(curvature[0], rho=rho, drift="chain" if "_chain" in rule.name else "plain")
    if not (sigma > 0).all():
        return nothing
    return np.asarray(theory.mean_exit_time(limit, curvature=kappa, diffusion=lr * sigma**2 / 2)) / lr


KNOWN = tuple(f"{base}_{noise}" for base in ("gd", "sam") for noise in ("noisy_descent", "noisy_unit", "diffusion")) + tuple(
    f"sam_chain_{noise}" for noise in ("noisy_unit", "diffusion")
)
