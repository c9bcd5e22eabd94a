"""Symbols: immutable expressions that record the arithmetic of a function which is called once.

Two rules shape every product and sum. Constants come first and parameters next, so that factors which all paths share are
multiplied once for all of them. Apart from that the user's own factoring is kept.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from .dispatch import Symbolic, TraceError

UNARY = {"neg", "sqrt", "exp", "log", "sin", "cos", "tanh", "abs", "floor"}
COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}
BINARY = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
UNIFORM_ROLES = {"param", "time"}  # the same for every path
NUMERIC = (int, float, np.integer, np.floating)


class Expr(Symbolic):
    """One operation on other expressions, or a leaf.

    op, args: the operation and what it is applied to; a leaf has its number, or its name and role.
    key: a digest of op and args, so that equal expressions have equal keys and are computed once.
    uniform: whether all paths share its value. wide: whether it has one value for each coordinate.
    depth: the length of the longest chain of operations from the state to it.
    level: how many sums over the coordinates must be finished, one after another, before it can be computed.
    """

    __slots__ = ("args", "depth", "key", "level", "op", "uniform", "wide")
    __array_priority__ = 1000
    op: str
    args: tuple[Any, ...]
    key: bytes
    uniform: bool
    wide: bool
    depth: int
    level: int

    def __init__(self, op: str, *args: Any) -> None:
        self.op, self.args = op, args
        uniform, wide, depth, level, kids, name = True, False, 0, 0, False, op.encode()
        for a in args:
            if isinstance(a, Expr):
                kids = True
                uniform, wide = uniform and a.uniform, wide or a.wide
                depth, level = max(depth, a.depth), max(level, a.level)
                name += a.key
            else:
                name += repr(a).encode() + b";"
        if kids:
            self.depth = depth + 1 if depth else 0
        else:
            uniform = op in ("const", "tiny") or (op == "var" and args[1] in UNIFORM_ROLES)
            wide = op in ("var", "sign") and bool(args[2])
            self.depth = int(op == "var" and args[1] == "state")
        self.uniform, self.wide, self.level = uniform, wide and op != "reduce", level + (op == "reduce")
        self.key = hashlib.blake2b(name, digest_size=12).digest()

    def __repr__(self) -> str:
        if self.op == "const":
            return repr(self.args[0])
        if self.op in ("var", "sign"):
            return str(self.args[0])
        return f"{self.op}({', '.join(map(repr, self.args))})"

    def __add__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, tuple) else add(self, other)

    def __radd__(self, other: Any) -> Expr:
        return add(other, self)

    def __sub__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, tuple) else subtract(self, other)

    def __rsub__(self, other: Any) -> Expr:
        return subtract(other, self)

    def __mul__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, tuple) else multiply(self, other)

    def __rmul__(self, other: Any) -> Expr:
        return multiply(other, self)

    def __truediv__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, tuple) else divide(self, other)

    def __rtruediv__(self, other: Any) -> Expr:
        return divide(other, self)

    def __neg__(self) -> Expr:
        return unary("neg", self)

    def __pos__(self) -> Expr:
        return self

    def __abs__(self) -> Expr:
        return unary("abs", self)

    def __pow__(self, n: Any) -> Expr:
        return power(self, n)

    def __rpow__(self, base: Any) -> Expr:
        raise TraceError(f"{base!r}**w has a traced exponent: write exp(w*{math.log(base) if base > 0 else 'log(base)'})")

    def __lt__(self, other: Any) -> Expr:
        return Expr("lt", self, lift(other))

    def __le__(self, other: Any) -> Expr:
        return Expr("le", self, lift(other))

    def __gt__(self, other: Any) -> Expr:
        return Expr("gt", self, lift(other))

    def __ge__(self, other: Any) -> Expr:
        return Expr("ge", self, lift(other))

    def __mod__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, tuple) else remainder(self, other)

    def __rmod__(self, other: Any) -> Expr:
        return remainder(other, self)

    def __floordiv__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, tuple) else unary("floor", divide(self, other))

    def __rfloordiv__(self, other: Any) -> Expr:
        return unary("floor", divide(other, self))

    def __and__(self, other: Any) -> Expr:
        return Expr(
            "gt", Expr("where", _comparison(self), Expr("where", _comparison(other), const(1), const(0)), const(0)), const(0)
        )

    def __or__(self, other: Any) -> Expr:
        return Expr(
            "gt", Expr("where", _comparison(self), const(1), Expr("where", _comparison(other), const(1), const(0))), const(0)
        )

    def __invert__(self) -> Expr:
        return Expr("gt", Expr("where", _comparison(self), const(0), const(1)), const(0))

    __rand__, __ror__ = __and__, __or__

    def __eq__(self, other: object) -> Any:
        raise TraceError("'==' and '!=' cannot look at a traced value: use samfast.where with <, <=, > or >=")

    __ne__ = __eq__
    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise TraceError(
            "a traced function is called once, on symbols, so 'if', 'and', 'or', 'not' and 'while' cannot "
            "look at a value: use samfast.where(condition, a, b), minimum or maximum; join comparisons by &, | and ~"
        )

    def __float__(self) -> float:
        raise TraceError(
            "math.* and float() need a number, not a symbol: use samfast.exp, samfast.sqrt, ... or NumPy's "
            "np.exp, np.sqrt, ... (samfast has exp, log, sin, cos, tanh, sqrt, abs, where)"
        )

    __complex__ = __float__  # type: ignore[assignment]

    def __index__(self) -> int:
        raise TraceError(
            f"{self!r:.60} is a symbol, and range(), int() or an index needs a number: the function is called "
            "once, before any parameter or coordinate has a value, so none can decide how the program is made; write a "
            "constant of Python (for _ in range(3)), or make the rule or loss in a function of it, def my_rule(k): ..."
        )

    __int__ = __round__ = __trunc__ = __floor__ = __ceil__ = __index__

    def __getitem__(self, index: Any) -> Any:
        raise TraceError(f"one number has no item [{index!r}]: index the vector (w[0]), not a coordinate")


def _comparison(value: Any) -> Expr:
    """The value, if it is a comparison."""
    if not isinstance(value, Expr) or value.op not in COMPARE:
        raise TraceError(f"&, | and ~ join comparisons such as (x > 1) & (y < 2), with brackets, not {value!r:.60}")
    return value


def const(value: float) -> Expr:
    """A number."""
    return _number(repr(float(value)))


@lru_cache(4096)
def _number(text: str) -> Expr:
    return Expr("const", float(text))  # Kept by the text of the number, since 0.0 == -0.0.


@lru_cache(4096)
def var(name: str, role: str = "state", wide: bool = False) -> Expr:
    """A leaf with a name.

    role: "state"; "param" or "time", which all paths share; "path", a parameter with one value for each path; "noise".
    wide: whether it has one value for each coordinate.
    """
    return Expr("var", name, role, wide)


def sign(name: str, wide: bool = False) -> Expr:
    """A random sign, -1 or 1. A product with it costs an exclusive-or of the sign bit instead of a multiplication."""
    return Expr("sign", name, "noise", wide)


def tiny() -> Expr:
    """The smallest normal number of the program's precision. Added to a number it changes 0 and nothing else of any size."""
    return Expr("tiny")


