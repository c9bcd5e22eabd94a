"""Basins of attraction: which attractor a path from each start of a grid reaches, and the share of starts of each."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import tracing as T
from ..checks import DivergenceWarning, check, integer, number, numbers, picture
from ..codegen.program import LIMIT
from ..model.critical_points import corners, critical_points
from ..model.loss import Loss, plain
from ..model.parameters import Box, Numbers, Parameters
from ..model.rule import Oracle, Rule
from ..plotting import GREY, STYLE, colour
from ..simulation.arguments import DType
from ..simulation.simulate import simulate
from .curvature import grid_axes

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

NOT_CLOSE, DIVERGED = -1, -2  # codes in Basins.index of starts whose paths reach no attractor
UNASSIGNED = 0.01  # `basins` warns if a larger share of the paths ends near no attractor
CLOSE = 0.01  # default of `within` for rules that come to rest, and the least default for others
MARGIN = 1.2  # factor on `bounce`, which is correct to first order only, while the motion about an attractor is chaotic
# |w^p - w| is taken at distance NEAR from a critical point. If it is below SMALL there, it vanishes with the gradient, as in
# SAM without normalisation, and the rule comes to rest.
NEAR, SMALL = 1e-6, 1e-3


@dataclass(frozen=True, eq=False)
class Basins:
    """The result of `basins`: which attractor the path from each start of a grid reaches."""

    index: np.ndarray  # (*shape,) row of the attractor in `attractors`, or NOT_CLOSE (-1), or DIVERGED (-2)
    axes: tuple[np.ndarray, ...]  # the coordinates of the grid, one array for each dimension
    attractors: np.ndarray  # (attractors, dim) their positions
    steps: int  # updates of each path
    within: np.ndarray  # (attractors,) a path reached an attractor if it ended closer to it than this length

    @property
    def not_close(self) -> float:
        """The share of the starts whose paths ended near no attractor."""
        return float((self.index == NOT_CLOSE).mean())

    @property
    def diverged(self) -> float:
        """The share of the starts whose paths diverged, i.e. have a coordinate beyond 1e75 or not finite at the end."""
        return float((self.index == DIVERGED).mean())

    @property
    def fractions(self) -> np.ndarray:
        """The share of the starts whose paths reached each attractor, shape (attractors,)."""
        return np.bincount(self.index[self.index >= 0].ravel(), minlength=len(self.attractors)) / self.index.size

    @property
    def dataset(self) -> xr.Dataset:
        """The map as an xarray.Dataset with dimensions w0, w1, ..., attractor and coordinate."""
        import xarray as xr

        names = [f"w{i}" for i in range(len(self.axes))]
        return xr.Dataset(
            {
                "index": (names, self.index, {"long_name": f"attractor reached, {NOT_CLOSE}: near none, {DIVERGED}: diverged"}),
                "fraction": ("attractor", self.fractions),
                "position": (("attractor", "coordinate"), self.attractors),
                "within": ("attractor", self.within, {"units": "length"}),
            },
            {n: (n, a, {"units": "length"}) for n, a in zip(names, self.axes, strict=True)},
            {"steps": self.steps},
        )

    def __repr__(self) -> str:
        shares = ", ".join(
            f"{f:.4f} within {r:.3g} of {np.round(a, 4).tolist()}"
            for f, r, a in zip(self.fractions, self.within, self.attractors, strict=True)
        )
        left = f"{self.not_close:.4f} near none, {self.diverged:.4f} diverged"
        return f"Basins({self.index.shape} starts, {self.steps:,} steps: {shares}; {left})"

    def plot(self, path: Any = None) -> Figure:
        """Draw the map of a two-dimensional grid and return the figure, which is also saved to `path` if that is given.

        Each attractor has a colour. Starts whose paths ended near none are grey, those of diverged paths white. Raises
        ValueError for a map of other than two dimensions.
        """
        check(len(self.axes) == 2, f"plot: the map has {len(self.axes)} dimensions; it draws two")
        from matplotlib import rc_context
        from matplotlib.colors import ListedColormap
        from matplotlib.figure import Figure

        n = len(self.attractors)
        colours = [colour(i, n) for i in range(n)]
        labels = [
            (f"({', '.join(f'{x:.3g}' for x in a)}): {f:.1%}", c)
            for a, f, c in zip(self.attractors, self.fractions, colours, strict=True)
        ]
        labels += [(f"near none: {self.not_close:.1%}", GREY)] if self.not_close else []
        labels += [(f"diverged: {self.diverged:.1%}", "white")] if self.diverged else []
        with rc_context(STYLE):
            figure = Figure(figsize=(6.4, 4.8), layout="constrained")
            axes = figure.add_subplot()
            axes.grid(False)
            shades = ListedColormap(["white", GREY, *colours])
            axes.pcolormesh(*self.axes, self.index.T, cmap=shades, vmin=DIVERGED - 0.5, vmax=n - 0.5)
            for label, c in labels:
                axes.plot([], [], "s", color=c, markeredgecolor=GREY, label=label)
            axes.plot(*self.attractors.T, "o", color="white", markeredgecolor="black")
            axes.set(xlabel="$w_0$  (length)", ylabel="$w_1$  (length)", title=f"where paths are after {self.steps:,} updates")
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), title="share of the starts")
            if path is not None:
                figure.savefig(picture("path", path), dpi=150)
        return figure


def basins(
    loss: Loss,
    rule: Rule,
    box: Box,
    *,
    shape: Sequence[int] = (1000, 1000),
    steps: int = 10_000,
    attractors: Numbers | None = None,
    within: float | None = None,
    seed: int = 0,
    dtype: DType = "float64",
    executor: Executor | None = None,
) -> Basins:
    """Start a rule on every point of a grid and see which attractor each path is close to after `steps` updates.

    box: (low, high) for each coordinate, ends included. shape: the number of starts along each coordinate.
    attractors: positions, an array (attractors, dim); by default the critical points found in the box.
    within: a length; a path belongs to the nearest of the attractors to which it ends closer than this. The default is 0.01,
    or 1.2 times the length of a step of normalised SAM (see `bounce`) where that is longer, because SAM bounces about the
    attractor and need not come closer; but it is at most half the distance to the next attractor (and at least 0.01).
    The index of a start is -1 if its path ended near no attractor and -2 if it diverged.

    Warns (RuntimeWarning) if more than 1 % of the paths end near no attractor. Raises ValueError for a loss with several values
    of a parameter or with random samples, for a rule with a sweep, and if no critical point is found in the box.
    """
    plain(loss)
    Rule.checked("rule", rule)
    given = None if within is None else number("within", within, above=0.0, example=0.01)
    low, high = corners(box, loss.dim)
    axes = grid_axes(low, high, shape)
    if attractors is None:
        found = critical_points(loss, box)
        check(len(found) > 0, "attractors: no critical point was found in the box; give attractors=")
        attractors = np.array([c.position for c in found])
    centres = np.asarray(numbers("attractors", attractors), float)
    check(
        centres.ndim == 2 and centres.shape[1] == loss.dim,
        f"attractors has shape {centres.shape}: give (attractors, {loss.dim})",
    )
    close = within_of(loss, rule, centres) if given is None else given
    radii = np.broadcast_to(np.asarray(close, float), len(centres))
    start = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, loss.dim)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        run = simulate(
            loss, rule, start, record=[integer("steps", steps, 1, 10_000)], seed=seed, dtype=dtype, executor=executor
        )
    check(run.sweep == (), f"rule: it sweeps over {run.sweep}; give single numbers")
    end = run.final("w").astype(float)
    with np.errstate(all="ignore"):
        away = np.stack([np.linalg.norm(end - c, axis=-1) for c in centres], -1)
    inside = np.where(away < radii, away, np.inf)  # nan < radius is False, so a path that ended at nan is in no basin
    index = np.where(np.isfinite(inside.min(-1)), inside.argmin(-1), NOT_CLOSE)
    index[~(np.abs(end).max(-1) < LIMIT)] = DIVERGED
    made = Basins(index.reshape([len(a) for a in axes]), axes, centres, int(steps), radii)
    if made.not_close > UNASSIGNED:
        nearest = float(np.median(away[index == NOT_CLOSE].min(-1)))
        warnings.warn(
            f"{made.not_close:.1%} of the starts end near no attractor, half of them within {nearest:.3g} of one: give "
            "within= if they bounce about it, more steps if they still move, or attractors= if one is missing",
            RuntimeWarning,
            stacklevel=2,
        )
    return made


def bounce(loss: Loss, rule: Rule, point: np.ndarray) -> float:
    r"""The length of a step of normalised SAM beside a critical point, :math:`\eta\,G\max(1, 1/|2-\eta\lambda|)`.

    Normalised SAM does not come to rest, because it takes the gradient at distance rho from w however close w is to the
    point. For an eigenvalue lambda of the Hessian, G is the largest of :math:`\rho|\lambda|` and the lengths of the gradients
    at distance rho from the point, on both sides along the eigenvector. The result is the root of the sum of squares over all
    eigenvectors. On a quadratic loss of one coordinate the path alternates between +-lr*rho*lambda/(2 - lr*lambda) (see
    theory.two_cycle_amplitude).

    point: shape (dim,). Returns a length, 0 for rules that come to rest at the point.
    """
    if rule.perturbed is None:
        return 0.0
    lr, (values, vectors) = float(rule.params["lr"]), np.linalg.eigh(loss.hessian(point))
    radius = _radius(loss, rule, point + NEAR * np.ones(loss.dim) / np.sqrt(loss.dim))
    with np.errstate(all="ignore"):
        sides = np.array([np.linalg.norm(loss.gradient(point + s * radius * vectors.T), axis=-1) for s in (-1, 1)])
        steepest = np.where(np.isfinite(sides), sides, 0.0).max(0)  # the loss may be undefined at distance rho
        sizes = lr * np.maximum(radius * np.abs(values), steepest) * np.maximum(1.0, 1 / np.abs(2 - lr * values))
    return float(np.linalg.norm(sizes)) if radius > SMALL else 0.0


def _radius(loss: Loss, rule: Rule, w: np.ndarray) -> float:
    """The distance |w^p - w| between w and the perturbed point of a SAM rule."""
    symbols, names = loss.symbols()[0], {**loss.params, **rule.params}
    values = {k: T.Vector(T.lift(float(x)) for x in v) if np.ndim(v) else T.lift(float(v)) for k, v in names.items()}
    p = Parameters(f"the loss {loss.name!r} with the rule {rule.name!r}", values)
    assert rule.perturbed is not None
    moved = list(rule.perturbed(symbols, Oracle(lambda u: loss.trace(u, p)), p))
    at = T.evaluate(moved, {s.args[0]: x for s, x in zip(symbols, w, strict=True)})
    return float(np.linalg.norm(np.array(at, float) - w))


def within_of(loss: Loss, rule: Rule, centres: np.ndarray) -> np.ndarray:
    """The default of `within`, one length for each attractor."""
    if any(np.ndim(getattr(v, "values", v)) for v in rule.params.values()) or loss.samples:
        return np.full(len(centres), CLOSE)  # `bounce` needs one value of each parameter
    gaps = np.linalg.norm(centres[:, None] - centres, axis=-1) + np.where(np.eye(len(centres)), np.inf, 0.0)
    sizes = np.array([max(CLOSE, MARGIN * bounce(loss, rule, c)) for c in centres])
    return np.minimum(sizes, np.maximum(CLOSE, gaps.min(-1) / 2))
