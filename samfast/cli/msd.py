"""samfast msd and samfast show: options, files, and what is left after Ctrl-C."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .. import ahead
from ..simulation.progress import command_bar
from .options import NOT_REACHED, NOT_VERIFIED, count, interrupted, joined, numbers, one_of, option
from .session import FOLDER, remove_if_empty, workers, writing_to

STUDY = {"rho": [0.0, 0.5], "momentum": [0.0, 0.9]}  # `samfast msd`: SGD and SAM, without and with momentum
LISTS = {
    "eigenvalue": "eigenvalue of the Hessian; negative at a saddle (-1)",
    "lr": "learning rate (1e-3)",
    "rho": "SAM's constant radius; 0 is SGD (0,0.5)",
    "momentum": "heavy-ball momentum (0,0.9)",
    "dampening": "dampening of the momentum (0)",
    "batch_size": "minibatch size (64)",
    "dt": "Euler-Maruyama step (lr)",
    "times": "times to look at, lr*updates (about 12 up to 1000 updates)",
}
WORDS = {
    "drift": (("plain", "chain"), "drift of SAM, as it is or as in the published formulas (plain)"),
    "noise": (("unit", "descent", "same", "independent"), "what the minibatch noise acts on; unit as published (unit)"),
}
CHOICES = {
    "method": (("em", "algorithm", "exact"), "Euler-Maruyama, the algorithm itself, or the law of the SDE (em)"),
    "theorem": (
        ("both", "published", "printed", "matched"),
        "theorems to compare with: as published with C2 = t/lr, as printed with C2 = lr/t, with the drift and noise of the "
        "simulation; both: published and matched (both)",
    ),
    "kind": (("normal", "sign"), "distribution of the noise (normal)"),
    "dtype": (("mixed", "float32", "float64"), "precision of the paths (mixed)"),
    "device": (("cpu", "cuda", "auto"), "where the paths run; auto: on a GPU if it pays (cpu)"),
}
TABLE = ("scipy.special", "xarray", "h5netcdf", "xarray.backends.h5netcdf_")  # what the table and its file need
PICTURE = ("matplotlib.figure", "matplotlib.backends.backend_agg")
FORMATS, PLOTS = ("csv", "json", "nc", "png"), ("time", "difference", *(p for p in LISTS if p != "times"))


def msd_options(p: argparse.ArgumentParser) -> None:
    """The options of samfast msd."""
    for name, text in LISTS.items():
        p.add_argument(option(name), action="append", type=numbers, metavar="X,...", help=text)
    for name, (words, text) in WORDS.items():
        p.add_argument(
            option(name), action="append", type=one_of(words), metavar="WORD,...", help=f"{text}; {', '.join(words)}"
        )
    p.add_argument("--paths", type=count, metavar="N", help="number of paths (1000000), or their limit with --until")
    p.add_argument("--until", type=float, metavar="X", help="add paths until se/MSD is below this, e.g. 0.001, everywhere")
    p.add_argument("--seed", type=count, metavar="N", help="seed of the noise (0)")
    for name, (words, text) in CHOICES.items():
        p.add_argument(option(name), choices=words, help=text)
    p.add_argument("--confidence", type=float, metavar="X", help="level of the intervals (0.95)")
    p.add_argument("--threads", type=count, metavar="N", help="threads (all processors)")
    p.add_argument("--progress", action=argparse.BooleanOptionalAction, help="a bar on stderr (if it is a terminal)")
    p.add_argument(
        "--save-format",
        action="append",
        type=one_of(FORMATS),
        metavar="FORMAT,...",
        help=f"files to write: {', '.join(FORMATS)} (all)",
    )
    _plot_option(p)
    p.add_argument(
        "--out", type=Path, metavar="FOLDER", help=f"where the files go ({FOLDER}, or {FOLDER}-2, ... if that holds files)"
    )
    _overwrite_option(p)
    p.add_argument(
        "--more",
        type=Path,
        metavar="FOLDER",
        help="add paths to the study in this folder: --paths N more, or --until X; it is written there again, and no other "
        "option decides its numbers",
    )
    p.set_defaults(run=_msd, short=True)


def show_options(p: argparse.ArgumentParser) -> None:
    """The options of samfast show."""
    p.add_argument("study", type=Path, metavar="STUDY", help="its folder, or its study.nc or study.json")
    _plot_option(p)
    p.add_argument("--out", type=Path, metavar="FOLDER", help="where the pictures go (beside the study)")
    _overwrite_option(p)
    p.set_defaults(run=_show, short=True)


def _overwrite_option(p: argparse.ArgumentParser) -> None:
    p.add_argument("--overwrite", action="store_true", help="write into --out even if it holds another study")


def _plot_option(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--plot",
        action="append",
        type=one_of(PLOTS),
        metavar="KIND,...",
        help="pictures: time; difference (Corollary 1: SGD - SAM); or the MSD against a parameter that has several "
        f"values: {', '.join(PLOTS[2:])} (time)",
    )


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of msd that the options stand for."""
    given: dict[str, Any] = dict(STUDY)
    for name in (*LISTS, *WORDS):
        if (lists := getattr(args, name)) is not None:
            flat = [x for part in lists for x in part]
            flat = [int(x) if name == "batch_size" and x.is_integer() else x for x in flat]
            given[name] = flat if len(flat) > 1 or name == "times" else flat[0]
    single = ("paths", "until", "seed", "confidence", *CHOICES)
    return given | {k: v for k in single if (v := getattr(args, k)) is not None}


def verify_options(p: argparse.ArgumentParser) -> None:
    """The options of samfast verify."""
    p.add_argument("path", type=Path, metavar="FOLDER", help="of a study or comparison, or a file that save wrote")
    p.add_argument("--threads", type=count, metavar="N", help="threads (all processors)")
    p.add_argument("--progress", action=argparse.BooleanOptionalAction, help="a bar on stderr (if it is a terminal)")
    p.set_defaults(run=_verify)


