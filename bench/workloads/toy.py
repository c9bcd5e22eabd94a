"""Toy network with random labels beside its ridge, where ln|w_0| is a sum of independent two-valued terms."""

from __future__ import annotations

from typing import Any

import numpy as np

import samfast as sf

from .. import check
from ..backends import arrays, jax, ours
from ..work import Answer, Work, Workload, count

LR, RHO, WEIGHT, START, STEPS = 0.01, 0.1, 0.5, 1e-60, 256
LABELS = np.array([-1.0, 2.0])
GROWTH = np.log(np.abs(1 + 4 * LR * WEIGHT * LABELS * (1 - 4 * RHO * WEIGHT * LABELS)))


def gradient(xp: Any, w: Any) -> Any:
    x, y, label = w
    e = y * x * x - label
    return 4 * e * y * x, 2 * e * x * x


def step(xp: Any, s: Any, z: Any, gradient: Any) -> Any:
    x, y = s
    label = 0.5 - 1.5 * z[0]
    gx, gy = gradient(xp, (x, y, label))
    ux, uy = gradient(xp, (x + RHO * gx, y + RHO * gy, label))
    return x - LR * ux, y - LR * uy


def grown(xp: Any, s: Any) -> Any:
    return xp.log(xp.abs(s[0] / START))


def make(scale: float) -> Work:
    """Makes the work, which starts so close to the ridge that w_1 does not change in float64."""
    return Work(
        count(2**18, scale),
        STEPS,
        1,
        step,
        (np.full(1, START), np.full(1, WEIGHT)),
        feature=grown,
        draws=1,
        kind="sign",
        gradient=gradient,
    )


def build(work: Work) -> Any:
    seen = sf.Observer("grown", lambda seen: [sf.log(sf.absolute(seen.w[0]) * (1 / START))], ("grown",))
    return sf.losses.toy_network(batch_size=1), sf.sam(lr=LR, rho=RHO), [START, WEIGHT], {"observe": seen}


def right(work: Work, answer: Answer) -> str:
    """Checks mean and mean square of ln|w_0|; its mean grows by theory.toy_network_exponent in each step."""
    n, mean, var = work.paths, work.steps * GROWTH.mean(), work.steps * GROWTH.var()
    one = check.random("mean of ln|w_0|", answer["first"], [mean], np.sqrt(var / n))
    error = np.sqrt((2 * var**2 + 4 * mean**2 * var) / n)
    two = check.random("mean square of ln|w_0|", answer["second"], [var + mean**2], error)
    return max(one, two, key=lambda text: float(text.split()[1]))


WORKLOADS = (
    Workload(
        "toy-network",
        f"SAM on the toy network beside its ridge, a random label per step: 262,144 paths x {STEPS} steps, float64",
        "ln|w_0| is binomial; mean theory.toy_network_exponent",
        make,
        right,
        (*ours.backends(build, "float64"), arrays.BACKENDS[0], jax.FLOATS[1]),
    ),
)
