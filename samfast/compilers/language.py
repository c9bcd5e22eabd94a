"""The kernel language: from the text of a program to a typed tree. docs/kernel-language.md says what the language is.

A program is read as Python would run it, but on types: names of constants, tuples and functions are known while the tree is
made, numbers and arrays when the program runs. `device` and `inline` functions become part of their caller, `outline` ones are
called. Types are Numba's where Numba's rule is one that every reader expects; everything else is refused, with the line.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from . import tree as t
from .constants import evaluate
from .errors import LanguageError

KINDS = ("device", "inline", "outline", "driver")  # decorators of the functions of a program
HEADER = (*KINDS, "_inner", "math", "np")  # names that a target's header gives a meaning of its own
TYPES = {np.dtype(k): v for k, v in zip("i4 u4 i8 u8 f4 f8".split(), "i32 u32 i64 u64 f32 f64".split(), strict=True)}
ARITHMETIC: dict[type, str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.FloorDiv: "udiv", ast.Mod: "urem",
    ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor", ast.LShift: "shl", ast.RShift: "shr",
}  # fmt: skip
COMPARISON: dict[type, str] = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne"}
FOLD: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
    "udiv": lambda a, b: a // b, "urem": lambda a, b: a % b, "and": lambda a, b: a & b, "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b, "shl": lambda a, b: a << b, "shr": lambda a, b: a >> b, "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b, "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b, "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
}  # fmt: skip
LONGEST = 2**40  # bytes or elements: an index beyond is a mistake
DEEPEST = 60  # functions inside each other

# The driver's arguments: "T" and "N" are the types that the program gives these names, "*" an axis.
ARGUMENTS = {
    "first": "i64", "start": "i64", "n": "i64", "seed": "u64", "tag": "u64", "state": "T*", "params": "T***", "shift": "f64*",
    "mask": "i1", "record": "i64*", "sums": "f64*", "count": "i64*", "bad": "i64*", "values": "T*", "S": "T*", "Z": "N*",
    "G": "T*", "stop": "i64*",
}  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class Definition:
    """A function of the text."""

    name: str
    kind: str
    params: tuple[str, ...]
    body: list[ast.stmt]
    line: int


@dataclass(frozen=True, slots=True)
class Builtin:
    """A function that the target supplies: a method of `_Maker`."""

    name: str


BUILTINS = {name: Builtin(name) for name in ("fma", "scratch", "rest", "take", "put", "paired", "abs", "range")}
Value = Any  # Number, Array, Var, Definition, Builtin, a NumPy type or number, an int, float or bool, or a tuple of these


def typed_tree(text: str, file: str = "<program>", checked: bool = False) -> t.Function:
    """The driver `run` of a program's text; what it calls hangs on its `Call`s. Raises LanguageError."""
    return _Program(text, file, checked).driver()


