"""Writes programs for one path: a plain loop over the steps, on numbers that are drawn ahead."""

from __future__ import annotations

from dataclasses import replace

from .cpu import CpuWriter, taken
from .linker import blocks_of, defines, drivers_of, function
from .program import Program

AHEAD = 64  # draws made at once: the lanes of the loops that draw


class SinglePathWriter(CpuWriter):
    """Writes programs for one path, which has no lanes of paths to fill; for programs that are not wide."""

    driver = "cpu_single"

    def program(self) -> Program:
        self.lanes = AHEAD
        step, noise_type = self.step(), "uint32" if self.sign else self.normal
        draw = "silent" if not self.traced.draws else "signs" if self.sign else "normals"
        blocks = [
            *self.entry(),
            *step.functions,
            self.values(len(step.params)),
            function("inline", "load(S, o)", "", ["return " + taken("S", "o", 1, len(step.names))]),
            function("inline", "store(S, o, s)", "", [f"put(S, o + {i}, s[{i}])" for i in step.changed] or ["pass"]),
            function("inline", "keep(F, g)", "", [f"put(F, {i}, g[{i}])" for i in range(step.shown)]),
            function("inline", "one(D, l, shift)", "", self.numbers_at(max(1, self.stride // self.pack))),
        ]
        own = [b for b in drivers_of(self.driver, self.stop) if self.stop or defines(b) != "running"]
        shared = [b for b in blocks_of("cpu")[1] if defines(b) == draw]
        functions = [own[0], *shared, f"draw = {draw}", *own[1:]]
        program = self.module([f"N = np.{noise_type}"], blocks, functions, step.size, noise_type)
        return replace(program, lanes=1)
