"""The backend heyoka takes adaptive Taylor steps, for as many starts at once as a vector register holds."""

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
