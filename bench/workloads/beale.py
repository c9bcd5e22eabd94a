"""Beale's function: gradient descent, SAM with constant and with normalised radius, float64, no noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import samfast as sf

from .. import check
from ..backends import arrays, cpp, jax, ours, torch
from ..work import Answer, Goal, Work, Workload, count, late

LR, RHO, SHOWN = 1e-3, 1e-3, 32  # SHOWN: paths that the check computes again


def value(xp: Any, w: Any) -> Any:
    x, y = w
    return (1.5 - x * (1 - y)) ** 2 + (2.25 - x * (1 - y**2)) ** 2 + (2.625 - x * (1 - y**3)) ** 2


def gradient(xp: Any, w: Any) -> Any:
    x, y = w
    p, square = 1 - y, y * y
    q, r = 1 - square, 1 - square * y
    a, b, c = 1.5 - x * p, 2.25 - x * q, 2.625 - x * r
    return -2 * (a * p + b * q + c * r), 2 * x * (a + 2 * y * b + 3 * square * c)


def descent(xp: Any, w: Any, z: Any, gradient: Any) -> Any:
    gx, gy = gradient(xp, w)
    return w[0] - LR * gx, w[1] - LR * gy


def sam(xp: Any, w: Any, z: Any, gradient: Any) -> Any:
    gx, gy = gradient(xp, w)
    ux, uy = gradient(xp, (w[0] + RHO * gx, w[1] + RHO * gy))
    return w[0] - LR * ux, w[1] - LR * uy


def normalised(xp: Any, w: Any, z: Any, gradient: Any) -> Any:
    gx, gy = gradient(xp, w)
    r = RHO / xp.sqrt(gx * gx + gy * gy)
    ux, uy = gradient(xp, (w[0] + r * gx, w[1] + r * gy))
    return w[0] - LR * ux, w[1] - LR * uy


STEPS = {"gd": descent, "sam": sam, "normalised": normalised}
RULES = {"gd": sf.gd(lr=LR), "sam": sf.sam(lr=LR, rho=RHO), "normalised": sf.sam(lr=LR, rho=RHO, normalize=True)}


def starts(paths: int) -> np.ndarray:
    """Returns starts (coordinate, path) in a box from which all go towards the minimum.

    The first starts are the same for any number of paths.
    """
    return np.random.default_rng(0).uniform([0.5, -0.3], [1.5, 0.3], (paths, 2)).T.copy()


def right(name: str) -> Callable[[Work, Answer], str]:
    """Returns a check that computes the first paths again in extended precision, with the error that rounding allows."""

    def check_paths(work: Work, answer: Answer) -> str:
        w = tuple(x[:SHOWN].astype(np.longdouble) for x in work.start)
        for _ in range(work.steps):
            w = STEPS[name](np, w, None, gradient)
        return check.near("paths", answer["w"][:, :SHOWN], np.stack(w), check.rounding(answer["w"], work.steps))

    return check_paths


def workload(name: str, title: str, goals: dict[str, Goal]) -> Workload:
    def make(scale: float) -> Work:
        paths = count(2**17, scale)
        return Work(paths, 256, 1, STEPS[name], tuple(starts(paths)), keep="state", value=value, gradient=gradient)

    def build(work: Work) -> Any:
        return sf.losses.beale(), RULES[name], np.stack(work.start, -1), {}

    def yard(y: Any, work: Work) -> Answer:
        x, v = (a.copy() for a in work.start)
        y.beale(name, x, v, work.steps, LR, RHO)
        return {"w": np.stack([x, v])}

    peers = (*arrays.BACKENDS, *jax.GRADIENTS, *torch.BACKENDS)
    return Workload(
        f"beale-{name}",
        title,
        "deterministic; extended precision",
        make,
        right(name),
        (*ours.backends(build, "float64"), cpp.backend(yard), *(peers if name == "sam" else late(*peers))),
        goals,
    )


WORKLOADS = (
    workload(
        "sam",
        "SAM on Beale's function, constant rho: 131,072 paths x 256 steps",
        {"C++": Goal(least=0.98), "JAX float64": Goal(least=2.3), "JAX float64, derived gradient": Goal(least=9)},
    ),
    workload("gd", "Gradient descent on Beale's function: 131,072 paths x 256 steps", {"C++": Goal(least=0.95)}),
    workload("normalised", "SAM on Beale's function, normalised rho: 131,072 paths x 256 steps", {"C++": Goal(least=0.88)}),
)
