"""Confidence intervals, degrees of freedom and sample sizes."""

import mpmath as mp
import numpy as np
import pytest
from tolerance import relative

from samfast import theory as T


@pytest.mark.parametrize("paths", [1, 2, 10, 1000])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.9999])
def test_interval_is_the_chi_square_one(paths, confidence):
    low, high = T.msd_interval(0.3, paths=paths, confidence=confidence)
    tail = (1 - confidence) / 2
    for end, upper in ((low, True), (high, False)):
        quantile = mp.mpf(paths) * mp.mpf("0.3") / mp.mpf(float(end))
        below = mp.gammainc(mp.mpf(paths) / 2, 0, quantile / 2, regularized=True)
        assert float(1 - below if upper else below) == relative(tail, 1e-10)


def test_interval_for_many_paths_is_the_normal_one():
    low, high = T.msd_interval(1.0, paths=10**8)
    # 1.96 sqrt(2/N); the skewness is of order 1/N
    assert (high - low) / 2 == relative(1.959963984540054 * np.sqrt(2e-8), 1e-6)
    assert T.msd_interval(0.0, paths=5) == (0, 0)


def test_interval_covers_as_often_as_it_says():
    """4000 samples of 5 paths at 90 %: 5 sd are 2.4 %; with dof N-1 coverage would be 4 % off."""
    rng = np.random.default_rng(1)
    msd = (rng.standard_normal((4000, 5)) ** 2).mean(1)
    low, high = T.msd_interval(msd, paths=5, confidence=0.9)
    assert np.mean((low < 1) & (high > 1)) == pytest.approx(0.9, abs=0.024)


def test_degrees_of_freedom_of_a_sum():
    assert T.satterthwaite_dof([2.0, 2.0, 2.0]) == relative(3, 1e-15)
    assert T.satterthwaite_dof([1e200, 0.0]) == 1
    v = np.array([[1.0, 0.5, 0.1], [3.0, 0.0, 0.0]])
    expected = v.sum(1) ** 2 / (v**2).sum(1)
    np.testing.assert_allclose(T.satterthwaite_dof(v), expected, rtol=1e-15)
    # the relative variance of the estimated sum, 2 sum s^4/(N (sum s^2)^2)
    sd = T.msd_relative_sd(paths=100, dof_per_path=T.satterthwaite_dof(v))
    np.testing.assert_allclose(sd**2, 2 * (v**2).sum(1) / 100 / v.sum(1) ** 2, rtol=1e-14)
    with pytest.raises(ValueError, match="at least one positive variance"):
        T.satterthwaite_dof([0.0, 0.0])
    wide = T.msd_interval(1.0, paths=100, dof_per_path=2.0)
    assert wide == T.msd_interval(1.0, paths=200)


def test_sample_sizes():
    assert T.paths_for_msd(relative_error=0.01) == 76_832
    assert T.paths_for_msd(relative_error=0.3, z=2.1) == 98  # rounding lifts 2(2.1/0.3)^2 above it
    assert T.paths_for_msd(relative_error=0.01, z=1.0, dof_per_path=2.0) == 10_000
    assert T.msd_relative_sd(paths=10**6) == relative(0.0014142, 1e-4)


def test_squared_displacement_and_antithetic_pairs():
    """Gaussian integrals by quadrature: Var w^2, and the variance of an antithetic pair's mean of w^2."""
    x, weight = np.polynomial.hermite_e.hermegauss(20)
    weight = weight / weight.sum()
    for mean in (0.0, 0.4, 3.0):
        w, mirrored = mean + 0.7 * x, mean - 0.7 * x
        single = weight @ w**4 - (weight @ w**2) ** 2
        assert T.squared_displacement_variance(variance=0.49, mean=mean) == relative(single, 1e-12)
        pair = (w**2 + mirrored**2) / 2
        gain = single / 2 / (weight @ pair**2 - (weight @ pair) ** 2)
        assert T.antithetic_gain(variance=0.49, mean=mean) == relative(gain, 1e-12)
    assert T.antithetic_gain(variance=2.0) == 0.5
