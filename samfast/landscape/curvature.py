"""Curvature: the largest eigenvalue of the Hessian with its gradient, and maps of all eigenvalues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..checks import check, integer, numbers, real_array
from ..model.critical_points import corners
from ..model.loss import Loss, plain
from ..model.parameters import BOUNDS, Box, Numbers

if TYPE_CHECKING:
    import xarray as xr


POINTS = 2**27  # at most this many points on a grid


def sharpness(loss: Loss, w: Numbers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The largest eigenvalue lambda of the Hessian at w, its unit eigenvector e, and the gradient of lambda in w.

    w: shape (..., dim). Returns (lambda, e, slope) of shapes (...), (..., dim), (..., dim), lambda in 1/length^2.
    slope_i = D^3 loss(e, e, d_i) (Bartlett et al., Theorem 21), with d_i the i-th unit vector. This is the gradient of lambda
    only where lambda is a simple eigenvalue. Raises ValueError for a loss that is not one function of w.
    """
    plain(loss)
    h = loss.hessian(w)
    values, vectors = np.linalg.eigh((h + np.swapaxes(h, -1, -2)) / 2)
    e = vectors[..., -1]
    return values[..., -1], e, np.einsum("...ijk,...i,...j->...k", loss.third(w), e, e)


def eigenvalue_map(loss: Loss, box: Box, *, rho: Numbers = 0.0, shape: Sequence[int] = (181, 181)) -> xr.DataArray:
    """lambda + rho*lambda^2 for every eigenvalue lambda of the Hessian on a grid (Kim et al., Fig. 6).

    At a critical point these are, up to the sign, the eigenvalues of the Jacobian of the SAM flow (see `Flow.jacobian`).
    box: (low, high) for each coordinate, ends included. shape: the number of grid points along each coordinate.
    The array has the dimensions rho (if a sequence is given), w0, w1, ..., mode; mode numbers the eigenvalues with lambda
    ascending. Its unit is 1/length^2.
    """
    import xarray as xr

    plain(loss)
    axes = grid_axes(*corners(box, loss.dim), shape)
    radius = np.asarray(numbers("rho", rho, **BOUNDS["rho"]), float)
    check(radius.ndim <= 1, f"rho has shape {radius.shape}: give a number or a flat sequence")
    values = np.linalg.eigvalsh(loss.hessian(np.stack(np.meshgrid(*axes, indexing="ij"), -1)))
    moved = values + radius.reshape(-1, *(1,) * values.ndim) * values**2
    names = [f"w{i}" for i in range(loss.dim)]
    array = xr.DataArray(
        moved,
        {"rho": np.atleast_1d(radius), **dict(zip(names, axes, strict=True))},
        ("rho", *names, "mode"),
        "curvature",
        {"units": "1/length^2"},
    )
    return array if radius.ndim else array.isel(rho=0)


def grid_axes(low: np.ndarray, high: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, ...]:
    sizes = real_array("shape", shape, (100,) * len(low))
    check(
        sizes.shape == (len(low),) and bool((sizes > 0).all()) and float(np.prod(sizes)) <= POINTS,
        f"shape={shape!r:.60}: give one number of points for each of the {len(low)} coordinates, at most {POINTS:,} in all",
    )
    return tuple(np.linspace(a, b, integer("shape", n, 2, 100)) for a, b, n in zip(low, high, shape, strict=True))
