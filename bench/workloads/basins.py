"""A basin map: the attractor that SAM reaches from each point of a grid on Beale's function."""

from __future__ import annotations

from typing import Any

import numpy as np

import samfast as sf

from ..backends import arrays, cpp, jax
from ..work import Answer, Backend, Run, Work, Workload, WrongError
from .beale import gradient, value

LR, RHO, NEAR, SIDE, STEPS = 1e-4, 0.05, 0.02, 100, 10_000
BOX = [(-1.5, 1.5), (-0.5, 2.5)]
CENTRES = np.array([[0.0, 1.0], [3.0, 0.5]])
SHOWN = 100  # starts that the check computes again
EDGE = 0.02  # share of the starts whose basin may depend on rounding


def step(xp: Any, w: Any, z: Any, gradient: Any) -> Any:
    gx, gy = gradient(xp, w)
    ux, uy = gradient(xp, (w[0] + RHO * gx, w[1] + RHO * gy))
    return w[0] - LR * ux, w[1] - LR * uy


def make(scale: float) -> Work:
    side = max(20, int(SIDE * np.sqrt(scale)) // 4 * 4)
    axes = [np.linspace(a, b, side) for a, b in BOX]
    x, y = (g.ravel() for g in np.meshgrid(*axes, indexing="ij"))
    return Work(
        side * side,
        STEPS if scale > 0.01 else 200,
        1,
        step,
        (x, y),
        keep="state",
        value=value,
        gradient=gradient,
        about={"side": side},
    )


def reached(w: Any) -> np.ndarray:
    """Returns the index of the attractor that each path has reached, -1 for none."""
    with np.errstate(all="ignore"):
        away = np.stack([np.hypot(w[0] - c[0], w[1] - c[1]) for c in CENTRES])
    return np.where(np.nanmin(np.where(np.isnan(away), np.inf, away), 0) < NEAR, away.argmin(0), -1)


def ours(work: Work) -> Run:
    side = work.about["side"]

    def run() -> Answer:
        found = sf.basins(
            sf.losses.beale(),
            sf.sam(lr=LR, rho=RHO),
            BOX,
            shape=(side, side),
            steps=work.steps,
            attractors=CENTRES,
            within=NEAR,
        )
        return {"index": np.maximum(found.index.ravel(), -1)}  # a path that diverged has reached no attractor

    return run


def yard(y: Any, work: Work) -> Answer:
    pad = -len(work.start[0]) % 16
    a, b = (np.append(x, np.zeros(pad)) for x in work.start)
    y.beale("sam", a, b, work.steps, LR, RHO)
    return {"w": np.stack([a, b])[:, : work.paths]}


def right(work: Work, answer: Answer) -> str:
    index = answer["index"] if "index" in answer else reached(answer["w"])
    chosen = np.random.default_rng(0).choice(work.paths, SHOWN, replace=False)
    w = tuple(x[chosen] for x in work.start)
    with np.errstate(all="ignore"):
        for _ in range(work.steps):
            w = step(np, w, None, gradient)
    same = float((reached(np.stack(w)) == index[chosen]).mean())
    if not same >= 1 - EDGE:
        raise WrongError(f"{1 - same:.1%} of {SHOWN} starts reach another attractor than in a plain loop")
    return f"{same:.0%} of {SHOWN} starts as in a plain loop, {np.mean(index == 0):.4f} to the saddle"


WORKLOADS = (
    Workload(
        "basins",
        f"Basin map of SAM on Beale's function: {SIDE} x {SIDE} starts x {STEPS:,} steps, float64",
        "deterministic; a plain loop on some starts",
        make,
        right,
        (
            Backend("samfast", ours),
            cpp.backend(yard, kernel="samfast"),
            Backend("NumPy", arrays.quiet, share=1 / 16),
            Backend("JAX float64", jax.jax("float64"), needs="jax", share=1 / 8),
        ),
        tiny=0.01,
    ),
)
