r"""Two processes driven by one noise: their covariance, and the difference of their variances without subtraction.

X has curvature :math:`\kappa` and diffusion D, Y has :math:`\kappa+` ``shift`` and :math:`D(1-` ``deficit`` :math:`)`;
:func:`curvature_shift` and :func:`noise_deficit` give both for SGD (X) and SAM (Y).  Derived in this library.
"""

from __future__ import annotations

import math

import numpy as np

from ..checks import shapes_named
from ._domain import Array, ArrayLike, checked, chosen, quiet, scalar
from ._doubling import Powers, covariance, difference, matrix
from ._linear import power, power_of_map, recursion
from .discrete import em_mean
from .heavy_ball import SCHEMES
from .momentum_sde import NODES, WEIGHTS, propagator

TERMS = 12  # number of terms of the series for |s| <= 5/4; the first one left out is below 1e-20 of the leading one


@shapes_named
@quiet
def em_difference(
    steps: ArrayLike,
    *,
    curvature: ArrayLike,
    shift: ArrayLike,
    diffusion: ArrayLike,
    deficit: ArrayLike = 0.0,
    dt: ArrayLike,
) -> Array:
    r"""Return :math:`\mathrm{Var}X_n-\mathrm{Var}Y_n` of :math:`w^+=(1-\kappa\,dt)w+\sqrt{2D\,dt}\,\xi`.

    The two variances are those of :func:`em_variance`.  The result is nan where they exceed float64.
    """
    n, k, shifted, d, less, h = np.broadcast_arrays(
        checked("steps", steps),
        checked("curvature", curvature),
        checked("shift", shift),
        checked("diffusion", diffusion),
        checked("deficit", deficit),
        checked("dt", dt),
    )

    def powers(length: float) -> tuple[Array, Array]:
        a, b = (matrix([[np.asarray(em_mean(length, curvature=c, dt=h, start=1.0))]]) for c in (k, k + shifted))
        return a, b

    scale = 2 * d * h
    parts = (matrix([[x]]) for x in (shifted * h, scale * (1 - less), scale * less))
    return scalar(difference(n, powers, *parts)[..., 0, 0])


def _heavy(curvatures: tuple[Array, Array], friction: Array, push: Array, scheme: str) -> tuple[Powers, Array, Array, Array]:
    """Return the powers of both maps, the direction e of the noise, its product e e^T, and a sign.

    Where both positions change their sign in every step (see :mod:`._linear`), the maps are those of (-1)^n w and its
    velocity.  The difference of their stiffnesses is there minus that for w, so that the sign is -1, and 1 elsewhere.
    """
    symplectic = chosen("scheme", scheme, SCHEMES) == "symplectic"
    both = [recursion(friction, push * k, symplectic=symplectic) for k in curvatures]

    alternate = both[0].mirrored & both[1].mirrored

    def powers(length: float) -> tuple[Array, Array]:
        k = np.full(push.shape, length)
        x, y = ([np.where(alternate, u, w) for u, w in zip(power(r, k), power_of_map(r, k), strict=True)] for r in both)
        return matrix([[x[0], x[1]], [x[2], x[3]]]), matrix([[y[0], y[1]], [y[2], y[3]]])

    one = np.ones(push.shape)
    kick = matrix([[one * both[0].noise_w], [one]])
    return powers, kick, kick @ np.swapaxes(kick, -1, -2), np.where(alternate, -1.0, 1.0)


@shapes_named
@quiet
def momentum_em_difference(
    steps: ArrayLike,
    *,
    curvature: ArrayLike,
    shift: ArrayLike,
    diffusion: ArrayLike,
    deficit: ArrayLike = 0.0,
    lr: ArrayLike,
    momentum: ArrayLike,
    dampening: ArrayLike = 0.0,
    dt: ArrayLike | None = None,
    scheme: str = "symplectic",
) -> Array:
    r"""Return :math:`\mathrm{Var}X_n-\mathrm{Var}Y_n` of positions with momentum.

    The two variances are those of :func:`momentum_em_moments`; ``symplectic`` at dt = lr is the heavy ball.
    The result is nan where they exceed float64.
    """
    n, k, shifted, d, less, eta, g, tau, h = np.broadcast_arrays(
        checked("steps", steps),
        checked("curvature", curvature),
        checked("shift", shift),
        checked("diffusion", diffusion),
        checked("deficit", deficit),
        checked("lr", lr),
        checked("momentum", momentum),
        checked("dampening", dampening),
        checked("lr", lr) if dt is None else checked("dt", dt),
    )
    ratio = h / eta
    push = (1 - tau) * h * ratio
    powers, kick, unit, sign = _heavy((k, k + shifted), (1 - g) * ratio, push, scheme)
    apart = (sign * push * shifted)[..., None, None] * kick * np.array([1.0, 0.0])
    less = less[..., None, None]
    scale = 2 * d * h * ((1 - tau) * ratio) ** 2
    return scalar(scale * difference(n, powers, apart, unit * (1 - less), unit * less)[..., 0, 0])


