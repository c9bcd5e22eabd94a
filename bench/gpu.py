"""python -m samfast.bench.gpu [--json PATH] [--seconds 420] measures samfast and other libraries on the same GPU.

Every answer is checked before it is timed. The entries of a contest run in turns, A B A B, between CUDA events; a row has the
median and the quartiles. `--dry-run` goes the same way without a GPU, where other libraries run on the host, some with NumPy
in the place of CuPy, and samfast's programs are only compiled.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from samfast.backends import cuda

from . import machine
from .gpu_place import TINY, DryRun, Gpu, fetch
from .gpu_rows import Contest, Entry, contests
from .page import RESULTS
from .report import number
from .work import Run, Work, WrongError

ROUNDS, LEAST = 15, 3
SHARE = 12.0  # seconds that the rounds of one contest may take
FORMAT = 1


def measure(contest: Contest, place: Any, left: Callable[[], float], share: float = SHARE) -> list[dict[str, Any]]:
    """Returns the rows of a contest. Each entry is checked first; those with a right answer are then timed in turns."""
    rows, runs = [], {}
    work = contest.make(place.scale)
    for entry in contest.entries:
        row: dict[str, Any] = {"contest": contest.name, "entry": entry.name, "unit": contest.unit}
        rows.append(row)
        if place.dry and not entry.host:
            row["check"] = "not run: needs a GPU"
        elif left() <= 0:
            row["check"] = "not run: no time was left"
        elif (run := _first(contest, work, entry, place, row)) is not None:
            runs[entry.name] = run
    times: dict[str, list[tuple[float, float | None]]] = {name: [] for name in runs}
    begun = time.perf_counter()
    for i in range(ROUNDS if runs else 0):
        if i >= LEAST and (time.perf_counter() - begun > share or left() <= 0):
            break
        for name, run in runs.items():
            times[name].append(place.timed(run))
    for row, entry in zip(rows, contest.entries, strict=True):
        if entry.name in runs:
            _fill(row, times[entry.name], times[next(iter(runs))], contest.size(work))
    return rows


def _first(contest: Contest, work: Work, entry: Entry, place: Any, row: dict[str, Any]) -> Run | None:
    """Prepares an entry and checks its first answer, which goes into the row. Returns the warm run, or None if it failed."""
    begun = time.perf_counter()
    try:
        run = entry.prepare(place.cp, work)
        answer = fetch(run())
        row["first_seconds"] = time.perf_counter() - begun
        row["detail"] = contest.check(work, answer)
        row["check"] = "correct"
        return run
    except WrongError as error:
        row["check"] = f"wrong: {error}"
    except Exception as error:  # an error of another library belongs into its row and must not end the run
        row["check"] = f"did not run: {type(error).__name__}: {' '.join(str(error).split())}"[:300]
    return None


def _fill(
    row: dict[str, Any], times: Sequence[tuple[float, float | None]], first: Sequence[tuple[float, float | None]], units: float
) -> None:
    """Fills the row with medians and quartiles. Its ratio is its time / that of the contest's first row, round by round."""
    seconds = np.array([t for t, _ in times])
    low, middle, high = (float(x) for x in np.quantile(seconds, [0.25, 0.5, 0.75]))
    row.update(
        rounds=len(times),
        units=units,
        seconds=middle,
        seconds_low=low,
        seconds_high=high,
        rate=units / middle,
        ratio=float(np.median(seconds / np.array([t for t, _ in first]))),
    )
    kernels = [k for _, k in times if k is not None]
    if kernels:
        row.update(kernel_seconds=float(np.median(kernels)), kernel_rate=units / float(np.median(kernels)))


