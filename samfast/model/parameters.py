"""Parameters: numbers with names, the bounds within which they make sense, and values that differ from path to path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from .. import tracing as T
from ..checks import check, names_of, numbers

SECOND = "_second"  # ends the names of the second rule's parameters in `paired`
BOUNDS: dict[str, dict[str, Any]] = {
    "lr": {"above": 0.0, "example": 0.01},
    "rho": {"low": 0.0, "example": 0.05},
    "momentum": {"low": 0.0, "below": 1.0, "example": 0.9},
    "dampening": {"low": 0.0, "below": 1.0, "example": 0.1},
    "sigma": {"low": 0.0},
    "batch_size": {"above": 0.0, "example": 64},
    "dt": {"above": 0.0, "example": 0.01},
}


# What a user may give, for type checkers, editors and the tests that try odd arguments.
Numbers: TypeAlias = float | np.number | Sequence[float] | Sequence[Sequence[float]] | np.ndarray
Box: TypeAlias = Sequence[Sequence[float]] | np.ndarray  # (low, high) for each coordinate
NoiseKind: TypeAlias = Literal["normal", "sign"]
SampleKind: TypeAlias = Literal["normal", "sign", "bit"]
Drift: TypeAlias = Literal["plain", "chain"]


class Parameters:
    """The parameters that a traced function sees: p.lr, p.rho, ..."""

    def __init__(self, owner: str, values: Mapping[str, Any]) -> None:
        self.__dict__.update(values)
        self._owner = owner

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        known = names_of(k for k in self.__dict__ if k != "_owner")
        raise T.TraceError(
            f"p.{name}: {self._owner} has no parameter {name!r} (it has {known}); declare it where the "
            f"function is given, e.g. @sf.loss(dim=2, {name}=1.0) or sf.rule(..., {name}=1.0)"
        )


@dataclass(frozen=True)
class PerPath:
    """A parameter with its own value for every path; see `per_path`."""

    values: Any


Sweep: TypeAlias = Numbers | PerPath  # of a parameter: a number, an array for a sweep, or a value for each path


def per_path(values: Numbers) -> PerPath:
    """Mark a parameter as having one value per path: an array of shape (paths,), e.g. rho=per_path(rng.random(1000))."""
    array = np.asarray(numbers("per_path", values), float)
    check(array.ndim == 1 and array.size > 0, f"per_path of shape {array.shape}: give one value per path, shape (paths,)")
    return PerPath(array)


def parameter(name: str, value: Any, **bounds: Any) -> Any:
    """A parameter of a loss or a rule, checked: a number, an array of them, or a value for each path. Returned as it came.

    bounds: as `checks.numbers` takes them. None go by the name alone: in a rule of a user's own rho may be negative.
    """
    numbers(name, value.values if isinstance(value, PerPath) else value, **bounds)
    return value
