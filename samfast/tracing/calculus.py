"""Derivatives of expressions, substitution, and evaluation on arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import functions
from .expr import BINARY, COMPARE, Expr, const, constant, join, lift, multiply, parts, reduce_sum, topological, unary
from .functions import cos, sin, where


def _factors(e: Expr) -> list[Expr]:
    if e.op == "const":
        return []
    if e.op == "neg":
        return _factors(e.args[0])
    return _factors(e.args[0]) + _factors(e.args[1]) if e.op == "mul" else [e]


def _without(e: Expr, keys: list[bytes]) -> Expr:
    """e divided by the factors named in `keys`, which it has; each is crossed off the list."""
    if e.op == "neg":
        return unary("neg", _without(e.args[0], keys))
    if e.op == "mul":
        return multiply(_without(e.args[0], keys), _without(e.args[1], keys))
    if e.key in keys:
        keys.remove(e.key)
        return const(1)
    return e


def _plus(a: Expr, b: Expr) -> Expr:
    """Sum with a constant taken out that divides both, 2*a + 6*b -> 2*(a + 3*b): it may meet others outside."""
    (ca, ua, va), (cb, ub, vb) = parts(a), parts(b)
    c = min(ca, cb, key=abs)
    if c == 0 or abs(c) == 1 or not (ca / c).is_integer() or not (cb / c).is_integer():
        return a + b
    return multiply(const(c), join(ca / c, ua, va) + join(cb / c, ub, vb))


def _sum(terms: Sequence[Expr]) -> Expr:
    """Sum with common factors taken out, x*a + b + x*c -> x*(a + c) + b: only adjoints are rearranged like this.

    What the state reaches last is added last, so that it waits for nothing else.
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


def _power(e: Expr) -> tuple[Expr, int]:
    """(base, n) if the product e is base**n, else n = 1."""
    factors = _factors(e)
    same = constant(e.args[0]) is None and all(f.key == factors[0].key for f in factors)
    return (factors[0], len(factors)) if same else (e, 1)


def _local(e: Expr, g: Expr) -> list[tuple[Expr, Expr]]:
    """(argument, its share of the adjoint g) for one node."""
    a = e.args
    match e.op:
        case "add":
            return [(a[0], g), (a[1], g)]
        case "sub":
            return [(a[0], g), (a[1], -g)]
        case "mul":
            base, n = _power(e)
            if n > 2:  # not by way of the products that it is made of: they would wait for each other
                return [(base, g * (n * base ** (n - 1)))]
            return [(a[0], g * a[1]), (a[1], g * a[0])]
        case "div":
            q = g / a[1]
            return [(a[0], q), (a[1], -(q * e))]
        case "flip":
            return [(a[0], multiply(g, a[1]))]
        case "neg":
            return [(a[0], -g)]
        case "reduce":
            return [(a[0], g)]
        case "sqrt":
            return [(a[0], 0.5 * g / e)]
        case "exp":
            return [(a[0], g * e)]
        case "log":
            return [(a[0], g / a[0])]
        case "sin":
            return [(a[0], g * cos(a[0]))]
        case "cos":
            return [(a[0], -(g * sin(a[0])))]
        case "tanh":
            return [(a[0], g * (1 - e * e))]
        case "abs":
            return [(a[0], where(a[0] < 0, -g, g))]
        case "where":
            return [(a[1], where(a[0], g, 0.0)), (a[2], where(a[0], 0.0, g))]
    return []


REMEMBERED = 100
_gradients: dict[tuple[bytes, ...], list[Expr]] = {}  # by content: the same expressions have the same derivatives


def gradient(out: Any, wrt: Sequence[Expr]) -> list[Expr]:
    """Reverse mode: the derivatives of one number by each symbol of `wrt`.

    A symbol with one value per coordinate gets the derivative by its own coordinate; where a number that is common to
    all coordinates fans out to them, its adjoint is the sum over the coordinates.
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
    for e in reversed(topological([out])):
        if e.key not in adjoint or e.op in COMPARE:
            continue
        g = final[e.key] = _sum(adjoint[e.key])
        if constant(g) == 0:
            continue
        for arg, share in _local(e, g):
            if share.wide and not arg.wide:
                share = reduce_sum(share)
            adjoint.setdefault(arg.key, []).append(share)
    return [final.get(w.key, const(0)) for w in wrt]


def rebuild(e: Expr, args: Sequence[Any]) -> Expr:
    """The node e with other arguments, simplified as if it were written anew."""
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
    """Replace symbols, given by key, by expressions."""
    memo = dict(env)
    for e in topological(list(outs)):
        if e.key not in memo:
            memo[e.key] = rebuild(e, [memo[a.key] if isinstance(a, Expr) else a for a in e.args])
    return [memo[e.key] for e in outs]


def evaluate(outs: Sequence[Any], env: Mapping[str, Any]) -> list[Any]:
    """Numbers or arrays from expressions without sums over coordinates; env names the value of every symbol."""
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
    return {name: getattr(functions, name) for name in ("sqrt", "exp", "log", "sin", "cos", "tanh")}


__all__ = ["evaluate", "gradient", "join", "parts", "rebuild", "substitute"]
