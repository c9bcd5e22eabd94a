"""A rendered module as plain data: all that a worker needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MODES = {"mixed": ("float64", "float32"), "float32": ("float32", "float32"), "float64": ("float64", "float64")}
BLOCK = 256  # paths that are summed in one tree on every device
LIMIT = 1e75  # a path beyond this has diverged: fourth powers still add up in float64


@dataclass(frozen=True, kw_only=True)
class Program:
    """A rendered module and its layout. Plain data: a worker needs nothing else.

    columns: (name, size) of the common parameters, in the order of the columns of `params`. rows: name -> state rows,
    shape (size,): "w", "v0", "m" (observer memory), "alarm", and parameters that differ from path to path.
    """

    text: str
    name: str
    device: str
    mode: str
    lanes: int
    dim: int
    wide: bool
    columns: tuple[tuple[str, int], ...]
    rows: dict[str, tuple[int, ...]]
    state_rows: int
    memory: tuple[float, ...]
    labels: tuple[str, ...]
    moments: int
    calls: int  # Philox calls per `served` steps, 0 without noise
    served: int
    noise_dtype: str
    noise_rows: int  # rows of scratch that the caller gives
    feature_rows: int
    statements: int
    per_path: frozenset[str]
    group: int = 1  # settings of one GPU thread

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(MODES[self.mode][0])
