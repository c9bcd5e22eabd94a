"""What NumPy's functions mean on symbols.

The tables stand here and are filled by functions.py, so that symbols and vectors need not import the functions of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

UFUNCS: dict[str, Callable[..., Any]] = {}  # NumPy's name -> the function of symbols
FUNCTIONS: dict[Any, Callable[..., Any]] = {}  # NumPy's function -> the function of symbols
QUESTIONS: dict[Any, Callable[..., Any]] = {}  # NumPy's function -> what it says of a symbol, without tracing


class TraceError(TypeError):
    """A traced function did something that cannot be recorded; the message names the remedy."""


class Symbolic:
    """The two methods that NumPy calls instead of its own function when an argument is a symbol or a vector of them."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        f = UFUNCS.get(ufunc.__name__)
        if method != "__call__" or options or f is None:
            raise TraceError(f"np.{ufunc.__name__} cannot be traced: use one of {', '.join(sorted(UFUNCS))}")
        return f(*inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function in QUESTIONS:
            return QUESTIONS[function](*args)
        f = FUNCTIONS.get(function)
        if f is None or options:
            names = ", ".join(sorted("np." + g.__name__ for g in FUNCTIONS))
            raise TraceError(f"np.{function.__name__} cannot be traced: use {names} or samfast.total, dot, norm, where")
        return f(*args)
