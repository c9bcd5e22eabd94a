"""One entry of the register of discrepancies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..experiments import FAILS, ONLY, Claim, Progress, verdict

KIM = "Kim, Park, Choi, Lee"
SLIDES = f"slides of {KIM}"


@dataclass(frozen=True)
class Means:
    """The means of computing an entry: the size, below 1 for fewer seeds, and the options of simulate."""

    size: float = 1.0
    progress: Progress = None
    executor: Any = None

    @property
    def how(self) -> dict[str, Any]:
        return {"progress": self.progress, "executor": self.executor}


@dataclass(frozen=True)
class Entry:
    """A printed statement, the correct one, and the measured numbers that tell which is right; `where` is its place.

    theory: the functions of samfast.theory (or others of samfast) that hold the mathematics.
    """

    label: str
    where: str
    printed: str
    correct: str
    measured: str
    verdict: str
    theory: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def claim(self) -> Claim:
        source = f"{self.where}; correct: {self.correct}" + (f"; {self.theory}" if self.theory else "")
        return Claim(f"{self.label}. {self.printed}", self.measured, self.verdict, source)


def row(values: Iterable[float], form: str) -> str:
    """Formats numbers in a row, separated by commas."""
    return ", ".join(format(float(x), form) for x in values)


def weaker(good: Any, better: Any, condition: str) -> str:
    """Returns "holds" if good; else "holds only if <condition>" if `better` shows that, or "does not hold"."""
    return verdict(good, otherwise=ONLY + condition if bool(better) else FAILS)


Show = Callable[[Means], Entry]
