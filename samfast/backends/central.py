"""Means and central moments of blocks of paths, pooled in one tree: the same bits on every device and for every cut.

Of each feature we keep (c, a, M2, M3, M4). The mean is c + a, where c is one of the numbers; kept apart, the two hold more
digits than their sum. Mm is the sum of (x - mean)^m over n paths. Nothing is subtracted from anything much larger, so the
digits do not depend on how far the paths are from 0, from their start, or from each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np


@np.errstate(all="ignore")  # paths that are kept although they diverged: nan is meant
def central(sums: Any, count: Any, xp: Any = np) -> Any:
    """(..., feature, 1 + moments): c, a, M2, M3, M4, each of one block.

    sums: of the same shape, c and the sums of (x - c)^m, m = 1, 2, ...; count n: (...). With a = S1/n:
    M2 = S2 - n a^2, M3 = S3 - 3 a S2 + 2 n a^3, M4 = S4 - 4 a S3 + 6 a^2 S2 - 3 n a^4.
    """
    n = xp.maximum(count, 1)[..., None].astype(np.float64)
    s = [sums[..., m] for m in range(sums.shape[-1])]
    a = s[1] / n
    aa = a * a
    out = [s[0], a, xp.maximum(s[2] - n * aa, 0.0)]
    if len(s) > 3:
        out.append(s[3] - 3.0 * a * s[2] + 2.0 * n * aa * a)
    if len(s) > 4:
        out.append(s[4] - 4.0 * a * s[3] + 6.0 * aa * s[2] - 3.0 * n * aa * aa)
    return xp.stack(out, axis=-1)


@np.errstate(all="ignore")
def pooled(moments: Any, count: Any, xp: Any = np) -> tuple[Any, Any]:
    """All blocks together, pairwise in index order: aligned shards are subtrees. Blocks lie along the first axis."""
    while moments.shape[0] > 1:
        even = moments.shape[0] // 2 * 2
        pairs = _pair(moments[0:even:2], count[0:even:2], moments[1:even:2], count[1:even:2], xp)
        if even == moments.shape[0]:
            moments, count = pairs
        else:
            moments, count = (xp.concatenate((p, x[even:])) for p, x in zip(pairs, (moments, count), strict=True))
    return moments[0], count[0]


def _pair(one: Any, n_one: Any, other: Any, n_other: Any, xp: Any) -> tuple[Any, Any]:
    """Chan, Golub, LeVeque, Am. Stat. 37, 242 (1983); Pebay, Sandia report SAND2008-6212, eq. 3.1, for the higher ones."""
    p, q = (x[..., None].astype(np.float64) for x in (n_one, n_other))
    n = xp.maximum(p + q, 1.0)
    x, y = ([z[..., m] for m in range(z.shape[-1])] for z in (one, other))
    d, f, g = (y[0] - x[0]) + (y[1] - x[1]), p / n, q / n  # d: between the means
    out = [xp.where(p > 0, x[0], y[0]), xp.where(p > 0, x[1] + d * g, y[1]), x[2] + y[2] + d * d * (p * g)]
    if len(x) > 3:
        out.append(x[3] + y[3] + d * d * d * (p * g * (f - g)) + 3.0 * d * (f * y[2] - g * x[2]))
    if len(x) > 4:
        outer = d * d * (d * d) * (p * g * (f * f - f * g + g * g))
        out.append(x[4] + y[4] + outer + 6.0 * d * d * (f * f * y[2] + g * g * x[2]) + 4.0 * d * (f * y[3] - g * x[3]))
    return xp.stack(out, axis=-1), n_one + n_other


@np.errstate(all="ignore")
def about_the_mean(moments: np.ndarray, count: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """(sums, shift): the mean as a float64 number, and the sums of (x - shift)^m, (..., feature, moment).

    moments: as of `pooled`, of features that are numbers of `dtype`. Sums beyond the first are nan where the standard
    deviation is not 0 but less than the spacing of such numbers at the mean: that spread is mostly rounding. From there on
    the numbers show it, and it is computed to all the digits that they show.
    """
    n, shift = np.maximum(count, 1)[..., None].astype(float), moments[..., 0] + moments[..., 1]
    r = (moments[..., 0] - shift) + moments[..., 1]  # what rounding left out of the shift
    m = [moments[..., j] for j in range(moments.shape[-1])]
    sums = [n * r, m[2] + n * r * r]
    if len(m) > 3:
        sums.append(m[3] + 3.0 * r * m[2] + n * r * r * r)
    if len(m) > 4:
        sums.append(m[4] + 4.0 * r * m[3] + 6.0 * r * r * m[2] + n * r * r * r * r)
    spacing = np.finfo(dtype).eps * np.abs(shift)
    vague = (m[2] > 0) & (m[2] < n * (spacing * spacing))
    return np.stack([sums[0], *(np.where(vague, np.nan, s) for s in sums[1:])], -1), shift
