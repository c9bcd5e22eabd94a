"""Checks of the arguments of a user; an error is one line that names the argument, its value and the remedy."""

from __future__ import annotations

import functools
import inspect
import keyword
import operator
import os
import reprlib
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])
UNFIT = ("broadcast", "shape mismatch", "mismatch in its core dimension", "do not fit together")  # NumPy's words, and unfit's


class DivergenceWarning(RuntimeWarning):
    """Some paths diverged and were left out of the statistics."""


class CriticalPointError(ArithmeticError):
    """A normalised step met a gradient that is exactly 0, where its rule was asked to raise an error."""


class NoGpuError(RuntimeError):
    """A GPU was asked for, e.g. by device="cuda", and there is none to use; the message gives the reason."""


def check(condition: bool, message: str, error: type[Exception] = ValueError) -> None:
    if not condition:
        raise error(" ".join(line.strip() for line in message.splitlines()))  # arrays print in several lines, an error has one


def names_of(names: Iterable[str]) -> str:
    return ", ".join(str(n) for n in names) or "none"


def identifier(name: str) -> None:
    check(
        isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_"),
        f"parameter name {name!r}: use a plain Python name that does not start with '_'",
    )


def shown(value: Any) -> str:
    """The value as it is written in a message, cut short and in one line."""
    return " ".join(reprlib.repr(value).split())


def instance(name: str, value: Any, kind: type | tuple[type, ...], remedy: str) -> Any:
    """The value if it is an instance of `kind`, else a TypeError with the remedy."""
    if not isinstance(value, kind):  # not by check(), which would print every good value as well, and arrays take milliseconds
        check(False, f"{name}={shown(value)}: {remedy}", TypeError)
    return value


def text(name: str, value: Any, example: str) -> str:
    return str(instance(name, value, str, f"give a string, e.g. {name}={example!r}"))


def location(name: str, path: Any) -> Path:
    """A folder or file that a user named."""
    where = Path(instance(name, path, (str, os.PathLike), f"give a folder or a file, e.g. {name}='results'"))
    check("\0" not in str(where), f"{name}={shown(path)}: give a name without the character 0")
    return where


def folder(name: str, path: Any) -> Path:
    """A folder that a user named, which may not be there yet."""
    where = location(name, path)
    check(not where.exists() or where.is_dir(), f"{name}={str(path)!r}: this is a file; give a folder", NotADirectoryError)
    return where


def picture(name: str, path: Any) -> Path:
    """A file for a picture that a user named; its ending says the format, and it is PNG without one."""
    where = location(name, path)
    check(not where.is_dir(), f"{name}={str(path)!r}: this is a folder; give a file", IsADirectoryError)
    known = where.suffix in ("", ".png", ".pdf", ".svg")
    check(known, f"{name}={str(path)!r}: give a name that ends with .png, .pdf or .svg")
    return where


def several_words(name: str, value: Any, example: str) -> tuple[str, ...]:
    """A sequence of words as a tuple; TypeError for anything else, also for one word alone."""
    wrong = f"{name}={shown(value)}: give a sequence of words, e.g. {name}={example}"
    check(isinstance(value, Iterable) and not isinstance(value, str | bytes | np.ndarray), wrong, TypeError)
    found = tuple(value)
    check(all(isinstance(word, str) for word in found), wrong, TypeError)
    return found


def flag(name: str, value: Any) -> bool:
    """True or False as bool; anything else, also 0 or 1, is a TypeError."""
    return bool(instance(name, value, (bool, np.bool_), f"give True or False, e.g. {name}=True"))


def real_array(name: str, value: Any, example: Any = 0.1) -> np.ndarray:
    """Real numbers of any shape as float64, nan and inf included; TypeError for strings, bools, complex and masked numbers."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name}: a masked array; fill it or leave the masked entries out, e.g. {name}=values.compressed()")
    try:
        raw = np.asarray(value)
        if raw.dtype.kind in "iuf":
            return raw.astype(float, copy=False)
        if raw.dtype.kind == "O" and all(isinstance(x, Real) and not isinstance(x, bool) for x in raw.ravel()):
            return raw.astype(float)
    except (TypeError, ValueError, OverflowError):
        pass
    raise TypeError(f"{name}={shown(value)}: give a number or a sequence of numbers, e.g. {name}={example}")


def results(name: str, function: Callable[[Any], Any], argument: Any, shape: tuple[int, ...], example: str) -> np.ndarray:
    """What a user's function returns for an array: real numbers of this shape; else an error that names the function."""
    check(callable(function), f"{name}={shown(function)}: give a function, e.g. {example}", TypeError)
    try:
        found = function(argument)
    except TypeError as error:
        what = f"{name}: it does not take an array of shape {np.shape(argument)} ({said(error)})"
        raise TypeError(f"{what}; give a function such as {example}") from error
    numbers = real_array(name, found, example)
    check(numbers.shape == shape, f"{name}: it returned shape {numbers.shape}; give a function of numbers of shape {shape}")
    return numbers


