r"""Common random numbers: SGD (X) and SAM (Y) driven by the same noise, with unit noise factor.

The paired estimator resolves Corollary 1 at z standard deviations with about :math:`\frac73z^2` pairs of paths, where
independent noise may need :math:`10^{11}`.  Below, c is Cov(X, Y), :math:`d=\sigma_X^2-\sigma_Y^2` and
:math:`g=\sigma_X^2\sigma_Y^2-c^2`.  Derived in this library.
"""

from __future__ import annotations

import numpy as np

from ..checks import flag, shapes_named
from ._domain import Array, ArrayLike, checked, quiet, scalar
from .corollary import Pair, sgd_and_sam
from .diffusion import log_sde_variance, sde_variance
from .special import geometric_sum, phi1, scaled_delta_chc, scaled_delta_phi1

LARGE = 1e150  # above this variance its square may overflow float64


@shapes_named
@quiet
def crn_covariance(time: ArrayLike, *, curvature: ArrayLike, other_curvature: ArrayLike, diffusion: ArrayLike) -> Array:
    r"""Return :math:`\mathrm{Cov}(X,Y)=2Dt\,\varphi_1(-(\kappa_1+\kappa_2)t)` of two SDEs with one noise, from 0."""
    mean = (checked("curvature", curvature) + checked("other_curvature", other_curvature, "curvature")) / 2
    return sde_variance(time, curvature=mean, diffusion=diffusion)


@shapes_named
@quiet
def em_crn_covariance(
    steps: ArrayLike, *, curvature: ArrayLike, other_curvature: ArrayLike, diffusion: ArrayLike, dt: ArrayLike
) -> Array:
    r"""Return :math:`\mathrm{Cov}(X_n,Y_n)` of two recursions of :func:`em_variance` with one noise, from 0.

    It is :math:`2D\,dt\,E_n(q_1q_2-1)` with :math:`q=1-\kappa\,dt` and :math:`E_n` of :func:`geometric_sum`.
    """
    n, d, h = checked("steps", steps), checked("diffusion", diffusion), checked("dt", dt)
    x, y = checked("curvature", curvature) * h, checked("other_curvature", other_curvature, "curvature") * h
    return scalar(2 * d * h * geometric_sum(n, x * y - x - y))


def _overlap(q: Pair) -> Array:
    r"""Return :math:`g/d^2`, which tends to 1/12 for :math:`t\to0`.

    Both grow like exponentials; their ratio is formed from scaled factors and the exponent that remains.
    """
    middle, half = (q.sgd + q.sam) * q.time, q.shift * q.time
    x, y = -2 * q.sgd * q.time, -2 * q.sam * q.time
    opposite = (x > 0) != (y > 0)
    left = np.where((x > 0) & (y > 0), -2 * np.abs(half), np.where(opposite, -np.maximum(x, y), 0.0))
    return np.asarray(np.exp(left) * scaled_delta_chc(middle, half) / (2 * scaled_delta_phi1(x, y) ** 2))


def _difference(q: Pair) -> Array:
    x, y = -2 * q.sgd * q.time, -2 * q.sam * q.time
    top = np.maximum(np.maximum(x, y), 0.0)
    size = 4 * q.diffusion * q.time**2 * q.shift * scaled_delta_phi1(x, y)
    return np.asarray(np.where(size == 0, 0.0, np.exp(top / 2) * (np.exp(top / 2) * size)))


@shapes_named
@quiet
def paired_difference_variance(
    time: ArrayLike,
    *,
    eigenvalue: ArrayLike,
    lr: ArrayLike,
    rho: ArrayLike,
    batch_size: ArrayLike = 1,
    drift: str = "plain",
    paired: bool = True,
) -> Array:
    r"""Return :math:`\mathrm{Var}(X^2-Y^2)` of one pair of paths.

    For the same noise it is :math:`2(\sigma_X^4+\sigma_Y^4-2c^2)=2d^2+4g`, with :math:`c=\mathrm{Cov}(X,Y)`,
    :math:`d=\sigma_X^2-\sigma_Y^2` and :math:`g=\sigma_X^2\sigma_Y^2-c^2`.  For independent noise (``paired=False``) it is
    :math:`2(\sigma_X^4+\sigma_Y^4)`.
    """
    q = sgd_and_sam(time, eigenvalue, lr, rho, batch_size, drift)
    if flag("paired", paired):
        d = _difference(q)
        return scalar(np.where(d == 0, 0.0, d * d * (2 + 4 * _overlap(q))))
    sgd, sam = (sde_variance(q.time, curvature=k, diffusion=q.diffusion) for k in (q.sgd, q.sam))
    return scalar(2 * (sgd * sgd + sam * sam))


