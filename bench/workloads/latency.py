"""The time of one path, by the compiled program alone and by simulate as a user calls it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np

from .. import check
from ..backends import arrays, jax, ours
from ..work import Answer, Backend, Goal, Run, Work, Workload
from .linear import A, C, build, displacement, step

STEPS, CALLS = 1000, 20  # CALLS are made in a row and the last is checked; one call alone would time cold caches


def make(scale: float) -> Work:
    return Work(1, STEPS, 1, step, (np.zeros(1),), keep="state", feature=displacement, draws=1, settings=CALLS)


def in_a_row(prepare: Callable[[Work], Run]) -> Callable[[Work], Run]:
    def prepared(work: Work) -> Run:
        once = prepare(work)

        @wraps(once)
        def run() -> Answer:
            for _ in range(CALLS - 1):
                once()
            return once()

        return run

    return prepared


def right(work: Work, answer: Answer) -> str:
    """Checks that the end of the one path, a draw from N(0, v), lies within five standard deviations."""
    v = C**2 * (1 - A ** (2 * work.steps)) / (1 - A**2)
    return check.random("end", answer["w"].ravel(), [0.0], np.sqrt(v))


WORKLOADS = (
    Workload(
        "one-path",
        f"One path of linear diffusion x {STEPS} steps",
        "normal, mean 0, theory.em_variance",
        make,
        right,
        (
            *ours.kernels(build, in_a_row, dtype="mixed"),
            Backend("samfast", in_a_row(ours.simulated(build, dtype="mixed"))),
            Backend("NumPy", in_a_row(arrays.numpy)),
            Backend("JAX float32", in_a_row(jax.jax("float32")), needs="jax"),
        ),
        {"samfast kernel": Goal(most=20, of="value")},
        unit="us per path",
        scale=STEPS * 1e6,
    ),
)
