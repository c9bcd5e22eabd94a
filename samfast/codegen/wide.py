"""Text for programs of many coordinates: loops over coordinates and lanes instead of one statement per coordinate.

A wide value has a number for each coordinate, a narrow one does not. A pass over the coordinates adds up the sums of one level,
which is how many sums lie below one another; a pass over the lanes turns sums into the narrow values that the next pass needs;
the last passes write. Sums run over the coordinates in order, as in the unrolled text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..tracing.expr import Expr, topological
from .fusion import fuse, product
from .layout import Layout
from .printing import Printer

TOGETHER = 4  # coordinates of one turn of a loop: saves loads and stores of the running sums


@dataclass
class WideWriter:
    """Writes the passes of one step or of one observation, for lanes of paths."""

    layout: Layout
    printer: Printer
    body: list[str] = field(default_factory=list)
    slots: dict[bytes, int] = field(default_factory=dict)  # narrow values kept in rows of A

    def slot(self, e: Expr) -> int:
        return self.slots.setdefault(e.key, len(self.slots))

    def _needed(self, roots: Sequence[Expr]) -> list[Expr]:
        """Narrow values that differ from path to path and that wide statements ask for."""
        found: dict[bytes, Expr] = {}

        def visit(e: Expr) -> None:
            for a in e.args:
                if isinstance(a, Expr) and not a.uniform:
                    if not a.wide:
                        found[a.key] = a

        for e in topological(list(roots)):
            if e.wide:
                visit(e)
        return list(found.values())

    def place(self, slot: int) -> str:
        """The text of a narrow value that later passes need."""
        return f"A[{slot} * W + l]"

    def row(self, row: int) -> str:
        """The text of a row of the state that has no coordinates."""
        return f"S[{row} * W + l]"

    def feature(self, at: int) -> str:
        """The text of a feature that has no coordinates."""
        return f"G[{at} * W + l]"

    def _narrow_leaf(self, e: Expr) -> str | None:
        if e.key in self.slots:
            return self.place(self.slots[e.key])
        if e.op == "var" and e.args[1] in ("state", "path"):
            return self.row(self.layout.single[e.args[0]])
        return str(e.args[0]) if e.op == "var" else None

    def lanes(self, values: Sequence[tuple[Expr, str]]) -> None:
        """One pass over the lanes, in which each value goes to its place."""
        if values:
            lines, names = self.printer.lines([e for e, _ in values], self._narrow_leaf)
            stores = [f"{place} = {n}" for (_, place), n in zip(values, names, strict=True)]
            self.body += ["for l in range(W):", *("    " + s for s in lines + stores)]

    def clear(self, count: int) -> None:
        """Sets the sums to 0; they have the first slots."""
        self.body += [f"for l in range({count} * W):", "    A[l] = T(0)"]

    def coordinates(self, sums: Sequence[Expr], writes: Sequence[tuple[Expr, str, int]]) -> None:
        """One pass over the coordinates. sums: reduce nodes; writes: (value, array, place within a coordinate)."""
        dim, step = self.layout.dim, min(TOGETHER, self.layout.dim)
        full = dim - dim % step
        self.body += [f"for i in range(0, {full}, {step}):", *("    " + s for s in self._group(sums, writes, step))]
        if dim % step:
            self.body += [
                f"for i in range({full}, {dim}, {dim % step}):",
                *("    " + s for s in self._group(sums, writes, dim % step)),
            ]

    def _group(self, sums: Sequence[Expr], writes: Sequence[tuple[Expr, str, int]], count: int) -> list[str]:
        lay, per = self.layout, len(self.layout.spread)
        before: dict[str, None] = {f"X = S[i * {per} * W:]": None}
        load: dict[str, None] = {}
        work: list[str] = []
        kept = {e.key: f"a{self.slots[e.key]}" for e in sums}
        load.update({f"{kept[e.key]} = A[{self.slots[e.key]} * W + l]": None for e in sums})
        for u in range(count):

            def leaf(e: Expr, u: int = u) -> str | None:
                if e.key in self.slots:
                    load[f"q{self.slots[e.key]} = A[{self.slots[e.key]} * W + l]"] = None
                    return f"q{self.slots[e.key]}"
                if e.op not in ("var", "sign"):
                    return None
                n = str(e.args[0])
                if not e.wide:
                    return n
                if n in lay.spread:
                    load[f"{n}_{u} = X[{u * per + lay.spread[n]} * W + l]"] = None
                elif n in lay.vectors:
                    before[f"{n}_{u} = params[c, {lay.vectors[n]} + i + {u}]"] = None
                elif lay.signs:
                    at = f"(at + {lay.numbers[n]} + i + {u})"
                    before[f"R{n}_{u}, h{n}_{u} = Z[{at} // {lay.signs} * W:], u32({at} % {lay.signs})"] = None
                    load[f"{n}_{u} = bits(R{n}_{u}[l] << h{n}_{u})"] = None
                else:
                    before[f"R{n} = Z[(at + {lay.numbers[n]} + i) * W:]"] = None
                    load[f"{n}_{u} = T(R{n}[{u} * W + l])"] = None
                return f"{n}_{u}"

            lines, names = self._statements(sums, writes, kept, leaf, u)
            work += lines
            for (_, array, place), n in zip(writes, names, strict=True):
                at = u * per + place if array == "X" else u + place
                work.append(f"{array}[{at} * W + l] = {n}")
        for array in {w[1] for w in writes} - {"X"}:
            before[f"{array} = G[({array[1:]} + i) * W:]"] = None
        store = [f"A[{self.slots[e.key]} * W + l] = {kept[e.key]}" for e in sums]
        return [*before, "for l in range(W):", *("    " + s for s in [*load, *work, *store])]

    def _statements(
        self,
        sums: Sequence[Expr],
        writes: Sequence[tuple[Expr, str, int]],
        kept: Mapping[bytes, str],
        leaf: Callable[[Expr], str | None],
        u: int,
    ) -> tuple[list[str], list[str]]:
        """(statements of one coordinate, the sums' included; names of the values to write)."""
        roots = [e.args[0] for e in sums]
        operands: list[Expr] = []
        for r in roots:  # a product joins its sum in one fused operation
            m = product(r)
            operands += [r] if m is None else [Expr("neg", m.args[0]) if m is not r else m.args[0], m.args[1]]
        lines, names = self.printer.lines([*operands, *(e for e, _, _ in writes)], leaf, f"_{u}")
        it = iter(names)
        for e, r in zip(sums, roots, strict=True):
            a = kept[e.key]
            lines.append(f"{a} = {a} + {next(it)}" if product(r) is None else f"{a} = fma({next(it)}, {next(it)}, {a})")
        return lines, list(it)

    def write(self, wide: Sequence[tuple[Expr, str, int]], narrow: Sequence[tuple[Expr, str]], merge: bool) -> list[str]:
        """All passes that compute the wide writes and the narrow ones. merge: as `fuse` has it."""
        fused = fuse([e for e, *_ in wide] + [e for e, _ in narrow], merge)
        wide = [(e, a, p) for e, (_, a, p) in zip(fused, wide, strict=False)]
        narrow = [(e, p) for e, (_, p) in zip(fused[len(wide) :], narrow, strict=True)]
        sums = [e for e in topological(fused) if e.op == "reduce"]
        needed = self._needed(fused)
        for e in (*sums, *(n for n in needed if n.op != "reduce")):
            self.slot(e)
        if sums:
            self.clear(len(sums))
        done: set[bytes] = set()
        for level in range(max((e.level for e in fused), default=0) + 1):
            if level:
                self.coordinates([e for e in sums if e.level == level], [])
            ready = [n for n in needed if n.op != "reduce" and n.level == level and n.key not in done]
            slots = [self.slots.pop(n.key) for n in ready]  # not their own leaves
            self.lanes([(n, self.place(s)) for n, s in zip(ready, slots, strict=True)])
            for n, s in zip(ready, slots, strict=True):
                self.slots[n.key] = s
                done.add(n.key)
        if wide:
            self.coordinates([], wide)
        self.lanes(narrow)
        return self.body
