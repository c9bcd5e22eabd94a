"""Normalised SAM on a quadratic of 2 to 4096 coordinates, float64."""

from __future__ import annotations

from typing import Any

import numpy as np

import samfast as sf

from .. import check
from ..backends import arrays, cpp, jax, ours, torch
from ..work import Answer, Goal, Work, Workload, late

LR, RHO, SHOWN = 0.01, 0.01, 8
DIMENSIONS = (2, 16, 256, 4096)
MOST = 64  # coordinates that the C++ kernel holds


def workload(dim: int) -> Workload:
    eigenvalues = np.linspace(-0.5, 2, dim)

    def gradient(xp: Any, w: Any) -> Any:
        return xp.asarray(eigenvalues[:, None], dtype=w.dtype) * w

    def step(xp: Any, s: Any, z: Any, gradient: Any) -> Any:
        w = s[0]
        g = gradient(xp, w)
        return (w - LR * gradient(xp, w + (RHO / xp.sqrt((g * g).sum(0))) * g),)

    def make(scale: float) -> Work:
        paths, steps = max(256, int(2**20 * scale / dim / 64) * 64) if dim <= 256 else 256, 64
        start = np.random.default_rng(0).uniform(-1, 1, (dim, paths))
        return Work(paths, steps if scale > 0.05 else 8, 1, step, (start,), keep="state", gradient=gradient, settings=dim)

    def build(work: Work) -> Any:
        return sf.losses.quadratic(eigenvalues), sf.sam(lr=LR, rho=RHO, normalize=True), work.start[0].T, {}

    def right(work: Work, answer: Answer) -> str:
        w = work.start[0][:, :SHOWN].T.astype(float)
        for _ in range(work.steps):
            w = sf.theory.normalized_sam_step(w, eigenvalues=eigenvalues, lr=LR, rho=RHO)
        return check.near("paths", answer["w"][:, :SHOWN], w.T, check.rounding(answer["w"], work.steps))

    def yard(y: Any, work: Work) -> Answer:
        w = work.start[0].copy()
        y.quadratic(w, eigenvalues, work.steps, LR, RHO)
        return {"w": w}

    limit = (cpp.backend(yard),) if dim <= MOST else ()
    return Workload(
        f"quadratic-{dim}",
        f"Normalised SAM on a quadratic of {dim} coordinates, 64 steps, float64",
        "deterministic; theory.normalized_sam_step",
        make,
        right,
        (*ours.backends(build, "float64"), *limit, arrays.BACKENDS[0], jax.FLOATS[1], *late(torch.FLOAT64)),
        {"C++": Goal(least=0.9)} if limit else {},
        unit="ns per path-step and coordinate",
    )


WORKLOADS = tuple(workload(dim) for dim in DIMENSIONS)