def lift(value: Any) -> Expr:
    """An expression from a number; an expression is returned as it is."""
    if isinstance(value, Expr):
        return value
    odd = isinstance(value, bool | str | bytes | tuple | list | complex) or value is None
    if odd or np.ndim(value) != 0 or np.iscomplexobj(value):
        raise TraceError(f"cannot use {value!r} as one real number in a traced function: give a number or a symbol")
    return const(float(value))


def constant(e: Expr) -> float | None:
    """The number that e is, or None."""
    return e.args[0] if e.op == "const" else None


def parts(e: Expr) -> tuple[float, Expr | None, Expr | None]:
    """(c, u, v) with e = c*u*v: a constant, a factor that all paths share, and the rest; None for a part that is absent."""
    if e.op == "const":
        return e.args[0], None, None
    if e.op == "neg":
        c, u, v = parts(e.args[0])
        return -c, u, v
    if e.op == "mul":
        a, b = e.args
        if a.op == "const":
            return a.args[0], *parts(b)[1:]
        if a.uniform and not b.uniform:
            return *parts(a)[:2], b
    return (1.0, e, None) if e.uniform else (1.0, None, e)


def join(c: float, u: Expr | None, v: Expr | None) -> Expr:
    """The product c*u*v of `parts`, in the one form that equal products have everywhere in this package."""
    if c == 0:
        return const(0)
    s = u if c == 1 else const(c) if u is None else Expr("neg", u) if c == -1 else Expr("mul", const(c), u)
    if v is None:
        return const(c) if s is None else s
    if v.op == "sign":
        return Expr("flip", const(c) if s is None else s, v)
    if u is None:
        return v if c == 1 else Expr("neg", v) if c == -1 else Expr("mul", s, v)
    if c == -1:
        return Expr("neg", Expr("mul", u, v))
    return Expr("mul", s, v)


def _times(a: Expr | None, b: Expr | None) -> Expr | None:
    """The product of two factors of one kind, either of which may be absent."""
    if a is None or b is None:
        return b if a is None else a
    if b.op == "sign":
        return Expr("flip", a, b)
    return Expr("flip", b, a) if a.op == "sign" else Expr("mul", a, b)


REMEMBERED = 10_000


