r"""The law of a mean of squares where the noise is not Gaussian: exact moments, bands and z that hold their level.

Without a start, w is a sum of independent kicks, :math:`w_n=\sum_{i<n}(A^ib)_w\,\xi_i`, for the transition A of one step and
the direction b in which its noise acts. Cumulants of independent sums add, so the cumulant of order p of w is
:math:`\kappa_p(w_n)=\kappa_p(\xi)\sum_{i<n}(A^ib)_w^p`: the sum runs over the powers of the matrix by which A acts on the
monomials of degree p, and is doubled in O(log n). From them follow the moments of one path's square,

.. math:: \mathrm{Var}(w^2)=2\kappa_2^2+\kappa_4,\qquad
   \mathrm E(w^2-\kappa_2)^3=8\kappa_2^3+12\kappa_4\kappa_2+\kappa_6.

Two-point noise has :math:`\kappa_4=-2,\ \kappa_6=16`, normal noise has 0, 0. The mean over N paths, relative to its true value,
has mean 1, variance Var/N and skewness :math:`\gamma/\sqrt N`; its law is taken as the shifted gamma law (Pearson III) of
these three moments, which is chi-square/N itself where the kicks are many. Derived in this library; z is made normal by
the cube root of Wilson and Hilferty (Proc. Natl. Acad. Sci. 17, 684, 1931).
"""

from __future__ import annotations

from math import comb
from typing import Any, NamedTuple

import numpy as np

from .exact_sampling import transitions
from .process import LinearProcess, Values, quiet

CUMULANTS = {"normal": (0.0, 0.0), "sign": (-2.0, 16.0)}  # kappa_4 and kappa_6 of one random number of variance 1
CERTAIN = 1e-9  # a relative variance of w^2 below it is rounding: every path has the same |w|
STRAIGHT = 1e-4  # a skewness below it bends nothing that could be seen


class Squares(NamedTuple):
    """Of the square of one path, relative to its mean: variance and third central moment."""

    variance: np.ndarray
    third: np.ndarray


@quiet
def squares(model: LinearProcess, values: Values, steps: np.ndarray, kind: str) -> Squares:
    """The exact moments of w^2/<w^2> from w = 0 after so many steps; 2 and 8 for normal noise.

    values: arrays that broadcast to (*grid, 1); steps: (*grid, time) or what broadcasts to it.
    """
    four, six = CUMULANTS[kind]
    if four == six == 0.0:
        shape = np.broadcast_shapes(np.shape(steps), *(np.shape(x) for x in values.values()))
        return Squares(np.full(shape, 2.0), np.full(shape, 8.0))
    weights = _weights(model, values)
    second = _powers(model, values, steps, 2)
    share4 = four * _relative(weights, 4) * _powers(model, values, steps, 4) / second**2
    share6 = six * _relative(weights, 6) * _powers(model, values, steps, 6) / second**3
    variance = 2 + share4
    return Squares(np.where(variance > CERTAIN, variance, 0.0), 8 + 12 * share4 + share6)


def _weights(model: LinearProcess, v: Values) -> list[Any]:
    """The factors of the independent numbers of one step: an ascent on a minibatch of its own adds a second one."""
    if model.method == "algorithm" and model.noise == "independent":
        return [1.0, np.asarray(v["rho"]) * v["eigenvalue"]]
    return [1.0]


def _relative(weights: list[Any], p: int) -> Any:
    return sum(w**p for w in weights) / sum(w * w for w in weights) ** (p // 2)


def _powers(model: LinearProcess, v: Values, steps: np.ndarray, p: int) -> np.ndarray:
    """The sum over i < n of (A^i b)_w^p, where b has the w-component 1."""
    one = {name: np.asarray(x, float)[..., 0] if np.ndim(x) else x for name, x in v.items()}
    a, s = (x[..., 0, :, :] for x in transitions(model, one, np.ones(1), law="em"))
    side = s[..., 0, 1] / s[..., 0, 0] if model.heavy else np.zeros(s.shape[:-2])
    wide = np.zeros((*a.shape[:-2], 2, 2))
    wide[..., : a.shape[-1], : a.shape[-1]] = a
    power = _on_monomials(wide, p)[..., None, :, :]
    block = np.stack([side**k for k in range(p + 1)], -1)[..., None, :]
    n = np.asarray(np.rint(steps), np.int64)
    shape = np.broadcast_shapes(n.shape, block.shape[:-1])
    n, block = np.broadcast_to(n, shape), np.broadcast_to(block, (*shape, p + 1))
    total, length, top = np.zeros(block.shape), 1, int(n.max(initial=0))
    while length <= top:
        total = np.where(((n & length) != 0)[..., None], block + _times(power, total), total)
        block, power = block + _times(power, block), power @ power
        length *= 2
    return total[..., 0]


def _times(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return (matrix @ vector[..., None])[..., 0]


def _on_monomials(a: np.ndarray, p: int) -> np.ndarray:
    """How x -> A x acts on (w^p, w^(p-1) v, ..., v^p)."""
    rows = []
    for k in range(p + 1):  # (a w + b v)^(p-k) (c w + d v)^k, sorted by powers of v
        row = [np.zeros(a.shape[:-2]) for _ in range(p + 1)]
        for i in range(p - k + 1):
            for j in range(k + 1):
                first = comb(p - k, i) * a[..., 0, 0] ** (p - k - i) * a[..., 0, 1] ** i
                row[i + j] = row[i + j] + first * comb(k, j) * a[..., 1, 0] ** (k - j) * a[..., 1, 1] ** j
        rows.append(np.stack(row, -1))
    return np.stack(rows, -2)


@quiet
def interval(mean: np.ndarray, law: Squares, paths: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) for the true mean square behind a mean over `paths`: mean divided by the quantiles of mean/true."""
    from scipy.special import gammaincinv

    sd, skew = _of_mean(law, paths)
    shape = 4 / np.maximum(np.abs(skew), STRAIGHT) ** 2

    def quantile(p: float) -> np.ndarray:
        level = np.where(skew < 0, 1 - p, p)
        bent = (gammaincinv(shape, level) - shape) / np.sqrt(shape)
        return np.asarray(1 + sd * np.where(skew < 0, -bent, bent))

    tail = (1 - confidence) / 2
    low, high = mean / quantile(1 - tail), quantile(tail)
    return low, np.where(high > 0, mean / np.where(high > 0, high, 1.0), np.inf)


@quiet
def standard(mean: np.ndarray, exact: np.ndarray, law: Squares, paths: np.ndarray) -> np.ndarray:
    """z: the deviation of a mean from its exact value, on the scale of a standard normal number; nan where none is random."""
    sd, skew = _of_mean(law, paths)
    x = np.where(sd > 0, (mean / exact - 1) / sd, np.nan)
    bend = np.where(np.abs(skew) < STRAIGHT, np.nan, skew)
    return np.asarray(np.where(np.isnan(bend), x, 6 / bend * (np.cbrt(1 + x * bend / 2) - 1 + bend**2 / 36)))


def _of_mean(law: Squares, paths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviation and skewness of a mean over `paths`, relative to its true value."""
    skew = np.where(law.variance > 0, law.third / np.where(law.variance > 0, law.variance, 1.0) ** 1.5, 0.0)
    return np.sqrt(law.variance / paths), skew / np.sqrt(paths)
