r"""Sums over the powers of two matrices A and B by binary doubling, without subtracting large numbers.

A and B are the maps of one step of X and Y, :math:`Q_X` and :math:`Q_Y` the covariances of one step's noise.
With :math:`P_m=A^m-B^m` the sums :math:`S_m=\sum_{k<m}B^kQ_YB^{kT}` and
:math:`D_m=\sum_{k<m}(A^kQ_XA^{kT}-B^kQ_YB^{kT})` double by

.. math:: D_{2m}=D_m+A^mD_mA^{mT}+P_mS_mA^{mT}+B^mS_mP_m^T,\quad P_{2m}=A^mP_m+P_mB^m.

Derived in this library.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ._domain import Array, quiet

Powers = Callable[[float], tuple[Array, Array]]  # maps k to (A^k, B^k)


def matrix(rows: list[list[Array]]) -> Array:
    """Return the matrix with these rows of arrays as one array of matrices, shape (..., rows, columns)."""
    flat = np.broadcast_arrays(*(x for row in rows for x in row))
    return np.stack(flat, -1).reshape(*flat[0].shape, len(rows), len(rows[0]))


def _turned(m: Array) -> Array:
    return np.swapaxes(m, -1, -2)


@quiet
def difference(steps: Array, powers: Powers, apart: Array, second: Array, gap: Array) -> Array:
    """Return D_n for n = ``steps``, elementwise, from P_1 = ``apart``, S_1 = ``second`` and D_1 = ``gap``."""
    n, total, total_second = steps.astype(np.int64), np.zeros_like(gap), np.zeros_like(gap)
    length, top = 1, int(np.max(n, initial=0))
    while length <= top:
        a, b = powers(float(length))

        def grown(s: Array, d: Array, a: Array = a, b: Array = b, p: Array = apart) -> Array:
            return a @ d @ _turned(a) + p @ s @ _turned(a) + b @ s @ _turned(p)

        take = ((n & length) != 0)[..., None, None]
        total = np.where(take, gap + grown(total_second, total), total)
        total_second = np.where(take, second + b @ total_second @ _turned(b), total_second)
        gap, second, apart = gap + grown(second, gap), second + b @ second @ _turned(b), a @ apart + apart @ b
        length *= 2
    return total


@quiet
def covariance(steps: Array, powers: Powers, block: Array) -> Array:
    """Return the sum of A^k Q B^kT over k < n, elementwise in n = ``steps``; Q is ``block``."""
    n, total = steps.astype(np.int64), np.zeros_like(block)
    length, top = 1, int(np.max(n, initial=0))
    while length <= top:
        a, b = powers(float(length))
        take = ((n & length) != 0)[..., None, None]
        total = np.where(take, block + a @ total @ _turned(b), total)
        block = block + a @ block @ _turned(b)
        length *= 2
    return total
