"""The records of a benchmark: a work, the backends that do it, the goals, and the row of a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

Answer = dict[str, Any]  # arrays by name, on the host or a device; "seconds" if the work timed itself
Run = Callable[[], Answer]


class WrongError(Exception):
    """Raised when an answer is not the one that the work defines."""


def count(paths: int, scale: float) -> int:
    """Returns scale*paths, at least 256 and rounded down to a multiple of 16, the only numbers that the C++ kernels take."""
    return max(256, int(paths * scale) // 16 * 16)


class MissingError(Exception):
    """Raised when a backend cannot run here."""


@dataclass(frozen=True, eq=False)
class Work:
    """Many paths of a recursion s <- step(xp, s, z, gradient), recorded `times` times, once every `every` steps.

    In a step, s is a tuple of arrays whose last axis counts the paths, z holds `draws` arrays of that length (standard
    normals or signs), xp is the array library, and gradient(xp, w) is that of the loss if the step needs one.

    `keep` chooses the answer. "moments" gives {"first", "second"}, the means over the paths of feature(xp, s) and of its
    square, time first. "state" gives {"w"}, the arrays of s after the last step, stacked. "values" gives {"values"}, these
    arrays after each recorded step.
    """

    paths: int
    every: int
    times: int
    step: Callable[..., tuple[Any, ...]]
    start: tuple[np.ndarray, ...]
    keep: str = "moments"
    feature: Callable[..., Any] | None = None
    draws: int = 0
    kind: str = "normal"
    value: Callable[..., Any] | None = None
    gradient: Callable[..., Any] | None = None
    settings: int = 1
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        return self.every * self.times

    @property
    def record(self) -> np.ndarray:
        return self.every * np.arange(1, self.times + 1)

    @property
    def units(self) -> int:
        """The number of path-steps, over all settings of a sweep."""
        return self.paths * self.steps * self.settings


@dataclass(frozen=True)
class Goal:
    """Bounds `least` and `most` on the ratio of a row, or with of="value" on its figure."""

    least: float | None = None
    most: float | None = None
    of: str = "ratio"

    def met(self, ratio: float, value: float) -> bool:
        x = ratio if self.of == "ratio" else value
        return (self.least is None or x >= self.least) and (self.most is None or x <= self.most)

    def __str__(self) -> str:
        bound = f">= {self.least:g}" if self.least is not None else f"<= {self.most:g}"
        return bound if self.of == "ratio" else f"value {bound}"


@dataclass(frozen=True)
class Backend:
    """One way to do a work: prepare(work) -> run() -> answer, which is computed when run returns.

    clock: "cpu" for one thread, else "wall". needs: the package that must be installed. threads: 0 for all processors.
    late: leave it out unless the run is a full one. share: the part of the paths that a slow backend runs; figures are per
    path-step, so they stay comparable. against: the row that its ratio refers to; the first one unless named.
    """

    name: str
    prepare: Callable[[Any], Run]
    needs: str = ""
    clock: str = "cpu"
    threads: int = 1
    late: bool = False
    share: float = 1.0
    against: str = ""


def late(*backends: Backend) -> tuple[Backend, ...]:
    """Returns the same backends, marked to be left out unless the run is a full one."""
    return tuple(replace(b, late=True) for b in backends)


@dataclass(frozen=True)
class Workload:
    """A work and its backends. make(scale) -> work; check(work, answer) -> how far off it is, or WrongError.

    A figure is in `unit`, by default nanoseconds per path-step. A ratio is the time of a row / the time of the backend named
    by `against`, which is the first one unless named.
    """

    name: str
    title: str
    law: str
    make: Callable[[float], Any]
    check: Callable[[Any, Answer], str]
    backends: tuple[Backend, ...]
    goals: Mapping[str, Goal] = field(default_factory=dict)
    unit: str = "ns per path-step"
    scale: float = 1e9  # from seconds per unit to `unit`
    tiny: float = 0.02  # scale at which tests run it
    slow: bool = False  # each call takes seconds, so the first call, which is checked, counts as a round too


@dataclass
class Row:
    """One backend on one workload. Seconds are medians; low and high are quartiles of the ratio."""

    workload: str
    backend: str
    check: str  # "correct", or the error found, or why it did not run
    detail: str = ""  # how far off a correct answer is
    value: float | None = None  # in `unit`
    unit: str = ""
    share: float = 1.0  # the part of the paths that was run
    against: str = ""  # the row that the ratio refers to
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    goal: str = ""
    met: bool | None = None
    wall: float | None = None
    cpu: float | None = None
    clock: str = ""
    prepare: float | None = None  # seconds to make arrays and objects, with the imports
    compile: float | None = None  # seconds by which the first call is longer than the second
    fetch: float | None = None  # seconds to copy the answer to NumPy
    memory: float | None = None  # MB by which resident memory rises during a call
    repeats: int = 0

    @property
    def correct(self) -> bool:
        return self.check == "correct"