class _Program:
    """What all functions of one text share."""

    def __init__(self, text: str, file: str, checked: bool) -> None:
        self.file, self.checked = file, checked
        self.names: dict[str, Any] = dict(BUILTINS)
        self.made: dict[Any, t.Function] = {}
        self.numbers = 0
        try:
            module = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise LanguageError(file, getattr(error, "lineno", None) or 0, f"this is not Python ({error})", "") from None
        for node in module.body:
            self._define(node)

    def fail(self, line: int, what: str, remedy: str = "") -> NoReturn:
        raise LanguageError(self.file, line, what, remedy)

    def _define(self, node: ast.stmt) -> None:
        if isinstance(node, ast.FunctionDef):
            marks = [d.id for d in node.decorator_list if isinstance(d, ast.Name)]
            if len(marks) == 1 and marks[0] in KINDS:
                self._name(node.lineno, node.name, self._definition(node, marks[0]))
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id in HEADER:
                return
            value = evaluate(node.value, self.names, lambda what: self.fail(node.lineno, what))
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple):
                if not isinstance(value, tuple) or len(value) != len(target.elts):
                    self.fail(node.lineno, "as many values as names are needed")
                pairs = list(zip(target.elts, value, strict=True))
            for one, x in pairs:
                if not isinstance(one, ast.Name):
                    self.fail(node.lineno, "a module gives values to names only")
                self._name(node.lineno, one.id, x)
        elif not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr):
            self.fail(node.lineno, f"{type(node).__name__} outside a function", "write functions and constants")

    def _name(self, line: int, name: str, value: Any) -> None:
        known = self.names.get(name)
        if name in HEADER or (known is not None and known is not value and not isinstance(known, Builtin)):
            self.fail(line, f"{name} has a meaning already", "give each name one meaning")
        self.names[name] = value

    def _definition(self, node: ast.FunctionDef, kind: str) -> Definition:
        a = node.args
        if a.vararg or a.kwarg or a.kwonlyargs or a.defaults or a.posonlyargs:
            self.fail(node.lineno, f"{node.name}: parameters with defaults or stars", "write plain ones")
        body = node.body
        if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body = body[1:]
        return Definition(node.name, kind, tuple(x.arg for x in a.args), body, node.lineno)

    def new(self) -> int:
        self.numbers += 1
        return self.numbers

    def driver(self) -> t.Function:
        run = self.names.get("run")
        if not isinstance(run, Definition) or run.kind != "driver" or run.params != tuple(ARGUMENTS):
            self.fail(getattr(run, "line", 0), f"there is no driver run({', '.join(ARGUMENTS)})", "such modules are Numba's")
        for name, kinds in (("T", ("f32", "f64")), ("N", ("u32", "f32", "f64"))):
            if TYPES.get(_dtype(self.names.get(name))) not in kinds:
                self.fail(run.line, f"{name} must be one of {', '.join(kinds)}")
        if not isinstance(self.names.get("W"), int) or not 1 <= self.names["W"] <= 4096:
            self.fail(run.line, "W, the number of lanes, must be a whole number from 1 to 4096")
        values: list[Value] = []
        for kind in ARGUMENTS.values():
            axes = kind.count("*")
            base = kind.rstrip("*")
            base = TYPES[_dtype(self.names[base])] if base in "TN" else base
            if not axes:
                values.append(t.Ref(base, self.new()))
                continue
            shape = tuple(t.Ref("i64", self.new()) for _ in range(axes))
            values.append(t.Array(base, self.new(), shape, shape[0] if axes == 1 else None))
        return self.function(run, values, "run")

    def function(self, d: Definition, values: list[Value], name: str) -> t.Function:
        """A function of its own. values: for its parameters; those that are no numbers or arrays are known inside."""
        function = t.Function(name, [(p, v) for p, v in zip(d.params, values, strict=True) if isinstance(v, t.Ref | t.Array)])
        maker = _Maker(self, function)
        maker.line = d.line
        env = dict(zip(d.params, values, strict=True))
        maker.statements(d.body, env, inlined=None)
        return function


def _dtype(x: Any) -> Any:
    return np.dtype(x) if isinstance(x, type) and issubclass(x, np.generic) else None


class _ReturnedError(Exception):
    """An inlined function is at its end."""

    def __init__(self, value: Value) -> None:
        self.value = value


@dataclass(slots=True)
class _Inlined:
    """An inlined function while its body is read; regions: loops and branches that are open in it."""

    definition: Definition
    regions: int = 0


PURE = {"add", "sub", "mul", "div", "and", "or", "xor", "shl", "shr", "lt", "le", "gt", "ge", "eq", "ne", "neg", "sqrt", "abs",
        "fma", "select", "cast", "bits", "get"}  # fmt: skip


