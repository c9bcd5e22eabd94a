r"""Drift of normalised SAM towards wide minima: the step across a ravine, and the ravine of the examples.

Source: Bartlett, Long, Bousquet, "The Dynamics of Sharpness-Aware Minimization", sections 5 and 6.
"""

from __future__ import annotations

import numpy as np

from ..checks import shapes_named
from ._domain import Array, ArrayLike, checked, chosen, quiet, scalar
from .quadratic_sam import two_cycle_amplitude

HUGE = 1e150  # greatest radius; its square is still a finite float64


@shapes_named
def wide_minima_drift(eigenvalue: ArrayLike, *, gradient: ArrayLike, lr: ArrayLike, rho: ArrayLike) -> Array:
    r"""Return the drift per step, :math:`-\frac{2\eta\rho^2}{(2-\eta\lambda_1)^2}\nabla\lambda_{max}`.

    ``eigenvalue`` is the largest one at the minimum.  ``gradient``, shape (..., dim) like the result, is that of the largest
    eigenvalue, :math:`(\nabla\lambda_{max})_i=\partial_iD^2\ell(e_1,e_1)`.  The drift equals the printed
    :math:`-\frac{\eta\rho^2}2(1+\frac{\eta\lambda_1}{2-\eta\lambda_1})^2\nabla\lambda_{max}`.
    Bartlett, Long, Bousquet, Theorem 21.
    """
    eta, r = checked("lr", lr), checked("rho", rho)
    size = two_cycle_amplitude(eigenvalue, lr=lr, rho=1.0) / (eta * checked("eigenvalue", eigenvalue))
    return np.asarray(-2 * (eta * r * r * size * size)[..., None] * checked("gradient", gradient))


@shapes_named
def wide_minima_remainder(
    eigenvalue: ArrayLike, *, lipschitz: ArrayLike, lr: ArrayLike, rho: ArrayLike, version: str = "sharp"
) -> Array:
    r"""Return a bound on the remainder R of a step from :math:`w_z+s\frac{\beta_1}{\lambda_1}e_1`, s = 1 or -1.

    The step is :math:`\Delta w=-2s\frac{\beta_1}{\lambda_1}e_1` + :func:`wide_minima_drift` + R.  ``lipschitz`` is B, a
    Lipschitz constant of both :math:`D^2\ell` and :math:`D^3\ell` (the theorem names :math:`D^3\ell` only, which is not
    enough).

    Version ``theorem`` is :math:`\eta\rho^2(c_1\rho+c_2\eta)` with :func:`wide_minima_constants`, for :math:`B\eta\rho\le1`.
    Version ``sharp`` is
    :math:`\eta B(\beta_1/\lambda_1+\rho)^3/6+2B\eta\beta_1\rho(\lambda_1+B\beta_1/\lambda_1+B\rho)/(2\lambda_1^2-B\beta_1)`
    for :math:`B\beta_1<2\lambda_1^2`.  Bartlett, Long, Bousquet, Theorem 21; sharp derived in this library.
    """
    kind = chosen("version", version, ("sharp", "theorem"))
    e, eta, r, b = (checked("eigenvalue", eigenvalue), checked("lr", lr), checked("rho", rho), checked("lipschitz", lipschitz))
    size = two_cycle_amplitude(e, lr=eta, rho=r)
    if kind == "theorem":
        if (b * eta * r > 1).any():
            raise ValueError(
                f"lipschitz: lipschitz*lr*rho={float(np.max(b * eta * r)):.6g}; give smaller lr or rho, so that it is at most 1"
            )
        one, two = wide_minima_constants(e, lipschitz=b, lr=eta, rho=r)
        return scalar(eta * r * r * (one * r + two * eta))
    beta = size * e
    if (b * beta >= 2 * e * e).any():
        raise ValueError(
            f"lipschitz={float(np.max(b)):.6g}: give smaller lr or rho, so that lipschitz*beta_1 is below 2*eigenvalue^2"
        )
    turn = 2 * b * eta * beta * r * (e + b * size + b * r) / (2 * e * e - b * beta)
    return scalar(eta * b * (size + r) ** 3 / 6 + turn)


