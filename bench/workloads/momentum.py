"""Linear diffusion with momentum: the heavy ball of SAM on a parabola, v <- b v - k w - c z, w <- w + v."""

from __future__ import annotations

from typing import Any

import numpy as np

import samfast as sf

from .. import check
from ..backends import arrays, cpp, jax, ours, torch
from ..work import Answer, Goal, Work, Workload, count, late

LR, RHO, SIGMA, EIGENVALUE, MOMENTUM = 0.01, 0.05, 0.1, 1.0, 0.9
KAPPA = EIGENVALUE * (1 + RHO * EIGENVALUE)
B, K, C = MOMENTUM, LR * KAPPA, LR * SIGMA


def step(xp: Any, s: Any, z: Any, gradient: Any) -> Any:
    w, v = s
    v = B * v - K * w - C * z[0]
    return w + v, v


def displacement(xp: Any, s: Any) -> Any:
    """The displacement from the start, which is 0."""
    return s[0]


def make(scale: float) -> Work:
    return Work(count(2**17, scale), 128, 4, step, (np.zeros(1), np.zeros(1)), feature=displacement, draws=1)


def build(work: Work) -> Any:
    rule = sf.diffusion(sf.sam(lr=LR, rho=RHO, momentum=MOMENTUM), sigma=SIGMA)
    return sf.losses.quadratic([EIGENVALUE]), rule, [0.0], {"observe": sf.observe.displacement()}


def right(work: Work, answer: Answer) -> str:
    exact = sf.theory.momentum_em_moments(
        work.record, curvature=KAPPA, diffusion=LR * SIGMA**2 / 2, lr=LR, momentum=MOMENTUM, scheme="symplectic"
    ).var
    return check.gaussian(answer, exact, work.paths)


def yard(y: Any, work: Work) -> Answer:
    return cpp.moments(work, y.heavy_ball(B, K, C, 0.0, work.record, work.paths, seed=1))


WORKLOADS = (
    Workload(
        "momentum",
        "The same with momentum 0.9: 131,072 paths x 512 steps, mean and mean square at 4 times",
        "normal, mean 0, theory.momentum_em_moments",
        make,
        right,
        (
            *ours.backends(build, "mixed"),
            cpp.backend(yard),
            *arrays.BACKENDS,
            jax.FLOATS[0],
            *late(jax.FLOATS[1], *torch.BACKENDS),
        ),
        {"C++": Goal(least=0.95)},
    ),
)
