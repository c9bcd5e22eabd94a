"""Update rules, made of plain Python functions that are traced and compiled.

A rule follows a direction, a function of w and the gradient. The step is w' = w - lr*direction, or one with momentum.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from .. import tracing as T
from ..checks import check, choice, flag, instance, integer
from .change import changed
from .loss import LARGEST
from .parameters import Drift, NoiseKind, Parameters, PerCoordinate, Sweep, parameter
from .rule import Direction, Oracle, Rule, Step, ball, derivative, traced_calls


def _descend(w: Any, v: Any, step: Any, p: Any) -> tuple[Any, Any]:
    return w - p.lr * step, v


def rule(
    name: str,
    direction: Direction | Step,
    *,
    lr: Sweep | None = None,
    state: Mapping[str, Any] | None = None,
    draws: int = 0,
    kind: NoiseKind = "normal",
    momentum: Sweep | None = None,
    dampening: Sweep = 0.0,
    dampen_first: bool = True,
    **params: Sweep,
) -> Rule:
    """A rule of your own: w' = w - lr*direction(w, grad, p), or a whole step with state of its own.

    Without `state`, `direction` is a function that returns a vector, where grad(u) is the gradient at u and p has the
    parameters, those in `params` included. momentum, dampening, dampen_first: as in `heavy_ball`. Raises TraceError if no
    vector is returned.

    def extra(w, grad, p):
        return grad(w - p.ahead*grad(w))
    rule = sf.rule("extragradient", extra, lr=0.01, ahead=0.01, momentum=0.9)

    With `state`, a dict (which may be empty), it is a step(w, s, grad, p, z) that returns (w', s'). The keys of `state` name
    the parts of s, the values are their starts: a float begins a vector of equal coordinates, sf.vector one of several,
    "start" one that begins as a copy of w; an int is one number that counts, sf.scalar any other single number. s' is a dict,
    in which what is left out stays as it is. p.step_count is the number of updates done; % and // count, sf.where chooses.
    z are the random vectors of a step, as many as `draws`, of the given kind; a step without draws may leave z out.
    Run.final("m") gives the state m at the end, and observers see it as s.v.m.

    def step(w, s, grad, p):
        m = p.beta*s.m + grad(w)
        return w - p.lr*sf.where(s.k % 2 < 1, 1.0, 0.5)*m, {"m": m, "k": s.k + 1}
    rule = sf.rule("mine", step, lr=0.01, beta=0.9, state={"m": 0.0, "k": 0})
    """
    draws = integer("draws", draws, 0, 1)
    if state is not None or draws:
        return _stepping(name, direction, lr, {} if state is None else state, draws, kind, momentum, dampening, params)
    check(
        lr is not None,
        "lr=None: give a number or a sequence of numbers, e.g. lr=0.01, or state= for a step of your own",
        TypeError,
    )
    assert lr is not None
    follow: Any = direction
    flag("dampen_first", dampen_first)
    check(
        callable(direction) and not isinstance(direction, type),
        f"direction={direction!r:.60}: give a function direction(w, grad, p)",
        TypeError,
    )
    values = {"lr": lr, **params}
    check(
        momentum is not None or (isinstance(dampening, float | int) and dampening == 0),
        f"dampening={dampening!r}: it belongs to momentum; give momentum= as well, or leave it out",
    )
    calls = _count(follow, values)

    def step(w: Any, v: Any, grad: Oracle, p: Any, z: Any) -> tuple[Any, Any]:
        return _descend(w, v, follow(w, grad, p), p)

    plain = Rule(name, step, values, direction=follow, gradients=calls, bounded=frozenset({"lr"}))
    return plain if momentum is None else heavy_ball(plain, momentum=momentum, dampening=dampening, dampen_first=dampen_first)


def _stepping(
    name: str,
    step: Any,
    lr: Sweep | None,
    state: Mapping[str, Any],
    draws: int,
    kind: str,
    momentum: Sweep | None,
    dampening: Sweep,
    params: Mapping[str, Sweep],
) -> Rule:
    """The rule of a whole step with state; see `rule`."""
    check(
        callable(step) and not isinstance(step, type),
        f"direction={step!r:.60}: with state= give a function step(w, s, grad, p, z)",
        TypeError,
    )
    instance("state", state, Mapping, "give a dict of starts, e.g. state={'m': 0.0}")
    check(
        momentum is None and isinstance(dampening, float | int) and dampening == 0,
        "momentum: a step with state= has its own; keep it in the state, e.g. state={'m': 0.0}, or leave state out",
    )
    draws = integer("draws", draws, 0, 1, most=LARGEST)
    values = params if lr is None else {"lr": lr, **params}
    short = draws == 0 and _arity(step) == 4
    check(short or _arity(step) in (5, None), f"rule {name!r}: define the step as step(w, s, grad, p, z)", T.TraceError)

    def whole(w: Any, s: Any, grad: Oracle, p: Any, z: Any) -> tuple[Any, Any]:
        result = step(w, s, grad, p) if short else step(w, s, grad, p, z)
        check(
            isinstance(result, tuple) and not isinstance(result, T.Vector) and len(result) == 2,
            f"rule {name!r}: step(w, s, grad, p, z) must return (w', s'), s' a dict",
            T.TraceError,
        )
        return result[0], result[1] if state else ()

    made = Rule(
        name,
        whole,
        values,
        draws=draws,
        kind=choice("kind", kind, ("normal", "sign")),
        state=dict(state),
        bounded=frozenset({"lr"} if lr is not None else ()),
    )
    return replace(made, gradients=traced_calls(made))


def _arity(f: Any) -> int | None:
    """How many positional arguments a function must be given; None where that is not known."""
    try:
        found = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(q.kind == q.VAR_POSITIONAL for q in found):
        return None
    return sum(q.kind in (q.POSITIONAL_ONLY, q.POSITIONAL_OR_KEYWORD) and q.default is q.empty for q in found)


def _count(direction: Direction, params: Mapping[str, Any]) -> int:
    """Count how often a direction asks for the gradient or the loss, since noise may differ between the calls."""
    wide = {k: v.values.shape[-1] for k, v in params.items() if isinstance(v, PerCoordinate)}
    symbols: dict[str, Any] = {k: T.var(f"p_{k}", "param") for k in params}
    symbols |= {k: T.Vector(T.var(f"p_{k}_{i}", "param") for i in range(n)) for k, n in wide.items()}
    for dim in sorted(set(wide.values())) or (2, 8, 64):  # a direction that uses e.g. w[2] cannot be traced in two dimensions
        oracle = Oracle(lambda u: 0.5 * T.dot(u, u))
        try:
            result = direction(
                T.Vector(T.var(f"w_{i}") for i in range(dim)),
                oracle,
                Parameters("the rule", symbols | {"step_count": T.var("step", "time")}),
            )
            break
        except T.TraceError:
            if dim == 64 or wide:
                raise
    check(
        isinstance(result, T.Vector),
        f"direction: it returned {result!r:.60}, not a vector; follow grad(w), or a sum of such vectors",
        T.TraceError,
    )
    return oracle.calls


def gd(*, lr: Sweep, momentum: Sweep | None = None, dampening: Sweep = 0.0, dampen_first: bool = True) -> Rule:
    """Gradient descent, w' = w - lr*grad(w); with momentum the heavy ball (see `heavy_ball`)."""
    return rule("gd", lambda w, grad, p: grad(w), lr=lr, momentum=momentum, dampening=dampening, dampen_first=dampen_first)


