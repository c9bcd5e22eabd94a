"""What is measured: a work, the backends that do it, and the goals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

Answer = dict[str, Any]  # arrays by name, on the host or a device; "seconds" if the work timed itself
Run = Callable[[], Answer]


class WrongError(Exception):
    """An answer is not what the work defines."""


def count(paths: int, scale: float) -> int:
    """A number of paths that every backend takes."""
    return max(256, int(paths * scale) // 16 * 16)


class MissingError(Exception):
    """A backend cannot run here."""


@dataclass(frozen=True, eq=False)
class Work:
    """Many paths of a recursion s <- step(xp, s, z, gradient), looked at after every `every` steps, `times` times.

    s: a tuple of arrays whose last axis counts the paths; z: `draws` arrays of that length, standard normals or signs; xp:
    the array library; gradient(xp, w): of the loss, where the step needs one. `keep` says what the answer is:
    "moments": {"first", "second"}, means of feature(xp, s) and of its square over the paths, time first;
    "state": {"w"}, the arrays of s after the last step, stacked; "values": {"values"}, those after each recorded step.
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
        """Path-steps, those of all settings."""
        return self.paths * self.steps * self.settings


@dataclass(frozen=True)
class Goal:
    """least, most: bounds on the ratio to the first backend, or with of="value" on the figure itself."""

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
    """prepare(work) -> run() -> answer, computed when run returns. clock: "cpu" for one thread, else "wall".

    needs: the package that it stands on. threads: 0 for all processors. late: only where time is not short. share: of the
    paths, for what is so slow that all would take too long; its time is scaled. against: the row that its ratio refers to,
    the first one unless named.
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
    """The same, left out where time is short."""
    return tuple(replace(b, late=True) for b in backends)


@dataclass(frozen=True)
class Workload:
    """make(scale) -> work; check(work, answer) -> how far off, or WrongError. The first backend is what ratios refer to.

    A figure is nanoseconds (or `unit`) per unit of the work; a ratio is the time of a row / that of the first one.
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
    slow: bool = False  # a call takes seconds, the first one too, which is checked and counts


@dataclass
class Row:
    """One backend on one workload. Seconds are medians; low and high are quartiles of the ratio."""

    workload: str
    backend: str
    check: str  # "correct", or what was found, or why it did not run
    detail: str = ""  # how far off a correct answer is
    value: float | None = None  # in `unit`
    unit: str = ""
    share: float = 1.0  # of the paths
    against: str = ""  # the row that the ratio refers to
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    goal: str = ""
    met: bool | None = None
    wall: float | None = None
    cpu: float | None = None
    clock: str = ""
    prepare: float | None = None  # seconds: arrays and objects, imports included
    compile: float | None = None  # of the first call beyond the second
    fetch: float | None = None  # of copying the answer to NumPy
    memory: float | None = None  # peak of a call beyond what was resident, MB
    repeats: int = 0

    @property
    def correct(self) -> bool:
        return self.check == "correct"
