"""The namespace of an array, the blocks of paths that are worked on at once, and the order in which they are summed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from ..arrays import free_memory, tree
from ..checks import check, instance, number, real_array, shown, text

Array = Any  # an array of NumPy or CuPy
Part = TypeVar("Part")
ELEMENTS = 2**21  # most float64 numbers of one temporary array on a GPU, 16 MB
CACHED = 2**17  # the same on a processor, whose cache should hold it, 1 MB
SHARE = 0.8  # of the free memory, the most that one computation may need
quiet = np.errstate(all="ignore")  # a division by 0 gives nan without a warning, as it does in CuPy


def namespace(*arrays: Any) -> Any:
    """CuPy if one of the arrays is CuPy's, else NumPy. Only an array of CuPy makes it import CuPy."""
    if any(type(x).__module__.partition(".")[0] == "cupy" for x in arrays):
        return importlib.import_module("cupy")
    return np


def host(x: Any) -> np.ndarray:
    """The array in NumPy; an array on a device is copied after the device has finished computing it."""
    xp = namespace(x)
    return np.asarray(x) if xp is np else np.asarray(xp.asnumpy(x))


def numeric(name: str, values: Any, xp: Any) -> Array:
    """The values as an array; TypeError if values in host memory are not real numbers. Arrays of CuPy are not examined."""
    if xp is not np:
        return xp.asarray(values)
    if isinstance(values, np.ndarray) and values.dtype.kind in "iufb" and not isinstance(values, np.ma.MaskedArray):
        return values
    return real_array(name, values, [0.1, 0.2])


def paths_first(name: str, values: Any, axis: int, xp: Any) -> Array:
    """A view of the array with its paths on the first axis; ValueError if there is no such axis or no path along it."""
    x = numeric(name, values, xp)
    axis = int(instance("axis", axis, (int, np.integer), "give an integer, e.g. axis=-1"))
    check(
        x.ndim > 0 and -x.ndim <= axis < x.ndim, f"axis={axis}: {name} has shape {tuple(x.shape)}; give the axis of the paths"
    )
    check(x.shape[axis] > 0, f"{name} has shape {tuple(x.shape)}: give at least one path along axis {axis}")
    return xp.moveaxis(x, axis, 0)


def blocks(paths: int, each: int, xp: Any) -> Iterator[slice]:
    """Slices of 2^m consecutive paths each, of which the last may have fewer.

    m is the largest for which a temporary with `each` numbers per path stays small (ELEMENTS, CACHED). Since all lengths
    are one power of 2, each block is a subtree of the binary tree that sums all paths.
    """
    length = 1 << max(0, (min(ELEMENTS, CACHED if xp is np else ELEMENTS) // max(each, 1)).bit_length() - 1)
    return (slice(i, min(i + length, paths)) for i in range(0, paths, length))


def summed(paths: int, each: int, part: Callable[[slice], Array], xp: Any) -> Array:
    """The sum over all paths of the arrays part(cut), whose first axis is the paths of `cut`; each: as in `blocks`."""
    return merge(tree(part(cut), xp) for cut in blocks(paths, each, xp))


def merge(parts: Iterable[Part] | Mapping[int, Part]) -> Part:
    """Add records (Moments, Histogram) or arrays of one shape in one binary tree, pairwise in index order.

    parts: a sequence in index order, or a mapping from index to record that was filled in any order. Parts of 2^m paths
    each (the last may have fewer) that have the same `shift` give the same bits for every m, and the same as all paths at
    once. Records of runs (`stats.moments(run)`) hold the paths and the experiment that they come from.

    Raises ValueError if there is no part, if shapes differ, if a path would count twice or if two runs are of different
    experiments; TypeError for a part that is no record or of another kind than the first.
    """
    check(isinstance(parts, Iterable), f"parts={parts!r:.60}: give a sequence of records, or a mapping of them", TypeError)
    ordered = (parts[i] for i in sorted(parts)) if isinstance(parts, Mapping) else iter(parts)
    waiting: list[tuple[int, Any]] = []  # (level, sum of 2^level parts), levels descending
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
    """Raise ValueError if two arrays differ in shape, even if they broadcast, since only equal settings may be added."""
    a, b = tuple(one.shape), tuple(other.shape)
    check(a == b, f"merge: the records have shapes {a} and {b}; give records of the same settings, times and features")


def _same_kind(part: Any, first: Any) -> Any:
    """The first part (`part` itself if first is None); TypeError if `part` is no record or of another kind than the first."""
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
    """Raise MemoryError if `need` bytes exceed 80 % of the free memory, before anything is allocated.

    xp: NumPy for the memory of the host, CuPy for that of its current device. what: name of the data in the message. Where
    the free memory is unknown, nothing is raised.
    """
    need = number("need", need, low=0.0, example=1e9)
    check(hasattr(xp, "ndarray"), f"xp={shown(xp)}: give the module numpy or cupy", TypeError)
    text("what", what, "values")
    have = free_memory(xp)
    check(
        have is None or need <= SHARE * have,
        f"{what}: this needs {need / 1e9:.3g} GB, and {(have or 0) / 1e9:.3g} GB are "
        "free: give fewer paths or settings at once, and add the parts with samfast.stats.merge",
        MemoryError,
    )
