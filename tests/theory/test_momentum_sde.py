"""The momentum SDE in every damping regime: claims 9 and 12 of the specification."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from precise import close, spread
from scipy.integrate import solve_ivp
from tolerance import relative

from samfast import theory as T

FIELDS = ("var", "cov", "var_velocity", "mean", "mean_velocity")


def exact(field, w0=0.7, v0=-0.2):
    """The textbook solution by characteristic roots; long arithmetic bears its cancellation."""

    # 1 - momentum is exact in float64 and well conditioned, momentum near 1 is not
    def value(t, k, d, lr, friction, tau):
        a, b, q = friction / lr, k * (1 - tau) / lr, 2 * d * (1 - tau) ** 2 / lr**2
        w = mp.sqrt(mp.mpc(a * a / 4 - b))
        if w == 0:
            w = mp.mpf(10) ** -80
        r, s = -a / 2 + w, -a / 2 - w

        def grow(z):
            return t if z == 0 else mp.expm1(z * t) / z

        e, f = mp.exp(r * t), mp.exp(s * t)
        green, slope = (e - f) / (2 * w), (r * e - s * f) / (2 * w)
        if a == 0 and b == 0:
            green, slope = t, mp.mpf(1)
            xx, vv = q * t**3 / 3, q * t
        else:
            xx = q * (grow(2 * r) + grow(2 * s) - 2 * grow(r + s)) / (4 * w * w)
            vv = q * (r * r * grow(2 * r) + s * s * grow(2 * s) - 2 * r * s * grow(r + s)) / (4 * w * w)
        first = slope + a * green
        mean, mean_v = first * w0 + green * v0, -b * green * w0 + slope * v0
        return mp.re({"var": xx, "cov": q * green**2 / 2, "var_velocity": vv, "mean": mean, "mean_velocity": mean_v}[field])

    return value


@given(
    spread(-12, 12),
    spread(-3, 1, (1, -1, 0)),
    spread(-6, 0),
    st.sampled_from([0.0, 0.5, 0.9, 0.99, 1 - 1e-6, 1.0]),
    st.sampled_from([0.0, 0.5, 0.9]),
    st.sampled_from([None, 0.0, 1e-12, 1e-9, -1e-9, 1e-3, -1e-3]),
    st.sampled_from(FIELDS),
)
def test_against_the_textbook_solution(t, k, lr, g, tau, critical, field):
    if critical is not None:
        k = (1 - g) ** 2 / lr / 4 / (1 - tau) * (1 + critical)
    t = min(t, 200 / abs(k)) if k < 0 else t
    arguments = [t, k, 0.3, lr, 1 - g, tau]
    found = T.momentum_sde_moments(t, curvature=k, diffusion=0.3, lr=lr, momentum=g, dampening=tau, start=0.7, velocity=-0.2)
    if field.startswith("mean") and g == 1.0 and t / lr > 1e8:
        return  # a phase of 1e8 radians: its condition number exceeds 1/eps
    close(getattr(found, field), exact(field), arguments, 10)


@given(
    spread(-2, 1.4, (1, -1)),
    spread(-14, -1),
    st.sampled_from([0.0, 0.9, 1 - 1e-6]),
    st.sampled_from(FIELDS),
)
def test_overdamped_relaxation(slow_time, inertia, g, field):
    """Times of order (1-gamma)/curvature with inertia lr*curvature/(1-gamma)^2 down to 1e-14."""
    lr = 1e-3
    k = np.copysign(inertia * (1 - g) ** 2 / lr, slow_time)
    t = slow_time * (1 - g) / k
    arguments = [t, k, 0.3, lr, 1 - g, 0.0]
    found = T.momentum_sde_moments(t, curvature=k, diffusion=0.3, lr=lr, momentum=g, start=0.7, velocity=-0.2)
    close(getattr(found, field), exact(field), arguments, 10)


@pytest.mark.parametrize(("k", "g"), [(-0.5, 0.9), (0.0, 0.9), (0.7, 0.9), (0.1, 0.0), (3.0, 0.99), (0.25, 0.5)])
def test_against_the_moment_equations(k, g):
    lr, d, tau = 0.1, 0.3, 0.2
    a, b, q = (1 - g) / lr, k * (1 - tau) / lr, 2 * d * (1 - tau) ** 2 / lr**2

    def slope(_, y):
        x, v, xx, xv, vv = y
        return [v, -b * x - a * v, 2 * xv, vv - b * xx - a * xv, -2 * b * xv - 2 * a * vv + q]

    times = np.array([0.01, 0.3, 2.0])
    solved = solve_ivp(slope, (0, 2), [0.7, -0.2, 0, 0, 0], "DOP853", times, rtol=1e-12, atol=1e-14).y
    found = T.momentum_sde_moments(times, curvature=k, diffusion=d, lr=lr, momentum=g, dampening=tau, start=0.7, velocity=-0.2)
    for mine, theirs in zip(found, solved, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-10)


def test_limits():
    lr, d = 0.1, 0.3

    def var(t, k, g):
        return T.momentum_sde_moments(t, curvature=k, diffusion=d, lr=lr, momentum=g).var

    q = 2 * d / lr**2
    assert var(2.0, 0.0, 1.0) == relative(q * 8 / 3, 1e-15)
    a, u = 1.0, -np.expm1(-2.0)
    assert var(2.0, 0.0, 0.9) == relative(q / a**3 * (2.0 - u - u * u / 2), 1e-13)
    for sign, function in ((1, np.sin), (-1, np.sinh)):
        root = np.sqrt(0.7 / lr)
        expected = q / (2 * sign * root**2) * (2.0 - function(4 * root) / (2 * root))
        assert var(2.0, sign * 0.7, 1.0) == relative(expected, 1e-13)
    at = 2.0
    expected = q * (2 - np.exp(-at) * (at * at + 2 * at + 2)) / a**3
    assert var(2.0, a * a / 4 * lr, 0.9) == relative(expected, 1e-13)
    for t in (1e-12, 1e-6):
        assert var(t, 5.0, 0.5) == relative(q * t**3 / 3 * (1 - 0.75 * 5 * t), 1e-9)
    assert var(0.0, 1.0, 0.5) == 0
    # overdamped: inertia over after t = lr/(1-gamma)^2
    k, far = T.overdamped(curvature=-0.5, diffusion=d, momentum=0.5)
    slow = T.momentum_sde_moments(3.0, curvature=-0.5, diffusion=d, lr=1e-7, momentum=0.5).var
    assert slow == relative(T.sde_variance(3.0, curvature=k, diffusion=far), 1e-5)


def test_covariance_is_positive_semidefinite():
    rng = np.random.default_rng(2)
    n = 4000
    lr = 10 ** rng.uniform(-6, 0, n)
    g = rng.choice([0.0, 0.5, 0.9, 0.999, 1.0], n)
    k = rng.choice([-1, 0, 1], n) * 10 ** rng.uniform(-3, 2, n)
    t = 10 ** rng.uniform(-8, 3, n)
    t = np.where(k < 0, np.minimum(t, 50 / np.abs(np.where(k == 0, 1, k))), t)
    m = T.momentum_sde_moments(t, curvature=k, diffusion=1.0, lr=lr, momentum=g)
    assert not any(np.isnan(f).any() for f in m)
    assert (m.var >= 0).all() and (m.var_velocity >= 0).all()
    assert (np.abs(m.cov) <= np.sqrt(m.var) * np.sqrt(m.var_velocity) * (1 + 1e-9)).all()


def test_stationary_state_solves_the_lyapunov_equation():
    k, d, lr, g, tau = 0.7, 0.3, 0.1, 0.9, 0.2
    s = T.momentum_sde_stationary(curvature=k, diffusion=d, lr=lr, momentum=g, dampening=tau)
    a, b, q = (1 - g) / lr, k * (1 - tau) / lr, 2 * d * (1 - tau) ** 2 / lr**2
    drift = np.array([[0, 1], [-b, -a]])
    sigma = np.array([[s.var, s.cov], [s.cov, s.var_velocity]])
    residual = drift @ sigma + sigma @ drift.T + np.diag([0, q])
    assert np.abs(residual).max() < 1e-14 * q
    late = T.momentum_sde_moments(1e3, curvature=k, diffusion=d, lr=lr, momentum=g, dampening=tau)
    assert late.var == relative(s.var, 1e-13)
    assert late.var_velocity == relative(s.var_velocity, 1e-13)
    assert T.momentum_sde_stationary(curvature=-1.0, diffusion=d, lr=lr, momentum=g).var == np.inf


def test_rest_and_thermal_start():
    call = {"curvature": -0.1, "diffusion": 1.0, "lr": 0.01}
    for g, rest, thermal in ((0.0, 1.02, 1.02), (0.9, 1.68, 1.50), (0.99, 2.5e7, 6.6e6)):
        third = T.theorem3_variance(1.0, momentum=g, **call)
        assert third / T.momentum_sde_msd(1.0, momentum=g, **call) == relative(rest, 2e-2)
        found = third / T.momentum_sde_msd(1.0, momentum=g, initial="thermal", **call)
        assert found == relative(thermal, 2e-2)
    # an initial velocity of variance D/(phi M^2), added by hand
    moved = T.momentum_sde_moments(0.3, momentum=0.9, velocity=1.0, dampening=0.5, **call)
    variance = 1.0 * (1 - 0.5) ** 2 / (0.1 / 0.01 * 0.01**2)
    by_hand = moved.var + moved.mean**2 * variance
    found = T.momentum_sde_msd(0.3, momentum=0.9, dampening=0.5, initial="thermal", **call)
    assert found == relative(by_hand, 1e-13)


def test_broadcasting():
    m = T.momentum_sde_moments(np.ones((4, 1)), curvature=np.array([-1.0, 0.0, 1.0]), diffusion=0.1, lr=0.1, momentum=0.9)
    assert all(f.shape == (4, 3) for f in m)
    single = T.momentum_sde_moments(1.0, curvature=-1.0, diffusion=0.1, lr=0.1, momentum=0.9)
    assert m.var[2, 0] == single.var and isinstance(single.var, np.float64)
