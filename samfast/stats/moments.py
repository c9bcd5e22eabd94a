"""Moments as sums of powers about a shift, which add; with means, variances and standard errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import tree
from ..checks import check, fitting, integer
from .blocks import Array, blocks, host, merge, namespace, numeric, paths_first, quiet, same_shape, summed

MOST = 16  # the highest power; sums of higher ones hold no correct digit in float64


@dataclass(frozen=True)
class Source:
    """The experiment and the paths that a record comes from, by which `+` refuses records that must not be added.

    of: (name, digest) of each part of the experiment, e.g. its program, parameters and start. paths: (stream, first,
    number) of each range of consecutive paths; `stream` names the noise, or the starts where there is no noise.
    """

    of: tuple[tuple[str, str], ...]
    paths: tuple[tuple[str, int, int], ...]

    def __add__(self, other: Source) -> Source:
        differ = [name for (name, mine), (_, yours) in zip(self.of, other.of, strict=True) if mine != yours]
        check(
            not differ,
            f"merge: the records are not of one experiment, they differ in {', '.join(differ)}; give runs that differ in "
            "their seed only, and compare others side by side",
        )
        for stream, first, number in other.paths:
            for mine, begin, length in self.paths:
                low, high = max(first, begin), min(first + number, begin + length)
                check(
                    stream != mine or low >= high,
                    f"merge: paths {low} to {high - 1} of {stream} are in both records and would count twice; "
                    "give runs with different seeds",
                )
        return Source(self.of, self.paths + other.paths)


@dataclass(frozen=True, eq=False, repr=False)
class Moments:
    r"""Sums :math:`S_m=\sum_i(x_i-c)^m`, m = 1, ..., order, over n paths. For two records, `a + b` is that of all paths.

    sums: (*settings, order). count n: (*settings). shift c: (*settings), near the mean, so that digits do not cancel.
    source: the experiment and the paths of the record, known if it comes from a run, else None.

    `a + b` raises ValueError if orders or shapes differ and, where both sources are known, if a path would be counted twice
    or the two are of different experiments.
    """

    sums: Array
    count: Array
    shift: Array
    source: Source | None = None

    @property
    def order(self) -> int:
        """The highest power whose sum is kept."""
        return int(self.sums.shape[-1])

    @quiet
    def _raw(self, m: int) -> Array:
        check(m <= self.order, f"order={self.order}: this needs moment {m}; give order={m}, or moments={m} to simulate")
        return self.sums[..., m - 1] / self.count

    @property
    def mean(self) -> Array:
        r"""Mean of the paths, :math:`c+S_1/n`, (*settings)."""
        return self._raw(1) + self.shift

    @quiet
    def central(self, m: int) -> Array:
        r"""Central moment :math:`\frac1n\sum_i(x_i-\bar x)^m`, not corrected for bias, (*settings); m from 2 to the order.

        It is computed as :math:`(1-m)(-a)^m+\sum_{j=2}^m\binom mj\frac{S_j}n(-a)^{m-j}` with :math:`a=S_1/n`. Raises
        ValueError for another m.
        """
        m = integer("m", m, 2, most=MOST)
        self._raw(m)  # an order beyond this record's is refused before anything is raised to it
        a = self._raw(1)
        return (1 - m) * (-a) ** m + sum(math.comb(m, j) * self._raw(j) * (-a) ** (m - j) for j in range(2, m + 1))

    @property
    @quiet
    def var(self) -> Array:
        r"""Unbiased variance, :math:`s^2=\frac1{n-1}\sum_i(x_i-\bar x)^2`, (*settings)."""
        return namespace(self.sums).maximum(self.central(2), 0.0) * (self.count / (self.count - 1.0))

    @property
    @quiet
    def std_error(self) -> Array:
        r"""Standard error of the mean, :math:`s/\sqrt n`, (*settings)."""
        return namespace(self.sums).sqrt(self.var / self.count)

    @property
    @quiet
    def var_std_error(self) -> Array:
        r"""Standard error of `var`, :math:`[(m_4-\frac{n-3}{n-1}s^4)/n]^{1/2}` with :math:`m_4` = `central(4)`, (*settings).

        Raises ValueError if the order is below 4. Source: Cramer, Mathematical Methods of Statistics (1946), eq. 27.4.2,
        with the unbiased variance.
        """
        n, xp = self.count, namespace(self.sums)
        return xp.sqrt(xp.maximum(self.central(4) - (n - 3.0) / (n - 1.0) * self.var**2, 0.0) / n)

    @quiet
    def about(self, shift: Array) -> Moments:
        """The same moments about another shift, by the binomial theorem; shift: (*settings)."""
        xp = namespace(self.sums)
        shift = fitting("shift", numeric("shift", shift, xp), tuple(self.sums.shape[:-1]))
        gap = self.shift - shift
        sums = [
            self.count * gap**m + sum(math.comb(m, j) * self.sums[..., j - 1] * gap ** (m - j) for j in range(1, m + 1))
            for m in range(1, self.order + 1)
        ]
        moved = xp.where((gap == 0)[..., None], self.sums, xp.stack(sums, axis=-1))  # gap 0: an overflowed sum times 0 is nan
        return Moments(moved, self.count, shift, self.source)

    def __add__(self, other: Moments) -> Moments:
        check(isinstance(other, Moments), f"merge: {other!r:.60} is no Moments; give records of one kind", TypeError)
        check(self.order == other.order, f"order={other.order}: the other moments have order {self.order}; give one order")
        same_shape(self.sums[..., 0], other.sums[..., 0])
        known = self.source and other.source
        source = self.source + other.source if known else self.source or other.source  # type: ignore[operator]
        if other.shift is self.shift:
            shift, one, two = self.shift, self, other
        else:
            shift = self._shift_with(other)
            one, two = self.about(shift), other.about(shift)
        return Moments(one.sums + two.sums, one.count + two.count, shift, source)

    @quiet
    def _shift_with(self, other: Moments) -> Array:
        """The shift of the sum with `other`, which is their common shift where there is one, else the mean of all paths.

        About this mean neither part loses digits, however far apart the two lie. There the binomial theorem of `about` is
        the pairwise formula of Chan, Golub, LeVeque, Am. Stat. 37, 242 (1983), which backends/central.py writes out up to
        the fourth moment.
        """
        xp, p, q = namespace(self.sums, other.sums), self.count, other.count
        gap = other.shift - self.shift
        apart = gap + (other.sums[..., 0] / q - self.sums[..., 0] / p)  # distance of the two means
        mean = self.mean + apart * (q / (p + q))
        mean = xp.where(p == 0, other.mean, xp.where(q == 0, self.mean, mean))
        return xp.where((gap == 0) | ~xp.isfinite(mean), self.shift, mean)

    def __repr__(self) -> str:
        return f"Moments(order {self.order}, shape {tuple(self.sums.shape[:-1])})"

    def __str__(self) -> str:
        mean, error = (
            np.array2string(host(x).reshape(-1)[:4], precision=6, separator=", ") for x in (self.mean, self.std_error)
        )
        return f"{self!r}: mean {mean}, standard error {error}, {int(np.max(host(self.count))):,} paths"


def moments(values: Any, order: int = 2, *, axis: int = -1, shift: Any = None) -> Moments:
    """Moments of the paths along `axis`, up to `order`; of a Run the moments that it recorded.

    values: an array, or a Run or other object whose attribute `moments` is Moments. shift: the point about which powers are
    summed, one number or an array that broadcasts to (*settings); by default the mean, which takes a second pass. The
    numbers are taken in blocks and summed in one binary tree, so that the bits depend only on the numbers and the shift.

    Raises ValueError for an order outside 1 to 16 or above that of the run, for an axis without paths, or for a shift that
    does not broadcast; TypeError for values that are not real numbers.
    """
    integer("order", order, 1, 2, most=MOST)
    recorded = getattr(values, "moments", None)
    if isinstance(recorded, Moments):
        check(
            order <= recorded.order,
            f"order={order}: the run recorded {recorded.order} moments; give moments={order} to simulate",
        )
        return recorded
    xp = namespace(values, shift)
    x = paths_first("values", values, axis, xp)
    return collect(lambda cut: x[cut], x.shape[0], tuple(x.shape[1:]), order, shift, xp)


@quiet
def collect(part: Callable[[slice], Array], paths: int, shape: tuple[int, ...], order: int, shift: Any, xp: Any) -> Moments:
    """Moments over all paths of the arrays part(cut), each of shape (paths of the slice `cut`, *shape); see `moments`."""
    integer("order", order, 1, 2, most=MOST)
    if shift is not None:
        shift = fitting("shift", numeric("shift", shift, xp), shape)

    def powers(cut: slice, about: Array, highest: int) -> Array:
        x = xp.asarray(part(cut), dtype=np.float64)
        finite, d = xp.isfinite(x), x - about
        whole = xp is np and bool(finite.all())  # this test of values would wait for a device
        d = d if whole else xp.where(finite, d, 0.0)
        found, term = [np.full(shape, float(len(x))) if whole else tree(finite.astype(np.float64), xp), tree(d, xp)], d
        for _ in range(1, highest):
            term = term * d
            found.append(tree(term, xp))
        return xp.stack(found, axis=-1)

    def sums(about: Array, highest: int) -> Array:
        return merge(powers(cut, about, highest) for cut in blocks(paths, math.prod(shape) * 3, xp))

    if shift is None:
        first = sums(xp.zeros(shape), 1)
        shift = xp.where(first[..., 0] > 0, first[..., 1] / first[..., 0], 0.0)
    about = xp.asarray(shift, dtype=np.float64)
    found = sums(about, order)
    return Moments(found[..., 1:], found[..., 0].astype(np.int64), about)


def accumulate(chunks: Iterable[Any], order: int = 2, *, axis: int = -1, shift: Any = None) -> Moments:
    """Moments of chunks of paths, arrays that come one after the other and need not be in memory together.

    order, axis and shift: as in `moments`. By default the shift is the mean of the first chunk that has a finite number in
    every setting; on a device it is the mean of the very first chunk, since looking at values would wait for the device.
    Chunks that are finished in any order are added by `merge`. Raises the errors of `moments` and `merge`.
    """

    check(isinstance(chunks, Iterable), f"chunks={chunks!r:.60}: give a sequence of arrays", TypeError)

    def parts() -> Iterable[Moments]:
        about = shift
        for chunk in chunks:
            part = moments(chunk, order, axis=axis, shift=about)
            if about is None and (namespace(part.count) is not np or (part.count > 0).all()):
                about = part.shift
            yield part

    return merge(parts())


def msd(values: Any, origin: Any = 0.0, *, axis: int = -2, shift: Any = None) -> Moments:
    r"""Moments of :math:`|w-w_0|^2` over the paths; `.mean` is the mean squared displacement, `.std_error` its error.

    values: (*settings, path, coordinate), as `run.final()` returns them. origin :math:`w_0`: any array that broadcasts to
    values, e.g. (coordinate,), (*settings, 1, coordinate), or one for each path. The unit is that of values, squared. For
    Gaussian paths theory.msd_relative_sd and theory.msd_interval give the exact error and interval. Raises ValueError for
    shapes that do not fit.
    """
    xp = namespace(values, origin, shift)
    x = paths_first("values", values, axis, xp)
    check(x.ndim > 1 and x.shape[-1] > 0, f"values has shape {tuple(x.shape)}: give coordinates last, e.g. values[:, None]")
    whole = tuple(xp.asarray(values).shape)
    about = fitting("origin", numeric("origin", origin, xp), whole)
    start = paths_first("origin", xp.broadcast_to(about, whole), axis, xp)

    def squares(cut: slice) -> Array:
        d = xp.asarray(x[cut], dtype=np.float64) - start[cut]
        return over_coordinates(d * d, xp)

    return collect(squares, x.shape[0], tuple(x.shape[1:-1]), 2, shift, xp)


def over_coordinates(x: Array, xp: Any) -> Array:
    """The sum over the last axis, one coordinate after the other, so that every namespace rounds alike."""
    total = x[..., 0]
    for j in range(1, x.shape[-1]):
        total = total + x[..., j]
    return total


@quiet
def covariance(values: Any, *, axis: int = -2) -> Array:
    r"""Return the unbiased :math:`\frac1{n-1}\sum_i(x_i-\bar x)(x_i-\bar x)^T`, (*settings, k, k).

    values: (*settings, path, k). A path is left out if one of its coordinates is not finite. The unit is that of values,
    squared. Raises ValueError for an array without coordinates or paths.
    """
    xp = namespace(values)
    x = paths_first("values", values, axis, xp)
    check(x.ndim > 1 and x.shape[-1] > 0, f"values has shape {tuple(x.shape)}: give coordinates last, e.g. values[:, None]")
    k, each = int(x.shape[-1]), math.prod(x.shape[1:])

    def finite(cut: slice) -> tuple[Array, Array]:
        part = xp.asarray(x[cut], dtype=np.float64)
        whole = xp.isfinite(over_coordinates(xp.abs(part) * 0.0, xp))[..., None]
        return part, whole

    count = summed(x.shape[0], each, lambda cut: finite(cut)[1].astype(np.float64), xp)
    mean = summed(x.shape[0], each, lambda cut: xp.where(finite(cut)[1], finite(cut)[0], 0.0), xp) / count

    def products(cut: slice) -> Array:
        part, whole = finite(cut)
        d = xp.where(whole, part - mean, 0.0)
        return d[..., :, None] * d[..., None, :]

    return summed(x.shape[0], each * (k + 2), products, xp) / (count[..., None] - 1.0)
