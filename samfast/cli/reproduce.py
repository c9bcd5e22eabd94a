"""samfast reproduce: the figures and theorems of the papers."""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ..simulation.progress import command_bar
from .options import count
from .session import remove_if_empty, workers, writing_to

FOLDER = "samfast-reproduce"
ALL = "all"


def reproduce_options(p: argparse.ArgumentParser) -> None:
    """The options of samfast reproduce."""
    p.add_argument("names", nargs="*", metavar="NAME", help="experiments, or all; none: list them")
    p.add_argument("--out", type=Path, metavar="FOLDER", help=f"where each gets a folder of its own ({FOLDER})")
    p.add_argument("--again", action="store_true", help="also those that were already written by these versions")
    p.add_argument("--animate", action="store_true", help="write animations too (GIF)")
    p.add_argument("--size", type=float, default=1.0, metavar="X", help="below 1: fewer seeds, points or steps (1)")
    p.add_argument("--threads", type=count, metavar="N", help="threads (all processors)")
    p.add_argument("--progress", action=argparse.BooleanOptionalAction, help="a bar on stderr (if it is a terminal)")
    p.set_defaults(run=_reproduce)


def _reproduce(args: argparse.Namespace) -> None:
    from .. import reproduce

    if not args.names:
        for name in reproduce.names():
            print(f"{name:<20} {reproduce.get(name).title}")
        return
    chosen = list(dict.fromkeys(n for name in args.names for n in (reproduce.names() if name == ALL else (name,))))
    for name in chosen:
        reproduce.get(name)  # a wrong name is reported before anything is computed
    folder, begun, claims = writing_to(args.out or Path(FOLDER)), time.perf_counter(), []
    try:
        for name in chosen:
            record = _one(name, folder, args)
            claims += record["claims"]
            how = f"{record['seconds']:.1f} s" + (", written before" if record["skipped"] else "")
            print(reproduce.table(name, record["claims"], f"{record['title']}   ({how})"), flush=True)
    finally:
        if claims:
            page = reproduce.index(folder)
            told = f"written: {folder}{os.sep}, all on one page: {page}"
            print(f"{reproduce.total(claims)} ({time.perf_counter() - begun:.1f} s)\n{told}")
        remove_if_empty(folder)


def _one(name: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """The record of one experiment, computed unless it is there."""
    from .. import reproduce

    options = {"size": args.size, "animate": args.animate}
    record = None if args.again else reproduce.done(name, folder, **options)
    if record is not None:
        return {**record, "skipped": True}
    shown = args.progress if args.progress is not None else sys.stderr.isatty()
    with workers(args.threads) as executor, command_bar() if shown else nullcontext() as progress:
        reproduce.run(name, folder, progress=progress, executor=executor, **options)
    record = reproduce.done(name, folder, **options)
    assert record is not None
    return {**record, "skipped": False}
