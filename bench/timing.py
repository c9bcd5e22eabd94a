"""Timing of calls that take turns, so that a drifting machine slows all alike: CPU and wall time, threads, peak memory."""

from __future__ import annotations

import ctypes
import gc
import os
import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass
class Times:
    """Seconds of each call of one backend and the number of its round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)

    def of(self, clock: str) -> np.ndarray:
        return np.array(self.cpu if clock == "cpu" else self.wall)


def timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """Returns (result, wall seconds, CPU seconds of all threads). A result with "seconds" has timed itself, and these count."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if isinstance(result, dict) and "seconds" in result:
        wall = cpu = float(result["seconds"])
    return result, wall, cpu


def interleave(
    calls: Mapping[str, Callable[[], Any]],
    repeats: int,
    seconds: float,
    least: int = 3,
    always: Container[str] = (),
    begun: dict[str, Times] | None = None,
) -> dict[str, Times]:
    """Times the calls in turns, A B A B ..., at most `repeats` rounds.

    All calls take part in the first `least` rounds. Later rounds, if they fit, have only the calls that have not used up
    their share of `seconds`. always: calls that others are compared with and that therefore take part in every round.
    begun: times of a first round that has been done already; then no further round is obligatory.
    """
    times = begun or {name: Times() for name in calls}
    least = 1 if begun else least
    share = seconds / max(1, len(calls))
    start = time.perf_counter()
    for i in range(1 if begun else 0, repeats):
        now = [name for name in calls if i < least or name in always or sum(times[name].wall) < share]
        if i >= least and time.perf_counter() - start + sum(times[name].wall[-1] for name in now) > seconds:
            break
        for name in now:
            _, wall, cpu = timed(calls[name])
            times[name].wall.append(wall)
            times[name].cpu.append(cpu)
            times[name].rounds.append(i)
    return times


def ratios(times: Times, first: Times, clock: str) -> np.ndarray:
    """Returns times / first, round by round; `first` must have taken part in every round."""
    return times.of(clock) / first.of(clock)[times.rounds]


@contextmanager
def processors(count: int) -> Iterator[None]:
    """Holds this thread, and threads begun inside, on the last `count` allowed processors (0 for all) if the system can."""
    if not hasattr(os, "sched_getaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    wanted = sorted(ALL or before)
    os.sched_setaffinity(0, set(wanted[-count:] if count else wanted))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


ALL = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


@contextmanager
def one_thread() -> Iterator[bool]:
    """Makes libraries loaded inside use one thread. Gives whether the system holds the process on one processor."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        with processors(1):
            yield bool(ALL)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def peak_memory(call: Callable[[], Any]) -> float | None:
    """Returns the MB by which resident memory rises during a call; None where the system does not tell."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
        before = _status("VmRSS")
        call()
        return max(0.0, (_status("VmHWM") - before) / 1e3)
    except (OSError, AttributeError):
        return None


def _status(key: str) -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key))
