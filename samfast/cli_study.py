"""samfast msd and samfast show: options, files, and what is left after Ctrl-C."""
from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

FOLDER = "samfast-msd"
INTERRUPTED, FAILED = 130, 2
STUDY = {"lr": 1e-3, "rho": [0.0, 0.5], "momentum": [0.0, 0.9]}     # `samfast msd`: SGD and SAM, without and with momentum
LISTS = {"eigenvalue": "eigenvalue of the Hessian; negative at a saddle (-1)", "lr": "learning rate (1e-3)",
         "rho": "SAM's constant radius; 0 is SGD (0,0.5)", "momentum": "heavy-ball momentum (0,0.9)",
         "dampening": "dampening of the momentum (0)", "batch_size": "minibatch size (64)",
         "dt": "Euler-Maruyama step (lr)", "times": "times to look at, lr*updates (about 12 up to 1000 updates)"}
WORDS = {"drift": (("plain", "chain"), "drift of SAM, as it is or as in the published formulas (plain)"),
         "noise": (("unit", "descent", "same", "independent"), "what the minibatch noise acts on; unit as published (unit)")}
CHOICES = {"method": (("em", "algorithm", "exact"), "Euler-Maruyama, the algorithm itself, or the law of the SDE (em)"),
           "theorem": (("corrected", "printed"), "formulas to compare with (corrected)"),
           "kind": (("normal", "sign"), "distribution of the noise (normal)"),
           "dtype": (("mixed", "float32", "float64"), "precision of the paths (mixed)"),
           "device": (("cpu", "cuda", "auto"), "where the paths run; auto: on a GPU if it pays (cpu)")}
FORMATS, PLOTS = ("csv", "json", "nc", "png"), ("time", "difference", *(p for p in LISTS if p != "times"))


def msd_options(p: argparse.ArgumentParser) -> None:
    """The options of samfast msd."""
    for name, text in LISTS.items():
        p.add_argument(_option(name), action="append", type=_numbers, metavar="X,...", help=text)
    for name, (words, text) in WORDS.items():
        p.add_argument(_option(name), action="append", type=_words(words), metavar="WORD,...",
                       help=f"{text}; {', '.join(words)}")
    p.add_argument("--paths", type=count, metavar="N", help="number of paths (1000000), or their limit with --until")
    p.add_argument("--until", type=float, metavar="X", help="add paths until se/MSD is below this, e.g. 0.001, everywhere")
    p.add_argument("--seed", type=count, metavar="N", help="seed of the noise (0)")
    for name, (words, text) in CHOICES.items():
        p.add_argument(_option(name), choices=words, help=text)
    p.add_argument("--confidence", type=float, metavar="X", help="level of the intervals (0.95)")
    p.add_argument("--threads", type=count, metavar="N", help="threads (all processors)")
    p.add_argument("--progress", action=argparse.BooleanOptionalAction, help="a bar on stderr (if it is a terminal)")
    p.add_argument("--save-format", action="append", type=_words(FORMATS), metavar="FORMAT,...",
                   help=f"files to write: {', '.join(FORMATS)} (all)")
    _plot_option(p)
    p.add_argument("--out", type=Path, metavar="FOLDER", help=f"where the files go ({FOLDER}, or {FOLDER}-2, ... if that "
                   "holds files)")
    p.set_defaults(run=_msd)


def show_options(p: argparse.ArgumentParser) -> None:
    """The options of samfast show."""
    p.add_argument("study", type=Path, metavar="STUDY", help="its folder, or its study.nc or study.json")
    _plot_option(p)
    p.add_argument("--out", type=Path, metavar="FOLDER", help="where the pictures go (beside the study)")
    p.set_defaults(run=_show)


