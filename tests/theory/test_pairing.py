"""Common random numbers: the statistics of the paired estimator, exactly and by a paired simulation."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from precise import close, ou_variance, phi1, spread
from tolerance import relative

from samfast import theory as T

PATHS_FOR_3_SD = {
    0.01: [(21, 3.6e11), (21, 3.6e7), (21, 1.4e6)],
    0.1: [(21, 3.4e9), (21, 3.4e5), (21, 1.4e4)],
    1: [(19, 2.1e7), (19, 2.2e3), (20, 109)],
}


def parts(t, e, rho, drift):
    k = e * (1 + rho * e) ** (1 if drift == "plain" else 2)
    d = abs(e) / 20
    return ou_variance(t, e, d), ou_variance(t, k, d), 2 * d * t * phi1(-(e + k) * t)


problems = st.tuples(spread(-6, 2.0), spread(-3, 2, (1, -1)), spread(-6, 1.2), st.sampled_from(["plain", "chain"]))


@given(problems)
def test_paired_variance_and_paths(problem):
    t, e, rho, drift = problem
    arguments = [t / abs(e), e, rho / abs(e)]

    def variance(*a):
        x, y, c = parts(*a, drift)
        return 2 * (x * x + y * y - 2 * c * c)

    def paths(*a):
        x, y, c = parts(*a, drift)
        return 2 * (x * x + y * y - 2 * c * c) / (x - y) ** 2

    found = T.paired_difference_variance(arguments[0], eigenvalue=e, lr=0.1, rho=arguments[2], drift=drift)
    close(found, variance, arguments, 20)
    found = T.paths_to_resolve(arguments[0], eigenvalue=e, rho=arguments[2], drift=drift, z=1.0)
    close(found, paths, arguments, 20)

    def unpaired(*a):
        x, y, _ = parts(*a, drift)
        return 2 * (x * x + y * y) / (x - y) ** 2

    found = T.paths_to_resolve(arguments[0], eigenvalue=e, rho=arguments[2], drift=drift, z=1.0, paired=False)
    close(found, unpaired, arguments, 20)


@given(problems)
def test_control_variate(problem):
    t, e, rho, drift = problem
    arguments = [t / abs(e), e, rho / abs(e)]

    def beta(*a):
        x, _, c = parts(*a, drift)
        return (c / x) ** 2

    def residual(*a):
        x, y, c = parts(*a, drift)
        return 2 * y * y * (1 - (c * c / (x * y)) ** 2)

    found = T.control_variate(arguments[0], eigenvalue=e, lr=0.1, rho=arguments[2], drift=drift)
    close(found[0], beta, arguments, 20)
    if np.isfinite(found[1]):
        close(found[1], residual, arguments, 20)


def test_table_of_paths():
    for t, row in PATHS_FOR_3_SD.items():
        for rho, (paired, independent) in zip((0.001, 0.1, 0.5), row, strict=True):
            assert T.paths_to_resolve(t, eigenvalue=-1.0, rho=rho) == pytest.approx(paired, abs=0.5)
            found = T.paths_to_resolve(t, eigenvalue=-1.0, rho=rho, paired=False)
            assert found == relative(independent, 0.03)  # printed to two digits


def test_limits():
    assert T.paths_to_resolve(1e-9, eigenvalue=-1.0, rho=1e-9) == relative(21, 1e-8)
    assert T.paths_to_resolve(1e-4, eigenvalue=-1.0, rho=1e-4, paired=False) == relative(36e16, 1e-3)
    np.testing.assert_array_equal(T.paths_to_resolve([0.0, 1.0], eigenvalue=-1.0, rho=[0.1, 0.0]), np.inf)
    # long after the exponentials overflow, SGD's variance alone is left: z^2 2 sigma^4/sigma^4
    assert T.paths_to_resolve(1e6, eigenvalue=-1.0, rho=0.5) == relative(18, 1e-12)
    assert T.paths_to_resolve(1e6, eigenvalue=-1.0, rho=0.5, paired=False) == relative(18, 1e-12)


def test_paired_simulation():
    """The recursion itself, 100 steps: mean within 5 sd, variance of the estimator within 5 %.

    2e5 paths: the sd of the sample variance of X^2-Y^2 is below 1.5 % (its kurtosis is below 45), so that 5 %
    is more than 3 sd; a shared noise that was not shared would be off by a factor of thousands.
    """
    e, rho, lr, d, n, paths = -1.0, 0.1, 0.01, 0.05, 100, 200_000
    k = float(T.curvature(e, rho=rho))
    rng = np.random.default_rng(12345)
    x, y = np.zeros(paths), np.zeros(paths)
    for _ in range(n):
        kick = np.sqrt(2 * d * lr) * rng.standard_normal(paths)
        x, y = (1 - lr * e) * x + kick, (1 - lr * k) * y + kick
    vx, vy = (float(T.em_variance(n, curvature=c, diffusion=d, dt=lr)) for c in (e, k))
    c = float(T.em_crn_covariance(n, curvature=e, other_curvature=k, diffusion=d, dt=lr))
    sample = x * x - y * y
    variance = 2 * (vx**2 + vy**2 - 2 * c**2)
    assert abs(sample.mean() - (vx - vy)) < 5 * np.sqrt(variance / paths)
    assert sample.var() == relative(variance, 0.05)
    assert np.mean(x * y) == relative(c, 0.02)  # sd 0.3 %


def test_the_sde_is_the_limit_of_the_recursion():
    e, rho, d = -1.0, 0.1, 0.05
    k = float(T.curvature(e, rho=rho))
    exact = float(T.paired_difference_variance(1.0, eigenvalue=e, lr=0.1, rho=rho))
    errors = []
    for n in (500, 1000):
        vx, vy = (float(T.em_variance(n, curvature=c, diffusion=d, dt=1 / n)) for c in (e, k))
        c = float(T.em_crn_covariance(n, curvature=e, other_curvature=k, diffusion=d, dt=1 / n))
        errors.append(2 * (vx**2 + vy**2 - 2 * c**2) - exact)
    assert errors[0] / errors[1] == relative(2, 0.02)


def test_discrete_covariance_is_the_recursion():
    covariance, a, b = 0.0, 1 + 0.02, 1 - 0.03
    for n in range(1, 500):
        covariance = a * b * covariance + 2 * 0.3 * 0.1
        found = T.em_crn_covariance(n, curvature=-0.2, other_curvature=0.3, diffusion=0.3, dt=0.1)
        assert found == relative(covariance, 1e-12)


def test_covariance_of_the_sde():
    found = T.crn_covariance(2.0, curvature=-0.7, other_curvature=0.2, diffusion=0.3)
    assert found == relative(float(0.6 * 2 * mp.expm1(1.0)), 1e-14)
