"""Constants of a module's text, evaluated without running it: numbers, NumPy's types, tuples, and functions by their names."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np

TYPES = ("int32", "uint32", "int64", "uint64", "float32", "float64")
LIMITS = ("tiny", "max", "eps")  # of np.finfo


def evaluate(node: ast.expr, names: Mapping[str, Any], fail: Callable[[str], NoReturn]) -> Any:
    """The value of an expression. fail(what) is called for anything that is not listed here."""

    def value(node: ast.expr, names: Mapping[str, Any]) -> Any:
        match node:
            case ast.Constant(value=bool() | int() | float() as x):
                return x
            case ast.Name(id=name) if name in names:
                return names[name]
            case ast.Tuple(elts=parts):
                return tuple(value(x, names) for x in parts)
            case ast.GeneratorExp(elt=one, generators=[ast.comprehension(target=ast.Name(id=name), iter=source, ifs=[])]):
                several = value(source, names)
                return tuple(value(one, {**names, name: x}) for x in several) if isinstance(several, tuple) else fail("a loop")
            case ast.UnaryOp(op=ast.USub(), operand=x):
                return combined(lambda a: -a, value(x, names))
            case ast.BinOp(left=a, op=op, right=b) if type(op) in OPERATIONS:
                return combined(OPERATIONS[type(op)], value(a, names), value(b, names))
            case ast.Attribute(value=ast.Name(id="np"), attr=name) if name in (*TYPES, "inf", "nan"):
                return getattr(np, name)
            case ast.Attribute(value=ast.Call(func=ast.Attribute(value=ast.Name(id="np"), attr="finfo"), args=[x]), attr=name):
                dtype = value(x, names)
                return (
                    getattr(np.finfo(dtype), name) if dtype in (np.float32, np.float64) and name in LIMITS else fail("a limit")
                )
            case ast.Call(func=f, args=[x], keywords=[]):
                return converted(value(f, names), value(x, names))
        return fail(f"{type(node).__name__} among the constants")

    def combined(operation: Callable[..., Any], *numbers: Any) -> Any:
        if not all(isinstance(x, int | float | np.generic) for x in numbers):
            fail("an operation on what are no numbers")
        try:
            with np.errstate(all="ignore"):
                return operation(*numbers)
        except (ArithmeticError, ValueError, TypeError) as error:
            return fail(str(error))

    def converted(f: Any, x: Any) -> Any:
        if not (isinstance(f, type) and issubclass(f, np.generic)) or not isinstance(x, int | float | np.generic):
            fail("a call of what is no type")
        return combined(f, x)

    return value(node, names)


def _power(a: Any, b: Any) -> Any:
    if abs(b) > 1100 or abs(a) > 2**64:
        raise ValueError("a power beyond all floating numbers")
    return a**b


OPERATIONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Pow: _power,
}