def _plot_option(p: argparse.ArgumentParser) -> None:
    p.add_argument("--plot", action="append", type=_words(PLOTS), metavar="KIND,...",
                   help="pictures: time; difference (Corollary 1: SGD - SAM); or the MSD against a parameter that has several "
                   f"values: {', '.join(PLOTS[2:])} (time)")


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _numbers(text: str) -> list[float]:
    try:
        return [float(x) for x in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give numbers, e.g. 0,0.1") from None


def _words(options: Sequence[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        words = text.split(",")
        for word in words:
            if word not in options:
                raise argparse.ArgumentTypeError(f"{word!r}: choose from {', '.join(options)}")
        return words
    return read


def _flat(lists: list[list[Any]] | None, default: tuple[str, ...] = ()) -> list[Any]:
    return list(dict.fromkeys(x for part in lists for x in part)) if lists is not None else list(default)


def count(text: str) -> int:
    """1000, 1_000 or 1e3."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
        if value.is_integer():
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"{text!r}: give a whole number, e.g. 1000 or 1e6")


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """What the options say, as arguments of msd."""
    given: dict[str, Any] = dict(STUDY)
    for name in (*LISTS, *WORDS):
        if (lists := getattr(args, name)) is not None:
            flat = [x for part in lists for x in part]
            flat = [int(x) if name == "batch_size" and x.is_integer() else x for x in flat]
            given[name] = flat if len(flat) > 1 or name == "times" else flat[0]
    single = ("paths", "until", "seed", "confidence", *CHOICES)
    return given | {k: v for k in single if (v := getattr(args, k)) is not None}


def _msd(args: argparse.Namespace) -> int:
    given, plots = _given(args), _flat(args.plot, ("time",))
    formats = _flat(args.save_format, FORMATS)
    _check_plots(plots, given)
    folder = _folder(args.out)
    with ExitStack() as stack:
        stack.callback(_remove_if_empty, folder)
        if args.threads is not None:
            from concurrent.futures import ThreadPoolExecutor

            from .checks import check
            check(args.threads >= 1, f"--threads {args.threads}: give at least 1")
            given["executor"] = stack.enter_context(ThreadPoolExecutor(args.threads))
        with ExitStack() as shown:
            if args.progress if args.progress is not None else sys.stderr.isatty():
                given["progress"] = shown.enter_context(_bar())
            study, status = _run(given)
        print(study)
        written = study.save(folder, formats=formats, plots=plots)
    print(f"written: {', '.join(p.name for p in written)} in {folder}{os.sep}")
    print(f"the same in Python: {study.dataset.attrs['call']}")
    return status


def _run(given: dict[str, Any]) -> tuple[Any, int]:
    """The study and the exit status; after Ctrl-C, that of the paths that were finished."""
    from .study import msd
    from .study.study import StudyInterrupted
    try:
        return msd.msd(**given), 0
    except StudyInterrupted as stop:
        print(f"samfast: interrupted; {stop.study.dataset.attrs['paths']:,} paths were finished", file=sys.stderr)
        return stop.study, INTERRUPTED


def _check_plots(plots: Sequence[str], given: dict[str, Any]) -> None:
    """Before the simulation, not after it."""
    import numpy as np

    from .checks import check
    for kind in plots:
        radii = np.ravel(given["rho"])
        check(kind != "difference" or bool((radii == 0).any() and (radii > 0).any()), f"--plot difference: it needs SGD and "
              f"SAM, here rho={given['rho']}; give e.g. --rho 0,0.5")
        check(kind not in LISTS or np.size(given.get(kind, 0)) > 1, f"--plot {kind}: it needs several values; give "
              f"{_option(kind)} a list")


def _show(args: argparse.Namespace) -> None:
    from .study.study import Study
    study = Study.load(args.study)
    print(study)
    if plots := _flat(args.plot):
        folder = args.out or (args.study if args.study.is_dir() else args.study.parent)
        written = study.save(folder, formats=("png",), plots=plots)
        print(f"written: {', '.join(p.name for p in written)} in {folder}{os.sep}")


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A bar that is removed at the end, also when the run is interrupted."""
    from tqdm import tqdm
    with tqdm(unit="path", unit_scale=True, leave=False, mininterval=0.1, desc="compiling, once per machine") as shown:
        def step(done: int, total: int) -> None:
            if shown.total != total:
                shown.reset(total)
                shown.set_description_str("simulating", refresh=False)
            shown.update(done - shown.n)
        yield step


def _folder(given: Path | None) -> Path:
    """A folder that exists and can be written: found out before the simulation, not after it."""
    def used(path: Path) -> bool:
        return path.exists() and (not path.is_dir() or any(path.iterdir()))
    folder, number = given or Path(FOLDER), 1
    while given is None and used(folder):
        number += 1
        folder = Path(f"{FOLDER}-{number}")
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"--out {folder}: this is a file; give a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(f"--out {folder}: it cannot be created ({error.strerror}); give another folder") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"--out {folder}: it cannot be written; give another folder")
    return folder


def _remove_if_empty(folder: Path) -> None:
    """After an error or an interrupt."""
    with suppress(OSError):
        folder.rmdir()
