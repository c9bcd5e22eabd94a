"""The kernel language: from the text of a program to a typed tree. docs/kernel-language.md says what the language is.

A program is read as Python would run it, but on types: names of constants, tuples and functions are known while the tree is
made, numbers and arrays when the program runs. `device` and `inline` functions become part of their caller, `outline` ones are
called. Types are Numba's where Numba's rule is one that every reader expects; everything else is refused, with the line.

Read values, arithmetic, memory, expressions, statements in this order: each adds its part to the maker of a function.
"""

from __future__ import annotations

import ast
from typing import Any, NoReturn

from . import tree as t
from .constants import evaluate
from .errors import LanguageError
from .statements import Maker
from .values import BUILTINS, TYPES, Builtin, Definition, Value, dtype_of

KINDS = ("device", "inline", "outline", "driver")  # decorators of the functions of a program
LONGEST = 500_000  # operations of a program, all functions together
HEADER = (*KINDS, "_inner", "math", "np")  # names that a target's header gives a meaning of its own


# The driver's arguments: "T" and "N" are the types that the program gives these names, "*" an axis.
ARGUMENTS = {
    "first": "i64", "start": "i64", "n": "i64", "seed": "u64", "tag": "u64", "state": "T*", "params": "T***", "shift": "f64*",
    "mask": "i1", "record": "i64*", "sums": "f64*", "count": "i64*", "bad": "i64*", "values": "T*", "S": "T*", "Z": "N*",
    "G": "T*", "stop": "i64*",
}  # fmt: skip


def typed_tree(text: str, file: str = "<program>", checked: bool = False) -> t.Function:
    """The driver `run` of a program's text; what it calls hangs on its `Call`s. Raises LanguageError."""
    try:
        return _Program(text, file, checked).driver()
    except RecursionError:
        raise LanguageError(file, 0, "expressions or functions are too deep inside each other", "give parts names") from None


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
        if self.numbers > LONGEST:
            self.fail(0, f"more than {LONGEST} operations", "unroll less")
        return self.numbers

    def driver(self) -> t.Function:
        run = self.names.get("run")
        if not isinstance(run, Definition) or run.kind != "driver" or run.params != tuple(ARGUMENTS):
            self.fail(getattr(run, "line", 0), f"there is no driver run({', '.join(ARGUMENTS)})", "such modules are Numba's")
        for name, kinds in (("T", ("f32", "f64")), ("N", ("u32", "f32", "f64"))):
            if TYPES.get(dtype_of(self.names.get(name))) not in kinds:
                self.fail(run.line, f"{name} must be one of {', '.join(kinds)}")
        if not isinstance(self.names.get("W"), int) or not 1 <= self.names["W"] <= 4096:
            self.fail(run.line, "W, the number of lanes, must be a whole number from 1 to 4096")
        values: list[Value] = []
        for kind in ARGUMENTS.values():
            axes = kind.count("*")
            base = kind.rstrip("*")
            base = TYPES[dtype_of(self.names[base])] if base in "TN" else base
            if not axes:
                values.append(t.Ref(base, self.new()))
                continue
            shape = tuple(t.Ref("i64", self.new()) for _ in range(axes))
            values.append(t.Array(base, self.new(), shape, shape[0] if axes == 1 else None))
        return self.function(run, values, "run")

    def function(self, d: Definition, values: list[Value], name: str) -> t.Function:
        """A function of its own. values: for its parameters; those that are no numbers or arrays are known inside."""
        function = t.Function(name, [(p, v) for p, v in zip(d.params, values, strict=True) if isinstance(v, t.Ref | t.Array)])
        maker = Maker(self, function)
        maker.line = d.line
        env = dict(zip(d.params, values, strict=True))
        maker.whole(d, env)
        return function


__all__ = ["ARGUMENTS", "LanguageError", "typed_tree"]