def unfit(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The message where arguments of these shapes do not broadcast."""
    listed = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items() if shape)
    return f"the shapes do not fit together: {listed}; give numbers, arrays of one shape, or a grid such as (3, 1) and (4,)"


def fitting(name: str, array: Any, shape: tuple[int, ...], of: str = "") -> Any:
    """The array as it is; ValueError with its name if it does not broadcast to this shape, which is that of `of`."""
    given = tuple(array.shape)
    if len(given) > len(shape) or any(n not in (1, m) for n, m in zip(given[::-1], shape[::-1], strict=False)):
        whole = f"{shape}, that of {of}" if of else f"{shape}"
        raise ValueError(f"{name} has shape {given}: give one number, or an array that broadcasts to {whole}")
    return array


def shapes_named(function: Function) -> Function:
    """The function, with an error that names the arguments and their shapes where NumPy finds that they do not fit.

    A function that calls others of this kind reports its own arguments instead of theirs.
    """

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except ValueError as error:
            if not any(words in str(error) for words in UNFIT):
                raise
            given = inspect.signature(function).bind(*args, **named).arguments
            arrays = {name: np.shape(value) for name, value in given.items() if not isinstance(value, str)}
            raise ValueError(unfit(arrays)) from None

    return cast(Function, call)


def said(error: BaseException) -> str:
    """What a reader said of a damaged file, in one line of printable characters."""
    words = f"no field {error}" if isinstance(error, KeyError) else str(error)
    words = " ".join(words.split())[:300] or type(error).__name__
    return "".join(c if c.isprintable() else "?" for c in words)


def integer(name: str, value: Any, low: int, example: Any = None, *, most: int | None = None) -> int:
    wrong = f"{name}={shown(value)}: give an integer, e.g. {name}={example or low}"
    check(not isinstance(value, bool | np.bool_), wrong, TypeError)
    try:
        n = operator.index(value)
    except TypeError:
        if isinstance(value, float) and value.is_integer():
            n = int(value)
        else:
            raise TypeError(wrong) from None
    check(n >= low, f"{name}={value!r}: give at least {low}, e.g. {name}={example or low}")
    check(most is None or n <= most, f"{name}={value!r:.40}: give at most {most}, e.g. {name}={example or low}")
    return n


def choice(name: str, value: Any, options: Iterable[str]) -> Any:
    options = list(options)
    check(
        isinstance(value, str) and value in options,
        f"{name}={shown(value)}: choose one of {', '.join(repr(o) for o in options)}",
    )
    return value


def numbers(
    name: str, value: Any, low: float | None = None, above: float | None = None, below: float | None = None, example: Any = 0.1
) -> Any:
    """The value as it was given, if it is a finite real number or an array of them and every entry is within the bounds.

    The bounds are entry >= low, entry > above and entry < below. Raises TypeError for values that are not real, ValueError
    for an entry that is out of bounds or not finite, or for an empty array.
    """
    array = real_array(name, value, example)
    if array.size == 0:  # a value is written out only where it is wrong, since that takes longer than all checks
        raise ValueError(f"{name}={shown(value)}: give at least one number, e.g. {name}={example}")
    faults: list[tuple[Any, str]] = [
        (~np.isfinite(array), "every value must be a finite number"),
        (low is not None and array < low, f"give values of at least {low}"),
        (above is not None and array <= above, f"give values above {above}"),
        (below is not None and array >= below, f"give values below {below}"),
    ]
    for wrong, words in faults:
        if wrong is not False and wrong.any():
            raise ValueError(f"{name}={shown(value)}: {words}, e.g. {name}={example}")
    return value


def number(name: str, value: Any, **bounds: Any) -> float:
    """One finite number within the bounds of `numbers`."""
    array = real_array(name, numbers(name, value, **bounds))
    check(array.ndim == 0, f"{name}={shown(value)}: give one number, e.g. {name}={bounds.get('example', 0.1)}")
    return float(array)
