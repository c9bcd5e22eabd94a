"""What the names of a program may stand for while its tree is made, and what all functions of one text share."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np

from . import tree as t

TYPES = {np.dtype(k): v for k, v in zip("i4 u4 i8 u8 f4 f8".split(), "i32 u32 i64 u64 f32 f64".split(), strict=True)}


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
    """A function that the target supplies: a method of `Maker`."""

    name: str


BUILTINS = {name: Builtin(name) for name in ("fma", "scratch", "rest", "take", "put", "paired", "abs", "range")}
Value = Any  # Number, Array, Var, Definition, Builtin, a NumPy type or number, an int, float or bool, or a tuple of these


class Program(Protocol):
    """What all functions of one text share."""

    names: dict[str, Any]
    made: dict[Any, t.Function]  # functions that are called, by their text and the types of their arguments
    checked: bool

    def fail(self, line: int, what: str, remedy: str = "") -> NoReturn: ...
    def new(self) -> int: ...


def dtype_of(x: Any) -> Any:
    return np.dtype(x) if isinstance(x, type) and issubclass(x, np.generic) else None


def is_variable(x: Value) -> bool:
    return isinstance(x, t.Var) or (isinstance(x, tuple) and any(map(is_variable, x)))
