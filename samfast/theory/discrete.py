r"""Exact moments of the discrete algorithm, which is Euler-Maruyama at dt = lr.

The recursion is :math:`w^+=(1-\kappa\,dt)w+\sqrt{2D\,dt}\,\xi`.  Simulations are compared
with these, so that no time-step bias hides a fault.  Derived in this library.
"""

from __future__ import annotations

import numpy as np

from ..checks import shapes_named
from ._domain import Array, ArrayLike, checked, quiet, scalar
from .diffusion import sde_variance
from .special import delta_phi1, geometric_sum, phi1

SMALL, TERMS = 0.3, 18  # for |y| < SMALL, y = x/(2 - x), this many terms of the series of atanh(y)/y - 1 reach eps


def _ratio(dt: ArrayLike, curvature: ArrayLike) -> tuple[Array, Array]:
    h = checked("dt", dt)
    return h, checked("curvature", curvature) * h


@quiet
def _log_abs_factor(x: Array) -> Array:
    """Return ln|1-x|, accurate also for x below eps, which 1-x would lose, and near x = 2, where x-2 is exact."""
    return np.where(x < 1, np.log1p(-x), np.log1p(x - 2))


@shapes_named
def em_variance(steps: ArrayLike, *, curvature: ArrayLike, diffusion: ArrayLike, dt: ArrayLike) -> Array:
    r"""Return the exact variance after n steps, :math:`2D\,dt\,E_n(u)`, :math:`u=x(x-2),\ x=\kappa\,dt`.

    With dt = lr this is the variance of the algorithm itself.  :math:`E_n` is ``geometric_sum``; its cost does not depend
    on n.  The variance is :math:`2D\,dt` at x = 1 and :math:`2D\,dt\,n` at x = 2; for x > 2 it grows exponentially.
    """
    n, d = checked("steps", steps), checked("diffusion", diffusion)
    h, x = _ratio(dt, curvature)
    # u >= -1 in exact arithmetic, and a rounded u just below -1 would flip the sign of (1+u)^n
    total = geometric_sum(n, np.maximum(x * (x - 2), -1.0))
    return scalar(np.where(d == 0, 0.0, 2 * d * h * np.where(d == 0, 1.0, total)))


@shapes_named
@quiet
def log_em_variance(steps: ArrayLike, *, curvature: ArrayLike, diffusion: ArrayLike, dt: ArrayLike) -> Array:
    """Return the logarithm of :func:`em_variance`, finite also where that overflows; -inf where it is 0."""
    n, d = checked("steps", steps), checked("diffusion", diffusion)
    h, x = _ratio(dt, curvature)
    u = np.maximum(x * (x - 2), -1.0)
    power = n * np.log1p(u)
    large = power + np.log1p(-np.exp(-power)) - np.log(u)
    log_sum = np.where(power > 50, large, np.log(geometric_sum(n, np.where(power > 50, 0.0, u))))
    return scalar(np.log(2 * d * h) + log_sum)


@shapes_named
@quiet
def em_mean(steps: ArrayLike, *, curvature: ArrayLike, dt: ArrayLike, start: ArrayLike) -> Array:
    r"""Return the mean after n steps, :math:`w_0(1-\kappa\,dt)^n`, for n up to 2**53."""
    n, w0 = checked("steps", steps), checked("start", start)
    _, x = _ratio(dt, curvature)
    size = np.where(n == 0, 1.0, np.exp(n * _log_abs_factor(x)))
    sign = np.where((x > 1) & (np.mod(n, 2) == 1), -1.0, 1.0)
    return scalar(np.where(w0 == 0, 0.0, w0 * (sign * size)))


@shapes_named
@quiet
def em_msd(steps: ArrayLike, *, curvature: ArrayLike, diffusion: ArrayLike, dt: ArrayLike, start: ArrayLike = 0.0) -> Array:
    r"""Return :math:`\langle(w_n-w_0)^2\rangle=w_0^2\,(x\,E_n(-x))^2+\mathrm{Var}_n,\ x=\kappa\,dt`."""
    n, w0 = checked("steps", steps), checked("start", start)
    h, x = _ratio(dt, curvature)
    moved = np.where((w0 == 0) | (x == 0), 0.0, w0 * x * geometric_sum(n, -x)) ** 2
    return scalar(moved + em_variance(n, curvature=curvature, diffusion=diffusion, dt=h))


