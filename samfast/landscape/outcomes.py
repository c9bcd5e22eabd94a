"""Outcomes: where the paths of any rule are in the end, sorted by the critical points that they are near."""

from __future__ import annotations

import warnings
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import to_host
from ..checks import DivergenceWarning, check, integer, numbers, picture
from ..codegen.program import LIMIT
from ..model.critical_points import CriticalPoint, corners, critical_points
from ..model.loss import Loss, plain
from ..model.parameters import Box, PerPath
from ..model.rule import Rule
from ..plotting import STYLE, colour
from ..simulation.arguments import Device, DType, Point
from ..simulation.progress import Progress
from ..simulation.run import Run
from ..simulation.simulate import simulate
from .basins import CLOSE, within_of

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

AWAY, MOVING, DIVERGED = -3, -2, -1  # codes in Outcomes.index of paths that are near no point; names[index] is the state
WORDS = {AWAY: "away", MOVING: "moving", DIVERGED: "diverged"}
WIDE = 3.0  # standard deviations of the stationary noise about a minimum that still count as near it


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The result of `outcomes`: the state of each path after the last update."""

    index: np.ndarray  # (*sweep, path) row of `points`, or AWAY (-3), MOVING (-2), DIVERGED (-1)
    points: tuple[CriticalPoint, ...]  # the critical points in the box
    within: np.ndarray  # (*sweep, points) a path is at a point if it ended closer to it than this length
    run: Run  # the simulation, with the final states

    @property
    def names(self) -> tuple[str, ...]:
        """The states: each point by kind and position, then "away", "moving" and "diverged"."""
        points = [f"{c.kind} ({', '.join(f'{x:.3g}' for x in c.position + 0.0)})" for c in self.points]
        return (*points, *WORDS.values())

    @property
    def shares(self) -> np.ndarray:
        """The share of the paths in each state, (*sweep, state)."""
        codes = [*range(len(self.points)), *WORDS]
        return np.stack([(self.index == c).mean(-1) for c in codes], -1)

    @property
    def dataset(self) -> xr.Dataset:
        """Shares with their standard errors as an xarray.Dataset, over the dimensions of the sweep and `state`."""
        import xarray as xr

        shown = self.run.dataset
        names = [d for d in shown["count"].dims if d != "time"]
        kept = {k: x for k, x in shown.coords.items() if not {"time", "path", "coordinate"} & {*x.dims, k}}
        share = self.shares
        error = np.sqrt(share * (1 - share) / self.index.shape[-1])
        data = {"share": ((*names, "state"), share), "se": ((*names, "state"), error)}
        return xr.Dataset(
            data, {**kept, "state": list(self.names)}, {"paths": self.run.paths, "updates": int(self.run.record[-1])}
        )

    def __str__(self) -> str:
        ds = self.dataset
        if ds["share"].ndim == 1:
            lines = [f"{name:<28} {x:.4f}" for name, x in zip(self.names, self.shares, strict=True)]
            return "\n".join([*lines, repr(self)])
        table = ds["share"].to_series().unstack("state")[list(self.names)]
        return f"{table.to_string(float_format=lambda x: f'{x:.4f}')}\n{self!r}"

    def __repr__(self) -> str:
        return f"Outcomes({self.run.job.program.name}: {self.run.paths:,} paths after {int(self.run.record[-1]):,} updates)"

    def plot(self, path: Any = None) -> Figure:
        """The shares over the swept parameter, with bars of 2 standard errors; without a sweep, as a bar for each state.

        path: a file that is written if given. Raises ValueError for a sweep over several parameters.
        """
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        ds = self.dataset
        check(ds["share"].ndim <= 2, f"plot: the sweep has {ds['share'].ndim - 1} dimensions; it draws one")
        seen = [i for i in range(len(self.names)) if bool((self.shares[..., i] > 0).any())]
        with rc_context(STYLE):
            figure = Figure(figsize=(7.2, 4.6), layout="constrained")
            axes = figure.add_subplot()
            share, error = ds["share"].values, 2 * ds["se"].values
            if share.ndim == 1:
                axes.barh(
                    [self.names[i] for i in seen],
                    share[seen],
                    xerr=error[seen],
                    color=[colour(i, len(seen)) for i in range(len(seen))],
                )
                axes.set(xlabel="share of the paths", xlim=(0, 1.02))
            else:
                along = str(ds["share"].dims[0])
                x = ds[along].values if along in ds.coords else np.arange(share.shape[0])
                for n, i in enumerate(seen):
                    axes.errorbar(
                        x, share[:, i], error[:, i], fmt="o-", capsize=2, color=colour(n, len(seen)), label=self.names[i]
                    )
                axes.set(xlabel=along, ylabel="share of the paths", ylim=(-0.02, 1.02))
                axes.legend(fontsize=9)
            axes.set_title(f"where paths are after {int(self.run.record[-1]):,} updates", loc="left", fontweight="bold")
            if path is not None:
                figure.savefig(picture("path", path), dpi=150)
        return figure


def outcomes(
    loss: Loss,
    rule: Rule,
    start: Point,
    *,
    steps: int,
    box: Box,
    paths: int | None = None,
    within: float | None = None,
    seed: int | None = 0,
    dtype: DType = "mixed",
    device: Device | None = None,
    executor: Executor | None = None,
    progress: Progress = None,
) -> Outcomes:
    """Sort paths by where they are after `steps` updates: at which minimum or saddle, away, still moving, or diverged.

    loss, rule, start, paths and the other arguments are those of `simulate`; noise, momentum and sweeps of the rule included.
    box: (low, high) for each coordinate. The critical points in it are the candidates. A path is *at* the nearest point to
    which it is closer than `within`, both at the end and a tenth of the updates earlier; else it is *diverged* if a coordinate
    is beyond 1e75 or not finite, *away* if it is outside the box, and otherwise *moving*.

    within: a length; by default, for each point, 0.01, or 1.2 times the bounce of normalised SAM (see `basins`), or 3 standard
    deviations of the noise about it, sigma*sqrt(lr/(2|kappa|(1 - momentum))) with kappa = eigenvalue (1 + rho eigenvalue),
    whichever is largest, but at most half the distance to the next point. Raises ValueError where the box holds no critical
    point.
    """
    plain(loss)
    Rule.checked("rule", rule)
    check(
        within is None or np.ndim(numbers("within", within, above=0.0, example=0.05)) == 0,
        f"within={within!r:.60}: give one number",
    )
    low, high = corners(box, loss.dim)
    points = tuple(critical_points(loss, box))
    check(len(points) > 0, "box: no critical point was found in it; give a box that holds the minima and saddles")
    last = integer("steps", steps, 1, 10_000)
    before = last - max(1, last // 10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        run = simulate(
            loss,
            rule,
            start,
            record=[before, last],
            paths=paths,
            seed=seed,
            dtype=dtype,
            device=device,
            values=True,
            state=False,
            executor=executor,
            progress=progress,
        )
    w = np.moveaxis(to_host(run.values), len(run.sweep), 0).astype(float)  # (2, *sweep, path, dim)
    centres = np.array([c.position for c in points])
    radii = np.full((*run.sweep, len(points)), within) if within is not None else _within(loss, rule, points, run)
    with np.errstate(all="ignore"):
        away = np.stack([np.linalg.norm(w - c, axis=-1) for c in centres], -1)
        near = (away < radii[..., None, :]).all(0)
        outside = ((w[1] < low) | (w[1] > high)).any(-1)
        lost = ~(np.abs(w[1]).max(-1) < LIMIT)
    at = np.where(near, away[1], np.inf)
    index = np.where(near.any(-1), at.argmin(-1), np.where(lost, DIVERGED, np.where(outside, AWAY, MOVING)))
    return Outcomes(index, points, radii, replace(run, values=None))


def _within(loss: Loss, rule: Rule, points: tuple[CriticalPoint, ...], run: Run) -> np.ndarray:
    """The default of `within` for every setting and point."""
    centres = np.array([c.position for c in points])
    gaps = np.linalg.norm(centres[:, None] - centres, axis=-1) + np.where(np.eye(len(centres)), np.inf, 0.0)
    scalars = {k: np.asarray(v, float) for k, v in rule.params.items() if not isinstance(v, PerPath)}
    if rule.vectors or len(scalars) < len(rule.params):
        return np.full((*run.sweep, len(points)), CLOSE)
    each = {k: np.broadcast_to(v, run.sweep).ravel() for k, v in scalars.items()}
    out = []
    for i in range(int(np.prod(run.sweep))):
        p = {k: float(v[i]) for k, v in each.items()}
        gain = p.get("lr", 0.0) / (2 * (1 - p.get("momentum", 0.0)))
        rho = p.get("rho", 0.0) if "normalized" not in rule.name else 0.0
        least = np.array([np.abs(c.eigenvalues * (1 + rho * c.eigenvalues)).min() for c in points])
        with np.errstate(all="ignore"):
            noise = WIDE * p.get("sigma", 0.0) * np.sqrt(gain / least)
        out.append(np.fmax(within_of(loss, rule.replace(**p), centres), np.where(np.isfinite(noise), noise, 0.0)))
    return np.minimum(np.array(out).reshape(*run.sweep, len(points)), np.maximum(CLOSE, gaps.min(-1) / 2))
