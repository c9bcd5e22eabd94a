r"""Exact moments with momentum in discrete time: the heavy-ball algorithm and Euler-Maruyama at any step.

The algorithm is :math:`m_n=\gamma m_{n-1}+(1-\tau)g_n,\ w_{n+1}=w_n-\eta m_n,\ m_{-1}=0`, with
:math:`g_n=\kappa w_n+\xi_n`.  Derived in this library.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..checks import flag, shapes_named
from ._domain import Array, ArrayLike, checked, chosen, quiet, scalar
from ._linear import (
    Recursion,
    covariance,
    kicked,
    log_growth,
    log_position_variance,
    noiseless,
    recursion,
    turned_covariance,
)

SCHEMES = ("explicit", "symplectic")


class Moments(NamedTuple):
    """Means and covariance of a position and its velocity (of the momentum buffer for the heavy ball)."""

    mean: Array
    mean_velocity: Array
    var: Array
    cov: Array
    var_velocity: Array


def _finish(mean: Array, mean_v: Array, cov: tuple[Array, Array, Array], unit: Array) -> Moments:
    """Undo the scaling of the velocity by ``unit`` and give all fields one shape."""
    fields = np.broadcast_arrays(mean, mean_v / unit, cov[0], cov[1] / unit, cov[2] / unit / unit)
    return Moments(*(scalar(np.array(field)) for field in fields))


@quiet
def _times(scale: Array, values: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    """Return scale * values with 0 * inf = 0, because no noise gives no variance, however unstable the map."""
    xx, xv, vv = (np.where(scale == 0, 0.0, scale * v) for v in values)
    return xx, xv, vv


def _scheme(
    curvature: ArrayLike,
    lr: ArrayLike,
    momentum: ArrayLike,
    dampening: ArrayLike,
    dt: ArrayLike | None,
    scheme: str,
) -> tuple[Recursion, Array, Array]:
    """Return the recursion of one step, dt, and the noise variance of one step divided by 2 D dt."""
    k, eta, tau = checked("curvature", curvature), checked("lr", lr), checked("dampening", dampening)
    h = eta if dt is None else checked("dt", dt)
    ratio = h / eta
    friction = (1 - checked("momentum", momentum)) * ratio
    symplectic = chosen("scheme", scheme, SCHEMES) == "symplectic"
    r = recursion(friction, (1 - tau) * k * h * ratio, symplectic=symplectic)
    return r, h, np.asarray(((1 - tau) * ratio) ** 2)


@shapes_named
def momentum_em_moments(
    steps: ArrayLike,
    *,
    curvature: ArrayLike,
    diffusion: ArrayLike,
    lr: ArrayLike,
    momentum: ArrayLike,
    dampening: ArrayLike = 0.0,
    dt: ArrayLike | None = None,
    scheme: str = "explicit",
    start: ArrayLike = 0.0,
    velocity: ArrayLike = 0.0,
) -> Moments:
    r"""Return the exact moments of Euler-Maruyama for the momentum SDE after n steps of ``dt`` (default lr).

    ``explicit`` is :math:`x^+=x+v\,dt,\ v^+=v-(av+bx)dt+\sqrt{q\,dt}\,\xi`; ``symplectic`` moves x with the new
    v.  Here :math:`a=(1-\gamma)/\eta,\ b=\kappa(1-\tau)/\eta,\ q=2D(1-\tau)^2/\eta^2`.  The symplectic scheme
    at dt = lr is the heavy-ball algorithm (v = -m); the explicit one lags it by one position update.
    Any dt > 0, any sign of the curvature and any n up to 2**53 are allowed.  Checked to 60 eps (1 + condition), also where
    positions change their sign in every step.  Variances beyond float64 are inf, see :func:`log_momentum_em_variance`.
    """
    n, d = checked("steps", steps), checked("diffusion", diffusion)
    r, h, strength = _scheme(curvature, lr, momentum, dampening, dt, scheme)
    moved = noiseless(r, n, checked("start", start), checked("velocity", velocity) * h)
    return _finish(*moved, _times(2 * d * h * strength, covariance(r, n)), h)


@shapes_named
@quiet
def log_momentum_em_variance(
    steps: ArrayLike,
    *,
    curvature: ArrayLike,
    diffusion: ArrayLike,
    lr: ArrayLike,
    momentum: ArrayLike,
    dampening: ArrayLike = 0.0,
    dt: ArrayLike | None = None,
    scheme: str = "explicit",
) -> Array:
    r"""Return the logarithm of the position variance of :func:`momentum_em_moments`, finite also where that overflows.

    It is -inf where the variance is 0.  Checked to 1e-14 for up to :math:`10^9` steps of an escape.
    """
    n, d = checked("steps", steps), checked("diffusion", diffusion)
    r, h, strength = _scheme(curvature, lr, momentum, dampening, dt, scheme)
    return scalar(np.log(2 * d * h * strength) + log_position_variance(r, n))


@shapes_named
def heavy_ball_moments(
    steps: ArrayLike,
    *,
    curvature: ArrayLike,
    lr: ArrayLike,
    momentum: ArrayLike,
    dampening: ArrayLike = 0.0,
    gradient_variance: ArrayLike,
    start: ArrayLike = 0.0,
    dampen_first: bool = True,
) -> Moments:
    r"""Return the exact moments of :math:`(w_n, m_{n-1})` of the heavy-ball algorithm after n updates.

    ``mean_velocity``, ``cov`` and ``var_velocity`` refer to the momentum buffer m (the velocity is -m).
    ``gradient_variance`` is the variance of one update's gradient noise, :math:`s^2|\lambda|/B`, i.e.
    :math:`C=2D/\eta`.  Var w is :math:`\eta^2(1-\tau)^2C\sum_{k<n}h_k^2` with
    :math:`h_0=1` and
    :math:`h_{k+1}=(1+\gamma-a)h_k-\gamma h_{k-1}`, :math:`a=\eta(1-\tau)\kappa`.

    With ``dampen_first=False`` the first buffer is :math:`m_0=g_0` without dampening, as in PyTorch's SGD.

    Checked to 40 eps (1 + condition), also at the upper end of the window, :math:`a\to2(1+\gamma)`, where the position
    changes its sign in every update.  Variances beyond float64 are inf, see :func:`log_heavy_ball_variance`.
    """
    n, k = checked("steps", steps), checked("curvature", curvature)
    c = checked("gradient_variance", gradient_variance)
    eta, tau, w0 = checked("lr", lr), checked("dampening", dampening), checked("start", start)
    r = recursion(1 - checked("momentum", momentum), eta * (1 - tau) * k, symplectic=True)
    scale = (eta * (1 - tau)) ** 2 * c
    if flag("dampen_first", dampen_first):
        return _finish(*noiseless(r, n, w0, np.zeros_like(w0)), _times(scale, covariance(r, n)), -eta)
    later, begun = np.maximum(n - 1, 0.0), n > 0
    moved = np.where(begun, -eta * k * w0, 0.0)
    x, v = kicked(r, later)
    first = _times(np.where(begun, eta * eta * c, 0.0), turned_covariance(r, x * x, x * v, v * v))
    xx, xv, vv = (p + q for p, q in zip(first, _times(scale, covariance(r, later)), strict=True))
    return _finish(*noiseless(r, later, w0 + moved, moved), (xx, xv, vv), -eta)


@shapes_named
@quiet
def log_heavy_ball_variance(
    steps: ArrayLike,
    *,
    curvature: ArrayLike,
    lr: ArrayLike,
    momentum: ArrayLike,
    dampening: ArrayLike = 0.0,
    gradient_variance: ArrayLike,
    dampen_first: bool = True,
) -> Array:
    r"""Return the logarithm of the position variance of :func:`heavy_ball_moments`, finite also where that overflows.

    It is -inf where the variance is 0.  Checked to 1e-14 for up to :math:`10^9` updates of an escape.
    """
    n, k = checked("steps", steps), checked("curvature", curvature)
    c = checked("gradient_variance", gradient_variance)
    eta, tau = checked("lr", lr), checked("dampening", dampening)
    r = recursion(1 - checked("momentum", momentum), eta * (1 - tau) * k, symplectic=True)
    scale = np.log((eta * (1 - tau)) ** 2 * c)
    if flag("dampen_first", dampen_first):
        return scalar(scale + log_position_variance(r, n))
    later, growth = np.maximum(n - 1, 0.0), log_growth(r)
    first = np.log(eta * eta * c) + 2 * (np.log(np.abs(kicked(r, later, growth)[0])) + later * growth)
    both = np.logaddexp(first, scale + log_position_variance(r, later))
    return scalar(np.where(n > 0, both, -np.inf))


@shapes_named
@quiet
def heavy_ball_stationary(
    *,
    curvature: ArrayLike,
    lr: ArrayLike,
    momentum: ArrayLike,
    dampening: ArrayLike = 0.0,
    gradient_variance: ArrayLike,
) -> Moments:
    r"""Return the stationary moments of :math:`(w_n,m_{n-1})`; the variances are inf unless :math:`0<a<2(1+\gamma)`.

    With :math:`a=\eta(1-\tau)\kappa` and C = ``gradient_variance`` they are
    :math:`\mathrm{Var}\,w=\frac{(1+\gamma)\eta^2(1-\tau)^2C}{(1-\gamma)a(2(1+\gamma)-a)}`,
    :math:`\mathrm{Var}\,m=\frac{2(1-\tau)^2C}{(1-\gamma)(2(1+\gamma)-a)}` and the covariance
    :math:`-\frac12\eta\mathrm{Var}\,m`.
    """
    k, eta, tau = checked("curvature", curvature), checked("lr", lr), checked("dampening", dampening)
    c = checked("gradient_variance", gradient_variance)
    g = checked("momentum", momentum, "momentum_below_1")
    a = eta * (1 - tau) * k
    below = 2 * (1 + g) - a
    var_m = 2 * (1 - tau) ** 2 * c / ((1 - g) * below)
    var_w = (1 + g) * eta * eta * var_m / (2 * a)
    stable = (a > 0) & (below > 0)
    zero = np.zeros_like(a * c)
    fields = [np.where(stable, x, np.inf) for x in (var_w, -eta * var_m / 2, var_m)]
    fields[1] = np.where(stable, fields[1], -np.inf)
    return Moments(*(scalar(np.array(x)) for x in np.broadcast_arrays(zero, zero, *fields)))


@shapes_named
@quiet
def momentum_em_stationary(
    *,
    curvature: ArrayLike,
    diffusion: ArrayLike,
    lr: ArrayLike,
    momentum: ArrayLike,
    dampening: ArrayLike = 0.0,
    dt: ArrayLike | None = None,
    scheme: str = "explicit",
) -> Moments:
    r"""Return the stationary moments of :func:`momentum_em_moments`; inf where the scheme is unstable.

    In the coordinates (x, v dt), for unit noise in each step, with friction f and stiffness a per step, the covariance is
    symplectic :math:`\Sigma_{vv}=2/(f(4-2f-a))`, :math:`\Sigma_{xx}=(2-f)\Sigma_{vv}/(2a)`,
    :math:`\Sigma_{xv}=\Sigma_{vv}/2`; explicit :math:`\Sigma_{vv}=2/((f-a)(4-2f+a))`,
    :math:`\Sigma_{xx}=(2-f+a)\Sigma_{vv}/(2a)`, :math:`\Sigma_{xv}=-\Sigma_{vv}/2`.
    """
    k, d = checked("curvature", curvature), checked("diffusion", diffusion)
    eta, tau = checked("lr", lr), checked("dampening", dampening)
    h = eta if dt is None else checked("dt", dt)
    ratio = h / eta
    f = (1 - checked("momentum", momentum)) * ratio
    a = (1 - tau) * k * h * ratio
    symplectic = chosen("scheme", scheme, SCHEMES) == "symplectic"
    scale = 2 * d * h * ((1 - tau) * ratio) ** 2
    lag, side = (np.zeros_like(a), 1.0) if symplectic else (a, -1.0)
    room = 4 - 2 * f + (-a if symplectic else a)
    vv = 2 * scale / ((f - lag) * room)
    xx = (2 - f + lag) * vv / (2 * a)
    stable = (a > 0) & (f > lag) & (room > 0)
    zero = np.zeros_like(vv)
    xx, vv = np.where(stable, xx, np.inf), np.where(stable, vv, np.inf)
    return _finish(zero, zero, (xx, side * vv / 2, vv), h)
