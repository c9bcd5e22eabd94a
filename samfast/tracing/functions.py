"""The functions a traced loss or rule may call. Each also works on NumPy, CuPy and JAX arrays (coordinates first)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .dispatch import FUNCTIONS, QUESTIONS, UFUNCS, TraceError
from .expr import Expr, add, divide, lift, multiply, power, reduce_sum, subtract, unary
from .vector import NeedsCoordinatesError, Vector, Wide


def namespace(*values: Any) -> Any:
    """The array library of the first value that has one, else NumPy."""
    for v in values:
        if hasattr(v, "__array_namespace__"):
            return v.__array_namespace__()
    return np


def _function(name: str, equation: str) -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        if isinstance(x, Vector):
            return x.apply(f)
        return unary(name, x) if isinstance(x, Expr) else getattr(namespace(x), name)(x)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"{equation}, on symbols, numbers and arrays."
    return f


sqrt = _function("sqrt", "Square root")
exp = _function("exp", "Exponential")
log = _function("log", "Natural logarithm")
sin = _function("sin", "Sine")
cos = _function("cos", "Cosine")
tanh = _function("tanh", "Hyperbolic tangent")


def absolute(x: Any) -> Any:
    """|x|, on symbols, numbers and arrays."""
    return abs(x)


def where(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b; both are evaluated."""
    values = (condition, a, b)
    if any(isinstance(v, Vector) for v in values):
        return _elementwise(where, values)
    if isinstance(condition, Expr):
        return Expr("where", condition, lift(a), lift(b))
    if isinstance(a, Expr) or isinstance(b, Expr):
        return a if condition else b
    return namespace(*values).where(*values)


def minimum(a: Any, b: Any) -> Any:
    """The smaller of a and b."""
    if isinstance(a, Vector | Expr) or isinstance(b, Vector | Expr):
        return _elementwise(lambda x, y: where(x < y, x, y), (a, b))
    return namespace(a, b).minimum(a, b)


def maximum(a: Any, b: Any) -> Any:
    """The larger of a and b."""
    if isinstance(a, Vector | Expr) or isinstance(b, Vector | Expr):
        return _elementwise(lambda x, y: where(x > y, x, y), (a, b))
    return namespace(a, b).maximum(a, b)


def total(v: Any) -> Any:
    """Sum over the coordinates (the first axis of an array), one after another."""
    if isinstance(v, Wide):
        return reduce_sum(v.one) if v.one.wide else _not_wide()
    if isinstance(v, tuple | list):
        result: Any = 0
        for x in v:
            result = x if isinstance(result, int) else result + x
        return result
    return namespace(v).sum(v, axis=0)


def dot(a: Any, b: Any) -> Any:
    """Inner product over the coordinates."""
    if isinstance(a, Vector) or isinstance(b, Vector):
        return total(_elementwise(multiply_any, (a, b)))
    return total(a * b)


def norm(v: Any) -> Any:
    """Euclidean length over the coordinates."""
    return sqrt(dot(v, v))


def multiply_any(x: Any, y: Any) -> Any:
    return x * y


def _not_wide() -> Any:
    raise NeedsCoordinatesError


def _elementwise(f: Callable[..., Any], values: tuple[Any, ...]) -> Any:
    """f over the coordinates of vectors; scalars are repeated."""
    vectors = [v for v in values if isinstance(v, Vector)]
    if not vectors:
        return f(*values)
    if any(isinstance(v, Wide) for v in vectors):
        if not all(isinstance(v, Wide) or np.ndim(v) == 0 or isinstance(v, Expr) for v in values):
            _not_wide()
        return Wide(lift(f(*(v.one if isinstance(v, Wide) else v for v in values))))
    n = len(vectors[0])
    rows = []
    for v in values:
        sequence = isinstance(v, tuple | list) or (isinstance(v, np.ndarray) and v.ndim == 1)
        if sequence and len(v) != n:
            raise TraceError(f"vectors of lengths {n} and {len(v)} do not combine: give both one length")
        rows.append(list(v) if sequence else [v] * n)
    return Vector(f(*xs) for xs in zip(*rows, strict=True))


def _elementwise_of(name: str, f: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's ufunc on symbols."""

    def apply(*inputs: Any) -> Any:
        if any(isinstance(x, np.ndarray) and x.ndim > 0 for x in inputs) and not any(isinstance(x, Vector) for x in inputs):
            raise TraceError(f"np.{name} of an array and one coordinate: use the vector w, or plain numbers")
        return _elementwise(f, inputs)

    return apply


_MEANINGS: dict[str, Callable[..., Any]] = {
    "add": add,
    "subtract": subtract,
    "multiply": multiply,
    "divide": divide,
    "true_divide": divide,
    "power": power,
    "negative": lambda a: -a,
    "positive": lambda a: a,
    "square": lambda a: a * a,
    "absolute": abs,
    "fabs": abs,
    "sqrt": sqrt,
    "exp": exp,
    "log": log,
    "sin": sin,
    "cos": cos,
    "tanh": tanh,
    "minimum": minimum,
    "maximum": maximum,
    "reciprocal": lambda a: 1.0 / a,
    "less": lambda a, b: lift(a) < b,
    "less_equal": lambda a, b: lift(a) <= b,
    "greater": lambda a, b: lift(a) > b,
    "greater_equal": lambda a, b: lift(a) >= b,
}
UFUNCS.update({name: _elementwise_of(name, f) for name, f in _MEANINGS.items()})
FUNCTIONS.update({np.where: where, np.sum: total, np.dot: dot, np.vdot: dot, np.linalg.norm: norm})
QUESTIONS.update(
    {
        np.ndim: lambda x: int(isinstance(x, Vector)),
        np.shape: lambda x: (len(x),) if isinstance(x, Vector) else (),
        np.size: lambda x: len(x) if isinstance(x, Vector) else 1,
        np.iscomplexobj: lambda x: False,
    }
)
