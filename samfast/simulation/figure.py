"""The picture of a run: a map over two swept parameters, a curve over one, or the course in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import check, real_array
from ..plotting import FARTHEST, STYLE, colour
from .dataset import Recorded, run_dataset

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SPAN = 100.0  # positive numbers that span more than this factor get a logarithmic scale


def draw(run: Recorded, feature: str, boundary: Any) -> Figure:
    """See `Run.plot`."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    at = run.labels.index(feature)
    mean, error = run.mean[..., at], run.std_error[..., at]
    dims = [str(d) for d in run_dataset(run, host=True)["count"].dims if d != "time"]
    coords = run_dataset(run, host=True).coords
    wide = [i for i, n in enumerate(run.sweep) if n > 1]
    check(
        len(wide) <= 2, f"plot: the sweep has the shape {run.sweep}, and a picture has room for two parameters; run two of them"
    )
    try:
        boundary = np.where(boundary, 1, -1) if np.asarray(boundary).dtype == bool else boundary
    except ValueError:
        pass  # a ragged list, of which the next line says so
    line = None if boundary is None else real_array("boundary", boundary)
    if line is not None:
        check(
            len(wide) == 2 and line.shape == run.sweep,
            f"boundary has shape {line.shape}: give an array of the sweep's shape {run.sweep}, with two parameters",
        )
    with rc_context(STYLE):
        figure = Figure(figsize=(6.8, 4.8), layout="constrained")
        axes = figure.add_subplot()
        values = [np.asarray(coords[dims[i]], float) if dims[i] in coords else np.arange(run.sweep[i]) for i in wide]
        names = [dims[i] for i in wide]
        title = f"mean of {feature} after {int(run.record[-1]):,} updates"
        if len(wide) == 2:
            shape = [run.sweep[i] for i in wide]
            _map(figure, axes, values, mean[..., -1].reshape(shape), None if line is None else line.reshape(shape))
            axes.set(xlabel=names[0], ylabel=names[1])
        elif wide:
            axes.errorbar(values[0], mean[..., -1].ravel(), 2 * error[..., -1].ravel(), fmt="o-", capsize=2, color=colour(0, 1))
            axes.set(xlabel=names[0], ylabel=feature)
        else:
            y, e = mean.reshape(-1), 2 * np.nan_to_num(error.reshape(-1))
            axes.plot(run.record, y, "o-", color=colour(0, 1), markersize=4)
            axes.fill_between(run.record, y - e, y + e, color=colour(0, 1), alpha=0.2, linewidth=0)
            axes.set(xlabel="updates", ylabel=feature)
            title = f"mean of {feature}, band of 2 standard errors"
        axes.set_title(title, loc="left", fontweight="bold")
    return figure


def _map(figure: Figure, axes: Axes, values: list[np.ndarray], z: np.ndarray, line: np.ndarray | None) -> None:
    """Colours over a grid; the line runs where `boundary` changes its sign. Paths that ran away are grey."""
    from matplotlib.colors import LogNorm

    order = [np.argsort(v) for v in values]
    x, y = (v[o] for v, o in zip(values, order, strict=True))
    z = np.where(np.isfinite(z), z, np.nan)[np.ix_(*order)]
    seen = z[np.isfinite(z)]
    log = seen.size > 0 and seen.min() > 0 and seen.max() > SPAN * seen.min()
    typical = float(np.median(seen)) if log else 1.0
    norm = LogNorm(max(seen.min(), typical / FARTHEST**2), min(seen.max(), typical * FARTHEST**2)) if log else None
    axes.grid(False)
    axes.set_facecolor("#DDDDDD")
    figure.colorbar(axes.pcolormesh(x, y, z.T, norm=norm, cmap="viridis", shading="nearest"), label="mean")
    if line is not None:
        signs = line[np.ix_(*order)]
        axes.contour(x, y, signs.T, levels=[0.0], colors="white", linewidths=3.0)
        axes.contour(x, y, signs.T, levels=[0.0], colors="black", linewidths=1.4)
        axes.plot([], [], "-", color="black", label="theory's boundary")
        axes.legend(loc="upper right", frameon=True, fontsize=9)
