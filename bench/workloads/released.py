"""The authors' released setting on Beale's function (setting E in THEORY 8.1; samfast.reproduce.kim.beale.RELEASED)."""

from __future__ import annotations

from typing import Any

import numpy as np

import samfast as sf
from samfast.reproduce.kim.beale import MINIMUM, RELEASED, SADDLE

from .. import check
from ..backends import arrays, jax, ours
from ..work import Answer, Backend, Goal, Work, Workload, WrongError
from .beale import gradient, value

PLAIN, CALM = 2000, 200  # steps compared; CALM for the two walks that end at the saddle, where they are chaotic
RHO = np.array(RELEASED.rho)
TRAPPED = RHO >= 0.5


def step(xp: Any, w: Any, z: Any, gradient: Any) -> Any:
    rho, lr = xp.asarray(RHO, dtype=w[0].dtype), RELEASED.lr
    gx, gy = gradient(xp, w)
    r = rho / xp.sqrt(gx * gx + gy * gy)
    ux, uy = gradient(xp, (w[0] + r * gx, w[1] + r * gy))
    return w[0] - lr * ux, w[1] - lr * uy


def make(scale: float) -> Work:
    """Makes the work; a smaller scale takes fewer steps, as there are only a few walks."""
    times = max(64, int(RELEASED.steps * min(scale, 1.0)))
    return Work(len(RHO), 1, times, step, tuple(np.array(RELEASED.starts).T), keep="values", value=value, gradient=gradient)


def build(work: Work) -> Any:
    rule = sf.sam(lr=sf.per_path(np.full(len(RHO), RELEASED.lr)), rho=sf.per_path(RHO), normalize=True)
    return sf.losses.beale(), rule, RELEASED.starts, {"dtype": "float64"}


def right(work: Work, answer: Answer) -> str:
    """Compares (time, coordinate, walk) with a plain loop and, if all steps were run, the ends with those of THEORY 8.1."""
    got, w, slow = answer["values"], work.start, []
    for _ in range(min(PLAIN, work.steps)):
        w = step(np, w, None, gradient)
        slow.append(np.stack(w))
    plain, calm = np.stack(slow), min(CALM, work.steps)
    check.near("first steps", got[:calm], plain[:calm], check.rounding(got, calm))
    text = check.near("plain loop", got[: len(plain), :, ~TRAPPED], plain[..., ~TRAPPED], check.rounding(got, len(plain)))
    if work.steps == RELEASED.steps:
        end = got[-1]
        off = float(np.abs(end[:, TRAPPED] - SADDLE[:, None]).max())
        gone = float(np.linalg.norm(end[:, 0] - MINIMUM))
        if not (off < 3e-4 and gone < 0.6):
            raise WrongError(f"walks end {off:.1e} from the saddle and {gone:.2f} from the minimum, allowed 3e-4 and 0.6")
        text += f", at the saddle within {off:.0e}"
    return text


WORKLOADS = (
    Workload(
        "setting-E",
        f"Setting E on Beale's function: 4 normalised radii x {RELEASED.steps:,} steps, every position kept",
        "deterministic; a plain loop, and where the walks end",
        make,
        right,
        (*ours.backends(build, "float64")[:1], arrays.BACKENDS[0], Backend("JAX float64", jax.jax("float64"), needs="jax")),
        {"samfast": Goal(most=0.05 / (4 * RELEASED.steps) * 1e9, of="value")},
        tiny=0.01,
    ),
)
