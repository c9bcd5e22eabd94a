r"""Statistics of a mean squared displacement estimated from independent Gaussian paths.

For N paths of mean zero and variance :math:`\sigma^2` the estimate :math:`\hat M` obeys
:math:`N\hat M/\sigma^2\sim\chi^2_N`.  Derived in this library from textbook statistics.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammainccinv, gammaincinv

from ..checks import shapes_named
from ._domain import Array, ArrayLike, checked, directions, quiet, scalar


@shapes_named
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


@shapes_named
def msd_relative_sd(*, paths: ArrayLike, dof_per_path: ArrayLike = 1.0) -> Array:
    r"""Return the relative standard deviation :math:`\sqrt{2/\nu}` of an estimated MSD."""
    return scalar(np.sqrt(2 / (checked("paths", paths) * checked("dof_per_path", dof_per_path))))


@shapes_named
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


@shapes_named
def paths_for_msd(*, relative_error: ArrayLike, z: ArrayLike = 1.96, dof_per_path: ArrayLike = 1.0) -> Array:
    r"""Return the number of paths :math:`\lceil2(z/\varepsilon)^2/\mathrm{dof}\rceil` for a relative error.

    One per cent at 1.96 standard deviations needs 76 832 paths.
    """
    need = 2 * (checked("z", z) / checked("relative_error", relative_error)) ** 2
    # 1e-12 takes back what rounding adds to a whole number, such as 2(2.1/0.3)^2
    return scalar(np.ceil(need / checked("dof_per_path", dof_per_path) * (1 - 1e-12)))


@shapes_named
def squared_displacement_variance(*, variance: ArrayLike, mean: ArrayLike = 0.0) -> Array:
    r"""Return :math:`\mathrm{Var}(w^2)=2\sigma^4+4\mu^2\sigma^2` of a Gaussian w."""
    v, mu = checked("variance", variance), checked("mean", mean)
    return scalar(2 * v * v + 4 * mu * mu * v)


@shapes_named
def antithetic_gain(*, variance: ArrayLike, mean: ArrayLike = 0.0) -> Array:
    r"""Return the ratio of the variances of the mean of :math:`w^2`, two independent paths over an antithetic pair.

    It is :math:`\frac12+\mu^2/\sigma^2`, above 1 iff :math:`2\mu^2>\sigma^2`.  For a start at the saddle it is one half, so
    antithetic pairs should not be used for the MSD there.
    """
    v, mu = checked("variance", variance, "diffusion_positive"), checked("mean", mean)
    return scalar(0.5 + mu * mu / v)
