"""The records of an experiment, which computes a published figure or theorem again and gives a verdict on each claim."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import check, names_of, numbers, shown

if TYPE_CHECKING:
    from matplotlib.animation import Animation
    from matplotlib.figure import Figure

ORDER = (
    "kim.fig",
    "kim.theorem",
    "kim.corollary",
    "kim.density",
    "bartlett.fig",
    "bartlett.theorem",
    "bartlett.lemmas",
    "discrepancies",
)
HOLDS, FAILS, OPEN = "holds", "does not hold", "open"
ONLY = "holds only if "
SUFFICIENT = "sufficient, not necessary"  # a condition that a paper assumes and that is not needed
UNSTATED = "not stated"  # a statement that a reader may expect, that no paper makes, and that is wrong
VERDICTS = (HOLDS, FAILS, OPEN, SUFFICIENT, UNSTATED)
Progress = bool | Callable[[int, int], None] | None


@dataclass(frozen=True)
class Claim:
    """A statement of a paper, the measurement beside it, and the verdict.

    verdict: "holds", "holds only if ...", "does not hold"; "open" if nothing here decides; "sufficient, not necessary" for a
    condition that the paper assumes and that is not needed; "not stated" for a wrong statement that no paper makes.
    source: paper, theorem, figure or equation, and the function of samfast.theory that holds the mathematics.
    """

    text: str
    measured: str
    verdict: str
    source: str

    def __post_init__(self) -> None:
        check(
            self.verdict in VERDICTS or self.verdict.startswith(ONLY),
            f"verdict={self.verdict!r}: choose {names_of(map(repr, VERDICTS))} or {ONLY + '...'!r}",
        )


@dataclass(frozen=True)
class Outcome:
    """The result of an experiment.

    numbers: all numbers behind the claims, plain or in lists. tables: name -> column -> values, the data of the pictures.
    figures: name -> matplotlib Figure. animations: name -> function that makes one, called only if animations are asked for.
    """

    claims: tuple[Claim, ...]
    numbers: dict[str, Any]
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    animations: Mapping[str, Callable[[], Animation]] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """experiment(size=1.0, progress=None, executor=None) -> Outcome; size below 1 takes fewer seeds, points or steps."""

    name: str
    title: str
    function: Callable[..., Outcome]

    def __call__(self, size: float = 1.0, progress: Progress = None, executor: Executor | None = None) -> Outcome:
        numbers("size", size, above=0.0, example=1.0)
        check(size <= 1, f"size={size!r}: give at most 1, the size of the publication")
        return self.function(size, progress, executor)


def experiment(name: str, title: str) -> Callable[[Callable[..., Outcome]], Experiment]:
    """Decorator that makes an Experiment of run(size=1.0, progress=None, executor=None) -> Outcome."""
    return lambda function: Experiment(name, title, function)


def verdict(good: Any, condition: str | None = None, *, otherwise: str = FAILS) -> str:
    """Returns "holds", or "holds only if <condition>", if `good` is true; else "does not hold", or `otherwise`."""
    return otherwise if not bool(np.all(good)) else HOLDS if condition is None else ONLY + condition


def names() -> tuple[str, ...]:
    """Returns the names of all experiments in the order of the papers, without importing one."""
    found = [name for name in _modules() if name.startswith(ORDER)]
    return tuple(name.replace(".", "-") for name in sorted(found, key=_place))


def _modules() -> Iterator[str]:
    """Yields the modules of this package and of its folders, such as "kim.fig1" for kim/fig1.py."""
    for folder in import_module(__package__).__path__:
        for top in iter_modules([folder]):
            yield top.name
            if top.ispkg:
                yield from (f"{top.name}.{m.name}" for m in iter_modules([str(Path(folder) / top.name)]))


def _place(module: str) -> tuple[int, int]:
    kind, number = re.match(r"(\D*)(\d*)", module).groups()  # type: ignore[union-attr]
    return ORDER.index(kind), int(number or 0)


def get(name: str) -> Experiment:
    """Returns the experiment of this name; imports its module."""
    check(isinstance(name, str) and name in names(), f"experiment {shown(name)}: choose one of {names_of(names())}")
    (made,) = (
        x
        for x in vars(import_module(f".{name.replace('-', '.')}", __package__)).values()
        if isinstance(x, Experiment) and x.name == name
    )
    return made
