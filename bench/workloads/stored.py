"""Every path's value stored at 16 times, with four moments of the samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import samfast as sf

from .. import check
from ..backends import arrays
from ..work import Answer, Backend, Run, Work, Workload, count
from .linear import build, displacement, exact, step

EVERY, TIMES = 8, 16


def make(scale: float) -> Work:
    return Work(count(2**18, scale), EVERY, TIMES, step, (np.zeros(1),), keep="values", feature=displacement, draws=1)


def powers(x: Any) -> Any:
    """Returns four moments (moment, time) of stored samples (time, path): the mean, then those about the mean."""
    mean = x.mean(-1)
    d = x - mean[:, None]
    square = d * d
    return np.stack([mean, square.mean(-1), (square * d).mean(-1), (square * square).mean(-1)])


def kept(values: bool) -> Callable[[Work], Run]:
    def prepare(work: Work) -> Run:
        loss, rule, start, options = build(work)

        def run() -> Answer:
            r = sf.simulate(
                loss, rule, start, record=work.record, paths=work.paths, values=values, moments=4, state=False, **options
            )
            answer = {"moments": np.stack([r.mean[:, 0], *(r.central(m)[:, 0] for m in (2, 3, 4))])}
            return answer | ({"values": r.values[..., 0]} if values else {})

        return run

    return prepare


def numpy(work: Work) -> Run:
    walk = arrays.numpy(work)

    def run() -> Answer:
        x = walk()["values"][:, 0]
        return {"values": x, "moments": powers(x)}

    return run


def right(work: Work, answer: Answer) -> str:
    """Compares the moments with those of N(0, v), and with moments of the stored samples if the answer holds these."""
    v, n = exact(work), work.paths
    want = np.stack([0 * v, v, 0 * v, 3 * v**2])
    error = np.stack([np.sqrt(v), np.sqrt(2) * v, np.sqrt(6 * v**3), np.sqrt(96) * v**2]) / np.sqrt(n)
    found = check.random("moments", answer["moments"], want, error)
    if "values" in answer:
        scale = want + error
        check.near("moments of the samples", powers(answer["values"].astype(float)) / scale, answer["moments"] / scale, 1e-9)
    return found


@dataclass(frozen=True, eq=False)
class Samples:
    """Stored numbers (time, path) as a work, a unit of which is one number."""

    x: np.ndarray

    @property
    def units(self) -> int:
        return self.x.size


def samples(scale: float) -> Samples:
    return Samples(np.random.default_rng(0).standard_normal((TIMES, count(2**18, scale))) + 3.0)


def of_stats(work: Samples) -> Run:
    def run() -> Answer:
        m = sf.stats.moments(work.x, 4)
        return {"moments": np.stack([m.mean, *(m.central(k) for k in (2, 3, 4))])}

    return run


def of_numpy(work: Samples) -> Run:
    return lambda: {"moments": powers(work.x)}


def of_jax(work: Samples) -> Run:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    @jax.jit
    def go(x: Any) -> Any:
        mean = x.mean(-1)
        square = (x - mean[:, None]) ** 2
        return jnp.stack([mean, square.mean(-1), (square * (x - mean[:, None])).mean(-1), (square**2).mean(-1)])

    x = jnp.asarray(work.x)
    return lambda: {"moments": jax.block_until_ready(go(x))}


def same(work: Samples, answer: Answer) -> str:
    return check.near("moments", answer["moments"], powers(work.x.astype(np.longdouble)), 1e-12)


WORKLOADS = (
    Workload(
        "stored",
        f"Linear diffusion, 262,144 paths x {EVERY * TIMES} steps: every value at {TIMES} times and 4 moments of them",
        "normal, mean 0, theory.em_variance",
        make,
        right,
        (
            Backend("samfast, moments only", kept(False)),
            Backend("samfast, values too", kept(True)),
            Backend("NumPy", numpy, share=1 / 8),
        ),
    ),
    Workload(
        "statistics",
        f"Four moments of stored samples: {TIMES} x 262,144 numbers, float64",
        "extended precision",
        samples,
        same,
        (Backend("samfast", of_stats), Backend("NumPy", of_numpy), Backend("JAX float64", of_jax, needs="jax")),
        unit="ns per number",
    ),
)
