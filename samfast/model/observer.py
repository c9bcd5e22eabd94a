"""An observer: the numbers to record along a path, and a memory that follows every step."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, TypeAlias

from ..checks import check, names_of, shown
from .rule import Oracle


@dataclass(frozen=True)
class Seen:
    """The state of a path that an observer is given.

    It has the position w, the rule's further state v (velocity or momentum), the parameters p, the gradient oracle grad, the
    observer's own memory m, and the number t of updates done. stopped is the update at which the path was stopped and -1 for
    a path that goes on; it is None in a run without stop=.
    """

    w: Any
    v: Any
    p: Any
    grad: Oracle
    m: Any
    t: Any
    stopped: Any = None


@dataclass(frozen=True)
class Observer:
    """A record of some features of each path, and perhaps a memory that the path carries along.

    features(seen) returns the numbers or vectors to record at each recorded time. labels name them; a vector "w" of two
    coordinates becomes w0, w1. memory holds the initial values of numbers that each path carries along. watch(seen) returns
    their new values; it is called at time 0 and after every step. params are parameters that both functions use.

    settled(seen), where an observer has it, is a condition from which on its features no longer change, so that its paths
    may stop (see stop= of `sf.simulate`). stop is the condition of the run, which `sf.simulate` puts in.

    A feature computed from memory alone stays valid if the path diverges later; one that needs w or v becomes nan.
    """

    name: str
    features: Callable[[Seen], Sequence[Any]]
    labels: tuple[str, ...]
    memory: tuple[float, ...] = ()
    watch: Callable[[Seen], Sequence[Any]] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    settled: Callable[[Seen], Any] | None = None
    stop: Callable[[Seen], Any] | None = None

    def __repr__(self) -> str:
        return f"Observer({self.name}: {', '.join(self.labels)})"


Stop: TypeAlias = Callable[[Seen], Any] | Observer
ORIGIN = "origin"  # the engine fills this parameter with the start of each path


def several(*observers: Observer) -> Observer:
    """One observer that records the features of several in one simulation.

    Raises ValueError if two of them record the same label or disagree about a parameter.
    """
    check(len(observers) > 0, "several(): give at least one observer, e.g. several(position(), msd())")
    check(
        all(isinstance(o, Observer) for o in observers), "several(): give observers, e.g. several(position(), msd())", TypeError
    )
    labels = [label for o in observers for label in o.labels]
    check(
        len(set(labels)) == len(labels),
        f"several(): two observers record the same name in {names_of(labels)}; leave one of them out",
    )
    params: dict[str, Any] = {}
    for o in observers:
        for k, v in o.params.items():
            check(
                k not in params or params[k] is v or params[k] == v,
                f"several(): observers disagree about parameter {k!r}; rename it in one of them",
            )
            params[k] = v
    cuts = [0]
    for o in observers:
        cuts.append(cuts[-1] + len(o.memory))

    def part(s: Seen, i: int) -> Seen:
        return replace(s, m=s.m[cuts[i] : cuts[i + 1]])

    def features(s: Seen) -> list[Any]:
        return [x for i, o in enumerate(observers) for x in o.features(part(s, i))]

    def watch(s: Seen) -> list[Any]:
        return [x for i, o in enumerate(observers) if o.watch for x in o.watch(part(s, i))]

    def settled(s: Seen) -> Any:
        return reduce(operator.and_, (o.settled(part(s, i)) for i, o in enumerate(observers) if o.settled))

    for o in observers:
        check(bool(o.watch) or not o.memory, f"observer {o.name!r} has memory but no watch: give watch=")
    return Observer(
        "+".join(o.name for o in observers),
        features,
        tuple(labels),
        tuple(x for o in observers for x in o.memory),
        watch if any(o.watch for o in observers) else None,
        params,
        settled if all(o.settled for o in observers) else None,
    )


def stopping(observer: Observer, stop: Stop | None) -> Observer:
    """The observer for a run whose paths stop where `stop` says so: a condition, or an observer that is settled by then."""
    if stop is None:
        return observer
    check(
        callable(stop) and not isinstance(stop, type) if not isinstance(stop, Observer) else stop.settled is not None,
        f"stop={stop if isinstance(stop, Observer) else shown(stop)}: give a condition, e.g. lambda s: s.w[0] > 1, or an "
        "observer that knows when it is settled, such as sf.observe.first, escape or exit_time",
        TypeError,
    )
    if not isinstance(stop, Observer):
        return replace(observer, stop=stop)
    settled, n = stop.settled, len(observer.memory)
    assert settled is not None
    if stop is observer:
        return replace(observer, stop=settled)
    both = several(observer, replace(stop, features=lambda s: [], labels=()))
    return replace(both, stop=lambda s: settled(replace(s, m=s.m[n:])))
