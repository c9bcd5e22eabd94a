"""One file per family of workloads; each gives a tuple WORKLOADS."""

from __future__ import annotations

import importlib
from dataclasses import replace
from functools import cache

from ..backends.ours import BY_NUMBA
from ..work import Goal, Workload

# A run that is short of time leaves out the last files.
FILES = (
    "linear",
    "beale",
    "law",
    "recording",
    "latency",
    "compiling",
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
    return {w.name: _beside_numba(w) for w in found}


def _beside_numba(w: Workload) -> Workload:
    """The same workload, with the goal that Numba's kernel, where it has one, is not faster than ours."""
    has = any(b.name == BY_NUMBA for b in w.backends)
    return replace(w, goals={**w.goals, BY_NUMBA: Goal(least=0.97)}) if has else w
