"""The masses of a Markov chain in continuous time, dm/dt = L m, at given times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from scipy.sparse import csr_array, eye_array
from scipy.sparse.linalg import splu
from scipy.special import gammaln

Solve: TypeAlias = Callable[[np.ndarray], np.ndarray]
Scheme: TypeAlias = Literal["uniformization", "tr-bdf2"]
SCHEMES = ("uniformization", "tr-bdf2")
JUMPS = 256.0  # mean number of jumps in one interval of uniformization
WORK = 2e9  # operations up to which uniformization is the default, some seconds
TOLERANCE = 1e-8  # of a step of tr-bdf2: its error as a share of the mass, summed over the cells
FINEST = 40  # a step is at least an interval divided by 2 to this power
GAMMA = 2 - np.sqrt(2.0)  # the part of a step that the trapezoidal rule takes; with it both stages have one matrix
ERROR = (-3 * GAMMA**2 + 4 * GAMMA - 2) / (12 * (2 - GAMMA))  # of Bank et al., IEEE Trans. Electron Devices 32, 1992 (1985)


def cost(matrix: csr_array, time: float) -> float:
    """Operations of `uniformization` for a time."""
    return float(-matrix.diagonal().min() * time * matrix.nnz)


def evolve(matrix: csr_array, mass: np.ndarray, times: np.ndarray, scheme: Scheme) -> tuple[np.ndarray, np.ndarray]:
    """Returns the masses at ascending times, (time, cell), and a bound of their error by the steps in time, (time,).

    The error is summed over the cells. The chain cannot increase it, so the errors of the steps add.
    """
    if scheme == "uniformization":
        made, now, at = [], mass, 0.0
        for t in times:
            now, at = uniformization(matrix, now, t - at), t
            made.append(now)
        return np.array(made), np.zeros(len(times))
    return _implicit(matrix, mass, times)


def uniformization(matrix: csr_array, mass: np.ndarray, time: float) -> np.ndarray:
    r"""Return :math:`e^{Lt}m=\sum_k e^{-ct}\frac{(ct)^k}{k!}A^km` with :math:`A=1+L/c` and c the largest rate of a cell.

    A has no negative entry, so that every term is positive: the masses have the digits of float64 each, in the tails too,
    and there is no error of a step in time (Jensen, Skand. Aktuarietidskr. 36, 87 (1953)).
    """
    c = float(-matrix.diagonal().min())
    parts = max(1, int(np.ceil(c * time / JUMPS)))
    mean = c * time / parts
    if mean == 0:
        return mass
    k = np.arange(int(mean + 12 * np.sqrt(mean) + 30))
    weights = np.exp(k * np.log(mean) - mean - gammaln(k + 1))
    weights /= weights.sum()
    size = matrix.shape[0]
    jump = csr_array(eye_array(size, format="csr") + matrix / c)
    jump.data = np.maximum(jump.data, 0.0)  # the cell with the rate c has 1 - 1, which may round below 0
    for _ in range(parts):
        total, term = weights[0] * mass, mass
        for weight in weights[1:]:
            term = jump @ term
            total += weight * term
        mass = total
    return mass


def tr_bdf2(matrix: csr_array, solve: Solve, mass: np.ndarray, dt: float) -> tuple[np.ndarray, float]:
    """One step, and its estimated error summed over the cells. solve: by the matrix 1 - GAMMA*dt/2*L."""
    slope = matrix @ mass
    middle = solve(mass + (GAMMA * dt / 2) * slope)
    new = solve((middle - (1 - GAMMA) ** 2 * mass) / (GAMMA * (2 - GAMMA)))
    rates = slope / GAMMA - (matrix @ middle) / (GAMMA * (1 - GAMMA)) + (matrix @ new) / (1 - GAMMA)
    return new, float(np.abs(solve(2 * ERROR * dt * rates)).sum())


def _implicit(matrix: csr_array, mass: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """TR-BDF2: a trapezoidal stage and one of BDF2, of second order and L-stable.

    A step is its interval divided by a power of 2, and is halved or doubled by its estimated error. No scheme of second
    order keeps every density positive at every length of a step; the negative masses are smaller than the error, and are put
    to 0 while the others are scaled to the same sum.
    """
    size = matrix.shape[0]
    unit = eye_array(size, format="csc")
    made, errors, at, error, level = [], [], 0.0, 0.0, 12
    solvers: dict[float, Solve] = {}
    for t in times:
        place, span = 0, t - at  # place counts steps of the finest length
        while span > 0 and place < 2**FINEST:
            dt = span * 2.0**-level
            if dt not in solvers:
                solvers[dt] = splu((unit - (GAMMA * dt / 2) * matrix).tocsc()).solve
            new, off = tr_bdf2(matrix, solvers[dt], mass, dt)
            if off > TOLERANCE * mass.sum() and level < FINEST:
                level += 1
                continue
            kept = np.maximum(new, 0.0)
            mass = kept * (max(float(new.sum()), 0.0) / kept.sum()) if kept.any() else kept
            error += off
            place += 2 ** (FINEST - level)
            if off < TOLERANCE * mass.sum() / 16 and level > 0 and place % 2 ** (FINEST - level + 1) == 0:
                level -= 1
        at = t
        made.append(mass)
        errors.append(error)
    return np.array(made), np.array(errors)
