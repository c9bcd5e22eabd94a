"""The distribution of paths: quantiles and histograms, with standard errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..checks import check, numbers
from .blocks import Array, blocks, fits, namespace, paths_first, quiet, same_shape

COPIES = 4  # float64 copies of the values that sorting holds at a time


class Quantiles(NamedTuple):
    """Quantiles and their standard errors, both of shape (*settings, probability), in the unit of the paths."""

    value: Array
    std_error: Array


def ordered(values: Any, axis: int, xp: Any) -> tuple[Array, Array]:
    """(x, count): the finite numbers of a setting ascending, then inf, (*settings, path); their number, (*settings)."""
    x = paths_first("values", values, axis, xp)
    fits(COPIES * 8 * x.size, xp=xp)
    x = xp.moveaxis(xp.asarray(x, dtype=np.float64), 0, -1)
    finite = xp.isfinite(x)
    return xp.sort(xp.where(finite, x, np.inf), axis=-1), finite.sum(axis=-1)


@quiet
def quantiles(values: Any, probabilities: Any, *, axis: int = -1) -> Quantiles:
    r"""Return :math:`x_{(h)}` at h = (n-1)p for each probability p, and its standard error.

    :math:`x_{(0)}\le\dots\le x_{(n-1)}` are the n finite numbers of a setting in order, and h between two whole numbers
    interpolates linearly (definition 7 of Hyndman and Fan, Amer. Statist. 50, 361 (1996)). The error is half the distance
    between the quantiles at :math:`p\pm\sqrt{p(1-p)/n}`, so that no density is estimated (Woodruff, J. Amer. Statist.
    Assoc. 47, 635 (1952)). Both have shape (*settings, probability) and are nan where n = 0.

    Raises ValueError for a probability outside [0, 1], MemoryError if sorting does not fit into memory.
    """
    xp = namespace(values)
    p = np.atleast_1d(np.asarray(numbers("probabilities", probabilities, low=0.0, example=[0.05, 0.5, 0.95]), float))
    check(
        p.ndim == 1 and bool((p <= 1).all()),
        f"probabilities={probabilities!r}: give numbers from 0 to 1, e.g. probabilities=[0.05, 0.5, 0.95]",
    )
    x, count = ordered(values, axis, xp)
    n, p = count[..., None], xp.asarray(p)
    spread = xp.sqrt(p * (1 - p) / n)
    low, high = (_at(x, n, xp.minimum(xp.maximum(q, 0.0), 1.0), xp) for q in (p - spread, p + spread))
    return Quantiles(_at(x, n, p, xp), (high - low) / 2)


def _at(x: Array, n: Array, p: Array, xp: Any) -> Array:
    """The quantiles at p of the first n numbers of x, which ascend; linear between neighbours, nan where n is 0."""
    h = xp.maximum(n - 1.0, 0.0) * p
    below = xp.floor(h)
    above = xp.minimum(below + 1, xp.maximum(n - 1.0, 0.0))
    left, right = (xp.take_along_axis(x, i.astype(np.int64), -1) for i in (below, above))
    return xp.where(n > 0, left + (right - left) * (h - below), np.nan)


@dataclass(frozen=True, eq=False, repr=False)
class Histogram:
    """Numbers of paths in bins. Two histograms with the same edges add, others raise ValueError.

    edges: (bins + 1,), in host memory. counts: (*settings, bins). outside: (*settings, 2), paths below and above all bins.
    """

    edges: np.ndarray
    counts: Array
    outside: Array

    @property
    def count(self) -> Array:
        """Number of all paths that are finite, (*settings)."""
        return self.counts.sum(axis=-1) + self.outside.sum(axis=-1)

    def _share(self) -> tuple[Array, Array, Array]:
        n = self.count[..., None]
        return self.counts / n, n, namespace(self.counts).asarray(np.diff(self.edges))

    @property
    @quiet
    def density(self) -> Array:
        """Share of the finite paths in each bin over its width, (*settings, bins), in 1/(unit of the paths)."""
        share, _, width = self._share()
        return share / width

    @property
    @quiet
    def std_error(self) -> Array:
        r"""Standard error of `density`, :math:`\sqrt{p(1-p)/n}/\mathrm{width}`, since the count of a bin is binomial."""
        share, n, width = self._share()
        return namespace(self.counts).sqrt(share * (1 - share) / n) / width

    def __add__(self, other: Histogram) -> Histogram:
        check(isinstance(other, Histogram), f"merge: {other!r:.60} is no Histogram; give records of one kind", TypeError)
        check(np.array_equal(self.edges, other.edges), "edges: the two histograms have different ones; give both the same")
        same_shape(self.counts, other.counts)
        return Histogram(self.edges, self.counts + other.counts, self.outside + other.outside)

    def __repr__(self) -> str:
        return (
            f"Histogram({len(self.edges) - 1} bins from {self.edges[0]:.6g} to {self.edges[-1]:.6g}, shape "
            f"{tuple(self.counts.shape[:-1])})"
        )


@quiet
def histogram(values: Any, edges: Any, *, axis: int = -1) -> Histogram:
    """Count the finite paths in the bins [edges[j], edges[j+1]), of which the last includes its upper edge.

    edges: (bins + 1,), finite and ascending, in host memory. Raises ValueError for other edges.
    """
    xp = namespace(values)
    cuts = np.asarray(numbers("edges", edges, example=[-1.0, 0.0, 1.0]), float)
    check(
        cuts.ndim == 1 and cuts.size > 1 and bool((np.diff(cuts) > 0).all()),
        f"edges={edges!r}: give at least two ascending numbers, e.g. edges=[-1.0, 0.0, 1.0]",
    )
    x = paths_first("values", values, axis, xp)
    shape, bins, inner = tuple(x.shape[1:]), cuts.size - 1, xp.asarray(cuts)
    settings = math.prod(shape)
    counts = xp.zeros((settings, bins + 3), dtype=np.uint64)  # below, bins, above, not finite; CuPy cannot add.at int64
    rows = xp.arange(settings)
    for cut in blocks(x.shape[0], 4 * settings, xp):
        part = xp.asarray(x[cut], dtype=np.float64).reshape(-1, settings)
        where = xp.searchsorted(inner, part, side="right")
        where = xp.where(part == cuts[-1], bins, where)
        where = xp.where(xp.isfinite(part), where, bins + 2)
        xp.add.at(counts, (xp.broadcast_to(rows, part.shape), where), 1)
    counts = counts.reshape(*shape, bins + 3).astype(np.int64)
    return Histogram(cuts, counts[..., 1 : bins + 1], xp.stack((counts[..., 0], counts[..., bins + 1]), axis=-1))
