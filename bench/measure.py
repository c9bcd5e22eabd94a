"""Runs one workload on its backends; an answer is checked before it is timed."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from . import timing
from .work import Backend, Goal, Row, Run, Workload, WrongError


def installed(backend: Backend) -> bool:
    return not backend.needs or importlib.util.find_spec(backend.needs) is not None


def fetch(answer: dict[str, Any]) -> dict[str, Any]:
    """Copies an answer to NumPy arrays."""
    return {k: x.get() if hasattr(x, "get") else np.asarray(x) for k, x in answer.items()}


def measure(
    workload: Workload,
    *,
    scale: float = 1.0,
    repeats: int = 15,
    seconds: float = 10.0,
    full: bool = False,
    only: Callable[[Backend], bool] = lambda backend: True,
) -> list[Row]:
    """Returns the rows of a workload. A backend with a wrong answer is reported and not timed.

    seconds: the time for all backends together. It counts from the first answer on, so without the compilation of samfast's
    program; backends whose turn comes later than that are left out, unless full=True.
    """
    begun = 0.0
    works = {b.name: workload.make(scale * b.share) for b in workload.backends}
    rows: dict[str, Row] = {}
    runs: dict[str, Callable[[], Any]] = {}
    firsts: dict[str, timing.Times] = {}
    for backend in workload.backends:
        if not installed(backend) or not only(backend):
            continue
        late = not full and (backend.late or (runs and time.perf_counter() - begun > seconds))
        row = rows[backend.name] = Row(workload.name, backend.name, "left out to save time: --full runs it", unit=workload.unit)
        if not late and (made := _first(workload, works[backend.name], backend, row)) is not None:
            runs[backend.name], firsts[backend.name] = made
            begun = begun or time.perf_counter()
    if runs:
        left = max(0.3 * seconds, seconds - (time.perf_counter() - begun))
        _time(workload, works, rows, runs, repeats, left, firsts if workload.slow else None, full)
    return list(rows.values())


def _first(workload: Workload, work: Any, backend: Backend, row: Row) -> tuple[Run, timing.Times] | None:
    """Prepares a backend, calls it, checks the answer and fills the row.

    Returns (run, times of the first call), or None if there is nothing to time.
    """

    def run() -> Any:
        with timing.processors(backend.threads):
            return inner()

    try:
        with timing.processors(backend.threads):
            inner, row.prepare, _ = timing.timed(lambda: backend.prepare(work))
        answer, first, cpu = timing.timed(run)
        if not workload.slow:
            answer, second, _ = timing.timed(run)
            row.compile = max(0.0, first - second)
        host, row.fetch, _ = timing.timed(lambda: fetch(answer))
        row.detail = workload.check(work, host)
        row.check = "correct"
        return run, timing.Times([first], [cpu], [0])
    except WrongError as error:
        row.check = f"wrong: {error}"
    except Exception as error:  # an error of another library belongs into its row and must not end the run
        row.check = f"did not run: {' '.join(str(error).split()) or type(error).__name__}"[:300]
    return None


def _time(
    workload: Workload,
    works: dict[str, Any],
    rows: dict[str, Row],
    runs: dict[str, Callable[[], Any]],
    repeats: int,
    seconds: float,
    firsts: dict[str, timing.Times] | None,
    full: bool,
) -> None:
    """Fills the times into the rows. firsts: the times that count as the first round of a slow workload."""
    named, first = {b.name: b for b in workload.backends}, workload.backends[0].name
    against = {name: named[name].against or first for name in runs}
    memory = {name: timing.peak_memory(run) for name, run in runs.items()} if full and not workload.slow else {}
    times = timing.interleave(runs, repeats, seconds, 3, always=set(against.values()), begun=firsts)
    for name, t in times.items():
        row, clock, units = rows[name], named[name].clock, works[name].units
        row.clock, row.repeats, row.against = clock, len(t.wall), against[name]
        row.wall, row.cpu = float(np.median(t.wall)), float(np.median(t.cpu))
        row.value = float(np.median(t.of(clock))) / units * workload.scale
        row.share = units / works[first].units
        row.memory = memory.get(name)
        if against[name] in times:  # otherwise the row of comparison was not measured and there is no ratio
            r = timing.ratios(t, times[against[name]], clock) / (units / works[against[name]].units)
            row.low, row.ratio, row.high = (float(x) for x in np.quantile(r, [0.25, 0.5, 0.75]))
            goal: Goal | None = workload.goals.get(name)
            if goal is not None:
                row.goal, row.met = str(goal), goal.met(row.ratio, row.value)
