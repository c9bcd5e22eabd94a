r"""Theorem 3: the published approximation for diffusion with momentum, and where it may be trusted."""

from __future__ import annotations

import numpy as np

from ..checks import flag, shapes_named
from . import coefficients
from ._domain import Array, ArrayLike, checked, quiet, scalar
from .diffusion import log_sde_variance
from .momentum_sde import overdamped, overdamped_variance

USEFUL, CLOSE = 0.15, 0.01  # relative errors; here and in studies a theorem is called valid where it errs by less than USEFUL
# edges of the region where Theorem 3 errs by less than USEFUL, from a scan; for CLOSE all are TIGHTER times tighter
ENOUGH_UPDATES, MOST_INERTIA, MOST_ESCAPE, TIGHTER = 41.0, 0.05, 0.0245, 15.0


@shapes_named
@quiet
def theorem3_variance(
    time: ArrayLike,
    *,
    curvature: ArrayLike,
    diffusion: ArrayLike,
    lr: ArrayLike,
    momentum: ArrayLike,
    dampening: ArrayLike = 0.0,
    as_printed: bool = False,
) -> Array:
    r"""Return Theorem 3 for any curvature and diffusion; see :func:`theorem3`."""
    t, d, eta = checked("time", time), checked("diffusion", diffusion), checked("lr", lr)
    g, tau = checked("momentum", momentum, "momentum_below_1"), checked("dampening", dampening)
    c2 = eta / t if flag("as_printed", as_printed) else t / eta
    kick = d * eta * (1 - tau) ** 2 / (1 - g) ** 3 * np.expm1(-(1 - g) * c2) ** 2
    return scalar(kick + overdamped_variance(t, curvature=curvature, diffusion=d, momentum=g, dampening=tau))


@shapes_named
@quiet
def log_theorem3_variance(
    time: ArrayLike,
    *,
    curvature: ArrayLike,
    diffusion: ArrayLike,
    lr: ArrayLike,
    momentum: ArrayLike,
    dampening: ArrayLike = 0.0,
) -> Array:
    r"""Return :func:`log_theorem3` for any curvature and diffusion."""
    t, d, eta = checked("time", time), checked("diffusion", diffusion), checked("lr", lr)
    g, tau = checked("momentum", momentum, "momentum_below_1"), checked("dampening", dampening)
    kick = np.log(d * eta * (1 - tau) ** 2 / (1 - g) ** 3) + 2 * np.log(-np.expm1(-(1 - g) * t / eta))
    k, free = overdamped(curvature=curvature, diffusion=d, momentum=g, dampening=tau)
    return scalar(np.logaddexp(kick, log_sde_variance(t, curvature=k, diffusion=free)))


@shapes_named
def log_theorem3(
    time: ArrayLike,
    *,
    eigenvalue: ArrayLike,
    lr: ArrayLike,
    momentum: ArrayLike,
    rho: ArrayLike = 0.0,
    batch_size: ArrayLike = 1,
    dampening: ArrayLike = 0.0,
    drift: str = "chain",
    noise: str = "unit",
) -> Array:
    r"""Return the logarithm of :func:`theorem3`, finite also where that overflows (escape directions); -inf at t = 0."""
    k = coefficients.curvature(eigenvalue, rho=rho, drift=drift)
    d = coefficients.diffusion_coefficient(eigenvalue, lr=lr, batch_size=batch_size, rho=rho, drift=drift, noise=noise)
    return log_theorem3_variance(time, curvature=k, diffusion=d, lr=lr, momentum=momentum, dampening=dampening)


@shapes_named
def theorem3(
    time: ArrayLike,
    *,
    eigenvalue: ArrayLike,
    lr: ArrayLike,
    momentum: ArrayLike,
    rho: ArrayLike = 0.0,
    batch_size: ArrayLike = 1,
    dampening: ArrayLike = 0.0,
    drift: str = "chain",
    noise: str = "unit",
    as_printed: bool = False,
) -> Array:
    r"""Return Theorem 3, the approximate MSD from the saddle with heavy-ball momentum.

    .. math:: T_3=\frac{D}{\varphi^3M^2}(1-e^{-\varphi t})^2
              +\frac{2Dt}{(\varphi M)^2}\varphi_1\!\left(\frac{-2\kappa t}{\varphi M}\right)

    with :math:`M=\eta/(1-\tau)`, :math:`\varphi=(1-\gamma)/\eta`.  For :math:`\tau=0` this is
    :math:`C_1(1-e^{-C_2(1-\gamma)})^2/((1-\gamma)^3B)+C_3(1-e^{-C_4/(1-\gamma)})/((1-\gamma)B)` with
    :math:`C_1=\eta^2|\lambda|/2,\ C_2=t/\eta,\ C_3=\eta|\lambda|/(2\kappa),\ C_4=2\kappa t`
    (Kim et al., Stability Analysis of SAM, Theorem 3, which prints :math:`C_2=\eta/t`:
    ``as_printed=True``; :math:`C_3` and :math:`C_4` are negative in escape directions).

    The first term is the flight of a thermal initial velocity, the second overdamped diffusion.  It is not
    exact, and at :math:`\gamma=0` it is not Theorem 2: see :func:`theorem3_validity`, and
    ``momentum_sde_moments`` and ``heavy_ball_moments`` for the exact values.

    Raises ValueError for time < 0, lr <= 0, momentum outside [0, 1), dampening outside [0, 1), rho < 0,
    batch_size < 1 or an unknown drift or noise.
    """
    k = coefficients.curvature(eigenvalue, rho=rho, drift=drift)
    d = coefficients.diffusion_coefficient(eigenvalue, lr=lr, batch_size=batch_size, rho=rho, drift=drift, noise=noise)
    return theorem3_variance(
        time, curvature=k, diffusion=d, lr=lr, momentum=momentum, dampening=dampening, as_printed=as_printed
    )


@shapes_named
@quiet
def theorem3_validity(
    time: ArrayLike,
    *,
    curvature: ArrayLike,
    lr: ArrayLike,
    momentum: ArrayLike,
    dampening: ArrayLike = 0.0,
) -> Array:
    r"""Return the relative error within which Theorem 3 holds against the algorithm: 0.01, 0.15 or inf.

    With :math:`n=t/\eta` and :math:`\kappa'=(1-\tau)\kappa`, 15 % needs :math:`(1-\gamma)n\ge41`,
    :math:`\eta|\kappa'|/(1-\gamma)^2\le0.05` and, in escape directions,
    :math:`(\kappa't)^2/(n(1-\gamma)^3)\le0.0245`; 1 % needs all three fifteen times tighter.
    An empirical rule of this library: scanned along its edges against the exact algorithm, the largest
    errors were 14.99 % and 0.97 %.
    """
    t, eta = checked("time", time), checked("lr", lr)
    k = checked("curvature", curvature) * (1 - checked("dampening", dampening))
    left = 1 - checked("momentum", momentum, "momentum_below_1")
    n = t / eta
    lag = ENOUGH_UPDATES / (left * n)
    inertia = eta * np.abs(k) / left**2 / MOST_INERTIA
    rate = np.where(k < 0, (eta * k) ** 2 * n / left**3 / MOST_ESCAPE, 0.0)
    worst = np.maximum(np.maximum(lag, inertia), rate)
    return scalar(np.where(worst * TIGHTER <= 1, CLOSE, np.where(worst <= 1, USEFUL, np.inf)))
