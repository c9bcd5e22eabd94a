"""Expressions: from Python's syntax to numbers, arrays and tuples."""

from __future__ import annotations

import ast
from collections.abc import Callable

import numpy as np

from . import tree as t
from .memory import Memory
from .values import TYPES, Builtin, Value, dtype_of

ARITHMETIC: dict[type, str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.FloorDiv: "udiv", ast.Mod: "urem",
    ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor", ast.LShift: "shl", ast.RShift: "shr",
}  # fmt: skip
COMPARISON: dict[type, str] = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne"}
PURE = {"add", "sub", "mul", "div", "and", "or", "xor", "shl", "shr", "lt", "le", "gt", "ge", "eq", "ne", "neg", "sqrt", "abs",
        "fma", "select", "cast", "bits", "get"}  # fmt: skip


class Expressions(Memory):
    """Statements that expressions need, and their values."""

    call: Callable[[Value, list[Value]], Value]  # the result of a function, see `statements`

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
        type_ = x.type if x.type == y.type else self.common(x, y)
        with self.block() as more:
            x = self.cast(x, type_)
        with self.block() as still_more:
            y = self.cast(y, type_)
        var = t.Var(x.type, self.program.new())
        self.function.variables.append(var)
        self.emit(t.If(condition, [*first, *more, t.Set(var, x)], [*second, *still_more, t.Set(var, y)]))
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
            if owner == "np" and (found := getattr(np, node.attr, None)) is not None and dtype_of(found) in TYPES:
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
        x, to = self.number(self.value(node.func.value, env)), TYPES.get(dtype_of(self.value(node.args[0], env)))
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
