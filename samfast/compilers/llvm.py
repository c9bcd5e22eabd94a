"""From the typed tree to LLVM's text: one module with an entry for callers that have pointers.

Loops and branches become basic blocks, variables memory that LLVM turns into registers. Of what the language promises (see
docs/kernel-language.md) the text says: integers that count do not wrap (nsw), arrays of a call are distinct (noalias).
A checked build promises nothing, and looks.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from . import overlap
from . import tree as t

LLVM = {"i1": "i1", "i32": "i32", "u32": "i32", "i64": "i64", "u64": "i64", "f32": "float", "f64": "double"}
FLOAT = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
INTEGER = {k: k for k in ("add", "sub", "mul", "udiv", "urem", "and", "or", "xor", "shl")}
ORDERED = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}
INTRINSICS = {"fma": "fma", "sqrt": "sqrt", "abs": "fabs"}
LINE = 64  # bytes of a cache line, to which arrays on the stack are aligned
FAULT = (
    "%fault"  # where a checked build writes the first line at which something did not hold; then the byte to fill memory with
)
PAIR = "{i64, i1}"  # what LLVM's arithmetic with a test of overflow gives


def llvm_text(run: t.Function, checked: bool = False) -> str:
    """The module of a driver; `run(i64*)` takes one array of words: numbers, addresses and lengths in the driver's order."""
    functions: dict[str, t.Function] = {}
    _collect(run, functions)
    declared: dict[str, str] = {}
    bodies = [_Printer(declared, checked).function(f) for f in functions.values()]
    return "\n".join([*bodies, _entry(run, checked), *declared.values(), "attributes #0 = { nounwind noinline }"]) + "\n"


def _collect(f: t.Function, found: dict[str, t.Function]) -> None:
    """Every function, callees first."""

    def visit(body: Sequence[t.Statement]) -> None:
        for s in body:
            match s:
                case t.Call(function=g) if g.name not in found:
                    _collect(g, found)
                case t.For(body=inner):
                    visit(inner)
                case t.While(head=head, body=inner):
                    visit([*head, *inner])
                case t.If(yes=yes, no=no):
                    visit([*yes, *no])

    visit(f.body)
    found[f.name] = f


def _literal(c: t.Const) -> str:
    if t.is_float(c.type):
        return f"0x{struct.unpack('<Q', struct.pack('<d', float(c.value)))[0]:016X}"
    if c.type == "i1":
        return "true" if c.value else "false"
    return str(int(c.value))


def _name(x: t.Number | t.Array | t.Var) -> str:
    if isinstance(x, t.Const):
        return _literal(x)
    return f"%{'v' if isinstance(x, t.Ref) else 'a' if isinstance(x, t.Array) else 'm'}{x.id}"


def _sizes(x: t.Number | t.Array) -> tuple[t.Number, ...]:
    """The lengths that are passed with an array: of its axes, or of all of it in a checked build."""
    if not isinstance(x, t.Array):
        return ()
    return x.shape or (() if x.size is None else (x.size,))


def _typed(x: t.Number | t.Array) -> str:
    return f"ptr {_name(x)}" if isinstance(x, t.Array) else f"{LLVM[x.type]} {_name(x)}"


