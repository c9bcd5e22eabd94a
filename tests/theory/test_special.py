"""The special functions against mpmath, at random and at extreme arguments, with their identities."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from precise import close, phi1, spread
from tolerance import relative

from samfast.theory import special as s

numbers = st.one_of(spread(-60, 2.84, (1, -1, 0)), st.floats(-1.5, 1.5), spread(0, 12, (-1,)))


def phi2(z):
    return mp.mpf(1) / 2 if z == 0 else (mp.expm1(z) - z) / z**2 if abs(z) > 1e-70 else mp.mpf(1) / 2 + z / 6


def psi(z):
    return ((z - 1) * mp.exp(z) + 1) / z**2 if abs(z) > 1e-70 else mp.mpf(1) / 2 + z / 3


@given(numbers)
def test_phi_functions(z):
    close(s.phi1(z), phi1, [z], 4)
    close(s.phi2(z), phi2, [z], 4)
    close(s.psi(z), psi, [z], 4)


def log_phi1(z):
    return mp.log(phi1(z)) if abs(z) > 1e-90 else z / 2 + z * z / 24


@given(st.one_of(numbers, spread(2, 12)))
def test_log_phi1(z):
    close(s.log_phi1(z), log_phi1, [z], 4)


def divided(x, y):
    if x == y:
        return psi(x)
    if max(abs(x), abs(y)) < mp.mpf(10) ** -70:
        return mp.mpf(1) / 2
    return (phi1(x) - phi1(y)) / (x - y)


@given(numbers, numbers, st.sampled_from([0, 1, 1 + 1e-12, 0.9, -1]))
def test_delta_phi1(x, y, ratio):
    y = y if ratio == 0 else x * ratio
    close(s.delta_phi1(x, y), divided, [x, y], 6)
    assert s.delta_phi1(x, y) == s.delta_phi1(y, x)


@given(spread(-9, 0, (1, -1)), spread(-9, 0, (1, -1)))
def test_delta_phi1_excess_keeps_small_differences(x, y):
    def excess(a, b):
        return divided(a, b) - mp.mpf(1) / 2

    close(s.delta_phi1_excess(x, y), excess, [x, y], 6)


@given(spread(-8, 6, (1, 0)), spread(-8, 6, (1, 0)))
def test_scaled_delta_phi1_never_overflows(x, y):
    close(s.scaled_delta_phi1(x, y), lambda a, b: mp.exp(-max(a, b)) * divided(a, b), [x, y], 6)


@given(spread(-60, 5.6, (1, -1, 0)))
def test_chc(x):
    def exact(v):
        return mp.mpf(1) / 2 if abs(v) < 1e-90 else ((mp.cosh(mp.sqrt(v)) - 1) / v).real

    close(s.chc(x), exact, [x], 4)


@given(spread(-4, 5.5, (1, 0)), spread(-4, 5.5, (1, 0)), st.sampled_from([0, 1 + 1e-9, 0.99]))
def test_delta_chc(x, y, ratio):
    y = y if ratio == 0 else x * ratio
    if x == y:
        return

    def exact(a, b):
        def chc(v):
            return mp.mpf(1) / 2 if v == 0 else (mp.cosh(mp.sqrt(v)) - 1) / v

        return (chc(a) - chc(b)) / (a - b)

    close(s.delta_chc(x, y), exact, [x, y], 6)


def test_delta_chc_at_the_origin_and_outside_its_domain():
    assert s.delta_chc(0.0, 0.0) == relative(1 / 24, 1e-15)
    with pytest.raises(ValueError, match="s=-1: give 0 or more"):
        s.delta_chc(-1.0, 2.0)


def power_sum(n):
    return lambda u: n if u == 0 else ((1 + u) ** n - 1) / u


@given(st.integers(0, 10**10), spread(-18, 0, (1, -1, 0)), st.sampled_from([0.0, -2.0]))
def test_geometric_sum(n, u, centre):
    u = centre + u
    if abs(n * math.log(abs(1 + u)) if u != -1 else 0) < 700:
        close(s.geometric_sum(n, u), power_sum(n), [u], 6)


@pytest.mark.parametrize("u", [0.3, 0.0, -0.5, -1.0, -1.5, -2.0, -2.3, 1e-9, -2 + 1e-9])
def test_geometric_sum_is_a_sum_of_powers(u):
    for n in range(12):
        direct = math.fsum((1 + u) ** k for k in range(n))
        assert s.geometric_sum(n, u) == pytest.approx(direct, rel=4e-15, abs=4e-15)


def test_derivative_and_limit_identities():
    z = np.array([-300.0, -30.0, -3.0, -0.7, -1e-9, 0.0, 1e-9, 0.7, 3.0, 30.0, 300.0])
    # phi1 = phi2 + psi and z phi2 = phi1 - 1, where neither side cancels
    np.testing.assert_allclose(s.phi1(z), s.phi2(z) + s.psi(z), rtol=1e-15)
    np.testing.assert_allclose(1 + z * s.phi2(z), s.phi1(z), rtol=1e-13)
    np.testing.assert_allclose(s.delta_phi1(z, z), s.psi(z), rtol=1e-14)
    np.testing.assert_allclose(s.delta_phi1(z, 0 * z), s.phi2(z), rtol=1e-14)
    assert s.phi1(0.0) == 1 and s.phi2(0.0) == 0.5 and s.psi(0.0) == 0.5 and s.chc(0.0) == 0.5
    assert s.phi1(np.inf) == np.inf and s.phi1(-np.inf) == 0


def test_shapes_and_types():
    assert isinstance(s.phi1(1.0), np.float64)
    assert s.delta_phi1(np.ones((2, 1)), np.ones(3)).shape == (2, 3)
