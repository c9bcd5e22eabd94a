"""Comparison of samples with closed forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..checks import check, integer
from .blocks import Array, host, namespace, numeric, quiet
from .distribution import Histogram, ordered

EXPECTED = 5.0  # paths that a bin must expect for the chi-square law: Cochran, Ann. Math. Statist. 23, 315 (1952)


@quiet
def z_score(estimate: Any, std_error: Any, exact: Any) -> Array:
    """(estimate - exact)/std_error, nan where the standard error is 0: standard normal if the closed form holds."""
    xp = namespace(estimate, std_error, exact)
    named = {"estimate": estimate, "std_error": std_error, "exact": exact}
    value, error, known = (xp.asarray(numeric(k, x, xp), dtype=np.float64) for k, x in named.items())
    return xp.where(error > 0, (value - known) / error, np.nan)


@dataclass(frozen=True, eq=False, repr=False)
class Goodness:
    """A statistic, (*settings), and the chance of a larger one if the closed form holds. pvalue: on the host."""

    statistic: Array
    tail: Callable[[np.ndarray], np.ndarray] = field(repr=False)

    @property
    def pvalue(self) -> np.ndarray:
        """Chance of a larger statistic; the statistic is brought to the host."""
        return np.asarray(self.tail(host(self.statistic)))[()]

    def __repr__(self) -> str:
        return f"Goodness(shape {tuple(self.statistic.shape)})"

    def __str__(self) -> str:
        return f"Goodness(statistic {host(self.statistic)}, pvalue {self.pvalue})"


def chi_square(histogram: Histogram, cdf: Callable[[np.ndarray], Any], *, fitted: int = 0) -> Goodness:
    r"""Return Pearson's :math:`\sum_j(O_j-np_j)^2/(np_j)` against a distribution function, and its chi-square tail.

    cdf(edges) -> probabilities, from NumPy. The paths outside are two more bins, unless their probability is 0. fitted:
    parameters of cdf that were fitted to the counts. The counts are brought to the host. Raises ValueError if a bin
    expects fewer than 5 paths. Pearson, Phil. Mag. 50, 157 (1900).
    """
    from scipy.special import chdtrc

    counts, outside = host(histogram.counts), host(histogram.outside)
    below = np.asarray(cdf(histogram.edges), float)
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

    cdf(x) -> F(x) on arrays of the namespace of `values` (for CuPy e.g. cupyx.scipy.special.ndtr). The statistic stays on
    the device; the p-value is that of scipy.stats.kstwo, on the host. Kolmogorov, Giorn. Ist. Ital. Attuari 4, 83 (1933).
    """
    xp = namespace(values)
    x, count = ordered(values, axis, xp)
    n, i = count[..., None], xp.arange(x.shape[-1])
    known = cdf(x)
    gap = xp.maximum((i + 1) / n - known, known - i / n)

    def tail(statistic: np.ndarray) -> np.ndarray:
        from scipy.stats import kstwo

        return np.asarray(kstwo.sf(statistic, host(count)))

    return Goodness(xp.where(i < n, gap, -1.0).max(axis=-1), tail)
