r"""How many updates normalised SAM needs to its two-cycle on a convex quadratic, as Theorem 3 of Bartlett et al. bounds it.

Source: Bartlett, Long, Bousquet, "The Dynamics of Sharpness-Aware Minimization", section 4.
"""

from __future__ import annotations

from math import lgamma, log, pi
from typing import NamedTuple

import numpy as np

from ..checks import shapes_named
from ._domain import Array, ArrayLike, checked, chosen, directions, scalar
from .quadratic_sam import positive_spectrum

VERSIONS = ("corrected", "as_printed")


class UpdateTerms(NamedTuple):
    """The terms of :func:`bartlett_theorem3_terms`, in the order of the theorem."""

    overshooting: Array
    growing: Array
    approaching: Array
    settling: Array


@shapes_named
def bartlett_theorem3_terms(
    distance: ArrayLike,
    *,
    eigenvalues: ArrayLike,
    lr: ArrayLike,
    rho: ArrayLike,
    radius: ArrayLike,
    density: ArrayLike,
    first_squared: ArrayLike,
    delta: ArrayLike,
    version: str = "corrected",
) -> UpdateTerms:
    r"""Return the four terms of :func:`bartlett_theorem3_bound`.

    With :math:`b=\eta\rho\lambda_1^2`, :math:`m=\min(\eta\lambda_d,\lambda_1^2/\lambda_2^2-1)` and
    :math:`L=\max(0,\ln\frac R{\eta\rho\lambda_1})` they are, as printed,

    1. :math:`\frac{6\lambda_1^5}{\eta\lambda_d^6m}\ln\frac4{\eta\lambda_1}`, for updates in which the norm overshoots,

    2. :math:`\frac1m\left[\ln\frac{4(1+b)^2}{\lambda_d^2\varepsilon^2}+\ln\frac{R^2}q\right]`, in which the first direction
       outgrows the others,

    3. :math:`\frac{2L}{\eta\lambda_dm}\left[\ln2\lambda_1R+\frac L{\eta\lambda_d}\ln\frac{9\cdot6^{d+3}R^3}
       {(\eta\lambda_d)^{d+3}(\eta\rho\lambda_1)^3}+\ln\frac{4\pi^{d/2}(4b)^{d-1}LA}{\Gamma(d/2)\,\delta\,\eta\lambda_d}\right]`
       for what the approach from far away may take from the first direction, 0 for L = 0, and

    4. :math:`\frac6{\eta\lambda_1}\ln\frac{2(1+b)}{\lambda_d\varepsilon}`, in which the norm settles.

    Version ``corrected`` has 8 for 6 in the first term (as Lemma 11 needs 4 for 3), times
    :math:`(2-\eta\lambda_d)/(2-\eta\lambda_1)`, which the print takes for 1; and :math:`A/\prod_i\lambda_i` for A in the third,
    as the density is that of w and the proof needs that of :math:`\Lambda w`.
    """
    kind = chosen("version", version, VERSIONS)
    e, eta, top = positive_spectrum(eigenvalues, lr, 0.5)
    order = np.sort(directions("eigenvalues", e), -1)
    if order.shape[-1] < 2 or (order[..., -1] <= order[..., -2]).any():
        raise ValueError("eigenvalues: give at least two, the largest one alone, e.g. eigenvalues=[1.0, 0.5]")
    eta, top, second, last, d = eta[..., 0], top[..., 0], order[..., -2], order[..., 0], order.shape[-1]
    r, far = checked("rho", rho, "rho_positive"), checked("radius", radius)
    eps, q, a, chance = (
        checked(k, v)
        for k, v in (("distance", distance), ("first_squared", first_squared), ("density", density), ("delta", delta))
    )
    b = eta * r * top**2
    most = np.minimum(np.minimum(np.sqrt(eta * top / 2), 1 / (2 * r * top)), b / 2)
    if (eps >= most).any():
        raise ValueError(f"distance={float(np.max(eps)):.6g}: give less than {float(np.min(most)):.6g}, where the theorem ends")
    slow, far_off = eta * last, np.maximum(0.0, np.log(far / (eta * r * top)))
    m = np.minimum(slow, (top / second) ** 2 - 1)
    first = 6 * top**5 / (eta * last**6 * m) * np.log(4 / (eta * top))
    log_a = np.log(a)
    if kind == "corrected":
        first = first * (4 / 3) * (2 - slow) / (2 - eta * top)
        log_a = log_a - np.log(order).sum(-1)
    grow = (np.log(4 * (1 + b) ** 2 / (last * eps) ** 2) + np.log(far**2 / q)) / m
    lost = log(9) + (d + 3) * (log(6) - np.log(slow)) + 3 * np.log(far / (eta * r * top))
    shell = log(4) + d / 2 * log(pi) - lgamma(d / 2) + (d - 1) * np.log(4 * b)
    met = shell + np.log(np.where(far_off > 0, far_off, 1.0)) + log_a - np.log(chance * slow)
    away = 2 * far_off / (slow * m) * (np.log(2 * top * far) + far_off / slow * lost + met)
    settle = 6 / (eta * top) * np.log(2 * (1 + b) / (last * eps))
    return UpdateTerms(*(scalar(x.copy()) for x in np.broadcast_arrays(first, grow, away, settle)))


