"""Schedules: parameters that change with the number n of the update, n = 0 for the first.

A schedule may stand for any parameter of a rule, of its noise or of a loss, e.g. sf.sam(lr=sf.schedule.cosine(...), rho=...).
Its own numbers may be sequences, which sweep. The formula is compiled and looks at the exact number n of the update, so that
a run that is cut and resumed has the same values. Beyond its last update a schedule stays at its last value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import tracing as T
from ..checks import check, identifier, numbers, shown
from .parameters import Numbers, Schedule

__all__ = ["Schedule", "array", "cosine", "exponential", "linear", "of", "step", "times"]


def __dir__() -> list[str]:
    return __all__


def _numbers(name: str, **given: Any) -> dict[str, Any]:
    return {k: numbers(f"schedule.{name}: {k}", v, example=1.0) for k, v in given.items()}


def _counts(name: str, low: float = 0.0, **given: Any) -> dict[str, Any]:
    """Numbers of updates, whole and at least `low`."""
    for k, v in given.items():
        array = np.asarray(numbers(f"schedule.{name}: {k}", v, low=low, example=1000), float)
        check(
            bool((array == np.rint(array)).all()), f"schedule.{name}: {k}={shown(v)}: give whole numbers of updates, e.g. 1000"
        )
    return given


def _warm(name: str, value: Any, end: Any, steps: Any, warmup: Any, shape: Callable[[Any], Any]) -> Schedule:
    """From `value` to `end` as 1 - shape(x) says for x from 0 to 1, after a linear rise over the first updates."""
    counts = _counts(name, 1.0, steps=steps) | _counts(name, warmup=warmup)
    check(
        bool((np.asarray(steps, float) > np.asarray(warmup, float)).all())
        if np.ndim(steps) == 0 or np.ndim(warmup) == 0
        else True,
        f"schedule.{name}: steps={shown(steps)}, warmup={shown(warmup)}: give more steps than warmup",
    )

    def at(n: Any, own: Any, p: Any) -> Any:
        x = (T.minimum(n, own.steps) - own.warmup) / (own.steps - own.warmup)
        return T.where(n < own.warmup, own.value * ((n + 1) / own.warmup), own.end + (own.value - own.end) * shape(x))

    return Schedule(name, at, {**_numbers(name, value=value, end=end), **counts}, ("value", "end"))


def cosine(value: Numbers, *, steps: Numbers, end: Numbers = 0.0, warmup: Numbers = 0) -> Schedule:
    """Half a cosine from `value` to `end` over `steps` updates, after a linear rise over the first `warmup` of them.

    end + (value - end)(1 + cos(pi (n - warmup)/(steps - warmup)))/2 at update n, `end` from n = steps on, and
    value*(n + 1)/warmup for n < warmup. Loshchilov and Hutter, SGDR, eq. 5.
    """
    return _warm("cosine", value, end, steps, warmup, lambda x: 0.5 * (1 + T.cos(math.pi * x)))


def linear(value: Numbers, *, steps: Numbers, end: Numbers = 0.0, warmup: Numbers = 0) -> Schedule:
    """A straight line from `value` to `end` over `steps` updates, after a linear rise over the first `warmup` of them.

    value + (end - value)(n - warmup)/(steps - warmup) at update n, and value*(n + 1)/warmup for n < warmup.
    """
    return _warm("linear", value, end, steps, warmup, lambda x: 1 - x)


def exponential(value: Numbers, *, factor: Numbers) -> Schedule:
    """value*factor^n at update n; factor above 0."""
    numbers("schedule.exponential: factor", factor, above=0.0, example=0.999)
    own = _numbers("exponential", value=value, factor=factor)
    return Schedule("exponential", lambda n, own, p: own.value * T.exp(n * T.log(own.factor)), own, ("value",))


def step(value: Numbers, *, factor: Numbers = 0.1, every: Numbers | None = None, at: Numbers | None = None) -> Schedule:
    """`value`, multiplied by `factor` every so many updates, or at each of the updates `at`; give one of the two.

    value*factor^(n // every) at update n; or value*factor^m with m the number of entries of `at` that are at most n.
    """
    check(
        (every is None) != (at is None),
        f"schedule.step: every={shown(every)}, at={shown(at)}: give one of them, e.g. every=100",
    )
    own = _numbers("step", value=value)
    if every is not None:
        numbers("schedule.step: factor", factor, above=0.0)
        own |= {**_counts("step", 1.0, every=every), "factor": factor}
        return Schedule("step", lambda n, own, p: own.value * T.exp(n // own.every * T.log(own.factor)), own, ("value",))
    edges = np.atleast_1d(np.asarray(_counts("step", at=at)["at"], float))
    check(edges.ndim == 1, f"schedule.step: at has shape {edges.shape}: give a flat sequence of updates, e.g. at=[100, 150]")
    own |= _numbers("step", factor=factor) | {f"at_{i}": x for i, x in enumerate(edges.tolist())}

    def fallen(n: Any, own: Any, p: Any) -> Any:
        value = own.value
        for i in range(len(edges)):
            value = value * T.where(n >= getattr(own, f"at_{i}"), own.factor, 1.0)
        return value

    return Schedule("step", fallen, own, ("value",))


def array(values: Numbers) -> Schedule:
    """One value for each update, shape (updates,), or (*sweep, updates); the last one stays.

    This is the mark that tells values per update from a sweep.
    """
    table = np.asarray(numbers("schedule.array", values, example=[0.1, 0.05, 0.01]), float)
    check(table.ndim > 0, f"schedule.array({shown(values)}): give one value for each update, e.g. [0.1, 0.05]")
    return Schedule("array", lambda n, own, p: None, {}, (), table)


def times(name: str, factor: Numbers) -> Schedule:
    """`factor` times another parameter, with its schedule if it has one: rho=sf.schedule.times("lr", 5.0) ties rho to lr."""
    identifier(name)
    return Schedule(
        f"times_{name}",
        lambda n, own, p: own.factor * getattr(p, name),
        _numbers("times", factor=factor),
        ("factor",),
        None,
        True,
    )


def of(function: Callable[[Any, Any], Any], **own: Numbers) -> Schedule:
    """A schedule of your own: function(n, p) of the number n of the update and of numbers p, which are given by name.

    sf.schedule.of(lambda n, p: p.base/sf.sqrt(1 + n/p.scale), base=0.1, scale=100.0)
    """
    check(
        callable(function) and not isinstance(function, type),
        f"function={shown(function)}: give a function of (n, p), e.g. lambda n, p: p.base/(1 + n)",
        TypeError,
    )

    def at(n: Any, numbers: Any, p: Any) -> Any:
        value = function(n, numbers)
        check(
            not isinstance(value, tuple | list) and value is not None,
            f"schedule.of: the function returned {value!r:.60}, not one number",
            T.TraceError,
        )
        return T.lift(value)

    return Schedule("of", at, _numbers("of", **own))
