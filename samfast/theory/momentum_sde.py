r"""Exact moments of the momentum SDE in every damping regime.

:math:`M\,dv=-\varphi M v\,dt-\kappa w\,dt+\sqrt{2D}\,dW,\ dw=v\,dt`, with :math:`M=\eta/(1-\tau)` and
:math:`\varphi=(1-\gamma)/\eta`; that is :math:`\ddot w=-a\dot w-bw+\sqrt q\,\xi` with :math:`a=\varphi`,
:math:`b=\kappa/M`, :math:`q=2D/M^2` (Kim et al., Stability Analysis of SAM, section on momentum, with the
misprints of the equation corrected; the exact solution is derived in this library).
"""

from __future__ import annotations

import numpy as np

from ..checks import shapes_named
from ._domain import Array, ArrayLike, checked, chosen, quiet, scalar
from ._linear import transport
from .diffusion import sde_variance
from .heavy_ball import Moments
from .special import phi1

NODES, WEIGHTS = np.polynomial.legendre.leggauss(12)  # this rule is exact to rounding for |a|t, |b|t^2 <= 1


@quiet
def _rates(alpha: Array, beta: Array) -> tuple[Array, Array, Array, Array]:
    """Return the discriminant, the root of its modulus, and the slow and the fast rate (exponents) where they are real."""
    disc = alpha * alpha / 4 - beta
    w = np.sqrt(np.abs(disc))
    # the slow rate is formed by division, because -alpha/2 + w would cancel in the overdamped regime
    fast = -(alpha / 2 + w)
    return disc, w, np.where(fast < 0, beta / np.where(fast < 0, fast, 1.0), 0.0), fast


@quiet
def propagator(alpha: Array, beta: Array, growth: Array | float = 0.0) -> tuple[Array, Array, Array]:
    r"""Return :math:`(\dot G+\alpha G, G, \dot G)e^{-growth}` at unit time for :math:`\ddot G=-\alpha\dot G-\beta G`.

    Here G(0) = 0 and G'(0) = 1.  The matrix exponential is [[first, G], [-beta G, third]], with the first and the third
    returned value.  ``growth`` is 0 or the slow rate.
    """
    disc, w, slow, fast = _rates(alpha, beta)
    g_real, gone = np.exp(slow - growth) * phi1(-2 * w), np.exp(fast - growth)
    decay, even, odd = np.exp(-alpha / 2), np.cos(w), np.sin(w) / w
    real = (gone - fast * g_real, g_real, gone + slow * g_real)
    turning = (decay * (even + alpha / 2 * odd), decay * odd, decay * (even - alpha / 2 * odd))
    first, g, third = (np.where(disc >= 0, p, s) for p, s in zip(real, turning, strict=True))
    return first, g, third


@quiet
def _unit_covariance(alpha: Array, beta: Array, growth: Array | float = 0.0) -> tuple[Array, Array, Array]:
    r"""Return :math:`\int_0^1g^2,\ g(1)^2/2,\ \int_0^1\dot g^2`, all divided by exp(2 growth), for g = G of :func:`propagator`.

    The integrals are found by quadrature on a short time, which is then doubled until it is 1.

    The propagator comes from its closed form at every level; squaring it would lose 2^m units in the last
    place.  The textbook bracket for the first integral cancels completely for small alpha and beta.
    """
    size = np.maximum(np.abs(alpha), np.sqrt(np.abs(beta)))
    levels = np.ceil(np.log2(np.maximum(size, 1.0))).astype(np.int64)
    h = np.ldexp(1.0, -levels)
    xx, vv = np.zeros(alpha.shape), np.zeros(alpha.shape)
    for node, weight in zip((1 + NODES) / 2, WEIGHTS / 2, strict=True):
        s = node * h
        _, g, slope = propagator(alpha * s, beta * s * s)
        xx, vv = xx + weight * h * (s * g) ** 2, vv + weight * h * slope**2
    s, shrunk = h, np.exp(-2 * growth * h)
    xx, vv = shrunk * xx, shrunk * vv
    for level in range(int(np.max(levels, initial=0))):
        first, g, third = propagator(alpha * s, beta * s * s, growth * s)
        g = s * g
        grown = transport((first, g, -beta * g, third), xx, g * g / 2, vv)
        more, shrunk = level < levels, np.exp(-2 * growth * s)
        xx, vv = np.where(more, grown[0] + shrunk * xx, xx), np.where(more, grown[2] + shrunk * vv, vv)
        s = np.where(more, 2 * s, s)
    g = propagator(alpha, beta, growth)[1]
    return xx, g * g / 2, vv


