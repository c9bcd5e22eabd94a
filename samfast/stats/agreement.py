"""Comparison of samples with closed forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..checks import check, instance, integer, results, shapes_named
from .blocks import Array, host, namespace, numeric, quiet
from .distribution import Histogram, ordered

EXPECTED = 5.0  # least expected paths of a bin for which the chi-square law holds, Cochran, Ann. Math. Statist. 23, 315 (1952)


@shapes_named
@quiet
def z_score(estimate: Any, std_error: Any, exact: Any) -> Array:
    """Return (estimate - exact)/std_error, which is standard normal if the closed form `exact` holds.

    The arguments are numbers or arrays that broadcast. The result is nan where std_error is 0. Raises TypeError for an
    argument in host memory that does not hold real numbers.
    """
    xp = namespace(estimate, std_error, exact)
    named = {"estimate": estimate, "std_error": std_error, "exact": exact}
    value, error, known = (xp.asarray(numeric(k, x, xp), dtype=np.float64) for k, x in named.items())
    return xp.where(error > 0, (value - known) / error, np.nan)


@dataclass(frozen=True, eq=False, repr=False)
class Goodness:
    """The result of a test of fit.

    statistic: (*settings), where it was computed. tail(statistic), on the host: the probability of a larger statistic if
    the closed form holds.
    """

    statistic: Array
    tail: Callable[[np.ndarray], np.ndarray] = field(repr=False)

    @property
    def pvalue(self) -> np.ndarray:
        """Probability of a larger statistic if the closed form holds, (*settings); the statistic is copied to the host."""
        return np.asarray(self.tail(host(self.statistic)))[()]

    def __repr__(self) -> str:
        return f"Goodness(shape {tuple(self.statistic.shape)})"

    def __str__(self) -> str:
        return f"Goodness(statistic {host(self.statistic)}, pvalue {self.pvalue})"


def chi_square(histogram: Histogram, cdf: Callable[[np.ndarray], Any], *, fitted: int = 0) -> Goodness:
    r"""Return Pearson's :math:`\sum_j(O_j-np_j)^2/(np_j)` against a distribution function, and its chi-square tail.

    :math:`O_j` of the n paths lie in bin j, whose probability is :math:`p_j`. cdf takes the edges as a NumPy array and
    returns the probabilities below them. The paths below and above all edges count as two more bins; where such a bin has
    probability 0 it is left out, and the statistic is inf if a path lies in it. fitted: number of parameters of cdf that
    were fitted to the counts; the degrees of freedom are the bins less 1 + fitted. The counts are copied to the host.

    Raises ValueError if cdf does not ascend from 0 to 1, if a bin expects fewer than 5 paths, or if no degree of freedom is
    left. Source: Pearson, Phil. Mag. 50, 157 (1900).
    """
    from scipy.special import chdtrc

    instance("histogram", histogram, Histogram, "give the result of stats.histogram")
    counts, outside = host(histogram.counts), host(histogram.outside)
    below = results("cdf", cdf, histogram.edges, histogram.edges.shape, "scipy.stats.norm.cdf")
    check(bool((np.diff(below) >= 0).all() and (below >= 0).all() and (below <= 1).all()), "cdf: it must ascend from 0 to 1")
    share = np.diff(np.concatenate([[0.0], below, [1.0]]))
    seen = np.concatenate([outside[..., :1], counts, outside[..., 1:]], -1)
    outer = np.zeros(share.size, bool)
    outer[[0, -1]] = True
    keep = (share > 0) | ~outer
    expected = seen.sum(-1)[..., None] * share[keep]
    check(
        bool((expected >= EXPECTED).all()),
        f"edges: a bin expects {expected.min():.3g} paths; give wider bins, each of at least {EXPECTED:g}",
    )
    dof = int(keep.sum()) - 1 - integer("fitted", fitted, 0)
    check(dof > 0, f"fitted={fitted}: {int(keep.sum())} bins leave no degree of freedom; give more edges")
    statistic = ((seen[..., keep] - expected) ** 2 / expected).sum(-1)
    impossible = seen[..., ~keep].sum(-1) > 0
    return Goodness(np.where(impossible, np.inf, statistic), lambda s: chdtrc(dof, s))


@quiet
def ks(values: Any, cdf: Callable[[Array], Array], *, axis: int = -1) -> Goodness:
    r"""Return :math:`D=\sup_x|F_n(x)-F(x)|` against a continuous distribution function, and its exact tail.

    :math:`F_n` is the distribution function of the n finite numbers among `values`. cdf computes F on an array of the same
    namespace, for CuPy e.g. cupyx.scipy.special.ndtr. The statistic stays on the device; the p-value is computed on the
    host by scipy.stats.kstwo. Raises MemoryError if sorting does not fit into memory. Source: Kolmogorov, Giorn. Ist. Ital.
    Attuari 4, 83 (1933).
    """
    xp = namespace(values)
    x, count = ordered(values, axis, xp)
    n, i = count[..., None], xp.arange(x.shape[-1])
    known = cdf(x) if xp is not np else results("cdf", cdf, x, x.shape, "scipy.stats.norm.cdf")
    gap = xp.maximum((i + 1) / n - known, known - i / n)

    def tail(statistic: np.ndarray) -> np.ndarray:
        from scipy.stats import kstwo

        return np.asarray(kstwo.sf(statistic, host(count)))

    return Goodness(xp.where(i < n, gap, -1.0).max(axis=-1), tail)
