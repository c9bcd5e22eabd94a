"""The command samfast: studies, what it runs on, its cache. Heavy modules are imported where they are used."""
from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from . import __version__

FOLDER = "samfast-msd"
INTERRUPTED, FAILED = 130, 2
STUDY = {"lr": 1e-3, "rho": [0.0, 0.5], "momentum": [0.0, 0.9]}     # `samfast msd`: SGD and SAM, without and with momentum
LISTS = {"eigenvalue": "eigenvalue of the Hessian; negative at a saddle (-1)", "lr": "learning rate (1e-3)",
         "rho": "SAM's constant radius; 0 is SGD (0,0.5)", "momentum": "heavy-ball momentum (0,0.9)",
         "batch_size": "minibatch size (64)", "times": "times to look at, lr*updates (about 12 up to 1000 updates)"}
NUMBERS = {"dampening": "dampening of the momentum (0)", "dt": "Euler-Maruyama step (lr)",
           "confidence": "level of the interval low..high (0.95)"}
CHOICES = {"drift": ("plain", "chain"), "noise": ("unit", "descent", "same", "independent"), "method": ("em", "algorithm"),
           "kind": ("normal", "sign"), "dtype": ("mixed", "float32", "float64")}
DESCRIPTION = """\
Monte Carlo and exact mathematics of SAM and heavy-ball dynamics, side by side.
"samfast msd" alone compares a million paths of SGD and SAM, without and with
momentum, with the exact mean squared displacement and the published theorems."""


