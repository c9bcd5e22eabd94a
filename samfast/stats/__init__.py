"""Statistics of simulated paths, one source for NumPy and CuPy: arrays on a device stay there.

Paths lie along `axis`, by default the last; functions of vectors expect the coordinates last and the paths before them. All
other axes are settings. Diverged paths leave numbers that are not finite, which are left out and not counted. Results are
float64 (numbers of paths int64) in the namespace of the argument. No function waits for a device or branches on the values
there, except those documented to compute on the host, namely p-values, `chi_square`, `variance_interval` and `str`.
CuPy's kernels flush subnormal numbers: float32 numbers below 1.2e-38 on a GPU count as 0.

=============  ==============================================================================================
topic          contents
=============  ==============================================================================================
moments        ``moments`` ``Moments`` ``msd`` ``covariance``
errors         ``standard_error`` ``mean_interval`` ``variance_interval``; of a Gaussian MSD: ``theory.msd_interval``;
               on common random numbers: ``paired_difference`` ``PairedDifference``
distribution   ``quantiles`` ``Quantiles`` ``histogram`` ``Histogram``
escape         ``survival`` ``Survival``
comparison     ``z_score`` ``chi_square`` ``ks`` ``Goodness``
in parts       ``accumulate`` ``merge`` ``fits``
=============  ==============================================================================================
"""

from .agreement import Goodness, chi_square, ks, z_score
from .blocks import fits, merge
from .distribution import Histogram, Quantiles, histogram, quantiles
from .errors import PairedDifference, mean_interval, paired_difference, standard_error, variance_interval
from .escape import Survival, survival
from .moments import Moments, accumulate, covariance, moments, msd

__all__ = [
    "Goodness",
    "Histogram",
    "Moments",
    "PairedDifference",
    "Quantiles",
    "Survival",
    "accumulate",
    "chi_square",
    "covariance",
    "fits",
    "histogram",
    "ks",
    "mean_interval",
    "merge",
    "moments",
    "msd",
    "paired_difference",
    "quantiles",
    "standard_error",
    "survival",
    "variance_interval",
    "z_score",
]


def __dir__() -> list[str]:
    return __all__
