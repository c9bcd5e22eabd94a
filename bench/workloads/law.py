"""Paths drawn from their exact law at the recorded times, at a cost that does not depend on the number of steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import samfast as sf

from .. import check
from ..backends import arrays, jax
from ..work import Answer, Backend, Goal, Run, Work, Workload, count, late
from .linear import KAPPA, LR, SIGMA, displacement

STEPS, TIMES, DIFFUSION = 1000, 16, LR * SIGMA**2 / 2
A = float(sf.theory.em_mean(STEPS, curvature=KAPPA, dt=LR, start=1.0))
C = float(np.sqrt(sf.theory.em_variance(STEPS, curvature=KAPPA, diffusion=DIFFUSION, dt=LR)))


def jump(xp: Any, s: Any, z: Any, gradient: Any) -> Any:
    return (A * s[0] + C * z[0],)


def make(scale: float) -> Work:
    """Makes the work, one step of which is a jump over STEPS steps of the algorithm."""
    return Work(count(2**20, scale), 1, TIMES, jump, (np.zeros(1),), feature=displacement, draws=1)


def sampled(steps: int) -> Callable[[Work], Run]:
    """Draws by sf.gaussian_chain over jumps of `steps` steps; the check gets this number, as it may differ from STEPS."""
    a = sf.theory.em_mean(steps, curvature=KAPPA, dt=LR, start=1.0)
    v = sf.theory.em_variance(steps, curvature=KAPPA, diffusion=DIFFUSION, dt=LR)

    def prepare(work: Work) -> Run:
        def run() -> Answer:
            r = sf.gaussian_chain(np.full((TIMES, 1, 1), a), np.full((TIMES, 1, 1), v), paths=work.paths)
            square = r.central(2) + r.mean**2
            return {"first": r.mean[:, 0], "second": square[:, 0], "steps": np.array(steps)}

        return run

    return prepare


def right(work: Work, answer: Answer) -> str:
    steps = int(answer.pop("steps", STEPS)) * work.record
    return check.gaussian(answer, sf.theory.em_variance(steps, curvature=KAPPA, diffusion=DIFFUSION, dt=LR), work.paths)


FAR = 1000 * STEPS
WORKLOADS = (
    Workload(
        "law",
        f"Linear diffusion from its law: 1,048,576 paths, {TIMES} recorded times {STEPS} steps apart",
        "normal, mean 0, theory.em_variance",
        make,
        right,
        (
            Backend("samfast", sampled(STEPS)),
            Backend(f"samfast, times {FAR:,} steps apart", sampled(FAR)),
            *arrays.BACKENDS,
            jax.FLOATS[0],
            *late(jax.FLOATS[1]),
        ),
        {f"samfast, times {FAR:,} steps apart": Goal(most=1.1)},
        unit="ns per path and recorded time",
    ),
)
