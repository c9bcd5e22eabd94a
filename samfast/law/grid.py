"""The grid: equal cells along one or two coordinates, what its walls do, and where the paths start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from ..checks import check, choice, integer, numbers, real_array
from ..model.parameters import Numbers

FEWEST, MOST = 16, 100_000  # cells along a coordinate, and in all
Wall: TypeAlias = Literal["absorbing", "reflecting"]
Walls: TypeAlias = Wall | Sequence[Wall | Sequence[Wall]]
Start: TypeAlias = Numbers | Callable[[Any], Any]
KINDS = ("absorbing", "reflecting")


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells between edges. absorbing: for each coordinate, whether its lower and its upper wall absorb."""

    edges: tuple[np.ndarray, ...]
    absorbing: tuple[tuple[bool, bool], ...]

    @property
    def dim(self) -> int:
        return len(self.edges)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(e) - 1 for e in self.edges)

    @property
    def widths(self) -> tuple[float, ...]:
        return tuple(float(e[-1] - e[0]) / (len(e) - 1) for e in self.edges)

    @property
    def volume(self) -> float:
        return float(np.prod(self.widths))

    @property
    def centres(self) -> tuple[np.ndarray, ...]:
        return tuple((e[1:] + e[:-1]) / 2 for e in self.edges)

    @property
    def points(self) -> np.ndarray:
        """The centres of all cells, shape (*shape, dim)."""
        return mesh(self.centres)

    @property
    def closed(self) -> bool:
        """Whether no wall absorbs."""
        return not any(any(pair) for pair in self.absorbing)

    def coarser(self) -> Grid:
        """The grid whose cells are each made of two along every coordinate."""
        return Grid(tuple(e[::2] for e in self.edges), self.absorbing)


def mesh(axes: Sequence[np.ndarray]) -> np.ndarray:
    """The points of a tensor product, shape (*lengths, dim)."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1)


def make(grid: Any, walls: Any, dim: int) -> Grid:
    """The grid of the arguments `grid` and `walls`."""
    example = "(-2.0, 2.0, 200)" if dim == 1 else "[(-2.0, 2.0, 80), (-2.0, 2.0, 80)]"
    rows = real_array("grid", grid, example)
    rows = rows[None] if rows.ndim == 1 and dim == 1 else rows
    check(
        rows.shape == (dim, 3),
        f"grid has shape {rows.shape}: give (low, high, cells) for each of the {dim} coordinates, e.g. grid={example}",
    )
    edges = []
    for low, high, cells in rows.tolist():
        numbers("grid", [low, high], example=example)
        check(low < high, f"grid=({low}, {high}, ...): give a low end below the high end, e.g. grid={example}")
        n = integer("grid", cells, FEWEST, 200, most=MOST)
        check(n % 2 == 0, f"grid: {n} cells; give an even number, since the error is measured with half as many")
        edges.append(np.linspace(low, high, n + 1))
    total = int(np.prod([len(e) - 1 for e in edges]))
    check(total <= MOST, f"grid: it has {total:,} cells; give at most {MOST:,} in all")
    return Grid(tuple(edges), _walls(walls, dim))


def _walls(walls: Any, dim: int) -> tuple[tuple[bool, bool], ...]:
    """Whether each wall absorbs: `walls` is one word, or for each coordinate a word or a pair (low, high) of words."""
    each = [walls] * dim if isinstance(walls, str) else walls
    check(
        isinstance(each, list | tuple) and len(each) == dim,
        f"walls={walls!r:.80}: give 'absorbing' or 'reflecting', or a word or pair of words for each of the {dim} coordinates",
    )
    pairs = [(w, w) if isinstance(w, str) else w for w in each]
    for pair in pairs:
        check(
            isinstance(pair, list | tuple) and len(pair) == 2,
            f"walls={walls!r:.80}: give a word, or a pair of words for the low and the high end, of each coordinate",
        )
        for word in pair:
            choice("walls", word, KINDS)
    return tuple((low == "absorbing", high == "absorbing") for low, high in pairs)


def starting_point(start: Any, grid: Grid) -> np.ndarray | None:
    """The point at which all paths start, or None where `start` is a function of w."""
    if callable(start) and not isinstance(start, type):
        return None
    point = np.asarray(numbers("start", start, example=[0.0] * grid.dim), float)
    point = point[None] if point.ndim == 0 and grid.dim == 1 else point
    check(point.shape == (grid.dim,), f"start has shape {point.shape}: give shape ({grid.dim},), or a function of w")
    for x, edge in zip(point, grid.edges, strict=True):
        check(
            bool(edge[0] < x < edge[-1]),
            f"start={point.tolist()}: it lies outside the grid from {edge[0]:g} to {edge[-1]:g}; give a wider grid",
        )
    return point


def density_at(start: Callable[[Any], Any], points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The start as a function of w = (w[0], ...) at points (..., dim), normalised to sum(density*weights) = 1."""
    made = real_array("start", start(np.moveaxis(points, -1, 0)), "lambda w: np.exp(-w[0]**2)")
    try:
        values = np.broadcast_to(made, points.shape[:-1])
    except ValueError:
        raise ValueError(
            f"start: it returned the shape {made.shape} for {points.shape[:-1]} points; return one number each"
        ) from None
    total = float((values * weights).sum())
    check(
        bool((values >= 0).all()) and 0 < total < np.inf,
        "start: it is negative or not finite somewhere, or 0 on the whole grid; give a density, e.g. "
        "lambda w: np.exp(-w[0]**2)",
    )
    return values / total


def spread_evenly(start: Any, point: np.ndarray | None, grid: Grid) -> np.ndarray:
    """The masses of the cells of a start: all in one cell for a point, else by the function at the centres."""
    if point is None:
        return density_at(start, grid.points, np.full(grid.shape, grid.volume)) * grid.volume
    return np.histogramdd(point[None], grid.edges)[0]


def spread(point: np.ndarray, grid: Grid) -> np.ndarray:
    """A start in one point as masses of cells, shape (*shape,).

    Three cells along each coordinate take the weights of a quadratic B-spline. These are positive, keep the mean, and have
    the variance width^2/4 wherever the point lies in its cell, so that the error of the start is the same multiple of
    width^2 on every grid and Richardson's extrapolation removes it.
    """
    axes = []
    for x, edge, width in zip(point, grid.edges, grid.widths, strict=True):
        cells = len(edge) - 1
        cell = min(max(int((x - edge[0]) / width), 0), cells - 1)
        check(
            0 < cell < cells - 1,
            f"start={point.tolist()}: it lies in a cell at a wall, {width:.3g} wide; give a wider grid, or more cells",
        )
        off = (x - edge[0]) / width - cell - 0.5
        mass = np.zeros(cells)
        mass[cell - 1 : cell + 2] = (0.5 - off) ** 2 / 2, 0.75 - off * off, (0.5 + off) ** 2 / 2
        axes.append(mass)
    return axes[0] if grid.dim == 1 else axes[0][:, None] * axes[1]
