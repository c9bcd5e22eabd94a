"""A sweep of 32 settings (lr, rho) on common noise."""

from __future__ import annotations

from typing import Any

import numpy as np

import samfast as sf

from .. import check
from ..backends import arrays, cpp, jax, ours
from ..work import Answer, Goal, Work, Workload, count, late
from .linear import displacement

COUNT, SIGMA = 32, 0.1
LR, RHO = 0.01 + np.arange(COUNT) * 1e-4, 0.05 + np.arange(COUNT) * 1e-3
A, C = 1 - LR * (1 + RHO), LR * SIGMA


def step(xp: Any, s: Any, z: Any, gradient: Any) -> Any:
    w = s[0]
    return (xp.asarray(A[:, None], dtype=w.dtype) * w - xp.asarray(C[:, None], dtype=w.dtype) * z[0],)


def make(scale: float) -> Work:
    return Work(count(2**15, scale), 128, 4, step, (np.zeros((COUNT, 1)),), feature=displacement, draws=1, settings=COUNT)


def build(work: Work) -> Any:
    rule = sf.diffusion(sf.sam(lr=LR, rho=RHO), sigma=SIGMA)
    return sf.losses.quadratic([1.0]), rule, [0.0], {"observe": sf.observe.displacement()}


def right(work: Work, answer: Answer) -> str:
    exact = sf.theory.em_variance(work.record[:, None], curvature=1 + RHO, diffusion=LR * SIGMA**2 / 2, dt=LR)
    return check.gaussian(answer, exact, work.paths)


def yard(y: Any, work: Work) -> Answer:
    return cpp.moments(work, y.settings(A, C, 0.0, work.record, work.paths, seed=1))


WORKLOADS = (
    Workload(
        "sweep",
        "32 settings of lr and rho on common noise: 32,768 paths x 512 steps, each setting's path-steps counted",
        "normal, mean 0, theory.em_variance",
        make,
        right,
        (*ours.backends(build, "mixed"), cpp.backend(yard), *arrays.BACKENDS, jax.FLOATS[0], *late(jax.FLOATS[1])),
        {"C++": Goal(least=0.9)},
    ),
)
