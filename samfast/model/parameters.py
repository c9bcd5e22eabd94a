"""Parameters: the named numbers of losses, rules and observers, and the bounds within which they make sense.

An array that is given for a parameter is a sweep over its values. Other arrays are marked, so that nobody mistakes them for a
sweep: one value for each path by `per_path`, one for each coordinate by `vector`, a factor of a covariance by `matrix`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from .. import tracing as T
from ..checks import check, names_of, numbers, shown

TABLE = "_table"  # ends the name of the column of a schedule that is an array
SECOND = "_second"  # suffix of the second rule's parameters in `paired`
# Bounds by the name of a parameter, as keyword arguments of checks.numbers; `parameter` says when they apply.
BOUNDS: dict[str, dict[str, Any]] = {
    "lr": {"above": 0.0, "example": 0.01},
    "rho": {"low": 0.0, "example": 0.05},
    "momentum": {"low": 0.0, "below": 1.0, "example": 0.9},
    "dampening": {"low": 0.0, "below": 1.0, "example": 0.1},
    "sigma": {"low": 0.0},
    "batch_size": {"above": 0.0, "example": 64},
    "dt": {"above": 0.0, "example": 0.001},
}


# Types of arguments, for type checkers, editors and the tests that try odd arguments.
Numbers: TypeAlias = float | np.number | Sequence[float] | Sequence[Sequence[float]] | np.ndarray
Box: TypeAlias = Sequence[Sequence[float]] | np.ndarray  # (low, high) for each coordinate
NoiseKind: TypeAlias = Literal["normal", "sign"]
SampleKind: TypeAlias = Literal["normal", "sign", "bit"]
Drift: TypeAlias = Literal["plain", "chain"]


class Parameters:
    """The argument p of a traced function. Its attributes p.lr, p.rho, ... are the parameters; others raise TraceError."""

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


@dataclass(frozen=True, eq=False)
class PerCoordinate:
    """A parameter with a value for every coordinate; see `vector`."""

    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Factor:
    """A factor of a covariance; see `matrix`."""

    values: np.ndarray


@dataclass(frozen=True)
class Scalar:
    """The start of one number of a rule's state; see `scalar`."""

    value: float


@dataclass(frozen=True, eq=False)
class Schedule:
    """A parameter as a function of the number of the update; made by the functions of `sf.schedule`.

    at(n, own, p) is its value at update n, where own are its numbers and p the other parameters. In a schedule that is an
    array, `table` has the values, shape (*sweep, updates). levels: which numbers are values of the parameter itself.
    """

    name: str
    at: Callable[[Any, Parameters, Any], Any]
    numbers: Mapping[str, Any]
    levels: tuple[str, ...] = ()
    table: np.ndarray | None = None
    follows: bool = False  # whether it looks at other parameters

    def __repr__(self) -> str:
        shape = "" if self.table is None else f"shape {self.table.shape}"
        return f"schedule.{self.name}({', '.join(f'{k}={shown(v)}' for k, v in self.numbers.items())}{shape})"

    def check_bounds(self, name: str, low: float | None = None, above: float | None = None, **bounds: Any) -> None:
        """Raise ValueError where a value that the parameter `name` takes is out of its bounds; a rate may end at 0."""
        bounds["low"] = low if above is None else above
        values = {k: self.numbers[k] for k in self.levels} | ({} if self.table is None else {"array": self.table})
        for level, value in values.items():
            numbers(f"{name}: {level}", value, **bounds)


# The value of a parameter is a number, an array for a sweep, a value for each path, a value for each coordinate, or a schedule.
Sweep: TypeAlias = Numbers | PerPath | PerCoordinate | Schedule


def vector(values: Numbers) -> PerCoordinate:
    """Mark a parameter as having one value per coordinate: shape (dim,), or (*sweep, dim) for a sweep of vectors.

    @sf.loss(dim=3, a=sf.vector([1.0, 2.0, 0.5])) makes p.a a vector. sf.noisy(rule, sigma=sf.vector([0.1, 0.2])) makes noise
    with a standard deviation for each coordinate.
    """
    array = np.asarray(numbers("vector", values, example=[1.0, 2.0]), float)
    check(array.ndim > 0, f"vector({values!r}): give one value per coordinate, e.g. sf.vector([1.0, 2.0])")
    return PerCoordinate(array)


def scalar(value: float) -> Scalar:
    """Mark an entry of a rule's state as one number for each path, from this value on: state={"scale": sf.scalar(1.0)}.

    Without the mark a whole number (an int) is one number too, for counting, and any other is a vector; see `sf.rule`.
    """
    array = np.asarray(numbers("scalar", value, example=1.0), float)
    check(array.ndim == 0, f"scalar has shape {array.shape}: give one number, e.g. sf.scalar(1.0)")
    return Scalar(float(array))


