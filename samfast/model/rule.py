"""A rule: one update as a function of symbols, and the oracle that it asks for gradients of the loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .. import tracing as T
from ..checks import check, identifier, instance, names_of, numbers, shown, text
from .parameters import BOUNDS, SECOND, Factor, Parameters, PerCoordinate, PerPath, Scalar, Sweep, columns, parameter, unmarked

Direction = Callable[[Any, "Oracle", Any], Any]
Step = Callable[[Any, Any, "Oracle", Any, Any], tuple[Any, Any]]


class State:
    """The named state of a rule, the argument s of its step: s.m, s.v, ... `replace` gives one with other values."""

    def __init__(self, owner: str, values: Mapping[str, Any]) -> None:
        self._owner, self._values = owner, dict(values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        known = names_of(self._values)
        check(name in self._values, f"s.{name}: {self._owner} has no such state; it has {known}", T.TraceError)
        return self._values[name]

    def replace(self, **new: Any) -> State:
        return State(self._owner, self.merged(new))

    def merged(self, new: Any) -> dict[str, Any]:
        """All values by name, after a step that returned `new`: a state, or a mapping, in which what is left out stays."""
        values = new._values if isinstance(new, State) else new
        check(
            isinstance(values, Mapping),
            f"{self._owner}: the step returned {new!r:.60} for its state; return a dict, e.g. {{'m': m}}, or s.replace(m=m)",
            T.TraceError,
        )
        for name in values:
            known = names_of(self._values)
            check(name in self._values, f"{name}: {self._owner} has no such state; it has {known}", T.TraceError)
        return {**self._values, **values}

    def part(self, names: Iterable[str], owner: str) -> State:
        """The state of a rule that this one is made of."""
        return State(owner, {name: self._values[name] for name in names})


class Oracle:
    """The argument `grad` of a rule: grad(w) is the gradient at w, grad.value(w) the loss at w.

    calls counts both, so that subclasses can give each answer of a step noise or a sample of its own.
    """

    def __init__(self, value: Callable[[Any], Any]) -> None:
        self._value, self.alarms, self.calls = value, [], 0  # type: ignore[var-annotated]

    def value(self, w: Any) -> Any:
        self.calls += 1
        return self._value(w)

    def __call__(self, w: Any) -> Any:
        self.calls += 1
        return derivative(self._value)(w)

    def alarm(self, condition: Any) -> None:
        """Make the run raise CriticalPointError if the condition holds on a path."""
        self.alarms.append(condition)


def derivative(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The gradient of a traced function of a vector, itself a traced function, e.g. derivative(lambda u: ...)(w)."""

    check(callable(f), f"f={f!r:.60}: give a function of a vector, e.g. lambda w: dot(w, w)", TypeError)

    def of(w: Any) -> Any:
        wide = isinstance(w, T.Wide)
        symbols = T.Wide(T.var("u_", "state", True)) if wide else T.Vector(T.var(f"u_{i}") for i in range(len(w)))
        at = [symbols.one] if isinstance(symbols, T.Wide) else list(symbols)
        into = [w.one] if isinstance(w, T.Wide) else list(w)
        slopes = T.gradient(f(symbols), at)
        env = {s.key: T.lift(x) for s, x in zip(at, into, strict=True)}
        result = T.substitute(slopes, env)
        return T.Wide(result[0]) if wide else T.Vector(result)

    return of


ROW = "s_"  # begins the name of the rows of a named state
TAKEN = ("w", "m_", "alarm", "stop")
START = "start"  # as the start of a state: the path's own start


def gradient_calls(rule: Rule) -> int:
    """How often a step asks for the gradient or the loss; noise may differ between the calls."""
    return rule.gradients if rule.direction is not None else traced_calls(rule)


def traced_calls(rule: Rule) -> int:
    """The same, found by calling the step on symbols, in two dimensions or in more where it uses w[2]."""
    sizes = {np.shape(v.values if isinstance(v, PerPath) else v)[-1] for k, v in rule.params.items() if k in rule.vectors}
    sizes |= {v.values.shape[-1] for v in rule.state.values() if isinstance(v, PerCoordinate)}
    tries = sorted(sizes) or [2, 8, 64]
    for dim in tries:

        def vector(name: str, dim: int = dim) -> Any:
            return T.Vector(T.var(f"{name}_{i}") for i in range(dim))

        symbols = {k: vector(f"p_{k}") if k in rule.vectors else T.var(f"p_{k}", "param") for k in rule.params}
        p = Parameters(f"rule {rule.name!r}", {**symbols, "step_count": T.var("step", "time")})
        oracle = Oracle(lambda u: 0.5 * T.dot(u, u))
        v, _ = rule.new_state(vector, T.var)
        try:
            result = rule.step(vector("w"), v, oracle, p, [vector(f"z{d}") for d in range(rule.draws)])
            if rule.state:
                rule.parts(result[1], v)
        except T.TraceError:
            if dim == tries[-1]:
                raise
            continue
        break
    return oracle.calls


def is_number(start: Any) -> bool:
    """Whether a state that starts so is one number, not a vector."""
    return isinstance(start, Scalar | int)


