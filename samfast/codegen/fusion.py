"""A product and a sum become one fused operation with one rounding, so that the bits are the same on every device."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from typing import Any

from ..tracing.expr import Expr, const, constant, multiply, topological
from .linear import collect, counted


def product(e: Expr) -> Expr | None:
    """e if it is a product, x*y if e is -(x*y), else None."""
    if e.op == "neg" and e.args[0].op == "mul":
        return e.args[0]
    return e if e.op == "mul" else None


def _minus(e: Expr) -> Expr:
    return e.args[0] if e.op == "neg" else Expr("neg", e)


def _factors(m: Expr, memo: dict[bytes, Expr], uses: Mapping[bytes, int]) -> tuple[Expr, Expr]:
    """The product m as two factors. The one that depends on the state by the longest chain stands alone, so that it waits for
    one operation only.

    k*(a*b) becomes (k*a)*b where all paths share k, and 4*(a*a) the square of 2*a, which a normalised step needs too.
    """
    k, ab = m.args
    if not k.uniform or ab.op != "mul" or uses[ab.key] > 1:
        return memo[k.key], memo[ab.key]
    first, last = sorted((memo[x.key] for x in ab.args), key=lambda x: x.depth)
    size = constant(k)
    if size is None:
        return multiply(memo[k.key], first), last
    root = math.sqrt(abs(size))
    if first is last and root * root == size:
        return multiply(const(root), first), multiply(const(root), first)
    scaled = multiply(const(abs(size)), first)
    return scaled if size > 0 else _minus(scaled), last


def _contract(e: Expr, memo: dict[bytes, Expr], uses: Mapping[bytes, int], alone: Set[bytes]) -> Expr | None:
    """a*b + c as one fused operation, None where no product can be fused. Of two products the one with the longer chain from
    the state is fused. A product that is needed by itself (`alone`) is not computed twice.
    """
    a, b = e.args
    ma, mb = (None if m is None or m.key in alone else m for m in (product(a), product(b)))
    if ma is not None and mb is not None:
        late = max(x.depth for x in ma.args) > max(x.depth for x in mb.args)
        ma, mb = (ma, None) if late else (None, mb)
    if ma is None and mb is None:
        return None
    m, term, rest = (ma, a, b) if ma is not None else (mb, b, a)
    assert m is not None
    minus = (term.op == "neg") ^ (e.op == "sub" and m is mb)
    u, v = _factors(m, memo, uses)
    c = memo[rest.key]
    if e.op == "sub" and m is ma:
        c = Expr("neg", c)
    return Expr("fma", _minus(u) if minus else u, v, c)


def fuse(outs: Sequence[Any], merge: bool = False) -> list[Expr]:
    """Every a*b + c becomes one fma, unless a*b is needed by itself. Nothing is left that a compiler could contract.

    merge: as in `linear.collect`.
    """
    roots = collect(outs, merge)
    memo: dict[bytes, Expr] = {}
    order = topological(roots)
    uses = counted(order, roots)
    alone = {a.key for e in order if e.op not in ("add", "sub", "neg") for a in e.args if isinstance(a, Expr)}
    alone |= {r.key for r in roots}
    for e in order:
        fused = _contract(e, memo, uses, alone) if e.op in ("add", "sub") else None
        if e.op == "sign":  # by itself a sign is a number; only flip takes its bits
            fused = Expr("flip", const(1), e)
        elif e.op == "flip":
            fused = Expr("flip", memo[e.args[0].key], e.args[1])
        if fused is None:
            fused = Expr(e.op, *(memo[a.key] if isinstance(a, Expr) else a for a in e.args))
        memo[e.key] = fused
    return [memo[o.key] for o in roots]
