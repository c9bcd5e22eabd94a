"""Theorem 2: claim 3 of the specification, over the whole domain."""

import mpmath as mp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from precise import close, ou_variance, spread
from tolerance import relative

from samfast import theory as T

times = spread(-12, 12, (1, 0))
rates = spread(-6, 2, (1, -1, 0))
PAIRS = [(d, n) for d in ("plain", "chain", "sgd") for n in ("unit", "same", "independent")]


@given(times, rates, spread(-6, 1, (1, 0)))
def test_variance_and_its_logarithm(t, k, d):
    # t in units of 1/|k|
    t = t / abs(k) if k else t
    close(T.sde_variance(t, curvature=k, diffusion=d), ou_variance, [t, k, d], 4)
    if d > 0 and t > 0:
        found = T.log_sde_variance(t, curvature=k, diffusion=d)
        close(found, lambda *a: mp.log(ou_variance(*a)), [t, k, d], 6)


@given(times, rates, spread(-3, 1, (1, -1, 0)))
def test_mean_and_displacement(t, k, w0):
    t = t / abs(k) if k else t
    close(T.sde_mean(t, curvature=k, start=w0), lambda a, b, c: c * mp.exp(-a * b), [t, k, w0], 4)

    def msd(a, b, c):
        return c * c * mp.expm1(-a * b) ** 2 + ou_variance(a, b, mp.mpf("0.25"))

    close(T.sde_msd(t, curvature=k, diffusion=0.25, start=w0), msd, [t, k, w0], 6)


@given(
    st.sampled_from(PAIRS),
    spread(-3, 2, (1, -1, 0)),
    spread(-4, 1, (1, 0)),
    spread(-12, 2),
    st.booleans(),
    st.integers(1, 10**4),
)
def test_theorem2_for_every_drift_and_noise(pair, e, rho, t, on_the_line, batch):
    drift, noise = pair
    t = t / abs(e) if e else t
    if on_the_line and e < 0:
        rho = -1 / e

    def exact(time, value, lr, radius):
        r = radius * value
        k = value * {"plain": 1 + r, "chain": (1 + r) ** 2, "sgd": 1}[drift]
        s2 = {"unit": 1, "same": (1 + r) ** 2, "independent": 1 + r * r}[noise]
        s2 *= (1 + r) ** 2 if drift == "chain" and noise != "unit" else 1
        return ou_variance(time, k, (1 if drift == "sgd" else s2) * lr * abs(value) / (2 * batch))

    arguments = [t, e, 0.01, rho]
    found = T.theorem2(t, eigenvalue=e, lr=0.01, rho=rho, batch_size=batch, drift=drift, noise=noise)
    if drift != "sgd" and noise != "unit" and on_the_line and e < 0:
        assert found <= 1e-28 * 0.01 * abs(e) * t or noise == "independent"  # (1+r)^2 is 0 up to rounding
        return
    close(found, exact, arguments, 8)


def test_theorem2_as_published():
    k = -2 * (1 - 0.2) ** 2
    expected = 0.05 * 2 / (2 * 8) / k * (1 - np.exp(-2 * k * 3.0))
    assert T.theorem2(3.0, eigenvalue=-2.0, lr=0.05, rho=0.1, batch_size=8) == relative(expected, 1e-14)


def test_limits():
    d = T.diffusion_coefficient(-2.0, lr=0.1)
    for drift in ("plain", "chain"):
        free = T.theorem2([1e-9, 1.0, 1e9], eigenvalue=-2.0, lr=0.1, rho=0.5, drift=drift)
        np.testing.assert_allclose(free, 2 * d * np.array([1e-9, 1.0, 1e9]), rtol=1e-15)
    assert T.theorem2(5.0, eigenvalue=0.0, lr=0.1, rho=0.3) == 0
    assert T.sde_variance(1e12, curvature=2.0, diffusion=0.3) == relative(0.15, 1e-15)
    assert T.stationary_variance(curvature=2.0, diffusion=0.3) == 0.15
    np.testing.assert_array_equal(T.stationary_variance(curvature=[0.0, -1.0], diffusion=0.3), np.inf)
    assert T.sde_variance(1e4, curvature=-1.0, diffusion=0.3) == np.inf
    assert T.log_sde_variance(1e4, curvature=-1.0, diffusion=0.3) == relative(2e4 + np.log(0.3), 1e-15)
    assert T.log_theorem2(1e4, eigenvalue=-1.0, lr=0.1) == relative(2e4 + np.log(0.05), 1e-15)
    # the value is representable although phi1 alone is not
    small = T.sde_variance(360.0, curvature=-1.0, diffusion=1e-20)
    assert small == relative(1e-20 * np.exp(420) * np.exp(300), 1e-12)


def test_it_solves_its_differential_equation():
    t, k, d = 1.3, np.array([-2.0, -0.1, 0.0, 0.1, 2.0]), 0.4
    h = 1e-4
    values = [T.sde_variance(t + i * h, curvature=k, diffusion=d) for i in (-2, -1, 1, 2)]
    slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
    # fourth-order difference: h^4 sigma^(5)/30 < 1e-14, rounding eps/h times the value
    np.testing.assert_allclose(slope, 2 * d - 2 * k * T.sde_variance(t, curvature=k, diffusion=d), rtol=1e-10)


def test_exact_step_composes_to_the_variance():
    decay, scale = T.exact_step(0.1, curvature=np.array([-1.0, 0.0, 1.0]), diffusion=0.2)
    variance = np.zeros(3)
    for _ in range(30):
        variance = decay**2 * variance + scale**2
    np.testing.assert_allclose(variance, T.sde_variance(3.0, curvature=[-1.0, 0.0, 1.0], diffusion=0.2), rtol=1e-13)


def test_several_directions():
    values = np.array([2.0, -1.0, 0.5])
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    hessian = (q * values) @ q.T
    times = np.array([0.5, 2.0])
    each = T.theorem2(times[:, None], eigenvalue=values, lr=0.1, rho=0.05)
    full = T.theorem2_covariance(times, hessian=(hessian + hessian.T) / 2, lr=0.1, rho=0.05)
    assert full.shape == (2, 3, 3)
    np.testing.assert_allclose(full, np.einsum("ij,tj,kj->tik", q, each, q), rtol=1e-12, atol=1e-15)
    total = T.theorem2_total(times, eigenvalues=values, lr=0.1, rho=0.05)
    np.testing.assert_allclose(total, each.sum(1), rtol=1e-15)
    np.testing.assert_allclose(np.trace(full, axis1=1, axis2=2), total, rtol=1e-13)
    assert (np.linalg.eigvalsh(full) > 0).all()
