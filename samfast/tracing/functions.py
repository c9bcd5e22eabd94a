"""The functions a traced loss or rule may call. Each also works on NumPy, CuPy and JAX arrays (coordinates first).

Each says what its derivative is where the mathematics has none or has a limit. What holds for all of them:

* A function that is not linear has the derivative nan at nan, but for `where`, `minimum`, `maximum` and `absolute`. These
  compare, a comparison with nan does not hold, and so they follow their second branch.
* At 0, at infinity and at its branch points each function of one coordinate, and each of its whole and half powers, has the
  first and second derivative that is the limit from where it is defined, infinite ones included.
* In compositions a finite limit of the first derivative is found where one root vanishes; where two vanish together the
  derivative may be nan. An infinite derivative of a root of a product shows as a number near the largest one.
* What a branch of `where` that is not taken does, even nan or infinity, does not reach value or derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .dispatch import FUNCTIONS, QUESTIONS, UFUNCS, TraceError
from .expr import Expr, add, divide, lift, multiply, power, reduce_sum, subtract, tiny, unary
from .vector import NeedsCoordinatesError, Vector, Wide


def namespace(*values: Any) -> Any:
    """The array library of the first value that has one, else NumPy."""
    for v in values:
        if hasattr(v, "__array_namespace__"):
            return v.__array_namespace__()
    return np


def _function(name: str, text: str) -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        if isinstance(x, Vector):
            return x.apply(f)
        return unary(name, x) if isinstance(x, Expr) else getattr(namespace(x), name)(x)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = text
    return f


sqrt = _function(
    "sqrt",
    """Square root, on symbols, numbers and arrays; nan below 0.

    The derivative at 0 is inf. Where x is a sum of squares that is 0 (a squared length), that of sqrt(x) is 0; in
    x*sqrt(x), cos(sqrt(x)) and the like it is the limit, 0 and -1/2.
    """,
)
exp = _function("exp", """Exponential, on symbols, numbers and arrays; its derivatives are 0 at -inf and inf at inf.""")
log = _function(
    "log",
    """Natural logarithm, on symbols, numbers and arrays; -inf at 0, nan below. The derivative 1/x is inf at 0 and 0 at inf.""",
)
sin = _function(
    "sin",
    """Sine, on symbols, numbers and arrays; nan at infinity, as its derivatives are.

    In a compiled program it is nan from abs(x) = 2^45 on (2^22 in float32), since no argument is reduced there; below, the
    error is less than one unit in the last place.
    """,
)
cos = _function(
    "cos",
    """Cosine, on symbols, numbers and arrays; nan at infinity, as its derivatives are.

    In a compiled program it is nan from abs(x) = 2^45 on (2^22 in float32), since no argument is reduced there; below, the
    error is less than one unit in the last place.
    """,
)
tanh = _function("tanh", """Hyperbolic tangent, on symbols, numbers and arrays; its derivatives are 0 at infinity.""")


floor = _function(
    "floor",
    """The largest whole number not above x, on symbols, numbers and arrays; its derivative is 0.

    In a compiled program numbers of 2^51 and more (2^22 in float32) are returned as they are. a % b and a // b of symbols are
    made of it, exact for whole numbers: p.step_count % 10 < 1 holds at every tenth step.
    """,
)


def absolute(x: Any) -> Any:
    """|x|, on symbols, numbers and arrays. The derivative is -1 for x < 0, else 1: 1 at 0, at -0 and for nan."""
    return abs(x)


def where(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b (also where the condition compares with nan).

    The derivative is that of the branch which is taken, at the boundary too: the condition itself has none. Both branches
    are evaluated, but where(x > 0, sqrt(x), 0) has the derivative 0 for x <= 0, not nan.
    """
    values = (condition, a, b)
    if any(isinstance(v, Vector) for v in values):
        return _elementwise(where, values)
    if isinstance(condition, Expr):
        return Expr("where", condition, lift(a), lift(b))
    if isinstance(a, Expr) or isinstance(b, Expr):
        return a if condition else b
    return namespace(*values).where(*values)


def minimum(a: Any, b: Any) -> Any:
    """The smaller of a and b. On symbols it is where(a < b, a, b): at a tie, or for nan, value and derivative are those of b.

    On arrays it is the array library's, in which nan wins on either side.
    """
    if isinstance(a, Vector | Expr) or isinstance(b, Vector | Expr):
        return _elementwise(lambda x, y: where(x < y, x, y), (a, b))
    return namespace(a, b).minimum(a, b)


def maximum(a: Any, b: Any) -> Any:
    """The larger of a and b. On symbols it is where(a > b, a, b): at a tie, or for nan, value and derivative are those of b.

    So maximum(x, 0) has the derivative 0 at 0 and maximum(0, x) has 1. On arrays it is the array library's.
    """
    if isinstance(a, Vector | Expr) or isinstance(b, Vector | Expr):
        return _elementwise(lambda x, y: where(x > y, x, y), (a, b))
    return namespace(a, b).maximum(a, b)


def total(v: Any) -> Any:
    """Sum over the coordinates (the first axis of an array), added one after another from the first to the last."""
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
        return total(_elementwise(lambda x, y: x * y, (a, b)))
    return total(a * b)


def norm(v: Any) -> Any:
    """Euclidean length |v| over the coordinates.

    The derivative v/|v| is 0 at v = 0, the least of the subgradients there; whole powers of a length, |v|*v[0] and
    cos(norm(v)) have the derivative at 0 that they have in mathematics. For a direction use `normalized`: v/norm(v) is
    0/0 = nan at v = 0.
    """
    return sqrt(dot(v, v))


def length(v: Any) -> Any:
    """sqrt(|v|^2 + t), t the smallest normal number: |v| for a division, since 1/length(v) is finite and v/length(v) 0 at 0."""
    if isinstance(v, Wide):
        return sqrt(dot(v, v) + tiny())
    if isinstance(v, Vector):
        result: Any = tiny()
        for x in v:
            result = result + x * x
        return sqrt(result)
    squares = namespace(v).sum(v * v * 1.0, axis=0)
    return sqrt(squares + namespace(squares).finfo(squares.dtype).tiny)


def normalized(v: Any) -> Any:
    """The direction v/|v|, and 0 at v = 0: v/sqrt(|v|^2 + t), t the smallest normal number of the precision.

    For rules of your own, so that a saddle or minimum is a fixed point as it is for sf.sam(normalize=True), where the same
    formula is used: `lambda w, grad, p: grad(w + p.rho*sf.normalized(grad(w)))`. v: a vector of a traced function, or an
    array of shape (dim, ...). Lengths below some 1e-146 (float64; float32: 1e-15) give a vector shorter than 1.

    The derivative is that of this formula, (I - n n^T)/|v| with n = v/|v|. At v = 0 it is I/sqrt(t), finite and about 7e153
    (float32: 9e18), so that its product with a vector that is 0 there is 0.
    """
    v = v if isinstance(v, Vector) or hasattr(v, "dtype") else np.asarray(v)
    return (1.0 / length(v)) * v


def _not_wide() -> Any:
    raise NeedsCoordinatesError


def _elementwise(f: Callable[..., Any], values: tuple[Any, ...]) -> Any:
    """f of each coordinate of the vectors among the values; numbers are repeated."""
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
    """What NumPy's ufunc of that name does when it meets symbols."""

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
    "floor": floor,
    "remainder": lambda a, b: lift(a) % b,
    "floor_divide": lambda a, b: lift(a) // b,
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