@shapes_named
def bartlett_theorem3_bound(
    distance: ArrayLike,
    *,
    eigenvalues: ArrayLike,
    lr: ArrayLike,
    rho: ArrayLike,
    radius: ArrayLike,
    density: ArrayLike,
    first_squared: ArrayLike,
    delta: ArrayLike,
    version: str = "corrected",
) -> Array:
    r"""Return a number of updates after which normalised SAM is within ``distance`` of its two-cycle (Theorem 3).

    It holds with probability :math:`1-3\delta` at least, for starts with a density of at most A (``density``, 1/length^d) that
    have :math:`\|w_0\|\le R` (``radius``) and :math:`w_{0,1}^2\ge q` (``first_squared``, length^2) each with probability
    :math:`1-\delta`, for :math:`\varepsilon` (``distance``) below
    :math:`\min(\sqrt{\eta\lambda_1/2},1/(2\rho\lambda_1),\eta\rho\lambda_1^2/2)`.  It is the sum of
    :func:`bartlett_theorem3_terms`, where both versions are explained.  The bound is sufficient only: paths need fewer updates
    by a factor of 10^4 or more.  Terms 2 and 4 change with the unit of length, since 1 + b adds a number and a 1/length.

    Bartlett, Long, Bousquet, Theorem 3.  Raises ValueError outside its conditions, among them
    :math:`\eta<1/(2\lambda_1)` and :math:`\lambda_1>\lambda_2\ge\dots\ge\lambda_d>0`.
    """
    about: dict[str, ArrayLike] = {"eigenvalues": eigenvalues, "lr": lr, "rho": rho, "radius": radius, "delta": delta}
    terms = bartlett_theorem3_terms(distance, density=density, first_squared=first_squared, version=version, **about)
    return scalar(sum(terms, np.zeros(())))


@shapes_named
def worst_loss(w: ArrayLike, *, eigenvalues: ArrayLike, rho: ArrayLike) -> Array:
    r"""Return :math:`\max_{\|\delta\|\le\rho}\ell(w+\delta)` of the convex quadratic :math:`\ell=\frac12\sum_i\lambda_iw_i^2`.

    It is what SAM is meant to minimise (Bartlett, Long, Bousquet, eq. 1).  The maximum lies at
    :math:`\delta_i=\lambda_iw_i/(\mu-\lambda_i)` with the root :math:`\mu\ge\lambda_1` of :math:`\|\delta\|=\rho`.  The root is
    bracketed and halved until its bracket no longer shrinks; where w has no part along the largest eigenvalue and no root
    exists, the rest of delta goes there.  The minimum, :math:`\lambda_1\rho^2/2`, is at w = 0 alone.  Shape (...).

    Raises ValueError for eigenvalues <= 0 or rho <= 0.
    """
    x, e = directions("w", w, "start"), directions("eigenvalues", eigenvalues)
    if (e <= 0).any():
        raise ValueError(f"eigenvalues={float(np.min(e)):.15g}: give positive eigenvalues, e.g. eigenvalues=[1.0, 0.5]")
    r = np.asarray(checked("rho", rho, "rho_positive"))[..., None]
    pull, top = e * x, e.max(-1, keepdims=True)
    low = np.zeros((*np.broadcast_shapes(pull.shape[:-1], r.shape[:-1], top.shape[:-1]), 1))
    high = low + np.linalg.norm(pull, axis=-1, keepdims=True) / r  # mu - lambda_1 lies between low and high

    def delta(excess: Array) -> Array:
        return np.divide(pull, excess + (top - e), out=np.zeros(np.broadcast_shapes(pull.shape, excess.shape)), where=pull != 0)

    for _ in range(1100):  # halving passes through all binades of float64
        middle = (low + high) / 2
        if ((middle == low) | (middle == high)).all():
            break
        long = np.linalg.norm(delta(middle), axis=-1, keepdims=True) > r
        low, high = np.where(long, middle, low), np.where(long, high, middle)
    step = delta(high)
    rest = np.sqrt(np.maximum(0.0, r**2 - (step**2).sum(-1, keepdims=True)))[..., 0]
    return scalar((e * (x + step) ** 2).sum(-1) / 2 + top[..., 0] * rest**2 / 2)
