"""The picture of a density, with the histogram of paths beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import check
from ..plotting import COLOURS, GREY, STYLE
from ..stats.distribution import histogram

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 60  # of a histogram along a coordinate, about


def draw(law: Any, i: int, values: np.ndarray | None) -> Figure:
    """One panel for a density of one coordinate; in the plane one for the density and one for the paths."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if values is not None:
        values = values[:, None] if values.ndim == 1 and law.dim == 1 else values
        check(
            values.ndim == 2 and values.shape[-1] == law.dim and len(values) > 0,
            f"values has shape {values.shape}: give (paths, {law.dim})",
        )
    with rc_context(STYLE):
        many = 1 + (law.dim == 2 and values is not None)
        figure = Figure(figsize=(6.4 if many == 1 else 9.6, 4.4), layout="constrained")
        panels = figure.subplots(1, many, squeeze=False, sharex=True, sharey=True)[0]
        when = f"t = {law.times[i]:g}, mass {float(law.mass[i]):.4g}"
        if law.dim == 1:
            _line(panels[0], law, i, values)
            panels[0].set_title(when, loc="left", fontsize=10)
        else:
            density = law.density[i]
            shades = surface(panels[0], law.edges, density, float(density.max()))
            panels[0].set_title(f"density, {when}", loc="left", fontsize=10)
            if values is not None:
                edges = [binned(e) for e in law.edges]
                panels[1].set_title(f"{len(values):,} paths", loc="left", fontsize=10)
                surface(panels[1], edges, share(values, edges), float(density.max()))
            figure.colorbar(shades, ax=list(panels), label="density  (1/length²)")
    return figure


def binned(edges: np.ndarray) -> np.ndarray:
    """Edges of about BINS bins, each of whole cells."""
    cells = len(edges) - 1
    together = max((k for k in range(1, max(1, cells // BINS) + 1) if cells % k == 0), default=1)
    return edges[::together]


def share(values: np.ndarray, edges: Any) -> np.ndarray:
    """The share of the paths in each bin over its area; paths that are not finite count as outside."""
    area = np.multiply.outer(*(np.diff(e) for e in edges))
    return np.histogramdd(values[np.isfinite(values).all(-1)], edges)[0] / len(values) / area


def surface(axes: Any, edges: Any, density: np.ndarray, most: float, *, power: float = 1.0) -> Any:
    """A map of a density of the plane, with colours by a power of it; returns what a colour bar needs."""
    from matplotlib.colors import PowerNorm

    axes.grid(False)
    shades = axes.pcolormesh(*edges, density.T, cmap="viridis", norm=PowerNorm(power, 0.0, most))
    axes.set(xlabel="$w_0$  (length)", ylabel="$w_1$  (length)")
    return shades


def _line(axes: Any, law: Any, i: int, values: np.ndarray | None) -> None:
    edges = law.edges[0]
    if values is not None:
        bins = binned(edges)
        seen = histogram(values[:, 0], bins)
        lost = float(seen.count) / len(values)
        axes.stairs(np.asarray(seen.density) * lost, bins, fill=True, color=GREY, alpha=0.3, label=f"{len(values):,} paths")
    axes.plot((edges[1:] + edges[:-1]) / 2, law.density[i], color=COLOURS[0], label="density")
    axes.set(xlabel="$w_0$  (length)", ylabel="density  (1/length)")
    axes.legend()
