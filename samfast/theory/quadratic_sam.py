r"""Normalised SAM on a quadratic: constants, two-cycle and its local rates, capture by a saddle.

:math:`w^+=(I-\eta\Lambda-\eta\rho\Lambda^2/\|\Lambda w\|)w` with :math:`\Lambda=\mathrm{diag}(\lambda_1,\dots,\lambda_d)`.
The eigenvalues are the last axis, in any order; :math:`\lambda_1` is the largest, :math:`\lambda_d` the smallest.  The unit
of rho is length.
Source: Bartlett, Long, Bousquet, "The Dynamics of Sharpness-Aware Minimization", sections 3 and 4.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..checks import shapes_named
from ._domain import Array, ArrayLike, checked, directions, quiet, scalar
from .stability import multipliers


class BounceConstants(NamedTuple):
    r"""The constants of :func:`bounce_constants`; gamma, beta and alpha have one entry per eigenvalue, absorbing has none."""

    gamma: Array
    beta: Array
    alpha: Array
    absorbing: Array


def positive_spectrum(eigenvalues: ArrayLike, lr: ArrayLike, limit: float) -> tuple[Array, Array, Array]:
    """Return (eigenvalues, lr with one more axis, largest eigenvalue), or raise ValueError outside 0 < lr*e < limit."""
    e, eta = checked("eigenvalues", eigenvalues), np.asarray(checked("lr", lr))[..., None]
    if e.ndim == 0 or e.shape[-1] == 0:
        raise ValueError(f"eigenvalues={eigenvalues!r}: give a sequence, e.g. eigenvalues=[1.0, 0.5]")
    if (e <= 0).any():
        raise ValueError(f"eigenvalues={float(np.min(e)):.15g}: give positive eigenvalues, e.g. eigenvalues=[1.0, 0.5]")
    if (eta * e >= limit).any():
        raise ValueError(f"lr: lr*eigenvalue={float(np.max(eta * e)):.6g}; give lr below {limit:g}/(largest eigenvalue)")
    return e, eta, e.max(-1, keepdims=True)


@shapes_named
def bounce_constants(eigenvalues: ArrayLike, *, lr: ArrayLike, rho: ArrayLike) -> BounceConstants:
    r"""Return the constants of Bartlett, Long, Bousquet, Lemma 5, on the size of :math:`v=\Lambda w`.

    They are :math:`\gamma_i=\eta\rho\lambda_i^2/(1-\eta\lambda_i)`, :math:`\beta_i=\eta\rho\lambda_i^2/(2-\eta\lambda_i)`,
    :math:`\alpha_i=[(1-\eta\lambda_1)\gamma_1+(1-\eta\lambda_i)\gamma_i]/(2-\eta\lambda_1-\eta\lambda_i)`,
    and the absorbing radius :math:`b=\eta\rho\lambda_1^2`, for :math:`0<\eta\lambda_1<1/2`.

    In one step :math:`|v_i|` decreases iff :math:`\|v\|>\beta_i` (:math:`v_i\ne0`); :math:`|v_1|/|v_i|` grows iff
    :math:`\|v\|<\alpha_i`; the ball :math:`\|v\|\le b` is never left; where :math:`\|v\|\ge b`, the norm is multiplied by
    :math:`1-\eta\lambda_d` at most.  The lemma also admits v = 0, wrongly.

    Raises ValueError for eigenvalues <= 0, lr * eigenvalue >= 1/2 or rho <= 0.
    """
    e, eta, top = positive_spectrum(eigenvalues, lr, 0.5)
    r = np.asarray(checked("rho", rho, "rho_positive"))[..., None]
    force = eta * r * e * e
    alpha = eta * r * (top * top + e * e) / (2 - eta * top - eta * e)
    return BounceConstants(force / (1 - eta * e), force / (2 - eta * e), alpha, (eta * r * top * top)[..., 0])


@shapes_named
def normalized_sam_step(w: ArrayLike, *, eigenvalues: ArrayLike, lr: ArrayLike, rho: ArrayLike) -> Array:
    r"""Return :math:`w-\eta\Lambda(w+\rho\Lambda w/\|\Lambda w\|)`, shape (..., dim); w where the gradient is 0.

    The eigenvalues may have any sign.

    Bartlett, Long, Bousquet, section 3 (where the norm of w is printed for that of :math:`\Lambda w`).
    """
    x, e = directions("w", w, "start"), directions("eigenvalues", eigenvalues)
    if x.shape[-1] != e.shape[-1] and 1 not in (x.shape[-1], e.shape[-1]):
        raise ValueError(f"w has shape {x.shape}: give its last axis the {e.shape[-1]} directions of eigenvalues")
    eta, r = (np.asarray(checked(k, v))[..., None] for k, v in (("lr", lr), ("rho", rho)))
    v = e * x
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    return np.asarray(x - eta * (v + r * e * np.divide(v, length, out=np.zeros_like(v), where=length > 0)))


def _effective(lr: ArrayLike, momentum: ArrayLike, dampening: ArrayLike) -> tuple[Array, Array]:
    g = checked("momentum", momentum, "momentum_below_1")
    return checked("lr", lr) * (1 - checked("dampening", dampening)), np.asarray(1 + g)


def _top(eigenvalue: ArrayLike, step: Array, gain: Array) -> Array:
    e = checked("eigenvalue", eigenvalue)
    if (e <= 0).any():
        raise ValueError(f"eigenvalue={float(np.min(e)):.15g}: give a positive eigenvalue, e.g. eigenvalue=1.0")
    if (step * e >= 2 * gain).any():
        raise ValueError(
            f"lr: lr*(1-dampening)*eigenvalue={float(np.max(step * e)):.6g}; give lr below "
            "2*(1+momentum)/((1-dampening)*eigenvalue), beyond which there is no two-cycle"
        )
    return e


@shapes_named
def two_cycle_amplitude(
    eigenvalue: ArrayLike, *, lr: ArrayLike, rho: ArrayLike, momentum: ArrayLike = 0.0, dampening: ArrayLike = 0.0
) -> Array:
    r"""Return the amplitude of the two-cycle :math:`\pm A e_1` along the largest eigenvalue's direction.

    :math:`A=\eta'\rho\lambda_1/(2(1+\gamma)-\eta'\lambda_1)` with :math:`\eta'=\eta(1-\tau)`; without momentum
    :math:`\beta_1/\lambda_1=\eta\rho\lambda_1/(2-\eta\lambda_1)`.  Source: Bartlett, Long, Bousquet, Theorems 1 and 2;
    with heavy ball it is derived in this library.

    Raises ValueError for eigenvalue <= 0 or :math:`\eta'\lambda_1\ge2(1+\gamma)`.
    """
    step, gain = _effective(lr, momentum, dampening)
    e = _top(eigenvalue, step, gain)
    return scalar(step * checked("rho", rho) * e / (2 * gain - step * e))


@shapes_named
def two_cycle_loss(
    eigenvalue: ArrayLike, *, lr: ArrayLike, rho: ArrayLike, momentum: ArrayLike = 0.0, dampening: ArrayLike = 0.0
) -> Array:
    r"""Return the loss on the two-cycle, :math:`\lambda_1A^2/2` with A = :func:`two_cycle_amplitude`.

    Without momentum this is :math:`\eta^2\rho^2\lambda_1^3/(2(2-\eta\lambda_1)^2)`.  Source: Bartlett, Long, Bousquet,
    Theorem 1.
    """
    size = two_cycle_amplitude(eigenvalue, lr=lr, rho=rho, momentum=momentum, dampening=dampening)
    return scalar(checked("eigenvalue", eigenvalue) * size * size / 2)


@shapes_named
def two_cycle_curvatures(
    eigenvalues: ArrayLike, *, lr: ArrayLike, momentum: ArrayLike = 0.0, dampening: ArrayLike = 0.0
) -> Array:
    r"""Return the curvature of one SAM step, linearised at the two-cycle, in each direction.

    These are :math:`\kappa_1=\lambda_1` and :math:`\kappa_j=\lambda_j+\rho\lambda_j^2/(\lambda_1A)`.  For j > 1 this is the
    curvature of SAM with the constant radius :math:`\rho/(\lambda_1A)`, which does not depend on rho.  Derived in this library.
    """
    e = directions("eigenvalues", eigenvalues)
    step, gain = _effective(lr, momentum, dampening)
    top = _top(e.max(-1), step, gain)[..., None]
    step, gain = step[..., None], gain[..., None]
    first = np.arange(e.shape[-1]) == e.argmax(-1)[..., None]
    return np.asarray(np.where(first, e, e + e * e * (2 * gain - step * top) / (step * top * top)))


@shapes_named
def two_cycle_multipliers(
    eigenvalues: ArrayLike, *, lr: ArrayLike, momentum: ArrayLike = 0.0, dampening: ArrayLike = 0.0
) -> Array:
    r"""Return the factor by which one step multiplies a small deviation from the two-cycle, in each direction.

    Without momentum it is :math:`1-\eta\lambda_1` along the largest eigenvalue's direction and
    :math:`1-\eta\lambda_j-(2-\eta\lambda_1)\lambda_j^2/\lambda_1^2` along the others.  Its modulus is below 1 for all
    :math:`0<\lambda_j<\lambda_1,\ \eta\lambda_1<2` (the printed condition :math:`\eta\lambda_1<1/2` is sufficient only) and
    1 for :math:`\lambda_j=0`.  With heavy ball it is the larger root of :func:`multipliers`.  Derived in this library.
    """
    kappa = two_cycle_curvatures(eigenvalues, lr=lr, momentum=momentum, dampening=dampening)
    eta, g, tau = (
        np.asarray(checked(k, v))[..., None] for k, v in (("lr", lr), ("momentum", momentum), ("dampening", dampening))
    )
    if not g.any():
        return np.asarray(1 - eta * (1 - tau) * kappa)
    return multipliers(kappa, lr=eta, momentum=g, dampening=tau)[..., 0]


@shapes_named
@quiet
def two_cycle_capture(eigenvalue: ArrayLike, *, lr: ArrayLike) -> tuple[Array, Array]:
    r"""Return the open interval (low, high) of m for which the two-cycle attracts along an eigenvalue -m of a saddle.

    It is :math:`\eta\lambda_1^2/(2-\eta\lambda_1)<m<\frac12[\eta c+\sqrt{\eta^2c^2+8c}]`,
    :math:`c=\lambda_1^2/(2-\eta\lambda_1)`, for the largest eigenvalue :math:`\lambda_1>0` and any rho.  So
    slightly negative directions escape, more negative ones are captured, and still more negative ones escape again.  The lower
    end is Theorem 1 of Kim et al. with the effective constant radius of :func:`two_cycle_curvatures`.
    Derived in this library.
    """
    eta = checked("lr", lr)
    c = _top(eigenvalue, eta, np.ones(())) ** 2
    c = c / (2 - eta * checked("eigenvalue", eigenvalue))
    return scalar(eta * c), scalar((eta * c + np.sqrt(eta * eta * c * c + 8 * c)) / 2)
