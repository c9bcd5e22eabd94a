"""Statements and functions: loops, branches, variables, what becomes part of its caller and what is called."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from . import tree as t
from .expressions import ARITHMETIC, Expressions
from .values import TYPES, Builtin, Definition, Value, dtype_of, is_variable

DEEPEST = 60  # functions inside each other


class ReturnedError(Exception):
    """An inlined function is at its end."""

    def __init__(self, value: Value) -> None:
        self.value = value


@dataclass(slots=True)
class Inlined:
    """An inlined function while its body is read; regions: loops and branches that are open in it."""

    definition: Definition
    regions: int = 0


class Maker(Expressions):
    """Makes the body of one function."""

    def call(self, f: Value, args: list[Value]) -> Value:
        if isinstance(f, Builtin):
            return self.builtin(f.name, args)
        if (dtype := dtype_of(f)) is not None:
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
            self.statements(f.body, dict(zip(f.params, args, strict=True)), Inlined(f))
        except ReturnedError as end:
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
            maker = Maker(self.program, function, f.line, inside=maker_inside)
            function.params = [(p, v) for p, v in zip(f.params, inner, strict=True) if isinstance(v, t.Ref | t.Array)]
            maker.whole(f, dict(zip(f.params, inner, strict=True)))
        function = made[key]
        ref = None if function.result is None else t.Ref(function.result, self.program.new())
        self.emit(t.Call(ref, function, tuple(passed), self.line))
        return ref

    def whole(self, f: Definition, env: dict[str, Value]) -> None:
        """The body of a function of its own."""
        self.statements(f.body, env, None)
        if self.function.result is not None and not (self.blocks[0] and isinstance(self.blocks[0][-1], t.Return)):
            self.fail(f"{f.name} has a result, and an end without one", "return at the end")

    # statements -----------------------------------------------------------------------------------------------------
    def statements(self, nodes: list[ast.stmt], env: dict[str, Value], inlined: Inlined | None) -> None:
        for node in nodes:
            if self.blocks[-1] and isinstance(self.blocks[-1][-1], t.Return):
                self.fail("statements after a return")
            self.line = node.lineno
            self.statement(node, env, inlined)

    def statement(self, node: ast.stmt, env: dict[str, Value], inlined: Inlined | None) -> None:
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

    def returned(self, node: ast.Return, env: dict[str, Value], inlined: Inlined | None) -> None:
        value = None if node.value is None else self.value(node.value, env)
        if inlined is not None:
            if inlined.regions:
                self.fail(f"{inlined.definition.name} returns out of a loop or branch", "return at its end")
            raise ReturnedError(value)
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
                env[name] = self.written(old, value) if is_variable(old) else value
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
            if not is_variable(env[name]):
                env[name] = self.variable(name, env[name])

    def variable(self, name: str, value: Value) -> Value:
        if isinstance(value, tuple):
            return tuple(self.variable(name, x) for x in value)
        if isinstance(value, t.Array | Definition | Builtin | type):
            self.fail(f"{name} is an array or function that a loop gives another value", "use another name")
        x = self.number(value)
        var = t.Var(x.type, self.program.new())
        self.function.variables.append(var)
        self.emit(t.Set(var, x))
        return var

    @contextmanager
    def region(self, inlined: Inlined | None) -> Iterator[list[t.Statement]]:
        """A loop's or a branch's body."""
        if inlined is not None:
            inlined.regions += 1
        with self.block() as body:
            yield body
        if inlined is not None:
            inlined.regions -= 1

    def loop(self, node: ast.For, env: dict[str, Value], inlined: Inlined | None) -> None:
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
        if isinstance(low, t.Const) and low.value < 0:
            self.fail(f"a loop from {low.value}", "begin at 0 or more")
        self.check("ge", low, t.Const("i64", 0), "sign")
        if step > 1:
            self.check("le", high, t.Const("i64", 2**63 - 1 - step), "wrap")
        if fixed:
            high = t.Const("i64", first + -(-(last - first) // step) * step)
        ref = t.Ref("i64", self.program.new())
        inner = {**env, name: ref}
        with self.region(inlined) as body:
            self.statements(node.body, inner, inlined)
        self.emit(t.For(ref, low, high, step, fixed, body))

    def while_(self, node: ast.While, env: dict[str, Value], inlined: Inlined | None) -> None:
        self.varying(node.body, env)
        with self.block() as head:
            test = self.truth(self.number(self.value(node.test, env)))
        with self.region(inlined) as body:
            self.statements(node.body, dict(env), inlined)
        self.emit(t.While(head, test, body))

    def branch(self, node: ast.If, env: dict[str, Value], inlined: Inlined | None) -> None:
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
