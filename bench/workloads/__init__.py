"""One file per family of workloads; each gives a tuple WORKLOADS."""

from __future__ import annotations

import importlib
from functools import cache

from ..work import Workload

# A run that is short of time leaves out the last files.
FILES = (
    "linear",
    "beale",
    "law",
    "recording",
    "latency",
    "process",
    "flow",
    "momentum",
    "sweep",
    "noisy_sam",
    "two_point",
    "released",
    "toy",
    "quadratic",
    "basins",
    "stored",
)


@cache
def every() -> dict[str, Workload]:
    """All workloads by name, in the order of the table."""
    found = [w for f in FILES for w in importlib.import_module(f".{f}", __name__).WORKLOADS]
    return {w.name: w for w in found}
