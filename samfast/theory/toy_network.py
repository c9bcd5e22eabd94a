r"""Laws of the toy network, two weights with random labels: which paths stay on the ridge :math:`w_0=0`.

The loss is :math:`(w_1w_0^2-y)^2` with y = -1 or 2 at equal chances.  Its mean :math:`(w_1w_0^2-\frac12)^2+\frac94` is 9/4 at
the minima and 5/2 on the ridge.  This is the setting of Kim, Park, Choi, Lee, "Stability Analysis of
Sharpness-Aware Minimization", Fig. 7; the laws are derived in this library.
"""

from __future__ import annotations

import math

import numpy as np

from ..checks import real_array, shapes_named, shown
from ._domain import Array, ArrayLike, checked, chosen, quiet, scalar

MINIBATCH = ("same", "independent")
LARGEST = 4096  # greatest batch size; independent minibatches in ascent and descent have its square of outcomes
COUNTED = 512  # up to this batch size the chances of the mean label are ratios of whole numbers


@shapes_named
def toy_network_trapped_loss(*, rho: ArrayLike, spread: ArrayLike = 0.1) -> Array:
    r"""Return the mean final loss under full-batch normalised SAM, :math:`\frac94+\frac14\min(1,\rho/s)`.

    The starts :math:`w_0` are uniform in (-s, s), s = ``spread``, and lr is small.  Exactly those with :math:`|w_0|<\rho` are
    trapped on the ridge; the others reach a minimum.
    """
    return scalar(2.25 + 0.25 * np.minimum(1.0, checked("rho", rho) / checked("spread", spread)))


def _labels(batch_size: float) -> tuple[Array, Array]:
    """Return the possible mean labels of a batch and their chances; an infinite batch has one mean."""
    if np.isinf(batch_size):
        return np.array([0.5]), np.array([1.0])
    b = int(checked("batch_size", batch_size))
    if b > LARGEST:
        raise ValueError(f"batch_size={batch_size:.6g}: give at most {LARGEST}, or numpy.inf for the full batch")
    if b != batch_size:
        raise ValueError(f"batch_size={batch_size!r}: give a whole number, or numpy.inf for the full batch")
    k = np.arange(b + 1)
    if b <= COUNTED:
        chance = [math.comb(b, i) / 2**b for i in range(b + 1)]  # ratios of whole numbers, each rounded once
        return (3 * k - b) / b, np.array(chance)
    from scipy.stats import binom  # takes half a second, so it is imported only where it is needed

    return (3 * k - b) / b, binom.pmf(k, b, 0.5)


def _log_factor(change: Array) -> Array:
    """Return ln|1 + change|, accurate also for a change so small that 1 + change would round it away."""
    return np.where(change > -1, np.log1p(np.maximum(change, -1.0)), np.log(np.abs(1 + change)))


@shapes_named
@quiet
def toy_network_exponent(
    weight: ArrayLike, *, lr: ArrayLike, rho: ArrayLike = 0.0, batch_size: ArrayLike = 1, minibatch: str = "same"
) -> Array:
    r"""Return the growth of :math:`\ln|w_0|` per update near the ridge for constant rho; the ridge attracts iff it is negative.

    It is :math:`E\ln|1+4\eta w_1\bar y'(1-4\rho w_1\bar y)|` with the mean labels :math:`\bar y` of the ascent and
    :math:`\bar y'` of the descent, equal for minibatch "same", independent of each other for "independent".
    ``weight`` is :math:`w_1`; ``batch_size`` is a whole number, or inf for the full batch.  Checked to 20 eps (1 + condition)
    down to lr = 1e-12.
    """
    chosen("minibatch", minibatch, MINIBATCH)
    given = (checked("weight", weight), checked("lr", lr), checked("rho", rho), real_array("batch_size", batch_size, 4))
    w, eta, r, sizes = np.broadcast_arrays(*given)
    rate = np.empty(w.shape)
    for size in np.unique(sizes):
        at = sizes == size
        rate[at] = _exponent(w[at][:, None], eta[at][:, None], r[at][:, None], float(size), minibatch)
    return scalar(rate)


def _exponent(w: Array, eta: Array, r: Array, batch_size: float, minibatch: str) -> Array:
    y, chance = _labels(batch_size)
    if minibatch == "same":
        return np.asarray((_log_factor(4 * eta * w * y * (1 - 4 * r * w * y)) * chance).sum(-1))
    change = 4 * (eta * w)[..., None] * y * (1 - 4 * (r * w)[..., None] * y[:, None])
    return np.asarray((_log_factor(change) * chance * chance[:, None]).sum((-2, -1)))


@shapes_named
@quiet
def toy_network_threshold(*, batch_size: ArrayLike = 1, minibatch: str = "same") -> Array:
    r"""Return the value of :math:`\rho w_1` above which the ridge attracts for constant rho as lr goes to 0.

    It is :math:`1/(2+18/B)` for the same minibatch in ascent and descent, so that a larger batch helps SAM, and 1/2 for
    independent ones.  ``batch_size`` inf is the full batch.
    """
    chosen("minibatch", minibatch, MINIBATCH)
    b = real_array("batch_size", batch_size, 64)
    if not (b >= 1).all():
        raise ValueError(f"batch_size={shown(batch_size)}: give at least 1, e.g. batch_size=64")
    return scalar(1 / (2 + 18 / b) if minibatch == "same" else np.full(b.shape, 0.5))


def toy_network_sgd_window() -> tuple[float, float]:
    r"""Return the open interval of :math:`\eta w_1` in which plain SGD of batch size 1 converges to the ridge.

    There :math:`(1+8x)|1-4x|<1` for :math:`x=\eta w_1`, which holds from 1/8 to :math:`(1+\sqrt{17})/16`.
    """
    return 0.125, float((1 + np.sqrt(17.0)) / 16)