@shapes_named
@quiet
def em_stationary_variance(*, curvature: ArrayLike, diffusion: ArrayLike, dt: ArrayLike) -> Array:
    r"""Return :math:`2D/(\kappa(2-\kappa\,dt))`, the limit of :func:`em_variance`; inf unless :math:`0<\kappa\,dt<2`."""
    d = checked("diffusion", diffusion)
    h, x = _ratio(dt, curvature)
    return scalar(np.where((x > 0) & (x < 2), 2 * d * h / (x * (2 - x)), np.where(d > 0, np.inf, 0.0)))


@quiet
def _atanh_ratio_excess(y: Array) -> Array:
    """Return atanh(y)/y - 1 from its series, for abs(y) below SMALL."""
    total = np.zeros_like(y)
    for k in range(TERMS, 0, -1):
        total = y * y * (total + 1 / (2 * k + 1))
    return total


@quiet
def _embedding_excess(x: Array) -> tuple[Array, Array]:
    """Return kappa'/kappa - 1 and D'/D - 1 of :func:`ou_embedding`, for small x from -log1p(-x) = 2 atanh(x/(2-x))."""
    y = x / (2 - x)
    near = np.abs(y) < SMALL
    r = _atanh_ratio_excess(np.where(near, y, 0.0))
    ratio = _log_ratio(x)
    return np.where(near, y + (1 + y) * r, ratio - 1), np.where(near, y * (2 + y) + (1 + y) ** 2 * r, 2 * ratio / (2 - x) - 1)


def _log_ratio(x: Array) -> Array:
    """Return -ln(1 - x)/x, which is 1 at x = 0."""
    return np.asarray(np.where(x == 0, 1.0, np.log1p(-x) / np.where(x == 0, 1.0, -x)))


@shapes_named
def ou_embedding(*, curvature: ArrayLike, diffusion: ArrayLike, dt: ArrayLike) -> tuple[Array, Array]:
    r"""Return :math:`(\kappa',D')` of the SDE that has exactly the law of the algorithm at times n dt.

    :math:`\kappa'=-\ln(1-x)/dt`, :math:`D'=D\,(\kappa'/\kappa)\,2/(2-x)` with :math:`x=\kappa\,dt`.  It turns
    every SDE formula that depends only on the law at the update times into one exact for the algorithm.
    Checked to 1e-14 from :math:`x=-10^6` to 1.  Derived in this library.

    Raises ValueError for :math:`\kappa\,dt\ge1`, where the map does not preserve order.
    """
    d = checked("diffusion", diffusion)
    _, x = _ratio(dt, curvature)
    if (x >= 1).any():
        raise ValueError(f"dt: curvature*dt={float(np.max(x)):.6g} has no embedding; give dt below 1/curvature")
    ratio = _log_ratio(x)
    return scalar(checked("curvature", curvature) * ratio), scalar(d * ratio * 2 / (2 - x))


@shapes_named
@quiet
def em_bias(steps: ArrayLike, *, curvature: ArrayLike, diffusion: ArrayLike, dt: ArrayLike) -> Array:
    r"""Return the exact bias :math:`\mathrm{Var}_n-\sigma^2(n\,dt)` of Euler-Maruyama.

    For :math:`\kappa\,dt<1` it is formed from the small :math:`\kappa'-\kappa` and :math:`D'-D` of :func:`ou_embedding`,
    because the two variances would cancel.
    """
    n, d = checked("steps", steps), checked("diffusion", diffusion)
    h, x = _ratio(dt, curvature)
    k, t, small = checked("curvature", curvature), n * h, np.where(x < 1, x, 0.0)
    up, wide = _embedding_excess(small)
    shift = k * np.where(x < 1, up, 0.0)
    wider = 2 * d * t * wide * phi1(-2 * (k + shift) * t)
    steeper = 4 * d * t * t * shift * delta_phi1(-2 * (k + shift) * t, -2 * k * t)
    direct = em_variance(n, curvature=k, diffusion=d, dt=h) - sde_variance(t, curvature=k, diffusion=d)
    return scalar(np.where(x < 1, wider - steeper, direct))


@shapes_named
@quiet
def em_bias_leading(steps: ArrayLike, *, curvature: ArrayLike, diffusion: ArrayLike, dt: ArrayLike) -> Array:
    r"""Return the leading bias :math:`D\,dt[\frac12(1-e^{-2\kappa t})+\kappa te^{-2\kappa t}]`, t = n dt."""
    n, d = checked("steps", steps), checked("diffusion", diffusion)
    h, x = _ratio(dt, curvature)
    kt = n * x
    return scalar(d * h * (-np.expm1(-2 * kt) / 2 + kt * np.exp(-2 * kt)))
