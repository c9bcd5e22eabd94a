"""Standard errors and intervals of means and variances, and of differences on common random numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..checks import check, choice, numbers
from .blocks import Array, host, namespace, paths_first, quiet
from .moments import Moments, collect, moments

OF = ("mean", "variance")


def as_moments(x: Any, order: int, axis: int) -> Moments:
    """The moments of an array or a Run, or those that are given."""
    return x if isinstance(x, Moments) else moments(x, order, axis=axis)


def standard_error(x: Any, *, of: str = "mean", axis: int = -1) -> Array:
    """Standard error of the mean or of the variance (from the 4th moment) of an array, Run or Moments."""
    found = as_moments(x, 2 if choice("of", of, OF) == "mean" else 4, axis)
    return found.std_error if of == "mean" else found.var_std_error


def mean_interval(x: Any, *, confidence: float = 0.95, axis: int = -1) -> tuple[Array, Array]:
    r"""Return (low, high) of the mean of an array, Run or Moments: :math:`\bar x\pm z\,s/\sqrt n`, for many paths."""
    from scipy.special import ndtri

    found = as_moments(x, 2, axis)
    half = float(ndtri((1 + level(confidence)) / 2)) * found.std_error
    return found.mean - half, found.mean + half


def variance_interval(x: Any, *, confidence: float = 0.95, axis: int = -1) -> tuple[Array, Array]:
    r"""Return (low, high) of the variance of Gaussian paths, :math:`(n-1)s^2/\chi^2_{n-1}`; see theory.msd_interval.

    The counts are brought to the host. Elsewhere, many paths: `var` and `var_std_error`.
    """
    found = as_moments(x, 2, axis)
    n, xp = host(found.count), namespace(found.sums)
    check(bool((n > 1).all()), f"values: {int(n.min())} finite path; give at least 2")
    from ..theory import msd_interval  # here: it waits for SciPy, which means do not need

    low, high = msd_interval(1.0, paths=n - 1, confidence=level(confidence))
    return found.var * xp.asarray(low), found.var * xp.asarray(high)


def level(confidence: float) -> float:
    """The confidence, checked."""
    return float(numbers("confidence", confidence, above=0.0, below=1.0, example=0.95))


class PairedDifference(NamedTuple):
    """Mean of a - b over pairs of paths on the same noise, its standard error, and the variance of independent runs over
    that of the pairs (as `gain` of paired_msd)."""

    mean: Array
    std_error: Array
    gain: Array


@quiet
def paired_difference(a: Any, b: Any, *, axis: int = -1) -> PairedDifference:
    r"""Return :math:`\overline{a-b}`, its standard error, and :math:`(s_a^2+s_b^2)/s_{a-b}^2`.

    a, b: the same paths under two settings, on common random numbers: nothing is assumed of their covariance. Pairs of
    which one is not finite are left out. gain: the factor by which independent runs would need more paths.
    """
    xp = namespace(a, b)
    one, other = (xp.asarray(x) for x in (a, b))
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
