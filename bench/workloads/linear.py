"""Plain linear diffusion: SAM on a parabola, w <- a w - c z, recorded four times."""

from __future__ import annotations

from typing import Any

import numpy as np

import samfast as sf

from .. import check
from ..backends import arrays, cpp, jax, ours, sde, torch
from ..work import Answer, Goal, Work, Workload, count, late

LR, RHO, SIGMA, EIGENVALUE = 0.01, 0.05, 0.1, 1.0
KAPPA = EIGENVALUE * (1 + RHO * EIGENVALUE)
A, C = 1 - LR * KAPPA, LR * SIGMA


def step(xp: Any, s: Any, z: Any, gradient: Any) -> Any:
    return (A * s[0] - C * z[0],)


def displacement(xp: Any, s: Any) -> Any:
    """The displacement from the start, which is 0."""
    return s[0]


def make(scale: float, paths: int = 2**17, every: int = 128, times: int = 4) -> Work:
    about = {"curvature": KAPPA, "deviation": SIGMA * np.sqrt(LR), "dt": LR}
    return Work(count(paths, scale), every, times, step, (np.zeros(1),), feature=displacement, draws=1, about=about)


def build(work: Work) -> Any:
    rule = sf.diffusion(sf.sam(lr=LR, rho=RHO), sigma=SIGMA)
    return sf.losses.quadratic([EIGENVALUE]), rule, [0.0], {"observe": sf.observe.displacement()}


def exact(work: Work) -> Any:
    return sf.theory.em_variance(work.record, curvature=KAPPA, diffusion=LR * SIGMA**2 / 2, dt=LR)


def right(work: Work, answer: Answer) -> str:
    return check.gaussian(answer, exact(work), work.paths)


def yard(mode: str) -> Any:
    return lambda y, work: cpp.moments(work, y.linear(mode, A, C, 0.0, work.record, work.paths, seed=1))


GOALS = {
    "C++": Goal(least=0.95),
    "NumPy": Goal(least=12.5),
    "JAX float32": Goal(least=8.5),
    "JAX float64": Goal(least=22),
    "PyTorch float32": Goal(least=6),
    "diffrax": Goal(least=45),
    "torchsde": Goal(least=75),
}
WORKLOADS = (
    Workload(
        "linear",
        "Euler-Maruyama of SAM on a parabola: 131,072 paths x 512 steps, mean and mean square at 4 times",
        "normal, mean 0, theory.em_variance",
        make,
        right,
        (
            *ours.backends(build, "mixed", "float32", "float64", threads_late=False),
            cpp.backend(yard("mixed")),
            *late(
                cpp.backend(yard("float32"), "C++ float32", "samfast kernel float32"),
                cpp.backend(yard("float64"), "C++ float64", "samfast kernel float64"),
            ),
            *arrays.BACKENDS,
            *jax.FLOATS,
            *torch.BACKENDS,
            *sde.BACKENDS,
        ),
        GOALS,
    ),
)