def _entry(run: t.Function, checked: bool) -> str:
    """The function that is called from outside. A word of 64 bits holds any argument; a checked build has one more, of 0."""
    lines, given, at = ["define i64 @entry(ptr %words) #0 {"], [], 0

    def word(kind: str, name: str) -> str:
        nonlocal at
        lines.append(f"  {name}.p = getelementptr inbounds i64, ptr %words, i64 {at}")
        lines.append(f"  {name} = load {kind}, ptr {name}.p, align 8")
        at += 1
        return f"{kind} {name}"

    for _, x in run.params:
        if isinstance(x, t.Array):
            given.append(word("ptr", _name(x)))
            given += [word("i64", _name(s)) for s in _sizes(x)]
        elif x.type == "i1":
            word("i64", f"{_name(x)}.w")
            lines.append(f"  {_name(x)} = icmp ne i64 {_name(x)}.w, 0")
            given.append(f"i1 {_name(x)}")
        else:
            given.append(word("i64", _name(x)))
    if checked:
        lines.append(f"  {FAULT} = getelementptr inbounds i64, ptr %words, i64 {at}")
        given.insert(0, f"ptr {FAULT}")
    lines.append(f"  %done = call i64 @{run.name}({', '.join(given)})")
    if checked:  # a fault is told as -1 - its code: a driver returns no negative number
        lines += [
            f"  %line = load i64, ptr {FAULT}",
            "  %told = sub i64 -1, %line",
            "  %good = icmp eq i64 %line, 0",
            "  %answer = select i1 %good, i64 %done, i64 %told",
            "  ret i64 %answer",
        ]
    else:
        lines.append("  ret i64 %done")
    return "\n".join([*lines, "}"])


