"""The heavy ball and Euler-Maruyama with momentum: claims 10 and 12 of the specification."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from precise import close, matrix_moments, spread
from tolerance import relative

from samfast import theory as T

FIELDS = ("var", "cov", "var_velocity", "mean", "mean_velocity")


def exact(field, n, scheme):
    # 1 - momentum is exact in float64 and well conditioned, momentum near 1 is not
    def value(k, d, lr, friction, tau, dt):
        phi, b, q = friction / lr, k * (1 - tau) / lr, 2 * d * (1 - tau) ** 2 / lr**2
        left = 1 - phi * dt
        if scheme == "explicit":
            a = mp.matrix([[1, dt], [-b * dt, left]])
            noise = mp.matrix([[0, 0], [0, q * dt]])
        else:
            a = mp.matrix([[1 - b * dt * dt, dt * left], [-b * dt, left]])
            noise = q * dt * mp.matrix([[dt * dt, dt], [dt, 1]])
        cov, power = matrix_moments(a, noise, n)
        mean = power * mp.matrix([mp.mpf("0.75"), mp.mpf("-0.25")])
        values = (cov[0, 0], cov[0, 1], cov[1, 1], mean[0], mean[1])
        return values[FIELDS.index(field)]

    return value


@given(
    st.builds(lambda e: int(10**e), st.floats(0, 10)),
    spread(-9, 0.55, (1, -1, 0)),
    spread(-6, 0),
    st.sampled_from([0.0, 0.5, 0.9, 0.99, 1 - 1e-6, 1.0]),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([1, 1, 0.125, 0.01, 1.7, 2.5]),
    st.sampled_from(["explicit", "symplectic"]),
    st.sampled_from([None, None, 0.0, 1e-9, -1e-9, 1e-3]),
    st.sampled_from(FIELDS),
)
@example(50_000_000, 1e-13, 1e-3, 0.999999, 0.0, 0.01, "symplectic", None, "mean_velocity")
@example(50_000_000, 1e-13, 1e-3, 0.999999, 0.0, 0.01, "explicit", None, "mean_velocity")
@example(50_000_000, 1e-13, 1e-3, 0.999999, 0.0, 0.01, "symplectic", None, "mean")
def test_against_long_arithmetic(n, x, lr, g, tau, ratio, scheme, critical, field):
    if critical is not None:
        x, ratio = (1 - np.sqrt(g)) ** 2 * (1 + critical), 1
    if x < 0:
        n = min(n, int(100 / -x))
    arguments = [x / lr / (1 - tau), 0.3, lr, 1 - g, tau, lr * ratio]
    k, d, *_ = arguments
    reference = exact(field, n, scheme)
    if abs(reference(*map(mp.mpf, arguments))) > 1e280:
        return
    found = T.momentum_em_moments(
        n,
        curvature=k,
        diffusion=d,
        lr=lr,
        momentum=g,
        dampening=tau,
        dt=arguments[5],
        scheme=scheme,
        start=0.75,
        velocity=-0.25,
    )
    close(getattr(found, field), reference, arguments, 12)


def naive(n, k, lr, g, tau, c, w0, dampen_first):
    """The algorithm, update by update, as means and covariance of (w, m)."""
    mean, cov = np.array([w0, 0.0]), np.zeros((2, 2))
    for i in range(n):
        keep = 1 - tau if dampen_first or i > 0 else 1.0
        a = np.array([[1 - lr * keep * k, -lr * g], [keep * k, g]])
        kick = keep * np.array([-lr, 1.0])
        mean, cov = a @ mean, a @ cov @ a.T + c * np.outer(kick, kick)
    return mean, cov


@pytest.mark.parametrize("dampen_first", [True, False])
@pytest.mark.parametrize(("g", "tau"), [(0.0, 0.0), (0.0, 0.5), (0.5, 0.0), (0.9, 0.9), (0.99, 0.0), (1.0, 0.0)])
@pytest.mark.parametrize("a", [-0.02, 0.0, 1e-4, 0.01, 0.5, 1.0, 1.9])
@pytest.mark.parametrize("n", [0, 1, 2, 7, 100, 1000])
def test_against_the_naive_recursion(n, a, g, tau, dampen_first):
    lr, c = 0.1, 1.7
    k = a / lr
    mean, cov = naive(n, k, lr, g, tau, c, 0.7, dampen_first)
    m = T.heavy_ball_moments(
        n,
        curvature=k,
        lr=lr,
        momentum=g,
        dampening=tau,
        gradient_variance=c,
        start=0.7,
        dampen_first=dampen_first,
    )
    scale = np.sqrt(np.diag(cov))
    assert m.var == relative(cov[0, 0], 1e-12)
    assert m.var_velocity == relative(cov[1, 1], 1e-12)
    assert m.cov == pytest.approx(cov[0, 1], rel=1e-12, abs=1e-12 * scale.prod())
    # the mean decays through zeros: relative to the amplitude of the mode
    size = abs(mean[0]) + lr * abs(mean[1])
    assert m.mean == pytest.approx(mean[0], rel=1e-11, abs=1e-11 * size)
    assert m.mean_velocity == pytest.approx(mean[1], rel=1e-11, abs=1e-11 * size / lr)


def test_symplectic_scheme_is_the_heavy_ball():
    rng = np.random.default_rng(3)
    k, g, tau = rng.uniform(-1, 5, 300), rng.uniform(0, 1, 300), rng.uniform(0, 0.9, 300)
    n, lr = rng.integers(0, 2000, 300), 0.07
    n = np.where(k < 0, np.minimum(n, 300), n)
    em = T.momentum_em_moments(n, curvature=k, diffusion=0.3, lr=lr, momentum=g, dampening=tau, scheme="symplectic", start=0.4)
    hb = T.heavy_ball_moments(n, curvature=k, lr=lr, momentum=g, dampening=tau, gradient_variance=0.6 / lr, start=0.4)
    # the same numbers up to the order of a few products, amplified by growth over n steps
    tolerance = 1e-11
    np.testing.assert_allclose(em.var, hb.var, rtol=tolerance)
    np.testing.assert_allclose(em.var_velocity, hb.var_velocity, rtol=tolerance)
    size = np.sqrt(hb.var * hb.var_velocity)
    assert (np.abs(em.cov + hb.cov) <= tolerance * size).all()
    np.testing.assert_allclose(em.mean, hb.mean, rtol=tolerance, atol=1e-12)


def test_explicit_scheme_lags_by_one_update():
    call = {"curvature": 0.5, "diffusion": 0.3, "lr": 0.1, "momentum": 0.9}
    assert T.momentum_em_moments(1, **call).var == 0
    free = call | {"curvature": 0.0}
    ahead = T.momentum_em_moments(9, scheme="symplectic", **free).var
    assert T.momentum_em_moments(10, **free).var == relative(ahead, 1e-13)


@pytest.mark.parametrize("scheme", ["explicit", "symplectic"])
def test_first_order_in_dt(scheme):
    call = {"curvature": -0.5, "diffusion": 0.3, "lr": 0.1, "momentum": 0.8}
    exact_var = T.momentum_sde_moments(1.0, **call).var
    errors = [T.momentum_em_moments(n, dt=1 / n, scheme=scheme, **call).var - exact_var for n in (1000, 2000)]
    assert errors[0] / errors[1] == relative(2, 0.02)


def test_without_momentum_it_is_the_plain_algorithm():
    n = np.array([0, 1, 5, 1000])
    for k in (-0.02, 0.0, 3.0, 17.0):
        m = T.heavy_ball_moments(n, curvature=k, lr=0.1, momentum=0.0, gradient_variance=6.0, start=0.7)
        plain = T.em_variance(n, curvature=k, diffusion=0.3, dt=0.1)
        np.testing.assert_allclose(m.var, plain, rtol=1e-13)
        np.testing.assert_allclose(m.mean, T.em_mean(n, curvature=k, dt=0.1, start=0.7), rtol=1e-12, atol=1e-300)


def test_closed_forms():
    n = np.arange(1, 60)
    free = T.heavy_ball_moments(n, curvature=0.0, lr=0.1, momentum=0.9, gradient_variance=2.0).var
    sums = np.cumsum(((1 - 0.9**n) / 0.1) ** 2)
    np.testing.assert_allclose(free, 0.02 * sums, rtol=1e-13)
    undamped = T.heavy_ball_moments(n, curvature=0.0, lr=0.1, momentum=1.0, gradient_variance=2.0).var
    np.testing.assert_allclose(undamped, 0.02 * n * (n + 1) * (2 * n + 1) / 6, rtol=1e-14)


@pytest.mark.parametrize("g", [0.0, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("a", [1e-6, 0.01, 1.0, 1.9])
def test_stationary_state(g, a):
    lr, tau, c = 0.1, 0.2, 1.7
    k = a / lr / (1 - tau)
    s = T.heavy_ball_stationary(curvature=k, lr=lr, momentum=g, dampening=tau, gradient_variance=c)
    step = np.array([[1 - a, -lr * g], [(1 - tau) * k, g]])
    kick = (1 - tau) * np.array([-lr, 1.0])
    sigma = np.array([[s.var, s.cov], [s.cov, s.var_velocity]])
    residual = step @ sigma @ step.T + c * np.outer(kick, kick) - sigma
    scale = np.sqrt(np.outer(np.diag(sigma), np.diag(sigma)))
    # rounding of a sum of four products, each below scale times the squared entries of the (unitless) step
    assert (np.abs(residual) < 1e-14 * scale * (1 + 4 * max(1.0, a) ** 2)).all()
    late = T.heavy_ball_moments(10**10, curvature=k, lr=lr, momentum=g, dampening=tau, gradient_variance=c)
    assert late.var == relative(s.var, 1e-12)
    assert late.var_velocity == relative(s.var_velocity, 1e-12)
    assert late.cov == relative(s.cov, 1e-12)
    lag_one = (step @ sigma)[0, 0] / s.var
    size = abs(1 - a) + lr * g * abs(s.cov) / s.var  # of the two terms, which cancel at a = 1 + g
    assert lag_one == pytest.approx((1 + g - a) / (1 + g), rel=1e-14, abs=1e-14 * size)


@pytest.mark.parametrize("scheme", ["explicit", "symplectic"])
@pytest.mark.parametrize("dt", [0.01, 0.1, 0.15])
def test_stationary_state_of_the_schemes(scheme, dt):
    call = {
        "curvature": 0.7,
        "diffusion": 0.3,
        "lr": 0.1,
        "momentum": 0.4,
        "dampening": 0.1,
        "dt": dt,
        "scheme": scheme,
    }
    late, s = T.momentum_em_moments(10**7, **call), T.momentum_em_stationary(**call)
    np.testing.assert_allclose(late[2:], s[2:], rtol=1e-12)
    unstable = T.momentum_em_stationary(**(call | {"curvature": -0.1}))
    assert unstable.var == np.inf and unstable.var_velocity == np.inf


def test_outside_the_stable_window_nothing_is_stationary():
    for k in (-1.0, 0.0, 40.0):
        s = T.heavy_ball_stationary(curvature=k, lr=0.1, momentum=0.9, gradient_variance=1.0)
        assert s.var == np.inf


def test_overflow_is_inf_and_never_nan():
    m = T.heavy_ball_moments(10**6, curvature=[-1.0, 50.0], lr=0.1, momentum=0.9, gradient_variance=1.0, start=0.0)
    assert (m.var == np.inf).all() and (m.mean == 0).all()
    for scheme in ("explicit", "symplectic"):
        em = T.momentum_em_moments(10**6, curvature=[-1.0, 50.0], diffusion=1.0, lr=0.1, momentum=0.9, scheme=scheme)
        assert (em.var == np.inf).all() and (em.var_velocity == np.inf).all() and not np.isnan(em.cov).any()
    quiet = T.heavy_ball_moments(10**6, curvature=-1.0, lr=0.1, momentum=0.9, gradient_variance=0.0)
    assert quiet.var == 0


def test_covariance_is_positive_semidefinite():
    rng = np.random.default_rng(4)
    size = 3000
    a = rng.choice([-1e-3, 1], size) * 10 ** rng.uniform(-6, 0.2, size)
    g, n = rng.choice([0.0, 0.3, 0.9, 0.999], size), np.floor(10 ** rng.uniform(0, 9, size))
    n = np.where(a < 0, np.minimum(n, 50 / np.abs(a)), n).astype(np.int64)
    m = T.heavy_ball_moments(n, curvature=a, lr=1.0, momentum=g, gradient_variance=1.0)
    assert (np.abs(m.cov) <= np.sqrt(m.var) * np.sqrt(m.var_velocity) * (1 + 1e-9)).all()
