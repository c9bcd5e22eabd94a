"""Shared by the experiments on Bartlett et al.: noise-free paths, normalised SAM on quadratics, and marks in pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...model.loss import Loss
from ...model.losses import quadratic
from ...model.rule import Rule
from ...model.rules import sam
from ...simulation.simulate import simulate
from .. import draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAPER = "Bartlett, Long, Bousquet"
ROUNDING = 1e-12  # allowed for float64 after some hundred updates, where lengths are about 1
BOX = {"frameon": True, "framealpha": 0.85, "edgecolor": "none"}  # look of a legend that lies over lines


def follow(loss: Loss, rule: Rule, starts: Any, record: Sequence[int]) -> np.ndarray:
    """Returns the positions of noise-free paths in float64, with the axes (*sweep, record, path, dim)."""
    run = simulate(
        loss,
        rule,
        np.atleast_2d(np.asarray(starts, float)),
        record=record,
        dtype="float64",
        values=True,
        state=False,
        shared_noise=False,
        on_divergence="keep",
    )
    assert run.values is not None
    return run.values


def bounce(eigenvalues: Any, starts: Any, record: Sequence[int], *, lr: Any, rho: Any) -> np.ndarray:
    """Returns the positions (*sweep, record, path, dim) of normalised SAM on a quadratic.

    eigenvalues: one array (dim,), or one for each setting of the sweep, (*sweep, dim).
    """
    return follow(quadratic(eigenvalues), sam(lr=lr, rho=rho, normalize=True), starts, record)


def hills(axes: Axes, value: Callable[[np.ndarray], Any], box: Any, *, log: bool = True, levels: int = 16) -> Any:
    """Draws contour lines of value(w) over a box on a pale ground, by default on a log scale; returns the filled contours."""
    x, y = (np.linspace(a, b, draw.FINE) for a, b in box)
    height = np.asarray(value(np.stack(np.meshgrid(x, y), -1)))
    edges = np.linspace(height.min(), height.max(), levels)
    if log:
        edges = float(height.max()) * 2.0 ** np.arange(1.0 - levels, 1.0)
    ground = axes.contourf(x, y, np.maximum(height, edges[0]), edges, cmap="Greys", alpha=0.3, norm="log" if log else "linear")
    axes.contour(x, y, height, edges, colors=draw.GREY, linewidths=0.4, linestyles="solid", alpha=0.6)
    draw.frame(axes, box)
    return ground


def minimum(axes: Axes) -> None:
    """Marks the minimum at 0 by a star."""
    axes.plot(0, 0, "*", color=draw.BLACK, markeredgecolor="white", markersize=12, zorder=6, label="minimum")


def two_cycle(axes: Axes, points: Any, **how: Any) -> None:
    """Marks the two points of a two-cycle by open diamonds."""
    x, y = np.asarray(points, float).T
    axes.plot(
        x,
        y,
        "D",
        **{
            "color": "black",
            "markerfacecolor": "none",
            "markersize": 8,
            "markeredgewidth": 1.4,
            "zorder": 6,
            "label": "two-cycle",
            **how,
        },
    )


def travelled(axes: Axes, w: np.ndarray, colour: Any, label: str, **how: Any) -> None:
    """Draws the iterates of a path w (time, 2) as dots joined by a thin line."""
    axes.plot(*w.T, **{"marker": ".", "color": colour, "linewidth": 0.9, "markersize": 5, "zorder": 4, "label": label, **how})
