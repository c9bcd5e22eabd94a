r"""Leaving an interval :math:`(-L,L)`: mean exit times, survival and crossing times of the diffusion.

The SDE is :math:`dw=-\kappa w\,dt+\sqrt{2D}\,dW`.  The curvature may have any sign:
escape (< 0), free diffusion (0), trapped (> 0).  Time advances by lr per update.
Derived in this library; the ingredients are textbook.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import dawsn, erf, erfc, erfcx

from ..checks import shapes_named
from ._domain import Array, ArrayLike, checked, quiet, scalar
from .diffusion import sde_variance

NODES, WEIGHTS = np.polynomial.legendre.leggauss(64)
FAR = 7.0  # beyond it the integral of Dawson's function is an asymptotic series (25 terms, error below 1e-19)
SHALLOW = 1.5  # below it exp(x^2) erf(x) is integrated by quadrature, above it through Dawson's function
ASYMPTOTIC = [math.prod(range(1, 2 * k, 2)) / (2 ** (k + 1) * 2 * k) for k in range(1, 26)]
ROOT_PI = math.sqrt(math.pi)
BROAD = 40.0  # kappa L^2/2D beyond which the slowest rate is 1/T to rounding


def _far_excess(x: Array) -> Array:
    r"""Return :math:`\int_0^x Daw-\frac14[\ln(4x^2)+\gamma_E]` for x >= FAR, which is small."""
    inverse = 1 / x / x
    total = np.zeros_like(x)
    for c in reversed(ASYMPTOTIC):
        total = (total + c) * inverse
    return -total


def dawson_integral(low: Array, high: Array) -> Array:
    r"""Return :math:`\int_{low}^{high}Daw`, 0 <= low <= high, positive and without cancellation."""
    near = (high < FAR) | (high < 8 * low)
    left = np.where(near, low, 0.0)
    width = np.where(near, high, 1.0) - left
    half = (1 + NODES) / 2
    summed = width * (dawsn(left[..., None] + width[..., None] * half) @ WEIGHTS) / 2
    start = np.minimum(low, FAR)
    base = start * (dawsn(start[..., None] * half) @ WEIGHTS) / 2
    top = np.maximum(high, FAR)
    from_zero = np.log(4 * top * top) / 4 + np.euler_gamma / 4 + _far_excess(top) - base
    ends = np.maximum(low, FAR)
    apart = np.log(top / ends) / 2 + _far_excess(top) - _far_excess(ends)
    return np.asarray(np.where(near, summed, np.where(low < FAR, from_zero, apart)))


def _growth_integral(low: Array, high: Array) -> Array:
    r"""Return :math:`e^{-high^2}\int_{low}^{high}\frac{\sqrt\pi}2e^{x^2}\mathrm{erf}(x)dx`, low <= high."""
    near = (high < SHALLOW) | ((high - low) * (high + low) < 4)
    start, width = np.where(near, low, 0.0), np.where(near, high - low, 1.0)
    x = start[..., None] + width[..., None] * (1 + NODES) / 2
    top = np.where(near, high, 1.0)[..., None]
    # (x-top)(x+top): the difference of squares would lose digits for large x
    summed = width * ((np.exp((x - top) * (x + top)) * erf(x)) @ WEIGHTS) / 2
    # erf is split into 1 - erfc, because a Legendre rule is not accurate enough near the end of a steep interval
    ends = np.minimum(low, FAR)
    gap = np.minimum(high, FAR) - ends
    tail = gap * (erfcx(ends[..., None] + gap[..., None] * (1 + NODES) / 2) @ WEIGHTS) / 2
    steep = dawsn(high) - np.exp((low - high) * (low + high)) * dawsn(low) - np.exp(-high * high) * tail
    return np.asarray(ROOT_PI / 2 * np.where(near, summed, steep))


def _exit_parts(limit: ArrayLike, curvature: ArrayLike, diffusion: ArrayLike, start: ArrayLike) -> tuple[Array, Array]:
    """Return (e, f) such that the mean exit time is exp(e) f; e is 0 unless the path is trapped."""
    size, k = checked("limit", limit), checked("curvature", curvature)
    d, w0 = checked("diffusion", diffusion, "diffusion_positive"), np.abs(checked("start", start))
    size, k, d, w0 = np.broadcast_arrays(size, k, d, w0)
    inside = np.minimum(w0, size)
    scale = np.sqrt(np.abs(k) / (2 * d))
    high, low = scale * size, scale * inside
    # below this, exp(high^2) differs from 1 by less than eps, and T is (L^2-x^2)/2D
    flat = high < 1e-8
    free = (size - inside) * (size + inside) / (2 * d)
    down, up = dawson_integral(low, high), _growth_integral(low, high)
    with_sign = np.where(k < 0, down, up) * 2 / np.where(flat, 1.0, np.abs(k))
    # high * high would carry the rounding of its root, twice, and the exponential multiplies that by the exponent
    exponent = np.where((k > 0) & ~flat, k * size * size / (2 * d), 0.0)
    return exponent, np.where(flat, free, with_sign)


@shapes_named
@quiet
def mean_exit_time(limit: ArrayLike, *, curvature: ArrayLike, diffusion: ArrayLike, start: ArrayLike = 0.0) -> Array:
    r"""Return the mean first-exit time from (-L, L) of a path begun at ``start``, L = ``limit``.

    :math:`T=F(L)-F(|x_0|)`, :math:`F(y)=\frac{y^2}{2D}\,{}_2F_2(1,1;\frac32,2;\frac{\kappa y^2}{2D})`,
    evaluated as an integral of Dawson's function (:math:`\kappa<0`) or of :math:`e^{x^2}\mathrm{erf}\,x`
    (:math:`\kappa>0`, growing like :math:`e^{\kappa L^2/2D}`).  At :math:`\kappa=0` it is :math:`(L^2-x_0^2)/2D`.  It is 0
    for a start outside and inf where it overflows, see :func:`log_mean_exit_time`.

    Raises ValueError for limit <= 0 or diffusion <= 0.
    """
    exponent, factor = _exit_parts(limit, curvature, diffusion, start)
    return scalar(np.where(factor == 0, 0.0, np.exp(exponent / 2) * (np.exp(exponent / 2) * factor)))


@shapes_named
@quiet
def log_mean_exit_time(limit: ArrayLike, *, curvature: ArrayLike, diffusion: ArrayLike, start: ArrayLike = 0.0) -> Array:
    """Return the logarithm of :func:`mean_exit_time`, finite for deep traps; -inf for a start outside."""
    exponent, factor = _exit_parts(limit, curvature, diffusion, start)
    return scalar(np.where(factor == 0, -np.inf, exponent + np.log(factor)))


@shapes_named
@quiet
def mean_exit_time_asymptotic(limit: ArrayLike, *, curvature: ArrayLike, diffusion: ArrayLike) -> Array:
    r"""Return the leading exit time from the saddle for :math:`X=L\sqrt{|\kappa|/2D}\gg1`.

    It is :math:`\frac1{2|\kappa|}[\ln(4X^2)+\gamma_E]` for :math:`\kappa<0`, logarithmic in the batch size,
    :math:`\sqrt\pi e^{X^2}/(2\kappa X)` for :math:`\kappa>0`, exponential in the batch size, and :math:`L^2/2D` at
    :math:`\kappa=0`.
    """
    size, k = checked("limit", limit), checked("curvature", curvature)
    d = checked("diffusion", diffusion, "diffusion_positive")
    square = np.abs(k) * size * size / (2 * d)
    out = (np.log(4 * square) + np.euler_gamma) / (2 * np.abs(k))
    trapped = ROOT_PI * np.exp(square) / (2 * k * np.sqrt(square))
    return scalar(np.where(k == 0, size * size / (2 * d), np.where(k < 0, out, trapped)))


def _slowest(z: Array) -> Array:
    r"""Return :math:`\Lambda=\mu L^2/D` for z = kappa L^2/2D from 0 to BROAD, the first root of a series.

    The series is u(1) for the even solution of :math:`u''-2zsu'+\Lambda u=0`, :math:`u(0)=1`.  As a function of Lambda
    it is convex and falling below its first root, so that Newton's steps from 0 climb to it monotonically.
    """
    value = np.zeros_like(z)
    for _ in range(12):
        term, slope = np.ones_like(z), np.zeros_like(z)
        total, change = np.ones_like(z), np.zeros_like(z)
        for k in range(160):
            down = (2 * k + 2) * (2 * k + 1)
            slope = (slope * (4 * z * k - value) - term) / down
            term = term * (4 * z * k - value) / down
            total, change = total + term, change + slope
        value = value - total / change
    return value


def _trapped(limit: ArrayLike, curvature: ArrayLike, diffusion: ArrayLike) -> tuple[Array, Array]:
    r"""Return (curvature, :math:`\ln\mu` at the modulus of the curvature), both with the broadcast shape."""
    size, k = checked("limit", limit), checked("curvature", curvature)
    d = checked("diffusion", diffusion, "diffusion_positive")
    size, k, d = np.broadcast_arrays(size, k, d)
    z = np.abs(k) * size * size / (2 * d)
    shallow = np.log(_slowest(np.minimum(z, BROAD))) + np.log(d / size / size)
    return k, np.where(z < BROAD, shallow, -log_mean_exit_time(size, curvature=np.abs(k), diffusion=d))


@shapes_named
@quiet
def log_survival_rate(limit: ArrayLike, *, curvature: ArrayLike, diffusion: ArrayLike) -> Array:
    r"""Return the logarithm of :func:`survival_rate`, finite also where that underflows in a deep trap."""
    k, trapped = _trapped(limit, curvature, diffusion)
    return scalar(np.where(k < 0, np.log(np.abs(k) + np.exp(trapped)), trapped))


@shapes_named
@quiet
def survival_rate(limit: ArrayLike, *, curvature: ArrayLike, diffusion: ArrayLike) -> Array:
    r"""Return the rate :math:`\mu` at which :math:`e^{-\mu t}`, the probability to be still inside, decays.

    It is the smallest root of :math:`{}_1F_1(-\mu/2\kappa;\frac12;\kappa L^2/2D)=0`.  It is :math:`\pi^2D/4L^2` at
    :math:`\kappa=0` and tends to :math:`|\kappa|` for :math:`\kappa<0,\ L\to\infty`.  Negative curvatures are computed by
    :math:`\mu(-\kappa)=\kappa+\mu(\kappa)`, which follows from Kummer's transformation.
    """
    k, trapped = _trapped(limit, curvature, diffusion)
    return scalar(np.where(k < 0, np.abs(k), 0.0) + np.exp(trapped))


@shapes_named
@quiet
def crossing_time(limit: ArrayLike, *, curvature: ArrayLike, diffusion: ArrayLike) -> Array:
    r"""Return the time at which :math:`\sigma^2(t)=L^2`, :math:`\frac{L^2}{2D}\frac{\ln(1-x)}{-x}`.

    Here :math:`x=\kappa L^2/D`.  The time is inf for :math:`x\ge1`, where the variance never exceeds :math:`D/\kappa\le L^2`.
    """
    size, k = checked("limit", limit), checked("curvature", curvature)
    d = checked("diffusion", diffusion, "diffusion_positive")
    x = k * size * size / d
    ratio = np.where(x == 0, 1.0, np.log1p(-np.minimum(x, 1.0)) / -x)
    return scalar(np.where(x >= 1, np.inf, size * size / (2 * d) * ratio))


@shapes_named
@quiet
def exceedance_probability(limit: ArrayLike, *, time: ArrayLike, curvature: ArrayLike, diffusion: ArrayLike) -> Array:
    r"""Return :math:`P(|w(t)|>L)=\mathrm{erfc}(L/(\sqrt2\sigma(t)))` for a start at the saddle."""
    size = checked("limit", limit)
    variance = sde_variance(time, curvature=curvature, diffusion=diffusion)
    return scalar(erfc(size / np.sqrt(2 * variance)))
