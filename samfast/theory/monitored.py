r"""Exit of the discretely monitored chain, which leaves later than the SDE: Nystrom's method.

A simulated path is looked at only after each step, so its exit time must be compared with this value.
Derived in this library.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from ._domain import Array, ArrayLike, checked, quiet, scalar
from .escape import mean_exit_time

BARRIER_SHIFT = 0.58259716  # -zeta(1/2)/sqrt(2 pi): mean overshoot of a Gaussian walk, in step deviations
MOST_NODES = 2000


def _nodes(limit: float, step: float, nodes: int | None) -> int:
    if nodes is None:
        # 64 nodes resolve a step of 0.14 L beyond float64; the kernel's width sets the need
        nodes = max(64, math.ceil(9 * limit / step))
        if nodes > MOST_NODES:
            raise ValueError(
                f"dt: a step spreads only {step / limit:.3g} of limit; give a larger dt or use mean_exit_time"
            )
    if nodes < 2:
        raise ValueError(f"nodes={nodes}: give at least 2, e.g. nodes=64")
    return nodes


@lru_cache(maxsize=8)
def _legendre(nodes: int) -> tuple[Array, Array]:
    """Nodes and weights, kept because finding many of them costs more than the linear solve."""
    return np.polynomial.legendre.leggauss(nodes)


def _exit_steps(limit: float, decay: float, step: float, start: float, nodes: int | None) -> float:
    """Solve T(x) = 1 + int p(x, y) T(y) dy on Gauss-Legendre nodes; T is even, so half of them do."""
    x, weights = _legendre(_nodes(limit, step, nodes))
    keep = x >= 0
    y, w = limit * x[keep], limit * np.where(x[keep] == 0, weights[keep] / 2, weights[keep])

    def kernel(at: Array) -> Array:
        mean = decay * at[:, None]
        density = np.exp(-(((y - mean) / step) ** 2) / 2) + np.exp(-(((y + mean) / step) ** 2) / 2)
        return np.asarray(density * w / (step * math.sqrt(2 * math.pi)))

    solution = np.linalg.solve(np.eye(y.size) - kernel(y), np.ones(y.size))
    return float(1 + (kernel(np.array([start])) @ solution)[0])


def em_exit_time(
    limit: ArrayLike,
    *,
    curvature: ArrayLike,
    diffusion: ArrayLike,
    dt: ArrayLike,
    start: ArrayLike = 0.0,
    nodes: int | None = None,
) -> Array:
    r"""Return dt times the mean number of steps after which :math:`|w_n|\ge L` for the first time.

    :math:`T(x)=1+\int_{-L}^Lp(x,y)T(y)\,dy` for :math:`w^+=(1-\kappa\,dt)w+\sqrt{2D\,dt}\,\xi`, exact to
    rounding by Nystrom's method (``nodes`` chosen from the step's width).  0 for a start outside.  In a deep
    trap the relative error is about T/dt times eps.  Elementwise, one linear solve per element.

    Raises ValueError for limit, diffusion or dt <= 0, or a step narrower than limit/220.
    """
    values = np.broadcast_arrays(
        checked("limit", limit),
        checked("curvature", curvature),
        checked("diffusion", diffusion, "diffusion_positive"),
        checked("dt", dt),
        checked("start", start),
    )
    out = np.zeros(values[0].shape)
    for index in np.ndindex(out.shape):
        size, k, d, h, w0 = (float(v[index]) for v in values)
        if abs(w0) < size:
            out[index] = h * _exit_steps(size, 1 - k * h, math.sqrt(2 * d * h), w0, nodes)
    return scalar(out)


@quiet
def em_exit_time_estimate(
    limit: ArrayLike, *, curvature: ArrayLike, diffusion: ArrayLike, dt: ArrayLike, start: ArrayLike = 0.0
) -> Array:
    r"""Return the SDE's exit time from the wider :math:`L+0.5826\sqrt{2D\,dt}`; for small dt only."""
    size, d = checked("limit", limit), checked("diffusion", diffusion, "diffusion_positive")
    wider = size + BARRIER_SHIFT * np.sqrt(2 * d * checked("dt", dt))
    return mean_exit_time(wider, curvature=curvature, diffusion=d, start=start)