@shapes_named
@quiet
def paths_to_resolve(
    time: ArrayLike,
    *,
    eigenvalue: ArrayLike,
    rho: ArrayLike,
    drift: str = "plain",
    z: ArrayLike = 3.0,
    paired: bool = True,
) -> Array:
    r"""Return how many pairs (a real number) resolve Corollary 1 at z standard deviations, :math:`z^2\mathrm{Var}/d^2`.

    Var is :func:`paired_difference_variance` and d the difference of the variances.  With paired noise the number is
    :math:`z^2(2+4g/d^2)`, which tends to :math:`\frac73z^2` for :math:`t,\rho\to0`.  It does not depend on lr and batch
    size.  It is inf where SGD and SAM have the same variance (t = 0, rho = 0 or eigenvalue 0).
    """
    q = sgd_and_sam(time, eigenvalue, 1.0, rho, 1, drift)
    level = checked("z", z) ** 2
    nothing = (q.shift == 0) | (q.time == 0)
    if flag("paired", paired):
        return scalar(np.where(nothing, np.inf, level * (2 + 4 * _overlap(q))))
    # 2(sigma_X^4 + sigma_Y^4)/d^2, with every factor scaled by the larger exponential
    x, y = -2 * q.sgd * q.time, -2 * q.sam * q.time
    top = np.maximum(np.maximum(x, y), 0.0)
    # for v > 0 by exp(-v) phi1(v) = phi1(-v)
    each = [np.exp(np.maximum(v, 0.0) - top) * phi1(-np.abs(v)) / scaled_delta_phi1(x, y) for v in (x, y)]
    relative = (each[0] ** 2 + each[1] ** 2) / (2 * (q.shift * q.time) ** 2)
    return scalar(np.where(nothing, np.inf, level * relative))


@shapes_named
@quiet
def control_variate(
    time: ArrayLike,
    *,
    eigenvalue: ArrayLike,
    lr: ArrayLike,
    rho: ArrayLike,
    batch_size: ArrayLike = 1,
    drift: str = "plain",
) -> tuple[Array, Array]:
    r"""Return (beta, residual variance) of :math:`Y^2-\beta(X^2-\sigma_X^2)` as an estimator of SAM's MSD.

    They are :math:`\beta=c^2/\sigma_X^4` and :math:`2\sigma_Y^4(1-r^4)` with :math:`c=\mathrm{Cov}(X,Y)` and
    :math:`r=c/(\sigma_X\sigma_Y)`; with :math:`g=\sigma_X^2\sigma_Y^2-c^2`, :math:`1-r^2` is formed as
    :math:`g/(\sigma_X^2\sigma_Y^2)`, which does not cancel.  At rho = 0 SAM is SGD, and (1, 0) is returned.
    """
    q = sgd_and_sam(time, eigenvalue, lr, rho, batch_size, drift)
    x, y, half = -2 * q.sgd * q.time, -2 * q.sam * q.time, q.shift * q.time
    middle = -(q.sgd + q.sam) * q.time
    # every phi1(v) is taken as exp(max(v, 0)) phi1(-|v|), since the exponents cancel in r, and to -half or less in c/sigma_X^2
    both = np.where((middle > 0) & (x > 0), -half, np.maximum(middle, 0.0) - np.maximum(x, 0.0))
    share = np.exp(both) * phi1(-np.abs(middle)) / phi1(-np.abs(x))
    lost = 2 * half**2 * scaled_delta_chc(middle, half) / (phi1(-np.abs(x)) * phi1(-np.abs(y)))
    about = {"curvature": q.sam, "diffusion": q.diffusion}
    sam = sde_variance(q.time, **about)
    # for variances above LARGE, whose square may overflow where the residual does not
    root = np.exp(log_sde_variance(q.time, **about) + np.log(2 * lost * (2 - lost)) / 2)
    return scalar(share * share), scalar(np.where(sam < LARGE, 2 * sam * sam * lost * (2 - lost), root * root))
