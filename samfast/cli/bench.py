"""samfast bench: what this machine does, beside other libraries."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def bench_options(p: argparse.ArgumentParser) -> None:
    """The options of samfast bench."""
    p.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="workloads, e.g. linear (all); may be repeated; without the scaling, unless scaling is named too",
    )
    p.add_argument("--list", action="store_true", help="list the workloads and measure nothing")
    p.add_argument("--full", action="store_true", help="every backend, all sizes; ten minutes or more")
    p.add_argument("--json", type=Path, metavar="PATH", help="write the rows with hardware and versions")
    p.add_argument("--plot", type=Path, metavar="FOLDER", help="write bench-ratios.png and bench-scaling.png")
    p.set_defaults(run=_bench)


SCALING = "scaling"


def _bench(args: argparse.Namespace) -> int:
    from ..bench import charts, report
    from ..bench.workloads import every
    from ..checks import check, names_of

    chosen = [name for words in args.only or [] for name in words.split(",")]
    for name in chosen:
        check(name in every() or name == SCALING, f"--only {name}: choose one of {names_of([*every(), SCALING])}")
    if args.list:
        for w in every().values():
            print(f"{w.name:<18}{w.title}")
        return 0
    _writable(args)
    names = [n for n in every() if n in chosen] if chosen else list(every())
    found = report.run(names, full=args.full, with_scaling=not chosen or SCALING in chosen, tell=_tell)
    print(report.summary(found))
    if args.json:
        found.save(args.json)
        print(f"written: {args.json}")
    if args.plot:
        print("written: " + ", ".join(map(str, charts.draw(found, args.plot))))
    return 1 if found.wrong else 0


def _tell(workload: Any, rows: Any) -> None:
    from ..bench import report

    print(report.table(workload, rows), flush=True)


def _writable(args: argparse.Namespace) -> None:
    """Before minutes are spent."""
    from ..checks import check

    check(
        args.json is None or not args.json.is_dir(), f"--json {args.json}: it is a folder; give a file, e.g. --json bench.json"
    )
    check(args.plot is None or not args.plot.exists() or args.plot.is_dir(), f"--plot {args.plot}: it is a file; give a folder")
