"""What to look at: numbers recorded at the requested times, and memory that follows every step."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import tracing as T
from .checks import check, names_of, numbers
from .rules import Oracle


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

    memory: initial values of the observer's own numbers, carried along each path; watch(seen) -> their new values, run
    after every step. labels name the features; a vector feature "w" of dimension 2 becomes w0, w1.
    """

    name: str
    features: Callable[[Seen], Sequence[Any]]
    labels: tuple[str, ...]
    memory: tuple[float, ...] = ()
    watch: Callable[[Seen], Sequence[Any]] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Observer({self.name}: {', '.join(self.labels)})"


ORIGIN = "origin"       # the engine fills this parameter with the start of each path


def position() -> Observer:
    """The coordinates w_0, ..., w_(dim-1)."""
    return Observer("position", lambda s: [s.w], ("w",))


def displacement() -> Observer:
    """w(t) - w(0), coordinate by coordinate."""
    return Observer("displacement", lambda s: [s.w - s.p.origin], ("dw",), params={ORIGIN: None})


def msd() -> Observer:
    """|w(t) - w(0)|^2; its mean over paths is the mean squared displacement."""
    def features(s: Seen) -> list[Any]:
        d = s.w - s.p.origin
        return [T.dot(d, d)]
    return Observer("msd", features, ("msd",), params={ORIGIN: None})


def loss_value() -> Observer:
    """The loss at w."""
    return Observer("loss", lambda s: [s.grad.value(s.w)], ("loss",))


def gradient_norm() -> Observer:
    """|grad(w)|."""
    return Observer("gradient_norm", lambda s: [T.norm(s.grad(s.w))], ("gradient_norm",))


def escape(*, level: float) -> Observer:
    """The number of updates after which the loss first exceeds `level`; -1 as long as it has not."""
    numbers("level", level)

    def watch(s: Seen) -> list[Any]:
        first = T.where(s.grad.value(s.w) > s.p.level, s.t, s.m[0])
        return [T.where(s.m[0] < 0, first, s.m[0])]
    return Observer("escape", lambda s: [s.m[0]], ("escape",), (-1.0,), watch, {"level": level})


def exit_time(*, radius: float) -> Observer:
    """The number of updates after which |w - w(0)| first exceeds `radius`; -1 as long as it has not."""
    numbers("radius", radius, above=0.0, example=1.0)

    def watch(s: Seen) -> list[Any]:
        d = s.w - s.p.origin
        first = T.where(T.dot(d, d) > s.p.radius * s.p.radius, s.t, s.m[0])
        return [T.where(s.m[0] < 0, first, s.m[0])]
    return Observer("exit_time", lambda s: [s.m[0]], ("exit_time",), (-1.0,), watch, {"radius": radius, ORIGIN: None})


def several(*observers: Observer) -> Observer:
    """Several observers in one pass over the paths."""
    check(len(observers) > 0, "several(): give at least one observer, e.g. several(position(), msd())")
    check(all(isinstance(o, Observer) for o in observers), "several(): give observers, e.g. several(position(), msd())",
          TypeError)
    labels = [label for o in observers for label in o.labels]
    check(len(set(labels)) == len(labels), f"several(): two observers record the same name in {names_of(labels)}; "
          "leave one of them out")
    params: dict[str, Any] = {}
    for o in observers:
        for k, v in o.params.items():
            check(k not in params or params[k] is v or params[k] == v, f"several(): observers disagree about parameter "
                  f"{k!r}; rename it in one of them")
            params[k] = v
    cuts = [0]
    for o in observers:
        cuts.append(cuts[-1] + len(o.memory))

    def part(s: Seen, i: int) -> Seen:
        return Seen(s.w, s.v, s.p, s.grad, s.m[cuts[i]:cuts[i + 1]], s.t)

    def features(s: Seen) -> list[Any]:
        return [x for i, o in enumerate(observers) for x in o.features(part(s, i))]

    def watch(s: Seen) -> list[Any]:
        return [x for i, o in enumerate(observers) if o.watch for x in o.watch(part(s, i))]
    for o in observers:
        check(bool(o.watch) or not o.memory, f"observer {o.name!r} has memory but no watch: give watch=")
    return Observer("+".join(o.name for o in observers), features, tuple(labels),
                    tuple(x for o in observers for x in o.memory),
                    watch if any(o.watch for o in observers) else None, params)
