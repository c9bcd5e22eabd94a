"""Where a shard runs: the backend of its program's device."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..arrays import to_host
from . import cpu
from .shard import NEVER, Part, Shard

ON_GPU = ("cuda", "emulator", "simulator")  # devices that run the CUDA text


def run_shard(shard: Shard, stop: np.ndarray = NEVER) -> Part:
    """Run it here. Values and state of a GPU's shard stay on the GPU."""
    if shard.program.device in ON_GPU:
        from . import cuda

        return cuda.run_shard(shard, stop)
    return cpu.run_shard(shard, stop)


def run_for_worker(shard: Shard, stop: np.ndarray = NEVER) -> Part:
    """Run it as `run_shard` does, for a worker of an executor: every array of the result is in host memory."""
    part = run_shard(shard, stop)
    if shard.program.device != "cuda":
        return part
    return replace(
        part,
        values=None if part.values is None else to_host(part.values),
        state=None if part.state is None else to_host(part.state),
    )