def _remembered(f: Callable[[Expr, Expr], Expr]) -> Callable[[Any, Any], Expr]:
    """f, computed once for each pair of keys: equal arguments have equal results, and sums in a gradient repeat often."""
    known: dict[tuple[bytes, bytes], Expr] = {}

    def g(a: Any, b: Any) -> Expr:
        a, b = lift(a), lift(b)
        result = known.get((a.key, b.key))
        if result is None:
            if len(known) >= REMEMBERED:
                known.clear()
            result = known[a.key, b.key] = f(a, b)
        return result

    return g


@_remembered
def multiply(a: Expr, b: Expr) -> Expr:
    """a*b with its constants and its shared factors put together."""
    (ca, ua, va), (cb, ub, vb) = parts(a), parts(b)
    return join(ca * cb, _times(ua, ub), _times(va, vb))


@_remembered
def add(a: Expr, b: Expr) -> Expr:
    """a + b; a common constant is taken out, and a negative term is subtracted."""
    x, y = constant(a), constant(b)
    if x is not None and y is not None:
        return const(x + y)
    if x == 0 or y == 0:
        return b if x == 0 else a
    (ca, ua, va), (cb, ub, vb) = parts(a), parts(b)
    if ca == cb != 1 and a.op == b.op != "const":  # c*x + c*y -> c*(x + y)
        return multiply(const(ca), add(join(1.0, ua, va), join(1.0, ub, vb)))
    if b.op == "neg":
        return Expr("sub", a, b.args[0])
    if a.op == "neg":
        return Expr("sub", b, a.args[0])
    return Expr("add", a, b)


def subtract(a: Any, b: Any) -> Expr:
    """a - b."""
    a, b = lift(a), lift(b)
    if b.op == "sub" and constant(a) != 0:
        return Expr("sub", a, b)  # Not a + (y - x), since b = x - y may be needed elsewhere too.
    return add(a, unary("neg", b))


def divide(a: Any, b: Any) -> Expr:
    """a/b; a power of two is multiplied by its inverse, which is exact."""
    a, b = lift(a), lift(b)
    x, y = constant(a), constant(b)
    if y == 0:
        raise TraceError("division by the constant 0 in a traced function: guard it with where()")
    if y is not None:
        if x is not None:
            return const(x / y)
        if math.frexp(y)[0] in (0.5, -0.5) and math.isfinite(1 / y):
            return multiply(a, const(1 / y))
    return const(0) if x == 0 else Expr("div", a, b)


def unary(op: str, a: Any) -> Expr:
    """A function of one number, such as "sqrt" or "neg"; of a constant it is a constant."""
    a = lift(a)
    c = constant(a)
    if op == "neg":
        ca, u, v = parts(a)
        return Expr("sub", a.args[1], a.args[0]) if a.op == "sub" else join(-ca, u, v)
    if c is not None:
        with np.errstate(all="ignore"):
            return const(abs(c) if op == "abs" else float(getattr(np, op)(c)))
    return Expr(op, a)


def remainder(a: Any, b: Any) -> Expr:
    """a - b*floor(a/b), as Python's %; exact for whole numbers."""
    return subtract(a, multiply(b, unary("floor", divide(a, b))))


def power(base: Any, n: Any) -> Expr:
    """base**n for an integer or half-integer n, by repeated squaring. base**0 is 1, at 0 too, and has the derivative 0."""
    if isinstance(n, Expr) or not isinstance(n, NUMERIC) or not float(2 * n).is_integer():
        raise TraceError(
            f"x**{n!r} in a traced function: the exponent must be an integer or a half, e.g. x**2 or "
            "x**1.5; otherwise write exp(y*log(x))"
        )
    if n < 0:
        return divide(1.0, power(base, -n))
    whole, half = divmod(float(n), 1.0)
    result = unary("sqrt", base) if half else const(1.0)
    k, square = int(whole), lift(base)
    while k:
        if k & 1:
            result = multiply(square, result)
        square = multiply(square, square) if k > 1 else square
        k >>= 1
    return result


def reduce_sum(e: Expr) -> Expr:
    """Sum over the coordinates of an expression that has one value per coordinate."""
    return const(0) if constant(e) == 0 else Expr("reduce", e)


def topological(outs: list[Expr]) -> list[Expr]:
    """Every expression that `outs` are made of, once each, after those that it is made of itself."""
    seen: set[bytes] = set()
    order: list[Expr] = []
    stack = [(o, False) for o in reversed(outs)]
    while stack:
        e, done = stack.pop()
        if done:
            order.append(e)
        elif e.key not in seen:
            seen.add(e.key)
            stack.append((e, True))
            stack.extend((a, False) for a in reversed(e.args) if isinstance(a, Expr))
    return order


Scalar = Expr | float
Function = Callable[..., Any]
