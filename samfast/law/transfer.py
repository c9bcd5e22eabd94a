r"""The law of an algorithm from update to update, :math:`p_{n+1}(x)=\int N(x;m(y),C(y))\,p_n(y)\,dy` (Chapman-Kolmogorov).

The integral over the box is a sum over nodes of Gauss and Legendre (Nystrom's method). The kernel is smooth, so the error falls
exponentially with the number of nodes, also where paths leave the box. All terms are positive. The masses of cells are
integrals of the kernel over each cell, so the nodes need not fit the cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres
from scipy.special import ndtr

from ..checks import check
from .grid import Grid, mesh
from .step import OneStep

ORDER, FEWER = 32, 28  # nodes in a panel, for the result and for the estimate of its error
ACCURACY = {1: 1e-13, 2: 1e-9}  # wanted of one integral; in the plane the number of nodes is squared
LARGEST = {1: 4_000, 2: 40_000}  # nodes, in all
DENSE = 4_096  # nodes with noise that is correlated between the coordinates, for which the whole matrix is held
MOST = 1e12  # updates
STEEP = 16.0  # slope of m above which a panel is not made narrower; the stated error tells what that costs
PIECES, HALVINGS = 4096, 40  # of the box in the search for jumps of m, and of each piece
JUMP = 1e-3  # the least jump, in deviations of the noise
FAR = 8.5  # standard deviations beyond which a normal density adds nothing
SINGULAR = 1e-14  # determinant of a correlation matrix below which the noise has no density in the plane


@dataclass(frozen=True, eq=False)
class Transfer:
    """The operator of one update on densities at nodes: `order` nodes in each panel; panels: their edges, by coordinate."""

    step: OneStep
    grid: Grid
    panels: tuple[np.ndarray, ...]
    order: int

    @cached_property
    def _rules(self) -> list[tuple[np.ndarray, np.ndarray]]:
        return [_nodes(edges, self.order) for edges in self.panels]

    @property
    def axes(self) -> tuple[np.ndarray, ...]:
        return tuple(x for x, _ in self._rules)

    @cached_property
    def points(self) -> np.ndarray:
        """The nodes, shape (node, dim)."""
        return mesh(self.axes).reshape(-1, self.grid.dim)

    @cached_property
    def weights(self) -> np.ndarray:
        each = [w for _, w in self._rules]
        return each[0] if self.grid.dim == 1 else np.multiply.outer(*each).ravel()

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        return self.step.mean(self.points), self.step.covariance(self.points)

    @cached_property
    def _factors(self) -> tuple[np.ndarray, ...]:
        return self._kernel(*self._moments)

    def _kernel(self, mean: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, ...]:
        """The kernel: one matrix (to, from), or for independent coordinates one for each, (to along it, from)."""
        if not _correlated(covariance):
            return tuple(_normal(x, mean[:, i], covariance[:, i, i]) for i, x in enumerate(self.axes))
        check(
            len(self.points) <= DENSE,
            f"grid: it needs {len(self.points):,} nodes, and noise that is correlated between the coordinates allows "
            f"{DENSE:,}; give a smaller box",
        )
        return (_normal_2d(self.points, mean, covariance),)

    def __call__(self, density: np.ndarray) -> np.ndarray:
        """The density after one more update, at the nodes."""
        return _sum(self._factors, self.weights * density).ravel()

    def first(self, point: np.ndarray) -> np.ndarray:
        """The density one update after a start in a point."""
        return _sum(self._kernel(*self._at(point)), np.ones(1)).ravel()

    def _at(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.step.mean(point[None]), self.step.covariance(point[None])

    def cells(self, before: np.ndarray) -> np.ndarray:
        """The masses of the cells of the grid one update after a density at the nodes, or after a point (dim,)."""
        at_point = before.shape == (self.grid.dim,)
        mean, covariance = self._at(before) if at_point else self._moments
        masses = np.ones(1) if at_point else self.weights * before
        if _correlated(covariance):
            return self._cells_correlated(mean, covariance, masses)
        factors = []
        for i, edge in enumerate(self.grid.edges):
            factors.append(_between((edge[:, None] - mean[:, i]) / np.sqrt(covariance[:, i, i])))
        return _sum(tuple(factors), masses).reshape(self.grid.shape)

    def _cells_correlated(self, mean: np.ndarray, covariance: np.ndarray, masses: np.ndarray) -> np.ndarray:
        """The same by four nodes in each cell."""
        rules = [_nodes(e, 2) for e in self.grid.edges]
        points = mesh([x for x, _ in rules]).reshape(-1, 2)
        parts = np.array_split(points, max(1, points.shape[0] * len(masses) // 2**22))
        density = np.concatenate([_normal_2d(part, mean, covariance) @ masses for part in parts])
        inside = np.multiply.outer(rules[0][1], rules[1][1]).ravel() * density
        rows, columns = self.grid.shape
        return inside.reshape(rows, 2, columns, 2).sum((1, 3))

    def total_time(self, density: np.ndarray) -> float:
        """The sum over n of the mass left n updates after this density, n = 0, 1, ..., the mean number of updates inside.

        It is inf where the paths stay so long that the linear equations cannot be solved.
        """
        size = len(self.weights)
        if self.grid.dim == 1:
            (kernel,) = self._factors
            return float(self.weights @ np.linalg.solve(np.eye(size) - kernel * self.weights, density))
        away = LinearOperator((size, size), matvec=lambda v: v - self(v), dtype=float)
        scale = float(np.abs(density).max())
        found, failed = gmres(away, density / scale, rtol=1e-12, atol=0.0, restart=100, maxiter=20)
        return float(self.weights @ found) * scale if failed == 0 else np.inf


def _correlated(covariance: np.ndarray) -> bool:
    return covariance.shape[-1] == 2 and bool(covariance[..., 0, 1].any())


def _sum(factors: tuple[np.ndarray, ...], masses: np.ndarray) -> np.ndarray:
    """The sum over the sources of a kernel that is one matrix, or the product of one matrix for each coordinate."""
    if len(factors) == 1:
        return factors[0] @ masses
    return factors[0] @ (masses[:, None] * factors[1].T)


def _between(z: np.ndarray) -> np.ndarray:
    """The chance of a standard normal between neighbouring rows of z, from the tail that is the smaller one."""
    return np.where(z[:-1] > 0, ndtr(-z[:-1]) - ndtr(-z[1:]), ndtr(z[1:]) - ndtr(z[:-1]))


def _nodes(edges: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss and Legendre between neighbouring edges."""
    x, w = np.polynomial.legendre.leggauss(order)
    half = np.diff(edges)[:, None] / 2
    return ((edges[:-1, None] + half) + half * x).ravel(), (half * w).ravel()


