"""Linear diffusion with two-point noise: a weak scheme of the same order that needs one random bit per step."""

from __future__ import annotations

from typing import Any

import numpy as np

import samfast as sf

from .. import check
from ..backends import arrays, cpp, jax, ours, torch
from ..work import Answer, Goal, Work, Workload, late
from .linear import EIGENVALUE, LR, RHO, SIGMA, A, C, displacement, exact, step


def make(scale: float) -> Work:
    return Work(
        max(192, int(98304 * scale) // 192 * 192), 256, 4, step, (np.zeros(1),), feature=displacement, draws=1, kind="sign"
    )


def build(work: Work) -> Any:
    rule = sf.diffusion(sf.sam(lr=LR, rho=RHO), sigma=SIGMA, kind="sign")
    return sf.losses.quadratic([EIGENVALUE]), rule, [0.0], {"observe": sf.observe.displacement()}


def right(work: Work, answer: Answer) -> str:
    """Checks the moments as for normal noise: the variance is the same, and sums of bounded terms have lighter tails."""
    return check.gaussian(answer, exact(work), work.paths)


def yard(mode: str) -> Any:
    return lambda y, work: cpp.moments(work, y.two_point(mode, A, C, 0.0, work.record, work.paths, seed=1))


WORKLOADS = (
    Workload(
        "two-point",
        "Linear diffusion with noise of +-1: 98,304 paths x 1024 steps, mean and mean square at 4 times",
        "a sum of 1024 weighted signs; variance theory.em_variance",
        make,
        right,
        (
            *ours.backends(build, "float64", "float32"),
            cpp.backend(yard("float64")),
            *late(cpp.backend(yard("float32"), "C++ float32", "samfast kernel float32")),
            *arrays.BACKENDS,
            jax.FLOATS[0],
            *late(jax.FLOATS[1], torch.BACKENDS[0]),
        ),
        {"C++": Goal(least=0.9)},
    ),
)