@shapes_named
def wide_minima_constants(eigenvalue: ArrayLike, *, lipschitz: ArrayLike, lr: ArrayLike, rho: ArrayLike) -> tuple[Array, Array]:
    r"""Return bounds of the vectors :math:`c_1` and :math:`c_2` in :math:`R=\eta\rho^2(c_1\rho+c_2\eta)`.

    They are :math:`\|c_1\|\le(1+\eta\lambda_1)^3B/6` and :math:`\|c_2\|\le2(2\lambda_1+B\rho)B`, with B as in
    :func:`wide_minima_remainder`.  The part with :math:`c_1` is what the gradient's expansion about the floor leaves out, that
    with :math:`c_2` comes from the gradient's turning away from :math:`e_1`.  Bartlett, Long, Bousquet, Theorem 21.
    """
    e, eta, r, b = (checked("eigenvalue", eigenvalue), checked("lr", lr), checked("rho", rho), checked("lipschitz", lipschitz))
    return scalar((1 + eta * e) ** 3 * b / 6), scalar(2 * (2 * e + b * r) * b)


@shapes_named
@quiet
def ravine_multiplier(*, lr: ArrayLike, rho: ArrayLike) -> Array:
    r"""Return the factor by which one step multiplies a small y on the ravine's two-cycle (a, 0), (-a, 0).

    It is :math:`1-\eta[1+\rho(1-a^2)/(2a)][1-(a+\rho)^2]`, :math:`a=\eta\rho/(1-\eta)`, for
    :math:`\ell=x^2/(1+y^2/2)+y^2/2`.  It is above 1, so that SAM leaves the sharpest part, iff :math:`\rho>1-\eta`.
    Derived in this library.

    Raises ValueError for lr >= 1 or rho <= 0.
    """
    eta, r = checked("lr", lr), checked("rho", rho, "rho_positive")
    a = two_cycle_amplitude(2.0, lr=eta, rho=r)
    return scalar(1 - eta * (1 + r * (1 - a * a) / (2 * a)) * (1 - (a + r) ** 2))


@shapes_named
def ravine_two_cycle(*, lr: ArrayLike, rho: ArrayLike) -> tuple[Array, Array]:
    r"""Return (x, y) >= 0 of the two-cycle (x, y), (-x, y) of normalised SAM on the ravine that drift ends at.

    :math:`x=\eta`, and y such that the perturbed point p obeys :math:`p_x=1+p_y^2/2`, where the gradient has no y
    component.  For :math:`\rho\le1-\eta` it is (a, 0), :math:`a=\eta\rho/(1-\eta)`.  Every element of the result takes a root
    search of its own.  Derived in this library.

    Raises ValueError for lr >= 1 or rho <= 0.
    """
    eta, r = np.broadcast_arrays(checked("lr", lr), checked("rho", rho, "rho_positive"))
    x, y = np.array(two_cycle_amplitude(2.0, lr=eta, rho=r)), np.zeros(eta.shape)
    for at in np.ndindex(eta.shape):
        if r[at] > 1 - eta[at]:
            x[at], y[at] = eta[at], _height(float(eta[at]), float(r[at]))
    return scalar(x), scalar(y)


def _height(lr: float, rho: float) -> float:
    from scipy.optimize import brentq

    if rho > HUGE:
        raise ValueError(f"rho={rho:.6g}: give at most {HUGE:g}, e.g. rho=0.1")

    def excess(y: float) -> float:
        q = 1 + y * y / 2
        g = np.array([2 * lr / q, y * (1 - lr * lr / (q * q))])  # q**2 raises where q*q is inf
        p = np.array([lr, y]) + rho * g / np.linalg.norm(g)
        return float(p[0] - 1 - p[1] ** 2 / 2)

    return float(brentq(excess, 0.0, 10.0 * (1 + rho), xtol=1e-15, rtol=1e-14))
