"""An observer: the numbers to record along a path, and a memory that follows every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..checks import check, names_of
from .rule import Oracle


@dataclass(frozen=True)
class Seen:
    """The state of a path that an observer is given.

    It has the position w, the rule's further state v (velocity or momentum), the parameters p, the gradient oracle grad, the
    observer's own memory m, and the number t of updates done.
    """

    w: Any
    v: Any
    p: Any
    grad: Oracle
    m: Any
    t: Any


@dataclass(frozen=True)
class Observer:
    """A record of some features of each path, and perhaps a memory that the path carries along.

    features(seen) returns the numbers or vectors to record at each recorded time. labels name them; a vector "w" of two
    coordinates becomes w0, w1. memory holds the initial values of numbers that each path carries along. watch(seen) returns
    their new values; it is called at time 0 and after every step. params are parameters that both functions use.

    A feature computed from memory alone stays valid if the path diverges later; one that needs w or v becomes nan.
    """

    name: str
    features: Callable[[Seen], Sequence[Any]]
    labels: tuple[str, ...]
    memory: tuple[float, ...] = ()
    watch: Callable[[Seen], Sequence[Any]] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Observer({self.name}: {', '.join(self.labels)})"


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
        return Seen(s.w, s.v, s.p, s.grad, s.m[cuts[i] : cuts[i + 1]], s.t)

    def features(s: Seen) -> list[Any]:
        return [x for i, o in enumerate(observers) for x in o.features(part(s, i))]

    def watch(s: Seen) -> list[Any]:
        return [x for i, o in enumerate(observers) if o.watch for x in o.watch(part(s, i))]

    for o in observers:
        check(bool(o.watch) or not o.memory, f"observer {o.name!r} has memory but no watch: give watch=")
    return Observer(
        "+".join(o.name for o in observers),
        features,
        tuple(labels),
        tuple(x for o in observers for x in o.memory),
        watch if any(o.watch for o in observers) else None,
        params,
    )
