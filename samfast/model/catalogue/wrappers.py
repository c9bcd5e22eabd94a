"""Clipping and weight decay around any rule; the base comes first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ... import tracing as T
from ...checks import check, flag
from ..change import changed, following
from ..parameters import Sweep, parameter
from ..rule import Oracle, Rule, gradient_calls
from .base import base_or_gd


def clipped(base: Rule, *, norm: Sweep | None = None, value: Sweep | None = None) -> Rule:
    """The rule with the gradient that it descends by clipped, to a length or by coordinate.

    norm: g becomes g*min(1, norm/|g|) (Pascanu, Mikolov and Bengio (2013), Algorithm 1).
    value: each coordinate of g becomes min(max(g_i, -value), value). Give one of the two, above 0.

    Of a rule w' = w - lr*direction the direction is clipped, before its momentum; of others the last gradient of a step. To
    clip what a rule below SAM sees, put SAM on the clipped rule, sf.sam(sf.rules.clipped(base, norm=1.0), rho=0.05). Noise
    that is added afterwards, by `noisy(clipped(...))`, is clipped too, as that of a minibatch is. Raises ValueError for a rule
    that has noise already.
    """
    made = base_or_gd("clipped", base, None)
    check((norm is None) != (value is None), f"clipped: norm={norm!r}, value={value!r}: give one of them, e.g. norm=1.0")
    name, bound = ("norm", norm) if norm is not None else ("value", value)
    parameter(name, bound, above=0.0, example=1.0)

    def clip(g: Any, p: Any) -> Any:
        if norm is None:
            return T.minimum(T.maximum(g, -p.clip_value), p.clip_value)
        return T.where(T.norm(g) > p.clip_norm, p.clip_norm / T.length(g), 1.0) * g

    params: dict[str, Any] = {f"clip_{name}": bound}
    follow = made.direction
    if follow is None:
        return changed("clipped", made, lambda w, s, grad, p: (clip(grad(w), p), {}), params, last=True)
    clipping = following(
        f"clipped_{made.name}", made, lambda w, grad, p: clip(follow(w, grad, p), p), {**made.params, **params}, made.bounded
    )
    return replace(clipping, perturbed=made.perturbed)


def decayed(base: Rule, *, weight_decay: Sweep, decoupled: bool = False) -> Rule:
    """The rule with weight decay.

    Coupled, weight_decay*w is added to the direction of the rule, or to the last gradient of a step, where w is the point
    before the step (the penalty weight_decay*|w|^2/2). decoupled: the step of the base is followed by w' - lr*weight_decay*w
    (Loshchilov and Hutter (2019)), so that no adaptive rate scales the decay; it needs a base with a parameter lr.
    """
    made = base_or_gd("decayed", base, None)
    flag("decoupled", decoupled)
    parameter("weight_decay", weight_decay, low=0.0, example=0.01)
    check("weight_decay" not in made.params, f"decayed of rule {made.name!r}: it has weight decay already; leave one out")
    params = {**made.params, "weight_decay": weight_decay}
    name = f"decayed_{made.name}"
    check(not decoupled or "lr" in made.params, f"decayed of rule {made.name!r}: decoupled=True needs a rule with lr")
    follow = made.direction
    if follow is not None and not (decoupled and made.heavy):  # decay beside momentum is no part of the direction

        def direction(w: Any, grad: Oracle, p: Any) -> Any:
            return follow(w, grad, p) + p.weight_decay * w

        return replace(following(name, made, direction, params, made.bounded), perturbed=made.perturbed)
    last = gradient_calls(made) - 1

    def step(w: Any, v: Any, grad: Oracle, p: Any, z: Any) -> tuple[Any, Any]:
        if decoupled:
            x, after = made.step(w, v, grad, p, z)
            return x - p.lr * p.weight_decay * w, after
        return made.step(w, v, Decaying(grad, p.weight_decay * w, last), p, z)

    return replace(made, name=name, step=step, direction=None, heavy=False, params=params, gradients=last + 1)


class Decaying(Oracle):
    """An oracle that adds a vector to the answer to call number `last`."""

    def __init__(self, exact: Oracle, more: Any, last: int) -> None:
        super().__init__(exact._value)
        self.exact, self.more, self.last, self.alarms = exact, more, last, exact.alarms

    def value(self, w: Any) -> Any:
        self.calls += 1
        return self.exact.value(w)

    def __call__(self, w: Any) -> Any:
        self.calls += 1
        g = self.exact(w)
        return g + self.more if self.calls == self.last + 1 else g
