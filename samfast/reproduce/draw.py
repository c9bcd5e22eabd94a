"""Parts that the pictures of the experiments share.

Only matplotlib's object interface is used, so that a picture can be drawn in any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from ..model.loss import Loss
from ..plotting import COLOURS, GREY, STYLE, TIME

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, RED, GREEN, PINK, SKY, ORANGE, BLACK = COLOURS
CLOCK = TIME  # label of a time axis
CRITICAL = {"minimum": "*", "saddle": "X", "maximum": "^", "degenerate": "d"}
LOOK = {
    **STYLE,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "legend.fontsize": 8.5,
    "pdf.fonttype": 42,
}
FINE = 401  # points along each axis at which a background is computed
CAPTION = 9.0  # font size
CHARACTERS = 15.2  # that a caption has in one inch


def styled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator that gives everything a function draws the look of the library."""

    @wraps(function)
    def inside(*args: Any, **how: Any) -> Any:
        import matplotlib

        with matplotlib.rc_context(LOOK):
            return function(*args, **how)

    return inside


def panels(rows: int, columns: int, size: tuple[float, float], caption: str = "", **how: Any) -> tuple[Figure, np.ndarray]:
    """Returns a figure and its axes (rows, columns). The caption below names the settings that the paper leaves open."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **how)
    if caption:
        write(figure, caption)
    return figure, axes


def write(figure: Figure, caption: str) -> None:
    """Writes a caption below a figure."""
    figure.supxlabel(fill(caption, int(CHARACTERS * figure.get_figwidth())), fontsize=CAPTION, color=GREY, x=0.01, ha="left")


def contours(axes: Axes, loss: Loss, box: Any, *, levels: int = 24, label: str | None = "loss") -> None:
    """Draws the loss over a box in two dimensions as filled contours on a log scale, with a colour bar."""
    from matplotlib.colors import LogNorm

    (a, b), (c, d) = box
    x, y = np.linspace(a, b, FINE), np.linspace(c, d, FINE)
    value = np.asarray(loss.value(np.stack(np.meshgrid(x, y), -1)))
    low, high = float(value[value > 0].min()), float(value.max())
    edges = np.geomspace(max(low, high * 1e-9), high, levels)
    shown = axes.contourf(
        x, y, np.clip(value, edges[0], edges[-1]), edges, norm=LogNorm(edges[0], edges[-1]), cmap="Greys", alpha=0.55
    )
    axes.contour(x, y, value, edges, colors="white", linewidths=0.4, alpha=0.7)
    if label:
        bar = axes.figure.colorbar(shown, ax=axes, pad=0.01, fraction=0.04)
        _ticks(bar, edges[0], edges[-1])
        bar.set_label(label)
    frame(axes, box)


def _ticks(bar: Any, low: float, high: float) -> None:
    """Puts ticks at powers of ten, and at 2 and 5 times them if there are few."""
    powers = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    few = len(powers) < 5
    ticks = np.outer(10.0**powers, [1, 2, 5] if few else [1])[:: 1 + len(powers) // 9].ravel()
    ticks = ticks[(ticks >= low) & (ticks <= high)]
    bar.set_ticks(ticks.tolist(), labels=[f"{t:g}" for t in ticks] if few else None)
    bar.minorticks_off()


def frame(axes: Axes, box: Any) -> None:
    """Makes the axes show the box, with the names of the coordinates and without a grid."""
    (a, b), (c, d) = box
    axes.set(xlim=(a, b), ylim=(c, d), xlabel="x", ylabel="y")
    axes.grid(False)


def critical(axes: Axes, points: Iterable[Any]) -> None:
    """Marks critical points by stars (minima), crosses (saddles), ...; each kind stands once in the legend."""
    named: set[str] = set()
    for point in points:
        axes.plot(
            *point.position,
            CRITICAL[point.kind],
            color=BLACK,
            markeredgecolor="white",
            zorder=6,
            linestyle="none",
            markersize=15 if point.kind == "minimum" else 11,
            label=point.kind if point.kind not in named else None,
        )
        named.add(point.kind)


def start(axes: Axes, position: Any, **how: Any) -> None:
    """Marks a start by an open circle."""
    axes.plot(
        *position, "o", **{"color": BLACK, "markerfacecolor": "white", "markersize": 7, "zorder": 7, "label": "start", **how}
    )


def thin(n: int, most: int = 2000) -> np.ndarray:
    """Returns the indices of at most `most` of n rows, first and last included, to keep a line or a table short."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
