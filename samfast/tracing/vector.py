"""Vectors of symbols, so that losses and rules read like mathematics: coordinate by coordinate, or all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from .dispatch import Symbolic, TraceError
from .expr import Expr, lift


class NeedsCoordinatesError(Exception):
    """A function asked for single coordinates of a `Wide` vector: it must be traced with all of them."""


class Vector(Symbolic, tuple):
    """A vector with elementwise arithmetic: w + 2*g, w*w, w[0], len(w), for x in w."""

    __slots__ = ()
    __array_priority__ = 2000

    def _map(self, other: Any, f: Callable[[Any, Any], Any]) -> Any:
        if isinstance(other, np.ndarray) and other.ndim == 1:
            other = other.tolist()
        if isinstance(other, Wide):
            raise NeedsCoordinatesError
        if isinstance(other, tuple | list):
            if len(self) != len(other):
                raise TraceError(f"vectors of lengths {len(self)} and {len(other)} do not combine: give both one length")
            return Vector(f(x, y) for x, y in zip(self, other, strict=True))
        return Vector(f(x, other) for x in self)

    def __add__(self, other: Any) -> Any:
        return self._map(other, lambda x, y: x + y)

    def __radd__(self, other: Any) -> Any:
        if isinstance(other, int) and other == 0:  # Python's sum(vectors) starts at 0.
            return self
        return self._map(other, lambda x, y: y + x)

    def __sub__(self, other: Any) -> Any:
        return self._map(other, lambda x, y: x - y)

    def __rsub__(self, other: Any) -> Any:
        return self._map(other, lambda x, y: y - x)

    def __mul__(self, other: Any) -> Any:
        return self._map(other, lambda x, y: x * y)

    def __rmul__(self, other: Any) -> Any:
        return self._map(other, lambda x, y: y * x)

    def __truediv__(self, other: Any) -> Any:
        return self._map(other, lambda x, y: x / y)

    def __rtruediv__(self, other: Any) -> Any:
        return self._map(other, lambda x, y: y / x)

    def __mod__(self, other: Any) -> Any:
        return self._map(other, lambda x, y: x % y)

    def __floordiv__(self, other: Any) -> Any:
        return self._map(other, lambda x, y: x // y)

    def __pow__(self, n: Any) -> Any:
        return self._map(n, lambda x, y: x**y)

    def __lt__(self, other: Any) -> Any:
        return self._map(other, lambda x, y: x < y)

    def __le__(self, other: Any) -> Any:
        return self._map(other, lambda x, y: x <= y)

    def __gt__(self, other: Any) -> Any:
        return self._map(other, lambda x, y: x > y)

    def __ge__(self, other: Any) -> Any:
        return self._map(other, lambda x, y: x >= y)

    def __neg__(self) -> Any:
        return self.apply(lambda x: -x)

    def __abs__(self) -> Any:
        return self.apply(abs)

    def __getitem__(self, index: Any) -> Any:
        try:
            item = tuple.__getitem__(self, index)
        except IndexError:
            raise TraceError(
                f"w[{index}]: the vector has {len(self)} coordinates, 0 to {len(self) - 1}; "
                "give the loss a larger dim or a smaller index"
            ) from None
        return Vector(item) if isinstance(index, slice) else item

    def apply(self, f: Callable[[Any], Any]) -> Any:
        """f of each coordinate."""
        return Vector(f(x) for x in self)


class Wide(Vector):
    """All coordinates at once, by one symbol that stands for each of them.

    With it a program of many coordinates is traced in the time of one. What asks for a single coordinate, or how many there
    are, raises NeedsCoordinatesError, and the function is traced with every coordinate instead.
    """

    __slots__ = ()

    def __new__(cls, e: Expr) -> Wide:
        return super().__new__(cls, (e,))

    @property
    def one(self) -> Expr:
        """The symbol that stands for each coordinate."""
        return tuple.__getitem__(self, 0)

    def _map(self, other: Any, f: Callable[[Any, Any], Any]) -> Any:
        if isinstance(other, Wide):
            return Wide(lift(f(self.one, other.one)))
        if isinstance(other, tuple | list) or np.ndim(other) > 0:
            raise NeedsCoordinatesError
        return Wide(lift(f(self.one, other)))

    def apply(self, f: Callable[[Any], Any]) -> Any:
        return Wide(lift(f(self.one)))

    def __getitem__(self, index: Any) -> Any:
        raise NeedsCoordinatesError

    def __iter__(self) -> Iterator[Any]:
        raise NeedsCoordinatesError

    def __len__(self) -> int:
        raise NeedsCoordinatesError


def vector(items: Iterable[Any]) -> Vector:
    return Vector(items)
