"""Text for programs of many coordinates on a GPU: a thread walks over the coordinates of its path.

The passes are those of `wide`. What they keep between them stays in registers, the state lies in the device's memory, and
random numbers are drawn where they are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..tracing.expr import Expr
from .wide import WideWriter

CALL = 4  # normals of one Philox call


@dataclass
class CudaWideWriter(WideWriter):
    """In its text o is the place of the path's first row in `state`, whose rows are n apart, and q that of its parameters."""

    def place(self, slot: int) -> str:
        return f"q{slot}"

    def row(self, row: int) -> str:
        return f"state[o + {row} * n]"

    def feature(self, at: int) -> str:
        return f"G[g + {at} * n]"

    def clear(self, count: int) -> None:
        self.body += [f"q{i} = T(0)" for i in range(count)]

    def lanes(self, values: Sequence[tuple[Expr, str]]) -> None:
        if values:
            lines, names = self.printer.lines([e for e, _ in values], self._narrow_leaf, f"_{len(self.body)}")
            self.body += lines + [f"{place} = {n}" for (_, place), n in zip(values, names, strict=True)]

    def _group(self, sums: Sequence[Expr], writes: Sequence[tuple[Expr, str, int]], count: int) -> list[str]:
        lay, per = self.layout, len(self.layout.spread)
        load: dict[str, None] = {}
        work: list[str] = []
        kept = {e.key: f"q{self.slots[e.key]}" for e in sums}
        for u in range(count):

            def leaf(e: Expr, u: int = u) -> str | None:
                if e.key in self.slots:
                    return f"q{self.slots[e.key]}"
                if e.op not in ("var", "sign"):
                    return None
                n = str(e.args[0])
                if not e.wide:
                    return n
                if n in lay.spread:
                    load[f"{n}_{u} = state[o + ((i + {u}) * {per} + {lay.spread[n]}) * n]"] = None
                elif n in lay.vectors:
                    load[f"{n}_{u} = params[q + {lay.vectors[n]} + i + {u}]"] = None
                else:
                    load.update(dict.fromkeys(self._sign(n, u) if lay.signs else self._normal(n, u)))
                return f"{n}_{u}"

            lines, names = self._statements(sums, writes, kept, leaf, u)
            work += lines
            for (_, array, place), name in zip(writes, names, strict=True):
                to = f"state[o + ((i + {u}) * {per} + {place}) * n]" if array == "X" else f"G[g + ({array[1:]} + i + {u}) * n]"
                work.append(f"{to} = {name}")
        return [*load, *work]

    def _normal(self, n: str, u: int) -> list[str]:
        """The normal of coordinate i + u. i is a multiple of 4, but the first number of the vector need not be."""
        first = self.layout.numbers[n]
        call, place = divmod(first % CALL + u, CALL)
        drawn = [f"{n}c{call}{j}" for j in range(CALL)]
        return [
            f"{', '.join(drawn)} = normals(h, u64(k * CALLS + {first // CALL + call} + i // {CALL}), high, seed, keys)",
            f"{n}_{u} = T({drawn[place]})",
        ]

    def _sign(self, n: str, u: int) -> list[str]:
        """The sign of coordinate i + u. A call has 128 signs, 32 a word, so that a new one is made for one sign in 128 only."""
        return [
            f"m{u} = at + {self.layout.numbers[n]} + i + {u}",
            f"if m{u} // 128 != have:",
            f"    have = m{u} // 128",
            "    d0, d1, d2, d3 = words(h, u64(first + have), high, seed, keys)",
            f"v{u} = m{u} // 32 % 4",
            f"{n}_{u} = bits((d0 if v{u} == 0 else d1 if v{u} == 1 else d2 if v{u} == 2 else d3) << u32(m{u} % 32))",
        ]