def sam(
    base: Rule | None = None,
    *,
    lr: Sweep | None = None,
    rho: Sweep,
    normalize: bool = False,
    drift: Drift = "plain",
    momentum: Sweep | None = None,
    dampening: Sweep = 0.0,
    dampen_first: bool = True,
    at_critical: Literal["stay", "raise"] = "stay",
    epsilon: float | None = None,
    mask: PerCoordinate | None = None,
) -> Rule:
    """Sharpness-aware minimisation, w' = w - lr*grad(w^p) with w^p = w + rho*grad(w) (Kim et al., eq. 5 and 6).

    rho: in length^2, or with normalize in length.
    normalize: if true, w^p = w + rho*grad(w)/|grad(w)|. Where the gradient is exactly 0, w^p = w. Gradients below about
    1e-146 in float64 and 1e-15 in float32 perturb w by less than rho.
    at_critical: "raise" makes the run raise CriticalPointError where the gradient is exactly 0, in place of w^p = w.
    epsilon: normalise by |grad(w)| + epsilon, e.g. 1e-12, as some implementations do.
    drift: "plain" follows grad(w^p), as SAM does, without a derivative of w^p. "chain" follows the gradient of
    w -> loss(w^p), the drift of Kim et al., Theorems 2 and 3.
    momentum, dampening, dampen_first: as in `heavy_ball`.
    base: another rule to follow grad(w^p) in place of grad(w), e.g. sf.sam(sf.rules.adam(lr=1e-3), rho=0.05); it takes the
    place of lr, momentum and dampening.
    mask: sf.vector of ones and zeros, to perturb only the coordinates with a one: grad(w) is multiplied by it in w^p.
    """
    flag("normalize", normalize)
    check(
        (base is None) != (lr is None),
        f"sam: base={base!r}, lr={lr!r}: give one of them, lr=0.01 or a rule such as sf.rules.adam(lr=0.001)",
        TypeError if base is None else ValueError,
    )
    check(
        base is None or (momentum is None and isinstance(dampening, float | int) and dampening == 0),
        "sam: momentum and dampening are the base's; give them to it",
    )
    if mask is not None:
        instance("mask", mask, PerCoordinate, "give a number for each coordinate, e.g. mask=sf.vector([1.0, 0.0])")
        parameter("mask", mask, low=0.0, example=1.0)
    choice("drift", drift, ("plain", "chain"))
    choice("at_critical", at_critical, ("stay", "raise"))
    check(epsilon is None or normalize, f"epsilon={epsilon!r}: it belongs to normalize=True; leave it out")
    check(at_critical == "stay" or normalize, "at_critical='raise' belongs to normalize=True; leave it out")
    check(at_critical == "stay" or drift == "plain", "at_critical='raise' needs drift='plain'; leave one of them out")
    if epsilon is not None:
        parameter("epsilon", epsilon, above=0.0, example=1e-12)

    def scale(g: Any, grad: Oracle, p: Any) -> Any:
        if not normalize:
            return p.rho
        if at_critical == "raise":
            grad.alarm(T.dot(g, g) <= 0)
        if epsilon is not None:
            return p.rho / (T.norm(g) + epsilon)
        return p.rho / T.length(g)

    def perturbed(w: Any, grad: Oracle, p: Any) -> Any:
        g = grad(w) if mask is None else p.mask * grad(w)
        return w + scale(g, grad, p) * g

    def plain(w: Any, grad: Oracle, p: Any) -> Any:
        return grad(perturbed(w, grad, p))

    def chain(w: Any, grad: Oracle, p: Any) -> Any:
        return derivative(lambda u: grad.value(perturbed(u, grad, p)))(w)

    name = "sam" + ("_normalized" if normalize else "") + ("_chain" if drift == "chain" else "")
    if mask is not None:
        name += "_masked"
    more: dict[str, Any] = {} if mask is None else {"mask": mask}
    if base is not None:
        Rule.checked("base", base)
        check(
            not base.draws,
            f"sam of rule {base.name!r}: it has noise already; put SAM on a rule without, and add noise afterwards",
        )
        follow = plain if drift == "plain" else chain
        on = changed(
            name, base, lambda w, s, grad, p: (follow(w, grad, p), {}), {"rho": rho, **more}, bounded=frozenset({"rho"})
        )
        return replace(on, perturbed=perturbed)
    assert lr is not None
    made = rule(
        name,
        plain if drift == "plain" else chain,
        lr=lr,
        rho=rho,
        momentum=momentum,
        dampening=dampening,
        dampen_first=dampen_first,
        **more,
    )
    return replace(made, perturbed=perturbed, bounded=made.bounded | {"rho"})