class Parser(argparse.ArgumentParser):
    """One line per error."""

    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0, 2 for an error (one line on stderr), 130 for Ctrl-C."""
    args = parser().parse_args(_joined(sys.argv[1:] if argv is None else argv))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.showwarning = _warn
            args.run(args)
            sys.stdout.flush()
        return 0
    except KeyboardInterrupt:
        print("samfast: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:         # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError, MemoryError, ArithmeticError, RuntimeError, ImportError) as error:
        print(f"samfast: error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return FAILED


def parser() -> argparse.ArgumentParser:
    top = Parser("samfast", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--version", action="version", version=f"samfast {__version__}")
    commands = top.add_subparsers(metavar="command", required=True)
    msd = commands.add_parser("msd", help="mean squared displacement from a saddle, against theory",
                              description="Mean squared displacement from a saddle: simulated, exact, as published. "
                              "Values in brackets are the defaults; lists: --rho 0,0.5 or --rho 0 --rho 0.5.")
    _msd_options(msd)
    info = commands.add_parser("info", help="versions, processor, cache")
    info.set_defaults(run=_info)
    _cache_options(commands.add_parser("cache", help="the compiled programs: list, prune, clear, warm"))
    return top


def _msd_options(p: argparse.ArgumentParser) -> None:
    for name, text in LISTS.items():
        p.add_argument(_option(name), action="append", type=_list, metavar="X,...", help=text)
    p.add_argument("--paths", type=_count, metavar="N", help="number of paths (1000000)")
    p.add_argument("--seed", type=_count, metavar="N", help="seed of the noise (0)")
    for name, text in NUMBERS.items():
        p.add_argument(_option(name), type=float, metavar="X", help=text)
    for name, options in CHOICES.items():
        p.add_argument(_option(name), choices=options, help=f"({options[0]})")
    p.add_argument("--threads", type=_count, metavar="N", help="threads (all processors)")
    p.add_argument("--progress", action=argparse.BooleanOptionalAction, help="a bar on stderr (if it is a terminal)")
    p.add_argument("--out", type=Path, metavar="FOLDER", help=f"where study.csv, study.json and study.png go ({FOLDER}, or "
                   f"{FOLDER}-2, ... if that holds files)")
    p.set_defaults(run=_msd)


def _cache_options(p: argparse.ArgumentParser) -> None:
    actions = p.add_subparsers(metavar="action", required=True)
    actions.add_parser("list", help="every compiled program").set_defaults(run=_cache_list)
    prune = actions.add_parser("prune", help="remove what was not used lately")
    prune.add_argument("--max-bytes", type=_count, default=500_000_000, metavar="N", help="largest size (500000000)")
    prune.add_argument("--max-age-days", type=float, default=90.0, metavar="X", help="longest time without use (90)")
    prune.set_defaults(run=_cache_prune)
    actions.add_parser("clear", help="remove everything").set_defaults(run=_cache_clear)
    actions.add_parser("warm", help="compile what samfast msd needs, now").set_defaults(run=_cache_warm)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _list(text: str) -> list[float]:
    try:
        return [float(x) for x in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give numbers, e.g. 0,0.1") from None


def _count(text: str) -> int:
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


def _joined(argv: Sequence[str]) -> list[str]:
    """--eigenvalue -1,-2 as --eigenvalue=-1,-2: argparse takes a list that starts with a minus for an option."""
    out: list[str] = []
    for word in argv:
        if out and out[-1].startswith("--") and "=" not in out[-1] and word[:1] == "-" and word[1:2].isdigit() | (
                word[1:2] == "."):
            out[-1] += "=" + word
        else:
            out.append(word)
    return out


def _warn(message: Any, *_: Any, **__: Any) -> None:
    print(f"samfast: warning: {message}", file=sys.stderr)


def _msd(args: argparse.Namespace) -> None:
    given: dict[str, Any] = dict(STUDY)
    for name in LISTS:
        if (lists := getattr(args, name)) is not None:
            flat = [x for part in lists for x in part]
            flat = [int(x) if name == "batch_size" and x.is_integer() else x for x in flat]
            given[name] = flat if len(flat) > 1 or name == "times" else flat[0]
    given |= {k: v for k in ("paths", "seed", *NUMBERS, *CHOICES) if (v := getattr(args, k)) is not None}
    folder = _folder(args.out)
    with ExitStack() as stack:
        stack.callback(_remove_if_empty, folder)
        if args.threads is not None:
            from concurrent.futures import ThreadPoolExecutor

            from .checks import check
            check(args.threads >= 1, f"--threads {args.threads}: give at least 1")
            given["executor"] = stack.enter_context(ThreadPoolExecutor(args.threads))
        if args.progress if args.progress is not None else sys.stderr.isatty():
            given["progress"] = stack.enter_context(_bar())
        from .displacement import msd
        study = msd(**given)
        print(study)
        written = study.save(folder)
    print(f"written: {', '.join(p.name for p in written)} in {folder}{os.sep}")
    print(f"the same in Python: {study.dataset.attrs['call']}")


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


def _info(args: argparse.Namespace) -> None:
    from .info import report
    print(report())


def _cache_list(args: argparse.Namespace) -> None:
    from . import cache
    entries = cache.entries()
    for entry in entries:
        print(entry)
    print(f"{len(entries)} programs, {sum(e.bytes for e in entries) / 1e6:.1f} MB in {cache.directory()}")


def _cache_prune(args: argparse.Namespace) -> None:
    from . import cache
    _removed(cache.prune(args.max_bytes, args.max_age_days))


def _cache_clear(args: argparse.Namespace) -> None:
    from . import cache
    _removed(cache.clear())


def _removed(entries: Sequence[Any]) -> None:
    from . import cache
    left = len(cache.entries())
    print(f"removed {len(entries)} programs, {sum(e.bytes for e in entries) / 1e6:.1f} MB; {left} left")


def _cache_warm(args: argparse.Namespace) -> None:
    from .displacement import msd
    small: dict[str, Any] = {"paths": 16, "times": [1e-3], "lr": 1e-3}
    for method in CHOICES["method"]:
        grids: dict[str, dict[str, Any]] = {"grid": STUDY, "one setting": {"rho": 0.5},
                                            "one setting, momentum": {"momentum": 0.9}}
        for what, grid in grids.items():
            study = msd(**{**grid, **small, "method": method})
            print(f"{method + ', ' + what:<34} {study.dataset.attrs['wall_seconds']:.1f} s")
