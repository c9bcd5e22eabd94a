"""Options of the command that several verbs share, and the exit statuses."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from ..signals import terminated

INTERRUPTED, TERMINATED, FAILED, NOT_REACHED, NOT_VERIFIED = 130, 143, 2, 3, 1  # exit statuses; 3 is for --until


def interrupted() -> int:
    """The exit status after Ctrl-C, or after SIGTERM."""
    return TERMINATED if terminated() else INTERRUPTED


def option(name: str) -> str:
    """The option of an argument: --batch-size for batch_size."""
    return "--" + name.replace("_", "-")


def numbers(text: str) -> list[float]:
    """0,0.1 as a list of numbers."""
    try:
        return [float(x) for x in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give numbers, e.g. 0,0.1") from None


def one_of(options: Sequence[str]) -> Callable[[str], list[str]]:
    """A reader of words between commas, each of which must be one of `options`."""

    def read(text: str) -> list[str]:
        words = text.split(",")
        for word in words:
            if word not in options:
                raise argparse.ArgumentTypeError(f"{word!r}: choose from {', '.join(options)}")
        return words

    return read


def joined(lists: list[list[Any]] | None, default: tuple[str, ...] = ()) -> list[Any]:
    """The values of an option that was given several times, as one list without repeats."""
    return list(dict.fromkeys(x for part in lists for x in part)) if lists is not None else list(default)


def count(text: str) -> int:
    """A whole number, written 1000, 1_000 or 1e3."""
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
