"""A rule: one update as a function of symbols, and the oracle that it asks for gradients of the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .. import tracing as T
from ..checks import check, instance, names_of, text
from .parameters import BOUNDS, SECOND, Factor, PerCoordinate, Sweep, columns, parameter, unmarked

Direction = Callable[[Any, "Oracle", Any], Any]
Step = Callable[[Any, Any, "Oracle", Any, Any], tuple[Any, Any]]


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


@dataclass(frozen=True)
class Rule:
    """An update rule, given by step(w, v, grad, p, z) -> (w', v') on symbols.

    w is the position, grad the `Oracle` of the loss, p the parameters. v holds further state, as many vectors as `slots`
    says. z is the noise of the step, as many vectors as `draws` says, of kind "normal" or "sign".

    direction(w, grad, p) is set for rules made of a step w' = w - lr*direction, so that momentum and noise can be added, and
    `gradients` is how often it calls grad. perturbed(w, grad, p) is the point w^p of a SAM rule. `heavy` says that the rule
    has heavy-ball momentum, and dampen_first whether its very first step is dampened.
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

    def __post_init__(self) -> None:
        text("name", self.name, "extragradient")
        for name, value in self.params.items():  # checked here, where every rule passes, however it was made
            parameter(name, value, **BOUNDS[name.removesuffix(SECOND)] if name in self.bounded else {})
        params, vectors = unmarked(self.params)
        object.__setattr__(self, "params", params)
        object.__setattr__(self, "vectors", frozenset(self.vectors) | vectors)

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
