"""Losses ready to use. Each is an ordinary Python function of a vector and its parameters.

The same function works on symbols (and so becomes compiled code), on NumPy and CuPy arrays, and under `jax.grad`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import tracing as T
from ..checks import check, integer, numbers
from .loss import LARGEST, Loss
from .parameters import Numbers, PerPath

__all__ = ["beale", "double_well", "quadratic", "ravine", "saddle", "toy_network"]


def __dir__() -> list[str]:
    return __all__


def quadratic(eigenvalue: Numbers) -> Loss:
    """l(w) = 1/2 sum_i eigenvalue_i w_i^2, a quadratic loss in the coordinates of its eigenvectors.

    eigenvalue: in 1/length^2, of any sign; shape (dim,), or (..., dim) for a sweep, or one number for dim 1.
    """
    check(
        not isinstance(eigenvalue, PerPath),
        "eigenvalue: it has one value per coordinate, per_path gives one per path; give a sequence",
        TypeError,
    )
    values = np.atleast_1d(np.asarray(numbers("eigenvalue", eigenvalue), float))
    return Loss("quadratic", values.shape[-1], _quadratic, {"eigenvalue": values}, frozenset({"eigenvalue"}))


def _quadratic(w: Any, p: Any) -> Any:
    return 0.5 * T.total(p.eigenvalue * w * w)


def saddle() -> Loss:
    """l(x, y) = x^2 - y^2 (Kim et al., Fig. 5). Its only critical point is a saddle at 0 with eigenvalues 2 and -2."""
    return Loss("saddle", 2, _saddle)


def _saddle(w: Any, p: Any) -> Any:
    return w[0] ** 2 - w[1] ** 2


def beale() -> Loss:
    """Beale's function, the sum of (c_k - x(1 - y^k))^2 over k = 1, 2, 3 with c = (1.5, 2.25, 2.625).

    It has its minimum 0 at (3, 1/2) and a saddle at (0, 1) with eigenvalues 27.75 and -27.75.
    """
    return Loss("beale", 2, _beale)


def _beale(w: Any, p: Any) -> Any:
    x, y = w[0], w[1]
    return (1.5 - x * (1 - y)) ** 2 + (2.25 - x * (1 - y**2)) ** 2 + (2.625 - x * (1 - y**3)) ** 2


def ravine() -> Loss:
    """l(x, y) = x^2/(1 + y^2/2) + y^2/2 (Bartlett et al., section 6).

    It has its minimum at 0; the curvature along x falls with the distance from y = 0.
    """
    return Loss("ravine", 2, _ravine)


def _ravine(w: Any, p: Any) -> Any:
    return w[0] ** 2 / (1 + w[1] ** 2 / 2) + w[1] ** 2 / 2


def double_well() -> Loss:
    """l(x, y) = x^4/4 - x^2/2 + y^2/2, with minima at (-1, 0) and (1, 0) and a saddle at 0 with eigenvalues -1 and 1."""
    return Loss("double_well", 2, _double_well)


def _double_well(w: Any, p: Any) -> Any:
    return w[0] ** 4 / 4 - w[0] ** 2 / 2 + w[1] ** 2 / 2


def toy_network(*, batch_size: int | None = None) -> Loss:
    """The squared error of a network with two weights, output w_1 w_0^2 and random labels (Kim et al., Fig. 7).

    The labels are -1 and 2 with equal chances. Without batch_size this is the mean loss (w_1 w_0^2 - 1/2)^2 + 9/4. Its minima
    form the curve w_1 w_0^2 = 1/2, and every point with w_0 = 0 is critical and degenerate.
    With batch_size it is the mean of (w_1 w_0^2 - y)^2 over that many random labels y, a loss with samples of kind "bit". All
    gradients of a step then use the same labels; `sampled` can draw them independently.
    """
    if batch_size is None:
        return Loss("toy_network", 2, _toy_network)
    n = integer("batch_size", batch_size, 1, 1, most=LARGEST)
    return Loss("toy_network_batch", 2, _toy_network_batch, samples=n, kind="bit")


def _toy_network(w: Any, p: Any) -> Any:
    return (w[1] * w[0] ** 2 - 0.5) ** 2 + 2.25


def _toy_network_batch(w: Any, p: Any, y: Any) -> Any:
    labels = 3 * y - 1
    mean = T.total(labels) / len(labels)
    return (w[1] * w[0] ** 2 - mean) ** 2 + T.total((labels - mean) ** 2) / len(labels)
