r"""The special functions behind the closed forms, evaluated without cancellation in float64.

Every variance of a linear diffusion is :math:`2Dt\,\varphi_1(-2\kappa t)` or a divided difference of it.
These functions are entire, so :math:`\kappa=0` and equal arguments need no special case by the caller.
"""

from __future__ import annotations

import math

import numpy as np

from ..checks import real_array, shapes_named
from ._domain import Array, ArrayLike, quiet, scalar

SERIES_TERMS = 18  # number of terms of the series for |z| < 1; the first coefficient left out, 1/20!, is below eps
SPLIT_EXP = 700.0  # above it exp(z) is split into exp(z/2)**2, lest it overflow before the value does
CHC_SWITCH = 4.0  # below it delta_chc is a series of positive terms, above it a closed form that hardly cancels there
CHC_TERMS = 24


def _as_float(**values: ArrayLike) -> tuple[Array, ...]:
    return tuple(np.broadcast_arrays(*[real_array(name, v) for name, v in values.items()]))


def _horner(z: Array, coefficients: list[float]) -> Array:
    total = np.full(z.shape, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = total * z + c
    return total


@shapes_named
@quiet
def phi1(z: ArrayLike) -> Array:
    r"""Return :math:`\varphi_1(z) = (e^z-1)/z`, with :math:`\varphi_1(0)=1`; inf above z = 716."""
    (x,) = _as_float(z=z)
    usual = np.expm1(x) / x
    large = np.exp(x / 2) * (np.exp(x / 2) / x)
    value = np.where(x > SPLIT_EXP, large, usual)
    return scalar(np.where(x == 0, 1.0, np.where(x == np.inf, np.inf, value)))


@shapes_named
@quiet
def phi2(z: ArrayLike) -> Array:
    r"""Return :math:`\varphi_2(z) = (e^z-1-z)/z^2`, with :math:`\varphi_2(0)=1/2`."""
    (x,) = _as_float(z=z)
    near = np.where(np.abs(x) < 1, x, 0.0)
    series = _horner(near, [1 / math.factorial(k + 2) for k in range(SERIES_TERMS)])
    usual = (np.expm1(x) - x) / x / x
    large = (np.exp(x / 2) / x) * (np.exp(x / 2) / x)
    return scalar(np.where(np.abs(x) < 1, series, np.where(x > SPLIT_EXP, large, usual)))


@shapes_named
@quiet
def psi(z: ArrayLike) -> Array:
    r"""Return :math:`\psi(z) = \varphi_1'(z) = ((z-1)e^z+1)/z^2`, which is positive, increasing and 1/2 at 0."""
    (x,) = _as_float(z=z)
    near = np.where(np.abs(x) < 1, x, 0.0)
    series = _horner(near, [(k + 1) / math.factorial(k + 2) for k in range(SERIES_TERMS)])
    usual = (x * np.exp(x) - np.expm1(x)) / x / x
    large = (np.exp(x / 2) / x) * (np.exp(x / 2) * ((x - 1) / x))
    return scalar(np.where(np.abs(x) < 1, series, np.where(x > SPLIT_EXP, large, usual)))


@shapes_named
@quiet
def log_phi1(z: ArrayLike) -> Array:
    r"""Return :math:`\ln\varphi_1(z)` for every finite z, also where :math:`\varphi_1` overflows."""
    (x,) = _as_float(z=z)
    small = np.log1p(x * phi2(np.where(np.abs(x) < 1, x, 0.0)))
    middle = np.log(phi1(np.where(x > 50, 1.0, x)))
    large = x + np.log1p(-np.exp(-x)) - np.log(x)
    return scalar(np.where(np.abs(x) < 1, small, np.where(x > 50, large, middle)))


@shapes_named
@quiet
def scaled_delta_phi1(x: ArrayLike, y: ArrayLike) -> Array:
    r"""Return :math:`e^{-\max(x,y,0)}\,\delta\varphi_1(x,y)`, which neither overflows nor cancels.

    It uses :math:`e^{-z}\varphi_2(z)=\psi(-z)` and :math:`e^{-z}\psi(z)=\varphi_2(-z)`; all terms have one sign.
    """
    a, b = _as_float(x=x, y=y)
    big, small = np.where(np.abs(a) >= np.abs(b), a, b), np.where(np.abs(a) >= np.abs(b), b, a)
    gap = big - small
    falling = (np.exp(small) * gap * phi2(gap) + small * psi(small)) / big
    rising = (gap * psi(-gap) + np.exp(-gap) * small * phi2(-small)) / big
    up, down = np.maximum(a, b), np.minimum(a, b)
    mixed = (up * psi(-up) - np.exp(-up) * down * phi2(down)) / (up - down)
    one_sided = np.where(big > 0, rising, falling)
    value = np.where((up >= 0) & (down <= 0), mixed, one_sided)
    return scalar(np.where(a == b, np.where(a > 0, phi2(-np.abs(a)), psi(np.minimum(a, 0.0))), value))


@shapes_named
@quiet
def delta_phi1(x: ArrayLike, y: ArrayLike) -> Array:
    r"""Return the divided difference :math:`(\varphi_1(x)-\varphi_1(y))/(x-y) > 0`, which is psi(x) at y = x."""
    top = np.maximum(np.maximum(*_as_float(x=x, y=y)), 0.0)
    return scalar(np.exp(top / 2) * (np.exp(top / 2) * scaled_delta_phi1(x, y)))


@shapes_named
def delta_phi1_excess(x: ArrayLike, y: ArrayLike) -> Array:
    r"""Return :math:`\delta\varphi_1(x,y)-1/2` with full relative precision for small arguments.

    For :math:`|x|,|y|<1` the series :math:`\sum_{k\ge2}\sum_{j<k}x^jy^{k-1-j}/(k+1)!` is summed.
    """
    a, b = _as_float(x=x, y=y)
    near = np.maximum(np.abs(a), np.abs(b)) < 1
    p, q = np.where(near, a, 0.0), np.where(near, b, 0.0)
    total, complete, power = np.zeros(a.shape), np.ones(a.shape), np.ones(a.shape)
    for k in range(2, SERIES_TERMS + 2):
        power = power * q
        complete = p * complete + power
        total = total + complete / math.factorial(k + 1)
    return scalar(np.where(near, total, delta_phi1(a, b) - 0.5))


@shapes_named
@quiet
def chc(s: ArrayLike) -> Array:
    r"""Return :math:`(\cosh\sqrt s-1)/s=\frac12(\sinh(r)/r)^2` with :math:`r=\sqrt s/2`, an entire function of s."""
    (x,) = _as_float(s=s)
    r = np.sqrt(np.abs(x)) / 2
    ratio = np.where(x > 0, np.sinh(r), np.sin(r)) / r
    return scalar(np.where(x == 0, 0.5, 0.5 * ratio * ratio))


@shapes_named
@quiet
def scaled_delta_chc(a: ArrayLike, b: ArrayLike) -> Array:
    r"""Return :math:`e^{-\max(|a|,|b|)}` times the divided difference of :func:`chc` at :math:`a^2, b^2`.

    With A the larger and C the smaller modulus and S(x)=sinh(x/2)/(x/2), the divided difference is
    :math:`[S(A+C)S(A-C)-S(C)^2]/(2A^2)`; :math:`e^{-x/2}S(x)=\varphi_1(-x)` keeps every factor finite.
    """
    x, y = (np.abs(v) for v in _as_float(a=a, b=b))
    top, low = np.maximum(x, y), np.minimum(x, y)
    closed = phi1(-top - low) * phi1(low - top) - np.exp(low - top) * phi1(-low) ** 2
    closed = closed / top / top / 2
    s1, s2 = np.where(top < CHC_SWITCH, top, 0.0) ** 2, np.where(top < CHC_SWITCH, low, 0.0) ** 2
    total, complete, power = np.full(top.shape, 1 / 24), np.ones(top.shape), np.ones(top.shape)
    for k in range(2, CHC_TERMS):
        power = power * s2
        complete = s1 * complete + power
        total = total + complete / math.factorial(2 * k + 2)
    return scalar(np.where(top < CHC_SWITCH, total * np.exp(-top), closed))


@shapes_named
@quiet
def delta_chc(s1: ArrayLike, s2: ArrayLike) -> Array:
    r"""Return the divided difference of :func:`chc` for :math:`s_1,s_2\ge0`; 1/24 at the origin."""
    a, b = _as_float(s1=s1, s2=s2)
    if (a < 0).any() or (b < 0).any():
        raise ValueError(f"s={float(np.min(np.minimum(a, b))):.15g}: give 0 or more, e.g. s1=0.25")
    r1, r2 = np.sqrt(a), np.sqrt(b)
    return scalar(np.exp(np.maximum(r1, r2)) * scaled_delta_chc(r1, r2))


@shapes_named
@quiet
def geometric_sum(steps: ArrayLike, u: ArrayLike) -> Array:
    r"""Return :math:`E_n(u) = \sum_{k<n}(1+u)^k = ((1+u)^n-1)/u` for n = ``steps`` and any real u.

    Powers are exponentials of :math:`n\ln|1+u|`, so that tiny u and u near -2 keep their precision; n is not
    checked for being whole.
    """
    n, x = _as_float(steps=steps, u=u)
    # log1p is not defined for x < -1, but there 1 + x is exact near x = -2
    log_abs = np.where(x > -1, np.log1p(x), np.log(np.abs(1 + x)))
    odd_negative = (x < -1) & (np.mod(n, 2) == 1)
    grown = np.where(odd_negative, -np.exp(n * log_abs) - 1, np.expm1(n * log_abs)) / x
    value = np.where(x == 0, n, np.where(x == -1, 1.0, grown))
    return scalar(np.where(n == 0, 0.0, value))
