"""The cost of recording at every step, against recording once at the end."""

from __future__ import annotations

from typing import Any

from ..backends import arrays, jax, ours
from ..work import Backend, Goal, Work, Workload, late
from .linear import build, make, right

STEPS = 256


def every_step(scale: float) -> Work:
    return make(scale, paths=2**17, every=1, times=STEPS)


def once(work: Work) -> Any:
    """Runs the same work, recorded after the last step only."""
    run = ours.simulated(build, dtype="mixed")(make(work.paths / 2**17, every=STEPS, times=1))
    return run


def last(work: Work, answer: dict[str, Any]) -> str:
    if len(answer["first"]) == 1:
        return right(make(work.paths / 2**17, every=STEPS, times=1), answer)
    return right(work, answer)


WORKLOADS = (
    Workload(
        "recording",
        f"Linear diffusion with mean and mean square at each of {STEPS} steps, 131,072 paths, against once at the end",
        "normal, mean 0, theory.em_variance",
        every_step,
        last,
        (
            Backend("samfast, recorded once", once),
            Backend("samfast, every step", ours.simulated(build, dtype="mixed")),
            *arrays.BACKENDS,
            jax.FLOATS[0],
            *late(jax.FLOATS[1]),
        ),
        {"samfast, every step": Goal(most=1.3)},
    ),
)