def _verify(args: argparse.Namespace) -> int:
    """0 where the numbers are the same, 1 where they are not."""
    from ..study.verifying import verify

    with ExitStack() as stack:
        options: dict[str, Any] = {"executor": stack.enter_context(workers(args.threads))}
        if args.progress if args.progress is not None else sys.stderr.isatty():
            options["progress"] = stack.enter_context(command_bar())
        good, text = verify(args.path, **options)
    print(text)
    return 0 if good else NOT_VERIFIED


def _more(args: argparse.Namespace) -> int:
    """Add paths to a saved study, and write it where it was."""
    from ..checks import check
    from ..study.result import Study, StudyInterrupted

    others = [option(k) for k in (*LISTS, *WORDS, *CHOICES, "seed", "confidence", "out") if getattr(args, k) is not None]
    check(not others, f"--more {args.more}: {others[0] if others else ''} is that of the study; leave it out")
    study, formats = Study.load(args.more), joined(args.save_format, FORMATS)
    folder = args.more if args.more.is_dir() else args.more.parent
    with ExitStack() as stack:
        options: dict[str, Any] = {"executor": stack.enter_context(workers(args.threads))}
        if args.progress if args.progress is not None else sys.stderr.isatty():
            options["progress"] = stack.enter_context(command_bar())
        try:
            study, status = study.more(paths=args.paths, until=args.until, **options), 0
        except StudyInterrupted:
            print(f"samfast: interrupted; {folder} is as it was", file=sys.stderr)
            return interrupted()
    print(study)
    written = study.save(folder, formats=formats, plots=joined(args.plot, ("time",)), overwrite=True)
    print(f"written: {', '.join(p.name for p in written)} in {folder}{os.sep}")
    print(f"the same in Python: {study.dataset.attrs['call']}")
    return NOT_REACHED if study.shortfall else status


def _msd(args: argparse.Namespace) -> int:
    if args.more is not None:
        return _more(args)
    given, plots = _given(args), joined(args.plot, ("time",))
    formats = joined(args.save_format, FORMATS)
    _check_plots(plots, given)
    if args.out is not None and not args.overwrite:
        _refuse_another(args.out, given)
    folder = writing_to(args.out)
    _prepare(str(given.get("device", "cpu")), pictures=bool(plots) and "png" in formats)
    with ExitStack() as stack:
        stack.callback(ahead.drop)
        stack.callback(remove_if_empty, folder)
        if args.threads is not None:
            given["executor"] = stack.enter_context(workers(args.threads))
        with ExitStack() as shown:
            if args.progress if args.progress is not None else sys.stderr.isatty():
                given["progress"] = shown.enter_context(command_bar())
            study, status = _run(given)
        print(study)
        written = study.save(folder, formats=formats, plots=plots, overwrite=True)
    print(f"written: {', '.join(p.name for p in written)} in {folder}{os.sep}")
    print(f"the same in Python: {study.dataset.attrs['call']}")
    return status


def _prepare(device: str, pictures: bool) -> None:
    """Let the modules that the end needs be loaded beside the work, if that is by LLVM and imports nothing else meanwhile."""
    from ..compilers.choice import chosen

    if device == "cpu" and chosen() == "llvm":
        from ..cache import objects
        from ..study import displacement

        assert displacement and objects  # loaded here, so that the other thread meets no import under way
        ahead.wanted(*TABLE, *(PICTURE if pictures else ()))


def _run(given: dict[str, Any]) -> tuple[Any, int]:
    """The study and the exit status; after Ctrl-C, that of the paths that were finished."""
    from ..study import displacement
    from ..study.result import StudyInterrupted

    try:
        study = displacement.msd(**given)
        return study, NOT_REACHED if study.shortfall else 0
    except StudyInterrupted as stop:
        print(f"samfast: interrupted; {stop.study.dataset.attrs['paths']:,} paths were finished", file=sys.stderr)
        return stop.study, interrupted()


def _refuse_another(folder: Path, given: dict[str, Any]) -> None:
    """Refuse a folder that holds another study, before anything is simulated."""
    from ..study.plan import MsdArguments, planned
    from ..study.saved import refuse_another
    from ..study.variables import msd_call

    refuse_another(folder, msd_call(planned(MsdArguments(**given))), f"--out {folder}", "--overwrite")


def _check_plots(plots: Sequence[str], given: dict[str, Any]) -> None:
    """Refuse pictures that this study cannot have, before anything is simulated."""
    import numpy as np

    from ..checks import check

    for kind in plots:
        radii = np.ravel(given["rho"])
        check(
            kind != "difference" or bool((radii == 0).any() and (radii > 0).any()),
            f"--plot difference: it needs SGD and SAM, here rho={given['rho']}; give e.g. --rho 0,0.5",
        )
        check(
            kind not in LISTS or np.size(given.get(kind, 0)) > 1,
            f"--plot {kind}: it needs several values; give {option(kind)} a list",
        )


def _show(args: argparse.Namespace) -> None:
    from ..study.result import Study

    study = Study.load(args.study)
    print(study)
    if plots := joined(args.plot):
        folder = args.out or (args.study if args.study.is_dir() else args.study.parent)
        if args.out is not None and not args.overwrite:
            from ..study.saved import refuse_another

            refuse_another(args.out, study.dataset.attrs["call"], f"--out {args.out}", "--overwrite")
        written = study.save(folder, formats=("png",), plots=plots, overwrite=True)
        print(f"written: {', '.join(p.name for p in written)} in {folder}{os.sep}")