def begin(name: str, start: Any) -> Any:
    """The start of a state as a number, an array (dim,), or START; an error names the state if it is none of these."""
    identifier(name)
    check(name not in TAKEN, f"state {name!r}: this name is samfast's own; rename it")
    if isinstance(start, str) and start == START:
        return start
    if isinstance(start, Scalar):
        return start.value
    value = start.values if isinstance(start, PerCoordinate) else start
    words = (
        f"state {name!r}={shown(start)}: give a number for a vector, an int or sf.scalar for one number, 'start' or sf.vector"
    )
    check(
        isinstance(start, PerCoordinate) or (isinstance(start, float | int) and not isinstance(start, bool)), words, TypeError
    )
    return numbers(f"state {name!r}", value, example=0.0)


@dataclass(frozen=True)
class Rule:
    """An update rule, given by step(w, v, grad, p, z) -> (w', v') on symbols.

    w is the position, grad the `Oracle` of the loss, p the parameters. v holds further state, as many vectors as `slots`
    says, from 0 on; where `state` names it, v is a `State` with these names. z is the noise of the step, as many vectors as
    `draws` says, of kind "normal" or "sign".

    direction(w, grad, p) is set for rules made of a step w' = w - lr*direction, so that momentum and noise can be added, and
    `gradients` is how often it calls grad. perturbed(w, grad, p) is the point w^p of a SAM rule. `heavy` says that the rule
    has heavy-ball momentum, and dampen_first whether its very first step is dampened. `diffusive` says that a step is one of
    a diffusion, of length dt, or lr where the rule has no dt.
    """

    name: str
    step: Step
    params: Mapping[str, Any] = field(default_factory=dict)
    slots: int = 0
    draws: int = 0
    kind: str = "normal"
    direction: Direction | None = None
    perturbed: Direction | None = None
    gradients: int = 1
    heavy: bool = False
    dampen_first: bool = True
    vectors: frozenset[str] = frozenset()  # parameters with one value per coordinate
    either: frozenset[str] = frozenset()  # parameters that may be numbers or vectors, so that some arrays are ambiguous
    bounded: frozenset[str] = frozenset()  # parameters for which the bounds in parameters.BOUNDS hold
    state: Mapping[str, Any] = field(default_factory=dict)  # name -> start, as `sf.rule` takes it
    diffusive: bool = False
    batches: tuple[int, ...] = ()  # for each gradient of a step the number of its minibatch; empty: one minibatch for all

    def __post_init__(self) -> None:
        text("name", self.name, "extragradient")
        for name, value in self.state.items():
            begin(name, value)
        check(not self.slots or not self.state, f"rule {self.name!r}: give slots or a named state, not both")
        for name, value in self.params.items():  # checked here, where every rule passes, however it was made
            parameter(name, value, **BOUNDS[name.removesuffix(SECOND)] if name in self.bounded else {})
        params, vectors = unmarked(self.params)
        object.__setattr__(self, "params", params)
        object.__setattr__(self, "vectors", frozenset(self.vectors) | vectors)

    def new_state(self, vector: Callable[[str], Any], number: Callable[[str], Any]) -> tuple[Any, dict[str, Any]]:
        """(the argument v of a step, its parts by the names of their rows), made of one symbol or value for each part."""
        if not self.state:
            parts = {f"v{s}": vector(f"v{s}") for s in range(self.slots)}
            return (parts["v0"] if self.slots == 1 else tuple(parts.values())), parts
        named = {name: (number if is_number(start) else vector)(ROW + name) for name, start in self.state.items()}
        return State(f"rule {self.name!r}", named), {ROW + name: x for name, x in named.items()}

    def parts(self, v: Any, before: Any) -> dict[str, Any]:
        """What a step returned as its state, by the names of the rows; before: the state that it was given."""
        if self.state:
            return {ROW + name: x for name, x in before.merged(v).items()}
        return {f"v{s}": x for s, x in enumerate([v] if self.slots == 1 else list(v) if self.slots else [])}

    @staticmethod
    def checked(name: str, value: Any) -> Rule:
        """Return the value if it is a rule; raise an error that names the argument if it is not."""
        made: Rule = instance(name, value, Rule, "give a rule, e.g. sf.sam(lr=0.01, rho=0.05)")
        return made

    def __repr__(self) -> str:
        return f"Rule({self.name}: {', '.join(f'{k}={v}' for k, v in self.params.items())})"

    def replace(self, **params: Sweep | Factor) -> Rule:
        """The same rule with other parameter values, e.g. rule.replace(rho=[0, 0.1]). Others than its own raise ValueError."""
        flat: dict[str, Any] = {}
        for name, value in params.items():
            flat |= columns(name, value) if isinstance(value, Factor) and f"{name}_0" in self.params else {name: value}
        for name in flat:
            check(name in self.params, f"{name}: rule {self.name!r} has no such parameter; it has {names_of(self.params)}")
        sweeps = {
            k for k, v in flat.items() if getattr(v, "ndim", isinstance(v, Sequence)) and not isinstance(v, PerCoordinate)
        }
        return replace(self, params={**self.params, **flat}, vectors=self.vectors - (self.either & sweeps))


def ball(w: Any, v: Any, g: Any, p: Any, dampen_first: bool = True) -> tuple[Any, Any]:
    """One heavy-ball step with the direction g; v is the momentum m. Returns (w', m')."""
    keep = 1 - p.dampening
    if not dampen_first:
        keep = T.where(p.step_count < 0.5, 1.0, keep)
    m = p.momentum * v + keep * g
    return w - p.lr * m, m
