"""Writes programs for the CPU driver: how lanes are read and written, steps unrolled, and long steps cut into passes."""

from __future__ import annotations

from functools import cache
from typing import ClassVar

from .. import tracing as T
from .layout import entries
from .linker import defines, drivers_of, function, row
from .passes import loops
from .program import Program
from .wide import WideWriter
from .writer import ModuleWriter, StepText

# Most statements of a loop over the lanes, by the bits of a vector.
UNROLL = {512: 64, 256: 20}  # several short steps in one turn
GROUP = {512: 96, 256: 1}  # a group of settings in one turn; AVX2: one setting at a time, two do not fit 16 registers
PASS = {512: 48, 256: 30}  # a piece of a longer step; 30 is measured, 48 a guess
PRICE = 1.5  # cost of storing one value between two pieces, in statements
DRAWS = {
    "silent": ["silent"],
    "signs": ["words", "signs"],
    "normals": ["words", "normals"],
    "as_float64": ["words", "normals", "as_float64"],
}  # how numbers are drawn -> the functions of the driver that do it, the last one called `draw`


def taken(a: str, first: str, step: int, count: int) -> str:
    """The text of `count` numbers of an array, `step` apart, as a tuple."""
    return f"take({a}, {first}, {step}, {count})" if count else "()"


@cache
def vector_bits() -> int:
    """The width of this processor's vectors. It shapes the text only: no result depends on it."""
    from ..machine import processor

    return 512 if processor()["vector_bits"] == 512 else 256


