"""Paths of a linear drift drawn from their exact law at the recorded times, at a cost free of the number of steps.

Between two recorded times the state s = w, or (w, v) with momentum, jumps by s' = A s + L z with standard normals z: A is
the transition over the interval and L L^T its covariance, both from `samfast.theory`.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any

import numpy as np

from .. import theory
from ..checks import check, choice
from ..model.observer import Observer
from ..simulation.arguments import Device, DType
from ..simulation.gaussian_chain import gaussian_chain, root
from ..simulation.progress import Progress
from ..simulation.run import Run
from .process import LinearProcess

LAWS = ("sde", "em", "algorithm")
HUGE = 1e300  # a coefficient beyond float64: such a path counts as diverged


@np.errstate(all="ignore")
def transitions(
    model: LinearProcess, values: Mapping[str, np.ndarray], times: np.ndarray, *, law: str
) -> tuple[np.ndarray, np.ndarray]:
    """(transition, covariance) of w, or of (w, v) with momentum, from each time to the next; the first from time 0.

    values: arrays that broadcast to the grid. times: (*grid, time), physical times for law="sde", numbers of steps for
    "em" (steps of size dt, default lr; symplectic with momentum) and "algorithm" (updates). Shapes (*grid, time, k, k),
    k = 2 with momentum. In the SDE momentum 0 stands for the diffusion without inertia (Theorem 2, which dampening
    rescales).
    """
    choice("law", law, LAWS)
    check(
        law != "algorithm" or "dt" not in values, "law='algorithm' with dt: an update has no other step than lr; give law='em'"
    )
    v = {name: np.asarray(x, float)[..., None] for name, x in values.items()}
    interval = np.diff(np.asarray(times, float), axis=-1, prepend=0.0)
    check(bool((interval >= 0).all()), "times: they must ascend from 0; give e.g. times=[0.1, 1.0]")
    kappa, d, dt = model.curvature(v), model.diffusion(v), None if law == "sde" else model.step(v)
    if not model.heavy:
        return _within(*_overdamped(interval, kappa, d, dt))
    shared = {"curvature": kappa, "diffusion": d, "lr": v["lr"], "momentum": v["momentum"], "dampening": v["dampening"]}
    from_w, from_v = (
        theory.momentum_sde_moments(interval, **shared, start=w, velocity=1 - w)
        if dt is None
        else theory.momentum_em_moments(interval, **shared, dt=dt, scheme="symplectic", start=w, velocity=1 - w)
        for w in (1.0, 0.0)
    )
    a = _stack([[from_w.mean, from_v.mean], [from_w.mean_velocity, from_v.mean_velocity]])
    s = _stack([[from_w.var, from_w.cov], [from_w.cov, from_w.var_velocity]])
    if dt is None:
        keep, light = 1 - v["dampening"], (v["momentum"] == 0)[..., None, None]
        b, r = (x * np.diag([1.0, 0.0]) for x in _overdamped(interval, kappa * keep, d * keep**2, None))
        a, s = np.where(light, b, a), np.where(light, r, s)
    return _within(a, s)


def _overdamped(interval: np.ndarray, kappa: Any, d: Any, dt: Any) -> tuple[np.ndarray, np.ndarray]:
    """Transition and covariance without momentum, of the SDE (dt None) or of `interval` Euler-Maruyama steps."""
    if dt is None:
        return (
            _stack([[theory.sde_mean(interval, curvature=kappa, start=1.0)]]),
            _stack([[theory.sde_variance(interval, curvature=kappa, diffusion=d)]]),
        )
    return (
        _stack([[theory.em_mean(interval, curvature=kappa, dt=dt, start=1.0)]]),
        _stack([[theory.em_variance(interval, curvature=kappa, diffusion=d, dt=dt)]]),
    )


def _stack(rows: list[list[Any]]) -> np.ndarray:
    """A matrix of arrays as an array of matrices."""
    flat = np.broadcast_arrays(*(x for row in rows for x in row))
    return np.stack(flat, -1).reshape(*flat[0].shape, len(rows), len(rows))


def _within(a: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Replace coefficients beyond float64, which a saddle reaches, by HUGE ones: they are finite, and the paths diverge."""
    far = ~(np.isfinite(a).all((-1, -2)) & np.isfinite(s).all((-1, -2)))[..., None, None]
    return np.where(far, HUGE * np.eye(a.shape[-1]), a), np.where(far, HUGE * np.eye(a.shape[-1]), s)


def sample(
    model: LinearProcess,
    values: Mapping[str, np.ndarray],
    times: np.ndarray,
    *,
    law: str,
    paths: int,
    seed: int | None = 0,
    kind: str = "normal",
    dtype: DType = "mixed",
    device: Device = "cpu",
    executor: Executor | None = None,
    progress: Progress = None,
) -> Run:
    """Squared displacements from w = 0 at the times of a study, drawn from the law of `transitions`.

    law: "sde" (physical times), "em" or "algorithm" (numbers of steps); values, times as there. One
    feature, msd; shape (*sweep, time, 1); the record counts the times.
    """
    check(
        kind == "normal", f"kind={kind!r}: the law at the recorded times is Gaussian; give kind='normal', or simulate the steps"
    )
    a, s = transitions(model, values, times, law=law)
    square = Observer("msd", lambda seen: [seen.w[0] * seen.w[0]], ("msd",))
    return gaussian_chain(
        a, s, paths=paths, observe=square, seed=seed, dtype=dtype, device=device, executor=executor, progress=progress
    )


__all__ = ["LAWS", "root", "sample", "transitions"]
