"""docs/benchmarks.md and a part of README.md, made from bench/results/*.json; no figure is written by hand.

python -m samfast.bench.page            writes both, in a checkout
python -m samfast.bench.page --check    exit status 1 if a documented figure is not that of the results
"""

from __future__ import annotations

import sys
from pathlib import Path

from .report import Report, note, number
from .scaling import sentences
from .work import Row

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE, README = ROOT / "bench" / "results", ROOT / "docs" / "benchmarks.md", ROOT / "README.md"
BEGIN, END = "<!-- made by: python -m samfast.bench.page -->", "<!-- end of what is made -->"
HEAD = """# Benchmarks

Made by `python -m samfast.bench.page` from `bench/results/*.json`, which `samfast bench --full --json` writes; a test fails if
a figure here is not in those files. Nothing is compared across machines.

* Every answer is checked before it is timed, against exact moments (|z| below 5), or extended precision; a wrong answer is
  reported and not timed.
* Backends run in turns in one process, A B A B, after two or three calls that are not counted (none for processes). A ratio is
  taken round by round: time of the row / time of samfast; median and quartiles. Above 1 samfast is faster.
* Figures are CPU time of one thread, the process held on one processor; wall time for all threads, CUDA and whole processes.
* C++ (`bench/yardstick.cpp`, intrinsics by hand) is compared with the compiled program of samfast by itself (marked *), all
  others with `sf.simulate` as a user calls it.
* The virtual processors of such a machine change their speed by up to a factor of two within minutes: ratios are more
  steady than figures, and latencies of microseconds are at their best about a third of the medians shown.
* [speed.md](speed.md) says where samfast falls short of its goals, and why.
* Slow libraries run a part of the paths; the column "paths" says which. Compilation (first call), preparation (imports
  included), copying of the answer and peak memory of a call stand apart.
"""
SHOWN = {
    "linear": ("samfast", "C++", "NumPy", "PyTorch float32", "JAX float32", "JAX float64", "diffrax", "torchsde"),
    "beale-sam": ("samfast", "C++", "JAX float64", "JAX float64, derived gradient"),
    "recording": ("samfast, every step",),
    "law": ("samfast, times 1,000,000 steps apart",),
    "flow": ("heyoka, batches", "JAX float64"),
    "one-path": ("samfast kernel",),
    "first-result": ("samfast, empty cache", "samfast, cached"),
}


def reports() -> list[Report]:
    """Returns the results kept in bench/results, newest first."""
    found = [Report.load(p) for p in sorted(RESULTS.glob("bench-*.json"))]  # a system lists files in any order
    return sorted(found, key=lambda r: r.machine["date"], reverse=True)


def page(found: list[Report]) -> str:
    return "\n".join([HEAD, *(_one(report) for report in found)])


def _one(report: Report) -> str:
    m = report.machine
    versions = ", ".join(f"{k} {v}" for k, v in m["versions"].items())
    out = [
        f"## {m['processor']}, {m['processors']} processors, GPU: {m['gpu']}",
        "",
        f"{m['date']}, commit {m['commit']}, load {m['load']} at the start, compiled for {m['compiled_for']} "
        f"({m['vector_bits']} bits); {versions}.",
        "",
    ]
    for name in dict.fromkeys(r.workload for r in report.rows):
        out += _table(name, report.titles[name], report.of(name))
    if report.points:
        out += [
            "### Scaling",
            "",
            "Linear diffusion, ns per path-step.",
            "",
            *_points(report),
            "",
            *(f"* {s}" for s in sentences(report.points)),
            "",
        ]
    for what, names in (("Not installed", report.absent), ("Not measured for lack of time", report.skipped)):
        if names:
            out += [f"{what}: {', '.join(names)}.", ""]
    return "\n".join(out)


def _table(name: str, titles: list[str], rows: list[Row]) -> list[str]:
    head = [
        f"### {name}",
        "",
        f"{titles[0]}. Answer: {titles[1]}.",
        "",
        f"| backend | {rows[0].unit} | ratio | quartiles | goal | check | paths | wall s | CPU s | compile s | prepare s | "
        "copy s | MB |",
        "|---|" + "---:|" * 3 + "---|---|" + "---:|" * 7,
    ]
    return [*head, *(_line(r) for r in rows), ""]


def _line(r: Row) -> str:
    if r.value is None:
        return f"| {r.backend} | | | | | {r.check} | | | | | | | |"
    goal = f"{r.goal}, {'met' if r.met else 'missed'}" if r.goal else ""
    cells = [
        r.backend + note(r),
        number(r.value),
        number(r.ratio),
        f"{number(r.low)} - {number(r.high)}",
        goal,
        f"{r.check}: {r.detail}",
        number(r.share),
        *map(number, (r.wall, r.cpu, r.compile, r.prepare, r.fetch, r.memory)),
    ]
    return f"| {' | '.join(cells).replace('|z|', '&#124;z&#124;')} |"


def _points(report: Report) -> list[str]:
    out = ["| axis | backend | clock | figures |", "|---|---|---|---|"]
    for key in dict.fromkeys((p.axis, p.backend, p.clock) for p in report.points):
        line = [f"{p.x:,}: {number(p.value)}" for p in report.points if (p.axis, p.backend, p.clock) == key]
        out.append(f"| {' | '.join(key)} | {'; '.join(line)} |")
    return out


def readme_part(report: Report) -> str:
    """Returns the part of README.md: the rows named in SHOWN, each with its figure, ratio and goal."""
    m = report.machine
    where = f"{m['processor']} ({m['compiled_for']}), one thread of a shared machine, load {m['load']} at the start:"
    out = [BEGIN, "", where, "", "| work | row | figure | ratio | goal |", "|---|---|---:|---:|---|"]
    for r in report.rows:
        if r.backend in SHOWN.get(r.workload, ()) and r.value is not None:
            out.append(f"| {r.workload} | {r.backend + note(r)} | {number(r.value)} {r.unit} | {number(r.ratio)} | {r.goal} |")
    return "\n".join([*out, "", END])


def with_part(text: str, part: str) -> str:
    """Returns the text of README.md with the part between BEGIN and END replaced."""
    head, rest = text.split(BEGIN)
    return head + part + rest.split(END)[1]


def made() -> dict[Path, str]:
    """Returns the text that each file should hold."""
    found = reports()
    if not found:
        raise ValueError(f"{RESULTS}: no bench-*.json there; make one with samfast bench --full --json")
    return {PAGE: page(found), README: with_part(README.read_text(encoding="utf-8"), readme_part(found[0]))}


def main(argv: list[str]) -> int:
    wrong = [path for path, text in made().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in argv:
        for path in wrong:
            print(f"{path.name}: its figures are not those of bench/results; run python -m samfast.bench.page", file=sys.stderr)
        return int(bool(wrong))
    for path, text in made().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
