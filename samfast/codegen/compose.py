"""A model called on symbols: one step and one observation become expressions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .. import tracing as T
from ..checks import check
from ..model.loss import Loss, sample_numbers
from ..model.observer import ORIGIN, Observer, Seen
from ..model.parameters import TABLE, Parameters, Schedule, present, tables, unfolded
from ..model.rule import ROW, Oracle, Rule
from ..tracing.expr import COMPARE
from .program import EXACT


@dataclass(frozen=True)
class Traced:
    """One step and one observation of a model, as expressions of symbols."""

    wide: bool  # all coordinates of a vector are one symbol
    new: dict[str, Any]  # state name -> Vector, Wide or Expr after the step
    features: list[Any]
    remembered: list[bool]  # for each feature: it is made of the observer's memory alone, and outlasts the state
    params: dict[str, Any]  # name -> symbol or vector of symbols
    draws: int  # random numbers of one step
    kind: str  # "normal" or "sign"
    noise: list[tuple[str, int]]  # wide: name of a noise vector, its first number within a step
    tables: dict[str, int]  # parameters with a value for each update -> how many there are
    counting: str  # who needs the number of updates exactly, "observer 'first'", or ""


def symbol(name: str, role: str, size: int, wide: bool) -> Any:
    """A number (size 0) or a vector as symbols. role: what the text must do to read it, "state", "param", "path" or "noise"."""
    if size == 0:
        return T.var(name, role)
    return T.Wide(T.var(name, role, True)) if wide else T.Vector(T.var(f"{name}_{i}", role) for i in range(size))


def _noise(loss: Loss, rule: Rule, wide: bool) -> tuple[list[Any], T.Vector, int, str, list[tuple[str, int]]]:
    """(the rule's noise vectors, the loss's sample numbers, numbers per step, kind, wide names)."""
    dim, need = loss.dim, loss.samples
    sample_kind = "normal" if loss.kind == "normal" else "sign"
    kind = rule.kind if rule.draws else sample_kind if need else "normal"
    if rule.draws and need and sample_kind != kind:
        kind = "normal"  # the sign of a normal is a random sign

    def leaf(name: str, spread: bool, own: str) -> Any:
        if kind == "sign":
            return T.sign(name, spread)
        z = T.var(name, "noise", spread)
        return z if own == "normal" else T.where(z < 0, -1.0, 1.0)

    vectors: list[Any] = []
    for d in range(rule.draws):
        if wide:
            vectors.append(T.Wide(leaf(f"z{d}", True, rule.kind)))
        else:
            vectors.append(T.Vector(leaf(f"z{d * dim + i}", False, rule.kind) for i in range(dim)))
    first = rule.draws * dim
    samples = sample_numbers([leaf(f"z{first + i}", False, sample_kind) for i in range(need)], loss.kind)
    return vectors, samples, first + need, kind, [(f"z{d}", d * dim) for d in range(rule.draws)] if wide else []


def _one_number(name: str, value: Any) -> T.Expr:
    check(not isinstance(value, tuple | list), f"{name} returned a vector where one number is needed", T.TraceError)
    return T.lift(value)


def trace_model(loss: Loss, rule: Rule, observer: Observer, per_path: frozenset[str], wide: bool) -> Traced:
    """Call the loss, the rule and the observer once, on symbols.

    The observer watches the state before each step, and before each record: so it sees time 0 too. The rows of its memory
    therefore lag one step behind the state, and the features are those of the memory after the present state.
    """
    loss.need_same_function()
    dim = loss.dim
    every = {**loss.params, **rule.params, **observer.params}
    schedules = {k: v for k, v in every.items() if isinstance(v, Schedule)}
    of_tables = tables(every)
    sizes = {
        **{k: dim if k in loss.vectors else 0 for k in unfolded(loss.params)},
        **{k: dim if k in rule.vectors else 0 for k in unfolded(rule.params)},
        **{k: dim if k == ORIGIN else 0 for k in unfolded(observer.params)},
    }
    for k in of_tables:
        del sizes[k + TABLE]
    params = {k: symbol(f"p_{k}", "path" if k in per_path else "param", n, wide) for k, n in sizes.items()}
    vectors, y, draws, kind, noise = _noise(loss, rule, wide)
    w = symbol("w", "state", dim, wide)
    velocity, rows = rule.new_state(lambda name: symbol(name, "state", dim, wide), lambda name: symbol(name, "state", 0, wide))
    state_leaves = [e for x in (w, *rows.values()) for e in flat([x])]
    memory = T.Vector(T.var(f"m_{i}") for i in range(len(observer.memory)))
    owner = f"the loss {loss.name!r} with the rule {rule.name!r}"

    def at(n: Any) -> Parameters:
        """All parameters at update n."""
        return Parameters(owner, {**(present(schedules, params, n, owner) if schedules else params), "step_count": n})

    p = at(T.var("step", "time"))
    oracle = Oracle(lambda u: loss.trace(u, p, y))
    result = rule.step(w, velocity, oracle, p, vectors)
    check(
        isinstance(result, tuple) and not isinstance(result, T.Vector) and len(result) == 2,
        f"rule {rule.name!r}: step(w, v, grad, p, z) must return (w', v')",
        T.TraceError,
    )
    w1, v1 = result
    new: dict[str, Any] = {"w": w1, **rule.parts(v1, velocity)}
    for name, x in new.items():
        if isinstance(rows.get(name), T.Expr):
            new[name] = _one_number(f"rule {rule.name!r}: the new {name.removeprefix(ROW)}", x)
            continue
        name = name.removeprefix(ROW)
        good = isinstance(x, T.Wide) == wide and isinstance(x, T.Vector) and (wide or len(x) == dim)
        check(good, f"rule {rule.name!r}: the new {name} must be a vector of length {dim}", T.TraceError)
    if oracle.alarms:
        flag = T.var("alarm")
        for condition in oracle.alarms:
            flag = T.where(condition, 1.0, flag)
        new["alarm"] = flag

    moved = list(new.values())
    t, stopped = T.var("step", "time"), T.var("stop")
    seen_p = p
    if observer.stop:  # what is seen of a path that is stopped stays what it is
        t = T.where(stopped >= 0, stopped, t)
        seen_p = at(t)
    now = Seen(w, velocity, seen_p, Oracle(lambda u: loss.trace(u, seen_p, y)), memory, t, stopped if observer.stop else None)
    watched: Sequence[Any] = ()
    if observer.memory:
        watched = observer.watch(now) if observer.watch else memory
        check(
            len(watched) == len(memory),
            f"observer {observer.name!r}: watch must return {len(memory)} numbers, one for each of memory",
            T.TraceError,
        )
        watched = [_one_number(f"observer {observer.name!r}: watch", x) for x in watched]
        if observer.stop:
            watched = [T.where(stopped >= 0, m, x) for m, x in zip(memory, watched, strict=True)]
        new["m"] = T.Vector(watched)
    noted = dict(zip((m.key for m in memory), watched, strict=True))
    if observer.stop:
        [condition] = _with_memory([_condition(observer.stop(now))], noted)
        noted[stopped.key] = T.where(stopped >= 0, stopped, T.where(condition, T.var("step", "time"), -1.0))
        halted = noted[stopped.key] >= 0
        frozen = {"w": w, **rows, "alarm": T.var("alarm")}
        new = {k: x if k == "m" else T.where(halted, frozen[k], x) for k, x in new.items()}
        new["stop"] = noted[stopped.key]
    features = list(observer.features(now))
    check(
        len(features) == len(observer.labels),
        f"observer {observer.name!r}: features returned {len(features)} values "
        f"for {len(observer.labels)} labels; give one label for each",
        T.TraceError,
    )
    features = [f if isinstance(f, T.Vector) else T.lift(f) for f in features]
    remembered = [not _mentions([f], state_leaves) for f in features]
    features = _with_memory(features, noted)
    check(
        not loss.samples or not _mentions(features, y),
        f"observer {observer.name!r} looks at the loss {loss.name!r}, "
        "which has random samples: observe the mean loss by an observer of your own",
        T.TraceError,
    )
    check(
        not observer.stop or not of_tables or not _mentions(features, [T.var(f"p_{k}", "time") for k in of_tables]),
        f"stop: what observer {observer.name!r} records depends on a parameter given by sf.schedule.array, and would not stay "
        "after the stop; give another schedule",
        T.TraceError,
    )
    users = {
        f"rule {rule.name!r}": moved,
        f"observer {observer.name!r}": [*features, *watched],
        "stop": [new["stop"]] if observer.stop else [],
    }
    counting = next((who for who, made in users.items() if _counts(made)), "")
    return Traced(wide, new, features, remembered, params, draws, kind, noise, of_tables, counting)


def _condition(value: Any) -> T.Expr:
    """What stop= returned, if it is a comparison of numbers."""
    check(
        isinstance(value, T.Expr) and value.op in COMPARE,
        f"stop: it returned {value!r:.60}, which is no comparison of numbers: give e.g. lambda s: s.w[0] > 1",
        T.TraceError,
    )
    made: T.Expr = value
    return made


def _with_memory(features: Iterable[Any], memory: dict[bytes, T.Expr]) -> list[Any]:
    """The features with the memory as it is once the present state has been watched."""
    out: list[Any] = []
    for f in features:
        new = T.substitute(flat([f]), memory)
        out.append(T.Wide(new[0]) if isinstance(f, T.Wide) else T.Vector(new) if isinstance(f, T.Vector) else new[0])
    return out


def flat(values: Iterable[Any]) -> list[T.Expr]:
    """The expressions in numbers and vectors; a wide vector is one."""
    return [e for v in values for e in ([v.one] if isinstance(v, T.Wide) else v if isinstance(v, T.Vector) else [v])]


def _mentions(values: Iterable[Any], leaves: Iterable[T.Expr]) -> bool:
    """Whether the values depend on a symbol that the leaves have."""
    names = {n.key for e in leaves for n in T.topological([e]) if n.op in ("var", "sign")}
    return any(e.key in names for e in T.topological(flat(values)))


def _counts(values: Iterable[Any]) -> bool:
    """Whether the values are made of the number of updates itself, and not only of whether it is above or below a constant."""
    seen: set[bytes] = set()
    step, stack = T.var("step", "time").key, flat(values)
    while stack:
        e = stack.pop()
        if e.key == step:
            return True
        switch = e.op in COMPARE and any(x.op == "const" and abs(x.args[0]) <= EXACT for x in e.args)
        kids = [x for x in e.args if isinstance(x, T.Expr) and x.key not in seen and not (switch and x.key == step)]
        seen.update(x.key for x in kids)
        stack += kids
    return False


def tainted(feature: T.Expr, w: Any) -> T.Expr:
    """The feature, made nan wherever w is nan: 0*w is added for the coordinates that it does not depend on."""
    seen: set[bytes] = set()
    stack = [feature]
    while stack:
        e = stack.pop()
        seen.add(e.key)
        if e.op not in ("where", "lt", "le", "gt", "ge"):
            stack.extend(a for a in e.args if isinstance(a, T.Expr) and a.key not in seen)
    zero = T.const(0.0)
    for x in flat([w]):
        if x.key not in seen:
            nothing = T.Expr("mul", zero, x)
            feature = T.Expr("add", feature, T.Expr("reduce", nothing) if x.wide and not feature.wide else nothing)
    return feature


def clash(loss: Loss, rule: Rule, observer: Observer) -> None:
    """Raises ValueError where two of them have a parameter of the same name."""
    owners: dict[str, str] = {}
    for owner, params in (
        (f"loss {loss.name!r}", loss.params),
        (f"rule {rule.name!r}", rule.params),
        (f"observer {observer.name!r}", observer.params),
    ):
        for k in unfolded(params):
            check(k not in owners, f"parameter {k!r} belongs to {owners.get(k)} and to {owner}: rename one of them")
            owners[k] = owner
