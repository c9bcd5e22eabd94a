r"""Normalised SAM in one dimension: capture by a saddle, escape from it, stationary spread at a minimum.

The perturbation is :math:`\rho\nabla\ell/\|\nabla\ell\|` and the drift :math:`-\lambda w-\rho|\lambda|\,\mathrm{sgn}\,w`.
The unit of rho is length.  Derived in this library.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import dawsn, erf, erfcx

from ..checks import shapes_named
from ._domain import Array, ArrayLike, checked, quiet, scalar
from .escape import dawson_integral

NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)
SERIES_SWITCH = 1.0  # above this c the backward recursion replaces the closed form, which cancels as c^4
DEPTH = 300  # terms of the recursion; its error is below eps at c = 1, where 120 terms would leave 3e-12


def _saddle(eigenvalue: ArrayLike) -> Array:
    e = checked("eigenvalue", eigenvalue)
    if (e >= 0).any():
        bad = float(np.max(e))
        raise ValueError(f"eigenvalue={bad:.15g}: give a negative eigenvalue, e.g. eigenvalue=-1.0")
    return -e


def _small(eigenvalue: ArrayLike, lr: ArrayLike) -> Array:
    a = np.asarray(checked("lr", lr) * _saddle(eigenvalue))
    if (a >= 1).any():
        raise ValueError(f"lr: lr*|eigenvalue|={float(np.max(a)):.6g}; give lr below 1/|eigenvalue|")
    return a


@shapes_named
@quiet
def capture_steps(start: ArrayLike, *, eigenvalue: ArrayLike, lr: ArrayLike, rho: ArrayLike) -> Array:
    r"""Return the number of updates until :math:`|w|\le a\rho`, the band a captured path never leaves.

    :math:`\lceil\ln[(1-a)\rho/(\rho-|w_0|)]/\ln(1+a)\rceil` with :math:`a=\eta|\lambda|<1` for
    :math:`w^+=(1+a)w-a\rho\,\mathrm{sgn}\,w`; inf for :math:`|w_0|\ge\rho`, as such a start is not captured.  In the
    band the motion is chaotic, with Lyapunov exponent :math:`\ln(1+a)`; it does not converge to the saddle.

    Raises ValueError for eigenvalue >= 0, lr |eigenvalue| >= 1 or rho <= 0.
    """
    a, r, w0 = _small(eigenvalue, lr), checked("rho", rho, "rho_positive"), np.abs(checked("start", start))
    need = np.log((1 - a) * r / (r - w0)) / np.log1p(a)
    # a start on the edge of the band after a whole number of steps must not be lifted by rounding
    whole = np.ceil(need - 1e-9)
    return scalar(np.where(w0 >= r, np.inf, np.maximum(whole, 0.0)))


@shapes_named
def captured_band(*, eigenvalue: ArrayLike, lr: ArrayLike, rho: ArrayLike) -> tuple[Array, Array]:
    r"""Return (half width, Lyapunov exponent) of the band about a saddle in which a captured path moves for ever.

    They are :math:`a\rho` and, per update, :math:`\ln(1+a)>0` with :math:`a=\eta|\lambda|<1`.  The motion is chaotic and
    does not converge to the saddle.  The captured starts are exactly those with :math:`|w_0|<\rho`.

    Raises ValueError for eigenvalue >= 0, lr |eigenvalue| >= 1 or rho <= 0.
    """
    a, r = _small(eigenvalue, lr), checked("rho", rho, "rho_positive")
    return scalar(a * r), scalar(np.log1p(a + 0 * r))


@shapes_named
@quiet
def capture_time(start: ArrayLike, *, eigenvalue: ArrayLike, rho: ArrayLike) -> Array:
    r"""Return the time that the flow takes to the saddle, :math:`\ln[\rho/(\rho-|w_0|)]/|\lambda|`; inf if never."""
    m, r, w0 = _saddle(eigenvalue), checked("rho", rho, "rho_positive"), np.abs(checked("start", start))
    return scalar(np.where(w0 >= r, np.inf, -np.log1p(-np.minimum(w0 / r, 1.0)) / m))


def _exit_small(width: Array, radius: Array) -> Array:
    r"""Return the double integral by quadrature for narrow intervals, where the closed form would cancel."""
    half = (1 + NODES) / 2
    y = width[..., None] * half
    s = y[..., None] * half
    c = radius[..., None, None]
    inner = (np.exp((s - y[..., None]) * (s + y[..., None] - 2 * c)) @ WEIGHTS) / 2 * y
    return np.asarray(width * (inner @ WEIGHTS) / 2)


def _exit_parts(
    limit: ArrayLike, eigenvalue: ArrayLike, lr: ArrayLike, rho: ArrayLike, batch_size: ArrayLike
) -> tuple[Array, Array]:
    """Return (e, f) such that the exit time is exp(e) f; e is the height of the barrier, or 0 in a narrow interval."""
    m, r = _saddle(eigenvalue), checked("rho", rho)
    beta = checked("batch_size", batch_size) / checked("lr", lr)
    root = np.sqrt(beta)
    width, c, m = np.broadcast_arrays(root * checked("limit", limit), root * r, m)
    inside = width < c  # the interval ends before the top of the barrier at rho, and a difference of erf would cancel
    gap = np.abs(width - c)
    size, r = checked("limit", limit), checked("rho", rho)
    barrier = beta * np.where(inside, size * (2 * r - size), r * r)
    tops = np.where(inside, erfcx(gap) - np.exp(-barrier) * erfcx(c), erf(gap) + erf(c))
    sign = np.where(gap < c, -1.0, 1.0)
    level = sign * dawson_integral(np.minimum(gap, c), np.maximum(gap, c))
    tall = dawsn(c) * np.sqrt(np.pi) / 2 * tops + np.exp(-barrier) * level
    narrow = width * np.maximum(width, 2 * c) < 4
    small = _exit_small(np.where(narrow, width, 0.0), np.where(narrow, c, 0.0))
    # D beta = |lambda|/2
    return np.where(narrow, 0.0, barrier), 2 / m * np.where(narrow, small, tall)


@shapes_named
@quiet
def log_normalized_exit_time(
    limit: ArrayLike, *, eigenvalue: ArrayLike, lr: ArrayLike, rho: ArrayLike, batch_size: ArrayLike = 1
) -> Array:
    """Return the logarithm of :func:`normalized_exit_time`, finite for barriers of any height."""
    exponent, factor = _exit_parts(limit, eigenvalue, lr, rho, batch_size)
    return scalar(exponent + np.log(factor))


@shapes_named
@quiet
def normalized_exit_time(
    limit: ArrayLike, *, eigenvalue: ArrayLike, lr: ArrayLike, rho: ArrayLike, batch_size: ArrayLike = 1
) -> Array:
    r"""Return the mean exit time from (-L, L), begun at the saddle, for unit noise.

    With the potential :math:`|\lambda|(\rho|w|-w^2/2)`, :math:`D=\eta|\lambda|/2B` and :math:`\beta=B/\eta` it is
    :math:`T=\frac1{D\sqrt\beta}\int_0^L[Daw(\sqrt\beta(y-\rho))+e^{\beta\rho^2-\beta(y-\rho)^2}Daw(\sqrt\beta\rho)]dy`.
    For a high barrier and :math:`L>2\rho` it is close to :func:`normalized_kramers_time`.

    Raises ValueError for limit <= 0, eigenvalue >= 0, lr <= 0, rho < 0 or batch_size < 1.
    """
    exponent, factor = _exit_parts(limit, eigenvalue, lr, rho, batch_size)
    return scalar(np.exp(exponent / 2) * (np.exp(exponent / 2) * factor))


@shapes_named
@quiet
def normalized_kramers_time(*, eigenvalue: ArrayLike, lr: ArrayLike, rho: ArrayLike, batch_size: ArrayLike = 1) -> Array:
    r"""Return Kramers' high-barrier estimate :math:`\sqrt{\pi\eta/B}\,e^{B\rho^2/\eta}/(|\lambda|\rho)`."""
    m, r = _saddle(eigenvalue), checked("rho", rho, "rho_positive")
    noise = checked("lr", lr) / checked("batch_size", batch_size)
    return scalar(np.sqrt(np.pi * noise) * np.exp(r * r / noise) / (m * r))


