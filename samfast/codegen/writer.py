"""What the modules of all devices have in common: one step, as statements or as passes, and how the module is put together."""

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
from .layout import column_names, entries, lay_out, stride
from .linker import blocks_of, function, library, linked, row
from .printing import Printer
from .program import LIMIT, MODES, Program
from .wide import WideWriter

STATEMENTS = 6000  # most operations of one unrolled step; the time to compile grows with them


@dataclass(frozen=True, kw_only=True)
class ModuleSpec:
    """What a module is to compute, and how: all that a writer is told."""

    loss: Loss
    rule: Rule
    observer: Observer
    traced: Traced
    mode: str  # a key of MODES
    device: str
    lanes: int  # paths side by side
    shared: bool  # several settings share the noise
    moments: int  # powers of each feature that are summed
    per_path: frozenset[str]  # parameters that differ from path to path


@dataclass(frozen=True)
class StepText:
    """One step and one observation of one path, as statements without loops."""

    roots: list[T.Expr]  # the state after the step, a row each
    names: list[str]  # how the text calls the rows
    changed: list[int]  # rows that a step writes
    size: int  # statements whose values differ from path to path
    params: list[str]  # how the text calls the columns of the parameters
    numbers: list[str]  # the text of each random number, read from the words d
    shown: int  # number of features
    functions: list[str]  # the text of advance and observe


