"""The report of a whole measurement: its rows, the scaling and the machine, to be printed and kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import machine, scaling, timing
from .measure import installed, measure
from .work import Row, Workload
from .workloads import every

SECONDS = 95.0  # that a default run may take, without its start and the charts
FULL = 30.0  # seconds, roughly, for the rounds of one workload in a full run
SCALING = 0.1  # share of SECONDS that the scaling gets
WEIGHTS = {"linear": 4.0, "beale-sam": 2.0, "first-result": 2.0}  # weights of the workloads' shares of SECONDS; others have 1
FORMAT = 1


@dataclass
class Report:
    """The results of one run of samfast bench on one machine."""

    machine: dict[str, Any]
    one_processor: bool  # whether one-thread rows were held on one processor
    full: bool
    rows: list[Row] = field(default_factory=list)
    points: list[scaling.Point] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)  # packages that are not installed
    skipped: list[str] = field(default_factory=list)  # workloads for which no time was left
    titles: dict[str, list[str]] = field(default_factory=dict)  # workload -> its title and the law of its answer
    seconds: float = 0.0

    def of(self, workload: str) -> list[Row]:
        return [r for r in self.rows if r.workload == workload]

    @property
    def wrong(self) -> list[Row]:
        return [r for r in self.rows if r.check.startswith("wrong")]

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def load(path: Path) -> Report:
        d = json.loads(path.read_text(encoding="utf-8"))
        if d.pop("format", None) != FORMAT:
            raise ValueError(f"{path}: not a result of this version of samfast bench; measure again with --json")
        return Report(**{**d, "rows": [Row(**r) for r in d["rows"]], "points": [scaling.Point(**p) for p in d["points"]]})


def run(
    names: Iterable[str],
    *,
    full: bool = False,
    with_scaling: bool = True,
    scale: float = 1.0,
    repeats: int = 15,
    tell: Callable[[Workload, list[Row]], None] = lambda workload, rows: None,
) -> Report:
    """Measure the named workloads one after another, each within its share of SECONDS unless full."""
    begun, todo = time.perf_counter(), [every()[name] for name in names]
    absent = sorted({b.needs for w in todo for b in w.backends if not installed(b)})
    with timing.one_thread() as held:
        report = Report(machine.about(), held, full, absent=absent)
        for i, workload in enumerate(todo):
            left = SECONDS * (1 - SCALING * with_scaling) - (time.perf_counter() - begun)
            if not full and left < 0:
                report.skipped.append(workload.name)
                continue
            weights = [WEIGHTS.get(w.name, 1.0) for w in todo[i:]]
            rows = measure(
                workload,
                scale=scale,
                repeats=repeats,
                full=full,
                seconds=FULL if full else max(1.0, left * weights[0] / sum(weights)),
            )
            report.rows += rows
            report.titles[workload.name] = [workload.title, workload.law]
            tell(workload, rows)
        if with_scaling:
            report.points = scaling.measure(full=full, scale=scale, seconds=0 if full else SECONDS * SCALING)
    report.seconds = time.perf_counter() - begun
    return report


def table(workload: Workload, rows: list[Row]) -> str:
    """Returns the rows of a workload as a table for a terminal."""
    return "\n".join(
        [
            f"{workload.name}: {workload.title}",
            f"  answer: {workload.law}",
            f"  {workload.unit:>50}{'ratio':>8}  {'quartiles':<19}{'goal':<19}",
            *(line(r) for r in rows),
            "",
        ]
    )


def line(r: Row) -> str:
    if r.value is None:
        return f"  {r.backend:<39} {r.check}"
    spread = "" if r.low is None else f"{number(r.low)} - {number(r.high)}"
    goal = f"{r.goal} {'met' if r.met else 'missed'}" if r.goal else ""
    return (
        f"  {r.backend + note(r):<39}{number(r.value):>11}{number(r.ratio):>8}  {spread:<19}{goal:<19}  {r.check} ({r.detail})"
    )


def note(r: Row) -> str:
    """Returns the mark of a row whose ratio refers to samfast's compiled program alone; `summary` explains the mark."""
    return " *" if r.backend.startswith("C++") and "kernel" in r.against else ""


def number(x: float | None) -> str:
    """Formats a number with three digits; None gives an empty text."""
    if x is None:
        return ""
    return f"{x:.0f}" if abs(x) >= 99.95 else f"{x:.3g}"


def summary(report: Report) -> str:
    """Returns the lines below the table: crossovers, how to read the figures, the machine, and how many goals are met."""
    m, goals = report.machine, [r for r in report.rows if r.met is not None]
    out = [
        "Ratio: time of the row / time of samfast, in the same rounds, median and quartiles; above 1 samfast is faster.",
        "* against the compiled program by itself, without the checks, tracing and scheduling around it.",
        "Figures are CPU time of one thread; wall time for all threads, CUDA and processes.",
        f"{m['processor']}, {m['processors']} processors, load {m['load']}, GPU {m['gpu']}; "
        + ", ".join(f"{k} {v}" for k, v in m["versions"].items() if k != "compiler"),
        f"{sum(r.correct for r in report.rows)} rows correct, {len(report.wrong)} wrong; "
        f"{sum(bool(r.met) for r in goals)} of {len(goals)} goals met; {report.seconds:.0f} s",
    ]
    if report.absent:
        out.append(f'not installed, not compared: {", ".join(report.absent)} (pip install "samfast[peers]"; cupy needs a GPU)')
    if report.skipped:
        out.append(
            f"no time was left for {', '.join(report.skipped)}: run it again, now that programs are compiled, or with --full"
        )
    if not report.one_processor:
        out.append("this system does not hold a process on one processor: libraries may have used more than one")
    return "\n".join([*scaling.sentences(report.points), *out])
