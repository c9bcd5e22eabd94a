"""The search for critical points of a function, where its gradient vanishes: a root finder, then Newton steps.

It knows nothing of losses; `Loss` passes itself as the function.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..checks import check, integer, numbers, real_array

FLAT = 1e-6  # an eigenvalue counts as zero if it is at most FLAT times the largest one, in absolute values
SOLVED = 1e-7  # a point counts as critical if abs(gradient) <= SOLVED * max abs(Hessian) * max(1, abs(w))
EVALUATIONS = 60  # the root finder evaluates the gradient at most this often from one start
MOST = 10**6  # at most this many starts in one search
SAME = 1e-5  # two roots this close, relative to the size of the box, are one point


class Smooth(Protocol):
    """A function that can be searched: a loss, or any other object with a value, a gradient and a Hessian at w."""

    @property
    def dim(self) -> int: ...
    def value(self, w: Any) -> Any: ...
    def gradient(self, w: Any) -> np.ndarray: ...
    def hessian(self, w: Any) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class CriticalPoint:
    """A point where the gradient vanishes, with the eigenvalues (ascending) and eigenvectors (columns) of its Hessian."""

    position: np.ndarray
    value: float
    eigenvalues: np.ndarray
    eigenvectors: np.ndarray

    @property
    def degenerate(self) -> bool:
        """Whether an eigenvalue counts as zero, i.e. is at most 1e-6 of the largest one in absolute value."""
        size = np.abs(self.eigenvalues)
        return bool(size.min() <= FLAT * size.max())

    @property
    def index(self) -> int:
        """The number of negative eigenvalues, without those that count as zero."""
        return int((self.eigenvalues < -FLAT * np.abs(self.eigenvalues).max()).sum())

    @property
    def kind(self) -> str:
        """One of "minimum", "saddle", "maximum" and, if an eigenvalue counts as zero, "degenerate"."""
        if self.degenerate:
            return "degenerate"
        return {0: "minimum", len(self.eigenvalues): "maximum"}.get(self.index, "saddle")

    def __repr__(self) -> str:
        at, values = (np.array2string(a, precision=7, separator=", ") for a in (self.position, self.eigenvalues))
        return f"CriticalPoint({self.kind} of index {self.index} at {at}: loss {self.value:.7g}, eigenvalues {values})"


def critical_point(loss: Smooth, start: Any) -> CriticalPoint:
    """The critical point that is reached from a start; `Loss.critical_point` describes it."""
    w = np.asarray(numbers("start", start), float)
    check(w.shape == (loss.dim,), f"start has shape {w.shape}: give shape ({loss.dim},)")
    found = _solve(loss, w)
    check(found is not None, f"start={start!r}: the root finder reached no point with gradient 0; give a nearer start")
    assert found is not None
    return found


def critical_points(loss: Smooth, box: Any, *, starts: Any = 100, seed: int = 0) -> list[CriticalPoint]:
    """The critical points in a box; `Loss.critical_points` describes them."""
    low, high = corners(box, loss.dim)
    if real_array("starts", starts).ndim == 0:
        many = integer("starts", starts, 1, 100, most=MOST)
        starts = np.random.default_rng(integer("seed", seed, 0, 42)).uniform(low, high, (many, loss.dim))
    starts = np.asarray(numbers("starts", starts), float)
    check(starts.ndim == 2 and starts.shape[1] == loss.dim, f"starts has shape {starts.shape}: give (starts, {loss.dim})")
    slack, near = 1e-9 * (high - low), SAME * float((high - low).max())
    kept: list[CriticalPoint] = []
    for start in starts:
        found = _solve(loss, start)
        if found is None or (found.position < low - slack).any() or (found.position > high + slack).any():
            continue
        if all(np.linalg.norm(found.position - other.position) > near for other in kept):
            kept.append(found)
    return sorted(kept, key=lambda c: (round(c.value, 9), *np.round(c.position, 6)))


def _solve(loss: Smooth, start: np.ndarray) -> CriticalPoint | None:
    """The critical point that the root finder reaches from a start, or None.

    Up to three Newton steps then improve the last digits, unless the Hessian is close to singular.
    """
    from scipy.optimize import root

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        w = root(loss.gradient, start, jac=loss.hessian, tol=1e-13, options={"maxfev": EVALUATIONS}).x
        for _ in range(3):
            h = loss.hessian(w) if np.isfinite(w).all() else np.zeros((1, 1))
            if not np.isfinite(h).all() or np.linalg.cond(h) > 1e10:
                break
            w = w - np.linalg.solve(h, loss.gradient(w))
        if not np.isfinite(w).all():
            return None
        g, h = loss.gradient(w), loss.hessian(w)
    scale = np.abs(h).max() * max(1.0, np.abs(w).max())
    if not np.isfinite(scale) or np.linalg.norm(g) > SOLVED * scale:
        return None
    values, vectors = np.linalg.eigh((h + h.T) / 2)
    return CriticalPoint(w, float(loss.value(w)), values, vectors)


def corners(box: Any, dim: int) -> tuple[np.ndarray, np.ndarray]:
    edges = np.asarray(numbers("box", box), float)
    check(
        edges.shape == (dim, 2) and bool((edges[:, 0] < edges[:, 1]).all()),
        f"box={box!r}: give (low, high) with low < high for each of the {dim} coordinates, e.g. {[(-1, 1)] * dim}",
    )
    return edges[:, 0], edges[:, 1]
