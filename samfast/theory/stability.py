r"""Linear stability of a critical point under SAM: Theorem 1 for the flow, the map and the heavy ball."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import shapes_named
from . import coefficients
from ._domain import Array, ArrayLike, checked, chosen, directions, quiet, scalar

VERDICTS = ("attractor", "neutral", "unstable")
BOUNDARY = 4 * float(np.finfo(np.float64).eps)  # the rounded rho = 1/|lambda| is within this distance of the boundary


@dataclass(frozen=True)
class Stability:
    """The verdict of :func:`theorem1`, for one setting or for many; prints itself in one line.

    For one setting ``verdict`` is a string, ``verdicts`` a tuple with one string for each eigenvalue, ``spectral_radius`` a
    number and ``window`` two numbers.  For many these are arrays: ``verdict``, ``spectral_radius`` and both ends of
    ``window`` with one entry for each setting, and ``verdicts``, ``eigenvalues`` and ``curvatures`` with the eigenvalues as
    one more axis, the last.  ``multipliers`` has two roots for each of them where there is momentum.
    """

    verdict: Any
    verdicts: Any
    eigenvalues: Array
    curvatures: Array
    multipliers: Array
    spectral_radius: Any
    window: tuple[Any, Any]
    rho: Any
    model: str

    @property
    def attractor(self) -> Any:
        """Whether the critical point attracts (strictly); an array for many settings."""
        return self.verdict == "attractor"

    def __str__(self) -> str:
        if np.ndim(self.verdict):
            counts = ", ".join(f"{int((self.verdict == kind).sum()):,} {kind}" for kind in VERDICTS)
            return f"{np.size(self.verdict):,} settings: {counts} ({self.model})"
        more = ", ..." if len(self.eigenvalues) > 4 else ""
        values = ", ".join(f"{v:.6g}" for v in self.eigenvalues[:4]) + more
        low, high = self.window
        works = "no rho attracts" if np.isnan(low) else f"attracts for {low:.6g} < rho < {high:.6g}"
        size = f"spectral radius {self.spectral_radius:.9g}"
        if self.model.startswith("flow"):
            size = f"slowest rate {float(np.min(self.curvatures)) + 0.0:.6g}"
        return f"{self.verdict}: eigenvalues [{values}] at rho={self.rho:.6g}, {size}, {works} ({self.model})"


@shapes_named
@quiet
def multipliers(curvature: ArrayLike, *, lr: ArrayLike, momentum: ArrayLike = 0.0, dampening: ArrayLike = 0.0) -> Array:
    r"""Return the roots of :math:`z^2-(1+\gamma-a)z+\gamma`, :math:`a=\eta(1-\tau)\kappa`, on one more axis, the last.

    These are the factors by which one heavy-ball update multiplies a deviation, as two complex numbers, the larger modulus
    first.  At :math:`\gamma=0` they are :math:`1-a` and 0.
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


@shapes_named
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

    For ``plain`` it is :math:`-1/\lambda<\rho<2(1+\gamma)/(\eta(1-\tau)\lambda^2)-1/\lambda`; ``lr=None`` is the flow,
    with no upper end.  A lower end below 0 is returned as it is; then ``rho=0`` attracts.
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


@quiet
def _sides(e: Array, rho: Array, drift: str, step: Array | None, gain: Array) -> Array:
    """Return signed dimensionless distances from the edge of the window; where positive, the direction attracts."""
    factor = np.ones_like(e) if drift == "sgd" else 1 + rho * e
    lower = np.sign(e) * (np.abs(factor) if drift == "chain" else factor)
    if step is None:
        return np.asarray(lower)
    return np.minimum(lower, 1 - step * coefficients.curvature(e, rho=rho, drift=drift) / (2 * gain))