@shapes_named
@quiet
def momentum_sde_moments(
    time: ArrayLike,
    *,
    curvature: ArrayLike,
    diffusion: ArrayLike,
    lr: ArrayLike,
    momentum: ArrayLike,
    dampening: ArrayLike = 0.0,
    start: ArrayLike = 0.0,
    velocity: ArrayLike = 0.0,
) -> Moments:
    r"""Return the exact (mean, mean_velocity, var, cov, var_velocity) at ``time`` from (start, velocity).

    :math:`\Sigma_{xx}=q\int_0^tG^2,\ \Sigma_{xv}=qG^2/2,\ \Sigma_{vv}=q\int_0^t\dot G^2` with
    :math:`G=e^{-at/2}\sinh(\omega t)/\omega,\ \omega^2=a^2/4-b`.  This holds over-, under- and critically
    damped, for any sign of the curvature, and for :math:`\gamma` from 0, where the motion is still inertial with friction
    1/lr, to 1.

    Raises ValueError for time < 0, lr <= 0, momentum outside [0, 1] or dampening outside [0, 1).
    """
    t, k, d = checked("time", time), checked("curvature", curvature), checked("diffusion", diffusion)
    eta, g, tau = checked("lr", lr), checked("momentum", momentum), checked("dampening", dampening)
    w0, v0 = checked("start", start), checked("velocity", velocity)
    t, k, d, eta, g, tau, w0, v0 = np.broadcast_arrays(t, k, d, eta, g, tau, w0, v0)
    updates = t / eta
    alpha, stiff = (1 - g) * updates, (1 - tau) * k * updates  # stiff = b t
    beta = stiff * t
    first, green, third = propagator(alpha, beta)
    xx, xv, vv = _unit_covariance(alpha, beta)
    drive = 2 * d * ((1 - tau) * updates) ** 2  # q t^2
    mean = np.where(w0 == 0, 0.0, first * w0) + np.where(v0 == 0, 0.0, green * t * v0)
    mean_v = np.where(w0 == 0, 0.0, -stiff * green * w0) + np.where(v0 == 0, 0.0, third * v0)
    still = (d == 0) | (t == 0)
    var = np.where(still, 0.0, drive * t * xx)
    cov = np.where(still, 0.0, drive * xv)
    var_v = np.where(still, 0.0, drive / t * vv)
    return Moments(*(scalar(x) for x in (mean, mean_v, var, cov, var_v)))


@shapes_named
@quiet
def log_momentum_sde_variance(
    time: ArrayLike,
    *,
    curvature: ArrayLike,
    diffusion: ArrayLike,
    lr: ArrayLike,
    momentum: ArrayLike,
    dampening: ArrayLike = 0.0,
) -> Array:
    r"""Return the logarithm of the position variance of :func:`momentum_sde_moments`, finite also where that overflows.

    It is -inf where the variance is 0.  The exponential growth is divided out at every level of the doubling.  Checked to
    1e-14 for times of up to :math:`10^9` updates of an escape.
    """
    t, k, d = checked("time", time), checked("curvature", curvature), checked("diffusion", diffusion)
    eta, g, tau = checked("lr", lr), checked("momentum", momentum), checked("dampening", dampening)
    t, k, d, eta, g, tau = np.broadcast_arrays(t, k, d, eta, g, tau)
    updates = t / eta
    alpha, beta = (1 - g) * updates, (1 - tau) * k * updates * t
    disc, _, slow, _ = _rates(alpha, beta)
    growth = np.where(disc >= 0, np.maximum(slow, 0.0), 0.0)
    drive = np.log(2 * d * ((1 - tau) * updates) ** 2 * t)  # q t^3
    return scalar(drive + np.log(_unit_covariance(alpha, beta, growth)[0]) + 2 * growth)


