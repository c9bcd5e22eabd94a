"""The text of a module with what its caller must know, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MODES = {"mixed": ("float64", "float32"), "float32": ("float32", "float32"), "float64": ("float64", "float64")}
BLOCK = 256  # paths that are summed in one tree on every device
EXACT = 2**24  # float32 has all whole numbers up to it
LIMIT = 1e75  # a path beyond this has diverged: fourth powers still add up in float64


@dataclass(frozen=True, kw_only=True)
class Program:
    """The text of a module, and where everything in it lives. A worker needs nothing else to run it.

    A *call* of Philox gives four *words* of 32 bits, which are four normals or 128 signs. A *draw* is `calls` calls; they give
    the numbers of `served` steps, the first of them a multiple of `served`. Steps that need few numbers share a call.
    *Lanes* are the paths that the loops of a CPU run side by side; on a GPU they are the threads of a block.
    """

    text: str
    name: str
    device: str
    mode: str
    lanes: int  # 1: the driver for one path
    dim: int
    wide: bool  # all coordinates in one loop
    columns: tuple[tuple[str, int], ...]  # (name, size) of the parameters that all paths share, in the order of `params`
    rows: dict[
        str, tuple[int, ...]
    ]  # rows of the state: "w", "v0", ..., "m" (memory of the observer), "alarm", "stop", "p_" + per_path
    state_rows: int
    memory: tuple[float, ...]  # at the start
    labels: tuple[str, ...]  # of the features
    moments: int  # powers of each feature that are summed
    calls: int  # 0 without noise
    served: int  # 8 without noise
    noise_dtype: str  # of a number in scratch
    noise_rows: int  # rows of `lanes` random numbers that the caller gives as scratch; 0 where the driver has its own
    feature_rows: int  # the same for features
    statements: int  # of one step, for estimates of time
    per_path: frozenset[str]  # parameters that differ from path to path
    counting: str  # who needs the number of updates exactly, "observer 'first'", or ""
    group: int = 1  # settings that one GPU thread runs on the same numbers

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(MODES[self.mode][0])
