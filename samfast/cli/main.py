"""The command samfast: studies, the papers again, what it runs on, its cache. Heavy modules are imported where used."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NoReturn

from .. import __version__
from ..signals import interrupts_outside_imports, termination_raises
from .bench import bench_options
from .cache import cache_options
from .msd import msd_options, show_options, verify_options
from .options import FAILED, interrupted
from .reproduce import reproduce_options

DESCRIPTION = """\
Monte Carlo and exact mathematics of SAM and heavy-ball dynamics, side by side.
"samfast msd" alone compares a million paths of SGD and SAM, without and with
momentum, with the exact mean squared displacement and the published theorems."""


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0; 1 where `samfast verify` finds other numbers; 2 for an error (one line on stderr); 3 where --until was not reached;
    130 for Ctrl-C, 143 for SIGTERM.
    """
    try:
        with termination_raises(), interrupts_outside_imports(), warnings.catch_warnings():
            args = parser().parse_args(_joined(sys.argv[1:] if argv is None else argv))
            if args.compiler:
                from ..compilers.choice import use_compiler

                use_compiler(args.compiler)
            warnings.simplefilter("default")
            warnings.showwarning = _warn
            with _no_collector(args) if argv is None else nullcontext():
                status: int = args.run(args) or 0
            sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("samfast: interrupted", file=sys.stderr)
        return interrupted()
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError, MemoryError, ArithmeticError, RuntimeError, ImportError) as error:
        print(f"samfast: error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return FAILED


@contextmanager
def _no_collector(args: argparse.Namespace) -> Iterator[None]:
    """Python's garbage collector is off in a short command, and ends without a walk through all that was loaded."""
    if getattr(args, "short", False):
        gc.disable()
    try:
        yield
    finally:
        if getattr(args, "short", False):
            gc.freeze()


def parser() -> argparse.ArgumentParser:
    top = Parser("samfast", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--version", action="version", version=f"samfast {__version__}")
    top.add_argument("--compiler", metavar="NAME", help="what compiles for the CPU: llvm (default), numba or checked")
    commands = top.add_subparsers(metavar="command", required=True)
    msd = commands.add_parser(
        "msd",
        help="mean squared displacement from a saddle, against theory",
        description="Mean squared displacement from a saddle: simulated, exact, as published. "
        "Values in brackets are the defaults; lists: --rho 0,0.5 or --rho 0 --rho 0.5.",
    )
    msd_options(msd)
    show_options(commands.add_parser("show", help="a saved study again: its table, other pictures"))
    verify_options(
        commands.add_parser(
            "verify",
            help="compute a saved result again and compare its numbers",
            description="Compute a saved study, comparison or run again, and compare its numbers bit for bit. "
            "The exit status is 0 if they are the same, and 1 if they are not.",
        )
    )
    reproduce_options(
        commands.add_parser(
            "reproduce",
            help="the figures and theorems of the papers, with verdicts",
            description="Compute the figures and theorems of the papers again: a picture, the "
            "numbers behind it, and a verdict on each claim. Without a name: list them.",
        )
    )
    bench_options(
        commands.add_parser(
            "bench",
            help="what this machine does, beside other libraries",
            description="Measure workloads on this machine in under two minutes: each answer is "
            "checked first, then timed in turns with the others that are installed.",
        )
    )
    info = commands.add_parser("info", help="versions, processor, cache")
    info.set_defaults(run=_info)
    cache_options(commands.add_parser("cache", help="the compiled programs: list, prune, clear, warm"))
    return top


def _joined(argv: Sequence[str]) -> list[str]:
    """--eigenvalue -1,-2 as --eigenvalue=-1,-2: argparse takes a list that starts with a minus for an option."""
    out: list[str] = []
    for word in argv:
        if (
            out
            and out[-1].startswith("--")
            and "=" not in out[-1]
            and word[:1] == "-"
            and word[1:2].isdigit() | (word[1:2] == ".")
        ):
            out[-1] += "=" + word
        else:
            out.append(word)
    return out


def _warn(message: Any, *_: Any, **__: Any) -> None:
    print(f"samfast: warning: {message}", file=sys.stderr)


def _info(args: argparse.Namespace) -> None:
    from ..info import report

    print(report())
