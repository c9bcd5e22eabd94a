"""Numbers: their types, conversions and operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from . import tree as t
from .values import TYPES, Program, Value

FOLD: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
    "udiv": lambda a, b: a // b, "urem": lambda a, b: a % b, "and": lambda a, b: a & b, "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b, "shl": lambda a, b: a << b, "shr": lambda a, b: a >> b, "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b, "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b, "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
}  # fmt: skip


@dataclass
class Numbers:
    """Makes statements of one function, one after another: those that compute with numbers."""

    program: Program
    function: t.Function
    line: int = 0
    blocks: list[list[t.Statement]] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.blocks.append(self.function.body)

    # pieces ---------------------------------------------------------------------------------------------------------
    def fail(self, what: str, remedy: str = "") -> NoReturn:
        self.program.fail(self.line, what, remedy)

    def emit(self, statement: t.Statement) -> None:
        self.blocks[-1].append(statement)

    def let(self, kind: str, type: str, *args: t.Number | t.Array | t.Var, wraps: bool = False) -> t.Ref:
        ref = t.Ref(type, self.program.new(), wraps)
        self.emit(t.Let(ref, t.Op(kind, type, args, wraps)))
        return ref

    @contextmanager
    def block(self) -> Iterator[list[t.Statement]]:
        """Statements that are made meanwhile go into a block of their own."""
        self.blocks.append([])
        try:
            yield self.blocks[-1]
        finally:
            self.blocks.pop()

    def number(self, x: Value) -> t.Number:
        """A value as a number."""
        match x:
            case t.Const() | t.Ref():
                return x
            case bool() | np.bool_():
                return t.Const("i1", bool(x))
            case int():
                if not -(2**63) <= x < 2**63:
                    self.fail(f"{x} does not fit 64 bits")
                return t.Const("i64", x)
            case float() if not isinstance(x, np.generic):
                return t.Const("f64", x)
            case np.generic() if x.dtype in TYPES:
                return t.Const(TYPES[x.dtype], x.item())
        self.fail("a number is needed here")

    def common(self, a: t.Number, b: t.Number) -> str:
        """The type in which two numbers meet."""
        x, y = a.type, b.type
        if t.is_float(x) and t.is_float(y):
            return "f64" if "f64" in (x, y) else "f32"
        if t.is_float(x) or t.is_float(y) or "i1" in (x, y):
            self.fail(f"{x} with {y}", "convert one, e.g. T(k)")
        if t.is_unsigned(x) and t.is_unsigned(y):
            return "u64"
        if "u64" in (x, y):
            self.fail(f"{x} with {y}", "convert one, e.g. u64(k)")
        return "i64"

    def cast(self, x: t.Number, type: str) -> t.Number:
        """A conversion that the text asks for."""
        if x.type == type:
            return x
        if isinstance(x, t.Const) and type != "i1":
            if t.is_float(type):
                with np.errstate(all="ignore"):
                    return t.Const(type, float(np.float32(x.value)) if type == "f32" else float(x.value))
            if t.is_float(x.type):
                self.fail(f"{x.type} to {type}", "there is no conversion of floating numbers to integers")
            bits = 8 * t.SIZES[type]
            value = int(x.value) & (1 << bits) - 1
            return t.Const(type, value - (1 << bits) if not t.is_unsigned(type) and value >> (bits - 1) else value)
        if type == "i1":
            return self.truth(x)
        if t.is_float(x.type) and not t.is_float(type):
            self.fail(f"{x.type} to {type}", "there is no conversion of floating numbers to integers")
        return self.let("cast", type, x, wraps=not t.is_float(type))

    def given(self, x: t.Number, type: str) -> t.Number:
        """A conversion that a store does by itself: to a wider type, of a truth value, or of a constant."""
        if x.type == type or isinstance(x, t.Const) or x.type == "i1" or (x.type, type) == ("f32", "f64"):
            return self.cast(x, type)
        if not t.is_float(x.type) and not t.is_float(type) and t.SIZES[x.type] <= t.SIZES[type]:
            return self.cast(x, type)
        self.fail(f"{x.type} into a place of {type}", "convert it")

    def truth(self, x: t.Number) -> t.Number:
        """Whether a number is not 0."""
        if isinstance(x, t.Const):
            return t.Const("i1", x.value != 0)
        return x if x.type == "i1" else self.let("ne", "i1", x, t.Const(x.type, 0))

    # operations -----------------------------------------------------------------------------------------------------
    def binary(self, kind: str, a: Value, b: Value) -> Value:
        plain = (int, float)
        if type(a) in plain and type(b) in plain:
            return self._folded(kind, a, b)
        x, y = self.number(a), self.number(b)
        type_ = self.common(x, y)
        if t.is_float(type_):
            if kind not in ("add", "sub", "mul", "div"):
                self.fail(f"{kind} of floating numbers")
            return self.let(kind, type_, self.cast(x, type_), self.cast(y, type_))
        if kind == "div":
            self.fail("/ of integers", "write // or convert them")
        x, y = self.cast(x, type_), self.cast(y, type_)
        if kind in ("shl", "shr"):
            bits = 8 * t.SIZES[type_]
            if isinstance(y, t.Const) and not 0 <= y.value < bits:
                self.fail(f"a shift by {y.value}", f"shift by 0 to {bits - 1}")
            y = self.checked("lt", y, self.cast(y, "u64"), t.Const("u64", bits))
        if kind in ("udiv", "urem"):
            if isinstance(b, int) and b == 1:
                return x if kind == "udiv" else 0
            if isinstance(y, t.Const) and y.value <= 0:
                self.fail(f"// or % by {y.value}", "divide by a positive number")
            self.check("ge", x, t.Const(type_, 0), "sign")
            y = self.checked("gt", y, y, t.Const(type_, 0))
        wraps = kind not in ("add", "sub", "mul") or type_ != "i64" or any(isinstance(v, t.Ref) and v.wraps for v in (x, y))
        if not wraps:
            self.check(f"{kind}fits", x, y, "wrap")
        return self.let(kind, type_, x, y, wraps=wraps and kind not in ("udiv", "urem"))

    def _folded(self, kind: str, a: Any, b: Any) -> Value:
        """An operation on two numbers of the text that have no type yet."""
        if kind in ("shl", "shr") and not 0 <= b < 64:
            self.fail(f"a shift by {b}")
        try:
            result = FOLD[kind](a, b)
        except (ArithmeticError, TypeError, ValueError) as error:
            self.fail(f"constants that cannot be combined ({error})")
        if type(result) is int and not -(2**63) <= result < 2**63:
            self.fail(f"{result} does not fit 64 bits")
        return result

    def check(self, kind: str, x: t.Number, y: t.Number, promise: str = "range") -> None:
        """In a checked build, remember a fault of this line unless x and y compare so."""
        if self.program.checked and not (isinstance(x, t.Const) and isinstance(y, t.Const)):
            self.emit(t.Fault(self.let(kind, "i1", x, y), self.line, promise))

    def checked(self, kind: str, number: t.Number, x: t.Number, y: t.Number) -> t.Number:
        """In a checked build, the number where x and y compare so; else 1, for which the processor goes on, and a fault."""
        if not self.program.checked or isinstance(number, t.Const):
            return number
        good = self.let(kind, "i1", x, y)
        self.emit(t.Fault(good, self.line, "sign"))
        return self.let("select", number.type, good, number, t.Const(number.type, 1))

    def compare(self, kind: str, a: Value, b: Value) -> Value:
        if type(a) in (int, float) and type(b) in (int, float):
            return FOLD[kind](a, b)
        x, y = self.number(a), self.number(b)
        type_ = self.common(x, y)
        return self.let(kind, "i1", self.cast(x, type_), self.cast(y, type_))

    def choose(self, test: t.Number, a: Value, b: Value) -> Value:
        """a or b; numbers of two types meet in the wider one."""
        if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
            return tuple(self.choose(test, x, y) for x, y in zip(a, b, strict=True))
        x, y = self.number(a), self.number(b)
        type_ = x.type if x.type == y.type else self.common(x, y)
        wraps = any(isinstance(v, t.Ref) and v.wraps for v in (x, y))
        return self.let("select", type_, test, self.cast(x, type_), self.cast(y, type_), wraps=wraps)
