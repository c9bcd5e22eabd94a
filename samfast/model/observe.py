"""Observers ready to use. They record numbers at the requested times; some keep a memory that follows every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import tracing as T
from ..checks import check, identifier, integer, numbers
from .loss import LARGEST
from .observer import ORIGIN, Observer, Seen, several
from .parameters import Numbers, parameter
from .rule import Rule, State

__all__ = [
    "Observer",
    "Seen",
    "cosine",
    "displacement",
    "distance",
    "escape",
    "exit_time",
    "first",
    "gradient_norm",
    "loss_value",
    "msd",
    "paired_msd",
    "perturbed",
    "position",
    "running_max",
    "running_min",
    "several",
    "side",
    "stop_time",
]


def __dir__() -> list[str]:
    return __all__


def position() -> Observer:
    """The coordinates w_0, ..., w_(dim-1)."""
    return Observer("position", lambda s: [s.w], ("w",))


def displacement() -> Observer:
    """The displacement w(t) - w(0), coordinate by coordinate."""
    return Observer("displacement", lambda s: [s.w - s.p.origin], ("dw",), params={ORIGIN: None})


def msd() -> Observer:
    """The squared displacement |w(t) - w(0)|^2, whose mean over paths is the mean squared displacement."""

    def features(s: Seen) -> list[Any]:
        d = s.w - s.p.origin
        return [T.dot(d, d)]

    return Observer("msd", features, ("msd",), params={ORIGIN: None})


def loss_value() -> Observer:
    """The loss at w."""
    return Observer("loss", lambda s: [s.grad.value(s.w)], ("loss",))


def gradient_norm() -> Observer:
    """The length |grad(w)| of the gradient at w."""
    return Observer("gradient_norm", lambda s: [T.norm(s.grad(s.w))], ("gradient_norm",))


def perturbed(rule: Rule) -> Observer:
    """The perturbed point of a SAM rule, w^p = w + rho*grad(w), or w + rho*grad(w)/|grad(w)| if the rule normalises."""
    ascend = _perturbed(rule)
    return Observer("perturbed", lambda s: [ascend(s.w, s.grad, s.p)], ("wp",))


def cosine(rule: Rule) -> Observer:
    """The cosine between the gradients at w and at w^p (Kim et al., Fig. 4); 0 where one of them is 0."""
    ascend = _perturbed(rule)

    def features(s: Seen) -> list[Any]:
        g, h = s.grad(s.w), s.grad(ascend(s.w, s.grad, s.p))
        return [T.dot(g, h) / (T.length(g) * T.length(h))]

    return Observer("cosine", features, ("cosine",))


def side(boundary: Callable[[Any], Any], *, rule: Rule | None = None, name: str = "side") -> Observer:
    """The sign (-1, 0 or 1) of boundary(w), a function that vanishes e.g. on the boundary between two basins.

    With `rule`, a SAM rule, it is the sign of boundary(w^p).
    """
    identifier(name)
    check(callable(boundary), f"boundary={boundary!r:.60}: give a function of w, e.g. lambda w: w[0]", TypeError)
    ascend = None if rule is None else _perturbed(rule)

    def features(s: Seen) -> list[Any]:
        value = boundary(s.w if ascend is None else ascend(s.w, s.grad, s.p))
        return [T.where(value > 0, 1.0, T.where(value < 0, -1.0, 0.0))]

    return Observer(name, features, (name,))


def distance(point: Sequence[float], *, name: str = "distance") -> Observer:
    """The distance |w - point|. Several of these in one run need different names."""
    identifier(name)
    values = np.asarray(numbers("point", point), float)
    check(values.ndim == 1, f"point has shape {values.shape}: give one number for each coordinate")

    def features(s: Seen) -> list[Any]:
        return [T.norm(s.w - T.Vector(getattr(s.p, f"{name}_to_{i}") for i in range(len(values))))]

    return Observer(name, features, (name,), params={f"{name}_to_{i}": x for i, x in enumerate(values.tolist())})


def first(condition: Callable[[Seen], Any], *, name: str = "first", **params: Numbers) -> Observer:
    """The number of updates after which condition(seen) first holds, 0 if it does at the start; -1 as long as it has not.

    The number stays valid if the path diverges later; as stop= of `sf.simulate` the observer makes paths stay there. The
    condition compares numbers, and `params` are parameters for it:

        first(lambda s: s.w[0] < s.p.wall, name="crossing", wall=0.5)
    """
    identifier(name)
    check(callable(condition), f"condition={condition!r:.60}: give a function, e.g. lambda s: s.w[0] > 1", TypeError)
    for key, value in params.items():
        parameter(key, value)

    def watch(s: Seen) -> list[Any]:
        return [T.where(s.m[0] < 0, T.where(condition(s), s.t, s.m[0]), s.m[0])]

    return Observer(name, lambda s: [s.m[0]], (name,), (-1.0,), watch, params, settled=lambda s: s.m[0] >= 0)


def stop_time() -> Observer:
    """The number of updates after which stop= of `sf.simulate` stopped the path, 0 at the start; -1 as long as it has not.

    Raises TraceError in a run without stop=.
    """

    def features(s: Seen) -> list[Any]:
        check(s.stopped is not None, "observe.stop_time: this run has no stop=; give simulate one", T.TraceError)
        return [s.stopped]

    return Observer("stop_time", features, ("stop_time",))


def escape(*, level: Numbers) -> Observer:
    """The number of updates after which the loss first exceeds `level`, 0 if it does at the start; -1 as long as it has not."""
    return first(lambda s: s.grad.value(s.w) > s.p.level, name="escape", level=level)


def exit_time(*, radius: Numbers) -> Observer:
    """The number of updates after which |w - w(0)| first exceeds `radius`; -1 as long as it has not."""
    numbers("radius", radius, above=0.0, example=1.0)

    def outside(s: Seen) -> Any:
        d = s.w - s.p.origin
        return T.dot(d, d) > s.p.radius * s.p.radius

    made = first(outside, name="exit_time", radius=radius)
    return replace(made, params={**made.params, ORIGIN: None})


def running_max(observer: Observer, *, dim: int = 1) -> Observer:
    """The largest value so far, the start included, of each number that an observer without memory records.

    Values that are infinite or nan do not count, so that the maximum stays valid if the path diverges. dim: the length of
    the vectors that the observer records, 1 if it records numbers. Labels get the prefix "max_".
    """
    return _extreme(observer, dim, "max_", lambda x, m: T.where(x > m, T.where(x < np.inf, x, m), m), -np.inf)


def running_min(observer: Observer, *, dim: int = 1) -> Observer:
    """The smallest value so far, with labels that begin with "min_"; otherwise like `running_max`."""
    return _extreme(observer, dim, "min_", lambda x, m: T.where(x < m, T.where(x > -np.inf, x, m), m), np.inf)


def _extreme(observer: Observer, dim: int, prefix: str, better: Callable[[Any, Any], Any], worst: float) -> Observer:
    check(
        isinstance(observer, Observer) and not observer.memory,
        f"observer={observer!r}: give an observer without memory, e.g. loss_value()",
        TypeError,
    )
    n = integer("dim", dim, 1, 2, most=LARGEST)

    def best(s: Seen) -> list[Any]:
        flat = [x for f in observer.features(s) for x in (f if isinstance(f, T.Vector) else [f])]
        check(
            len(flat) == len(s.m),
            f"dim={dim}: observer {observer.name!r} records {len(flat)} numbers; give dim= their number for each label",
            T.TraceError,
        )
        return [better(x, m) for x, m in zip(flat, s.m, strict=True)]

    def features(s: Seen) -> list[Any]:
        values = list(s.m)
        return values if n == 1 else [T.Vector(values[i : i + n]) for i in range(0, len(values), n)]

    labels = tuple(prefix + label for label in observer.labels)
    return Observer(prefix + observer.name, features, labels, (worst,) * (n * len(labels)), best, observer.params)


def _perturbed(rule: Rule) -> Callable[[Any, Any, Any], Any]:
    check(
        isinstance(rule, Rule) and rule.perturbed is not None,
        f"rule={rule!r}: it has no perturbed point; give a rule made by sf.sam",
    )
    assert rule.perturbed is not None
    return rule.perturbed


def paired_msd() -> Observer:
    """The squared displacements of both rules of `sf.paired`, and the second minus the first, path by path.

    Labels: "first", "second" and "difference". The difference is computed from w2 - w1, so that it keeps its digits when small.
    """

    def features(s: Seen) -> list[Any]:
        u, d = s.v if isinstance(s.v, T.Vector) else s.v.v0 if isinstance(s.v, State) else s.v[0], s.w - s.p.origin
        first, more = T.dot(d, d), T.dot(u, 2 * d + u)
        return [first, first + more, more]

    return Observer("paired_msd", features, ("first", "second", "difference"), params={ORIGIN: None})