@dataclass
class _Printer:
    """The text of one function."""

    declared: dict[str, str]  # of intrinsics, by name
    checked: bool
    lines: list[str] = field(default_factory=list)
    rooms: list[str] = field(default_factory=list)  # memory, which belongs at the entry
    at: str = "start"  # the basic block that is open
    ended: bool = False  # whether it has its last instruction
    labels: int = 0
    touched: dict[int, str] = field(default_factory=dict)  # by array: where a checked build notes which part was used

    def function(self, f: t.Function) -> str:
        head = [f"ptr {FAULT}"] if self.checked else []
        for _, x in f.params:
            distinct = isinstance(x, t.Array) and not self.checked
            head.append(f"ptr noalias {_name(x)}" if distinct else _typed(x))
            head += [f"i64 {_name(s)}" for s in _sizes(x)]
            if self.checked and isinstance(x, t.Array) and f.name != "run":  # the driver's arrays are compared by their caller
                self.touched[x.id] = f"%t{x.id}"
                head.append(f"ptr {self.touched[x.id]}")
        for v in f.variables:
            self.rooms.append(f"  {_name(v)} = alloca {LLVM[v.type]}, align {t.SIZES[v.type]}")
        self.statements(f.body)
        if not self.ended:
            self.out("unreachable" if f.result else "ret void")
        result = LLVM[f.result] if f.result else "void"
        start = f"define internal {result} @{f.name}({', '.join(head)}) #0 {{"
        return "\n".join([start, "entry:", *self.rooms, "  br label %start", "start:", *self.lines, "}"])

    def out(self, line: str) -> None:
        self.lines.append("  " + line)

    def label(self, what: str) -> str:
        self.labels += 1
        return f"{what}{self.labels}"

    def begin(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.at, self.ended = label, False

    def jump(self, line: str) -> None:
        if not self.ended:
            self.out(f"br {line}")
            self.ended = True

    def fresh(self) -> str:
        return f"%{self.label('x')}"

    # statements -----------------------------------------------------------------------------------------------------
    def statements(self, body: Sequence[t.Statement]) -> None:
        for s in body:
            self.statement(s)

    def statement(self, s: t.Statement) -> None:
        match s:
            case t.Let(ref=ref, op=op):
                self.out(f"{_name(ref)} = {self.operation(op)}")
            case t.Room(array=room, count=n):
                self.rooms.append(f"  {_name(room)} = alloca [{n} x {LLVM[room.type]}], align {LINE}")
                if self.checked:
                    self.rooms += overlap.filled(_name(room), n * t.SIZES[room.type], FAULT, self.declared)
            case t.Offset(array=part, of=of, index=i):
                self.out(f"{_name(part)} = getelementptr inbounds {LLVM[of.type]}, ptr {_name(of)}, i64 {_name(i)}")
                if of.id in self.touched:
                    self.touched[part.id] = self.touched[of.id]
            case t.Store(array=into, index=i, value=x):
                place = self.place(into, i)
                self.touch(into, place, True)
                self.out(f"store {_typed(x)}, ptr {place}, align {t.SIZES[into.type]}")
            case t.Set(var=v, value=x):
                self.out(f"store {_typed(x)}, ptr {_name(v)}, align {t.SIZES[v.type]}")
            case t.For():
                self.loop(s)
            case t.While():
                self.while_(s)
            case t.If():
                self.branch(s)
            case t.Call():
                self.call(s)
            case t.Return(value=result):
                self.out("ret void" if result is None else f"ret {_typed(result)}")
                self.ended = True
            case t.Fault(holds=x, line=line, promise=promise):
                self.fault(_name(x), line, promise)

    def call(self, s: t.Call) -> None:
        given = [f"ptr {FAULT}"] if self.checked else []
        used: list[tuple[str, t.Array]] = []
        for (_, p), a in zip(s.function.params, s.args, strict=True):
            given.append(_typed(a))
            if isinstance(p, t.Array) and p.size is not None and isinstance(a, t.Array):  # a checked build
                used.append((overlap.begin(self), a))
                given += [f"i64 {_name(a.size or t.Const('i64', 0))}", f"ptr {used[-1][0]}"]
        result = s.function.result
        call = f"call {LLVM[result] if result else 'void'} @{s.function.name}({', '.join(given)})"
        self.out(call if s.ref is None else f"{_name(s.ref)} = {call}")
        overlap.end(self, [note for note, _ in used], s.line)
        for note, a in used:
            if a.id in self.touched:
                overlap.add(self, self.touched[a.id], note)

    def touch(self, a: t.Array, place: str, written: bool) -> None:
        if a.id in self.touched:
            overlap.touch(self, self.touched[a.id], place, t.SIZES[a.type], written)

    def fault(self, holds: str, line: int, promise: str) -> None:
        code = line * len(t.PROMISES) + list(t.PROMISES).index(promise)
        old, first, new, kept = (self.fresh() for _ in range(4))
        self.out(f"{old} = load i64, ptr {FAULT}")
        self.out(f"{first} = icmp eq i64 {old}, 0")
        self.out(f"{new} = select i1 {first}, i64 {code}, i64 {old}")
        self.out(f"{kept} = select i1 {holds}, i64 {old}, i64 {new}")
        self.out(f"store i64 {kept}, ptr {FAULT}")

    def loop(self, s: t.For) -> None:
        body, following, after = self.label("body"), self.label("next"), self.label("after")
        if not s.fixed:
            some = self.fresh()
            self.out(f"{some} = icmp slt i64 {_name(s.first)}, {_name(s.last)}")
        before = self.at
        self.jump(f"label %{body}" if s.fixed else f"i1 {some}, label %{body}, label %{after}")
        self.begin(body)
        n, on, more = _name(s.ref), self.fresh(), self.fresh()
        self.out(f"{n} = phi i64 [ {_name(s.first)}, %{before} ], [ {on}, %{following} ]")
        self.statements(s.body)
        self.jump(f"label %{following}")
        self.begin(following)
        self.out(f"{on} = add {'' if self.checked else 'nuw nsw '}i64 {n}, {s.step}")
        self.out(f"{more} = icmp {'ne' if s.fixed else 'slt'} i64 {on}, {_name(s.last)}")
        self.jump(f"i1 {more}, label %{body}, label %{after}")
        self.begin(after)

    def while_(self, s: t.While) -> None:
        test, body, after = self.label("test"), self.label("body"), self.label("after")
        self.jump(f"label %{test}")
        self.begin(test)
        self.statements(s.head)
        self.jump(f"i1 {_name(s.test)}, label %{body}, label %{after}")
        self.begin(body)
        self.statements(s.body)
        self.jump(f"label %{test}")
        self.begin(after)

    def branch(self, s: t.If) -> None:
        yes, no, after = self.label("yes"), self.label("no"), self.label("after")
        self.jump(f"i1 {_name(s.test)}, label %{yes}, label %{no if s.no else after}")
        for label, part in ((yes, s.yes), (no, s.no)):
            if part or label == yes:
                self.begin(label)
                self.statements(part)
                self.jump(f"label %{after}")
        self.begin(after)

    # operations -----------------------------------------------------------------------------------------------------
    def place(self, a: t.Array, i: t.Number) -> str:
        if isinstance(i, t.Const) and i.value == 0:
            return _name(a)
        place = self.fresh()
        self.out(f"{place} = getelementptr inbounds {LLVM[a.type]}, ptr {_name(a)}, i64 {_name(i)}")
        return place

    def operation(self, op: t.Op) -> str:
        kind, to = op.kind, LLVM[op.type]
        if kind == "load":
            a, i = op.args
            assert isinstance(a, t.Array) and not isinstance(i, t.Array | t.Var)
            place = self.place(a, i)
            self.touch(a, place, False)
            return f"load {to}, ptr {place}, align {t.SIZES[a.type]}"
        if kind == "get":
            return f"load {to}, ptr {_name(op.args[0])}, align {t.SIZES[op.type]}"
        args = [x for x in op.args if isinstance(x, t.Const | t.Ref)]
        names = ", ".join(map(_name, args))
        x = args[0]
        if kind in INTRINSICS:
            name = f"llvm.{INTRINSICS[kind]}.{op.type}"
            self.declared[name] = f"declare {to} @{name}({', '.join([to] * len(args))})"
            return f"call {to} @{name}({', '.join(map(_typed, args))})"
        if kind in ORDERED:
            if t.is_float(x.type):
                return f"fcmp {ORDERED[kind]} {LLVM[x.type]} {names}"
            prefix = "" if kind in ("eq", "ne") else "u" if t.is_unsigned(x.type) or x.type == "i1" else "s"
            return f"icmp {prefix}{kind} {LLVM[x.type]} {names}"
        match kind:
            case "select":
                return "select " + ", ".join(map(_typed, args))
            case "neg":
                return f"fneg {to} {names}"
            case "cast":
                return self.cast(x, op.type)
            case "bits":
                return f"bitcast {LLVM[x.type]} {names} to {to}"
            case "within":
                inside = self.fresh()
                self.out(f"{inside} = icmp ult i64 {names}")
                return f"select i1 {inside}, i64 {_name(x)}, i64 0"
            case "addfits" | "subfits" | "mulfits":
                name = f"llvm.s{kind[:3]}.with.overflow.i64"
                self.declared[name] = f"declare {PAIR} @{name}(i64, i64)"
                both, over = self.fresh(), self.fresh()
                self.out(f"{both} = call {PAIR} @{name}({', '.join(map(_typed, args))})")
                self.out(f"{over} = extractvalue {PAIR} {both}, 1")
                return f"xor i1 {over}, true"
            case "shr":
                return f"{'lshr' if t.is_unsigned(op.type) else 'ashr'} {to} {names}"
        if t.is_float(op.type):
            return f"{FLOAT[kind]} {to} {names}"
        counts = kind in ("add", "sub", "mul") and op.type == "i64" and not op.wraps and not self.checked
        return f"{INTEGER[kind]}{' nsw' if counts else ''} {to} {names}"

    def cast(self, x: t.Number, type: str) -> str:
        source, to, smaller = LLVM[x.type], LLVM[type], t.SIZES[type] < t.SIZES[x.type]
        if source == to:
            return f"bitcast {source} {_name(x)} to {to}"
        if t.is_float(type):
            if t.is_float(x.type):
                word = "fptrunc" if smaller else "fpext"
            else:
                word = "uitofp" if t.is_unsigned(x.type) or x.type == "i1" else "sitofp"
        else:
            word = "trunc" if smaller else "zext" if t.is_unsigned(x.type) or x.type == "i1" else "sext"
        return f"{word} {source} {_name(x)} to {to}"
