"""Gradient flow on Beale's function to a given accuracy: classical Runge-Kutta in samfast, Taylor steps in heyoka."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import samfast as sf

from .. import check
from ..backends import arrays, heyoka, jax, ours
from ..work import Answer, Goal, Work, Workload, count
from .beale import gradient, starts, value

TIME, STEPS, ACCURACY, SHOWN = 1.0, 128, 1e-8, 16
TOLERANCE = 3e-7  # of a Taylor step, the largest that reaches ACCURACY; likewise STEPS is about the smallest number
H = TIME / STEPS


def runge_kutta(xp: Any, w: Any, z: Any, gradient: Any) -> Any:
    def at(k: Any, h: float) -> Any:
        return gradient(xp, (w[0] - h * k[0], w[1] - h * k[1]))

    a = gradient(xp, w)
    b = at(a, H / 2)
    c = at(b, H / 2)
    d = at(c, H)
    return tuple(x - H / 6 * (p + 2 * (q + r) + s) for x, p, q, r, s in zip(w, a, b, c, d, strict=True))


def direction(w: Any, grad: Any, p: Any) -> Any:
    """The Runge-Kutta step as the direction of a user's own rule, w' = w - lr*direction."""
    a = grad(w)
    b = grad(w - 0.5 * p.lr * a)
    c = grad(w - 0.5 * p.lr * b)
    d = grad(w - p.lr * c)
    return (a + 2 * (b + c) + d) / 6


def make(scale: float) -> Work:
    paths = count(2**15, scale)
    return Work(paths, STEPS, 1, runge_kutta, tuple(starts(paths)), keep="state", value=value, gradient=gradient)


def build(work: Work) -> Any:
    return sf.losses.beale(), sf.rule("runge_kutta", direction, lr=H), np.stack(work.start, -1), {}


@cache
def reference() -> np.ndarray:
    from scipy.integrate import solve_ivp

    return np.stack(
        [
            solve_ivp(lambda t, w: -np.array(gradient(np, w)), (0, TIME), w, method="DOP853", rtol=1e-13, atol=1e-13).y[:, -1]
            for w in starts(256)[:, :SHOWN].T
        ],
        -1,
    )


def right(work: Work, answer: Answer) -> str:
    """Compares the first ends with the reference, which serves any number of paths because their first starts are the same."""
    return check.near("ends", answer["w"][:, :SHOWN], reference(), ACCURACY)


WORKLOADS = (
    Workload(
        "flow",
        f"Gradient flow on Beale's function to time {TIME:g} with error below {ACCURACY:g}: 32,768 starts",
        "deterministic; SciPy's DOP853 with tolerance 1e-13",
        make,
        right,
        (*ours.backends(build, "float64")[:3], heyoka.flow(value, TIME, TOLERANCE), arrays.BACKENDS[0], jax.FLOATS[1]),
        {"heyoka, batches": Goal(least=1)},
        unit="ns per path",
        scale=STEPS * 1e9,
    ),
)