@shapes_named
@quiet
def momentum_em_crn_covariance(
    steps: ArrayLike,
    *,
    curvature: ArrayLike,
    other_curvature: ArrayLike,
    diffusion: ArrayLike,
    lr: ArrayLike,
    momentum: ArrayLike,
    dampening: ArrayLike = 0.0,
    dt: ArrayLike | None = None,
    scheme: str = "symplectic",
) -> Array:
    r"""Return :math:`\mathrm{Cov}(X_n,Y_n)` of positions with momentum on one noise, from 0.

    It is :math:`q\,e^T\sum_{k<n}A^kNB^{kT}e`.  A and B are the maps of one step of :func:`momentum_em_moments` with the two
    curvatures, qN is the covariance of one step's noise, and e picks the position.  Without momentum see
    :func:`em_crn_covariance`.
    """
    n, k, other, d, eta, g, tau, h = np.broadcast_arrays(
        checked("steps", steps),
        checked("curvature", curvature),
        checked("other_curvature", other_curvature, "curvature"),
        checked("diffusion", diffusion),
        checked("lr", lr),
        checked("momentum", momentum),
        checked("dampening", dampening),
        checked("lr", lr) if dt is None else checked("dt", dt),
    )
    ratio = h / eta
    powers, _, unit, _ = _heavy((k, other), (1 - g) * ratio, (1 - tau) * h * ratio, scheme)
    return scalar(2 * d * h * ((1 - tau) * ratio) ** 2 * covariance(n, powers, unit)[..., 0, 0])


def _divided(x: Array, y: Array, odd: int) -> Array:
    r"""Return the divided difference of :math:`\sum_ks^k/(2k+odd)!` at x and y, both at most 5/4 in modulus.

    With s = r^2 the series is cosh(r) for odd = 0 and sinh(r)/r for odd = 1.
    """
    total, complete, last = np.zeros(x.shape), np.ones(x.shape), np.ones(x.shape)
    for k in range(1, TERMS):
        total = total + complete / math.factorial(2 * k + odd)
        last = last * y
        complete = x * complete + last
    return total


@quiet
def _propagators(alpha: Array, beta: Array, more: Array) -> tuple[Array, Array, Array, Array]:
    """Return G and G' of Y at unit time, then those of X less those of Y, for small arguments.

    The stiffness is beta for X and beta + more for Y; the friction alpha is the same.
    """
    decay, x, y = np.exp(-alpha / 2), alpha * alpha / 4 - beta, alpha * alpha / 4 - beta - more
    even, green = more * _divided(x, y, 0) * decay, more * _divided(x, y, 1) * decay
    _, g, slope = propagator(alpha, beta + more)
    return g, slope, green, even - alpha / 2 * green


@shapes_named
@quiet
def momentum_sde_difference(
    time: ArrayLike,
    *,
    curvature: ArrayLike,
    shift: ArrayLike,
    diffusion: ArrayLike,
    deficit: ArrayLike = 0.0,
    lr: ArrayLike,
    momentum: ArrayLike,
    dampening: ArrayLike = 0.0,
) -> Array:
    r"""Return :math:`\mathrm{Var}X(t)-\mathrm{Var}Y(t)` of the momentum SDE, started at rest.

    The two variances are those of :func:`momentum_sde_moments`.  On a short time h = t/2^m their difference is
    :math:`q\int_0^h(G_X-G_Y)(G_X+G_Y)` for deficit 0, by quadrature with :math:`G_X-G_Y` from its series; doubling h m times
    leads to t.  The result is nan where the variances exceed float64.
    """
    t, k, shifted, d, less, eta, g, tau = np.broadcast_arrays(
        checked("time", time),
        checked("curvature", curvature),
        checked("shift", shift),
        checked("diffusion", diffusion),
        checked("deficit", deficit),
        checked("lr", lr),
        checked("momentum", momentum),
        checked("dampening", dampening),
    )
    updates = t / eta
    alpha, unit = (1 - g) * updates, (1 - tau) * updates * t
    beta, more = unit * k, unit * shifted
    size = np.maximum(np.abs(alpha), np.sqrt(np.maximum(np.abs(beta), np.abs(beta + more))))
    levels = np.ceil(np.log2(np.maximum(size, 1.0)))
    h = np.exp2(-levels)
    second, gap = np.zeros((3, *t.shape)), np.zeros((3, *t.shape))  # integrals of (G^2, G G', G'^2)
    for node, weight in zip((1 + NODES) / 2, WEIGHTS / 2, strict=True):
        s = node * h
        y, y_slope, less_g, less_slope = _propagators(alpha * s, beta * s * s, more * s * s)
        y, less_g = s * y, s * less_g
        x, x_slope = y + less_g, y_slope + less_slope
        second = second + weight * h * np.stack([y * y, y * y_slope, y_slope * y_slope])
        gap = gap + weight * h * np.stack(
            [less_g * (x + y), less_g * x_slope + y * less_slope, less_slope * (x_slope + y_slope)]
        )
    gap, second = gap + less * second, (1 - less) * second
    y, y_slope, less_g, less_slope = _propagators(alpha * h, beta * h * h, more * h * h)
    less_g = h * less_g
    apart = matrix([[less_slope + alpha * less_g, less_g], [more * h * y - beta * less_g, less_slope]])

    def powers(length: float) -> tuple[Array, Array]:
        s = length * h
        both = []
        for b in (beta, beta + more):
            first, green, third = propagator(alpha * s, b * s * s)
            both.append(matrix([[first, s * green], [-b * s * green, third]]))
        return both[0], both[1]

    blocks = (matrix([[m[0], m[1]], [m[1], m[2]]]) for m in (second, gap))
    found = difference(np.exp2(levels), powers, apart, *blocks)[..., 0, 0]
    drive = 2 * d * ((1 - tau) * updates) ** 2 * t
    return scalar(np.where((d == 0) | (t == 0), 0.0, drive * found))
