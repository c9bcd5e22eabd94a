"""From a model to its first answer with nothing kept: what a new loss costs, for the two compilers of samfast and for others.

Each call traces, compiles and runs SAM on Beale's function again. The imports of a library are in `prepare`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import samfast as sf

from ..backends import heyoka, jax, ours
from ..work import Backend, Goal, Work, Workload
from . import beale

PATHS, STEPS = 256, 16


def make(scale: float) -> Work:
    return Work(
        PATHS, STEPS, 1, beale.sam, tuple(beale.starts(PATHS)), keep="state", value=beale.value, gradient=beale.gradient
    )


def build(work: Work) -> Any:
    return sf.losses.beale(), beale.RULES["sam"], np.stack(work.start, -1), {}


WORKLOADS = (
    Workload(
        "new-loss",
        "A new loss: SAM on Beale's function traced, compiled and run, nothing kept",
        "deterministic; extended precision",
        make,
        beale.right("sam"),
        (
            Backend("samfast", ours.anew(build, "llvm", dtype="float64")),
            Backend("samfast by Numba", ours.anew(build, "numba", dtype="float64"), late=True),
            Backend("JAX float64, derived gradient", jax.anew("float64"), needs="jax"),
            Backend("heyoka, compiled function", heyoka.anew(beale.LR, beale.RHO), needs="heyoka"),
        ),
        {"samfast by Numba": Goal(least=2)},  # below, our own front end is not worth its lines
        unit="ms per program",
        scale=PATHS * STEPS * 1e3,
        slow=True,
    ),
)
