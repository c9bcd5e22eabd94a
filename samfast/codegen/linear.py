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

from ..tracing.expr import Expr, add, const, constant, lift, multiply, topological, unary

SUMS = ("add", "sub")


class Form(NamedTuple):
    """The sum unit*leaf + slope*leaf, with a whole number unit and a slope that all paths share (None for 0).

    ops: how many operations on paths it takes as the user wrote it.
    """

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


def counted(order: Sequence[Expr], roots: Sequence[Expr]) -> Counter[bytes]:
    """How often each node is needed, as an argument or as a root."""
    return Counter([a.key for e in order for a in e.args if isinstance(a, Expr)] + [r.key for r in roots])


def _inner(order: Sequence[Expr], uses: Counter[bytes], forms: dict[bytes, Form]) -> tuple[set[bytes], set[bytes]]:
    """(near, far). near: sums used exactly once, by another sum. far: these, and uniform multiples k*sum of them."""
    sums: set[bytes] = set()
    scaled: set[bytes] = set()
    for e in order:
        if e.op in SUMS and forms[e.key].leaf is e:
            sums.add(e.key)
        elif (e.op == "neg" or (e.op == "mul" and e.args[0].uniform)) and uses[e.args[-1].key] == 1:
            if e.args[-1].key in sums or e.args[-1].key in scaled:
                scaled.add(e.key)
    either = sums | scaled
    near: set[bytes] = set()
    far: set[bytes] = set()
    for e in reversed(order):
        alone = {a.key for a in e.args if isinstance(a, Expr) and uses[a.key] == 1}
        if e.op in SUMS:
            near |= alone & sums
        if e.op in SUMS or e.key in far:
            far |= alone & either
    return near, far


def _terms(e: Expr, forms: dict[bytes, Form], inner: set[bytes]) -> tuple[list[Form], set[bytes]]:
    """(terms, products). The terms of a sum from left to right, those of the sums in `inner` in their place.

    products: keys of the products among them that have a coefficient now, so that no addition can take them in.
    """
    out: list[Form] = []
    loose: set[bytes] = set()
    stack = [(e, const(1))]
    while stack:
        x, k = stack.pop()
        if x is not e and x.key not in inner:
            f = forms.get(x.key, Form(x, 1, None, 0))
            if abs(constant(k) or 0) != 1 and f.slope is None and f.leaf.op == "mul":
                loose.add(f.leaf.key)
            out.append(Form(f.leaf, 0, multiply(k, _factor(f)), f.ops))
        elif x.op == "mul":
            stack.append((x.args[1], multiply(k, x.args[0])))
        elif x.op == "neg":
            stack.append((x.args[0], unary("neg", k)))
        else:
            stack += [(x.args[1], unary("neg", k) if x.op == "sub" else k), (x.args[0], k)]
    return out, loose


def _merged(terms: Sequence[Form]) -> list[Form]:
    """The terms of one leaf added up, so that each leaf has one."""
    of: dict[bytes, Form] = {}
    for t in terms:
        g = of.get(t.leaf.key)
        of[t.leaf.key] = t if g is None else Form(t.leaf, 0, add(_factor(g), _factor(t)), 2)
    return list(of.values())


def _paired(terms: Sequence[Form], uses: Counter[bytes], new: dict[bytes, Expr]) -> list[Form]:
    """k*w + h*(x*w) becomes one term (k + h*x)*w where nothing else needs x*w."""
    out = {t.leaf.key: t for t in terms}
    for t in terms:
        for x, w in (t.leaf.args, t.leaf.args[::-1]) if t.leaf.op == "mul" and uses[t.leaf.key] == 1 else ():
            f = out.get(w.key)
            if f is not None and w.key != x.key and t.leaf.key in out:
                del out[t.leaf.key]
                out[w.key] = Form(w, 0, add(_factor(f), multiply(_factor(t), new.get(x.key, x))), 3)
    return list(out.values())


def _together(
    e: Expr, forms: dict[bytes, Form], inner: set[bytes], uses: Counter[bytes], new: dict[bytes, Expr]
) -> list[Form] | None:
    """The same sum in fewer terms. None where that fails, or would leave a product that can no longer be fused."""
    terms, loose = _terms(e, forms, inner)
    fewer = _paired(_merged(terms), uses, new)
    return None if len(fewer) == len(terms) or loose & {t.leaf.key for t in fewer} else fewer


def collect(outs: Sequence[Any], merge: bool) -> list[Expr]:
    """The same values, with every part that is linear in one number as one operation. merge: add up unit and slope too."""
    roots = [lift(o) for o in outs]
    forms: dict[bytes, Form] = {}
    order = [e for e in topological(roots) if not e.uniform]
    for e in order:
        forms[e.key] = _form(e, forms)
    uses = counted(order, roots)
    near, far = _inner(order, uses, forms) if merge else (set(), set())
    new: dict[bytes, Expr] = {}

    def made(f: Form) -> Expr:
        return _written(f._replace(leaf=new.get(f.leaf.key, f.leaf)), merge)

    for e in order:
        f = forms[e.key]
        merged = None
        if merge and f.leaf is e and e.op in SUMS and e.key not in near:
            merged = _together(e, forms, far, uses, new) or _together(e, forms, near, uses, new)
        if merged is not None:
            new[e.key] = reduce(add, map(made, merged))
        elif f.leaf is e or f.ops < 2:
            new[e.key] = Expr(e.op, *(new.get(a.key, a) if isinstance(a, Expr) else a for a in e.args))
        else:
            new[e.key] = made(f)
    return [new.get(o.key, o) for o in roots]
