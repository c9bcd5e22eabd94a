"""A figure taken apart into the data that it shows, so that a test reads a picture as it reads a table. No pixels.

(top, z) = panels(figure)
sam = top.curve(label="SAM rho=0.5")          # the points, with the ends of their bars
np.testing.assert_array_equal(sam.y, ds["msd"].sel(rho=0.5))
np.testing.assert_allclose(sam.high - sam.y, 2 * ds["se"].sel(rho=0.5), rtol=1e-9)
assert top.curve(style="--", colour=sam.colour).y[-1] == ds["theorem"].sel(rho=0.5)[-1] and top.scales == ("log", "log")
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Curve:
    """A line, or marks without one. colour, face: "#rrggbb", of the line and inside the marks; "none" where there is none."""

    x: np.ndarray
    y: np.ndarray
    label: str  # "" where the legend does not name it
    colour: str
    style: str  # "-", "--", ":", "-." or "None"
    mark: str
    face: str
    low: np.ndarray | None = None  # ends of its error bars
    high: np.ndarray | None = None

    @property
    def finite(self) -> np.ndarray:
        """Its finite points, (2, points)."""
        xy = np.stack([self.x, self.y])
        return xy[:, np.isfinite(xy).all(0)]


@dataclass(frozen=True, eq=False)
class Panel:
    """Axes of a figure."""

    title: str
    xlabel: str
    ylabel: str
    scales: tuple[str, str]
    names: list[str]  # of its own legend
    texts: list[str]  # written into it
    curves: list[Curve]
    images: list[tuple[np.ndarray, Any]]  # (values, extent)
    meshes: list[tuple[np.ndarray, Any]] = field(default_factory=list)  # (values by row and column, colour map and limits)
    bands: list[np.ndarray] = field(default_factory=list)  # vertices, (points, 2)

    def all(self, **look: Any) -> list[Curve]:
        """The curves with this look, e.g. label="SGD", style="--"."""
        look |= {k: shade(look[k]) for k in ("colour", "face") if k in look}
        return [c for c in self.curves if all(getattr(c, k) == x for k, x in look.items())]

    def curve(self, **look: Any) -> Curve:
        """The only curve with this look; an AssertionError that lists all of them if there is none, or more than one."""
        found = self.all(**look)
        assert len(found) == 1, (
            f"{len(found)} curves with {look} of {[(c.label, c.colour, c.style, c.mark) for c in self.curves]}"
        )
        return found[0]


def shade(colour: Any) -> str:
    """A colour as "#rrggbb", however it is given."""
    return "none" if isinstance(colour, str) and colour.lower() == "none" else to_hex(colour)


def panels(figure: Figure) -> list[Panel]:
    """The axes in the order in which they were made."""
    return [_panel(axes) for axes in figure.axes]


def caption(figure: Figure) -> str:
    """What stands below the panels, in one line."""
    return " ".join(figure.get_supxlabel().split())


def legend(figure: Figure) -> list[str]:
    """The names in the legends of the figure itself."""
    return [t.get_text() for one in figure.legends for t in one.get_texts() if t.get_text()]


def _panel(axes: Axes) -> Panel:
    own = axes.get_legend()
    return Panel(
        title=axes.get_title(loc="left") or axes.get_title(),
        xlabel=axes.get_xlabel(),
        ylabel=axes.get_ylabel(),
        scales=(axes.get_xscale(), axes.get_yscale()),
        names=[t.get_text() for t in own.get_texts()] if own else [],
        texts=[t.get_text() for t in axes.texts],
        curves=list(_curves(axes)),
        images=[(np.asarray(i.get_array()), i.get_extent()) for i in axes.images],
        meshes=[(np.asarray(m.get_array()), m) for m in axes.collections if isinstance(m, QuadMesh)],
        bands=[p.vertices for c in axes.collections if isinstance(c, PolyCollection) for p in c.get_paths()],
    )


def _curves(axes: Axes) -> Iterator[Curve]:
    bars = {}
    caps = set()
    for container in axes.containers:
        if hasattr(container, "has_yerr"):
            line, ends, segments = container.lines
            caps |= set(map(id, ends))
            upright = [s for s in segments if isinstance(s, LineCollection)][-1] if container.has_yerr else None
            bars[id(line)] = (str(container.get_label()), upright)
    for line in axes.lines:
        if id(line) not in caps:
            label, upright = bars.get(id(line), (str(line.get_label()), None))
            yield _curve(line, "" if label.startswith("_") else label, upright)


def _curve(line: Any, label: str, upright: Any) -> Curve:
    x, y = (np.asarray(a, float) for a in (line.get_xdata(), line.get_ydata()))
    low = high = None
    if upright is not None:
        ends = np.array([s[:, 1] if len(s) else [np.nan, np.nan] for s in upright.get_segments()]).reshape(-1, 2)
        low, high = ends.T
    return Curve(
        x=x,
        y=y,
        label=label,
        colour=shade(line.get_color()),
        style=str(line.get_linestyle()),
        mark=str(line.get_marker()),
        face=shade(line.get_markerfacecolor()),
        low=low,
        high=high,
    )
