"""The backend heyoka: adaptive Taylor steps, for as many starts at once as a vector register holds; compiled functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..work import Answer, Backend, Run, Work


def flow(value: Callable[..., Any], time: float, tolerance: float) -> Backend:
    """Integrates dw/dt = -grad value(w) in two coordinates up to `time`, on one thread."""

    def prepare(work: Work) -> Run:
        import heyoka as library

        names = library.make_vars("x", "y")
        loss = value(None, names)
        width = library.recommended_simd_size(np.double)
        pad = -work.paths % width
        starts = np.stack([np.append(x, np.repeat(x[-1:], pad)) for x in work.start])
        system = [(name, -library.diff(loss, name)) for name in names]
        integrator = library.taylor_adaptive_batch(system, np.ascontiguousarray(starts[:, :width]), tol=tolerance)

        def run() -> Answer:
            ends = np.empty_like(starts)
            for a in range(0, starts.shape[1], width):
                integrator.set_time(0.0)
                integrator.state[:] = starts[:, a : a + width]
                integrator.propagate_until(time)
                ends[:, a : a + width] = integrator.state
            return {"w": ends[:, : work.paths]}

        return run

    return Backend("heyoka, batches", prepare, needs="heyoka")


def anew(lr: float, rho: float) -> Callable[[Work], Run]:
    """Derives, compiles and takes the steps w <- w - lr grad L(w + rho grad L(w)) in each call, with nothing kept."""

    def prepare(work: Work) -> Run:
        import heyoka as library

        if hasattr(library.llvm_state, "set_diskcache_enabled"):  # since version 7.10
            library.llvm_state.set_diskcache_enabled(False)

        def run() -> Answer:
            library.llvm_state.clear_memcache()
            names = library.make_vars("x", "y")
            gradient = [library.diff(work.value(None, names), name) for name in names]  # type: ignore[misc]
            moved = {str(n): n + rho * g for n, g in zip(names, gradient, strict=True)}
            step = [n - lr * library.subs(g, moved) for n, g in zip(names, gradient, strict=True)]
            compiled = library.cfunc(step, names)
            w = np.ascontiguousarray(np.stack(work.start))
            for _ in range(work.steps):
                w = compiled(w)
            return {"w": w}

        return run

    return prepare
