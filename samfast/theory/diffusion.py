r"""Diffusion from a saddle without momentum: the SDE :math:`dw=-\kappa w\,dt+\sqrt{2D}\,dW` and Theorem 2.

Time advances by lr per update.  ``curvature`` is :math:`\kappa` and ``diffusion`` is D of :mod:`.coefficients`;
the saddle is at 0, and each function is for one eigen-direction.
"""

from __future__ import annotations

import numpy as np

from ..checks import shapes_named
from . import coefficients
from ._domain import Array, ArrayLike, checked, quiet, scalar
from .special import log_phi1, phi1


@shapes_named
@quiet
def sde_variance(time: ArrayLike, *, curvature: ArrayLike, diffusion: ArrayLike) -> Array:
    r"""Return :math:`\sigma^2(t)=2Dt\,\varphi_1(-2\kappa t)` for a start in one point.

    It is :math:`2Dt` at :math:`\kappa=0` and tends to :math:`D/\kappa` for :math:`t\to\infty` if :math:`\kappa>0`.  It is
    inf where it exceeds float64 (see :func:`log_sde_variance`).  Source: the textbook Ornstein-Uhlenbeck process.
    """
    t, k, d = checked("time", time), checked("curvature", curvature), checked("diffusion", diffusion)
    z = -2 * k * t
    large = np.exp(z / 2) * (np.exp(z / 2) * (d / -k))
    return scalar(np.where((z > 700) & (d > 0), large, 2 * d * t * np.where(z > 700, 1.0, phi1(z))))


@shapes_named
@quiet
def log_sde_variance(time: ArrayLike, *, curvature: ArrayLike, diffusion: ArrayLike) -> Array:
    r"""Return :math:`\ln\sigma^2(t)`, finite also where :func:`sde_variance` overflows; -inf where it is 0."""
    t, k, d = checked("time", time), checked("curvature", curvature), checked("diffusion", diffusion)
    return scalar(np.log(2 * d * t) + log_phi1(-2 * k * t))


@shapes_named
@quiet
def sde_mean(time: ArrayLike, *, curvature: ArrayLike, start: ArrayLike) -> Array:
    r"""Return the mean :math:`w_0e^{-\kappa t}` for a start at :math:`w_0`."""
    t, k, w0 = checked("time", time), checked("curvature", curvature), checked("start", start)
    return scalar(np.where(w0 == 0, 0.0, w0 * np.exp(-k * t)))


@shapes_named
@quiet
def sde_msd(time: ArrayLike, *, curvature: ArrayLike, diffusion: ArrayLike, start: ArrayLike = 0.0) -> Array:
    r"""Return :math:`\langle(w(t)-w_0)^2\rangle=w_0^2\,(e^{-\kappa t}-1)^2+\sigma^2(t)`."""
    t, k, w0 = checked("time", time), checked("curvature", curvature), checked("start", start)
    moved = np.where(w0 == 0, 0.0, w0 * np.expm1(-k * t)) ** 2
    return scalar(moved + sde_variance(t, curvature=k, diffusion=diffusion))


@shapes_named
@quiet
def stationary_variance(*, curvature: ArrayLike, diffusion: ArrayLike) -> Array:
    r"""Return :math:`D/\kappa`, the limit of :func:`sde_variance`; inf where :math:`\kappa\le0`."""
    k, d = checked("curvature", curvature), checked("diffusion", diffusion)
    return scalar(np.where(k > 0, d / k, np.where(d > 0, np.inf, 0.0)))


@shapes_named
@quiet
def exact_step(dt: ArrayLike, *, curvature: ArrayLike, diffusion: ArrayLike) -> tuple[Array, Array]:
    r"""Return (decay, scale) of the exact sampler, w(t+h) = decay w(t) + scale xi, with a standard normal xi.

    They are :math:`e^{-\kappa h}` and :math:`\sqrt{2hD\varphi_1(-2\kappa h)}`.  The sampler has no discretisation error,
    however large the step h = ``dt``.
    """
    h, k = checked("dt", dt), checked("curvature", curvature)
    return scalar(np.exp(-k * h)), scalar(np.sqrt(sde_variance(h, curvature=k, diffusion=diffusion)))


@shapes_named
def theorem2(
    time: ArrayLike,
    *,
    eigenvalue: ArrayLike,
    lr: ArrayLike,
    rho: ArrayLike = 0.0,
    batch_size: ArrayLike = 1,
    drift: str = "chain",
    noise: str = "unit",
) -> Array:
    r"""Return Theorem 2, the MSD from the saddle, :math:`\sigma^2(t)=\frac{D}{\kappa}(1-e^{-2\kappa t})`.

    Kim et al., Stability Analysis of SAM, Theorem 2, eq. 12: :math:`\kappa=\lambda(1+\rho\lambda)^2` and
    :math:`D=\eta|\lambda|/(2B)`, which are the defaults (``drift="chain"``, ``noise="unit"``).  SAM as it is
    run has ``drift="plain"``; the other noises are in :func:`noise_factor`.  The value is exact for the SDE, also at
    :math:`\lambda=0`, where it is 0, and at :math:`\rho=-1/\lambda`, where it is :math:`2Dt`.  Units: length\ :sup:`2`.

    Raises ValueError for time < 0, lr <= 0, rho < 0, batch_size < 1 or an unknown drift or noise.
    """
    k = coefficients.curvature(eigenvalue, rho=rho, drift=drift)
    d = coefficients.diffusion_coefficient(eigenvalue, lr=lr, batch_size=batch_size, rho=rho, drift=drift, noise=noise)
    return sde_variance(time, curvature=k, diffusion=d)


@shapes_named
def log_theorem2(
    time: ArrayLike,
    *,
    eigenvalue: ArrayLike,
    lr: ArrayLike,
    rho: ArrayLike = 0.0,
    batch_size: ArrayLike = 1,
    drift: str = "chain",
    noise: str = "unit",
) -> Array:
    r"""Return the logarithm of :func:`theorem2`, finite also where that overflows (escape directions)."""
    k = coefficients.curvature(eigenvalue, rho=rho, drift=drift)
    d = coefficients.diffusion_coefficient(eigenvalue, lr=lr, batch_size=batch_size, rho=rho, drift=drift, noise=noise)
    return log_sde_variance(time, curvature=k, diffusion=d)
