"""Other libraries doing a contest's work on the same GPU, on whole arrays. In a dry run they compute on the host."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .backends.arrays import begin
from .work import Answer, MissingError, Run, Work
from .workloads.linear import A, C

UNROLL = 8  # steps in one turn of a compiled loop
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX would take three quarters of the memory


def cupy(kind: str) -> Callable[[Any, Work], Run]:
    """Runs the linear diffusion. kind: "cuRAND", "Generator" or "fused", which chooses the normals and how w is updated."""

    def prepare(cp: Any, work: Work) -> Run:
        def run() -> Answer:
            draw, w, sums = _normals(cp, kind, work.paths), cp.zeros(work.paths, np.float32), []
            update = cp.ElementwiseKernel("T z, T a, T c", "T w", "w = a*w - c*z", "linear") if kind == "fused" else _in_place
            for k in range(1, work.steps + 1):
                update(draw(), np.float32(A), np.float32(C), w)
                if k % work.every == 0:
                    sums.append((w.mean(dtype=np.float64), (w * w).mean(dtype=np.float64)))
            return {"first": cp.stack([a for a, _ in sums]), "second": cp.stack([b for _, b in sums])}

        return run

    return prepare


def _normals(cp: Any, kind: str, count: int) -> Callable[[], Any]:
    """Returns the function that draws. Of cuRAND we take Philox with four numbers per call, its fastest generator here."""
    if cp is np:
        rng = np.random.default_rng(0)
        return lambda: rng.standard_normal(count, np.float32)
    if kind == "Generator":
        generator = cp.random.Generator(cp.random.Philox4x3210(0))
        return lambda: generator.standard_normal(count, dtype=np.float32)
    state = cp.random.RandomState(0, method=cp.cuda.curand.CURAND_RNG_PSEUDO_PHILOX4_32_10)
    return lambda: state.standard_normal(count, dtype=np.float32)


def _in_place(z: Any, a: Any, c: Any, w: Any) -> None:
    w *= a
    z *= c
    w -= z


def jax(dtype: str = "float32", unroll: int = 1, numbers: str = "threefry2x32") -> Callable[[Any, Work], Run]:
    """Runs one jit with loops of a length known to the compiler, so that no step waits for the host."""

    def prepare(cp: Any, work: Work) -> Run:
        import jax as library
        import jax.numpy as jnp

        if cp is not np and library.default_backend() != "gpu":
            raise MissingError(f"this JAX runs on {library.default_backend()}: install jax[cuda13]")
        library.config.update("jax_enable_x64", True)

        def go(s: Any, key: Any) -> Answer:
            def one(k: Any, s: Any) -> Any:
                z = library.random.normal(library.random.fold_in(key, k), (work.draws, work.paths), dtype)
                return work.step(jnp, s, z, work.gradient)

            def interval(s: Any, i: Any) -> Any:
                s = library.lax.fori_loop(0, work.every, lambda k, s: one(i * work.every + k, s), s, unroll=unroll)
                f = work.feature(jnp, s).astype(dtype)  # type: ignore[misc]
                return s, (f.mean(-1, dtype=jnp.float64), (f * f).mean(-1, dtype=jnp.float64))

            first, second = library.lax.scan(interval, s, jnp.arange(work.times))[1]
            return {"first": first, "second": second}

        start = tuple(jnp.asarray(x) for x in begin(work, np, 0, work.paths, dtype))
        compiled, key = library.jit(go), library.random.key(0, impl=numbers)
        return lambda: library.block_until_ready(compiled(start, key))

    return prepare


def torch(compiled: bool) -> Callable[[Any, Work], Run]:
    """Runs in float32. With compiled=True, torch.compile takes UNROLL steps at a time together with their normals."""

    def prepare(cp: Any, work: Work) -> Run:
        import torch as library

        if cp is not np and not library.cuda.is_available():
            raise MissingError("this PyTorch has no CUDA")
        where = "cpu" if cp is np else "cuda"

        def steps(s: tuple[Any, ...]) -> tuple[Any, ...]:
            for _ in range(UNROLL):
                z = library.randn((work.draws, work.paths), dtype=library.float32, device=where)
                s = work.step(library, s, z, work.gradient)
            return s

        advance = library.compile(steps, dynamic=False) if compiled else steps

        @library.no_grad()
        def run() -> Answer:
            library.manual_seed(0)
            s = tuple(library.as_tensor(x, device=where) for x in begin(work, np, 0, work.paths, np.float32))
            sums = []
            for _ in range(work.times):
                for _ in range(work.every // UNROLL):
                    s = advance(s)
                f = work.feature(library, s).double()  # type: ignore[misc]
                sums.append((f.mean(-1), (f * f).mean(-1)))
            if where == "cuda":
                library.cuda.synchronize()
            return {"first": library.stack([a for a, _ in sums]), "second": library.stack([b for _, b in sums])}

        return run

    return prepare
