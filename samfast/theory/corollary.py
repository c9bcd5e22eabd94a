r"""Corollary 1: the MSD of SGD less that of SAM, :math:`\Delta_{SGD}-\Delta_{SAM}`, as printed and exact."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..checks import integer, shapes_named
from . import coefficients
from ._domain import Array, ArrayLike, checked, quiet, scalar
from .special import delta_phi1, delta_phi1_excess, phi1, psi, scaled_delta_phi1
from .stability import BOUNDARY

TERMS = 100  # greatest number of terms of the expansion; more would need factorials beyond float64


class Pair(NamedTuple):
    """The numbers of SGD and SAM at one setting: time, diffusion of SGD, curvatures of both, their difference and 1 - s^2."""

    time: Array
    diffusion: Array
    sgd: Array
    sam: Array
    shift: Array
    deficit: Array


def sgd_and_sam(
    time: ArrayLike,
    eigenvalue: ArrayLike,
    lr: ArrayLike,
    rho: ArrayLike,
    batch_size: ArrayLike,
    drift: str,
    noise: str = "unit",
) -> Pair:
    """Return the numbers of SGD and SAM, every field with the broadcast shape of all arguments."""
    d = coefficients.diffusion_coefficient(eigenvalue, lr=lr, batch_size=batch_size)
    k = coefficients.curvature(eigenvalue, rho=rho, drift=drift)
    shift = coefficients.curvature_shift(eigenvalue, rho=rho, drift=drift)
    deficit = coefficients.noise_deficit(eigenvalue, rho=rho, drift=drift, noise=noise)
    values = (checked("time", time), d, checked("eigenvalue", eigenvalue), k, shift, deficit)
    return Pair(*np.broadcast_arrays(*values))


@shapes_named
def corollary1(time: ArrayLike, *, eigenvalue: ArrayLike, lr: ArrayLike, rho: ArrayLike, batch_size: ArrayLike = 1) -> Array:
    r"""Return Corollary 1 as printed, :math:`2\eta t^2|\lambda|^3\rho/B`.

    This is the leading term of :func:`corollary1_exact` for :math:`\rho\to0,\ t\to0` and ``drift="chain"``, and twice the
    leading term for ``"plain"``.  Source: Kim et al., Stability Analysis of SAM, Corollary 1, eq. 13.
    """
    t, e, eta = checked("time", time), checked("eigenvalue", eigenvalue), checked("lr", lr)
    r, b = checked("rho", rho), checked("batch_size", batch_size)
    return scalar(2 * eta * t * t * np.abs(e) ** 3 * r / b)


@shapes_named
@quiet
def corollary1_exact(
    time: ArrayLike,
    *,
    eigenvalue: ArrayLike,
    lr: ArrayLike,
    rho: ArrayLike,
    batch_size: ArrayLike = 1,
    drift: str = "chain",
    noise: str = "unit",
) -> Array:
    r"""Return the exact difference of the two variances, without subtracting them.

    :math:`2Dt(1-s^2)\varphi_1(-2\kappa t)+4Dt^2(\kappa-\lambda)\,\delta\varphi_1(-2\lambda t,-2\kappa t)`.
    With unit noise its sign is that of :math:`\kappa-\lambda` for every t > 0: positive for plain, reversed
    for chain where :math:`\rho\lambda<-2`.  With the same minibatch in both steps the first term is of
    first order in t and dominates at short times.  For positive eigenvalues and noise other than unit the terms are
    rearranged where this reduces their cancellation.  Checked to 20 eps (1 + condition) for every drift and noise.
    Derived in this library.
    """
    q = sgd_and_sam(time, eigenvalue, lr, rho, batch_size, drift, noise)
    drifted = 4 * q.diffusion * q.time**2 * q.shift * delta_phi1(-2 * q.sgd * q.time, -2 * q.sam * q.time)
    drifted = np.where((q.shift == 0) | (q.diffusion == 0), 0.0, drifted)
    damped = 2 * q.diffusion * q.time * q.deficit * phi1(-2 * q.sam * q.time)
    damped = np.where(q.deficit == 0, 0.0, damped)
    levelled = _levelled(q, checked("rho", rho) * q.sgd, drift, noise)
    # the two forms are equal but cancel in different places at positive eigenvalues; the one with smaller terms is taken
    smaller = np.abs(levelled[0]) + np.abs(levelled[1]) < np.abs(drifted) + np.abs(damped)
    return scalar(np.where((q.sgd > 0) & (q.deficit != 0) & smaller, levelled[0] + levelled[1], drifted + damped))


def _levelled(q: Pair, r: Array, drift: str, noise: str) -> tuple[Array, Array]:
    r"""Return two terms that sum to the difference; for positive curvatures only the first remains at late times.

    They are :math:`2Dt\,[(1-\frac{s^2\lambda}\kappa)\frac\kappa\lambda\varphi_1(-2\kappa t)
    -e^{-2\lambda t}\frac{\kappa-\lambda}\lambda\varphi_1(-2(\kappa-\lambda)t)]`; r is :math:`\rho\lambda`.
    """
    steeper = {"plain": r, "chain": r * (2 + r), "sgd": 0 * r}[drift]  # (kappa - lambda)/lambda
    if drift == "plain":
        left = {"unit": r, "exact": r, "same": -r * (1 + r), "independent": r - r * r}[noise]
    else:
        kept = (1 + r) ** 2  # kappa/lambda
        left = {"unit": steeper, "exact": 0 * r, "same": -steeper * kept, "independent": -r * r * kept}[noise]
    early = 2 * q.diffusion * q.time * left * phi1(-2 * q.sam * q.time)
    late = -2 * q.diffusion * q.time * steeper * np.exp(-2 * q.sgd * q.time) * phi1(-2 * q.shift * q.time)
    return np.asarray(early), np.asarray(late)


@shapes_named
@quiet
def log_corollary1_exact(
    time: ArrayLike,
    *,
    eigenvalue: ArrayLike,
    lr: ArrayLike,
    rho: ArrayLike,
    batch_size: ArrayLike = 1,
    drift: str = "chain",
) -> Array:
    r"""Return :math:`\ln|\Delta_{SGD}-\Delta_{SAM}|` for unit noise, finite where the difference overflows.

    The sign is :func:`corollary1_sign`.
    """
    q = sgd_and_sam(time, eigenvalue, lr, rho, batch_size, drift)
    x, y = -2 * q.sgd * q.time, -2 * q.sam * q.time
    scaled = np.log(scaled_delta_phi1(x, y)) + np.maximum(np.maximum(x, y), 0.0)
    return scalar(np.log(4 * q.diffusion * q.time**2 * np.abs(q.shift)) + scaled)


@shapes_named
def corollary1_sign(eigenvalue: ArrayLike, *, rho: ArrayLike, drift: str = "chain") -> Array:
    r"""Return the sign (-1, 0, 1) of the exact unit-noise difference, the same for every t > 0.

    It is the sign of :math:`\kappa-\lambda`; for ``chain`` it is 0 at :math:`\rho\lambda=-2` (within 4 eps).
    """
    e, r = np.broadcast_arrays(checked("eigenvalue", eigenvalue), checked("rho", rho))
    sign = np.sign(coefficients.curvature_shift(e, rho=r, drift=drift))
    edge = (np.abs(2 + r * e) <= 2 * BOUNDARY) & (drift == "chain")
    return scalar(np.where(edge, 0.0, sign))


@shapes_named
@quiet
def corollary1_bounds(
    time: ArrayLike,
    *,
    eigenvalue: ArrayLike,
    lr: ArrayLike,
    rho: ArrayLike,
    batch_size: ArrayLike = 1,
    drift: str = "chain",
) -> tuple[Array, Array]:
    r"""Return rigorous bounds (low, high) of :func:`corollary1_exact` for unit noise.

    They are :math:`4Dt^2(\kappa-\lambda)\psi(z)` at :math:`z=-2\kappa t` and :math:`z=-2\lambda t`, in order of size.
    """
    q = sgd_and_sam(time, eigenvalue, lr, rho, batch_size, drift)
    scale = 4 * q.diffusion * q.time**2 * q.shift
    ends = [np.where(scale == 0, 0.0, scale * psi(-2 * k * q.time)) for k in (q.sam, q.sgd)]
    return scalar(np.minimum(*ends)), scalar(np.maximum(*ends))


@shapes_named
def corollary1_expansion(
    time: ArrayLike,
    *,
    eigenvalue: ArrayLike,
    lr: ArrayLike,
    rho: ArrayLike,
    batch_size: ArrayLike = 1,
    drift: str = "chain",
    terms: int = 3,
) -> Array:
    r"""Return the short-time expansion :math:`2Dt^2(\kappa-\lambda)-\frac43Dt^3(\kappa^2-\lambda^2)+\dots`.

    These are the first ``terms`` terms of :math:`2Dt\sum_{k\ge1}(-2t)^k(\lambda^k-\kappa^k)/(k+1)!` for unit noise, each
    difference of powers formed as :math:`(\kappa-\lambda)\sum_j\kappa^j\lambda^{k-1-j}`.
    """
    terms = integer("terms", terms, 1, 3, most=TERMS)
    q = sgd_and_sam(time, eigenvalue, lr, rho, batch_size, drift)
    x, y = -2 * q.sam * q.time, -2 * q.sgd * q.time
    total, complete, power = np.full(x.shape, 0.5), np.ones(x.shape), np.ones(x.shape)
    for k in range(2, terms + 1):
        power = power * y
        complete = x * complete + power
        total = total + complete / math.factorial(k + 1)
    return scalar(4 * q.diffusion * q.time**2 * q.shift * total)


@shapes_named
@quiet
def corollary1_remainder(
    time: ArrayLike,
    *,
    eigenvalue: ArrayLike,
    lr: ArrayLike,
    rho: ArrayLike,
    batch_size: ArrayLike = 1,
    drift: str = "chain",
    noise: str = "unit",
) -> Array:
    r"""Return exact minus printed, :func:`corollary1_exact` - :func:`corollary1`, without subtracting them.

    It is :math:`4Dt^2\rho\lambda^2[\frac12\rho\lambda+(2+\rho\lambda)(\delta\varphi_1-\frac12)]` for chain and
    :math:`4Dt^2\rho\lambda^2[-\frac12+(\delta\varphi_1-\frac12)]` for plain, plus the noise term of the exact form.
    """
    q = sgd_and_sam(time, eigenvalue, lr, rho, batch_size, drift, noise)
    r = checked("rho", rho) * q.sgd
    excess = delta_phi1_excess(-2 * q.sgd * q.time, -2 * q.sam * q.time)
    if drift == "chain":
        bracket = r / 2 + np.where(r == -2, 0.0, (2 + r) * excess)
    else:
        bracket = -0.5 + excess if drift == "plain" else np.full(q.time.shape, -1.0)
    scale = 4 * q.diffusion * q.time**2 * r * q.sgd
    damped = np.where(q.deficit == 0, 0.0, 2 * q.diffusion * q.time * q.deficit * phi1(-2 * q.sam * q.time))
    return scalar(np.where(scale == 0, 0.0, scale * bracket) + damped)


@shapes_named
def corollary1_remainder_leading(
    time: ArrayLike, *, eigenvalue: ArrayLike, lr: ArrayLike, rho: ArrayLike, batch_size: ArrayLike = 1
) -> Array:
    r"""Return the leading chain remainder, :math:`\frac{\eta}{B}t^2\rho\lambda^3|\lambda|(\rho-\frac83t)`.

    The slides of Kim et al., Stability Analysis of SAM, give a remainder of order :math:`\eta t^3\lambda^4/B`; this
    omits the first term and holds only for :math:`\rho^2\lesssim t`.
    """
    t, e, eta = checked("time", time), checked("eigenvalue", eigenvalue), checked("lr", lr)
    r, b = checked("rho", rho), checked("batch_size", batch_size)
    return scalar(eta * t * t * r * e**3 * np.abs(e) / b * (r - 8 / 3 * t))