def _normal(x: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Normal densities at x, shape (to, from)."""
    z = (x[:, None] - mean) / np.sqrt(variance)
    return np.exp(-z * z / 2) / np.sqrt(2 * np.pi * variance)


def _normal_2d(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Normal densities of two correlated coordinates, as the product of that of the first and the second given the first."""
    a, b, c = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    given = mean[:, 1] + (b / a) * (x[:, :1] - mean[:, 0])
    rest = c - b * b / a
    return _normal(x[:, 0], mean[:, 0], a) * np.exp(-((x[:, 1:] - given) ** 2) / (2 * rest)) / np.sqrt(2 * np.pi * rest)


def panels(step: OneStep, grid: Grid) -> tuple[np.ndarray, ...]:
    """The edges of the panels that the box needs along each coordinate; ValueError where these would be too many.

    The integrand is a normal density of y, from the density before, times one of m(y). The first has at least the deviation s
    of the noise and the second s over the slope of m. What matters is m where its image lies in the box. Where m jumps, as that
    of normalised SAM does at a minimum, a panel ends, if there is one coordinate; in the plane a jump costs accuracy.
    """
    w = grid.points
    mean, covariance = step.mean(w), step.covariance(w)
    deviations = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    _checked(covariance, deviations)
    inside = np.ones(grid.shape, bool)
    for i, edge in enumerate(grid.edges):
        reach = FAR * deviations[..., i]
        inside &= (mean[..., i] > edge[0] - reach) & (mean[..., i] < edge[-1] + reach)
    breaks = _jumps(step, grid) if grid.dim == 1 else np.zeros(0)
    needed: list[np.ndarray] = []
    for axis, (edge, width) in enumerate(zip(grid.edges, grid.widths, strict=True)):
        quarter = np.zeros(grid.dim)
        quarter[axis] = width / 4
        slope = np.abs(step.mean(w + quarter) - step.mean(w - quarter)) / (width / 2)
        narrow = 1 / np.sqrt(deviations[..., axis] ** -2.0 + (slope**2 / deviations**2).sum(-1))
        if breaks.size:
            inside &= np.abs(grid.centres[0][:, None] - breaks).min(-1) > width
        least = float(np.maximum(narrow, deviations[..., axis] / STEEP)[inside].min(initial=float(deviations[..., axis].max())))
        size = float(edge[-1] - edge[0])
        most = LARGEST[grid.dim] // ORDER + 1
        many = next((n for n in range(1, most) if _error(least * n / size) < ACCURACY[grid.dim]), most)
        needed.append(_cut(np.array([edge[0], *breaks, edge[-1]]), size / many))
    nodes = int(np.prod([len(e) - 1 for e in needed])) * ORDER**grid.dim
    check(
        nodes <= LARGEST[grid.dim],
        f"grid: the noise of a step, of deviation {float(deviations.min()):.3g}, is so small beside the box that at least "
        f"{nodes:,} nodes are needed, and {LARGEST[grid.dim]:,} are possible; give a smaller box, or more noise",
    )
    return tuple(needed)


def _cut(ends: np.ndarray, width: float) -> np.ndarray:
    """Edges with all of `ends` among them, and no more than a width apart."""
    parts = np.ceil(np.diff(ends) / width * (1 - 1e-12)).astype(int)
    pieces = [np.linspace(a, b, n, endpoint=False) for a, b, n in zip(ends[:-1], ends[1:], parts, strict=True)]
    return np.append(np.concatenate(pieces), ends[-1])


def _jumps(step: OneStep, grid: Grid) -> np.ndarray:
    """Where m or the deviation of the noise jumps along one coordinate.

    The box is cut finely, so that a jump outweighs a slope, and then that half of each piece is kept where the difference is
    larger, many times: at the end only a jump has a difference left.
    """

    def sides(w: np.ndarray) -> np.ndarray:
        return np.stack([step.mean(w[:, None])[:, 0], np.sqrt(step.covariance(w[:, None])[:, 0, 0])])

    fine = np.linspace(grid.edges[0][0], grid.edges[0][-1], max(PIECES, 8 * grid.shape[0]) + 1)
    low, high = fine[:-1], fine[1:]
    below, above = sides(low), sides(high)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        here = sides(middle)
        right = np.abs(above - here).sum(0) > np.abs(here - below).sum(0)
        low, high = np.where(right, middle, low), np.where(right, high, middle)
        below, above = np.where(right, here, below), np.where(right, above, here)
    found = ((low + high) / 2)[np.abs(above - below).sum(0) > JUMP * below[1]]
    edge, width = grid.edges[0], grid.widths[0]
    found = found[(found > edge[0] + 1e-6 * width) & (found < edge[-1] - 1e-6 * width)]
    return found[np.diff(found, prepend=-np.inf) > 1e-6 * width]


def _checked(covariance: np.ndarray, deviations: np.ndarray) -> None:
    good = bool((deviations > 0).all())
    if good and covariance.shape[-1] == 2:
        product = deviations.prod(-1) ** 2
        good = bool((product - covariance[..., 0, 1] ** 2 > SINGULAR * product).all())
    check(
        good,
        "sigma: the noise of a step vanishes along a direction somewhere on the grid, so the law has no density there; give "
        "noise along every coordinate, or simulate paths by sf.simulate",
    )


def _error(deviation: float) -> float:
    """The largest error of a panel's rule for a normal density, of a deviation in widths of a panel, over its place in one."""
    if deviation < 0.02:
        return 1.0
    reach = int(np.ceil(FAR * deviation)) + 1
    x, w = _nodes(np.arange(-reach, reach + 2.0), ORDER)
    place = np.linspace(0, 1, 17)
    return float(np.abs(w @ _normal(x, place, np.full(place.shape, deviation**2)) - 1).max())


@dataclass(frozen=True, eq=False)
class State:
    """The density at the nodes, None for a start in a point; and the density or the point one update before."""

    before: np.ndarray | None
    now: np.ndarray | None


def updates(times: np.ndarray, length: float, name: str) -> np.ndarray:
    """The numbers of updates after which the times are reached; ValueError for a time between two updates."""
    counts = np.rint(times / length)
    check(bool((counts <= MOST).all()), f"times={times.tolist()!r:.60}: these are {counts[-1]:.3g} updates; give shorter times")
    check(
        bool((np.abs(times / length - counts) <= 1e-9 * np.maximum(counts, 1.0)).all()),
        f"times={times.tolist()!r:.60}: rule {name!r} is at times n*{length:g}; give whole multiples of {length:g}",
    )
    return counts.astype(np.int64)


def run(operator: Transfer, point: np.ndarray | None, start: np.ndarray | None, counts: np.ndarray) -> list[State]:
    """The laws after `counts` updates from a point (dim,), or where that is None from a density at the nodes (node,)."""
    made: list[State] = []
    before, now, done = None, start, 0
    for count in counts:
        while done < count:
            before = point if now is None else now
            now = operator.first(before) if now is None and before is not None else operator(now)  # type: ignore[arg-type]
            done += 1
        made.append(State(before, now))
    return made
