"""Derivatives of expressions, substitution, and evaluation on arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from . import functions
from .expr import BINARY, COMPARE, Expr, const, constant, join, lift, multiply, parts, reduce_sum, tiny, topological, unary
from .functions import cos, sin, where


def _factors(e: Expr) -> list[Expr]:
    if e.op == "const":
        return []
    if e.op == "neg":
        return _factors(e.args[0])
    return _factors(e.args[0]) + _factors(e.args[1]) if e.op == "mul" else [e]


def _without(e: Expr, keys: list[bytes]) -> Expr:
    """e divided by those of its factors whose keys are in the list `keys`, from which each one found is removed."""
    if e.op == "neg":
        return unary("neg", _without(e.args[0], keys))
    if e.op == "mul":
        return multiply(_without(e.args[0], keys), _without(e.args[1], keys))
    if e.key in keys:
        keys.remove(e.key)
        return const(1)
    return e


def _plus(a: Expr, b: Expr) -> Expr:
    """a + b with a constant taken out that divides both, 2*a + 6*b -> 2*(a + 3*b): it may meet other constants outside."""
    (ca, ua, va), (cb, ub, vb) = parts(a), parts(b)
    c = min(ca, cb, key=abs)
    if c == 0 or abs(c) == 1 or not (ca / c).is_integer() or not (cb / c).is_integer():
        return a + b
    return multiply(const(c), join(ca / c, ua, va) + join(cb / c, ub, vb))


def _sum(terms: Sequence[Expr]) -> Expr:
    """The sum with common factors taken out, x*a + b + x*c -> x*(a + c) + b.

    This is for adjoints only: what the user wrote keeps his factoring. The term that depends on the state by the longest chain
    of operations is added last, so that nothing else waits for it.
    """
    groups: list[Expr] = []
    for t in sorted(terms, key=lambda t: t.depth):
        for i, g in enumerate(groups):
            left, common = [f.key for f in _factors(g)], []
            for f in _factors(t):
                if f.key in left:
                    left.remove(f.key)
                    common.append(f)
            if common:
                keys = [f.key for f in common]
                s = _plus(_without(g, keys[:]), _without(t, keys[:]))
                for f in common:
                    s = s * f
                groups[i] = s
                break
        else:
            groups.append(t)
    result = const(0)
    for g in groups:
        result = _plus(result, g)
    return result


def _power(e: Expr) -> tuple[Expr, float, float]:
    """(base, n, c) if e is c*base**n for a whole or half n, in whatever order its factors stand; else (e, 1, 1).

    Constants and signs are not among the factors; they are in c, and only beside a root: 2*x*x is a product.
    """
    if e.op == "sqrt":
        return e.args[0], 0.5, 1.0
    factors = _factors(e) if e.op == "mul" else [e]
    roots = [f.args[0] for f in factors if f.op == "sqrt"]
    rest = sorted(f.key for f in factors if f.op != "sqrt")
    base = roots[0] if roots else e if not factors or parts(e)[0] != 1 else factors[0]
    inner = sorted(f.key for f in _factors(base)) if roots else [base.key]
    times = len(rest) // max(1, len(inner))
    if base is e or any(r.key != base.key for r in roots) or rest != sorted(inner * times):
        return e, 1, 1.0
    return base, times + len(roots) / 2, parts(e)[0] / parts(base)[0] ** times


SMALL = 200  # An adjoint of more operations is not written once more for the sake of one point.


def _root(g: Expr, e: Expr, signs: Mapping[bytes, int]) -> Expr:
    """g times the derivative of the root e; where e is 0, the limit for e -> 0 of the whole adjoint if there is one.

    The limit is taken by writing the smallest normal number for e, in g too: then g/e is 0 for x*sqrt(x), -1/2 for
    cos(sqrt(x)), and stays finite for sqrt(x*x + y*y), whose argument contributes a factor 0 (so that the derivative of
    a length at 0 is 0, the least of its subgradients). A root that reaches 0 with a slope has the derivative inf.
    """
    a = e.args[0]
    plain = 0.5 * g / e
    if signs[a.key] > 0:
        return plain
    steep = _steep(a)
    if steep and g.uniform:
        return plain if constant(g) is not None else where(abs(g) <= 0, 0.0, plain)
    below = _below(g)
    smallest = e + where(e <= 0, tiny(), 0.0) if steep else where(e <= 0, tiny(), e)
    if steep and (below is None or _never_zero(g, below) or _unknown(e, smallest, below, signs)):
        return plain
    [at] = substitute([g], {e.key: smallest}) if below and e.key in below else [g]
    return 0.5 * at / smallest


def _below(g: Expr) -> dict[bytes, Expr] | None:
    """The expressions that g is made of, itself included; None if they are many."""
    found = {g.key: g}
    stack = [g]
    while stack:
        for x in stack.pop().args:
            if isinstance(x, Expr) and x.key not in found:
                found[x.key] = x
                stack.append(x)
        if len(found) > SMALL:
            return None
    return found


def _unknown(e: Expr, smallest: Expr, below: Mapping[bytes, Expr], signs: Mapping[bytes, int]) -> bool:
    """Whether g/e may be 0/0 with a limit that is not found by a small e: then it stays nan.

    Two roots may vanish together at a ratio that nobody knows, and a second derivative is no longer a ratio g/e.
    """
    others = (x for x in below.values() if x.op == "sqrt" and x.key != e.key)
    return smallest.key in below or any(signs.get(x.args[0].key, 0) <= 0 for x in others)


def _steep(a: Expr) -> bool:
    """Whether a is built so that it has a slope wherever it is 0: coordinates, their sums, absolute values, multiples."""
    stack = [a]
    while stack:
        x = stack.pop()
        if x.uniform or x.op == "var":
            continue
        if x.op not in ("add", "sub", "neg", "abs") and not (x.op == "mul" and x.args[0].uniform):
            return False
        stack.extend(x.args)
    return True


def _never_zero(g: Expr, below: Mapping[bytes, Expr]) -> bool:
    """Whether g is a constant other than 0 on every combination of its branches."""
    conditions = {x.args[0].key for x in below.values() if x.op == "where"}
    if len(conditions) > 3:
        return False
    for choice in product((True, False), repeat=len(conditions)):
        value: dict[bytes, float] = dict(zip(conditions, choice, strict=True))
        for x in topological([g]):
            a = [value.get(y.key) for y in x.args if isinstance(y, Expr)]
            if x.op == "const":
                value[x.key] = x.args[0]
            elif x.op in _ARITHMETIC and None not in a:
                value[x.key] = _ARITHMETIC[x.op](*a)
        if value.get(g.key, 0.0) == 0:
            return False
    return True


_ARITHMETIC: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "neg": lambda a: -a,
    "where": lambda c, a, b: a if c else b,
}


def _signs(order: Sequence[Expr]) -> dict[bytes, int]:
    """What each expression is by the way it is built: 1 if it is positive, 0 if it is not negative, -1 if nobody knows."""
    sign: dict[bytes, int] = {}
    for e in order:
        a = [sign[x.key] for x in e.args if isinstance(x, Expr)]
        s = -1
        match e.op:
            case "const":
                s = (e.args[0] > 0) - (e.args[0] < 0)
            case "tiny":
                s = 1
            case "abs" | "sqrt" | "exp":  # exp may underflow
                s = 0
            case "add":
                s = max(a) if min(a) >= 0 else -1
            case "mul" if e.args[0].key == e.args[1].key:
                s = max(a[0], 0)
            case "mul" | "div":  # a product of small numbers may underflow
                s = min(a) if e.args[0].op == "const" or min(a) < 0 else 0
            case "where":
                s = min(a[1:])
            case "reduce":
                s = a[0]
        sign[e.key] = s
    return sign


def _local(e: Expr, g: Expr, signs: Mapping[bytes, int]) -> list[tuple[Expr, Expr]]:
    """(argument, its share of the adjoint g) for one node."""
    a = e.args
    match e.op:
        case "add":
            return [(a[0], g), (a[1], g)]
        case "sub":
            return [(a[0], g), (a[1], -g)]
        case "mul":
            base, n, c = _power(e)
            if base is not e and n != 0.5 and (n > 2 or n % 1 or base.key not in (a[0].key, a[1].key)):
                # Not by way of the products that it is made of: they would wait for each other, and x*sqrt(x) is nan at 0.
                return [(base, g * (c * n * base ** (n - 1)))]
            return [(a[0], g * a[1]), (a[1], g * a[0])]
        case "div":
            base, n, _ = _power(a[1])
            if a[0].uniform and n != 1 and signs[base.key] <= 0:  # a multiple of base**-n: at infinity base**(n - 1) is inf
                return [(a[0], g / a[1]), (base, -(n * (g * e)) / base)]
            q = g / a[1]
            return [(a[0], q), (a[1], -(q * e))]
        case "flip":
            return [(a[0], multiply(g, a[1]))]
        case "neg":
            return [(a[0], -g)]
        case "reduce":
            return [(a[0], g)]
        case "sqrt":
            return [(a[0], _root(g, e, signs))]
        case "exp":
            return [(a[0], g * e)]
        case "log":
            inside = any(f.key == a[0].key for f in _factors(g))  # x*log(x): no x/x, which is nan at 0 and at infinity
            return [(a[0], _without(g, [a[0].key]) if inside else g / a[0])]
        case "sin":
            return [(a[0], g * cos(a[0]))]
        case "cos":
            return [(a[0], -(g * sin(a[0])))]
        case "tanh":
            return [(a[0], g * (1 - e * e))]
        case "abs":
            return [(a[0], where(a[0] < 0, -g, g))]
        case "where":
            return [(a[1], g), (a[2], g)]  # for its own branch only: see _branches
    return []


Guards = frozenset[tuple[bytes, int]]  # (condition, which argument of where): an expression matters only where they hold


def _guarded(e: Expr, i: int, guards: Guards, conditions: Mapping[bytes, Expr]) -> Guards:
    """The guards of argument i of e, given those of e. A condition for each coordinate does not outlast a sum over them."""
    if e.op == "where":
        guards |= {(e.args[0].key, i)}
    if not e.args[i].wide:
        guards = frozenset(g for g in guards if not conditions[g[0]].wide)
    return guards


def _branches(order: Sequence[Expr], conditions: Mapping[bytes, Expr], signs: Mapping[bytes, int]) -> dict[bytes, Guards]:
    """The guards under which adjoints are kept: the choice of a branch is made as late as a singular function needs it.

    In where(x > 0, log(x), 0) the adjoint of log(x) must not be 0 where the branch is not taken: 0/x is nan at x = 0. So
    the branch is differentiated as if it stood alone, and where() chooses what leaves it.
    """
    needed: dict[bytes, Guards] = {order[-1].key: frozenset()}
    for e in reversed(order):
        if e.key in needed and e.op not in COMPARE:
            for i, x in enumerate(e.args):
                if isinstance(x, Expr) and not (e.op == "where" and i == 0):
                    guards = _guarded(e, i, needed[e.key], conditions)
                    needed[x.key] = needed[x.key] & guards if x.key in needed else guards
    kept: dict[bytes, Guards] = {}
    for e in order:
        mine = needed.get(e.key, frozenset())
        inside = frozenset[tuple[bytes, int]]().union(*(kept[x.key] for x in e.args if isinstance(x, Expr)))
        singular = e.op == "exp" or (e.op in ("sqrt", "log", "div") and signs[e.args[-1].key] <= 0)
        kept[e.key] = mine if singular else mine & inside
    return kept


REMEMBERED = 100
# The last gradients, by the keys of what was differentiated: these digest the whole formula, so an edited one is another.
_gradients: dict[tuple[bytes, ...], list[Expr]] = {}


def gradient(out: Any, wrt: Sequence[Expr]) -> list[Expr]:
    """The derivatives of one number by each symbol of `wrt`, by reverse accumulation.

    A wide symbol gets the derivative by its own coordinate. A number that all coordinates use has an adjoint which is the
    sum over them. Limits and choices at 0, at ties and for nan are those of the docstrings in functions.py.
    """
    out = lift(out)
    name = (out.key, *(w.key for w in wrt))
    known = _gradients.get(name)
    if known is None:
        if len(_gradients) >= REMEMBERED:
            _gradients.clear()
        known = _gradients[name] = _gradient(out, wrt)
    return list(known)


def _gradient(out: Expr, wrt: Sequence[Expr]) -> list[Expr]:
    adjoint: dict[bytes, list[Expr]] = {out.key: [const(1)]}
    final: dict[bytes, Expr] = {}
    order = topological([out])
    signs = _signs(order)
    conditions = {e.args[0].key: e.args[0] for e in order if e.op == "where"}
    kept = _branches(order, conditions, signs) if conditions else {}
    nothing: Guards = frozenset()
    for e in reversed(order):
        if e.key not in adjoint or e.op in COMPARE:
            continue
        g = final[e.key] = _sum(adjoint[e.key])
        if constant(g) == 0:
            continue
        for i, (arg, share) in enumerate(_local(e, g, signs)):
            guards = kept.get(e.key, nothing) | ({(e.args[0].key, i + 1)} if e.op == "where" else nothing)
            for key, side in sorted(guards - kept.get(arg.key, nothing)):
                share = where(conditions[key], share, 0.0) if side == 1 else where(conditions[key], 0.0, share)
            if share.wide and not arg.wide:
                share = reduce_sum(share)
            adjoint.setdefault(arg.key, []).append(share)
    return [final.get(w.key, const(0)) for w in wrt]


def rebuild(e: Expr, args: Sequence[Any]) -> Expr:
    """The operation e on other arguments, simplified as if the user had written it."""
    if e.op == "add":
        return args[0] + args[1]
    if e.op == "sub":
        return args[0] - args[1]
    if e.op in ("mul", "flip"):
        return multiply(args[0], args[1])
    if e.op == "div":
        return args[0] / args[1]
    if e.op == "reduce":
        return reduce_sum(args[0])
    if e.op in ("const", "var", "sign", "tiny", "fma", "where") or e.op in COMPARE:
        return Expr(e.op, *args)
    return unary(e.op, args[0])


def substitute(outs: Sequence[Expr], env: Mapping[bytes, Expr]) -> list[Expr]:
    """The expressions `outs` with others in place of those whose keys are in env; symbols, as a rule."""
    memo = dict(env)
    for e in topological(list(outs)):
        if e.key not in memo:
            memo[e.key] = rebuild(e, [memo[a.key] if isinstance(a, Expr) else a for a in e.args])
    return [memo[e.key] for e in outs]


def evaluate(outs: Sequence[Any], env: Mapping[str, Any]) -> list[Any]:
    """The values of expressions without sums over coordinates; env has that of every symbol, a number or an array, by name."""
    values: dict[bytes, Any] = {}
    lifted = [lift(o) for o in outs]
    for e in topological(lifted):
        a = [values[x.key] for x in e.args if isinstance(x, Expr)]
        match e.op:
            case "const":
                v = e.args[0]
            case "var" | "sign":
                v = env[e.args[0]]
            case "tiny":
                v = np.finfo(float).tiny
            case "neg":
                v = -a[0]
            case "where":
                v = where(*a)
            case "flip" | "mul":
                v = a[0] * a[1]
            case "abs":
                v = abs(a[0])
            case _ if e.op in BINARY or e.op in COMPARE:
                v = _OPERATORS[e.op](*a)
            case _:
                v = _functions()[e.op](a[0])
        values[e.key] = v
    return [values[e.key] for e in lifted]


_OPERATORS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "div": lambda a, b: a / b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}


def _functions() -> dict[str, Any]:
    return {name: getattr(functions, name) for name in ("sqrt", "exp", "log", "sin", "cos", "tanh", "floor")}


__all__ = ["evaluate", "gradient", "join", "parts", "rebuild", "substitute"]
