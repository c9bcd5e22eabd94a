"""Arrays, and the functions that every target supplies."""

from __future__ import annotations

from . import tree as t
from .arithmetic import Numbers
from .values import TYPES, Value, dtype_of

LONGEST = 2**40  # bytes or elements: an index beyond is a mistake


class Memory(Numbers):
    """Statements that read and write arrays."""

    def index(self, a: t.Array, i: Value) -> t.Number:
        x = self.number(i)
        if t.is_float(x.type) or x.type == "i1":
            self.fail(f"an index of type {x.type}")
        if isinstance(x, t.Const) and not 0 <= x.value < LONGEST:
            self.fail(f"the index {x.value}", "count from 0")
        x = self.cast(x, "i64") if x.type != "u64" else x
        if self.program.checked and a.size is not None:
            self.check("lt", self.cast(x, "u64"), self.cast(a.size, "u64"))
            x = self.let("within", "i64", self.cast(x, "i64"), a.size)
        return x

    def load(self, a: t.Array, i: Value) -> t.Ref:
        return self.let("load", a.type, a, self.index(a, i))

    def store(self, a: Value, i: Value, x: Value) -> None:
        if not isinstance(a, t.Array) or len(a.shape) > 1:
            self.fail("only an element of an array can be written")
        at = self.index(a, i)
        self.emit(t.Store(a, at, self.given(self.number(x), a.type)))

    def offset(self, a: t.Array, i: Value, type: str, shape: tuple[t.Number, ...] = ()) -> t.Array:
        at, size = self.number(i), a.size
        if t.is_float(at.type) or at.type == "i1" or (isinstance(at, t.Const) and at.value < 0):
            self.fail("an array begins at an index of at least 0")
        if self.program.checked and size is not None:
            self.check("le", self.cast(at, "u64"), self.cast(size, "u64"))
            at = self.let("within", "i64", self.cast(at, "i64"), self.let("add", "i64", size, t.Const("i64", 1)))
            size = self.let("sub", "i64", size, at)
        else:
            size = None
        array = t.Array(type, self.program.new(), shape, size)
        self.emit(t.Offset(array, a, at))
        return array

    # what the target supplies ---------------------------------------------------------------------------------------
    def builtin(self, name: str, args: list[Value]) -> Value:
        counts = {"fma": 3, "scratch": 2, "rest": 2, "take": 4, "put": 3, "paired": 1, "abs": 1, "sqrt": 1}
        if counts.get(name) != len(args):
            self.fail(f"{name} with {len(args)} arguments")
        if name in ("rest", "take", "put", "paired") and not isinstance(args[0], t.Array):
            self.fail(f"{name} of what is no array")
        match name:
            case "fma":
                x, y, z = map(self.number, args)
                if not t.is_float(x.type) or any(v.type != x.type and not isinstance(v, t.Const) for v in (y, z)):
                    self.fail(f"fma of {x.type}, {y.type} and {z.type}", "give it floating numbers of one type")
                return self.let("fma", x.type, x, self.cast(y, x.type), self.cast(z, x.type))
            case "abs" | "sqrt":
                x = self.number(args[0])
                if not t.is_float(x.type):
                    self.fail(f"{name} of {x.type}", "give it a floating number")
                return self.let(name, x.type, x)
            case "scratch":
                rows, type_ = args[0], TYPES.get(dtype_of(args[1]))
                if not isinstance(rows, int) or type_ is None or rows * self.program.names["W"] > 2**22:
                    self.fail("scratch needs a constant number of rows, and a type")
                count = max(1, rows) * self.program.names["W"]
                array = t.Array(type_, self.program.new(), (), t.Const("i64", count))
                self.emit(t.Room(array, count))
                return array
            case "rest":
                return self.offset(args[0], args[1], args[0].type)
            case "take":
                a, first, step, count = args
                if not isinstance(step, int) or not isinstance(count, int) or not 0 <= count <= 2**16:
                    self.fail("take needs a constant step and count")
                flat = t.Array(a.type, a.id, (), a.size)
                return tuple(self.load(flat, self.binary("add", first, i * step)) for i in range(count))
            case "put":
                return self.store(*args)
        words = args[0]
        if words.type != "u32":
            self.fail(f"paired words of type {words.type}")
        size = words.size
        if size is not None and self.program.checked:
            size = self.let("udiv", "i64", size, t.Const("i64", 2))
        array = t.Array("u64", self.program.new(), (), size)
        self.emit(t.Offset(array, words, t.Const("i64", 0)))
        return array

    def row(self, x: t.Array, i: Value) -> t.Array:
        """x[i] of an array of several axes."""
        self.check("lt", self.cast(self.number(i), "u64"), self.cast(x.shape[0], "u64"))
        length: Value = 1
        for s in x.shape[1:]:
            length = s if isinstance(length, int) else self.binary("mul", length, s)
        inner = t.Array(x.type, x.id, x.shape[1:])
        array = self.offset(inner, self.binary("mul", i, length), x.type, x.shape[1:])
        return t.Array(array.type, array.id, array.shape, length if self.program.checked else None)
