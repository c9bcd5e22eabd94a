"""Parts that are linear in one number: k*w with k the same for every path is one product, however it was written.

The coefficient is computed once for all paths. A sum w + k*w keeps its two terms, one fused operation with one rounding,
in float32: added up beforehand, 1 + k would be off by up to 6e-8 in every step, n steps by n times that, where roundings
of w spread like sqrt(n). In float64 it is added up (`merge`): 1e9 steps are off by 1e-7.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

from .expr import Expr, add, const, lift, multiply, topological, unary

SUMS = ("add", "sub")


class Form(NamedTuple):
    """unit*leaf + slope*leaf; unit is a whole number, slope is uniform or None for 0. ops: operations that differ from
    path to path as written."""

    leaf: Expr
    unit: int
    slope: Expr | None
    ops: int


def _factor(f: Form) -> Expr:
    return const(f.unit) if f.slope is None else f.slope if f.unit == 0 else add(const(f.unit), f.slope)


def _negative(f: Form) -> Form:
    return Form(f.leaf, -f.unit, None if f.slope is None else unary("neg", f.slope), f.ops)


def _form(e: Expr, forms: dict[bytes, Form]) -> Form:
    """The form of a node, from those of its arguments; a node that is none is its own leaf."""
    if e.op == "neg":
        return _negative(forms[e.args[0].key])
    if e.op == "mul" and e.args[0].uniform:
        f = forms[e.args[1].key]
        slope = e.args[0] if f.unit == 1 and f.slope is None else multiply(e.args[0], _factor(f))
        return Form(f.leaf, 0, slope, f.ops + 1)
    if e.op in SUMS:
        a, b = (forms.get(x.key) for x in e.args)
        if a and b and a.leaf.key == b.leaf.key:
            minus = e.op == "sub"
            slope = b.slope if b.slope is None or not minus else unary("neg", b.slope)
            both = slope if a.slope is None else a.slope if slope is None else add(a.slope, slope)
            return Form(a.leaf, a.unit - b.unit if minus else a.unit + b.unit, both, a.ops + b.ops + 1)
    return Form(e, 1, None, 0)


def _written(f: Form, merge: bool) -> Expr:
    if merge or f.slope is None or f.unit not in (-1, 1):
        return multiply(_factor(f), f.leaf)
    product = Expr("mul", f.slope, f.leaf)
    return Expr("add", f.leaf, product) if f.unit == 1 else Expr("sub", product, f.leaf)


def _inner(order: Sequence[Expr], roots: Sequence[Expr], forms: dict[bytes, Form]) -> set[bytes]:
    """The sums of several leaves that one other sum needs, and nothing else."""
    uses = Counter([a.key for e in order for a in e.args if isinstance(a, Expr)] + [r.key for r in roots])
    terms = {a.key for e in order if e.op in SUMS for a in e.args}
    return {e.key for e in order if e.op in SUMS and forms[e.key].leaf is e and e.key in terms and uses[e.key] == 1}


def _terms(e: Expr, forms: dict[bytes, Form], inner: set[bytes]) -> list[Form]:
    """The terms of a sum, from left to right, through the sums inside that nothing else needs."""
    out: list[Form] = []
    stack = [(e, False)]
    while stack:
        x, minus = stack.pop()
        if x is e or x.key in inner:
            stack += [(x.args[1], minus ^ (x.op == "sub")), (x.args[0], minus)]
        else:
            f = forms.get(x.key, Form(x, 1, None, 0))
            out.append(_negative(f) if minus else f)
    return out


def _merged(terms: Sequence[Form]) -> list[Form] | None:
    """One term for each leaf; None if there was one already."""
    of: dict[bytes, Form] = {}
    for t in terms:
        g = of.get(t.leaf.key)
        slope = t.slope if g is None or g.slope is None else g.slope if t.slope is None else add(g.slope, t.slope)
        of[t.leaf.key] = t if g is None else Form(t.leaf, g.unit + t.unit, slope, 2)
    return None if len(of) == len(terms) else list(of.values())


def collect(outs: Sequence[Any], merge: bool) -> list[Expr]:
    """The same values, every part that is linear in one number written as one operation."""
    roots = [lift(o) for o in outs]
    forms: dict[bytes, Form] = {}
    order = [e for e in topological(roots) if not e.uniform]
    for e in order:
        forms[e.key] = _form(e, forms)
    inner = _inner(order, roots, forms) if merge else set()
    new: dict[bytes, Expr] = {}

    def made(f: Form) -> Expr:
        return _written(f._replace(leaf=new.get(f.leaf.key, f.leaf)), merge)
    for e in order:
        f = forms[e.key]
        whole = merge and f.leaf is e and e.op in SUMS and e.key not in inner
        merged = _merged(_terms(e, forms, inner)) if whole else None
        if merged is not None:
            new[e.key] = reduce(add, map(made, merged))
        elif f.leaf is e or f.ops < 2:
            new[e.key] = Expr(e.op, *(new.get(a.key, a) if isinstance(a, Expr) else a for a in e.args))
        else:
            new[e.key] = made(f)
    return [new.get(o.key, o) for o in roots]
