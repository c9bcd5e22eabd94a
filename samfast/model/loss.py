"""A loss: a Python function of a vector and its parameters, whose derivatives are taken symbolically."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import tracing as T
from ..checks import check, choice, fitting, identifier, instance, integer, names_of, real_array, text
from . import critical_points as finder
from .parameters import (
    Box,
    Numbers,
    Parameters,
    PerCoordinate,
    PerPath,
    SampleKind,
    Schedule,
    Sweep,
    parameter,
    unmarked,
    which_array,
)

if TYPE_CHECKING:
    from .critical_points import CriticalPoint

SAMPLE_KINDS = ("normal", "sign", "bit")
ENDLESS = 1e150  # a second derivative beyond it comes from a root at 0, for which the smallest normal number is written
LARGEST = 2**16  # at most this many coordinates or sample numbers; each is a symbol, and tracing this many takes about a second


@dataclass(frozen=True)
class Loss:
    """A loss l(w; p) on R^dim, given by a Python function.

    function(w, p) returns one number. The function of a loss with random samples is function(w, p, y), where y are the
    `samples` random numbers of a minibatch. Their kind is "normal" (standard normal), "sign" (-1 or 1) or "bit" (0 or 1).
    params are the parameters with their values; `vectors` names those that have one value per coordinate (see `sf.vector`),
    so that their last axis has length dim. The function is traced at once, and TraceError says if it cannot be.
    """

    name: str
    dim: int
    function: Callable[..., Any]
    params: Mapping[str, Any] = field(default_factory=dict)
    vectors: frozenset[str] = frozenset()
    samples: int = 0
    kind: str = "normal"

    def __post_init__(self) -> None:
        text("name", self.name, "bowl")
        size = f"dim={self.dim!r:.40}: give the number of coordinates, an integer of at least 1, e.g. dim=2"
        check(isinstance(self.dim, int | np.integer) and not isinstance(self.dim, bool) and self.dim >= 1, size)
        integer("dim", self.dim, 1, 2, most=LARGEST)
        check(
            isinstance(self.samples, int) and not isinstance(self.samples, bool) and self.samples >= 0,
            f"samples={self.samples!r:.40}: give an integer of at least 0",
        )
        integer("samples", self.samples, 0, 1, most=LARGEST)
        choice("kind", self.kind, SAMPLE_KINDS)
        check(callable(self.function), f"function={self.function!r:.60}: give a function of (w, p)", TypeError)
        instance("params", self.params, Mapping, "give a dict of numbers, e.g. params={'a': 1.0}")
        params, vectors = unmarked({name: parameter(name, value) for name, value in self.params.items()})
        object.__setattr__(self, "params", params)
        object.__setattr__(self, "vectors", frozenset(self.vectors) | vectors)
        for name, value in self.params.items():
            identifier(name)
            if isinstance(parameter(name, value), Schedule):
                continue
            array = np.asarray(value.values if isinstance(value, PerPath) else value, float)
            check(
                name not in self.vectors or (array.ndim >= 1 and array.shape[-1] == self.dim),
                f"{name} has shape {array.shape}: its last axis must have length dim={self.dim}",
            )
        _ = self.symbolic  # a mistake in the function is reported where it is defined

    def __repr__(self) -> str:
        shown = ", ".join([f"dim={self.dim}", *(f"{k}={_short(v)}" for k, v in self.params.items())])
        return f"Loss({self.name}: {shown})"

    @cached_property
    def arity(self) -> int:
        try:
            positional = [
                q
                for q in inspect.signature(self.function).parameters.values()
                if q.kind in (q.POSITIONAL_ONLY, q.POSITIONAL_OR_KEYWORD) and q.default is q.empty
            ]
            return len(positional)
        except (TypeError, ValueError):
            return 3 if self.samples else 2

    def at(self, w: Any, p: Any, y: Any = ()) -> Any:
        """Call the function with as many of w, p and y as it takes. w may be symbols or arrays, also those of CuPy and JAX."""
        most = 3 if self.samples else 2
        check(
            1 <= self.arity <= most,
            f"loss {self.name!r} takes {self.arity} arguments: define it as f(w, p)"
            + (" or f(w, p, y)" if self.samples else "; f(w, p, y) needs samples=1 or more"),
            T.TraceError,
        )
        return self.function(*(w, p, y)[: max(1, min(self.arity, most))])

    def trace(self, w: T.Vector, p: Any, y: Any = ()) -> T.Expr:
        """The value at symbols w, as an expression. Raises TraceError if the function returns anything but one number."""
        value = self.at(w, p, y)
        if np.ndim(value) > 0:
            raise T.TraceError(
                f"loss {self.name!r} returned a vector, not one number: sum it, e.g. samfast.total(w*w) or samfast.dot(w, w)"
            )
        if value is None:
            raise T.TraceError(f"loss {self.name!r} returned None: end the function with 'return <value>'")
        return T.lift(value)

    def symbols(self, wide: bool = False) -> tuple[T.Vector, dict[str, Any], T.Vector]:
        """Returns (w, parameters, sample numbers) as symbols; if wide, one symbol stands for all coordinates of a vector."""

        def make(name: str, role: str, spread: bool, n: int) -> Any:
            if not spread:
                return T.var(name, role)
            return T.Wide(T.var(name, role, True)) if wide else T.Vector(T.var(f"{name}_{i}", role) for i in range(n))

        params = {
            k: make(f"p_{k}", "path" if isinstance(v, PerPath) else "param", k in self.vectors, self.dim)
            for k, v in self.params.items()
        }
        return (
            make("w", "state", True, self.dim),
            params,
            sample_numbers([T.var(f"y{i}", "noise") for i in range(self.samples)], "normal"),
        )

    @cached_property
    def symbolic(self) -> tuple[list[T.Expr], dict[str, Any], list[T.Expr], T.Expr]:
        """The trace (coordinates, parameters, sample numbers, value), with a symbol for every coordinate."""
        w, p, y = self.symbols()
        return list(w), p, list(y), self.trace(w, Parameters(f"loss {self.name!r}", p), y)

    @cached_property
    def _gradient(self) -> list[T.Expr]:
        w, _, _, value = self.symbolic
        return T.gradient(value, w)

    @cached_property
    def _hessian(self) -> list[T.Expr]:
        return [h for g in self._gradient for h in T.gradient(g, self.symbolic[0])]

    @cached_property
    def _third(self) -> list[T.Expr]:
        return [t for h in self._hessian for t in T.gradient(h, self.symbolic[0])]

    def replace(self, **params: Sweep) -> Loss:
        """The same loss with other parameter values, e.g. loss.replace(a=2.0). Raises ValueError for an unknown parameter."""
        for name in params:
            check(name in self.params, f"{name}: loss {self.name!r} has no such parameter; it has {names_of(self.params)}")
        return replace(self, params={**self.params, **params})

    def _evaluate(self, outs: Sequence[T.Expr], w: Any, y: Any, params: Mapping[str, Any]) -> list[Any]:
        symbols, names, samples, _ = self.symbolic
        x = _points(w, self.dim)
        env = {s.args[0]: x[..., i] for i, s in enumerate(symbols)}
        values = self.replace(**params).params if params else self.params
        points = x.shape[:-1]
        for k, symbol in names.items():
            if k in self.vectors:
                v = fitting(k, real_array(k, values[k]), x.shape, "w")
                env.update({s.args[0]: v[..., i] for i, s in enumerate(symbol)})
            else:
                env[symbol.args[0]] = fitting(k, real_array(k, values[k]), points, "the points w")
        if samples:
            drawn = fitting("y", real_array("y", y), (*points, self.samples), "the points w, and its sample numbers")
            env.update({s.args[0]: drawn[..., i] for i, s in enumerate(samples)})
        return [np.broadcast_to(v, points) for v in T.evaluate(outs, env)]

    def value(self, w: Numbers, y: Numbers | None = None, **params: Numbers) -> Any:
        """l(w) for w of shape (..., dim), as an array of shape (...).

        y: the sample, shape (..., samples), which a loss with samples needs. params: values that replace the loss's own, e.g.
        a=2.0. Raises ValueError where a shape does not fit.
        """
        self._need_samples(y)
        return self._evaluate([self.symbolic[3]], w, y, params)[0][()]

    def gradient(self, w: Numbers, y: Numbers | None = None, **params: Numbers) -> np.ndarray:
        """The gradient of l at w, shape (..., dim). The arguments are those of `value`."""
        self._need_samples(y)
        return np.stack(self._evaluate(self._gradient, w, y, params), -1)

    def hessian(self, w: Numbers, y: Numbers | None = None, **params: Numbers) -> np.ndarray:
        """The matrix of second derivatives at w, shape (..., dim, dim). The arguments are those of `value`.

        At a point where they have no finite limit, as those of norm(w) at 0, which depend on the direction, entries are inf
        or nan.
        """
        self._need_samples(y)
        h = np.stack(self._evaluate(self._hessian, w, y, params), -1)
        h = np.where(np.abs(h) > ENDLESS, np.copysign(np.inf, h), h)
        return h.reshape(*h.shape[:-1], self.dim, self.dim)

    def third(self, w: Numbers, y: Numbers | None = None, **params: Numbers) -> np.ndarray:
        """The third derivatives at w, shape (..., dim, dim, dim). The arguments are those of `value`."""
        self._need_samples(y)
        t = np.stack(self._evaluate(self._third, w, y, params), -1)
        return t.reshape(*t.shape[:-1], self.dim, self.dim, self.dim)

    def critical_point(self, start: Numbers) -> CriticalPoint:
        """The critical point that SciPy's root finder (hybrid Powell, with the exact Hessian) reaches from a start.

        start: shape (dim,). Raises ValueError if it reaches none, and for a loss that is not one function of w.
        """
        self.need_one_function()
        return finder.critical_point(self, start)

    def critical_points(self, box: Box, *, starts: int | Numbers = 100, seed: int = 0) -> list[CriticalPoint]:
        """The critical points in a box that are reached from many starts, each listed once, in the order of their loss.

        box: (low, high) for each coordinate, e.g. [(-5, 5), (-5, 5)]. starts: the number of starts to draw at random in the
        box, or an array (starts, dim). seed: the seed of these starts.
        The search may miss some. Where critical points form a line, it finds several points of the line. Raises ValueError for
        a loss that is not one function of w.
        """
        self.need_one_function()
        return finder.critical_points(self, box, starts=starts, seed=seed)

    def need_same_function(self) -> None:
        """Raise ValueError if tracing the function again gives another expression than when the loss was made.

        This happens when a variable of Python that the function uses has got another value. The derivatives would be stale.
        """
        w, p, y = self.symbols()
        check(
            self.trace(w, Parameters(f"loss {self.name!r}", p), y).key == self.symbolic[3].key,
            f"loss {self.name!r}: its function has changed since it was made, as a variable of Python that it uses has another "
            "value now; make the loss again, or make the variable a parameter, e.g. @sf.loss(dim=2, a=1.0)",
        )

    def need_one_function(self) -> None:
        """Raise ValueError unless the loss is one function of w, without random samples and several values of a parameter."""
        check(not self.samples, f"loss {self.name!r} has random samples: give the mean loss, e.g. sf.losses.toy_network()")
        for name, value in self.params.items():
            check(
                not isinstance(value, PerPath) and np.ndim(value) == int(name in self.vectors),
                f"{name}: loss {self.name!r} has several values of it; choose one by loss.replace({name}=...)",
            )

    def _need_samples(self, y: Any) -> None:
        shape = () if y is None else real_array("y", y).shape
        check(
            not self.samples or shape[-1:] == (self.samples,),
            f"y has shape {shape}: loss {self.name!r} needs its sample, shape (..., {self.samples})",
        )


def sample_numbers(z: Sequence[T.Expr], kind: str) -> T.Vector:
    """The sample numbers y of a loss, made of the random numbers z that a program draws; a bit is (1 - sign)/2."""
    return T.Vector(0.5 - 0.5 * s for s in z) if kind == "bit" else T.Vector(z)


def _points(w: Any, dim: int) -> np.ndarray:
    x = real_array("w", w, [1.0] * min(dim, 3))
    check(x.ndim >= 1 and x.shape[-1] == dim, f"w has shape {x.shape}: the last axis must have length dim={dim}")
    return x


def _short(value: Any) -> str:
    v = value.values if isinstance(value, PerPath) else np.asarray(value)
    return f"<{v.shape}>" if v.size > 4 else str(v.tolist())


def loss(dim: int, *, samples: int = 0, kind: SampleKind = "normal", **params: Sweep) -> Callable[[Callable[..., Any]], Loss]:
    """A decorator that makes a Loss of a Python function.

        @sf.loss(dim=2, a=1.0)
        def ravine(w, p):
            return p.a*w[0]**2/(1 + w[1]**2/2) + w[1]**2/2

    Keyword arguments are parameters with their default values, e.g. a number, or sf.vector(...) for one value per coordinate.
    An array is a sweep. If its last axis has length dim > 1, it could also mean one value per coordinate, and is refused.
    samples, kind: the random numbers of a minibatch, as in `Loss`; with samples the function takes (w, p, y).
    The function is called on symbols. Use samfast.where in place of `if`, and samfast.exp (or np.exp) in place of math.exp.
    """
    check(not callable(dim), f"dim={dim!r}: give the number of coordinates, e.g. @sf.loss(dim=2)", TypeError)

    def decorate(function: Callable[..., Any]) -> Loss:
        check(callable(function), f"function={function!r}: give a function of (w, p)", TypeError)
        for name, value in params.items():
            if not isinstance(parameter(name, value), PerPath | PerCoordinate):
                which_array(name, value, dim, sweep=f"declare {name}=1.0 and give the array to loss.replace({name}=...)")
        return Loss(getattr(function, "__name__", "loss"), dim, function, params, frozenset(), samples, kind)

    return decorate


def plain(loss: Any) -> Loss:
    """Return the loss if it is one function of w. Raises ValueError if it is not, TypeError if it is no Loss."""
    check(isinstance(loss, Loss), f"loss={loss!r}: give a Loss, e.g. sf.losses.beale()", TypeError)
    loss.need_one_function()
    return loss  # type: ignore[no-any-return]


def critical_point(loss: Loss, start: Numbers) -> CriticalPoint:
    """The critical point reached from a start; the same as `Loss.critical_point`."""
    return plain(loss).critical_point(start)


def critical_points(loss: Loss, box: Box, *, starts: int | Numbers = 100, seed: int = 0) -> list[CriticalPoint]:
    """The critical points in a box that are reached from many starts; the same as `Loss.critical_points`."""
    return plain(loss).critical_points(box, starts=starts, seed=seed)
