"""Standard errors and intervals of means and variances, and of differences on common random numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..checks import check, choice, numbers
from .blocks import Array, host, namespace, numeric, paths_first, quiet
from .moments import Moments, collect, moments

OF = ("mean", "variance")


def as_moments(x: Any, order: int, axis: int) -> Moments:
    """x itself if it is Moments, else the moments of the array or Run x up to `order`."""
    return x if isinstance(x, Moments) else moments(x, order, axis=axis)


def standard_error(x: Any, *, of: str = "mean", axis: int = -1) -> Array:
    """Standard error of the mean or of the variance of an array, Run or Moments, (*settings).

    of: "mean" or "variance"; that of the variance needs the 4th moment. Formulas: Moments.std_error, Moments.var_std_error.
    Raises ValueError for another word, or if a Run or Moments holds fewer moments than are needed.
    """
    found = as_moments(x, 2 if choice("of", of, OF) == "mean" else 4, axis)
    return found.std_error if of == "mean" else found.var_std_error


def mean_interval(x: Any, *, confidence: float = 0.95, axis: int = -1) -> tuple[Array, Array]:
    r"""Return (low, high) of the mean of an array, Run or Moments, :math:`\bar x\pm z\,s/\sqrt n`, each (*settings).

    z is the normal quantile at (1 + confidence)/2, so the interval holds for many paths. Raises ValueError unless
    0 < confidence < 1.
    """
    from scipy.special import ndtri

    found = as_moments(x, 2, axis)
    half = float(ndtri((1 + level(confidence)) / 2)) * found.std_error
    return found.mean - half, found.mean + half


def variance_interval(x: Any, *, confidence: float = 0.95, axis: int = -1) -> tuple[Array, Array]:
    r"""Return (low, high) of the variance of Gaussian paths, :math:`(n-1)s^2/\chi^2_{n-1}`, each (*settings).

    x: an array, Run or Moments. The two quantiles of chi-square are those of theory.msd_interval. The counts are copied to
    the host. For many paths that are not Gaussian, take `var` and `var_std_error` of their Moments instead.

    Raises ValueError unless 0 < confidence < 1, or where a setting has fewer than 2 finite paths.
    """
    found = as_moments(x, 2, axis)
    n, xp = host(found.count), namespace(found.sums)
    check(bool((n > 1).all()), f"values: {int(n.min())} finite path; give at least 2")
    from ..theory import msd_interval  # imported here, since it loads much of SciPy, which other statistics do not need

    low, high = msd_interval(1.0, paths=n - 1, confidence=level(confidence))
    return found.var * xp.asarray(low), found.var * xp.asarray(high)


def level(confidence: float) -> float:
    """The confidence as a float; ValueError unless it is above 0 and below 1."""
    return float(numbers("confidence", confidence, above=0.0, below=1.0, example=0.95))


class PairedDifference(NamedTuple):
    """The difference a - b of pairs of paths on the same noise, each field of shape (*settings).

    mean: of a - b over the pairs. std_error: of this mean. gain: the factor by which runs on independent noise would need
    more paths for the same standard error, as in paired_msd.
    """

    mean: Array
    std_error: Array
    gain: Array


@quiet
def paired_difference(a: Any, b: Any, *, axis: int = -1) -> PairedDifference:
    r"""Return :math:`\overline{a-b}`, its standard error, and :math:`(s_a^2+s_b^2)/s_{a-b}^2`.

    a, b: arrays of one shape, the same paths under two settings on common random numbers; nothing is assumed about their
    covariance. A pair is left out if one of the two is not finite. The third number, `gain`, is the factor by which
    independent runs would need more paths; it is nan where all differences are equal. Raises ValueError if shapes differ.
    """
    xp = namespace(a, b)
    one, other = (numeric(name, x, xp) for name, x in (("a", a), ("b", b)))
    check(one.shape == other.shape, f"b has shape {tuple(other.shape)}: give that of a, {tuple(one.shape)}")
    x, y = paths_first("a", one, axis, xp), paths_first("b", other, axis, xp)

    def parts(cut: slice) -> Array:
        p, q = (xp.asarray(z[cut], dtype=np.float64) for z in (x, y))
        d = p - q
        return xp.where(xp.isfinite(d)[..., None], xp.stack((d, p, q), axis=-1), np.nan)

    found = collect(parts, x.shape[0], (*x.shape[1:], 3), 2, None, xp)
    spread = found.var
    gain = xp.where(spread[..., 0] > 0, (spread[..., 1] + spread[..., 2]) / spread[..., 0], np.nan)
    return PairedDifference(found.mean[..., 0], found.std_error[..., 0], gain)