def _square_mean(c: Array) -> Array:
    r"""Return the mean of :math:`y^2` under :math:`e^{-y^2-2cy},\ y>0`.

    It is the closed form :math:`\frac12+c^2-c/(\sqrt\pi\,\mathrm{erfcx}\,c)` up to SERIES_SWITCH.  Above, where this
    cancels, ratios of repeated integrals of erfc come from the stable backward recursion :math:`r_{n-1}=1/(2c+2nr_n)`.
    """
    closed = 0.5 + c * c - c / (math.sqrt(math.pi) * erfcx(c))
    x = np.maximum(c, SERIES_SWITCH)
    ratio, after = np.zeros_like(x), np.zeros_like(x)
    for n in range(DEPTH, 1, -1):
        after = ratio
        ratio = 1 / (2 * x + 2 * n * ratio)
    return np.asarray(np.where(c > SERIES_SWITCH, 2 * ratio * after, closed))


@shapes_named
@quiet
def normalized_stationary_variance(*, lr: ArrayLike, rho: ArrayLike, batch_size: ArrayLike = 1) -> Array:
    r"""Return the stationary variance at a minimum, :math:`\frac{\eta}{B}[\frac12+c^2-\frac{c}{\sqrt\pi\,\mathrm{erfcx}\,c}]`.

    Here :math:`c=\rho\sqrt{B/\eta}`.  It holds for unit noise in continuous time and does not depend on the eigenvalue
    :math:`\lambda>0`.  Checked to 1e-14 for every c.
    """
    noise = checked("lr", lr) / checked("batch_size", batch_size)
    return scalar(noise * _square_mean(checked("rho", rho) / np.sqrt(noise)))