def limits(path: Path = RESULTS / "counted-sm90.json") -> dict[tuple[str, str, bool], float]:
    """Returns the counted limits by (program, mode, whether it is a sweep); empty if they were not counted."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))["programs"]
    return {(p["name"], p["mode"], p.get("configurations", 1) > 1): p["path_steps_per_second"] for p in found}


def against_limits(rows: Iterable[dict[str, Any]], entries: Iterable[Entry], counted: dict[Any, float]) -> None:
    """Adds to each row its share of the limit, where there is one.

    For a simulation this is the rate of its kernels / the counted limit. For statistics it is the rate of reading each number
    once / the bandwidth of the first row: a copy, which reads and writes each number.
    """
    rows = list(rows)
    for row in rows[1:]:
        if row["unit"] == "bytes/s" and "rate" in row and "rate" in rows[0]:
            row["of_limit"] = row["rate"] / (2 * rows[0]["rate"])
    for row, entry in zip(rows, entries, strict=True):
        limit = counted.get(entry.counted)
        if limit:
            row["counted_limit"] = limit
            if "kernel_rate" in row:
                row["of_limit"] = row["kernel_rate"] / limit


def table(found: dict[str, Any]) -> str:
    """Returns the results as a table for a terminal."""
    lines = [
        f"{found['device']['name']}: {found['note']}",
        f"{'contest':<18}{'row':<34}{'rate':>10} {'unit':<20}{'quartiles, ms':>18}{'ratio':>7}{'kernel':>10}{'limit':>7}"
        "  check",
    ]
    for r in found["rows"]:
        head = f"{r['contest']:<18}{r['entry']:<34}"
        if "rate" not in r:
            lines.append(f"{head}{r['check']}")
            continue
        spread = f"{number(1e3 * r['seconds_low'])} - {number(1e3 * r['seconds_high'])}"
        kernel = f"{r['kernel_rate']:.2e}" if "kernel_rate" in r else ""
        limit = f"{100 * r['of_limit']:.0f} %" if "of_limit" in r else ""
        lines.append(
            f"{head}{r['rate']:>10.2e} {r['unit']:<20}{spread:>18}{number(r['ratio']):>7}{kernel:>10}{limit:>7}  "
            f"{r['check']} ({r['detail']})"
        )
    late = [f"{r['contest']}: {r['entry']}" for r in found["rows"] if r["check"].endswith("no time was left")]
    if late:
        lines.append(f"no time was left for {len(late)} rows: {'; '.join(late)}")
    return "\n".join(lines)


def save(found: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def run(place: Any, seconds: float, only: Sequence[str], tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Runs all contests, or those named in `only`, within the seconds; tell gets the results so far after each contest."""
    begun = time.perf_counter()

    def left() -> float:
        return seconds - (time.perf_counter() - begun)

    todo = [c for c in contests() if not only or c.name in only]
    found: dict[str, Any] = {
        "format": FORMAT,
        "device": place.about(),
        "machine": machine.about(),
        "budget": seconds,
        "note": "",
        "titles": {c.name: c.title for c in todo},
        "rows": [],
    }
    if not place.dry:
        found["note"] = _compiled(todo, place, left)
    counted = limits()
    for contest in todo:
        rows = measure(contest, place, left, 0.0 if place.dry else SHARE)
        against_limits(rows, contest.entries, counted)
        found["rows"] += rows
        found["seconds"] = seconds - left()
        place.tidy()
        tell(found)
    if place.dry:
        found["note"] = _compiled(todo, place, left)
        tell(found)
    return found


def _compiled(todo: Iterable[Contest], place: Any, left: Callable[[], float]) -> str:
    """Compiles in advance and reports it. If that fails, each row compiles its own program, or says why it cannot."""
    try:
        programs = [e.program(c.make(TINY)) for c in todo for e in c.entries if e.program]
        texts = [e.text for c in todo for e in c.entries if e.text]
        return str(place.compile({p.text: p for p in programs}.values(), texts, left))
    except Exception as error:
        return f"nothing was compiled in advance: {type(error).__name__}: {' '.join(str(error).split())}"[:300]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m samfast.bench.gpu", description="Measure one GPU.")
    parser.add_argument("--json", type=Path, metavar="PATH", help="default: bench/results/gpu-NAME.json, after each contest")
    parser.add_argument("--seconds", type=float, default=420.0, help="no row is begun after so many (420)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="a contest; may be repeated")
    parser.add_argument("--dry-run", action="store_true", help="everything but the device; writes only with --json")
    args = parser.parse_args(argv)
    names = [c.name for c in contests()]
    if unknown := set(args.only) - set(names):
        parser.error(f"--only {', '.join(sorted(unknown))}: choose of {', '.join(names)}")
    if not args.dry_run and (reason := cuda.missing()):
        parser.error(f"{reason} (--dry-run goes without a GPU)")
    place: Any = DryRun() if args.dry_run else Gpu()
    slug = re.sub(r"[^a-z0-9]+", "-", place.about()["name"].lower()).strip("-")
    path = args.json or (None if args.dry_run else RESULTS / f"gpu-{slug}.json")

    def tell(found: dict[str, Any]) -> None:
        last = found["rows"][-1]
        print(f"{found['seconds']:6.1f} s  {last['contest']}", flush=True)
        if path:
            save(found, path)

    found = run(place, args.seconds, args.only, tell)
    print(table(found))
    if path:
        print(f"written: {path}")
    return int(any(r["check"].startswith("wrong") for r in found["rows"]))


if __name__ == "__main__":
    raise SystemExit(main())
