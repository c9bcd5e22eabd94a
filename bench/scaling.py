"""Throughput against paths, recorded times, threads and chunk size, and the sizes at which one backend overtakes another."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

import samfast as sf
from samfast.simulation.job import Job

from . import timing
from .backends import arrays, jax, ours
from .measure import fetch, installed
from .work import Backend, Run, Work
from .workloads import linear

STEPS, REPEATS = 100, 3
CLEAR = 0.1  # a backend has overtaken another only if it ends up faster by this much, in logarithms


@dataclass
class Point:
    """Nanoseconds per path-step of one backend at one size, by its own clock and by the wall.

    The work is the linear diffusion, whose answer has been checked.
    """

    axis: str
    backend: str
    x: int
    value: float
    clock: str
    wall: float = 0.0


def measure(*, full: bool = False, scale: float = 1.0, seconds: float = 0.0) -> list[Point]:
    """Measures the points of all axes. seconds: no new point begins once they have passed; 0 sets no limit."""
    points, begun = [], time.perf_counter()
    for axis, x, backends, make in _plan(full, scale):
        calls: dict[str, Callable[[], Any]] = {}
        work = make()
        for b in backends:
            if installed(b) and not (seconds and time.perf_counter() - begun > seconds):
                run = _checked(b, work)
                if run:
                    calls[b.name] = run
        if calls:
            times = timing.interleave(calls, REPEATS, 1e9, REPEATS)
            for b in (b for b in backends if b.name in calls):
                value, wall = (float(np.median(times[b.name].of(clock))) / work.units * 1e9 for clock in (b.clock, "wall"))
                points.append(Point(axis, b.name, x, value, b.clock, wall))
    return points


def _checked(backend: Backend, work: Work) -> Run | None:
    def run() -> Any:
        with timing.processors(backend.threads):
            return inner()

    try:
        inner = backend.prepare(work)
        run()
        linear.right(work, fetch(run()))
    except Exception:
        return None  # the table of the workload says why
    return run


def _plan(full: bool, scale: float) -> Iterator[tuple[str, int, tuple[Backend, ...], Callable[[], Work]]]:
    """Yields (axis, x, backends, function that makes the work) of each point."""
    one, every, cuda = ours.backends(linear.build, "mixed")[:3]
    most, slow = 10**7 if full else 10**6, 10**6 if full else 10**5
    for n in (10**k for k in range(8)):
        peers = (arrays.BACKENDS[0], jax.FLOATS[0]) if n <= slow else ()
        if n <= most * scale or n == 1:
            yield "paths", n, (one, every, cuda, *peers), lambda n=n: _work(n, STEPS, 1)
    paths = max(256, int(10**5 * scale))
    for times in (1, 8, 64, 512):
        yield "recorded times", times, (one,), lambda times=times: _work(paths, 512 // times, times)
    for count in range(1, (len(timing.ALL) or os.cpu_count() or 1) + 1):
        yield "threads", count, (_threads(count),), lambda: _work(8 * paths, STEPS, 1)
    for size in (256, 1024, 4096, 16384, 65536):
        yield "chunk size", size, (_chunks(size),), lambda: _work(paths, STEPS, 1)


def _work(paths: int, each: int, times: int) -> Work:
    return dataclasses.replace(linear.make(1.0), paths=paths, every=each, times=times)


def _threads(count: int) -> Backend:
    def prepare(work: Work) -> Run:
        loss, rule, start, given = linear.build(work)

        def run() -> Any:
            with ThreadPoolExecutor(count) as pool:
                return ours.answer(
                    sf.simulate(loss, rule, start, record=work.record, paths=work.paths, state=False, executor=pool, **given),
                    work.keep,
                )

        return run

    return Backend("samfast", prepare, clock="wall", threads=0)


def _chunks(size: int) -> Backend:
    """A backend that cuts the same paths into shards of `size` and runs them one after another."""

    class Cut(Job):
        def chunk(self, steps: int, times: int) -> int:
            return size

    def cut(job: Any) -> Any:
        return Cut(**{f.name: getattr(job, f.name) for f in dataclasses.fields(job)})

    return Backend("samfast kernel", ours.kernel(linear.build, cut, dtype="mixed"))


def crossovers(points: list[Point]) -> list[tuple[str, str, float]]:
    """Returns (overtaken backend, overtaking backend, number of paths) for each crossing, interpolated in logarithms.

    Two backends whose clocks differ are compared by wall time.
    """
    lines = {
        b: {p.x: p for p in points if p.axis == "paths" and p.backend == b}
        for b in dict.fromkeys(p.backend for p in points if p.axis == "paths")
    }
    found = []
    for a, first in lines.items():
        for b, second in lines.items():
            x = sorted(set(first) & set(second))
            d = [_difference(first[n], second[n]) for n in x]
            for i in range(len(x) - 1):
                if d[i] > 0 >= d[i + 1] and d[-1] < -CLEAR:
                    t = d[i] / (d[i] - d[i + 1])
                    found.append((a, b, x[i] ** (1 - t) * x[i + 1] ** t))
    return found


def _difference(a: Point, b: Point) -> float:
    """Returns log(time of b / time of a), by wall time if their clocks differ."""
    return math.log(b.value / a.value if a.clock == b.clock else b.wall / a.wall if a.wall and b.wall else 1.0)


def sentences(points: list[Point]) -> list[str]:
    """Returns sentences on the crossovers, to two digits, which is more than the figures bear, and on the gain by threads."""
    out = [f"{b} overtakes {a} at about {float(f'{n:.2g}'):,.0f} paths of {STEPS} steps" for a, b, n in crossovers(points)]
    threads = sorted((p.x, p.value) for p in points if p.axis == "threads")
    if len(threads) > 1:
        out.append(f"{threads[-1][0]} threads run {threads[0][1] / threads[-1][1]:.2f} times as fast as one (wall time)")
    return out