class CpuWriter(ModuleWriter):
    """Writes programs whose loops run lanes of paths, on the host."""

    targets: ClassVar = {"cpu": "target_cpu", "plain": "target_python"}
    driver = "cpu"

    @property
    def half(self) -> bool:
        """Whether several steps share a word of signs."""
        return self.sign and self.stride < self.pack

    def values(self, count: int) -> str:
        """The parameters of setting c."""
        if self.layout.tables:  # with where the tables are, in place of their many numbers
            columns = [f"params[c, {i}]" for i in range(count - 2)]
            return function("inline", "parameters(params, c)", "", [f"return {row([*columns, 'params', 'c'])}"])
        return function("inline", "parameters(params, c)", "", ["return " + taken("params", f"c * {count}", 1, count)])

    def entry(self) -> list[str]:
        """The function that reads a parameter of setting c, if there are tables of them."""
        return [function("device", "entry(P, c, i)", "", ["return P[c, i]"])] if self.layout.tables else []

    def numbers_at(self, n: int) -> list[str]:
        """The body of a function that gives numbers 0 .. n-1 of lane l, from the rows of D."""
        if not self.traced.draws:
            return ["return ()"]
        if self.half:
            return ["return (bits(D[l] << shift), )"]
        kind = "bits" if self.sign else "T"
        return ["d = " + taken("D", "l", self.lanes, n), "return " + row([f"{kind}(d[{i}])" for i in range(n)])]

    # unrolled programs ----------------------------------------------------------------------------------------------
    def _narrow(self) -> tuple[list[str], int, int, int]:
        t, step = self.traced, self.step()
        size, names, changed = step.size, step.names, step.changed
        unroll = 1  # steps of one pass: a power of two that divides `served`
        most = 32 if self.sign else 4 * self.calls
        limit = UNROLL[vector_bits()]
        while unroll < self.served and 2 * unroll * size <= limit and (2 * unroll * self.stride <= most or not t.draws):
            unroll *= 2
        group = 1
        while self.spec.shared and group < 4 and 2 * group * unroll * size <= GROUP[vector_bits()]:
            group *= 2
        own = max(1, self.stride // self.pack)
        rows = max(1, unroll * self.stride // self.pack)
        hand = [
            row([f"d[0] << B({q * self.stride})"] if self.half else [f"d[{q * own + i}]" for i in range(own)])
            if t.draws
            else "()"
            for q in range(unroll)
        ]
        blocks = self._passes(step) if size > PASS[vector_bits()] else []
        blocks += [
            *self.entry(),
            *step.functions,
            function(
                "inline",
                "unrolled(s, d, k, p)",
                "UNROLL steps, the state in registers.",
                [*[f"s = advance(s, {hand[q]}, k + {q}, p)" for q in range(unroll)], "return s"],
            ),
            self.values(len(step.params)),
            function("inline", "load(S, o, l)", "", ["return " + taken("S", "o + l", self.lanes, len(names))]),
            function(
                "inline", "store(S, o, l, s)", "", [f"put(S, o + {i * self.lanes} + l, s[{i}])" for i in changed] or ["pass"]
            ),
            function("inline", "keep(G, l, g)", "", [f"put(G, {i * self.lanes} + l, g[{i}])" for i in range(step.shown)]),
            function("inline", "one(D, l, shift)", "", self.numbers_at(own)),
            function("inline", "many(D, l, shift)", "", self.numbers_at(rows)),
            function("inline", "rows_of_noise(Z)", "", ["return scratch(ROWS, N)"]),
            function("inline", "rows_of_features(G)", "", ["return scratch(NF, T)"]),
            *([function("inline", "many_steps_of_group(S, D, j, k, params, c)", "", self._group(group))] if group > 1 else []),
        ]
        return blocks, unroll, group, size

    def _passes(self, step: StepText) -> list[str]:
        """A step in several loops over the lanes."""
        places = {n: f"Sc[{i} * W + l]" for i, n in enumerate(step.names)}

        def load(e: T.Expr) -> str:
            name = str(e.args[0])
            if e.op == "sign" or e.args[1] == "noise":
                return step.numbers[int(name[1:])].replace("d[", "one(R, l, shift)[")
            return places.get(name, "")

        writes = [places[n] if i in step.changed else None for i, n in enumerate(step.names)]
        body, rows = loops(step.roots, writes, PASS[vector_bits()], PRICE, self.printer, load)
        head = [
            "R, Sc, shift = rest(D, j * STRIDE // PACK * W), rest(S, c * NS * W), u32(j * STRIDE % PACK)",
            *([f"{row(step.params)} = parameters(params, c)"] if step.params else []),
            "step, after = T(k), T(k + 1)",
            *entries(self.layout, "entry(P, c, {})".format),
            *([f"A = scratch({rows}, T)"] if rows else []),
        ]
        return [
            function("inline", "one_step(S, D, j, k, params, c)", "One step of one setting.", [*head, *body]),
            function("inline", "many_steps(S, D, j, k, params, c)", "", ["one_step(S, D, j, k, params, c)"]),
        ]

    def _group(self, group: int) -> list[str]:
        return [
            "R, Sc, shift = rest(D, j * STRIDE // PACK * W), rest(S, c * NS * W), u32(j * STRIDE % PACK)",
            *(f"p{g} = parameters(params, c + {g})" for g in range(group)),
            "for l in range(W):",
            "    d = many(R, l, shift)",
            *(f"    store(Sc, {g} * NS * W, l, unrolled(load(Sc, {g} * NS * W, l), d, k, p{g}))" for g in range(group)),
        ]

    # programs of many coordinates -----------------------------------------------------------------------------------
    def _wide(self) -> tuple[list[str], int]:
        scalars = [k for k, _ in self.layout.columns if isinstance(self.traced.params.get(k), T.Expr)]
        head = ["S = rest(S, c * NS * W)"] + [f"p_{k} = params[c, {i}]" for i, k in enumerate(scalars)]
        head += ["step, after = T(k), T(k + 1)", *entries(self.layout, "params[c, {}]".format)]
        step, watch = WideWriter(self.layout, self.printer), WideWriter(self.layout, self.printer)
        body, shown = self.passes(step, watch)

        def scratch(text: WideWriter) -> str:
            return f"A = scratch({max(1, len(text.slots))}, T)"

        blocks = [
            function(
                "inline",
                "one_step(S, Z, j, k, params, c)",
                "One step of one setting.",
                [*head, "at = j * STRIDE", scratch(step), *body],
            ),
            function("inline", "many_steps(S, Z, j, k, params, c)", "", ["one_step(S, Z, j, k, params, c)"]),
            function(
                "inline",
                "look(S, G, k, params, c)",
                "The features of setting c after k steps.",
                [*head, scratch(watch), *shown],
            ),
            function("inline", "rows_of_noise(Z)", "", ["return Z"]),
            function("inline", "rows_of_features(G)", "", ["return G"]),
        ]
        return blocks, len(body)

    # the module -----------------------------------------------------------------------------------------------------
    def program(self) -> Program:
        t = self.traced
        if t.wide:
            blocks, size = self._wide()
            unroll, group = 1, 1
        else:
            blocks, unroll, group, size = self._narrow()
        noise_type = "uint32" if self.sign else self.dtype if self.spec.shared else self.normal
        widen = self.spec.shared and self.dtype != self.normal
        draw = "silent" if not t.draws else "signs" if self.sign else "as_float64" if widen else "normals"
        constants = [f"N, UNROLL, GROUP = np.{noise_type}, {unroll}, {group}"]
        steps = "steps_grouped" if group > 1 else "steps_alone"
        used = [
            *DRAWS[draw],
            steps,
            "first_two",
            "next_two",
            "first_levels",
            "tree_sum",
            "moments",
            "alive",
            "clean",
            "run",
            *([] if t.wide else ["look_and_stop" if self.stop else "look"]),
            *(["running"] if self.stop else []),
        ]
        used += [] if any("def one_step" in b for b in blocks) else ["one_step", "many_steps"]
        functions = [b for b in drivers_of(self.driver, self.stop) if defines(b) in used]
        at = next(i for i, b in enumerate(functions) if defines(b) == "run")
        functions.insert(at, f"draw, steps = {draw}, {steps}")
        if self.stop and not t.wide:
            functions.insert(at, "look = look_and_stop")
        return self.module(constants, blocks, functions, size, noise_type)
