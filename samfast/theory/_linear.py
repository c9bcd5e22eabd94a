r"""Exact first and second moments of a two-dimensional linear recursion :math:`z^+=Az+\text{noise}`.

The heavy ball and both Euler-Maruyama schemes of the momentum SDE are, in units (w, velocity times step),

* symplectic (heavy ball): :math:`A=[[1-a,\,1-f],[-a,\,1-f]]`, noise (1, 1);
* explicit: :math:`A=[[1,\,1],[-a,\,1-f]]`, noise (0, 1),

with friction f and stiffness a per step.  Both have :math:`1-z` among the roots of
:math:`\delta^2-p\delta+a=0` (p = f + a or f).  Powers of A are taken from closed forms at every level of the
binary doubling: squaring A would lose one unit in the last place per step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ._domain import Array, quiet
from .special import geometric_sum

Flags = npt.NDArray[np.bool_]
Triple = tuple[Array, Array, Array]


class Recursion(NamedTuple):
    """What fixes the powers of a 2x2 matrix accurately, and the direction of its unit noise."""

    half: Array  # (m11 - m22)/2; the entries themselves would lose it to rounding near 1
    m12: Array
    m21: Array
    p: Array  # sum of the two values 1 - z
    a: Array  # product of the two values 1 - z
    disc: Array  # (z1 - z2)^2
    det_minus_1: Array
    noise_w: float


def recursion(friction: Array, stiffness: Array, *, symplectic: bool) -> Recursion:
    """Return the recursion of one step with friction f = 1 - g and stiffness a, both dimensionless."""
    f, a = np.broadcast_arrays(friction, stiffness)
    g = 1 - f
    if not symplectic:
        return Recursion(f / 2, np.ones_like(f), -a, f, a, f * f - 4 * a, a - f, 0.0)
    # (1+g-a)^2 - 4g in factors: the expanded square loses the near-critical digits
    root = np.sqrt(np.maximum(g, 0.0))
    factored = (a - (f / (1 + root)) ** 2) * (a - (1 + root) ** 2)
    disc = np.where(g >= 0, factored, (1 + g - a) ** 2 - 4 * g)
    return Recursion((f - a) / 2, g, -a, f + a, a, disc, -f, 1.0)


@quiet
def _log_det(r: Recursion) -> Array:
    return np.where(np.abs(r.det_minus_1) < 0.5, np.log1p(r.det_minus_1), np.log(np.abs(1 + r.det_minus_1)))


def _parity(k: Array) -> Array:
    return np.where(np.mod(k, 2) == 1, -1.0, 1.0)


def _mirror(r: Recursion) -> tuple[Flags, Array, Array, Array]:
    """Flip A to -A where its trace is negative, so that the larger root is positive; (flip, p, a, trace)."""
    flip = r.p > 2
    return flip, np.where(flip, 4 - r.p, r.p), np.where(flip, 4 - 2 * r.p + r.a, r.a), np.abs(2 - r.p)


@quiet
def log_root(r: Recursion) -> tuple[Array, Array]:
    """Return ln of the larger root and the distance of both, where they are real, after _mirror."""
    _, p, a, trace = _mirror(r)
    s = np.sqrt(np.maximum(r.disc, 0.0))
    slow = np.where(p > 0, 2 * a / (p + s), (p - s) / 2)
    z1 = (trace + s) / 2
    return np.where(z1 > 0.5, np.log1p(-slow), np.log(z1)), s


@quiet
def _resolved(r: Recursion, k: Array) -> tuple[Array, Array, Array]:
    """Return U_k and the diagonal of A^k = c_k + U_k (A - tr A/2), for whole k >= 0, elementwise."""
    flip, _, _, trace = _mirror(r)
    sign = np.where(flip, -1.0, 1.0)
    half = sign * r.half
    off = r.m12 * r.m21
    log_det, det_sign = _log_det(r), np.where(1 + r.det_minus_1 < 0, -1.0, 1.0)
    log_z1, s = log_root(r)
    z1 = np.exp(log_z1)
    u = np.where(z1 > 0, np.exp((k - 1) * log_z1) * geometric_sum(k, -s / z1), np.where(k == 1, 1.0, 0.0))
    u = np.where(k == 0, 0.0, u)
    no_z2 = 1 + r.det_minus_1 == 0
    z2k = np.where(det_sign < 0, _parity(k), 1.0) * np.exp(k * (log_det - log_z1))
    z2k = np.where(k == 0, 1.0, np.where(no_z2 | (z1 == 0), 0.0, z2k))
    # (s/2 + half)(s/2 - half) = off: divide by the factor that adds instead of subtracting
    added = s / 2 + np.abs(half)
    other = np.where(added > 0, off / np.where(added > 0, added, 1.0), 0.0)
    plus, minus = np.where(half >= 0, added, other), np.where(half >= 0, other, added)
    real11, real22 = z2k + plus * u, z2k + minus * u
    imaginary = np.sqrt(np.maximum(-r.disc, 0.0))
    angle = np.arctan2(imaginary, trace)
    radius_k = np.exp(k * log_det / 2)
    wave = np.exp((k - 1) * log_det / 2) * np.sin(k * angle) / np.sin(angle)
    even = radius_k * np.cos(k * angle)
    spiral = r.disc < 0
    u = np.where(spiral, wave, u)
    s11, s22 = np.where(spiral, even + half * wave, real11), np.where(spiral, even - half * wave, real22)
    outer = np.where(flip, _parity(k), 1.0)
    return outer * sign * u, outer * s11, outer * s22


@quiet
def power(r: Recursion, k: Array) -> tuple[Array, Array, Array, Array]:
    """Return the four entries of A^k for whole k >= 0, elementwise."""
    u, m11, m22 = _resolved(r, k)
    return m11, r.m12 * u, r.m21 * u, m22


@quiet
def transport(m: tuple[Array, Array, Array, Array], xx: Array, xv: Array, vv: Array) -> Triple:
    """Return the entries of M S M^T."""
    m11, m12, m21, m22 = m
    return (
        m11 * m11 * xx + 2 * (m11 * m12 * xv) + m12 * m12 * vv,
        m11 * m21 * xx + (m11 * m22 + m12 * m21) * xv + m12 * m22 * vv,
        m21 * m21 * xx + 2 * (m21 * m22 * xv) + m22 * m22 * vv,
    )


def _select(where: Flags, a: Triple, b: Triple, otherwise: Triple) -> Triple:
    xx, xv, vv = (np.where(where, p + q, old) for p, q, old in zip(a, b, otherwise, strict=True))
    return xx, xv, vv


@quiet
def covariance(r: Recursion, steps: Array) -> Triple:
    """Return (xx, xv, vv) of the sum of A^k Q (A^k)^T over k < n by binary doubling, O(log n)."""
    n = np.broadcast_arrays(steps, *r[:7])[0]
    bits = n.astype(np.int64)
    total: Triple = (np.zeros(n.shape), np.zeros(n.shape), np.zeros(n.shape))
    block: Triple = (np.full(n.shape, r.noise_w), np.full(n.shape, r.noise_w), np.ones(n.shape))
    length, top = 1, int(np.max(bits, initial=0))
    while length <= top:
        moved = power(r, np.full(n.shape, float(length)))
        take = (bits & length) != 0
        shifted = transport(moved, *total)
        total = _select(take, block, shifted, total)
        grown = transport(moved, *block)
        # an element whose n is used up stops growing, lest it overflow into a nan
        alive = bits >= 2 * length
        block = _select(alive, block, grown, block)
        length *= 2
    # Var x grows by U_n^2 in the next (explicit) or last (symplectic) step: xv from that hardly cancels
    kick = _resolved(r, n)[0]
    cross = (kick * kick + (2 * r.noise_w - 1) * total[2]) / 2
    # overflow: variances are sums of squares, and the covariance has the sign of the growing root minus 1
    xx, vv = (np.where(np.isnan(v), np.inf, v) for v in (total[0], total[2]))
    return xx, np.where(np.isnan(cross), np.where(r.p > 2, -np.inf, np.inf), cross), vv
