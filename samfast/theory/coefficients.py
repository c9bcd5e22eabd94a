r"""Drift and noise models of SAM on a quadratic, per eigenvalue of the Hessian.

``"plain"`` is the algorithm (the descent gradient evaluated at the perturbed point); ``"chain"`` is the
gradient of :math:`w\mapsto\ell(w+\rho\nabla\ell(w))`, which the published variance formulas use;
``"sgd"`` has no perturbation.  They are different algorithms: for a negative eigenvalue the curvature of
``"chain"`` is never positive, so a saddle never attracts under it.
"""

from __future__ import annotations

import numpy as np

from ..checks import shapes_named
from ._domain import Array, ArrayLike, checked, chosen, scalar

DRIFTS = ("plain", "chain", "sgd")
NOISES = ("unit", "same", "independent", "exact")


def _model(eigenvalue: ArrayLike, rho: ArrayLike, drift: str) -> tuple[Array, Array, str]:
    value, radius = np.broadcast_arrays(checked("eigenvalue", eigenvalue), checked("rho", rho))
    return value, radius, chosen("drift", drift, DRIFTS)


@shapes_named
def curvature(eigenvalue: ArrayLike, *, rho: ArrayLike = 0.0, drift: str = "plain") -> Array:
    r"""Return the linear drift coefficient :math:`\kappa` of :math:`\dot w=-\kappa w`.

    It is :math:`\lambda(1+\rho\lambda)` for ``plain`` (Kim et al., Stability Analysis of SAM, eq. 16 and Theorem 1),
    :math:`\lambda(1+\rho\lambda)^2` for ``chain`` (ibid., proof of Theorem 2) and :math:`\lambda` for ``sgd``.
    Units: eigenvalue in length\ :sup:`-2`, constant radius rho in length\ :sup:`2`.

    Raises ValueError for a non-finite eigenvalue, rho < 0 or an unknown drift.
    """
    value, radius, kind = _model(eigenvalue, rho, drift)
    if kind == "sgd":
        return scalar(value.copy())
    factor = 1 + radius * value
    return scalar(value * factor if kind == "plain" else value * factor * factor)


@shapes_named
def curvature_shift(eigenvalue: ArrayLike, *, rho: ArrayLike = 0.0, drift: str = "plain") -> Array:
    r"""Return :math:`\kappa-\lambda` without the rounding of a subtraction.

    It is :math:`\rho\lambda^2` (plain), :math:`\rho\lambda^2(2+\rho\lambda)` (chain) or 0 (sgd).
    Its sign is the sign of SGD's lead over SAM (see ``corollary1_exact``).
    """
    value, radius, kind = _model(eigenvalue, rho, drift)
    if kind == "sgd":
        return scalar(np.zeros(value.shape))
    shift = radius * value * value
    return scalar(shift if kind == "plain" else shift * (2 + radius * value))


@shapes_named
def noise_factor(eigenvalue: ArrayLike, *, rho: ArrayLike = 0.0, drift: str = "plain", noise: str = "unit") -> Array:
    r"""Return :math:`s^2`, the variance of one update's gradient noise in units of :math:`|\lambda|/B`.

    ========================  ===========  =====================  ============================================
    additive minibatch noise  ``exact``    ``same``               ``independent``
    ========================  ===========  =====================  ============================================
    plain                     1            :math:`(1+r)^2`        :math:`1+r^2`
    chain                     (1+r)\ ^2    :math:`(1+r)^4`        :math:`(1+r)^2(1+r^2)`
    ========================  ===========  =====================  ============================================

    Here :math:`r=\rho\lambda`.  The ascent gradient is exact, or from the same minibatch as the descent (the usual
    code), or from an independent minibatch.  ``unit`` is 1 for every drift, the assumption of Kim et al.
    (Stability Analysis of SAM, eq. 11 and 23).  ``sgd`` has no ascent step; its factor is 1 for every noise.
    """
    value, radius, kind = _model(eigenvalue, rho, drift)
    which = chosen("noise", noise, NOISES)
    if kind == "sgd" or which == "unit":
        return scalar(np.ones(value.shape))
    r = radius * value
    descent = {"exact": np.ones_like(r), "same": (1 + r) ** 2, "independent": 1 + r * r}[which]
    return scalar(descent if kind == "plain" else (1 + r) ** 2 * descent)


@shapes_named
def noise_deficit(eigenvalue: ArrayLike, *, rho: ArrayLike = 0.0, drift: str = "plain", noise: str = "unit") -> Array:
    r"""Return :math:`1-s^2` (see :func:`noise_factor`) without the rounding of a subtraction; 0 for unit noise."""
    value, radius, kind = _model(eigenvalue, rho, drift)
    which = chosen("noise", noise, NOISES)
    if kind == "sgd" or which == "unit":
        return scalar(np.zeros(value.shape))
    r = radius * value
    square = -r * (2 + r)  # 1 - (1+r)^2
    if kind == "plain":
        return scalar({"exact": np.zeros_like(r), "same": square, "independent": -r * r}[which])
    chain = {"exact": square, "same": square * (1 + (1 + r) ** 2), "independent": square - (r * (1 + r)) ** 2}
    return scalar(chain[which])


@shapes_named
def diffusion_coefficient(
    eigenvalue: ArrayLike,
    *,
    lr: ArrayLike,
    batch_size: ArrayLike = 1,
    rho: ArrayLike = 0.0,
    drift: str = "plain",
    noise: str = "unit",
) -> Array:
    r"""Return :math:`D=s^2\,\eta|\lambda|/(2B)`, so that free diffusion spreads as :math:`2Dt`.

    The covariance of one minibatch gradient is :math:`|\lambda|/B` per eigen-direction (Kim et al., Stability
    Analysis of SAM, eq. 23).  D is dimensionless.

    Raises ValueError for lr <= 0, batch_size < 1, rho < 0 or an unknown drift or noise.
    """
    factor = noise_factor(eigenvalue, rho=rho, drift=drift, noise=noise)
    rate = checked("lr", lr) * np.abs(checked("eigenvalue", eigenvalue))
    return scalar(factor * rate / (2 * checked("batch_size", batch_size)))
