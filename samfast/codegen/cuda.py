"""Writes programs for the CUDA drivers: state, parameters and numbers are tuples, which a thread keeps in registers."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from .. import tracing as T
from .layout import entries
from .linker import defines, drivers_of, function, row
from .program import Program
from .wide_cuda import CudaWideWriter
from .writer import ModuleWriter, StepText

STATEMENTS = 1024  # most statements of one turn of unrolled steps; it only bounds the code, since other warps hide latency
REGISTERS = 96  # 32-bit registers that the settings of one thread may fill
GROUPS = 4  # settings of one thread, at most: they share the numbers
SHORT = 40  # most statements of one step of all of these; in longer ones drawing is a small part of the work


class CudaWriter(ModuleWriter):
    """Writes programs in which each thread runs one path."""

    targets: ClassVar = {"cuda": "target_cuda", "simulator": "target_simulator", "emulator": "target_emulator"}
    driver, rounds = "cuda", "last_rounds"

    def _unroll(self, size: int) -> int:
        """Steps of one turn: a power of two that divides `served`, and for signs no more than one word serves."""
        unroll, most = 1, 32 if self.sign else 4 * self.calls
        while (
            unroll < self.served
            and 2 * unroll * size <= STATEMENTS
            and (2 * unroll * self.stride <= most or not self.traced.draws)
        ):
            unroll *= 2
        return unroll

    def _groups(self, step: StepText) -> int:
        own = (len(step.names) + len(step.params)) * (2 if self.dtype == "float64" else 1)
        group = 1
        while (
            self.spec.shared
            and self.traced.draws
            and group < GROUPS
            and 2 * group * own <= REGISTERS
            and 2 * group * step.size <= SHORT
        ):
            group *= 2
        return group

    def _numbers(self, step: StepText, unroll: int) -> list[str]:
        """The functions that draw, and that pick what a step needs from what was drawn."""
        if not self.traced.draws:
            return [
                function("device", "blank()", "", ["return ()"]),
                function("device", "draw(h, call, high, seed, keys)", "", ["return ()"]),
                function("device", "one(d, j)", "", ["return ()"]),
                function("device", "many(d, m)", "", ["return ()"]),
            ]
        names = [f"n{i}" for i in range(4 * self.calls)]
        calls = [
            f"{row(names[4 * m : 4 * m + 4])} = {'words' if self.sign else 'normals'}(h, call + u64({m}), high, seed, keys)"
            for m in range(self.calls)
        ]
        half = self.sign and self.stride < self.pack
        own, rows = (max(1, n * self.stride // self.pack) for n in (1, unroll))

        def pick(start: Callable[[int], str], count: int, choices: int, shift: str) -> list[str]:
            """The body that returns numbers q*count .. q*count + count - 1, for the first q whose start(q) holds."""
            body = []
            for i in range(count):
                text = f"d[{(choices - 1) * count + i}]"
                for q in range(choices - 2, -1, -1):
                    text = f"d[{q * count + i}] if {start(q)} else {text}"
                body.append(f"x{i} = {text}")
            made = f"bits(x{{}}{shift})" if self.sign else "T(x{})"
            return [*body, f"return {row([made.format(i) for i in range(count)])}"]

        total = 4 * self.calls
        one = pick(
            lambda q: f"j < {(q + 1) * self.pack // self.stride}" if half else f"j == {q}",
            own,
            total // own,
            f" << u32(j * {self.stride} % {self.pack})" if half else "",
        )
        return [
            function("device", "blank()", "", [f"return {row(['u32(0)' if self.sign else 'N(0)'] * total)}"]),
            function("device", "draw(h, call, high, seed, keys)", "", [*calls, f"return {row(names)}"]),
            function("device", "one(d, j)", "The numbers of step j of a draw.", one),
            function(
                "device",
                "many(d, m)",
                "The numbers of UNROLL steps from step m of a draw.",
                pick(lambda q: f"m == {q * unroll}", rows, total // rows, ""),
            ),
        ]

    def _grouped(self, step: StepText, group: int) -> list[str]:
        """The functions that act on all `group` settings of a thread, as tuples with an entry for each."""
        each = range(group)

        def at(g: int) -> str:
            return f"min(c + {g}, C - 1)" if g else "c"

        first = [f"(q * C + {at(g)}) * COLUMNS" for g in each]
        count = len(step.params) - 2 * bool(self.layout.tables)
        columns = [[f"params[{place} + {i}]" for i in range(count)] for place in first]
        if self.layout.tables:
            columns = [[*row, "params", place] for row, place in zip(columns, first, strict=True)]
        loaded = [[f"state[({at(g)} * NS + {i}) * n + x]" for i in range(len(step.names))] for g in each]
        store = [[f"state[((c + {g}) * NS + {i}) * n + x] = s[{g}][{i}]" for i in step.changed] for g in each]
        rest = "R, C, x, n, block, shift, sums, count, bad, values, keep"
        stop = step.names.index("stop") if self.stop else 0
        noted = [
            row([f"observe(s[{g}], k, p[{g}])[{step.shown}]" if i == stop else f"s[{g}][{i}]" for i in range(len(step.names))])
            for g in each
        ]
        of_stop = [
            function("device", "stopped(s)", "", [f"return {' and '.join(f's[{g}][{stop}] >= T(0)' for g in each)}"]),
            function("device", "noted(s, k, p)", "Marks the paths that are stopped by now.", [f"return {row(noted)}"]),
        ]
        seen = [f"moments(observe(s[{g}], k, p[{g}]), live, mask, k, c + {g}, r, {rest})" for g in each]
        return [
            *(of_stop if self.stop else []),
            function("device", "begin(state, c, C, n, x)", "", [f"return {row([row(x) for x in loaded])}"]),
            function("device", "settings(params, q, c, C)", "", [f"return {row([row(x) for x in columns])}"]),
            function(
                "device", "advance_all(s, d, k, p)", "", [f"return {row([f'advance(s[{g}], d, k, p[{g}])' for g in each])}"]
            ),
            function(
                "device", "unrolled_all(s, d, k, p)", "", [f"return {row([f'unrolled(s[{g}], d, k, p[{g}])' for g in each])}"]
            ),
            function(
                "device",
                "finish(state, c, C, n, x, s)",
                "",
                [
                    *(store[0] or ["pass"]),
                    *(line for g in each[1:] for line in (f"if c + {g} < C:", *("    " + x for x in store[g] or ["pass"]))),
                ],
            ),
            function(
                "device",
                "moments_of_all(s, live, mask, k, c, r, R, C, x, n, block, p, shift, sums, count, bad, values, keep)",
                "",
                [line for g in each for line in ([f"if c + {g} < C:", "    " + seen[g]] if g else [seen[g]])],
            ),
        ]

    def program(self) -> Program:
        """The module of this text."""
        return self._wide() if self.traced.wide else self._narrow()

    def _kernels(self) -> dict[str, str]:
        return {name: b for b in drivers_of("cuda", self.stop) if (name := defines(b))}

    def _wide(self) -> Program:
        step, watch = CudaWideWriter(self.layout, self.printer), CudaWideWriter(self.layout, self.printer)
        body, shown = self.passes(step, watch)
        scalars = [f"p_{k}" for k, _ in self.layout.columns if isinstance(self.traced.params.get(k), T.Expr)]
        head = [*(f"{k} = params[q + {i}]" for i, k in enumerate(scalars)), "step, after = T(k), T(k + 1)"]
        head += entries(self.layout, "params[q + {}]".format)
        if self.sign:
            head += [
                f"at, first = k % SERVED * {self.stride}, k // SERVED * CALLS",
                "have = i64(-1)",
                "d0, d1, d2, d3 = u32(0), u32(0), u32(0), u32(0)",
            ]
        blocks = [
            function(
                "device", "one_step(state, params, k, o, n, q, h, high, seed, keys)", "One step of one path.", [*head, *body]
            ),
            function("device", "look(state, params, k, o, n, q, G, g)", "What is recorded after k steps.", [*head, *shown]),
            function("device", "pick(g, f)", "", ["return g[0][g[1] + f * g[2]]"]),
        ]
        of_driver = self._kernels()
        draw = [] if not self.traced.draws else ["words"] if self.sign else ["words", "normals"]
        functions = [of_driver[name] for name in (*draw, "tree_sums", "moments")]
        noise = "uint32" if self.sign else self.normal
        constants = [f"N, GROUP, COLUMNS = np.{noise}, 1, {sum(n for _, n in self.layout.columns)}"]
        return self.module(constants, [], [*functions, *blocks, *drivers_of("cuda_wide", self.stop)], len(body), noise)

    def _narrow(self) -> Program:
        step = self.step()
        unroll, group = self._unroll(step.size), self._groups(step)
        own = max(1, self.stride // self.pack)
        half = self.sign and self.stride < self.pack
        hand = [
            row([f"d[0] << B({q * self.stride})"] if half else [f"d[{q * own + i}]" for i in range(own)])
            if self.traced.draws
            else "()"
            for q in range(unroll)
        ]
        shown = f"g[{step.shown - 1}]"
        for f in range(step.shown - 2, -1, -1):
            shown = f"g[{f}] if f == {f} else {shown}"
        table = [function("device", "entry(P, c, i)", "", ["return P[c + i]"])] if self.layout.tables else []
        blocks = [
            *table,
            *step.functions,
            function(
                "device",
                "unrolled(s, d, k, p)",
                "UNROLL steps.",
                [*[f"s = advance(s, {hand[q]}, k + {q}, p)" for q in range(unroll)], "return s"],
            ),
            function("device", "pick(g, f)", "", [f"return {shown}"]),
            *self._numbers(step, unroll),
        ]
        draw = [] if not self.traced.draws else ["words"] if self.sign else ["words", "normals"]
        of_driver = self._kernels()
        noise = "uint32" if self.sign else self.normal
        driver = [of_driver[name] for name in (*draw, "tree_sums", "moments")]
        constants = [f"N, UNROLL, GROUP, COLUMNS = np.{noise}, {unroll}, {group}, {sum(n for _, n in self.layout.columns)}"]
        at = next(i for i, b in enumerate(blocks) if defines(b) == "blank")
        blocks, after = blocks[:at], blocks[at:]
        return self.module(
            constants,
            blocks,
            [*driver, *after, *self._grouped(step, group), of_driver["run"]],
            step.size,
            noise,
            group,
        )
