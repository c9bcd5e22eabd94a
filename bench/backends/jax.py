"""The backend JAX: one jit holds the loops over steps and recorded times, and a run returns when its answer is computed.

Threefry with jax.random.normal was the fastest of threefry, rbg and unsafe_rbg, with and without Box-Muller, on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..work import Answer, Backend, Run, Work
from .arrays import begin, stacked

BLOCK = 2**14  # numbers per array; larger arrays would not stay in the cache


def jax(dtype: str = "float32", derived: bool = False) -> Callable[[Work], Run]:
    """Returns prepare(work). With derived=True the gradient comes from jax.grad, otherwise from its closed form."""

    def prepare(work: Work) -> Run:
        import jax as library
        import jax.numpy as jnp

        library.config.update("jax_enable_x64", True)
        rows = max(int(np.prod(x.shape[:-1])) for x in work.start)
        size = work.paths
        while size > max(1, BLOCK // rows) and size % 2 == 0:
            size //= 2
        pieces = work.paths // size
        state = begin(work, np, 0, work.paths, dtype)
        blocks = tuple(jnp.asarray(np.moveaxis(x.reshape(*x.shape[:-1], pieces, size), -2, 0)) for x in state)
        go = library.jit(_program(work, size, dtype, _derivative(work) if derived else work.gradient))
        keys = library.random.split(library.random.key(0), pieces)
        return lambda: library.block_until_ready(go(blocks, keys))

    return prepare


def anew(dtype: str) -> Callable[[Work], Run]:
    """Traces, compiles and runs in each call, since each call makes another function; the gradient comes from jax.grad."""

    def prepare(work: Work) -> Run:
        import jax as library

        library.config.update("jax_enable_compilation_cache", False)  # which would keep machine code on disk

        def run() -> Answer:
            library.clear_caches()
            return jax(dtype, derived=True)(work)()

        return run

    return prepare


def _derivative(work: Work) -> Callable[..., Any]:
    import jax

    def gradient(xp: Any, w: Any) -> Any:
        return jax.grad(lambda u: work.value(xp, u).sum())(w)  # type: ignore[misc]

    return gradient


def _program(work: Work, size: int, dtype: str, gradient: Any) -> Callable[..., Answer]:
    import jax
    import jax.numpy as jnp
    from jax import lax

    def draw(key: Any, k: Any) -> Any:
        if work.draws == 0:
            return None
        of = jax.random.rademacher if work.kind == "sign" else jax.random.normal
        return of(jax.random.fold_in(key, k), (work.draws, size), dtype)

    def block(given: Any) -> Any:
        s, key = given

        def interval(s: Any, i: Any) -> Any:
            s = lax.fori_loop(i * work.every, (i + 1) * work.every, lambda k, s: work.step(jnp, s, draw(key, k), gradient), s)
            if work.keep == "moments":
                f = work.feature(jnp, s)  # type: ignore[misc]
                return s, jnp.stack([f.sum(-1), (f * f).sum(-1)])
            return s, stacked(jnp, s) if work.keep == "values" else 0

        return lax.scan(interval, s, jnp.arange(work.times))

    def go(blocks: Any, keys: Any) -> Answer:
        s, seen = lax.map(block, (blocks, keys))

        def side(x: Any) -> Any:
            x = jnp.moveaxis(x, 0, -2)
            return x.reshape(*x.shape[:-2], -1)

        if work.keep == "state":
            return {"w": stacked(jnp, tuple(side(x) for x in s))}
        if work.keep == "values":
            return {"values": side(seen)}
        total = seen.astype(jnp.float64).sum(0) / work.paths
        return {"first": total[:, 0], "second": total[:, 1]}

    return go


FLOATS = (
    Backend("JAX float32", jax("float32"), needs="jax", share=1 / 8),
    Backend("JAX float64", jax("float64"), needs="jax", share=1 / 8),
)
GRADIENTS = (
    Backend("JAX float64", jax("float64"), needs="jax", share=1 / 8),
    Backend("JAX float64, derived gradient", jax("float64", derived=True), needs="jax", share=1 / 8),
)
