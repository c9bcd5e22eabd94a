r"""Exact first and second moments of a two-dimensional linear recursion :math:`z^+=Az+\text{noise}`.

The heavy ball and both Euler-Maruyama schemes of the momentum SDE are, in the coordinates (w, velocity times dt),

* symplectic (heavy ball): :math:`A=[[1-a,\,1-f],[-a,\,1-f]]`, noise (1, 1);
* explicit: :math:`A=[[1,\,1],[-a,\,1-f]]`, noise (0, 1),

with friction f and stiffness a per step.  If z is an eigenvalue of A, then :math:`1-z` is a root of
:math:`\delta^2-p\delta+a=0` with p = f + a (symplectic) or p = f (explicit).
Powers of A are taken from closed forms at every level of the binary doubling, because squaring A
would lose one unit in the last place per step.

Where A has a negative trace, positions change their sign in every step.  Then :math:`u_n=(-1)^nw_n` obeys a recursion of
the same kind with a positive trace: symplectic with stiffness :math:`4-2f-a` and friction f, explicit with
:math:`4-2f+a` and :math:`4-f`.  Everything is computed for u, and :func:`_turned_back` converts the result to w: the
powers of A itself have entries of alternating sign that cancel like the square of the number of steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ._domain import Array, quiet
from .special import geometric_sum

Flags = npt.NDArray[np.bool_]
Triple = tuple[Array, Array, Array]
Matrix = tuple[Array, Array, Array, Array]


class Recursion(NamedTuple):
    """Numbers that give the powers of a 2x2 matrix of positive trace accurately; z1 and z2 are its eigenvalues."""

    half: Array  # (m11 - m22)/2; both entries are near 1, and their difference would lose digits
    m12: Array
    m21: Array
    p: Array  # (1 - z1) + (1 - z2)
    a: Array  # (1 - z1)(1 - z2)
    disc: Array  # (z1 - z2)^2
    det_minus_1: Array
    noise_w: float  # one step adds (noise_w, 1) times the noise; 1 if symplectic, 0 if explicit
    mirrored: Flags  # whether this is the recursion of (-1)^n w


def recursion(friction: Array, stiffness: Array, *, symplectic: bool) -> Recursion:
    """Return the recursion of one step with friction f = 1 - g and stiffness a, both dimensionless, for w or for (-1)^n w."""
    f, a = np.broadcast_arrays(friction, stiffness)
    if not symplectic:
        mirrored = f > 2
        a = np.where(mirrored, (4 - 2 * f) + a, a)
        f = np.where(mirrored, 4 - f, f)
        return Recursion(f / 2, np.ones_like(f), -a, f, a, f * f - 4 * a, a - f, 0.0, mirrored)
    mirrored = f + a > 2
    a = np.where(mirrored, (4 - a) - 2 * f, a)
    g = 1 - f
    # (1+g-a)^2 - 4g is formed as a product, because the difference loses its digits near critical damping
    root = np.sqrt(np.maximum(g, 0.0))
    factored = (a - (f / (1 + root)) ** 2) * (a - (1 + root) ** 2)
    disc = np.where(g >= 0, factored, (1 + g - a) ** 2 - 4 * g)
    return Recursion((f - a) / 2, g, -a, f + a, a, disc, -f, 1.0, mirrored)


def _parity(k: Array) -> Array:
    return np.where(np.mod(k, 2) == 1, -1.0, 1.0)


@quiet
def _turned_back(r: Recursion, steps: Array, position: Array, velocity: Array) -> tuple[Array, Array]:
    """Return (w, dt v) after ``steps`` steps from u and its velocity; for 0 steps this map is its own inverse."""
    side = 1.0 if r.noise_w else -1.0
    sign = _parity(steps)
    turned = side * (2 * position - velocity) if r.noise_w else side * (2 * position + velocity)
    return np.where(r.mirrored, sign * position, position), np.where(r.mirrored, sign * turned, velocity)


@quiet
def log_growth(r: Recursion) -> Array:
    """Return ln of the modulus of the larger root where it is above 1, else 0."""
    real = _log_root(r)[0]
    return np.maximum(np.where(r.disc < 0, _log_det(r) / 2, real), 0.0)


@quiet
def _log_det(r: Recursion) -> Array:
    return np.where(np.abs(r.det_minus_1) < 0.5, np.log1p(r.det_minus_1), np.log(np.abs(1 + r.det_minus_1)))


@quiet
def _log_root(r: Recursion) -> tuple[Array, Array]:
    """Return the logarithm of the larger root and the distance between the roots, where they are real."""
    s = np.sqrt(np.maximum(r.disc, 0.0))
    slow = np.where(r.p > 0, 2 * r.a / (r.p + s), (r.p - s) / 2)
    z1 = (2 - r.p + s) / 2
    return np.where(z1 > 0.5, np.log1p(-slow), np.log(z1)), s


@quiet
def _resolved(r: Recursion, k: Array, growth: Array | float = 0.0) -> tuple[Array, Array, Array]:
    """Return U_k and the two diagonal entries of A^k for whole k >= 0, all divided by exp(k growth).

    A^k = c_k + U_k (A - tr A/2), with U_k = (z1^k - z2^k)/(z1 - z2) for the roots z1 and z2.
    """
    off = r.m12 * r.m21
    log_det, det_sign = _log_det(r), np.where(1 + r.det_minus_1 < 0, -1.0, 1.0)
    log_z1, s = _log_root(r)
    z1 = np.exp(log_z1)
    u = np.where(z1 > 0, np.exp((k - 1) * log_z1 - k * growth) * geometric_sum(k, -s / z1), np.where(k == 1, 1.0, 0.0))
    u = np.where(k == 0, 0.0, u)
    no_z2 = 1 + r.det_minus_1 == 0
    z2k = np.where(det_sign < 0, _parity(k), 1.0) * np.exp(k * (log_det - log_z1 - growth))
    z2k = np.where(k == 0, 1.0, np.where(no_z2 | (z1 == 0), 0.0, z2k))
    # s/2 + half and s/2 - half have the product off; the one that cancels is off divided by the other one
    added = s / 2 + np.abs(r.half)
    other = np.where(added > 0, off / np.where(added > 0, added, 1.0), 0.0)
    plus, minus = np.where(r.half >= 0, added, other), np.where(r.half >= 0, other, added)
    real11, real22 = z2k + plus * u, z2k + minus * u
    imaginary = np.sqrt(np.maximum(-r.disc, 0.0))
    angle = np.arctan2(imaginary, 2 - r.p)
    radius_k = np.exp(k * (log_det / 2 - growth))
    wave = np.exp((k - 1) * log_det / 2 - k * growth) * np.sin(k * angle) / np.sin(angle)
    even = radius_k * np.cos(k * angle)
    spiral = r.disc < 0
    u = np.where(spiral, wave, u)
    s11, s22 = np.where(spiral, even + r.half * wave, real11), np.where(spiral, even - r.half * wave, real22)
    return u, s11, s22


@quiet
def power(r: Recursion, k: Array, growth: Array | float = 0.0) -> Matrix:
    """Return the four entries of A^k/exp(k growth) for whole k >= 0, elementwise; where mirrored, A is the map of u."""
    u, m11, m22 = _resolved(r, k, growth)
    return m11, r.m12 * u, r.m21 * u, m22


@quiet
def power_of_map(r: Recursion, k: Array) -> Matrix:
    """Return the four entries of A^k, where A is the map of (w, dt v) whether the recursion is mirrored or not."""
    m11, m12, m21, m22 = power(r, k)
    twice, sign = 2 * (1.0 if r.noise_w else -1.0) * m12, _parity(k)
    turned = (m11 + twice, -m12, 2 * (1.0 if r.noise_w else -1.0) * (m11 - m22) + 4 * m12 - m21, m22 - twice)
    w11, w12, w21, w22 = (np.where(r.mirrored, sign * t, m) for t, m in zip(turned, (m11, m12, m21, m22), strict=True))
    return w11, w12, w21, w22


@quiet
def noiseless(r: Recursion, steps: Array, position: Array, velocity: Array) -> tuple[Array, Array]:
    """Return the position and dt v after ``steps`` steps without noise, from ``position`` and dt v = ``velocity``."""
    x, v = _turned_back(r, np.zeros_like(steps), position, velocity)
    m11, m12, m21, m22 = power(r, steps)
    x, v = (np.where(x == 0, 0.0, p * x) + np.where(v == 0, 0.0, q * v) for p, q in ((m11, m12), (m21, m22)))
    return _turned_back(r, steps, x, v)


@quiet
def transport(m: Matrix, xx: Array, xv: Array, vv: Array) -> Triple:
    """Return the entries (xx, xv, vv) of M S M^T for a symmetric S with the entries xx, xv and vv."""
    m11, m12, m21, m22 = m
    return (
        m11 * m11 * xx + 2 * (m11 * m12 * xv) + m12 * m12 * vv,
        m11 * m21 * xx + (m11 * m22 + m12 * m21) * xv + m12 * m22 * vv,
        m21 * m21 * xx + 2 * (m21 * m22 * xv) + m22 * m22 * vv,
    )


@quiet
def kicked(r: Recursion, steps: Array, growth: Array | float = 0.0) -> tuple[Array, Array]:
    """Return u and its velocity ``steps`` steps after one unit of noise, divided by exp(steps growth)."""
    m11, m12, m21, m22 = power(r, steps, growth)
    return r.noise_w * m11 + m12, r.noise_w * m21 + m22


def _select(where: Flags, a: Triple, b: Triple, otherwise: Triple) -> Triple:
    xx, xv, vv = (np.where(where, p + q, old) for p, q, old in zip(a, b, otherwise, strict=True))
    return xx, xv, vv


@quiet
def _mirror_covariance(r: Recursion, steps: Array, growth: Array | float) -> Triple:
    """Return the covariance (xx, xv, vv) of u and its velocity after n = ``steps`` steps, divided by exp(2 n growth).

    It is the sum of A^k Q (A^k)^T over k < n, formed by binary doubling in O(log n).
    """
    n = np.broadcast_arrays(steps, *r[:7])[0]
    bits = n.astype(np.int64)
    total: Triple = (np.zeros(n.shape), np.zeros(n.shape), np.zeros(n.shape))
    shrunk = np.exp(-2 * np.broadcast_to(growth, n.shape))
    block: Triple = (r.noise_w * shrunk, r.noise_w * shrunk, shrunk)
    length, top = 1, int(np.max(bits, initial=0))
    while length <= top:
        moved = power(r, np.full(n.shape, float(length)), growth)
        take = (bits & length) != 0
        # the block is the sum of the first ``length`` terms; the n mod length terms taken so far move behind it
        earlier = np.exp(-2 * growth * np.mod(n, length))
        total = _select(take, _scaled(earlier, block), transport(moved, *total), total)
        grown = transport(moved, *block)
        # the block of an element whose n is used up stops growing, because it could overflow and give nan
        alive = bits >= 2 * length
        block = _select(alive, _scaled(np.exp(-2 * growth * length), block), grown, block)
        length *= 2
    # Var x gains U_n^2 in the next step (explicit) or the last one (symplectic); xv formed from this hardly cancels
    kick = _resolved(r, n, growth)[0]
    return total[0], (kick * kick + (2 * r.noise_w - 1) * total[2]) / 2, total[2]


@quiet
def _scaled(scale: Array | float, values: Triple) -> Triple:
    xx, xv, vv = (scale * v for v in values)
    return xx, xv, vv


@quiet
def covariance(r: Recursion, steps: Array) -> Triple:
    """Return the covariance (xx, xv, vv) of (w, dt v) after n = ``steps`` steps with unit noise in each."""
    return turned_covariance(r, *_mirror_covariance(r, steps, 0.0))


@quiet
def turned_covariance(r: Recursion, xx: Array, xv: Array, vv: Array) -> Triple:
    """Return the second moments of (w, dt v) from those of u and its velocity; on overflow inf, or -inf for the covariance."""
    side = 1.0 if r.noise_w else -1.0
    other = 2 * side * xx - xv
    third = 4 * xx - 4 * side * xv + vv
    # nan means overflow: variances are inf, and the covariance has the sign it has on a growing path (w alternates, u does not)
    xx, vv, third = (np.where(np.isnan(v), np.inf, v) for v in (xx, vv, third))
    xv, other = (np.where(np.isnan(v), sign * np.inf, v) for v, sign in ((xv, 1.0), (other, side)))
    return xx, np.where(r.mirrored, other, xv), np.where(r.mirrored, third, vv)


@quiet
def log_position_variance(r: Recursion, steps: Array) -> Array:
    """Return the logarithm of the variance of w for unit noise, finite also where that overflows; -inf where it is 0."""
    growth = log_growth(r)
    return np.log(_mirror_covariance(r, steps, growth)[0]) + 2 * steps * growth
