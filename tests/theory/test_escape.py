"""Exit and crossing times: claim 13 of the specification."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from precise import close, ou_variance, spread
from tolerance import relative

from samfast import theory as T


def exit_time(limit, k, d, start):
    def primitive(y):
        return y * y / (2 * d) * mp.hyp2f2(1, 1, mp.mpf(3) / 2, 2, k * y * y / (2 * d))

    with mp.workdps(60 + int(abs(k) * limit**2 / d / 2)):
        return primitive(limit) - primitive(start)


@given(
    st.floats(-6, 2.5),
    st.sampled_from([1, -1]),
    spread(-3, 1),
    spread(-2, 1),
    st.sampled_from([0.0, 0.1, 0.5, 0.9, 0.999999]),
    st.booleans(),
)
def test_mean_exit_time(exponent, sign, d, limit, share, free):
    k = 0.0 if free else sign * 10**exponent * d / limit**2
    arguments = [limit, k, d, share * limit]
    found = T.mean_exit_time(limit, curvature=k, diffusion=d, start=share * limit)
    close(found, exit_time, arguments, 6)
    found = T.log_mean_exit_time(limit, curvature=k, diffusion=d, start=share * limit)
    close(found, lambda *a: mp.log(exit_time(*a)), arguments, 8)


@pytest.mark.parametrize("x", [8.0, 30.0, 1e3, 1e6, 1e12])
def test_far_escape_against_the_asymptotic_series(x):
    # 1/(8X^2) is the first term that the leading formula leaves out
    exact = T.mean_exit_time(x, curvature=-2.0, diffusion=1.0)
    leading = T.mean_exit_time_asymptotic(x, curvature=-2.0, diffusion=1.0)
    series = leading - (1 / (8 * x * x) + 3 / (32 * x**4) + 15 / (96 * x**6))
    # the next term is 105/(256 X^8)
    assert exact == relative(series, 1e-15 + 1 / x**8)


@pytest.mark.parametrize("start", [0.001, 0.9, 3.0, 6.9, 7.1, 15.0])
def test_escape_from_near_to_far(start):
    arguments = [19.5, -2.0, 1.0, start]
    close(T.mean_exit_time(19.5, curvature=-2.0, diffusion=1.0, start=start), exit_time, arguments, 6)


def test_far_start_keeps_relative_precision():
    # between two far points T = ln(L/x)/|kappa| up to 1/X^2
    found = T.mean_exit_time(1e8, curvature=-2.0, diffusion=1.0, start=1e7)
    assert found == relative(math.log(10) / 2, 1e-13)


def test_deep_traps():
    leading = T.mean_exit_time_asymptotic(5.0, curvature=2.0, diffusion=0.5)
    assert T.mean_exit_time(5.0, curvature=2.0, diffusion=0.5) == relative(leading, 0.02)
    deep = T.log_mean_exit_time(100.0, curvature=2.0, diffusion=1.0)
    # Daw(X)/X = (1 + 1/2X^2 + ...)/2X^2
    assert deep == relative(1e4 + math.log(math.sqrt(math.pi) / 200 * 0.5 * 2 * 0.5 * 2 * (1 + 0.5e-4)) - math.log(2), 1e-12)
    assert T.mean_exit_time(100.0, curvature=2.0, diffusion=1.0) == np.inf


def test_it_solves_the_backward_equation():
    h, k, d = 1e-3, np.array([-1.5, 0.0, 1.5]), 0.3
    t = [T.mean_exit_time(1.2, curvature=k, diffusion=d, start=0.5 + i * h) for i in range(-2, 3)]
    first = (t[0] - 8 * t[1] + 8 * t[3] - t[4]) / (12 * h)
    second = (-t[0] + 16 * t[1] - 30 * t[2] + 16 * t[3] - t[4]) / (12 * h * h)
    # differences of fourth order (1e-12) with rounding eps/h^2 (1e-9)
    np.testing.assert_allclose(d * second - k * 0.5 * first, -1, rtol=1e-8)


def test_start_outside_or_on_the_edge():
    np.testing.assert_array_equal(T.mean_exit_time(1.0, curvature=[-1.0, 0.0, 1.0], diffusion=0.1, start=-1.0), 0)
    assert T.log_mean_exit_time(1.0, curvature=1.0, diffusion=0.1, start=2.0) == -np.inf
    left, right = (T.mean_exit_time(1.0, curvature=-1.0, diffusion=0.1, start=s) for s in (-0.3, 0.3))
    assert left == right


@pytest.mark.parametrize("z", [1e-9, 1e-3, 0.3, 1.0, 5.0, 20.0, 39.0, 39.999, 40.001, 60.0, 300.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_survival_rate(z, sign):
    found = T.survival_rate(2.0, curvature=sign * z, diffusion=2.0)  # kappa L^2/2D = z, D/L^2 = 1/2
    with mp.workdps(60 + int(z)):

        def condition(rate):
            return mp.hyp1f1(-rate / (2 * sign * mp.mpf(z)), mp.mpf(1) / 2, sign * mp.mpf(z))

        # the condition changes sign within this relative distance (10 eps times the exponent's condition z)
        width = 10 * 2.0**-52 * (1 + (z if sign > 0 else 0))
        low, high = (condition(mp.mpf(float(found)) * (1 + side * mp.mpf(width))) for side in (-1, 1))
    assert low * high < 0
    assert T.log_survival_rate(2.0, curvature=sign * z, diffusion=2.0) == relative(np.log(found), 1e-14)


def test_survival_limits():
    assert T.survival_rate(2.0, curvature=0.0, diffusion=0.3) == relative(math.pi**2 * 0.3 / 16, 1e-15)
    assert T.survival_rate(1e4, curvature=-0.7, diffusion=0.3) == relative(0.7, 1e-15)
    deep = T.log_survival_rate(100.0, curvature=2.0, diffusion=1.0)
    assert deep == -T.log_mean_exit_time(100.0, curvature=2.0, diffusion=1.0)


def test_monitored_chain_worked_example():
    found = T.em_exit_time(1.0, curvature=-1.0, diffusion=0.1, dt=0.1)
    assert found == pytest.approx(1.956110, abs=5e-7)
    assert T.mean_exit_time(1.0, curvature=-1.0, diffusion=0.1) == pytest.approx(1.724138, abs=5e-7)
    for nodes in (48, 100, 150):
        assert T.em_exit_time(1.0, curvature=-1.0, diffusion=0.1, dt=0.1, nodes=nodes) == relative(found, 1e-13)


@pytest.mark.parametrize("width", [20, 50, 219, 300, 700])
def test_monitored_walk_of_narrow_steps(width):
    """A Gaussian walk leaves after (X + b)^2 + 1/4 steps, b = -zeta(1/2)/sqrt(2 pi), X = L/step, Siegmund's
    constants of the overshoot, with an error that falls exponentially in X; here to the condition of the problem.
    """
    b = float(-mp.zeta(0.5) / mp.sqrt(2 * mp.pi))
    found = T.em_exit_time(1.0, curvature=0.0, diffusion=0.5, dt=1 / width**2) * width**2
    assert found == relative((width + b) ** 2 + 0.25, 1e-12 * max(1, width**2 / 400))


@pytest.mark.parametrize("curvature", [-1.0, 0.3, 201.0])
def test_monitored_chain_by_panels_or_by_one_rule(curvature):
    """Also where a step turns the sign."""
    call = {"curvature": curvature, "diffusion": 20.0 if curvature > 1 else 0.1, "dt": 0.01, "start": 0.2}
    limit = 20 * math.sqrt(2 * call["diffusion"] * 0.01)
    assert T.em_exit_time(limit, **call) == relative(T.em_exit_time(limit, **call, nodes=200), 1e-10)


def test_monitored_chain_tends_to_the_sde():
    for k in (-1.0, 0.0, 1.0):
        call = {"curvature": k, "diffusion": 0.1, "start": 0.2}
        sde = T.mean_exit_time(1.0, **call)
        late = [T.em_exit_time(1.0, dt=dt, **call) for dt in (0.04, 0.02, 0.01)]
        assert late[0] > late[1] > late[2] > sde
        # widening by 0.5826 step deviations explains the delay of order sqrt(dt); what is left is of order dt
        steps = np.array([0.04, 0.02, 0.01])
        left = (T.em_exit_time_estimate(1.0, dt=steps, **call) / late - 1) / steps
        np.testing.assert_allclose(left, left[-1], rtol=0.1)


def test_monitored_chain_against_simulation():
    """20 000 paths from 0.3: mean within 5 sd (0.7 % each); counting one step less would be 7 sd away."""
    rng = np.random.default_rng(7)
    k, d, dt, paths = -1.0, 0.1, 0.1, 20_000
    w, steps, alive, total = np.full(paths, 0.3), np.zeros(paths), np.ones(paths, bool), 0
    while alive.any():
        total += 1
        w = np.where(alive, (1 - k * dt) * w + math.sqrt(2 * d * dt) * rng.standard_normal(paths), w)
        steps[alive] = total
        alive &= np.abs(w) < 1
    exact = T.em_exit_time(1.0, curvature=k, diffusion=d, dt=dt, start=0.3)
    sd = dt * steps.std() / math.sqrt(paths)
    assert 0 < dt > 7 * sd
    assert abs(dt * steps.mean() - exact) < 5 * sd


def test_monitored_chain_errors_and_shapes():
    with pytest.raises(ValueError, match=r"dt: a step spreads only .* larger dt"):
        T.em_exit_time(1.0, curvature=0.0, diffusion=0.1, dt=1e-10)
    with pytest.raises(ValueError, match="nodes=1: give at least 2"):
        T.em_exit_time(1.0, curvature=0.0, diffusion=0.1, dt=0.1, nodes=1)
    found = T.em_exit_time([1.0, 2.0], curvature=[[-1.0], [1.0]], diffusion=0.1, dt=0.1, start=1.0)
    assert found.shape == (2, 2) and (found[:, 0] == 0).all() and (found[:, 1] > 0).all()


@given(spread(-3, 1), spread(-4, 2, (1, -1, 0)), spread(-3, 1))
def test_crossing_time_inverts_the_variance(limit, x, d):
    if abs(x - 1) < 1e-9:
        return  # on which side of "never" rounding leaves it
    k = x * d / limit**2
    time = T.crossing_time(limit, curvature=k, diffusion=d)
    if k * limit**2 / d >= 1:
        assert time == np.inf
        return
    if x < 0.999:
        # the relative error of sigma^2 is that of t times its logarithmic slope
        _, slope = (ou_variance(mp.mpf(float(time)), k, d), abs(2 * k * time) + 1 / (1 - max(x, 0)))
        assert T.sde_variance(time, curvature=k, diffusion=d) == relative(limit**2, 2e-15 * (4 + slope))


def test_exceedance_probability():
    for k in (-1.0, 0.0, 1.0):
        sd = math.sqrt(T.sde_variance(0.7, curvature=k, diffusion=0.3))
        found = T.exceedance_probability(1.1, time=0.7, curvature=k, diffusion=0.3)
        assert found == relative(math.erfc(1.1 / sd / math.sqrt(2)), 1e-13)
    assert T.exceedance_probability(1.0, time=0.0, curvature=-1.0, diffusion=0.3) == 0
