"""verify: a saved result is computed again, and its numbers are compared."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..checks import check
from ..simulation.progress import Progress
from ..simulation.run import Run, complete
from . import calls
from .comparison import Comparison
from .displacement import msd
from .exits import exit_times
from .loading import load
from .pairs import paired_msd
from .result import Study

FUNCTIONS = {"msd": msd, "paired_msd": paired_msd, "exit_times": exit_times}
ROUNDING = 1e-9  # relative difference of a formula's value that another processor or version of SciPy may make
SIMULATED = ("msd", "se", "count", "left_out", "n_diverged", "steps", "time", "difference")  # by the paths alone


class Verdict(NamedTuple):
    """good: whether the simulated numbers are the same, bit for bit. text: the same in words, with what differs."""

    good: bool
    text: str


def verify(path: Path, executor: Executor | None = None, progress: Progress = None) -> Verdict:
    """Compute a saved run, study or comparison again and compare the numbers."""
    there = load(path)
    if isinstance(there, Run):
        return _run(there, executor, progress)
    if not isinstance(there, Study | Comparison):
        raise ValueError(f"path={str(path)!r}: verify knows runs, studies and comparisons; compute this result anew")
    attrs = there.dataset.attrs
    check(
        attrs.get("status", "complete") != "interrupted",
        "verify: this study was interrupted, so that nothing says which of its paths were finished; compute it anew",
    )
    call = calls.read(str(attrs["call"]))
    again: Any = FUNCTIONS[call.function](  # type: ignore[operator]
        **call.given, device=attrs.get("device", "cpu"), executor=executor, progress=progress
    )
    for each in call.more:
        again = again.more(**each, executor=executor, progress=progress)
    return _tables(there, again)


def _run(run: Run, executor: Executor | None, progress: Progress) -> Verdict:
    again = None
    for part in run.of_runs or (run,):
        one = complete(part.job, part.record, None, executor, progress, {})
        again = one if again is None else again.merge(one)
    assert again is not None
    if again.numbers == run.numbers:
        return Verdict(True, f"verified: the same numbers, {run.numbers}")
    parts = [
        f"{k} by {_apart(getattr(run, k), getattr(again, k)):.2g}"
        for k in ("mean", "var")
        if (getattr(run, k) != getattr(again, k)).any()
    ]
    return Verdict(
        False, f"NOT VERIFIED: saved {run.numbers}, now {again.numbers}; they differ in {', '.join(parts) or 'sums'} (relative)"
    )


def _tables(there: Study | Comparison, again: Study | Comparison) -> Verdict:
    a, b = there.dataset, again.dataset
    old, new = str(a.attrs["numbers"]), str(b.attrs["numbers"])
    if old == new:
        return Verdict(True, f"verified: the same numbers, {old[:16]}")
    names = [str(k) for k in a.variables if k not in b.variables or not _equal(a[k].values, b[k].values)]
    far = {k: _apart(a[k].values, b[k].values) if k in b.variables else np.inf for k in names}
    listed = ", ".join(f"{k} by {x:.2g}" for k, x in far.items()) or "its words"
    if names and not set(names) & set(SIMULATED) and max(far.values()) < ROUNDING:
        return Verdict(True, f"verified: the simulated numbers are the same; formulas differ by rounding ({listed}, relative)")
    return Verdict(False, f"NOT VERIFIED: saved {old[:16]}, now {new[:16]}; they differ in {listed} (relative)")


def _equal(x: np.ndarray, y: np.ndarray) -> bool:
    return np.array_equal(x, y, equal_nan=x.dtype.kind == "f" and y.dtype.kind == "f")


def _apart(x: Any, y: Any) -> float:
    """The largest relative difference; infinite where shapes, words or what is finite differ."""
    x, y = np.asarray(x), np.asarray(y)
    if x.shape != y.shape or x.dtype.kind not in "fiub":
        return np.inf
    x, y = x.astype(float), y.astype(float)
    with np.errstate(all="ignore"):
        off = np.where((x == y) | (np.isnan(x) & np.isnan(y)), 0.0, np.abs(x - y) / np.maximum(np.abs(x), np.abs(y)))
    return float(np.max(np.where(np.isnan(off), np.inf, off), initial=0.0))
