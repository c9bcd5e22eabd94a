r"""Statistics of a mean squared displacement estimated from independent Gaussian paths.

N zero-mean paths: :math:`N\hat M/\sigma^2\sim\chi^2_N`.  Derived in this library from textbook statistics.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammainccinv, gammaincinv

from ._domain import Array, ArrayLike, checked, directions, quiet, scalar


@quiet
def msd_interval(
    msd: ArrayLike, *, paths: ArrayLike, confidence: ArrayLike = 0.95, dof_per_path: ArrayLike = 1.0
) -> tuple[Array, Array]:
    r"""Return the chi-square interval (low, high) for the true MSD behind an estimate.

    :math:`[\nu\hat M/\chi^2_{\nu,1-\alpha/2},\ \nu\hat M/\chi^2_{\nu,\alpha/2}]` with
    :math:`\nu=N\cdot` ``dof_per_path`` (1 for one coordinate, :func:`satterthwaite_dof` for a sum).

    Raises ValueError for msd < 0, paths < 1 or confidence outside (0, 1).
    """
    m, level = checked("msd", msd), checked("confidence", confidence)
    half = checked("paths", paths) * checked("dof_per_path", dof_per_path) / 2
    tail = (1 - level) / 2
    low, high = half * m / gammainccinv(half, tail), half * m / gammaincinv(half, tail)
    return scalar(np.where(m == 0, 0.0, low)), scalar(np.where(m == 0, 0.0, high))


def msd_relative_sd(*, paths: ArrayLike, dof_per_path: ArrayLike = 1.0) -> Array:
    r"""Return the relative standard deviation :math:`\sqrt{2/\nu}` of an estimated MSD."""
    return scalar(np.sqrt(2 / (checked("paths", paths) * checked("dof_per_path", dof_per_path))))


def satterthwaite_dof(variances: ArrayLike) -> Array:
    r"""Return the degrees of freedom per path of a sum of squares, :math:`(\sum\sigma_j^2)^2/\sum\sigma_j^4`.

    ``variances`` runs over coordinates in its last axis.  The relative variance of the estimated total is
    exactly 2/(N dof); its distribution is chi-square only approximately unless all variances agree.
    """
    v = directions("variances", variances)
    top = v.max(axis=-1, keepdims=True)
    if not (top > 0).all():
        raise ValueError("variances=0: give at least one positive variance, e.g. variances=[1.0, 0.5]")
    share = v / top
    return scalar(share.sum(axis=-1) ** 2 / (share * share).sum(axis=-1))


def paths_for_msd(*, relative_error: ArrayLike, z: ArrayLike = 1.96, dof_per_path: ArrayLike = 1.0) -> Array:
    r"""Return the number of paths :math:`\lceil2(z/\varepsilon)^2/\mathrm{dof}\rceil` for a relative error.

    One per cent at 1.96 standard deviations needs 76 832 paths.
    """
    need = 2 * (checked("z", z) / checked("relative_error", relative_error)) ** 2
    # 1e-12: 2(2.1/0.3)^2 is a whole number that rounding lifts above itself
    return scalar(np.ceil(need / checked("dof_per_path", dof_per_path) * (1 - 1e-12)))


def squared_displacement_variance(*, variance: ArrayLike, mean: ArrayLike = 0.0) -> Array:
    r"""Return :math:`\mathrm{Var}(w^2)=2\sigma^4+4\mu^2\sigma^2` of a Gaussian w."""
    v, mu = checked("variance", variance), checked("mean", mean)
    return scalar(2 * v * v + 4 * mu * mu * v)


def antithetic_gain(*, variance: ArrayLike, mean: ArrayLike = 0.0) -> Array:
    r"""Return the variance of two independent paths' mean :math:`w^2` over that of an antithetic pair.

    :math:`\frac12+\mu^2/\sigma^2`: one half from the saddle, so do not use antithetic pairs for the MSD
    there; above 1 iff :math:`2\mu^2>\sigma^2`.
    """
    v, mu = checked("variance", variance, "diffusion_positive"), checked("mean", mean)
    return scalar(0.5 + mu * mu / v)
