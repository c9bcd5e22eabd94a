"""Run a Python function once on symbols, and derive what it computed. This package knows nothing of optimisers.

Read `expr` first (one number), then `vector` (several), `functions` (what may be called), `calculus` (derivatives). How NumPy
finds its way to them stands in `dispatch`.
"""

from .calculus import evaluate, gradient, substitute
from .dispatch import TraceError
from .expr import Expr, const, lift, sign, tiny, topological, var
from .functions import (
    absolute,
    cos,
    dot,
    exp,
    floor,
    length,
    log,
    maximum,
    minimum,
    norm,
    normalized,
    sin,
    sqrt,
    tanh,
    total,
    where,
)
from .vector import NeedsCoordinatesError, Vector, Wide

__all__ = [
    "Expr",
    "NeedsCoordinatesError",
    "TraceError",
    "Vector",
    "Wide",
    "absolute",
    "const",
    "cos",
    "dot",
    "evaluate",
    "exp",
    "floor",
    "gradient",
    "length",
    "lift",
    "log",
    "maximum",
    "minimum",
    "norm",
    "normalized",
    "sign",
    "sin",
    "sqrt",
    "substitute",
    "tanh",
    "tiny",
    "topological",
    "total",
    "var",
    "where",
]


def __dir__() -> list[str]:
    return __all__