class ModuleWriter(ABC):
    """Writes the text of one module. Each driver has a subclass."""

    targets: ClassVar[Mapping[str, str]]  # device -> kernel file with its header
    driver = ""  # kernel file
    rounds = "last_rounds_of_two"  # the function of kernels/stream.py by which this driver runs the last rounds of Philox

    def __init__(self, spec: ModuleSpec) -> None:
        self.spec, self.traced, self.lanes = spec, spec.traced, spec.lanes
        self.dtype, self.normal = MODES[spec.mode]
        self.bits = self.dtype[-2:]
        draws = self.traced.draws
        self.stop = "stop" in self.traced.new  # whether paths may stop
        self.sign = self.traced.kind == "sign" and draws > 0
        unit, self.pack = (128, 32) if self.sign else (4, 1)
        self.stride = stride(draws, unit)
        self.calls = -(-self.stride // unit)
        self.served = unit * self.calls // self.stride if draws else 8
        self.printer = Printer()
        self.layout = lay_out(self.traced, spec.loss.dim, spec.per_path, self.pack if self.sign else 0)

    def _features(self) -> tuple[list[T.Expr], tuple[str, ...]]:
        dim = self.layout.dim
        w = symbol("w", "state", dim, self.traced.wide)
        out, labels = [], []
        for label, f, remembered in zip(self.spec.observer.labels, self.traced.features, self.traced.remembered, strict=True):
            if remembered:  # stays what it is when the path runs away later
                out += flat([f])
                labels += [f"{label}{i}" for i in range(len(f))] if isinstance(f, T.Vector) else [label]
            elif isinstance(f, T.Vector):
                out += [tainted(e, w) for e in flat([f])]
                labels += [f"{label}{i}" for i in range(dim if isinstance(f, T.Wide) else len(f))]
            else:
                out.append(tainted(f, w))
                labels.append(label)
        return out, tuple(labels)

    # unrolled programs ----------------------------------------------------------------------------------------------
    def step(self) -> StepText:
        """The functions `advance` and `observe`, whose text is the same on every device."""
        t, at, dim = self.traced, self.layout, self.layout.dim
        names = [f"{k}_{i}" for k in at.spread for i in range(dim)] + list(at.single)
        new: list[T.Expr] = []
        for k in at.spread:
            value = t.new.get(k)
            new += list(value) if value is not None else [T.var(f"{k}_{i}", "path") for i in range(dim)]
        singles = {
            **{k: e for k, e in t.new.items() if isinstance(e, T.Expr)},
            **{f"m_{i}": e for i, e in enumerate(t.new.get("m", ()))},
        }
        new += [singles[k] if singles.get(k) is not None else T.var(k, "path") for k in at.single]
        fused = fuse(new, self.dtype == "float64")
        lines, outs = self.printer.lines(fused, lambda e: e.args[0] if e.op in ("var", "sign") else None)
        changed = [i for i, (n, o) in enumerate(zip(names, outs, strict=True)) if n != o]
        size = max(1, self.printer.work)
        check(
            len(lines) <= STATEMENTS,
            f"dim={dim}: one step of rule {self.spec.rule.name!r} on loss {self.spec.loss.name!r} has "
            f"{len(lines)} "
            f"operations, more than {STATEMENTS}; write the loss with vector operations (w*w, samfast.dot, total) "
            "instead of w[i], so that it is traced as a whole",
        )
        features, self.labels = self._features()
        watched = fuse([*features, t.new["stop"]] if self.stop else features)
        seen, shown = self.printer.lines(watched, lambda e: e.args[0] if e.op in ("var", "sign") else None)
        zs, ps = [f"z{i}" for i in range(t.draws)], [*column_names(t, at), *(["P", "c"] if at.tables else [])]
        unpack = [f"{row(n)} = {of}" for n, of in ((names, "s"), (ps, "p")) if n]
        number = [f"d[{i // self.pack}] << B({i % self.pack})" if self.sign else f"d[{i}]" for i in range(t.draws)]
        time = ["step, after = T(k), T(k + 1)", *entries(at, "entry(P, c, {})".format)]
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
        return StepText(fused, names, changed, size, ps, number, len(features), functions)

    # programs of many coordinates -----------------------------------------------------------------------------------
    def passes(self, step: WideWriter, watch: WideWriter) -> tuple[list[str], list[str]]:
        """The passes over coordinates of one step and of one observation."""
        t, at = self.traced, self.layout
        wide = [
            (t.new[k].one, "X", s)
            for k, s in at.spread.items()
            if k in t.new and t.new[k].one.key != T.var(k, "state", True).key
        ]
        narrow = [(e, step.row(at.single[f"m_{i}"])) for i, e in enumerate(t.new.get("m", ()))]
        narrow += [(e, step.row(at.single[k])) for k, e in t.new.items() if isinstance(e, T.Expr) and e.key != T.var(k).key]
        body = step.write(wide, narrow, self.dtype == "float64")
        features, self.labels = self._features()
        spread, single, first = [], [], 0
        for e in features:
            if e.wide:
                spread.append((e, f"G{first}", 0))
            else:
                single.append((e, watch.feature(first)))
            first += at.dim if e.wide else 1
        if self.stop:
            single.append((t.new["stop"], watch.row(at.single["stop"])))
        return body, watch.write(spread, single, False)

    # the module -----------------------------------------------------------------------------------------------------
    def constants(self) -> list[str]:
        """The constants that every driver needs."""
        return [
            f"T = np.{self.dtype}",
            f"W, HALF, NS = {self.lanes}, {self.lanes // 2}, {self.layout.state_rows}",
            f"NF, NM = {len(self.labels)}, {self.spec.moments}",
            f"STRIDE, PACK, CALLS, ROWS = {self.stride}, {self.pack}, {self.calls}, {4 * self.calls}",
            f"SERVED, LIMIT = {self.served}, {LIMIT!r}",
            *([f"STOP = {self.layout.single['stop']}"] if self.stop else []),
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
        group: int = 1,
    ) -> Program:
        """The program: target, stream, mathematics, constants, generated functions (`blocks`), functions of the driver's file.

        size: statements of one step. noise: type of a random number in scratch. group: settings of one GPU thread.
        """
        t, spec, at = self.traced, self.spec, self.layout
        normals = [f"{name}{self.normal[-2:]}" for name in ("radius", "turned")]
        numbers = [f"bits{self.bits}", f"flip{self.bits}"] if self.sign else normals
        stream = ["rounds_of_path", "rounds_of_call", self.rounds, *(numbers if t.draws else [])]
        imports, header = blocks_of(self.targets[spec.device])
        maths = library(f"math{self.bits}", frozenset(self.printer.functions - {"sqrt", "abs"}))
        maths += library(f"whole{self.bits}", frozenset(self.printer.functions))
        names = ", ".join((spec.loss.name, spec.rule.name, spec.observer.name, spec.mode, spec.device))
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
            text=linked(parts),
            name=names,
            device=spec.device,
            mode=spec.mode,
            lanes=self.lanes,
            dim=at.dim,
            wide=t.wide,
            columns=at.columns,
            rows=at.rows,
            state_rows=at.state_rows,
            memory=spec.observer.memory,
            labels=self.labels,
            moments=spec.moments,
            calls=self.calls,
            served=self.served,
            noise_dtype=noise,
            noise_rows=4 * self.calls if t.wide else 0,
            feature_rows=len(self.labels) if t.wide else 0,
            statements=size,
            per_path=spec.per_path,
            counting=t.counting,
            group=group,
        )

    @abstractmethod
    def program(self) -> Program:
        """The program of this specification."""
