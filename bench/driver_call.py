"""The time of a driver's call from Python and back, beside its steps: python -m bench.driver_call, on a quiet machine.

The goal is 60 us for the arrays of one shard. The kernels themselves stand beside Numba's in `samfast bench --full`, in rows
"samfast kernel by Numba", whose ratio should be 0.97 or more; what a new program costs is its workload new-loss.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np


def call(repeats: int = 2000) -> float:
    """Returns the seconds of the call of a driver that takes no step, for one path: the way from Python and back."""
    import samfast as sf
    from samfast import cache
    from samfast.backends import cpu
    from samfast.simulation.prepare import prepared_job

    job = prepared_job(sf.losses.beale(), sf.sam(lr=1e-3, rho=1e-3), [1.0, 0.2], paths=1)
    (shard,) = job.shards(0, np.array([0]), None)
    run, given = cache.load(shard.program).run, []

    class Spy:
        @staticmethod
        def run(*arguments: object) -> int:
            given[:] = arguments
            return int(run(*arguments))

    load: Callable[..., object] = cache.load
    cache.load = lambda program: Spy  # type: ignore[assignment]
    try:
        cpu.run_shard(shard)
    finally:
        cache.load = load
    best = float("inf")
    for _ in range(20):
        begin = time.perf_counter()
        for _ in range(repeats // 20):
            run(*given)
        best = min(best, (time.perf_counter() - begin) / (repeats // 20))
    return best


if __name__ == "__main__":
    print(f"{1e6 * call():.1f} us for a call, goal 60 us")
