"""Two rules on the same noise, path by path. Common noise cancels in their difference, so that few paths show it."""

from __future__ import annotations

from typing import Any

from ..checks import check
from .parameters import SECOND, Parameters
from .rule import ROW, Oracle, Rule


def paired(first: Rule, second: Rule) -> Rule:
    """A rule that runs two rules at once, from the same start and on the same noise.

    w follows `first` and w + u follows `second`, where u is part of the state and can be read as run.final("v0"). The
    parameters of the second rule are named lr_second, rho_second, ... If one rule draws more noise vectors per step than
    the other, the two share the last ones, so that both descent gradients have the same noise. sf.observe.paired_msd()
    records both squared displacements and their difference.

    Raises ValueError if the rules draw noise of different kinds, or if parameter names collide because `first` is a pair.

        sgd = sf.noisy(sf.gd(lr=0.01), batch_size=64)
        sam = sf.noisy(sf.sam(lr=0.01, rho=0.1), batch_size=64, minibatch="same")
        sf.simulate(sf.losses.quadratic([-1.0]), sf.paired(sgd, sam), [0.0], record=[100], paths=10_000,
                    observe=sf.observe.paired_msd())
    """
    for name, one in (("first", first), ("second", second)):
        check(isinstance(one, Rule), f"{name}={one!r}: give a rule, e.g. sf.sam(lr=0.01, rho=0.05)", TypeError)
    check(
        first.kind == second.kind or not first.draws or not second.draws,
        f"paired: the first rule draws {first.kind!r} noise, the second {second.kind!r}; give both one kind",
    )
    renamed = {name + SECOND: value for name, value in second.params.items()}
    check(
        not set(renamed) & set(first.params),
        f"paired: the first rule has parameters ending in {SECOND!r}; pair two rules that are no pairs",
    )
    if first.state or second.state:
        return _named(first, second, renamed)
    a, slots, draws = first.slots, 1 + first.slots + second.slots, max(first.draws, second.draws)

    def step(w: Any, v: Any, grad: Oracle, p: Any, z: Any) -> tuple[Any, Any]:
        u, *others = _listed(v, slots)
        seen = {k: x for k, x in vars(p).items() if k != "_owner"}
        own = Parameters(f"the rule {second.name!r}", {**seen, **{k: seen[k + SECOND] for k in second.params}})
        x, vx = first.step(w, _slots(others[:a]), grad, p, z[draws - first.draws :])
        y, vy = second.step(w + u, _slots(others[a:]), grad, own, z[draws - second.draws :])
        return x, _slots([y - x, *_listed(vx, a), *_listed(vy, second.slots)])

    return Rule(
        f"{first.name}_and_{second.name}",
        step,
        {**first.params, **renamed},
        slots=slots,
        draws=draws,
        kind=(first if first.draws else second).kind,
        vectors=first.vectors | frozenset(name + SECOND for name in second.vectors),
        either=first.either | frozenset(name + SECOND for name in second.either),
        bounded=first.bounded | frozenset(name + SECOND for name in second.bounded),
    )


def _named(first: Rule, second: Rule, renamed: dict[str, Any]) -> Rule:
    """The pair where one of the rules has a named state: then all state has names, and u is "v0" as in other pairs."""
    draws = max(first.draws, second.draws)
    pairs = [(first, _names(first, "")), (second, _names(second, SECOND))]

    def step(w: Any, s: Any, grad: Oracle, p: Any, z: Any) -> tuple[Any, Any]:
        seen = {k: x for k, x in vars(p).items() if k != "_owner"}
        own = Parameters(f"the rule {second.name!r}", {**seen, **{k: seen[k + SECOND] for k in second.params}})
        ends: list[Any] = []
        after: dict[str, Any] = {}
        for (one, names), at, q in zip(pairs, (w, w + s.v0), (p, own), strict=True):
            values = {row: getattr(s, name) for row, name in names.items()}
            v, _ = one.new_state(values.__getitem__, values.__getitem__)
            x, new = one.step(at, v, grad, q, z[draws - one.draws :])
            ends.append(x)
            after |= {names[row]: part for row, part in one.parts(new, v).items()}
        return ends[0], {**after, "v0": ends[1] - ends[0]}

    starts = {
        name: one.state.get(row.removeprefix(ROW), 0.0) if one.state else 0.0
        for one, names in pairs
        for row, name in names.items()
    }
    return Rule(
        f"{first.name}_and_{second.name}",
        step,
        {**first.params, **renamed},
        state={"v0": 0.0, **starts},
        draws=draws,
        kind=(first if first.draws else second).kind,
        vectors=first.vectors | frozenset(name + SECOND for name in second.vectors),
        either=first.either | frozenset(name + SECOND for name in second.either),
        bounded=first.bounded | frozenset(name + SECOND for name in second.bounded),
    )


def _names(one: Rule, end: str) -> dict[str, str]:
    """The rows of a rule's state, and their names in a pair."""
    return {ROW + k: k + end for k in one.state} or {f"v{i}": f"velocity{i}{end}" for i in range(one.slots)}


def _slots(vectors: list[Any]) -> Any:
    return vectors[0] if len(vectors) == 1 else tuple(vectors)


def _listed(v: Any, slots: int) -> tuple[Any, ...]:
    return (v,) if slots == 1 else tuple(v) if slots else ()
