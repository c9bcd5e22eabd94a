r"""Mean exit time of a chain that is monitored only at its steps, and so leaves later than the SDE.

A simulated path is looked at only after each step, so its exit time must be compared with this value.
Derived in this library.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.special import erfc

from ..checks import integer, shapes_named
from ._domain import Array, ArrayLike, checked, quiet, scalar
from .escape import mean_exit_time

BARRIER_SHIFT = 0.5825971579390106702  # -zeta(1/2)/sqrt(2 pi): mean overshoot of a Gaussian walk, in step deviations
FEW = 128  # up to this many nodes one rule serves the interval; NumPy finds the nodes of much larger rules to 1e-9 only
PANEL = 16  # nodes of a panel two step deviations wide; its error is below float64
REACH = 9.0  # at this many step deviations a density is negligible
NODES = 2**12  # most that a caller may ask for; NumPy needs a minute to find this many
MOST = 2**25  # entries that a banded matrix may have


def _nodes(limit: float, step: float, nodes: int | None) -> int:
    if nodes is None:
        # the width of the kernel decides; 64 nodes resolve a step of 0.14 L to float64
        return max(64, math.ceil(min(9 * limit / step, 1e18)))
    return integer("nodes", nodes, 2, 64, most=NODES)


@lru_cache(maxsize=8)
def _legendre(nodes: int) -> tuple[Array, Array]:
    """Return nodes and weights, cached because finding many of them costs more than the linear solve."""
    return np.polynomial.legendre.leggauss(nodes)


def _density(at: Array, to: Array, weights: Array, decay: float, step: float) -> Array:
    """Return the chance to go from x = ``at`` to the node y or -y; T is even, so that the nodes y >= 0 are enough."""
    near, far = (to - decay * at) / step, (to + decay * at) / step
    both = np.exp(-near * near / 2) + np.exp(-far * far / 2)
    return np.asarray(both * weights / (step * math.sqrt(2 * math.pi)))


def _leaves(y: Array, limit: float, decay: float, step: float) -> Array:
    """Return the probability to be outside (-limit, limit) after one step from each y."""
    reach = step * math.sqrt(2)
    return np.asarray((erfc((limit - decay * y) / reach) + erfc((limit + decay * y) / reach)) / 2)


def _mean_steps(moves: Array, leaves: Array, lower: int, upper: int) -> Array:
    """Solve T = 1 + K T for a chain that moves within a band of the states and leaves with known probabilities.

    ``moves``: row k holds the chances to go from state i to i + k - lower.  This is the elimination of Grassmann, Taksar
    and Heyman: the chance to stay is never used, but formed as 1 less those to move and to leave, and nothing is
    subtracted.  So T is accurate to rounding however rarely the chain leaves, where a solver of 1 - K loses T times eps.
    """
    n = leaves.size
    rates, paid = leaves.copy(), np.ones(n)
    totals = np.empty(n)
    diagonal = np.arange(n)
    for k in range(n - 1, -1, -1):
        left = diagonal[max(0, k - lower) : k]  # states below k that k moves to
        right = diagonal[max(0, k - upper) : k]  # states below k that move to k
        out = moves[left - k + lower, k]
        into = moves[k - right + lower, right]
        totals[k] = out.sum() + rates[k]
        share = into / totals[k]
        rates[right] += share * rates[k]
        paid[right] += share * paid[k]
        moves[left - right[:, None] + lower, right[:, None]] += share[:, None] * out
    solution = np.empty(n)
    for k in range(n):
        left = diagonal[max(0, k - lower) : k]
        solution[k] = (paid[k] + moves[left - k + lower, k] @ solution[left]) / totals[k]
    return solution


def _solved(y: Array, w: Array, limit: float, decay: float, step: float) -> Array:
    """Return T at the nodes y; the matrix is banded, because one step reaches only nodes nearby."""
    n, middle = y.size, abs(decay) * y
    here = np.arange(n)
    lower = int(max(0, np.max(here - np.searchsorted(y, middle - REACH * step))))
    upper = int(max(0, np.max(np.searchsorted(y, middle + REACH * step) - 1 - here)))
    if (lower + upper + 1) * n > MOST:
        raise ValueError(f"dt: a step spreads only {step / limit:.3g} of limit; give a larger dt or use mean_exit_time")
    # eliminating a state links its neighbours, which lie up to max(lower, upper) apart
    lower = upper = max(lower, upper)
    moves = np.zeros((lower + upper + 1, n))
    for k in range(-lower, upper + 1):
        row = here[max(0, -k) : n - max(0, k)]
        moves[k + lower, row] = _density(y[row], y[row + k], w[row + k], decay, step)
    return _mean_steps(moves, _leaves(y, limit, decay, step), lower, upper)


def _exit_steps(limit: float, decay: float, step: float, start: float, nodes: int | None) -> float:
    """Return T(start) in T(x) = 1 + int p(x, y) T(y) dy, from one Gauss-Legendre rule on the interval or one on each panel."""
    count = _nodes(limit, step, nodes)
    if nodes is not None or count <= FEW:
        x, weights = _legendre(count)
        keep = x >= 0
        y, w = limit * x[keep], limit * np.where(x[keep] == 0, weights[keep] / 2, weights[keep])
    else:
        if count > MOST // PANEL:
            raise ValueError(f"dt: a step spreads only {step / limit:.3g} of limit; give a larger dt or use mean_exit_time")
        x, weights = _legendre(PANEL)
        half = limit / math.ceil(limit / (2 * step)) / 2
        y = (half * (2 * np.arange(round(limit / (2 * half)))[:, None] + 1 + x)).ravel()
        w = np.tile(half * weights, y.size // PANEL)
    solution = _solved(y, w, limit, decay, step)
    return float(1 + _density(np.asarray(start), y, w, decay, step) @ solution)


@shapes_named
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

    :math:`T(x)=1+\int_{-L}^Lp(x,y)T(y)\,dy` for :math:`w^+=(1-\kappa\,dt)w+\sqrt{2D\,dt}\,\xi`, by Nystrom's
    method, on ``nodes`` nodes or as many as the width of a step needs.  It is 0 for a start outside.  The system
    is solved without a subtraction, so that the depth of a trap costs no digits.  Checked against 40 digits to 2e-13 for
    mean times up to 1e14 steps.  Every element of the result takes a solve of its own.

    Raises ValueError for limit, diffusion or dt <= 0, or a step narrower than about limit/25 000.
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


@shapes_named
@quiet
def em_exit_time_estimate(
    limit: ArrayLike, *, curvature: ArrayLike, diffusion: ArrayLike, dt: ArrayLike, start: ArrayLike = 0.0
) -> Array:
    r"""Return an estimate of :func:`em_exit_time` for small dt, the SDE's exit time from :math:`L+0.5826\sqrt{2D\,dt}`."""
    size, d = checked("limit", limit), checked("diffusion", diffusion, "diffusion_positive")
    wider = size + BARRIER_SHIFT * np.sqrt(2 * d * checked("dt", dt))
    return mean_exit_time(wider, curvature=curvature, diffusion=d, start=start)
