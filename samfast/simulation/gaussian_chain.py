"""Gaussian chains: paths that jump from one recorded time to the next, s' = A s + L z with standard normals z.

Each jump is one step of a compiled program, which takes new coefficients A and L at every recorded time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import numpy as np

from ..checks import check
from ..model.loss import Loss
from ..model.observer import Observer
from ..model.parameters import Numbers
from ..model.rule import Rule
from ..tracing import Vector, total
from .arguments import Device, DType, OnDivergence
from .job import Job
from .prepare import checked_job, ready
from .progress import Progress
from .run import Run, complete

ROUNDING = 1e-10  # relative error by which a covariance may fail to be symmetric or positive semidefinite


def gaussian_chain(
    transition: np.ndarray | Sequence[Any],
    covariance: np.ndarray | Sequence[Any],
    *,
    start: Numbers | None = None,
    paths: int,
    observe: Observer | None = None,
    seed: int | None = 0,
    dtype: DType = "mixed",
    device: Device | None = None,
    moments: int = 2,
    values: bool = False,
    shared_noise: bool = True,
    on_divergence: OnDivergence = "mask",
    executor: Executor | None = None,
    progress: Progress = None,
) -> Run:
    """Sample s_i = A_i s_(i-1) + L_i z_i with L_i L_i^T = S_i at each time i = 1, 2, ..., one engine step per time.

    The z_i are independent standard normal vectors. transition: A, shape (*sweep, time, k, k) with k = 1 or 2.
    covariance: S, of the same shape or one that broadcasts to it, symmetric and positive semidefinite (it may be singular
    or 0). start: s before the first jump, shape (k,), by default 0. observe: by default position(). Settings of the sweep
    see the same z unless shared_noise=False. The other arguments are those of `simulate`. The Run that is returned has
    arrays of shape (*sweep, time, feature), and its record counts the jumps.

    Raises TypeError for matrices that are not numbers; ValueError for shapes that do not fit, for values that are not
    finite, or for a covariance that is not symmetric and positive semidefinite.
    """
    a, s = _matrices(transition, covariance)
    k, times = a.shape[-1], a.shape[-3]
    names = {f"a{i}{j}": a[..., i, j] for i in range(k) for j in range(k)}
    factor = root(s)
    names |= {f"l{i}{j}": factor[..., i, j] for i in range(k) for j in range(i + 1)}
    rule = Rule("jump", _jump, {name: x[..., 0] for name, x in names.items()}, draws=1)
    job = checked_job(
        Loss("flat", k, _flat),
        rule,
        np.zeros(k) if start is None else start,
        paths=paths,
        observe=observe,
        seed=seed,
        dtype=dtype,
        device=device,
        steps=times,
        moments=moments,
        values=values,
        state=False,
        shared_noise=shared_noise,
        on_divergence=on_divergence,
    )
    given = {name: x for name, x in job.given.items() if name not in names}
    job = replace(job, params=_coefficients(job, names, times), given=given)
    record = np.arange(1, times + 1)
    return complete(ready(job, record, executor), record, None, executor, progress, {})


def _flat(w: Any, p: Any) -> Any:
    return 0.0 * total(w)


def _jump(w: Any, v: Any, grad: Any, p: Any, z: Any) -> tuple[Any, Any]:
    if len(w) == 1:
        return p.a00 * w + p.l00 * z[0], v
    x, y = z[0]
    return Vector([p.a00 * w[0] + p.a01 * w[1] + p.l00 * x, p.a10 * w[0] + p.a11 * w[1] + (p.l10 * x + p.l11 * y)]), v


def _matrices(transition: Any, covariance: Any) -> tuple[np.ndarray, np.ndarray]:
    arrays = []
    for name, given in (("transition", transition), ("covariance", covariance)):
        try:
            array = np.asarray(given, float)
        except (TypeError, ValueError):
            raise TypeError(f"{name}={given!r:.60}: give an array of shape (time, k, k)") from None
        check(
            array.ndim >= 2 and array.shape[-1] == array.shape[-2] and array.shape[-1] in (1, 2),
            f"{name} has shape {array.shape}: give (time, k, k), or (*sweep, time, k, k), with k = 1 or 2",
        )
        check(bool(np.isfinite(array).all()), f"{name} holds a value that is not a finite number: give finite numbers")
        arrays.append(array)
    try:
        a, s = np.broadcast_arrays(*arrays)
    except ValueError:
        raise ValueError(
            f"transition has shape {arrays[0].shape} and covariance {arrays[1].shape}: give shapes that "
            "broadcast to (*sweep, time, k, k)"
        ) from None
    check(a.ndim >= 3 and a.shape[-3] > 0, f"transition has shape {a.shape}: give one matrix for each time, shape (time, k, k)")
    size = np.sqrt(np.abs(np.diagonal(s, axis1=-2, axis2=-1)))
    scale = size[..., :, None] * size[..., None, :] * (1 + ROUNDING)
    good = bool(
        (np.diagonal(s, axis1=-2, axis2=-1) >= 0).all()
        and (np.abs(s) <= scale).all()
        and (np.abs(s - np.swapaxes(s, -1, -2)) <= ROUNDING * scale).all()
    )
    check(good, "covariance: a matrix of it is not symmetric or has a negative eigenvalue; give covariance matrices")
    return a, s


def root(covariance: np.ndarray) -> np.ndarray:
    """The lower triangular L with L L^T = covariance, shape (..., k, k) with k = 1 or 2, also where that is singular.

    With the standard deviations a and b and the correlation r, L = [[a, 0], [r b, sqrt((1-r)(1+r)) b]]. The correlation is
    free of units, so that positions and velocities keep their digits in any units.
    """
    deviation = np.sqrt(np.maximum(np.diagonal(covariance, axis1=-2, axis2=-1), 0.0))
    out = np.zeros(covariance.shape)
    out[..., 0, 0] = deviation[..., 0]
    if covariance.shape[-1] == 2:
        a, b = deviation[..., 0], deviation[..., 1]
        with np.errstate(all="ignore"):
            r = np.where((a > 0) & (b > 0), covariance[..., 1, 0] / a / b, 0.0)
        r = np.clip(r, -1.0, 1.0)
        out[..., 1, 0], out[..., 1, 1] = r * b, np.sqrt((1 - r) * (1 + r)) * b
    return out


def _coefficients(job: Job, names: Mapping[str, np.ndarray], times: int) -> np.ndarray:
    """The parameters of all jumps in the columns of the program, (time, setting, column); names: A and L at all times."""
    jumps = np.repeat(job.params, times, 0)
    at = 0
    for name, size in job.program.columns:
        if name in names:
            per_time = np.moveaxis(names[name], -1, 0).reshape(
                times, *(1,) * (len(job.sweep) - names[name].ndim + 1), *names[name].shape[:-1]
            )
            with np.errstate(all="ignore"):
                jumps[:, :, at] = np.broadcast_to(per_time, (times, *job.sweep)).reshape(times, -1)
        at += size
    return jumps
