"""Which attractor each start of a grid reaches, and the share of the starts that each captures."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..checks import DivergenceWarning, check, integer, numbers
from ..model.critical_points import corners, critical_points
from ..model.loss import Loss
from ..model.parameters import Box, Numbers
from ..model.rule import Rule
from ..simulation.arguments import DType
from ..simulation.simulate import simulate
from .curvature import grid_axes

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, eq=False)
class Basins:
    """Which attractor each start of a grid reaches."""

    index: np.ndarray  # (*shape,) number of the attractor, -1 for none
    axes: tuple[np.ndarray, ...]  # the coordinates of the grid
    attractors: np.ndarray  # (attractors, dim)
    steps: int

    @property
    def fractions(self) -> np.ndarray:
        """The share of the starts that each attractor captures, (attractors,)."""
        return np.bincount(self.index[self.index >= 0].ravel(), minlength=len(self.attractors)) / self.index.size

    @property
    def dataset(self) -> xr.Dataset:
        """The map as an xarray.Dataset with dimensions w0, w1, ... and attractor."""
        import xarray as xr

        names = [f"w{i}" for i in range(len(self.axes))]
        return xr.Dataset(
            {
                "index": (names, self.index, {"long_name": "attractor reached, -1 for none"}),
                "fraction": ("attractor", self.fractions),
                "position": (("attractor", "coordinate"), self.attractors),
            },
            {n: (n, a, {"units": "length"}) for n, a in zip(names, self.axes, strict=True)},
            {"steps": self.steps},
        )

    def __repr__(self) -> str:
        shares = ", ".join(
            f"{f:.4f} to {np.round(a, 4).tolist()}" for f, a in zip(self.fractions, self.attractors, strict=True)
        )
        return f"Basins({self.index.shape} starts, {self.steps:,} steps: {shares}, {1 - self.fractions.sum():.4f} elsewhere)"


def basins(
    loss: Loss,
    rule: Rule,
    box: Box,
    *,
    shape: Sequence[int] = (1000, 1000),
    steps: int = 10_000,
    attractors: Numbers | None = None,
    within: float = 0.01,
    seed: int = 0,
    dtype: DType = "float64",
    executor: Executor | None = None,
) -> Basins:
    """Start a rule on every point of a grid and see which attractor each path is close to after `steps` updates.

    box: (low, high) for each coordinate, ends included. attractors: array (attractors, dim); default: all critical
    points found in the box. within: a path belongs to the nearest attractor if it ends closer than this; the others,
    and those that diverged, get -1.
    """
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
    numbers("within", within, above=0.0, example=0.01)
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
    index = np.where(away.min(-1) < within, away.argmin(-1), -1)  # not a number is not within
    return Basins(index.reshape([len(a) for a in axes]), axes, centres, int(steps))