@shapes_named
@quiet
def momentum_sde_stationary(
    *,
    curvature: ArrayLike,
    diffusion: ArrayLike,
    lr: ArrayLike,
    momentum: ArrayLike,
    dampening: ArrayLike = 0.0,
) -> Moments:
    r"""Return the stationary moments :math:`\Sigma_{xx}=D/(\varphi M\kappa),\ \Sigma_{vv}=D/(\varphi M^2)`.

    The means and the covariance are 0; the position variance is inf where :math:`\kappa\le0`.
    """
    k, d = checked("curvature", curvature), checked("diffusion", diffusion)
    eta, tau = checked("lr", lr), checked("dampening", dampening)
    friction = (1 - checked("momentum", momentum, "momentum_below_1")) / (1 - tau)  # phi M
    var = np.where(k > 0, d / (friction * k), np.where(d > 0, np.inf, 0.0))
    var_v = d * (1 - tau) / (friction * eta)
    zero = np.zeros_like(var + var_v)
    return Moments(*(scalar(np.array(x)) for x in np.broadcast_arrays(zero, zero, var, zero, var_v)))


@shapes_named
def momentum_sde_msd(
    time: ArrayLike,
    *,
    curvature: ArrayLike,
    diffusion: ArrayLike,
    lr: ArrayLike,
    momentum: ArrayLike,
    dampening: ArrayLike = 0.0,
    initial: str = "rest",
) -> Array:
    r"""Return the MSD of the momentum SDE from the saddle, at rest or with a thermal velocity.

    It is :math:`\Sigma_{xx}(t)` for ``rest`` and :math:`\Sigma_{xx}(t)+G(t)^2D/(\varphi M^2)` for ``thermal``, the
    assumption behind Theorem 3 (Kim et al., Stability Analysis of SAM).
    """
    kind = chosen("initial", initial, ("rest", "thermal"))
    moved = momentum_sde_moments(time, curvature=curvature, diffusion=diffusion, lr=lr, momentum=momentum, dampening=dampening)
    if kind == "rest":
        return moved.var
    # cov = q G^2/2 = D G^2/M^2, and phi = (1-gamma)/lr
    damping = (1 - checked("momentum", momentum, "momentum_below_1")) / checked("lr", lr)
    return scalar(moved.var + moved.cov / damping)


@shapes_named
@quiet
def overdamped(
    *, curvature: ArrayLike, diffusion: ArrayLike, momentum: ArrayLike, dampening: ArrayLike = 0.0
) -> tuple[Array, Array]:
    r"""Return the overdamped pair :math:`(\kappa/(\varphi M), D/(\varphi M)^2)`.

    Here :math:`\varphi M=(1-\gamma)/(1-\tau)`.  The pair replaces (curvature, diffusion) in the
    momentum-free formulas when inertia is negligible.
    """
    g, tau = checked("momentum", momentum, "momentum_below_1"), checked("dampening", dampening)
    gain = (1 - tau) / (1 - g)
    return scalar(checked("curvature", curvature) * gain), scalar(checked("diffusion", diffusion) * gain**2)


def overdamped_variance(
    time: ArrayLike,
    *,
    curvature: ArrayLike,
    diffusion: ArrayLike,
    momentum: ArrayLike,
    dampening: ArrayLike = 0.0,
) -> Array:
    r"""Return :func:`sde_variance` for the pair of :func:`overdamped`, the second term of Theorem 3."""
    k, d = overdamped(curvature=curvature, diffusion=diffusion, momentum=momentum, dampening=dampening)
    return sde_variance(time, curvature=k, diffusion=d)
