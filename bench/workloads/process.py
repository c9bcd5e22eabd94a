"""Whole processes: the first result with an empty and a filled cache, and the import."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import samfast

from .. import check
from ..work import Answer, Backend, Goal, Run, Workload, WrongError
from .linear import KAPPA, LR, RHO, SIGMA

PATHS, STEPS = 1024, 100
OURS = f"""
import json, time; a = time.perf_counter()
import numpy; b = time.perf_counter()
import samfast as sf; c = time.perf_counter()
r = sf.simulate(sf.losses.quadratic([1.0]), sf.diffusion(sf.sam(lr={LR}, rho={RHO}), sigma={SIGMA}), [0.0],
                record=[{STEPS}], paths={PATHS})
print(json.dumps([c - b, r.mean.item(), r.var.item()]))
"""
JAX = f"""
import json, jax, jax.numpy as jnp
@jax.jit
def go(key):
    w = jax.lax.fori_loop(0, {STEPS}, lambda k, w: {1 - LR * KAPPA} * w - {LR * SIGMA} * jax.random.normal(
        jax.random.fold_in(key, k), ({PATHS},)), jnp.zeros({PATHS}))
    return w.mean(), w.var()
print(json.dumps([0.0, *map(float, go(jax.random.key(0)))]))
"""


@dataclass(frozen=True)
class Once:
    """The work of one process, timed as a whole."""

    units: int = 1


FILLED: list[str] = []  # at most one folder: the cache filled by the last process that began with an empty one


def process(code: str, cached: bool = True, imports: bool = False) -> Callable[[Once], Run]:
    """Runs the code in a new Python. With imports=True, its seconds are those of importing samfast once NumPy is imported."""

    def prepare(work: Once) -> Run:
        def run() -> Answer:
            if not (cached and FILLED):
                _remove()
                FILLED.append(tempfile.mkdtemp(prefix="samfast-bench-"))
            path = os.pathsep.join([str(Path(samfast.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
            env = {**os.environ, "SAMFAST_CACHE_DIR": FILLED[0], "PYTHONPATH": path}
            begun = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
            seconds = time.perf_counter() - begun
            if done.returncode:
                raise WrongError((done.stderr.strip().splitlines() or ["the process failed"])[-1])
            own, mean, var = json.loads(done.stdout)
            return {"mean": np.array(mean), "var": np.array(var), "seconds": np.array(own if imports else seconds)}

        if cached and code is OURS and not FILLED:
            run()
        return run

    return prepare


@atexit.register
def _remove() -> None:
    while FILLED:
        shutil.rmtree(FILLED.pop(), ignore_errors=True)


def right(work: Any, answer: Answer) -> str:
    v = float(samfast.theory.em_variance(STEPS, curvature=KAPPA, diffusion=LR * SIGMA**2 / 2, dt=LR))
    check.random("mean", answer["mean"], 0.0, np.sqrt(v / PATHS))
    return check.random("variance", answer["var"], v, v * np.sqrt(2 / PATHS))


WORKLOADS = (
    Workload(
        "first-result",
        f"A whole process: Python, imports, {PATHS} paths x {STEPS} steps of linear diffusion, the answer",
        "normal, mean 0, theory.em_variance",
        lambda scale: Once(),
        right,
        (
            Backend("samfast, empty cache", process(OURS, cached=False), clock="wall", threads=0),
            Backend("samfast, cached", process(OURS), clock="wall", threads=0),
            Backend("import samfast beyond NumPy", process(OURS, imports=True), clock="wall", threads=0),
            Backend("JAX float32", process(JAX), needs="jax", clock="wall", threads=0, late=True),
        ),
        {
            "samfast, empty cache": Goal(most=2.5, of="value"),
            "samfast, cached": Goal(most=1.0, of="value"),
            "import samfast beyond NumPy": Goal(most=0.15, of="value"),
        },
        unit="s",
        scale=1.0,
        slow=True,
    ),
)
