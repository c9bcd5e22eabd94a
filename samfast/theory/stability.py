r"""Linear stability of a critical point under SAM: Theorem 1 for the flow, the map and the heavy ball."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import coefficients
from ._domain import Array, ArrayLike, checked, chosen, quiet, scalar

BOUNDARY = 4 * float(np.finfo(np.float64).eps)  # rho = 1/|lambda| in float64 is this close to the boundary


@dataclass(frozen=True)
class Stability:
    """The verdict of :func:`theorem1`, one entry per eigenvalue in the arrays; prints itself in one line."""

    verdict: str
    verdicts: tuple[str, ...]
    eigenvalues: Array
    curvatures: Array
    multipliers: Array
    spectral_radius: float
    window: tuple[float, float]
    rho: float
    model: str

    @property
    def attractor(self) -> bool:
        """Whether the critical point attracts (strictly)."""
        return self.verdict == "attractor"

    def __str__(self) -> str:
        more = ", ..." if len(self.eigenvalues) > 4 else ""
        values = ", ".join(f"{v:.6g}" for v in self.eigenvalues[:4]) + more
        low, high = self.window
        works = "no rho attracts" if np.isnan(low) else f"attracts for {low:.6g} < rho < {high:.6g}"
        size = f"spectral radius {self.spectral_radius:.9g}"
        if self.model.startswith("flow"):
            size = f"slowest rate {float(np.min(self.curvatures)) + 0.0:.6g}"
        return f"{self.verdict}: eigenvalues [{values}] at rho={self.rho:.6g}, {size}, {works} ({self.model})"


@quiet
def multipliers(curvature: ArrayLike, *, lr: ArrayLike, momentum: ArrayLike = 0.0, dampening: ArrayLike = 0.0) -> Array:
    r"""Return the roots of :math:`z^2-(1+\gamma-a)z+\gamma`, :math:`a=\eta(1-\tau)\kappa`, in a last axis.

    Two complex numbers, larger modulus first.  At :math:`\gamma=0` they are :math:`1-\eta\kappa` and 0.
    The slow root is formed as :math:`1-2a/(p+s)`, :math:`p=1-\gamma+a,\ s=\sqrt{p^2-4a}`.
    Derived in this library.
    """
    k, g = checked("curvature", curvature), checked("momentum", momentum)
    a, g = np.broadcast_arrays(checked("lr", lr) * (1 - checked("dampening", dampening)) * k, g)
    root, trace, p = np.sqrt(g), 1 + g - a, 1 - g + a
    disc = (a - ((1 - g) / (1 + root)) ** 2) * (a - (1 + root) ** 2)
    s = np.sqrt(np.maximum(disc, 0.0))
    slow = 1 - np.where(p > 0, 2 * a / np.where(p + s > 0, p + s, 1.0), (p - s) / 2)
    large = np.where(trace >= 0, slow, (trace - s) / 2)
    small = np.where(large != 0, g / np.where(large != 0, large, 1.0), 0.0)
    turn = (trace + 1j * np.sqrt(np.maximum(-disc, 0.0))) / 2
    pair = np.where(disc < 0, np.stack([turn, turn.conj()]), np.stack([large + 0j, small + 0j]))
    return np.moveaxis(pair, 0, -1)  # type: ignore[no-any-return]


@quiet
def rho_window(
    eigenvalue: ArrayLike,
    *,
    lr: ArrayLike | None = None,
    momentum: ArrayLike = 0.0,
    dampening: ArrayLike = 0.0,
    drift: str = "plain",
) -> tuple[Array, Array]:
    r"""Return the open interval (low, high) of radii for which a direction attracts, (nan, nan) if none.

    plain: :math:`-1/\lambda<\rho<2(1+\gamma)/(\eta(1-\tau)\lambda^2)-1/\lambda`; ``lr=None`` is the flow,
    with no upper end.  A lower end below 0 is returned as it is (``rho=0`` then attracts).
    Kim et al., Stability Analysis of SAM, Theorem 1, with strict inequality; upper ends derived in this
    library.  For ``chain`` a negative eigenvalue never attracts.
    """
    e = checked("eigenvalue", eigenvalue)
    kind = chosen("drift", drift, coefficients.DRIFTS)
    if lr is None:
        top = np.full(e.shape, np.inf)
    else:
        g, tau = checked("momentum", momentum, "momentum_below_1"), checked("dampening", dampening)
        top = 2 * (1 + g) / (checked("lr", lr) * (1 - tau))
    e, top = np.broadcast_arrays(e, top)
    if kind == "plain":
        low, high = -1 / e, (top / e - 1) / e
    elif kind == "chain":
        low, high = np.where(e > 0, -1 / e, np.nan), (np.sqrt(top / e) - 1) / e
    else:
        low, high = np.where((e > 0) & (e < top), -np.inf, np.nan), np.full(e.shape, np.inf)
    none = (e == 0) | np.isnan(low) | (high <= np.maximum(low, 0.0))
    # a positive eigenvalue whose window ends at or below rho = 0 cannot be made to attract
    return scalar(np.where(none, np.nan, low)), scalar(np.where(none, np.nan, high))


def _sides(e: Array, rho: float, drift: str, lr: float | None, gain: float, damped: float) -> Array:
    """Return signed dimensionless distances into the window: positive attracts, 0 is the edge."""
    kappa = np.atleast_1d(coefficients.curvature(e, rho=rho, drift=drift))
    factor = np.ones_like(e) if drift == "sgd" else 1 + rho * e
    lower = np.sign(e) * (np.abs(factor) if drift == "chain" else factor)
    if lr is None:
        return lower
    return np.minimum(lower, 1 - lr * damped * kappa / (2 * gain))


def theorem1(
    eigenvalues: ArrayLike,
    *,
    rho: float,
    lr: float | None = None,
    momentum: float = 0.0,
    dampening: float = 0.0,
    drift: str = "plain",
) -> Stability:
    r"""Decide whether a critical point with these Hessian eigenvalues is an attractor of SAM.

    Flow (``lr=None``): iff :math:`\lambda_j(1+\rho\lambda_j)>0` for all j, that is :math:`\rho>1/|\lambda_j|`
    for every negative one.  Algorithm: iff :math:`0<a_j<2(1+\gamma)`, :math:`a_j=\eta(1-\tau)\kappa_j`;
    momentum moves only the upper end.  Kim et al., Stability Analysis of SAM, Theorem 1, eq. 10, which
    prints :math:`\ge`: on the boundary the linearisation decides nothing and the verdict is ``"neutral"``.
    Otherwise ``"attractor"`` or ``"unstable"``.

    Raises ValueError for rho < 0, lr <= 0, momentum outside [0, 1), no eigenvalue or an unknown drift.
    """
    e = np.atleast_1d(checked("eigenvalues", eigenvalues)).ravel()
    if e.size == 0:
        raise ValueError("eigenvalues=[]: give at least one eigenvalue, e.g. eigenvalues=[2.0, -1.0]")
    radius = float(checked("rho", rho))
    g, tau = float(checked("momentum", momentum, "momentum_below_1")), float(checked("dampening", dampening))
    step = None if lr is None else float(checked("lr", lr))
    side = _sides(e, radius, chosen("drift", drift, coefficients.DRIFTS), step, 1 + g, 1 - tau)
    each = tuple(_verdict(x) for x in side)
    kappa = np.atleast_1d(coefficients.curvature(e, rho=radius, drift=drift))
    roots, model = _roots(kappa, step, g, tau)
    low, high = rho_window(e, lr=step, momentum=g, dampening=tau, drift=drift)
    window = (max(0.0, float(np.max(low))), float(np.min(high)))
    if np.isnan(window).any() or np.isnan(low).any() or window[1] <= window[0]:
        window = (float("nan"), float("nan"))
    radius_z = float(np.abs(roots).max()) if step is not None else float("nan")
    total = "unstable" if "unstable" in each else "neutral" if "neutral" in each else "attractor"
    return Stability(total, each, e, kappa, roots, radius_z, window, radius, f"{model}, drift={drift}")


def _verdict(side: float) -> str:
    if abs(side) <= BOUNDARY:
        return "neutral"
    return "attractor" if side > 0 else "unstable"


def _roots(kappa: Array, lr: float | None, momentum: float, dampening: float) -> tuple[Array, str]:
    """The multipliers of the map, or the growth rates -kappa of the flow, and a name for the model."""
    if lr is None:
        return -kappa, "flow"
    roots = multipliers(kappa, lr=lr, momentum=momentum, dampening=dampening)
    if momentum == 0:
        return roots[..., 0].real, f"lr={lr:.6g}"
    damped = f", dampening={dampening:.6g}" if dampening else ""
    return roots, f"lr={lr:.6g}, momentum={momentum:.6g}{damped}"


def theorem1_hessian(
    hessian: ArrayLike,
    *,
    rho: float,
    lr: float | None = None,
    momentum: float = 0.0,
    dampening: float = 0.0,
    drift: str = "plain",
) -> Stability:
    """Return :func:`theorem1` for the eigenvalues of a symmetric Hessian."""
    values = symmetric_eigen(hessian)[0]
    return theorem1(values, rho=rho, lr=lr, momentum=momentum, dampening=dampening, drift=drift)


def symmetric_eigen(hessian: ArrayLike) -> tuple[Array, Array]:
    """Return (eigenvalues, eigenvectors in columns), or raise a ValueError if the matrix is not symmetric."""
    h = checked("hessian", hessian)
    if h.ndim != 2 or h.shape[0] != h.shape[1] or h.size == 0:
        raise ValueError(f"hessian: shape {h.shape} is not square; give a symmetric (dim, dim) matrix")
    if np.abs(h - h.T).max() > 1e-10 * np.abs(h).max():
        raise ValueError("hessian: not symmetric; give a symmetric matrix, e.g. (h + h.T)/2")
    values, vectors = np.linalg.eigh((h + h.T) / 2)
    return values, vectors
