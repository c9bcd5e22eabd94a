r"""Several eigen-directions at once: total MSD and full covariance of Theorem 2."""

from __future__ import annotations

import numpy as np

from ..checks import shapes_named
from ._domain import Array, ArrayLike, checked, scalar
from .diffusion import theorem2
from .stability import symmetric_eigen


@shapes_named
def total_variance(variances: ArrayLike) -> Array:
    r"""Return the total MSD from the saddle, :math:`\sum_j\sigma_j^2` over the last axis of ``variances``."""
    return scalar(checked("variances", variances).sum(axis=-1))


@shapes_named
def covariance_matrix(variances: ArrayLike, *, eigenvectors: ArrayLike) -> Array:
    r"""Return :math:`Q\,\mathrm{diag}(\sigma_j^2)\,Q^T`, shape (..., dim, dim), for eigenvectors in columns.

    ``variances`` has shape (..., dim), ``eigenvectors`` (..., dim, dim).  Raises ValueError unless they are orthonormal.
    """
    v, q = checked("variances", variances), checked("eigenvectors", eigenvectors)
    dim, turned = v.shape[-1] if v.ndim else 0, np.swapaxes(q, -1, -2) if q.ndim > 1 else q
    if q.shape[-2:] != (dim, dim):
        raise ValueError(f"eigenvectors: shape {q.shape}, but {dim} variances; give shape ({dim}, {dim})")
    if np.abs(turned @ q - np.eye(dim)).max() > 1e-8:
        raise ValueError("eigenvectors: not orthonormal columns; give them as np.linalg.eigh returns them")
    return np.asarray((q * v[..., None, :]) @ turned)


@shapes_named
def theorem2_total(
    time: ArrayLike,
    *,
    eigenvalues: ArrayLike,
    lr: ArrayLike,
    rho: ArrayLike = 0.0,
    batch_size: ArrayLike = 1,
    drift: str = "chain",
    noise: str = "unit",
) -> Array:
    r"""Return the total MSD :math:`\sum_j\sigma_j^2(t)` of :func:`theorem2`, over the last axis of ``eigenvalues``.

    ``time``, ``lr``, ``rho`` and ``batch_size`` broadcast against the axes before the last.
    """
    spread = (
        np.asarray(checked(k, x))[..., None] for k, x in (("time", time), ("lr", lr), ("rho", rho), ("batch_size", batch_size))
    )
    t, eta, radius, b = spread
    each = theorem2(
        t,
        eigenvalue=checked("eigenvalues", eigenvalues),
        lr=eta,
        rho=radius,
        batch_size=b,
        drift=drift,
        noise=noise,
    )
    return total_variance(each)


@shapes_named
def theorem2_covariance(
    time: ArrayLike,
    *,
    hessian: ArrayLike,
    lr: ArrayLike,
    rho: ArrayLike = 0.0,
    batch_size: ArrayLike = 1,
    drift: str = "chain",
    noise: str = "unit",
) -> Array:
    r"""Return the covariance matrix of the position at ``time`` for a start at the saddle, shape (..., dim, dim).

    time, lr, rho and batch_size broadcast against the axes of ``hessian`` before the last two.
    Kim et al., Stability Analysis of SAM, eq. 22, whose exponent prints :math:`\sigma^2` where
    :math:`\sigma^{-2}` is right.
    """
    values, vectors = symmetric_eigen(hessian)
    t, eta, radius, b = (
        np.asarray(checked(k, x))[..., None] for k, x in (("time", time), ("lr", lr), ("rho", rho), ("batch_size", batch_size))
    )
    each = theorem2(t, eigenvalue=values, lr=eta, rho=radius, batch_size=b, drift=drift, noise=noise)
    return covariance_matrix(each, eigenvectors=vectors)
