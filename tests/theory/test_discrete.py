"""Exact moments of the algorithm without momentum: claims 4 and 5 of the specification."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from precise import close, ou_variance, spread
from tolerance import relative

from samfast import theory as T


def exact_variance(n):
    def variance(k, d, h):
        u = k * h * (k * h - 2)
        return 2 * d * h * (n if u == 0 else ((1 + u) ** n - 1) / u)

    return variance


steps = st.one_of(st.integers(0, 50), st.builds(lambda e: int(10**e), st.floats(0, 12)))
ratios = st.one_of(spread(-12, 0.3, (1, -1, 0)), st.sampled_from([1.0, 2.0, 1 - 1e-9, 2 - 1e-9, 2 + 1e-9, 1.5]))


@given(steps, ratios)
def test_variance_mean_and_displacement(n, x):
    h = 0.125  # a power of two, so that curvature*dt is exactly x
    k = x / h
    if n * np.log(max(abs(1 - x), 1e-300)) > 340:
        n = int(340 / np.log(abs(1 - x)))
    close(T.em_variance(n, curvature=k, diffusion=0.3, dt=h), exact_variance(n), [k, 0.3, h], 6)
    if n > 0:
        log_value = T.log_em_variance(n, curvature=k, diffusion=0.3, dt=h)
        close(log_value, lambda *a: mp.log(exact_variance(n)(*a)), [k, 0.3, h], 6)
    close(T.em_mean(n, curvature=k, dt=h, start=0.7), lambda a, b, c: c * (1 - a * b) ** n, [k, h, 0.7], 6)

    def msd(a, b):
        return mp.mpf("0.49") * ((1 - a * b) ** n - 1) ** 2 + exact_variance(n)(a, mp.mpf("0.25"), b)

    found = T.em_msd(n, curvature=k, diffusion=0.25, dt=h, start=0.7)
    close(found, msd, [k, h], 20)  # 0.7**2 against 0.49 costs 2 eps, the two terms up to 6 each


@pytest.mark.parametrize("x", [-0.3, -1e-6, 0.0, 1e-6, 0.4, 1.0, 1.7, 2.0, 2.005])
def test_against_the_naive_recursion(x):
    h, d = 0.1, 0.3
    variance, mean = 0.0, 0.7
    for n in range(1, 1001):
        variance, mean = (1 - x) ** 2 * variance + 2 * d * h, (1 - x) * mean
        if n in (1, 2, 3, 10, 100, 999, 1000):
            found = T.em_variance(n, curvature=x / h, diffusion=d, dt=h)
            assert found == relative(variance, 1e-12)
            assert T.em_mean(n, curvature=x / h, dt=h, start=0.7) == pytest.approx(mean, rel=1e-12, abs=1e-300)


def test_special_points_and_stationary_value():
    np.testing.assert_allclose(T.em_variance([1, 2, 9], curvature=10.0, diffusion=0.3, dt=0.1), 0.06, rtol=1e-15)
    np.testing.assert_allclose(T.em_variance([1, 2, 9], curvature=20.0, diffusion=0.3, dt=0.1), [0.06, 0.12, 0.54], rtol=1e-15)
    final = T.em_stationary_variance(curvature=3.0, diffusion=0.3, dt=0.1)
    assert T.em_variance(10**9, curvature=3.0, diffusion=0.3, dt=0.1) == relative(final, 1e-14)
    np.testing.assert_array_equal(T.em_stationary_variance(curvature=[0.0, -1.0, 20.0], diffusion=0.3, dt=0.1), np.inf)
    assert T.em_variance(0, curvature=1.0, diffusion=0.3, dt=0.1) == 0
    assert T.em_mean(0, curvature=10.0, dt=0.1, start=0.7) == 0.7
    # stationary factor 1/(1 - x/2) against the SDE
    assert final / T.stationary_variance(curvature=3.0, diffusion=0.3) == relative(1 / 0.85, 1e-14)


@given(st.integers(1, 10**6), spread(-10, 0, (1, -1)))
def test_embedding_has_the_law_of_the_algorithm(n, x):
    x = min(x, 0.9)
    if x < 0:
        n = min(n, int(200 / -x))
    k, d = T.ou_embedding(curvature=x / 0.25, diffusion=0.3, dt=0.25)
    found = T.sde_variance(0.25 * n, curvature=k, diffusion=d)
    # kappa' is within 2 eps, so the exponent 2 n ln(1-x) costs its size in eps
    tolerance = 1e-14 + 1e-15 * n * abs(np.log1p(-x))
    assert found == relative(T.em_variance(n, curvature=x / 0.25, diffusion=0.3, dt=0.25), tolerance)


@given(st.integers(1, 10**8), spread(-9, 0.2, (1, -1)))
def test_bias_without_cancellation(n, x):
    h = 0.125
    if x < 0:
        n = min(n, int(100 / -x))

    def bias(a, b):
        return exact_variance(n)(a, mp.mpf("0.25"), b) - ou_variance(n * b, a, mp.mpf("0.25"))

    close(T.em_bias(n, curvature=x / h, diffusion=0.25, dt=h), bias, [x / h, h], 20)


def test_halving_dt_halves_the_bias():
    for k in (-1.0, 0.7):
        for t in (0.5, 3.0):
            coarse = T.em_bias(round(t / 0.01), curvature=k, diffusion=0.2, dt=0.01)
            fine = T.em_bias(round(t / 0.005), curvature=k, diffusion=0.2, dt=0.005)
            assert coarse / fine == relative(2, 0.05)
            leading = T.em_bias_leading(round(t / 0.005), curvature=k, diffusion=0.2, dt=0.005)
            assert fine == relative(leading, 0.05)


def test_no_continuous_law_beyond_one():
    with pytest.raises(ValueError, match=r"curvature\*dt=1.2 .* give dt below 1/curvature"):
        T.ou_embedding(curvature=12.0, diffusion=0.1, dt=0.1)
