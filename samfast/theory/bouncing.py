r"""Normalised SAM on a convex quadratic as gradient descent: the objective J, its bounds, and Lemma 11.

With alternating signs, :math:`u_t=(-1)^tw_t` is gradient descent of step :math:`\eta\rho` on
:math:`J(u)=\frac12u^\top Cu-\|\Lambda u\|`, :math:`C=(2I-\eta\Lambda)/(\eta\rho)`.  A point u has shape (..., dim) and the
eigenvalues dim entries on their last axis.  The unit of u is length, that of J is eigenvalue times length.  All functions
raise ValueError for eigenvalues <= 0, rho <= 0 or :math:`\eta\lambda_1\ge2` (1/2 for :func:`overshoot_bound`).
Source: Bartlett, Long, Bousquet, "The Dynamics of Sharpness-Aware Minimization", section 4.
"""

from __future__ import annotations

import numpy as np

from ..checks import shapes_named
from ._domain import Array, ArrayLike, checked, chosen, quiet, scalar
from .quadratic_sam import bounce_constants, positive_spectrum

VERSIONS = ("corrected", "as_printed", "bracket")


def _parts(
    u: ArrayLike, eigenvalues: ArrayLike, lr: ArrayLike, rho: ArrayLike
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Return (u, eigenvalues, lr, rho, C, norm of Lambda u); the last four have one more axis, for the coordinates."""
    x = checked("u", u, "start")
    e, eta, _ = positive_spectrum(eigenvalues, lr, 2.0)
    r = np.asarray(checked("rho", rho, "rho_positive"))[..., None]
    if x.ndim == 0 or x.shape[-1] != e.shape[-1]:
        raise ValueError(f"u: shape {x.shape} does not end with the {e.shape[-1]} eigenvalues' axis")
    return x, e, eta, r, (2 - eta * e) / (eta * r), np.linalg.norm(e * x, axis=-1, keepdims=True)


@shapes_named
def bouncing_objective(u: ArrayLike, *, eigenvalues: ArrayLike, lr: ArrayLike, rho: ArrayLike) -> Array:
    r"""Return :math:`J(u)=\frac12u^\top Cu-\|\Lambda u\|` (Bartlett, Long, Bousquet, Proposition 8), shape (...)."""
    x, _, _, _, c, length = _parts(u, eigenvalues, lr, rho)
    return scalar((c * x * x).sum(-1) / 2 - length[..., 0])


@shapes_named
def bouncing_gradient(u: ArrayLike, *, eigenvalues: ArrayLike, lr: ArrayLike, rho: ArrayLike) -> Array:
    r"""Return :math:`\nabla J=Cu-\Lambda^2u/\|\Lambda u\|` (ibid., Proposition 8), shape (..., dim); 0 at the kink u = 0.

    :math:`u-\eta\rho\nabla J(u)` is minus one step of :func:`normalized_sam_step` from u.
    """
    x, e, _, _, c, length = _parts(u, eigenvalues, lr, rho)
    pull = np.divide(e * e * x, length, out=np.zeros(np.broadcast_shapes(x.shape, e.shape)), where=length > 0)
    return np.asarray(c * x - pull)


@shapes_named
@quiet
def bouncing_hessian(u: ArrayLike, *, eigenvalues: ArrayLike, lr: ArrayLike, rho: ArrayLike) -> Array:
    r"""Return :math:`\nabla^2J=C-\Lambda(I-\hat v\hat v^\top)\Lambda/\|\Lambda u\|`, :math:`v=\Lambda u\ne0`.

    The shape is (..., dim, dim), for :math:`0<\eta\lambda_1<2`.  At u = 0, where J has a kink, it is nan.  Source: Bartlett,
    Long, Bousquet, Lemma 10.
    """
    x, e, _, _, c, length = _parts(u, eigenvalues, lr, rho)
    v = e * x / length
    across = np.eye(e.shape[-1]) - v[..., :, None] * v[..., None, :]
    return np.asarray(np.eye(e.shape[-1]) * c[..., None, :] - e[..., :, None] * across * e[..., None, :] / length[..., None])


@shapes_named
def bouncing_descent_bound(u: ArrayLike, *, eigenvalues: ArrayLike, lr: ArrayLike, rho: ArrayLike) -> Array:
    r"""Return the upper bound of Lemma 10 on :math:`J(u^+)-J(u)` for one step from u.

    :math:`-\frac1{2\rho}\sum_iu_i^2(1-\beta_i/\|\Lambda u\|)^2(2-\eta\lambda_i)^2\lambda_i
    =-\frac{\eta^2\rho}2\sum_i\lambda_i(\nabla J)_i^2`.  It holds also for a step across the kink at 0, because
    :math:`-\|\Lambda u\|` is concave.
    """
    _, e, eta, r, _, _ = _parts(u, eigenvalues, lr, rho)
    g = bouncing_gradient(u, eigenvalues=eigenvalues, lr=lr, rho=rho)
    return scalar((-eta * eta * r / 2 * e * g * g).sum(-1))


@shapes_named
def step_determinant(v: ArrayLike, *, eigenvalues: ArrayLike, lr: ArrayLike, rho: ArrayLike) -> Array:
    r"""Return the Jacobian determinant of one step in terms of :math:`v=\Lambda w\ne0`.

    :math:`\prod_i(g_i-h_i/r)\,(1+r^{-1}\sum_i\hat v_i^2h_i/(g_i-h_i/r))`, :math:`g=1-\eta\lambda`,
    :math:`h=\eta\rho\lambda^2`, :math:`r=\|v\|`, of :math:`f(v)=Gv-Hv/r`.  Bartlett, Long, Bousquet, Lemma 7, where
    f and the determinant (eq. 6) are printed with wrong signs and a factor 4.
    """
    x, e, eta, r, _, _ = _parts(v, eigenvalues, lr, rho)
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    unit, h = x / length, eta * r * e * e / length
    diagonal = np.eye(e.shape[-1]) * (1 - eta * e - h)[..., None, :]
    return scalar(np.linalg.det(diagonal + h[..., :, None] * unit[..., :, None] * unit[..., None, :]))


@shapes_named
def bouncing_stationary(eigenvalues: ArrayLike, *, lr: ArrayLike, rho: ArrayLike) -> tuple[Array, Array]:
    r"""Return (norms, values) of the stationary points of J, one for each eigenvalue.

    They lie in the eigenspace of :math:`\lambda_i` at norm :math:`\beta_i/\lambda_i`, with :math:`J=-\beta_i/2`; the
    minimum is :math:`-\beta_1/2`.  Bartlett, Long, Bousquet, Lemma 10.
    """
    e, eta, _ = positive_spectrum(eigenvalues, lr, 2.0)
    beta = eta * np.asarray(checked("rho", rho, "rho_positive"))[..., None] * e * e / (2 - eta * e)
    return np.asarray(beta / e), np.asarray(-beta / 2)


@shapes_named
def escape_curvature_bound(eigenvalues: ArrayLike, *, lr: ArrayLike, rho: ArrayLike, version: str = "corrected") -> Array:
    r"""Return an upper bound on the lowest eigenvalue of :math:`\nabla^2J` at a stationary point that is no minimum.

    It is :math:`\lambda_1^2(1/\beta_1-1/\beta_2)`, negative if the two largest eigenvalues differ; ``as_printed`` lacks the
    factor :math:`\lambda_1^2`.  Source: Bartlett, Long, Bousquet, Remark 9.

    Raises ValueError for fewer than two eigenvalues or an unknown version.
    """
    kind = chosen("version", version, VERSIONS[:2])
    values = -2 * bouncing_stationary(eigenvalues, lr=lr, rho=rho)[1]
    if values.shape[-1] < 2:
        raise ValueError("eigenvalues: give at least two, e.g. eigenvalues=[1.0, 0.5]")
    beta = np.sort(values, -1)
    printed = 1 / beta[..., -1] - 1 / beta[..., -2]
    return scalar(printed if kind == "as_printed" else checked("eigenvalues", eigenvalues).max(-1) ** 2 * printed)


@shapes_named
def overshoot_bound(
    relative_error: ArrayLike, *, eigenvalues: ArrayLike, lr: ArrayLike, rho: ArrayLike, version: str = "corrected"
) -> Array:
    r"""Return Lemma 11's bound on the number of steps with :math:`\|v_t\|\ge(1+\varepsilon)\beta_1`, once :math:`\|v\|\le b`.

    Here :math:`v=\Lambda w` and :math:`\varepsilon` is ``relative_error``; :math:`\beta` and b are from
    :func:`bounce_constants`.  ``corrected`` is :math:`4\beta_1/(\eta\varepsilon^2\lambda_1\beta_d)`; ``as_printed`` has 3 for
    4, which does not follow from the proof.  ``bracket`` is sharper,
    :math:`\frac2{\eta\varepsilon^2\lambda_1\beta_1}[\max(0,\frac{b^2}{2\beta_d}-b)+\frac{\beta_1}2]`.
    """
    kind = chosen("version", version, VERSIONS)
    e, eta, top = positive_spectrum(eigenvalues, lr, 0.5)
    const = bounce_constants(e, lr=lr, rho=rho)
    rate = eta[..., 0] * checked("relative_error", relative_error) ** 2 * top[..., 0]
    first, last, b = const.beta.max(-1), const.beta.min(-1), const.absorbing
    if kind == "bracket":
        return scalar(2 / (rate * first) * (np.maximum(0.0, b * b / (2 * last) - b) + first / 2))
    return scalar((4 if kind == "corrected" else 3) * first / (rate * last))
