"""Checks of what a user gave: one line that names the argument, its value and the remedy."""

from __future__ import annotations

import keyword
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np


class DivergenceWarning(RuntimeWarning):
    """Some paths ran away and were left out of the statistics."""


class CriticalPointError(ArithmeticError):
    """A normalised step met an exactly zero gradient, and was asked to say so."""


class NoGpuError(RuntimeError):
    """device="cuda" was asked for where there is no GPU to use; the message gives the reason."""


def check(condition: bool, message: str, error: type[Exception] = ValueError) -> None:
    if not condition:
        raise error(message)


def names_of(names: Iterable[str]) -> str:
    return ", ".join(str(n) for n in names) or "none"


def identifier(name: str) -> None:
    check(
        name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_"),
        f"parameter name {name!r}: use a plain Python name that does not start with '_'",
    )


def integer(name: str, value: Any, low: int, example: Any = None) -> int:
    try:
        n = operator.index(value)
    except TypeError:
        if isinstance(value, float) and value.is_integer():
            n = int(value)
        else:
            raise TypeError(f"{name}={value!r}: give an integer, e.g. {name}={example or low}") from None
    check(n >= low, f"{name}={value!r}: give at least {low}, e.g. {name}={example or low}")
    return n


def choice(name: str, value: Any, options: Iterable[str]) -> Any:
    options = list(options)
    check(value in options, f"{name}={value!r}: choose one of {', '.join(repr(o) for o in options)}")
    return value


def numbers(
    name: str, value: Any, low: float | None = None, above: float | None = None, below: float | None = None, example: Any = 0.1
) -> Any:
    """A finite real number or array of them; bounds are checked for every entry. Returned as it came."""
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        raise TypeError(f"{name}={value!r}: give a number or a sequence of numbers, e.g. {name}={example}") from None
    if array.size == 0:  # the value is written out only where it is wrong: that takes longer than all the checks
        raise ValueError(f"{name}={value!r}: give at least one number, e.g. {name}={example}")
    faults: list[tuple[Any, str]] = [
        (~np.isfinite(array), "every value must be a finite number"),
        (low is not None and array < low, f"give values of at least {low}"),
        (above is not None and array <= above, f"give values above {above}"),
        (below is not None and array >= below, f"give values below {below}"),
    ]
    for wrong, words in faults:
        if wrong is not False and wrong.any():
            raise ValueError(f"{name}={value!r}: {words}, e.g. {name}={example}")
    return value