@dataclass(slots=True)
class _Maker:
    """Makes the body of one function."""

    program: _Program
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
        if not t.is_float(x.type) and not t.is_float(type) and t.SIZES[x.type] == t.SIZES[type]:
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
        if kind in ("udiv", "urem"):
            if isinstance(b, int) and b == 1:
                return x if kind == "udiv" else 0
            if isinstance(y, t.Const) and y.value <= 0:
                self.fail(f"// or % by {y.value}", "divide by a positive number")
            self.check("ge", x, t.Const(type_, 0))
            self.check("gt", y, t.Const(type_, 0))
        wraps = kind not in ("add", "sub", "mul") or type_ != "i64" or any(isinstance(v, t.Ref) and v.wraps for v in (x, y))
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

    def check(self, kind: str, x: t.Number, y: t.Number) -> None:
        """In a checked build, remember a fault of this line unless x and y compare so."""
        if self.program.checked and not (isinstance(x, t.Const) and isinstance(y, t.Const)):
            self.emit(t.Fault(self.let(kind, "i1", x, y), self.line))

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

    # arrays ---------------------------------------------------------------------------------------------------------
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
        if size is not None:
            if self.program.checked:
                self.check("le", self.cast(at, "u64"), self.cast(size, "u64"))
            size = self.let("sub", "i64", size, self.cast(at, "i64")) if self.program.checked else None
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
                rows, type_ = args[0], TYPES.get(_dtype(args[1]))
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

    # functions ------------------------------------------------------------------------------------------------------
    def call(self, f: Value, args: list[Value]) -> Value:
        if isinstance(f, Builtin):
            return self.builtin(f.name, args)
        if (dtype := _dtype(f)) is not None:
            if len(args) != 1 or dtype not in TYPES:
                self.fail("a conversion takes one number, to a type of 32 or 64 bits")
            return self.cast(self.number(args[0]), TYPES[dtype])
        if not isinstance(f, Definition):
            self.fail("what is called is no function of the program")
        if len(args) != len(f.params):
            self.fail(f"{f.name} takes {len(f.params)} arguments, not {len(args)}")
        if f.kind == "driver" or f.name in self.inside or len(self.inside) > DEEPEST:
            self.fail(f"{f.name} cannot be called here", "functions do not call themselves, nor a driver")
        return self._called(f, args) if f.kind == "outline" else self._inlined(f, args)

    def _inlined(self, f: Definition, args: list[Value]) -> Value:
        line = self.line
        self.inside.append(f.name)
        try:
            self.statements(f.body, dict(zip(f.params, args, strict=True)), _Inlined(f))
        except _ReturnedError as end:
            return end.value
        finally:
            self.inside.pop()
            self.line = line
        return None

    def _called(self, f: Definition, args: list[Value]) -> t.Ref | None:
        """A call. One function is made for each combination of types, and of what is known beforehand."""
        passed: list[Any] = []
        inner: list[Value] = []
        signature: list[Any] = [f]
        for x in args:
            if isinstance(x, t.Array):
                if len(x.shape) > 1:
                    self.fail(f"{f.name}: an array of several axes", "give it one row")
                size = t.Ref("i64", self.program.new()) if self.program.checked else None
                inner.append(t.Array(x.type, self.program.new(), (), size))
                passed.append(x)
                signature.append(("array", x.type))
            elif isinstance(x, tuple | Definition | Builtin | type):
                if isinstance(x, tuple):
                    self.fail(f"{f.name}: a tuple as argument of an outlined function", "make it inline")
                inner.append(x)
                signature.append(x)
            else:
                n = self.number(x)
                inner.append(t.Ref(n.type, self.program.new()))
                passed.append(n)
                signature.append(n.type)
        made = self.program.made
        key = tuple(signature)
        if key not in made:
            maker_inside = [*self.inside, f.name]
            made[key] = function = t.Function(f"{f.name}.{len(made)}", [])
            maker = _Maker(self.program, function, f.line, inside=maker_inside)
            function.params = [(p, v) for p, v in zip(f.params, inner, strict=True) if isinstance(v, t.Ref | t.Array)]
            maker.statements(f.body, dict(zip(f.params, inner, strict=True)), None)
        function = made[key]
        ref = None if function.result is None else t.Ref(function.result, self.program.new())
        self.emit(t.Call(ref, function, tuple(passed)))
        return ref

    # statements -----------------------------------------------------------------------------------------------------
    def statements(self, nodes: list[ast.stmt], env: dict[str, Value], inlined: _Inlined | None) -> None:
        for node in nodes:
            if self.blocks[-1] and isinstance(self.blocks[-1][-1], t.Return):
                self.fail("statements after a return")
            self.line = node.lineno
            self.statement(node, env, inlined)

    def statement(self, node: ast.stmt, env: dict[str, Value], inlined: _Inlined | None) -> None:
        match node:
            case ast.Assign():
                value = self.value(node.value, env)
                for target in node.targets:
                    self.assign(target, value, env)
            case ast.AugAssign(target=ast.Name(id=name)):
                self.assign(node.target, self._operated(node, self.read(name, env), env), env)
            case ast.AugAssign(target=ast.Subscript() as target):
                a, i = self.element(target, env)
                self.store(a, i, self._operated(node, self.load(a, i), env))
            case ast.Expr(value=ast.Call()):
                self.value(node.value, env)
            case ast.For():
                self.loop(node, env, inlined)
            case ast.While(orelse=[]):
                self.while_(node, env, inlined)
            case ast.If():
                self.branch(node, env, inlined)
            case ast.Return():
                self.returned(node, env, inlined)
            case ast.Pass():
                pass
            case _:
                self.fail(f"{type(node).__name__} is no part of the language")

    def _operated(self, node: ast.AugAssign, a: Value, env: dict[str, Value]) -> Value:
        kind = ARITHMETIC.get(type(node.op))
        if kind is None:
            self.fail(f"{type(node.op).__name__} is no part of the language")
        return self.binary(kind, a, self.value(node.value, env))

    def returned(self, node: ast.Return, env: dict[str, Value], inlined: _Inlined | None) -> None:
        value = None if node.value is None else self.value(node.value, env)
        if inlined is not None:
            if inlined.regions:
                self.fail(f"{inlined.definition.name} returns out of a loop or branch", "return at its end")
            raise _ReturnedError(value)
        number = None if value is None else self.number(value)
        kind = None if number is None else number.type
        if self.function.result not in (None, kind):
            self.fail(f"a result of type {kind} beside one of {self.function.result}", "return one type")
        self.function.result = kind
        self.emit(t.Return(number))

    def assign(self, target: ast.expr, value: Value, env: dict[str, Value]) -> None:
        match target:
            case ast.Name(id=name):
                if value is None:
                    self.fail(f"{name} = a function without a result")
                old = env.get(name)
                env[name] = self.written(old, value) if _variable(old) else value
            case ast.Tuple(elts=targets):
                if not isinstance(value, tuple) or len(value) != len(targets):
                    self.fail("as many values as names are needed")
                for one, x in zip(targets, value, strict=True):
                    self.assign(one, x, env)
            case ast.Subscript():
                self.store(*self.element(target, env), value)
            case _:
                self.fail(f"{type(target).__name__} cannot be given a value")

    def written(self, old: Value, value: Value) -> Value:
        """A variable, or a tuple of them, gets a value."""
        if isinstance(old, tuple):
            if not isinstance(value, tuple) or len(old) != len(value):
                self.fail("a tuple of another length")
            return tuple(self.written(o, v) for o, v in zip(old, value, strict=True))
        x = self.number(value)
        if x.type != old.type and not (isinstance(x, t.Const) and t.is_float(x.type) <= t.is_float(old.type)):
            self.fail(f"a variable of type {old.type} gets a value of type {x.type}", "convert it")
        self.emit(t.Set(old, self.cast(x, old.type)))
        return old

    def varying(self, nodes: list[ast.stmt], env: dict[str, Value]) -> None:
        """Names that a loop or branch gives new values, and that have one before it, become variables."""
        stored = {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        for name in sorted(stored & set(env)):
            if not _variable(env[name]):
                env[name] = self._variable(name, env[name])

    def _variable(self, name: str, value: Value) -> Value:
        if isinstance(value, tuple):
            return tuple(self._variable(name, x) for x in value)
        if isinstance(value, t.Array | Definition | Builtin | type):
            self.fail(f"{name} is an array or function that a loop gives another value", "use another name")
        x = self.number(value)
        var = t.Var(x.type, self.program.new())
        self.function.variables.append(var)
        self.emit(t.Set(var, x))
        return var

    @contextmanager
    def region(self, inlined: _Inlined | None) -> Iterator[list[t.Statement]]:
        """A loop's or a branch's body."""
        if inlined is not None:
            inlined.regions += 1
        with self.block() as body:
            yield body
        if inlined is not None:
            inlined.regions -= 1

    def loop(self, node: ast.For, env: dict[str, Value], inlined: _Inlined | None) -> None:
        call = node.iter
        if not (
            isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range" and not call.keywords
        ):
            self.fail("a loop runs over range(...)")
        if not isinstance(node.target, ast.Name) or node.orelse or not 1 <= len(call.args) <= 3:
            self.fail("a loop is for i in range(first, last, step)")
        name, bounds = node.target.id, [self.value(a, env) for a in call.args]
        first, last, step = (0, bounds[0], 1) if len(bounds) == 1 else (*bounds, 1) if len(bounds) == 2 else bounds
        if not isinstance(step, int) or step < 1:
            self.fail("a loop's step is a positive constant")
        fixed = isinstance(first, int) and isinstance(last, int)
        if fixed and first >= last:
            return
        if fixed and inlined is not None and inlined.definition.kind == "device":
            if last - first > 64 * step:
                self.fail(f"a loop of {last - first} rounds in a device function", "make it inline")
            for i in range(first, last, step):
                env[name] = i
                self.statements(node.body, env, inlined)
            return
        self.varying(node.body, env)
        low, high = (self.given(self.number(x), "i64") for x in (first, last))
        if fixed:
            high = t.Const("i64", first + -(-(last - first) // step) * step)
        ref = t.Ref("i64", self.program.new())
        inner = {**env, name: ref}
        with self.region(inlined) as body:
            self.statements(node.body, inner, inlined)
        self.emit(t.For(ref, low, high, step, fixed, body))

    def while_(self, node: ast.While, env: dict[str, Value], inlined: _Inlined | None) -> None:
        self.varying(node.body, env)
        with self.block() as head:
            test = self.truth(self.number(self.value(node.test, env)))
        with self.region(inlined) as body:
            self.statements(node.body, dict(env), inlined)
        self.emit(t.While(head, test, body))

    def branch(self, node: ast.If, env: dict[str, Value], inlined: _Inlined | None) -> None:
        test = self.value(node.test, env)
        if isinstance(test, bool | int | float):
            self.statements(node.body if test else node.orelse, env, inlined)
            return
        condition = self.truth(self.number(test))
        self.varying([*node.body, *node.orelse], env)
        with self.region(inlined) as yes:
            self.statements(node.body, dict(env), inlined)
        with self.region(inlined) as no:
            self.statements(node.orelse, dict(env), inlined)
        self.emit(t.If(condition, yes, no))

    # values ---------------------------------------------------------------------------------------------------------
    def read(self, name: str, env: dict[str, Value]) -> Value:
        if name in env:
            return self._got(env[name])
        if name in self.program.names:
            return self.program.names[name]
        self.fail(f"{name} has no value here", "a name that a loop or branch gives its first value ends with it")

    def _got(self, x: Value) -> Value:
        if isinstance(x, t.Var):
            return self.let("get", x.type, x)
        return tuple(map(self._got, x)) if isinstance(x, tuple) else x

    def value(self, node: ast.expr, env: dict[str, Value]) -> Value:
        match node:
            case ast.Name(id=name):
                return self.read(name, env)
            case ast.Constant(value=bool() | int() | float() as x):
                return x
            case ast.Tuple(elts=parts):
                return tuple(self.value(x, env) for x in parts)
            case ast.BinOp():
                kind = ARITHMETIC.get(type(node.op))
                if kind is None:
                    self.fail(f"{type(node.op).__name__} is no part of the language")
                return self.binary(kind, self.value(node.left, env), self.value(node.right, env))
            case ast.UnaryOp(op=ast.USub()):
                return self.negative(self.value(node.operand, env))
            case ast.UnaryOp(op=ast.Not()):
                x = self.value(node.operand, env)
                return not x if isinstance(x, bool) else self.let("eq", "i1", self.truth(self.number(x)), t.Const("i1", False))
            case ast.Compare(ops=[op]) if type(op) in COMPARISON:
                a, b = self.value(node.left, env), self.value(node.comparators[0], env)
                return self.compare(COMPARISON[type(op)], a, b)
            case ast.IfExp():
                return self.conditional(node.test, node.body, node.orelse, env)
            case ast.BoolOp():
                return self.logical(node, env)
            case ast.Call():
                return self.called(node, env)
            case ast.Subscript():
                return self.subscript(node, env)
            case ast.Attribute():
                return self.attribute(node, env)
        self.fail(f"{type(node).__name__} is no part of the language")

    def negative(self, x: Value) -> Value:
        if isinstance(x, int | float) and not isinstance(x, np.generic | bool):
            return -x
        n = self.number(x)
        return self.let("neg", n.type, n) if t.is_float(n.type) else self.binary("sub", 0, n)

    def conditional(self, test: ast.expr, yes: ast.expr, no: ast.expr, env: dict[str, Value]) -> Value:
        """a if c else b: a choice where both can be computed at no risk, else a branch."""
        c = self.value(test, env)
        if isinstance(c, bool | int | float):
            return self.value(yes if c else no, env)
        condition = self.truth(self.number(c))
        with self.block() as first:
            a = self.value(yes, env)
        with self.block() as second:
            b = self.value(no, env)
        if all(isinstance(s, t.Let) and s.op.kind in PURE for s in (*first, *second)):
            for s in (*first, *second):
                self.emit(s)
            return self.choose(condition, a, b)
        x, y = self.number(a), self.number(b)
        if x.type != y.type:
            self.fail(f"{x.type} or {y.type}, depending on a condition", "convert one")
        var = t.Var(x.type, self.program.new())
        self.function.variables.append(var)
        self.emit(t.If(condition, [*first, t.Set(var, x)], [*second, t.Set(var, y)]))
        return self._got(var)

    def logical(self, node: ast.BoolOp, env: dict[str, Value]) -> Value:
        """and, or: as in Python, what stands behind is evaluated only if it is needed."""
        both = isinstance(node.op, ast.And)
        first, *others = node.values
        rest = others[0] if len(others) == 1 else ast.BoolOp(node.op, others)
        ast.copy_location(rest, node)
        a = self.value(first, env)
        if isinstance(a, bool):
            return self.value(rest, env) if a == both else a
        x = self.truth(self.number(a))
        with self.block() as second:
            b = self.value(rest, env)
            y = self.truth(self.number(b))
        if all(isinstance(s, t.Let) and s.op.kind in PURE for s in second):
            for s in second:
                self.emit(s)
            return self.let("and" if both else "or", "i1", x, y)
        var = t.Var("i1", self.program.new())
        self.function.variables.append(var)
        self.emit(t.Set(var, x))
        second.append(t.Set(var, y))
        self.emit(t.If(x, second, []) if both else t.If(x, [], second))
        return self._got(var)

    def attribute(self, node: ast.Attribute, env: dict[str, Value]) -> Value:
        if isinstance(node.value, ast.Name) and node.value.id not in env:
            owner = node.value.id
            if owner == "np" and (found := getattr(np, node.attr, None)) is not None and _dtype(found) in TYPES:
                return found
            if owner == "math" and node.attr == "sqrt":
                return Builtin("sqrt")
        x = self.value(node.value, env) if isinstance(node.value, ast.Name) else None
        if isinstance(x, t.Array) and x.shape and node.attr == "shape":
            return x.shape
        if isinstance(x, t.Array) and len(x.shape) == 1 and node.attr == "size":
            return x.shape[0]
        self.fail(f".{node.attr} is no part of the language here")

    def called(self, node: ast.Call, env: dict[str, Value]) -> Value:
        if node.keywords:
            self.fail("arguments by name", "give them by their places")
        if isinstance(node.func, ast.Attribute) and node.func.attr == "view":
            return self.view(node, env)
        f = self.value(node.func, env)
        args: list[Value] = []
        for a in node.args:
            if isinstance(a, ast.Starred):
                several = self.value(a.value, env)
                args += several if isinstance(several, tuple) else self.fail("a star before what is no tuple")
            else:
                args.append(self.value(a, env))
        return self.call(f, args)

    def view(self, node: ast.Call, env: dict[str, Value]) -> Value:
        assert isinstance(node.func, ast.Attribute)
        if len(node.args) != 1:
            self.fail("view takes one type")
        x, to = self.number(self.value(node.func.value, env)), TYPES.get(_dtype(self.value(node.args[0], env)))
        if to is None or x.type == "i1" or t.SIZES[to] != t.SIZES[x.type]:
            self.fail(f"{x.type} viewed as {to}", "view a number as a type of the same size")
        return self.let("bits", to, x, wraps=True)

    def subscript(self, node: ast.Subscript, env: dict[str, Value]) -> Value:
        x = self.value(node.value, env)
        if isinstance(x, tuple):
            return self.item(x, node.slice, env)
        if not isinstance(x, t.Array):
            self.fail("an element of what is neither array nor tuple")
        match node.slice:
            case ast.Slice(lower=lower, upper=None, step=None) if lower is not None and len(x.shape) < 2:
                return self.offset(x, self.value(lower, env), x.type)
            case ast.Slice():
                self.fail("a slice is a[first:], of an array of one axis")
            case ast.Tuple():
                return self.load(*self.element(node, env))
        i = self.value(node.slice, env)
        if len(x.shape) > 1:
            return self.row(x, i)
        return self.load(x, i)

    def row(self, x: t.Array, i: Value) -> t.Array:
        """x[i] of an array of several axes."""
        self.check("lt", self.cast(self.number(i), "u64"), self.cast(x.shape[0], "u64"))
        length: Value = 1
        for s in x.shape[1:]:
            length = s if isinstance(length, int) else self.binary("mul", length, s)
        inner = t.Array(x.type, x.id, x.shape[1:])
        array = self.offset(inner, self.binary("mul", i, length), x.type, x.shape[1:])
        return t.Array(array.type, array.id, array.shape, length if self.program.checked else None)

    def element(self, node: ast.Subscript, env: dict[str, Value]) -> tuple[t.Array, Value]:
        """(array, index) of a[i] or a[i, j]."""
        a = self.value(node.value, env)
        if not isinstance(a, t.Array):
            self.fail("an element of what is no array")
        if not isinstance(node.slice, ast.Tuple):
            return a, self.value(node.slice, env)
        places = [self.value(x, env) for x in node.slice.elts]
        if len(places) != 2 or len(a.shape) != 2:
            self.fail(f"{len(places)} places in an array of {len(a.shape)} axes")
        self.check("lt", self.cast(self.number(places[1]), "u64"), self.cast(a.shape[1], "u64"))
        return t.Array(a.type, a.id, (), a.size), self.binary("add", self.binary("mul", places[0], a.shape[1]), places[1])

    def item(self, x: tuple[Value, ...], node: ast.expr, env: dict[str, Value]) -> Value:
        if isinstance(node, ast.Slice) and node.step is None and node.upper is None and node.lower is not None:
            first = self.value(node.lower, env)
            if isinstance(first, int) and 0 <= first <= len(x):
                return x[first:]
            self.fail("a tuple is cut at a constant")
        i = self.value(node, env)
        if not isinstance(i, int) or not 0 <= i < len(x):
            self.fail(f"an item of a tuple of {len(x)}", "its place is a constant, from 0")
        return x[i]


def _variable(x: Value) -> bool:
    return isinstance(x, t.Var) or (isinstance(x, tuple) and any(map(_variable, x)))


__all__ = ["ARGUMENTS", "LanguageError", "typed_tree"]
