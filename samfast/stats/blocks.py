"""Where an array lives, how much of it is worked on at once, and in which order it is summed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from ..arrays import free_memory, tree
from ..checks import check, instance, numbers, real_array

Array = Any  # of NumPy or CuPy
Part = TypeVar("Part")
ELEMENTS = 2**21  # float64 numbers of one temporary: 16 MB
CACHED = 2**17  # and on a processor, whose cache it should fit
SHARE = 0.8  # of the free memory that may be asked for
quiet = np.errstate(all="ignore")  # nan where there is nothing to divide by; CuPy does not warn


def namespace(*arrays: Any) -> Any:
    """CuPy if one of the arrays is CuPy's, else NumPy. CuPy is imported for its own arrays only."""
    if any(type(x).__module__.partition(".")[0] == "cupy" for x in arrays):
        return importlib.import_module("cupy")
    return np


def host(x: Any) -> np.ndarray:
    """The array in NumPy; from a device it is copied when that has finished."""
    xp = namespace(x)
    return np.asarray(x) if xp is np else np.asarray(xp.asnumpy(x))


def numeric(name: str, values: Any, xp: Any) -> Array:
    """The array, if it is one of real numbers; values on the host are looked at as every argument is."""
    if xp is not np:
        return xp.asarray(values)
    if isinstance(values, np.ndarray) and values.dtype.kind in "iufb" and not isinstance(values, np.ma.MaskedArray):
        return values
    return real_array(name, values, [0.1, 0.2])


def fitting(name: str, x: Array, shape: tuple[int, ...]) -> Array:
    """The array, if it broadcasts to this shape."""
    fits = x.ndim <= len(shape) and all(n in (1, m) for n, m in zip(x.shape[::-1], shape[::-1], strict=False))
    check(fits, f"{name} has shape {tuple(x.shape)}: give one number, or an array that broadcasts to {shape}")
    return x


def paths_first(name: str, values: Any, axis: int, xp: Any) -> Array:
    """The array with its paths on the first axis: a view."""
    x = numeric(name, values, xp)
    axis = int(instance("axis", axis, (int, np.integer), "give an integer, e.g. axis=-1"))
    check(
        x.ndim > 0 and -x.ndim <= axis < x.ndim, f"axis={axis}: {name} has shape {tuple(x.shape)}; give the axis of the paths"
    )
    check(x.shape[axis] > 0, f"{name} has shape {tuple(x.shape)}: give at least one path along axis {axis}")
    return xp.moveaxis(x, axis, 0)


def blocks(paths: int, each: int, xp: Any) -> Iterator[slice]:
    """Cuts into 2^m paths, as many as fit a temporary with `each` numbers a path: subtrees of the tree of all paths."""
    length = 1 << max(0, (min(ELEMENTS, CACHED if xp is np else ELEMENTS) // max(each, 1)).bit_length() - 1)
    return (slice(i, min(i + length, paths)) for i in range(0, paths, length))


def summed(paths: int, each: int, part: Callable[[slice], Array], xp: Any) -> Array:
    """The sum over all paths, in blocks; part(cut): the numbers of some paths, those on the first axis."""
    return merge(tree(part(cut), xp) for cut in blocks(paths, each, xp))


def merge(parts: Iterable[Part] | Mapping[int, Part]) -> Part:
    """Add records (Moments, Histogram) or arrays in one binary tree, pairwise in index order.

    parts: in index order, or a mapping index -> record that was filled in any order. Parts of 2^m paths each (the last
    may have fewer) and with one `shift` give the same bits for every m and for the whole at once. Parts must have one
    shape. Records of runs (`stats.moments(run)`) know what they are of: a path that occurs twice and records of different
    experiments are refused. Raises ValueError, or TypeError for what is no record.
    """
    check(isinstance(parts, Iterable), f"parts={parts!r:.60}: give a sequence of records, or a mapping of them", TypeError)
    ordered = (parts[i] for i in sorted(parts)) if isinstance(parts, Mapping) else iter(parts)
    waiting: list[tuple[int, Any]] = []  # of 2^level parts each
    first: Any = None
    for part in ordered:
        first = _same_kind(part, first)
        level, total = 0, part
        while waiting and waiting[-1][0] == level:
            level, total = level + 1, waiting.pop()[1] + total
        waiting.append((level, total))
    check(len(waiting) > 0, "merge: there are no parts; give at least one")
    total = waiting.pop()[1]
    while waiting:
        total = waiting.pop()[1] + total
    return total


def same_shape(one: Any, other: Any) -> None:
    """Raise ValueError for two arrays that would only broadcast: what is added must be of the same settings."""
    a, b = tuple(one.shape), tuple(other.shape)
    check(a == b, f"merge: the records have shapes {a} and {b}; give records of the same settings, times and features")


def _same_kind(part: Any, first: Any) -> Any:
    """The first part, to which each of the others must be alike."""
    array = hasattr(part, "shape") and hasattr(part, "dtype")
    check(
        array or isinstance(part, int | float) or (type(part).__module__.startswith("samfast.") and hasattr(part, "__add__")),
        f"merge: {part!r:.60} is no record; give Moments, Histograms or arrays, e.g. merge([stats.moments(run), ...])",
        TypeError,
    )
    if first is None:
        return part
    check(
        array == (hasattr(first, "shape") and hasattr(first, "dtype")) and (array or type(part) is type(first)),
        f"merge: {type(first).__name__} and {type(part).__name__} do not add; give records of one kind",
        TypeError,
    )
    if array:
        same_shape(first, part)
    return first


def fits(need: float, *, xp: Any = np, what: str = "values") -> None:
    """Raise MemoryError, before the work, if `need` bytes are more than 80 % of what is free (of the device, for CuPy)."""
    numbers("need", need, low=0.0, example=1e9)
    have = free_memory(xp)
    check(
        have is None or need <= SHARE * have,
        f"{what}: this needs {need / 1e9:.3g} GB, and {(have or 0) / 1e9:.3g} GB are "
        "free: give fewer paths or settings at once, and add the parts with samfast.stats.merge",
        MemoryError,
    )