def matrix(values: Numbers) -> Factor:
    """Mark sigma as a factor S, so that the gradient noise is xi = S z and has the covariance S S^T.

    S has the shape (*sweep, dim, k) with k <= dim, and z are k independent numbers of mean 0 and variance 1. S may be a
    Cholesky factor or any other. Raises ValueError for another shape.
    """
    array = np.asarray(numbers("matrix", values, example=[[1.0, 0.0], [0.5, 1.0]]), float)
    check(
        array.ndim > 1 and array.shape[-1] <= array.shape[-2],
        f"matrix has shape {array.shape}: give a factor of shape (dim, k) with k at most dim, e.g. one of np.linalg.cholesky",
    )
    return Factor(array)


def which_array(name: str, value: Any, dim: int, *, factor: bool = False, sweep: str) -> None:
    """Raise ValueError for an array that could mean a sweep of numbers as well as one value per coordinate.

    factor: whether the message mentions sf.matrix. sweep: how to write the sweep without doubt, for the message.
    """
    shape = np.shape(value)
    words = f"; for the factor of a covariance {name}=sf.matrix(...)" if factor and len(shape) > 1 else ""
    check(
        dim == 1 or len(shape) == 0 or shape[-1] != dim,
        f"{name} has shape {shape} on {dim} coordinates: for one value per coordinate write {name}=sf.vector(...){words}; "
        f"for a sweep of single numbers {sweep}",
    )


def per_path(values: Numbers) -> PerPath:
    """Mark a parameter as having one value per path: an array of shape (paths,), e.g. rho=per_path(rng.random(1000)).

    Shape (paths, dim) gives each path a vector of its own.
    """
    array = np.asarray(numbers("per_path", values), float)
    check(
        array.ndim in (1, 2) and array.size > 0,
        f"per_path of shape {array.shape}: give one value per path, shape (paths,), or vectors of shape (paths, dim)",
    )
    return PerPath(array)


def parameter(name: str, value: Any, **bounds: Any) -> Any:
    """Return the value of a parameter unchanged if it is finite and within bounds; raise an error if it is not.

    bounds: keyword arguments of `checks.numbers`. The caller passes those of BOUNDS only where the parameter has the meaning
    that its name has there, since in a rule of a user's own, for example, rho may be negative.
    """
    check(
        not isinstance(value, Factor), f"{name}: sf.matrix is the factor of a covariance, for sigma of noisy or diffusion only"
    )
    if isinstance(value, Schedule):
        value.check_bounds(name, **bounds)
        return value
    numbers(name, value.values if isinstance(value, PerPath | PerCoordinate) else value, **bounds)
    return value


def columns(name: str, factor: Factor) -> dict[str, PerCoordinate]:
    """The columns of a factor as vector parameters name_0, name_1, ..."""
    return {f"{name}_{j}": PerCoordinate(factor.values[..., j]) for j in range(factor.values.shape[-1])}


def unmarked(params: Mapping[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """Returns the parameters with `vector` marks replaced by plain arrays, and the names of those marked as vectors.

    A `per_path` mark stays; it counts as a vector if each path has a vector of its own.
    """
    vectors = {k for k, v in params.items() if isinstance(v, PerCoordinate) or (isinstance(v, PerPath) and v.values.ndim > 1)}
    return {k: v.values if isinstance(v, PerCoordinate) else v for k, v in params.items()}, frozenset(vectors)


def unfolded(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as the engine keeps them: of a schedule its own numbers as lr_value, ..., and its array as lr_table."""
    out: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, Schedule):
            new = {f"{name}_{k}": v for k, v in value.numbers.items()}
            new |= {} if value.table is None else {name + TABLE: value.table}
        else:
            new = {name: value}
        for k in new:
            check(
                k not in out and (k == name or k not in params), f"parameter {k!r} is one of the schedule of {name}: rename it"
            )
        out |= new
    return out


def tables(params: Mapping[str, Any]) -> dict[str, int]:
    """How many values the array of each parameter that is given by one has."""
    return {k: v.table.shape[-1] for k, v in params.items() if isinstance(v, Schedule) and v.table is not None}


def present(schedules: Mapping[str, Schedule], symbols: Mapping[str, Any], n: Any, owner: str) -> dict[str, Any]:
    """All parameters at update n: those of `symbols` and the scheduled ones; symbols: by the names of `unfolded`."""
    values = dict(symbols)
    for name, s in sorted(schedules.items(), key=lambda item: item[1].follows):
        if s.table is not None:
            values[name] = T.var(f"p_{name}", "time")
            continue
        own = Parameters(f"the schedule of {name}", {k: symbols[f"{name}_{k}"] for k in s.numbers})
        known = Parameters(owner, {k: v for k, v in values.items() if k != name})
        values[name] = s.at(n, own, known)
    return values


def unscheduled(name: str, value: Any, why: str) -> None:
    """Raise ValueError for a schedule where a number is needed; why: the rest of the message."""
    check(not isinstance(value, Schedule), f"{name}={value!r}: {why}")