@shapes_named
def theorem1(
    eigenvalues: ArrayLike,
    *,
    rho: ArrayLike,
    lr: ArrayLike | None = None,
    momentum: ArrayLike = 0.0,
    dampening: ArrayLike = 0.0,
    drift: str = "plain",
) -> Stability:
    r"""Decide whether a critical point with these Hessian eigenvalues is an attractor of SAM.

    The point attracts the flow (``lr=None``) iff :math:`\kappa_j>0` for all j; for ``plain`` this is
    :math:`\lambda_j(1+\rho\lambda_j)>0`, that is :math:`\rho>1/|\lambda_j|` for every negative eigenvalue.  It attracts the
    algorithm iff :math:`0<a_j<2(1+\gamma)` for all j, :math:`a_j=\eta(1-\tau)\kappa_j`; momentum moves only the upper end.
    Source: Kim et al., Stability Analysis of SAM, Theorem 1, eq. 10, which
    prints :math:`\ge`: on the boundary the linearisation decides nothing and the verdict is ``"neutral"``.
    Otherwise it is ``"attractor"`` or ``"unstable"``.

    The eigenvalues of one point are the last axis of ``eigenvalues``; rho, lr, momentum and dampening broadcast against
    the axes before it.

    Raises ValueError for rho < 0, lr <= 0, momentum outside [0, 1), no eigenvalue or an unknown drift.
    """
    e = directions("eigenvalues", eigenvalues)
    kind = chosen("drift", drift, coefficients.DRIFTS)
    given = {"rho": checked("rho", rho), "momentum": checked("momentum", momentum, "momentum_below_1")}
    given |= {"dampening": checked("dampening", dampening)} | ({} if lr is None else {"lr": checked("lr", lr)})
    for name, value in given.items():
        if value.size == 0:
            raise ValueError(f"{name} has shape {value.shape}: give at least one value")
    shape = np.broadcast_shapes(e.shape[:-1], *(x.shape for x in given.values()))
    e = np.broadcast_to(e, (*shape, e.shape[-1]))
    r, g, tau = (np.asarray(given[k])[..., None] for k in ("rho", "momentum", "dampening"))
    eta = None if lr is None else np.asarray(given["lr"])[..., None]
    step = None if eta is None else eta * (1 - tau)
    kappa = np.broadcast_to(coefficients.curvature(e, rho=r, drift=kind), e.shape)
    roots = -kappa if eta is None else multipliers(kappa, lr=eta, momentum=g, dampening=tau)
    size = np.full(shape, np.nan) if eta is None else np.abs(roots).max((-2, -1))
    low, high = rho_window(e, lr=eta, momentum=g, dampening=tau, drift=kind)
    bottom, top = np.maximum(0.0, low.max(-1)), high.min(-1)
    none = np.isnan(bottom) | np.isnan(top) | (top <= bottom)
    window = (scalar(np.where(none, np.nan, bottom)), scalar(np.where(none, np.nan, top)))
    side = _sides(e, r, kind, step, 1 + g)
    kinds = np.where(np.abs(side) <= BOUNDARY, 1, np.where(side > 0, 0, 2))  # indices into VERDICTS; the largest decides
    each, total = np.array(VERDICTS)[kinds], np.array(VERDICTS)[kinds.max(-1)]
    if eta is not None and not g.any():
        roots = roots[..., 0].real
    about = f"{_model(given)}, drift={kind}"
    if not shape:
        ends, verdicts = (float(window[0]), float(window[1])), tuple(str(v) for v in each)
        return Stability(str(total), verdicts, e, kappa, roots, float(size), ends, float(given["rho"]), about)
    return Stability(total, each, e, kappa, roots, size, window, given["rho"], about)


def _model(given: dict[str, Array]) -> str:
    """Return "flow", or the numbers of the algorithm as text, with the least and the greatest value of an array."""
    if "lr" not in given:
        return "flow"
    names = ["lr", *(k for k in ("momentum", "dampening") if given["momentum"].any() and (k == "momentum" or given[k].any()))]
    return ", ".join(f"{k}={_span(given[k])}" for k in names)


def _span(x: Array) -> str:
    low, high = float(np.min(x)), float(np.max(x))
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


@shapes_named
def theorem1_hessian(
    hessian: ArrayLike,
    *,
    rho: ArrayLike,
    lr: ArrayLike | None = None,
    momentum: ArrayLike = 0.0,
    dampening: ArrayLike = 0.0,
    drift: str = "plain",
) -> Stability:
    """Return :func:`theorem1` for the eigenvalues of a symmetric Hessian, or of many, shape (..., dim, dim)."""
    values = symmetric_eigen(hessian)[0]
    return theorem1(values, rho=rho, lr=lr, momentum=momentum, dampening=dampening, drift=drift)


def symmetric_eigen(hessian: ArrayLike) -> tuple[Array, Array]:
    """Return (eigenvalues, eigenvectors in columns) of (..., dim, dim), or raise a ValueError if one is not symmetric."""
    h = checked("hessian", hessian)
    if h.ndim < 2 or h.shape[-1] != h.shape[-2] or h.size == 0:
        raise ValueError(f"hessian: shape {h.shape} is not square; give a symmetric (dim, dim) matrix")
    turned = np.swapaxes(h, -1, -2)
    if (np.abs(h - turned).max((-2, -1)) > 1e-10 * np.abs(h).max((-2, -1))).any():
        raise ValueError("hessian: not symmetric; give a symmetric matrix, e.g. (h + h.T)/2")
    values, vectors = np.linalg.eigh((h + turned) / 2)
    return values, vectors
