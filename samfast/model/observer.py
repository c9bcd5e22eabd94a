"""An observer: what is looked at along a path, and memory that follows every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..checks import check, names_of
from .rule import Oracle


@dataclass(frozen=True)
class Seen:
    """What an observer sees: position w, velocity or momentum v, parameters p, gradient oracle grad, memory m, and t,
    the number of updates done."""

    w: Any
    v: Any
    p: Any
    grad: Oracle
    m: Any
    t: Any


@dataclass(frozen=True)
class Observer:
    """features(seen) -> numbers (or vectors) recorded at each recorded time.

    memory: initial values of the observer's own numbers, carried along each path; watch(seen) -> their new values, called
    at time 0 and after every step. labels name the features; a vector feature "w" of dimension 2 becomes w0, w1.

    A feature that is made of memory alone stays when the path runs away later; one that needs w or v is then not a number.
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
    """Several observers in one pass over the paths."""
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
