"""A long step in several passes over the lanes: short bodies overlap better in a processor than one long one.

Between two passes the values that are still needed wait in rows of scratch, so a cut costs a store and a load each.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from .expr import Expr, topological
from .printing import Printer

SLOW = {"sqrt": 6, "div": 5, "exp": 16, "log": 20, "sin": 20, "cos": 20, "tanh": 24}    # in statements


@dataclass
class Pass:
    """Statements of one loop: `work` is computed, of which `kept` is stored into slots."""

    work: list[Expr] = field(default_factory=list)
    kept: list[tuple[Expr, int]] = field(default_factory=list)


def value(e: Expr) -> Expr:
    """A node without the signs before it, which are written where it is used."""
    while e.op == "neg":
        e = e.args[0]
    return e


def _order(roots: Sequence[Expr]) -> list[Expr]:
    return [e for e in topological(list(roots)) if not e.uniform and e.op not in ("var", "sign", "neg")]


def _last_uses(order: Sequence[Expr], roots: Sequence[Expr]) -> list[int]:
    """For each node the place of the last one that needs it; roots are needed after the end."""
    place = {e.key: i for i, e in enumerate(order)}
    last = list(range(len(order)))
    for i, e in enumerate(order):
        for a in (value(a) for a in e.args if isinstance(a, Expr)):
            if a.key in place:
                last[place[a.key]] = i
    for r in map(value, roots):
        if r.key in place:
            last[place[r.key]] = len(order)
    return last


def cuts(roots: Sequence[Expr], limit: int, price: float) -> list[int]:
    """Where to cut the statements: pieces of at most `limit`, with few values waiting at the cuts.

    price: statements that a value waiting at a cut is worth.
    """
    order = _order(roots)
    last, n = _last_uses(order, roots), len(order)
    change = [0] * (n + 2)                              # a value waits at the cuts from behind it to its last use
    for i, end in enumerate(last):
        change[i + 1] += 1
        change[end + 1] -= 1
    waiting = list(accumulate(change))
    weight = [SLOW.get(e.op, 1) for e in order]
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, n + 1):
        options, total = [], 0
        for start in range(end - 1, -1, -1):
            total += weight[start]
            if total > limit and start < end - 1:
                break
            options.append((best[start][0] + price * (2 + waiting[start]) * (start > 0), start))
        best.append(min(options))
    found, end = [], n
    while end:
        found.append(end)
        end = best[end][1]
    return found[::-1]


def passes(roots: Sequence[Expr], limit: int, price: float) -> tuple[list[Pass], int]:
    """(passes, slots needed) for the roots, which must be fused already. Roots of early passes are kept to the end."""
    order, out = _order(roots), []
    last = _last_uses(order, roots)
    slot: dict[bytes, int] = {}
    free: list[int] = []
    used, start = 0, 0
    for end in cuts(roots, limit, price):
        piece = Pass(order[start:end])
        for i in range(start):                          # slots that nobody needs after this pass
            e = order[i]
            if e.key in slot and last[i] < end:
                free.append(slot.pop(e.key))
        for i in range(start, end):
            if last[i] >= end and end < len(order):
                if not free:
                    free, used = [used], used + 1
                slot[order[i].key] = free.pop()
                piece.kept.append((order[i], slot[order[i].key]))
        out.append(piece)
        start = end
    return out, used


def text(roots: Sequence[Expr], stores: Sequence[str | None], limit: int, price: float, printer: Printer,
         load: Callable[[Expr], str]) -> tuple[list[str], int]:
    """Loops over the lanes that compute the roots and store each, but for None, as `stores` says.

    load(leaf) is the text of a leaf that is read, "" for one that is there already.
    """
    pieces, rows = passes(roots, limit, price)
    body: list[str] = []
    kept: dict[bytes, int] = {}
    for n, piece in enumerate(pieces or [Pass()]):
        loads: dict[str, None] = {}

        def leaf(e: Expr, kept: dict[bytes, int] = kept, loads: dict[str, None] = loads) -> str | None:
            if e.key in kept:
                loads[f"a{kept[e.key]} = A[{kept[e.key]} * W + l]"] = None
                return f"a{kept[e.key]}"
            if e.op not in ("var", "sign"):
                return None
            name = str(e.args[0])
            if line := load(e):
                loads[f"{name} = {line}"] = None
            return name
        final = n == len(pieces) - 1
        wanted = list(roots) if final else [e for e, _ in piece.kept]
        lines, names = printer.lines(wanted, leaf)
        places = list(stores) if final else [f"A[{s} * W + l]" for _, s in piece.kept]
        written = [f"{p} = {n}" for p, n in zip(places, names, strict=True) if p]
        body += ["for l in range(W):", *("    " + s for s in [*loads, *lines, *written])]
        kept = {k: s for k, s in kept.items() if s not in {s for _, s in piece.kept}} | {e.key: s for e, s in piece.kept}
    return body, rows
