"""Discrete noisy SAM: two minibatch gradients per step, each with noise of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

import samfast as sf

from .. import check
from ..backends import arrays, jax, ours, torch
from ..work import Answer, Goal, Work, Workload, count, late
from .linear import displacement

LR, RHO, SIGMA, EIGENVALUE = 0.01, 0.5, 0.1, 1.0


def gradient(xp: Any, w: Any) -> Any:
    return EIGENVALUE * w


def value(xp: Any, w: Any) -> Any:
    return 0.5 * EIGENVALUE * w * w


def step(xp: Any, s: Any, z: Any, gradient: Any) -> Any:
    w = s[0]
    ascent = gradient(xp, w) + SIGMA * z[0]
    return (w - LR * (gradient(xp, w + RHO * ascent) + SIGMA * z[1]),)


def make(scale: float) -> Work:
    return Work(count(2**17, scale), 64, 4, step, (np.zeros(1),), feature=displacement, draws=2, value=value, gradient=gradient)


def build(work: Work) -> Any:
    rule = sf.noisy(sf.sam(lr=LR, rho=RHO), sigma=SIGMA, minibatch="independent")
    return sf.losses.quadratic([EIGENVALUE]), rule, [0.0], {"observe": sf.observe.displacement()}


def right(work: Work, answer: Answer) -> str:
    factor = sf.theory.noise_factor(EIGENVALUE, rho=RHO, noise="independent")
    exact = sf.theory.em_variance(
        work.record, curvature=EIGENVALUE * (1 + RHO * EIGENVALUE), diffusion=factor * LR * SIGMA**2 / 2, dt=LR
    )
    return check.gaussian(answer, exact, work.paths)


WORKLOADS = (
    Workload(
        "noisy-sam",
        "SAM on minibatch gradients, independent noise in both: 131,072 paths x 256 steps of 2 normals, 4 times",
        "normal, mean 0, theory.em_variance with theory.noise_factor",
        make,
        right,
        (*ours.backends(build, "mixed"), *arrays.BACKENDS, jax.FLOATS[0], *late(jax.FLOATS[1], *torch.BACKENDS)),
        {"NumPy": Goal(least=12.5), "JAX float32": Goal(least=8.5)},
    ),
)
