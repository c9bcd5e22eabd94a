"""A long step becomes several passes over the lanes, because a processor overlaps the turns of a short loop better.

Between two passes the values that are still needed wait in rows of scratch, so that a cut costs a store and a load for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from ..tracing.expr import Expr, topological
from .printing import Printer

# Statements that take the time of one of these.
SLOW = {"sqrt": 6, "div": 5, "exp": 16, "log": 20, "sin": 20, "cos": 20, "tanh": 24}


@dataclass
class Pass:
    """One loop: `work` is computed, and of it `kept` is stored into rows of scratch, its slots."""

    work: list[Expr] = field(default_factory=list)
    kept: list[tuple[Expr, int]] = field(default_factory=list)


def value(e: Expr) -> Expr:
    """A node without the signs before it, which are written where it is used."""
    while e.op == "neg":
        e = e.args[0]
    return e


def _order(roots: Sequence[Expr]) -> list[Expr]:
    return [e for e in topological(list(roots)) if not e.uniform and e.op not in ("var", "sign", "neg")]


def _users(order: Sequence[Expr]) -> list[list[int]]:
    """For each node the places of those that need it."""
    place = {e.key: i for i, e in enumerate(order)}
    users: list[list[int]] = [[] for _ in order]
    for i, e in enumerate(order):
        for a in (value(a) for a in e.args if isinstance(a, Expr)):
            if a.key in place:
                users[place[a.key]].append(i)
    return users


def _last_uses(order: Sequence[Expr], users: Sequence[Sequence[int]], roots: Sequence[Expr]) -> list[int]:
    """For each node the place of the last one that needs it; roots are needed after the end."""
    kept = {value(r).key for r in roots}
    return [len(order) if e.key in kept else max(users[i], default=i) for i, e in enumerate(order)]


def cuts(roots: Sequence[Expr], limit: int, price: float) -> list[int]:
    """Where to cut the statements: pieces of at most `limit`, with few values waiting at the cuts.

    price: cost of storing one value across a cut, in statements. Ties go to the cut with the shortest dependency chain.
    """
    order = _order(roots)
    users, n = _users(order), len(order)
    last = _last_uses(order, users, roots)
    change = [0] * (n + 2)  # a value waits at the cuts from behind it to its last use
    for i, end in enumerate(last):
        change[i + 1] += 1
        change[end + 1] -= 1
    waiting = list(accumulate(change))
    weight = [SLOW.get(e.op, 1) for e in order]
    best: list[tuple[float, int, int]] = [(0.0, 0, 0)]
    for end in range(1, n + 1):
        options, total, longest = [], 0, 0
        chain: dict[int, int] = {}  # from a statement to the end of the piece
        for start in range(end - 1, -1, -1):
            total += weight[start]
            if total > limit and start < end - 1:
                break
            chain[start] = weight[start] + max((chain[u] for u in users[start] if u < end), default=0)
            longest = max(longest, chain[start])
            cost, before, _ = best[start]
            options.append((cost + price * (2 + waiting[start]) * (start > 0), max(before, longest), start))
        best.append(min(options))
    found, end = [], n
    while end:
        found.append(end)
        end = best[end][2]
    return found[::-1]


def split(roots: Sequence[Expr], limit: int, price: float) -> tuple[list[Pass], int]:
    """(passes, slots needed) for the roots, which must be fused already. A root of an early pass is kept to the end."""
    order, out = _order(roots), []
    last = _last_uses(order, _users(order), roots)
    slot: dict[bytes, int] = {}
    free: list[int] = []
    used, start = 0, 0
    for end in cuts(roots, limit, price):
        piece = Pass(order[start:end])
        for i in range(start):  # slots that nobody needs after this pass
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


def loops(
    roots: Sequence[Expr], stores: Sequence[str | None], limit: int, price: float, printer: Printer, load: Callable[[Expr], str]
) -> tuple[list[str], int]:
    """(text, rows of scratch): loops over the lanes that compute the roots.

    stores: where each root is written, None where it is not. load(leaf): the text that reads a leaf, "" where it has a name.
    """
    pieces, rows = split(roots, limit, price)
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
