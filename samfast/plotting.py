"""The look of every picture: colours, marks, axes. matplotlib's object interface only: any thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette without its yellow, which vanishes on white; all pairs differ for colour-blind readers
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKS = "osD^vPX"
GREY = "#666666"
FARTHEST = 1e4  # a ratio beyond it, or below its inverse, only flattens the others
PALE = 0.72  # share of light grey in the colour of a theorem outside its range
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
}
TIME = "time t = learning rate \N{MULTIPLICATION SIGN} updates"


def colour(i: int, many: int) -> Any:
    """The colour of setting number i of `many`."""
    if many <= len(COLOURS):
        return COLOURS[i]
    from matplotlib import colormaps

    return colormaps["viridis"](0.92 * i / (many - 1))


def pale(c: Any) -> Any:
    """A colour mixed with grey, for the curve of a theorem outside its range."""
    from matplotlib.colors import to_rgb

    return tuple(PALE * 0.76 + (1 - PALE) * x for x in to_rgb(c))


def dashed(axes: Axes, x: np.ndarray, y: np.ndarray, good: np.ndarray, c: Any, style: str = "--") -> None:
    """A theorem: in colour where it is valid, pale elsewhere; both reach the point between."""
    y = drawn(y)
    edge = good | np.append(good[1:], False) | np.append(False, good[:-1])
    axes.plot(x, np.where(good, np.nan, y), style, color=pale(c), linewidth=1.2)
    axes.plot(x, np.where(edge, y, np.nan) if good.any() else np.nan * y, style, color=c, linewidth=1.2)


def drawn(x: np.ndarray) -> np.ndarray:
    """The numbers, nan where a log axis with its margins could not show them."""
    return np.where((x > 1e-250) & (x < 1e250), x, np.nan)


def log_axes(axes: Axes, t: np.ndarray, y: np.ndarray) -> None:
    """Log axes, where there is something to show on them."""
    seen = t[t > 0]
    if seen.size:
        margin = max(1.2, (seen[-1] / seen[0]) ** 0.05)
        axes.set_xscale("log")
        axes.set_xlim(seen[0] / margin, seen[-1] * margin)
    if np.isfinite(drawn(y)).any():
        axes.set_yscale("log")


def around_one(axes: Axes, ratio: np.ndarray) -> None:
    """An axis of ratios: linear near 1, logarithmic beyond; what is off by more than FARTHEST has no place on it."""
    axes.axhline(1, color=GREY, linewidth=0.8)
    seen = ratio[np.isfinite(ratio)]
    off = float(np.max(np.abs(seen - 1), initial=0.0))
    if off < 0.5:
        axes.set_ylim(1 - max(0.01, 1.4 * off), 1 + max(0.01, 1.4 * off))
        return
    low, high = min(0.6, max(float(seen.min()), 1 / FARTHEST) / 1.6), max(1.6, min(float(seen.max()), FARTHEST) * 1.6)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    if high / low < 50:
        _plain_ticks(axes, low, high)


def _plain_ticks(axes: Axes, low: float, high: float) -> None:
    """0.5, 1, 2, 5 where powers of ten would be too few."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

    marks = [m * 10.0**e for e in range(-3, 4) for m in (1, 2, 5)]
    axes.yaxis.set_major_locator(FixedLocator([x for x in marks if low <= x <= high]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def one_artist_for_small_ticks(figure: Figure) -> None:
    """Replaces the small ticks of each log axis, often 80 objects of 2 ms each, by one artist that draws the same marks.

    Axes whose small ticks have labels, since their range has few powers of ten, stay as they are.
    """
    from matplotlib.ticker import NullLocator

    found = []
    for axes in figure.axes:
        axes.get_xlim(), axes.get_ylim()  # they bring the limits up to date
        for axis in (axes.xaxis, axes.yaxis):
            locator = axis.get_minor_locator()
            if axis.get_scale() == "log" and _usual_ticks(axis.axis_name) and not _labelled(axis, locator()):
                found.append((axis, locator))
    for axis, locator in found:  # axes that share an axis share its locator
        axis.axes.add_artist(_small_ticks(axis, locator))
    for axis, _ in found:
        axis.set_minor_locator(NullLocator())


def _usual_ticks(name: str) -> bool:
    """Whether ticks are marks outside of the left and lower edge alone, as they are unless the user chose otherwise."""
    from matplotlib import rcParams

    far = {"x": "top", "y": "right"}[name]
    return bool(rcParams[f"{name}tick.direction"] == "out" and not rcParams[f"{name}tick.{far}"])


def _labelled(axis: Any, at: Any) -> bool:
    """Whether the small ticks have labels."""
    return any(axis.get_minor_formatter().format_ticks(at))


def _small_ticks(axis: Any, locator: Any) -> Any:
    from matplotlib import rcParams
    from matplotlib.lines import Line2D
    from matplotlib.markers import TICKDOWN, TICKLEFT

    name = axis.axis_name
    upright = name == "y"

    class SmallTicks(Line2D):
        def draw(self, renderer: Any) -> None:
            low, high = sorted(axis.get_view_interval())
            at, large = np.asarray(locator()), np.asarray(axis.get_majorticklocs())
            at = at[(at >= low) & (at <= high) & ~np.isclose(at[:, None], large, rtol=1e-9, atol=0).any(-1)]
            self.set_data(*((np.zeros_like(at), at) if upright else (at, np.zeros_like(at))))
            super().draw(renderer)

    marks = SmallTicks(
        [],
        [],
        linestyle="none",
        marker=TICKLEFT if upright else TICKDOWN,
        markersize=rcParams[f"{name}tick.minor.size"],
        markeredgewidth=rcParams[f"{name}tick.minor.width"],
        color=rcParams[f"{name}tick.color"],
        transform=axis.axes.get_yaxis_transform("tick1") if upright else axis.axes.get_xaxis_transform("tick1"),
        zorder=axis.get_zorder(),
        clip_on=False,
    )
    marks.set_in_layout(False)
    return marks
