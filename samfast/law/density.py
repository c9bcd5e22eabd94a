"""The function that a user calls: from a loss, a rule and a grid to the law of the paths."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from ..checks import check, choice, numbers
from ..model.loss import Loss
from ..model.parameters import Numbers
from ..model.rule import Rule
from . import transfer
from .evolve import SCHEMES, WORK, Scheme, cost, evolve
from .generator import generator
from .grid import Grid, Start, Walls, density_at, make, spread, spread_evenly, starting_point
from .result import Chain, Density, Diffusion, result
from .step import OneStep, one_step

Method: TypeAlias = Literal["fokker-planck", "transfer"]
METHODS = ("fokker-planck", "transfer")
STIFF = 1e13  # longest time, divided by the shortest mean time in a cell, that float64 resolves
STEPS = 1e12  # multiplications of a whole run of the transfer operator, some minutes


def density(
    loss: Loss,
    rule: Rule,
    start: Start,
    *,
    grid: Numbers,
    times: Numbers,
    walls: Walls = "absorbing",
    method: Method | None = None,
    scheme: Scheme | None = None,
) -> Density:
    r"""The probability density of w at given times, for any loss of one or two coordinates.

    For a rule made by `diffusion` it solves the Fokker-Planck equation
    :math:`\partial_tP=-\nabla\cdot(bP)+\sum_{ij}\partial_i\partial_j(D_{ij}P)` in the sense of Ito. For SAM,
    :math:`b=-\nabla l(w^p)`, this is :math:`dP/dt=\nabla\cdot(P\,\nabla l(w^p))+\nabla\nabla(D(w^p)P)` (slides of Kim et
    al.). For a rule made by `noisy` it follows the algorithm itself from update to update by its transfer operator
    :math:`p_{n+1}(x)=\int N(x;m(y),C(y))p_n(y)dy`, with the mean m and the covariance C of one step. Drift, diffusion, m and C
    are those of the traced step that `simulate` compiles.

    start: a point, shape (dim,), or a function of w that is proportional to a density, e.g. lambda w: np.exp(-w[0]**2).
    grid: (low, high, cells) for each coordinate, with an even number of cells; one such triple is enough for one coordinate.
    times: in units of lr per update, as everywhere; for an algorithm whole multiples of lr.
    walls: "absorbing": paths that leave the box are gone, so `mass` is the chance to be still inside, and on a box that is wide
    enough the law is that without walls. "reflecting" (equation only): no path leaves. One word or a pair of words for each
    coordinate tells the walls apart.
    method: "fokker-planck" or "transfer", where the other one is wanted: the diffusion limit of an algorithm, or the
    Euler-Maruyama chain of a diffusion with its steps of dt.
    scheme: for the equation, "uniformization" has no error in time, keeps every digit of small masses, and takes time
    proportional to the stiffness; "tr-bdf2" takes implicit L-stable steps of second order. By default the first one where
    it takes some seconds at most.

    Errors are stated with the result. Those of the equation come from a second grid with half the cells, by Richardson's
    extrapolation; those of the transfer operator from a second rule with fewer nodes.

    Raises ValueError for more than two coordinates, a loss with samples, several values of a parameter, momentum, noise that is
    degenerate, not normal or not additive within a step, and a grid that is too small or too coarse.
    """
    step = one_step(loss, rule)
    if method is None:
        method = "fokker-planck" if step.diffusive else "transfer"
    choice("method", method, METHODS)
    if scheme is not None:
        choice("scheme", scheme, SCHEMES)
    box = make(grid, walls, step.dim)
    point = starting_point(start, box)
    at = np.atleast_1d(np.asarray(numbers("times", times, low=0.0, example=[0.0, 1.0, 2.0]), float))
    check(
        at.ndim == 1 and bool((np.diff(at) > 0).all()),
        f"times={times!r:.60}: give ascending times without repeats, e.g. times=[0.0, 1.0, 2.0]",
    )
    if method == "transfer":
        check(scheme is None, f"scheme={scheme!r}: it belongs to the Fokker-Planck equation; leave it out")
        return _algorithm(step, box, start, point, at)
    return _diffusion(step, box, start, point, at, scheme)


def _diffusion(
    step: OneStep, box: Grid, start: Any, point: np.ndarray | None, times: np.ndarray, scheme: Scheme | None
) -> Density:
    kept = []
    for grid in (box, box.coarser()):
        made = generator(step, grid)
        if point is None:
            mass = density_at(start, grid.points, np.full(grid.shape, grid.volume)) * grid.volume
        else:
            mass = spread(point, grid)
        jumps = float(-made.matrix.diagonal().min()) * float(times[-1])
        check(
            jumps <= STIFF,
            f"times={times.tolist()!r:.60}: the longest is {jumps:.3g} mean times between jumps from a cell, too many for "
            "float64; give shorter times, or fewer cells",
        )
        chosen = scheme or ("uniformization" if cost(made.matrix, float(times[-1])) <= WORK else "tr-bdf2")
        masses, errors = evolve(made.matrix, mass.ravel(), times, chosen)
        kept.append(Diffusion(made, mass.ravel(), masses, errors, chosen))
    return result(kept, step, point, times)


def _algorithm(step: OneStep, box: Grid, start: Any, point: np.ndarray | None, times: np.ndarray) -> Density:
    check(
        all(all(pair) for pair in box.absorbing),
        "walls='reflecting': the updates of an algorithm know no walls; leave walls out, and give a grid that is wide enough",
    )
    counts = transfer.updates(times, step.length, step.name)
    needed = transfer.panels(step, box)
    kept = []
    for order in (transfer.ORDER, transfer.FEWER):
        operator = transfer.Transfer(step, box, needed, order)
        size = len(operator.weights)
        work = float(counts[-1]) * size * (size if step.dim == 1 else 2 * size)
        check(
            work <= STEPS,
            f"times={times.tolist()!r:.60}: {counts[-1]:,} updates on {size:,} nodes take too long; give a smaller box or "
            "shorter times",
        )
        initial = None if point is not None else density_at(start, operator.points, operator.weights)
        first = spread_evenly(start, point, box)
        kept.append(Chain(operator, point, initial, first, transfer.run(operator, point, initial, counts)))
    return result(kept, step, point, times)
