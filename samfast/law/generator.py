r"""The Fokker-Planck equation on a grid as a Markov chain that jumps between neighbouring cells.

The equation is :math:`\partial_tP=-\nabla\cdot(bP)+\sum_{ij}\partial_i\partial_j(D_{ij}P)`, in the sense of Ito. Between two
cells along a coordinate the flux :math:`J=bP-\partial(DP)` is taken as constant, which gives the exponentially fitted fluxes
of Scharfetter and Gummel (IEEE Trans. Electron Devices 16, 64 (1969)), for this equation also known by Chang and Cooper (J.
Comput. Phys. 6, 1 (1970)). Every flux is a rate from one cell to another and no rate is negative, so the scheme keeps the
mass and cannot make a density negative. It is of second order in the width of the cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.special import exprel

from ..checks import check
from .grid import Grid, mesh
from .step import OneStep

SINGULAR = 1e-9  # smallest diffusion, divided by the largest one, that is not degenerate


@dataclass(frozen=True, eq=False)
class Generator:
    """dm/dt = matrix m for the masses m of the cells, in the order of NumPy. killed: rates of absorption, at least 0."""

    grid: Grid
    matrix: csr_array
    killed: np.ndarray


def bernoulli(z: np.ndarray) -> np.ndarray:
    """z/(exp(z) - 1), which is 1 at z = 0."""
    with np.errstate(over="ignore"):
        return 1 / exprel(z)


def generator(step: OneStep, grid: Grid) -> Generator:
    """The rates of all jumps; ValueError where the noise is degenerate or too correlated for positive rates."""
    size = int(np.prod(grid.shape))
    index = np.arange(size).reshape(grid.shape)
    own, across = _split(step, grid, grid.points)
    _positive(grid, own, across)
    to, source, rates = [], [], []
    killed = np.zeros(grid.shape)

    def jumps(where: tuple[Any, ...], onto: tuple[Any, ...], rate: np.ndarray) -> None:
        source.append(index[where].ravel())
        to.append(index[onto].ravel())
        rates.append(np.broadcast_to(rate, index[where].shape).ravel())

    for axis in range(grid.dim):
        forward, backward, out = _along(step, grid, axis, own[..., axis])
        below, above = _slices(grid.dim, axis)
        jumps(below, above, forward)
        jumps(above, below, backward)
        for end, rate in zip((0, -1), out, strict=True):
            if grid.absorbing[axis][end]:
                killed[(slice(None),) * axis + (end,)] += rate
    if grid.dim == 2 and across.any():
        for sign in (1, -1):
            rate = np.maximum(sign * across, 0.0)
            for step_x in (1, -1):
                low, high = _diagonal(step_x), _diagonal(-step_x)
                where = (low, low) if sign > 0 else (low, high)
                jumps(where, (high, high) if sign > 0 else (high, low), rate[where])
                killed += 2 * rate * _leaves(grid, step_x, sign * step_x)  # the wall is half way to the cell beyond
    order = np.concatenate(source), np.concatenate(to), np.concatenate(rates)
    leaving = np.bincount(order[0], order[2], size) + killed.ravel()
    here = np.arange(size)
    entries = np.concatenate((order[2], -leaving)), (np.concatenate((order[1], here)), np.concatenate((order[0], here)))
    return Generator(grid, coo_array(entries, (size, size)).tocsr(), killed.ravel())


def _slices(dim: int, axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The cells that have a neighbour above them along an axis, and these neighbours."""
    before = (slice(None),) * axis
    after = (slice(None),) * (dim - axis - 1)
    return (*before, slice(None, -1), *after), (*before, slice(1, None), *after)


def _diagonal(step: int) -> slice:
    return slice(None, -1) if step > 0 else slice(1, None)


def _leaves(grid: Grid, step_x: int, step_y: int) -> np.ndarray:
    """1 where a jump along a diagonal crosses a wall that absorbs, 0 elsewhere; a wall that reflects forbids the jump."""
    out = np.zeros(grid.shape)
    for axis, step in enumerate((step_x, step_y)):
        end = 0 if step < 0 else -1
        if grid.absorbing[axis][end]:
            out[(slice(None),) * axis + (end,)] = 1.0
    for axis, step in enumerate((step_x, step_y)):
        end = 0 if step < 0 else -1
        if not grid.absorbing[axis][end]:
            out[(slice(None),) * axis + (end,)] = 0.0
    return out


def _split(step: OneStep, grid: Grid, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The diffusion along each axis, (..., dim), and the rate of jumps along the diagonal whose sign is that of D_01, (...).

    D_01 is carried by jumps along one diagonal of the cells, which also spread along both axes; what they spread is taken
    from D_00 and D_11.
    """
    d = step.diffusion(w)
    own = np.stack([d[..., i, i] for i in range(grid.dim)], -1)
    if grid.dim == 1:
        return own, np.zeros(w.shape[:-1])
    rate = d[..., 0, 1] / grid.volume
    return own - np.abs(rate)[..., None] * np.square(grid.widths), rate


def _positive(grid: Grid, own: np.ndarray, across: np.ndarray) -> None:
    whole = own + np.abs(across)[..., None] * np.square(grid.widths)
    check(
        bool((whole > SINGULAR * whole.max()).all()) and whole.max() > 0,
        "sigma: the noise vanishes along a coordinate somewhere on the grid, so the equation is degenerate there; give noise "
        "along every coordinate, or simulate paths by sf.simulate",
    )
    if (own > SINGULAR * whole).all():
        return
    ratio = float(np.sqrt(np.median(whole[..., 0] / whole[..., 1])))
    raise ValueError(
        f"grid: the noise is so correlated that cells of widths {', '.join(f'{x:.3g}' for x in grid.widths)} cannot carry it; "
        f"give cells whose widths have a ratio near {ratio:.3g}, or noise with less correlation"
    )


def _along(
    step: OneStep, grid: Grid, axis: int, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Rates to the next cell above and below along an axis, and out through the lower and the upper wall.

    The ratio z of drift and diffusion is integrated between two centres by Simpson's rule, so that the balance of the two
    rates, and with it a stationary density, is of fourth order.
    """
    width = grid.widths[axis]
    faces = mesh([e if i == axis else c for i, (e, c) in enumerate(zip(grid.edges, grid.centres, strict=True))])

    def ratio(points: np.ndarray) -> np.ndarray:
        return np.moveaxis(step.drift(points)[..., axis] / _split(step, grid, points)[0][..., axis], axis, 0)

    centre, face = ratio(grid.points), ratio(faces)
    z = width * (centre[:-1] + 4 * face[1:-1] + centre[1:]) / 6
    d = np.moveaxis(own, axis, 0) / width**2
    forward, backward = d[:-1] * bernoulli(-z), d[1:] * bernoulli(z)
    half = width / 2
    low = 2 * d[0] * bernoulli(half * (centre[0] + face[0]) / 2)
    high = 2 * d[-1] * bernoulli(-half * (centre[-1] + face[-1]) / 2)
    return np.moveaxis(forward, 0, axis), np.moveaxis(backward, 0, axis), (low, high)
