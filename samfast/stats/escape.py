"""The survival function of first-passage times, which is the share of paths that have not left yet."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..checks import check, fitting, numbers
from .blocks import Array, fits, namespace, numeric, paths_first, quiet

COPIES = 8  # float64 copies of the times that sorting by two keys and two running sums hold at a time


class Survival(NamedTuple):
    """Survival function at `times` (time,), its standard error and its interval (low, high), all others (*settings, time)."""

    times: Array
    value: Array
    std_error: Array
    low: Array
    high: Array


@quiet
def survival(exit_times: Any, times: Any, *, last: Any = None, confidence: float = 0.95, axis: int = -1) -> Survival:
    r"""Return the estimate of P(exit time > t) by Kaplan and Meier, :math:`S(t)=\prod_{t_i\le t}(1-d_i/n_i)`.

    :math:`d_i` of the :math:`n_i` paths that are still watched leave at :math:`t_i`. exit_times: the times as
    observe.exit_time, escape and first record them, negative for a path that has not left. last: the time up to which such
    paths were watched, one number or an array that broadcasts to exit_times; if it is left out and a path of a setting has
    not left, the result of this setting is nan. times: (time,), in the unit of exit_times.

    std_error is Greenwood's :math:`S[\sum d_i/(n_i(n_i-d_i))]^{1/2}`, nan where S = 0. low and high are normal on the scale
    of ln(-ln S), and S itself where it is 0 or 1.

    Raises ValueError for shapes that do not fit or a confidence outside (0, 1), MemoryError if sorting does not fit into
    memory. Sources: Kaplan and Meier, J. Amer. Statist. Assoc. 53, 457 (1958); for the errors Kalbfleisch and Prentice, The
    Statistical Analysis of Failure Time Data, section 1.4.
    """
    from scipy.special import ndtri

    xp = namespace(exit_times, times, last)
    level = float(numbers("confidence", confidence, above=0.0, below=1.0, example=0.95))
    x = paths_first("exit_times", exit_times, axis, xp)
    fits(COPIES * 8 * x.size, xp=xp, what="exit_times")
    whole = tuple(xp.asarray(exit_times).shape)
    end = xp.broadcast_to(fitting("last", numeric("last", np.nan if last is None else last, xp), whole), whole)
    x, end = xp.moveaxis(xp.asarray(x, dtype=np.float64), 0, -1), xp.moveaxis(end, axis, -1)
    at = xp.asarray(numeric("times", times, xp), dtype=np.float64)
    check(at.ndim == 1, f"times has shape {tuple(at.shape)}: give a flat sequence of times")
    paths, shape = int(x.shape[-1]), tuple(x.shape[:-1])
    rows = [_row(t, e, at, xp) for t, e in zip(_flat(x, paths), _flat(end, paths), strict=True)]
    value, spread = (xp.stack([row[j] for row in rows]).reshape(*shape, *at.shape) for j in (0, 1))
    half = float(ndtri((1 + level) / 2)) * spread / xp.log(value)  # not above 0, since ln S is not
    low, high = (xp.where((value > 0) & (value < 1), value ** xp.exp(h), value) for h in (-half, half))
    return Survival(at, value, value * spread, low, high)


def _flat(x: Array, paths: int) -> list[Array]:
    flat = x.reshape(-1, paths)
    return [flat[i] for i in range(math.prod(x.shape[:-1]))]


def _row(left: Array, end: Array, at: Array, xp: Any) -> tuple[Array, Array]:
    """S and the root of Greenwood's sum, of one setting at the times `at`.

    Each path that leaves has its own factor 1 - 1/watched. Those of d paths that leave at one time multiply to 1 - d/n, and
    their terms of the variance add to d/(n(n - d)), so ties need not be counted.
    """
    finite = xp.isfinite(left)
    gone = finite & (left >= 0)
    time = xp.where(finite, xp.where(gone, left, end), np.inf)
    unknown = xp.isnan(time).any()
    order = xp.lexsort(xp.stack((1.0 - gone, time)))  # at equal times those that leave come first
    time, event = time[order], gone[order].astype(np.float64)
    watched = finite.sum() - xp.arange(time.shape[0])
    steps = xp.where(event > 0, 1.0 - 1.0 / watched, 1.0)
    variance = xp.where(event > 0, 1.0 / (watched * (watched - 1.0)), 0.0)
    until = xp.searchsorted(time, at, side="right")
    value = xp.where(unknown, np.nan, xp.concatenate((xp.ones(1), xp.cumprod(steps)))[until])
    return value, xp.sqrt(xp.concatenate((xp.zeros(1), xp.cumsum(variance)))[until])