def heavy_ball(base: Rule, *, momentum: Sweep, dampening: Sweep = 0.0, dampen_first: bool = True) -> Rule:
    """Heavy-ball momentum for any rule, m' = momentum*m + (1 - dampening)*direction(w) and w' = w - lr*m', from m = 0.

    dampen_first=False leaves the dampening out of the very first step, so that m' = direction there, as in some frameworks.
    Raises ValueError for a rule that has momentum or noise already; noise is to be added afterwards.
    """
    Rule.checked("base", base)
    flag("dampen_first", dampen_first)
    check(
        base.direction is not None and not base.slots and not base.draws,
        f"heavy_ball of rule {base.name!r}: it needs a rule w' = w - lr*direction without momentum, state and noise; make one "
        "by sf.gd, sf.sam or sf.rule without state=, and add noise afterwards",
    )
    direction = base.direction
    assert direction is not None

    def step(w: Any, v: Any, grad: Oracle, p: Any, z: Any) -> tuple[Any, Any]:
        return ball(w, v, direction(w, grad, p), p, dampen_first)

    return replace(
        base,
        name=base.name + "_heavy",
        step=step,
        slots=1,
        heavy=True,
        dampen_first=dampen_first,
        params={**base.params, "momentum": momentum, "dampening": dampening},
        bounded=base.bounded | {"momentum", "dampening"},
    )
