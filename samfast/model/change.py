"""How a rule is put on another: the base rule goes its own way, on gradients that are changed before it sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..checks import check
from .parameters import Sweep
from .rule import ROW, Direction, Oracle, Rule, State, ball, gradient_calls, traced_calls

# (w, s, gradient, p) -> (changed gradient at w, new parts of s). s is the state of the change itself.
Change = Callable[[Any, Any, Oracle, Any], tuple[Any, Mapping[str, Any]]]


class Changed(Oracle):
    """An oracle that answers the calls from number `first` on by a changed gradient, and those before exactly."""

    def __init__(self, exact: Oracle, change: Callable[[Any], Any], first: int = 0) -> None:
        super().__init__(exact._value)
        self.exact, self.change, self.first, self.alarms = exact, change, first, exact.alarms

    def value(self, w: Any) -> Any:
        self.calls += 1
        return self.exact.value(w)

    def __call__(self, w: Any) -> Any:
        self.calls += 1
        return self.change(w) if self.calls > self.first else self.exact(w)


def following(name: str, base: Rule, direction: Direction, params: Mapping[str, Sweep], bounded: frozenset[str]) -> Rule:
    """The base rule, with its momentum if it has one, along another direction."""

    def step(w: Any, v: Any, grad: Oracle, p: Any, z: Any) -> tuple[Any, Any]:
        g = direction(w, grad, p)
        return ball(w, v, g, p, base.dampen_first) if base.heavy else (w - p.lr * g, v)

    made = replace(base, name=name, step=step, direction=direction, params=params, bounded=bounded)
    return replace(made, gradients=traced_calls(made))


def changed(
    name: str,
    base: Rule,
    change: Change,
    params: Mapping[str, Sweep],
    *,
    state: Mapping[str, Any] | None = None,
    last: bool = False,
    bounded: frozenset[str] = frozenset(),
) -> Rule:
    """The base rule on changed gradients. last: only the last gradient of a step is changed, which the rule descends by."""
    state = state or {}
    for k in params:
        check(k not in base.params, f"{name} of rule {base.name!r}: that has a parameter {k!r} already; take one without")
    first = gradient_calls(base) - 1 if last else 0
    whole = {**base.params, **params}
    called = f"{name}_{base.name}"
    if not state and base.direction is not None:
        follow = base.direction

        def direction(w: Any, grad: Oracle, p: Any) -> Any:
            return follow(w, Changed(grad, lambda u: change(u, None, grad, p)[0], first), p)

        return following(called, base, direction, whole, base.bounded | bounded)
    names = {ROW + k: k for k in base.state} or {f"v{i}": f"velocity{i}" for i in range(base.slots)}
    starts = dict(base.state) or dict.fromkeys(names.values(), 0.0)
    for k in state:
        check(k not in starts, f"{name} of rule {base.name!r}: that has a state {k!r} already; it goes on a rule without")

    def step(w: Any, s: Any, grad: Oracle, p: Any, z: Any) -> tuple[Any, Any]:
        mine: dict[str, Any] = {k: getattr(s, k) for k in state}

        def answer(u: Any) -> Any:
            g, new = change(u, State(f"rule {name!r}", mine), grad, p)
            mine.update(new)
            return g

        values = {row: getattr(s, k) for row, k in names.items()}
        v, _ = base.new_state(values.__getitem__, values.__getitem__)
        x, after = base.step(w, v, Changed(grad, answer, first), p, ())
        return x, {**mine, **{names[row]: part for row, part in base.parts(after, v).items()}}

    made = Rule(
        called,
        step if starts or state else lambda w, v, grad, p, z: (step(w, v, grad, p, z)[0], v),
        whole,
        state={**starts, **state},
        vectors=base.vectors,
        either=base.either,
        bounded=base.bounded | bounded,
        batches=base.batches,
    )
    return replace(made, gradients=traced_calls(made))
