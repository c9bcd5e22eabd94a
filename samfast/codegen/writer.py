"""What the texts of all devices have in common: one step in straight lines or in passes, and the module put together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from .. import tracing as T
from ..checks import check
from ..model.loss import Loss
from ..model.observer import Observer
from ..model.rule import Rule
from .compose import Traced, flat, symbol, tainted
from .fusion import fuse
from .layout import Layout, column_names, places, stride, wide_layout
from .linker import blocks_of, function, library, linked, row
from .printing import Printer
from .program import LIMIT, MODES, Program
from .wide import WideText

STATEMENTS = 6000  # of one unrolled step, at most: compile time grows with them


@dataclass(frozen=True)
class Step:
    """One step of one path in straight lines."""

    roots: list[T.Expr]  # the new state rows
    names: list[str]  # of the state rows
    changed: list[int]  # rows that a step writes
    size: int  # statements that differ from path to path
    params: list[str]  # names of the columns
    numbers: list[str]  # how the numbers are read from the words d
    shown: int  # features
    functions: list[str]  # the text of advance and observe


class Text(ABC):
    """The text of one module; a subclass for each driver."""

    targets: ClassVar[Mapping[str, str]]  # device -> kernel file with its header
    driver = ""  # kernel file
    rounds = "tails"  # of the stream: the rounds as this driver runs them

    def __init__(
        self,
        loss: Loss,
        rule: Rule,
        observer: Observer,
        traced: Traced,
        mode: str,
        device: str,
        lanes: int,
        shared: bool,
        moments: int,
        per_path: frozenset[str],
    ) -> None:
        self.loss, self.rule, self.observer, self.traced = loss, rule, observer, traced
        self.mode, self.device, self.lanes, self.shared, self.moments = mode, device, lanes, shared, moments
        self.dtype, self.normal = MODES[mode]
        self.bits = self.dtype[-2:]
        self.sign = traced.kind == "sign" and traced.draws > 0
        unit, self.pack = (128, 32) if self.sign else (4, 1)
        self.stride = stride(traced.draws, unit)
        self.calls = -(-self.stride // unit)
        self.served = unit * self.calls // self.stride if traced.draws else 8
        self.printer = Printer()
        self.places = at = places(traced, loss.dim, per_path)
        self.spread, self.single, self.rows, self.state_rows, self.columns = (
            at.spread,
            at.single,
            at.rows,
            at.state_rows,
            at.columns,
        )

    def _features(self) -> tuple[list[T.Expr], tuple[str, ...]]:
        w = symbol("w", "state", self.loss.dim, self.traced.wide)
        out, labels = [], []
        for label, f in zip(self.observer.labels, self.traced.features, strict=True):
            if isinstance(f, T.Vector):
                out += [tainted(e, w) for e in flat([f])]
                labels += [f"{label}{i}" for i in range(self.loss.dim if isinstance(f, T.Wide) else len(f))]
            else:
                out.append(tainted(f, w))
                labels.append(label)
        return out, tuple(labels)

    # unrolled programs ----------------------------------------------------------------------------------------------
    def step(self) -> Step:
        """`advance` and `observe`: the same text on every device."""
        t, dim = self.traced, self.loss.dim
        names = [f"{k}_{i}" for k in self.spread for i in range(dim)] + list(self.single)
        new: list[T.Expr] = []
        for k in self.spread:
            value = t.new.get(k)
            new += list(value) if value is not None else [T.var(f"{k}_{i}", "path") for i in range(dim)]
        singles = {"alarm": t.new.get("alarm"), **{f"m_{i}": e for i, e in enumerate(t.new.get("m", ()))}}
        new += [singles[k] if singles.get(k) is not None else T.var(k, "path") for k in self.single]
        fused = fuse(new, self.dtype == "float64")
        lines, outs = self.printer.lines(fused, lambda e: e.args[0] if e.op in ("var", "sign") else None)
        changed = [i for i, (n, o) in enumerate(zip(names, outs, strict=True)) if n != o]
        size = max(1, self.printer.work)
        check(
            len(lines) <= STATEMENTS,
            f"dim={dim}: one step of rule {self.rule.name!r} on loss {self.loss.name!r} has "
            f"{len(lines)} "
            f"operations, more than {STATEMENTS}; write the loss with vector operations (w*w, samfast.dot, total) "
            "instead of w[i], so that it is traced as a whole",
        )
        features, self.labels = self._features()
        seen, shown = self.printer.lines(fuse(features), lambda e: e.args[0] if e.op in ("var", "sign") else None)
        zs, ps = [f"z{i}" for i in range(t.draws)], column_names(t, self.columns)
        unpack = [f"{row(n)} = {of}" for n, of in ((names, "s"), (ps, "p")) if n]
        number = [f"d[{i // self.pack}] << B({i % self.pack})" if self.sign else f"d[{i}]" for i in range(t.draws)]
        time = ["step, after = T(k), T(k + 1)"]
        functions = [
            function(
                "device",
                "advance(s, d, k, p)",
                "One step of one path.",
                [*unpack, *([f"{row(zs)} = {row(number)}"] if zs else []), *time, *lines, f"return {row(outs)}"],
            ),
            function(
                "device", "observe(s, k, p)", "What is recorded after k steps.", [*unpack, *time, *seen, f"return {row(shown)}"]
            ),
        ]
        return Step(fused, names, changed, size, ps, number, len(shown), functions)

    # programs of many coordinates -----------------------------------------------------------------------------------
    def layout(self) -> Layout:
        return wide_layout(self.traced, self.loss.dim, self.places, self.pack if self.sign else 0)

    def passes(self, step: WideText, watch: WideText) -> tuple[list[str], list[str]]:
        """The passes over coordinates of one step and of one observation."""
        t = self.traced
        wide = [
            (t.new[k].one, "X", s)
            for s, k in enumerate(self.spread)
            if k in t.new and t.new[k].one.key != T.var(k, "state", True).key
        ]
        narrow = [(e, step.row(self.single[f"m_{i}"])) for i, e in enumerate(t.new.get("m", ()))]
        if "alarm" in t.new:
            narrow.append((t.new["alarm"], step.row(self.single["alarm"])))
        body = step.render(wide, narrow, self.dtype == "float64")
        features, self.labels = self._features()
        spread, single, at = [], [], 0
        for e in features:
            if e.wide:
                spread.append((e, f"G{at}", 0))
            else:
                single.append((e, watch.feature(at)))
            at += self.loss.dim if e.wide else 1
        return body, watch.render(spread, single, False)

    # the module -----------------------------------------------------------------------------------------------------
    def constants(self) -> list[str]:
        """What every driver asks for."""
        return [
            f"T = np.{self.dtype}",
            f"W, HALF, NS = {self.lanes}, {self.lanes // 2}, {self.state_rows}",
            f"NF, NM = {len(self.labels)}, {self.moments}",
            f"STRIDE, PACK, CALLS, ROWS = {self.stride}, {self.pack}, {self.calls}, {4 * self.calls}",
            f"SERVED, LIMIT = {self.served}, {LIMIT!r}",
            "TINY = T(np.finfo(T).tiny)",
            *(
                f"{n} = T({v!r})".replace("T(inf)", "T(np.inf)").replace("T(-inf)", "T(-np.inf)").replace("T(nan)", "T(np.nan)")
                for v, n in self.printer.constants.items()
            ),
            *(
                [f"bits, flip, B = bits{self.bits}, flip{self.bits}, np.int{self.bits}"]
                if self.sign
                else [f"B, radius, turned = np.{self.normal}, radius{self.normal[-2:]}, turned{self.normal[-2:]}"]
                if self.traced.draws
                else []
            ),
        ]

    def module(
        self,
        constants: Sequence[str],
        blocks: Sequence[str],
        driver: Sequence[str],
        size: int,
        noise: str,
        per_path: frozenset[str],
        group: int = 1,
    ) -> Program:
        """Everything put together. blocks: generated functions; driver: of the driver's file; noise: type of a number."""
        t = self.traced
        normals = [f"{name}{self.normal[-2:]}" for name in ("radius", "turned")]
        numbers = [f"bits{self.bits}", f"flip{self.bits}"] if self.sign else normals
        stream = ["head", "middle", self.rounds, *(numbers if t.draws else [])]
        imports, header = blocks_of(self.targets[self.device])
        maths = library(f"math{self.bits}", frozenset(self.printer.functions - {"sqrt", "abs"}))
        names = ", ".join((self.loss.name, self.rule.name, self.observer.name, self.mode, self.device))
        roots = ["sqrt = root"] if "sqrt" in self.printer.functions else []
        parts = [
            f'"""Generated by samfast: {names}."""\n{imports}',
            *header,
            *library("stream", frozenset(stream)),
            *maths,
            *roots,
            "# --- the program\n\n" + "\n".join([*self.constants(), *constants]),
            *blocks,
            "# --- the driver",
            *driver,
        ]
        return Program(
            linked(parts),
            names,
            self.device,
            self.mode,
            self.lanes,
            self.loss.dim,
            t.wide,
            self.columns,
            self.rows,
            self.state_rows,
            self.observer.memory,
            self.labels,
            self.moments,
            self.calls,
            self.served,
            noise,
            4 * self.calls if t.wide else 0,
            len(self.labels) if t.wide else 0,
            size,
            per_path,
            group,
        )

    @abstractmethod
    def program(self, per_path: frozenset[str]) -> Program:
        """The module of this text."""
