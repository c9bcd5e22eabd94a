"""Differences of variances and covariances of two recursions on one noise, against exact long arithmetic."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from precise import EPS, close, matrix_moments, phi1, spread
from tolerance import relative

from samfast import theory as T

ULPS = 20  # of eps (1 + condition); a level of the doubling adds one to three


def step_matrix(k, lr, friction, tau, dt, scheme):
    """One step on (w, dt v), and the direction of its noise."""
    r = dt / lr
    a, f = (1 - tau) * k * dt * r, friction * r
    if scheme == "symplectic":
        return mp.matrix([[1 - a, 1 - f], [-a, 1 - f]]), mp.matrix([1, 1])
    return mp.matrix([[1, 1], [-a, 1 - f]]), mp.matrix([0, 1])


def heavy(n, scheme):
    def value(k, shift, d, deficit, lr, friction, tau, dt):
        out = []
        for kappa, strength in ((k, d), (k + shift, d * (1 - deficit))):
            a, e = step_matrix(kappa, lr, friction, tau, dt, scheme)
            out.append(matrix_moments(a, 2 * strength * dt * ((1 - tau) * dt / lr) ** 2 * e * e.T, n)[0][0, 0])
        return out[0] - out[1]

    return value


def light(n):
    def variance(k, d, dt):
        q = (1 - k * dt) ** 2
        return 2 * d * dt * (n if q == 1 else (1 - q**n) / (1 - q))

    return lambda k, shift, d, deficit, dt: variance(k, d, dt) - variance(k + shift, d * (1 - deficit), dt)


def of_the_sde(t, k, shift, d, deficit, lr, friction, tau):
    def variance(k, d):
        a, b, q = friction / lr, k * (1 - tau) / lr, 2 * d * (1 - tau) ** 2 / lr**2
        w = mp.sqrt(mp.mpc(a * a / 4 - b)) or mp.mpf(10) ** -60  # 0 at critical damping
        r, s = -a / 2 + w, -a / 2 - w
        total = sum(c * t * phi1(z * t) for c, z in ((1, 2 * r), (1, 2 * s), (-2, r + s)))
        return mp.re(q * total / (4 * w * w))

    return variance(k, d) - variance(k + shift, d * (1 - deficit))


curvatures = spread(-2, 0.5, (1, -1))
shifts = spread(-12, 0, (1, -1))
deficits = st.sampled_from([0.0, 1e-9, 0.3, -0.4])
rates = spread(-4, -1)
frictions = st.sampled_from([1.0, 0.5, 0.1, 1e-3])
dampenings = st.sampled_from([0.0, 0.3])


@given(st.integers(2, 10**4), curvatures, shifts, deficits, rates)
def test_without_momentum(n, k, shift, deficit, dt):
    found = T.em_difference(n, curvature=k, shift=shift, diffusion=0.3, deficit=deficit, dt=dt)
    close(found, light(n), [k, shift, 0.3, deficit, dt], ULPS)


@settings(max_examples=60)
@given(
    st.integers(2, 10**4),
    curvatures,
    shifts,
    deficits,
    rates,
    frictions,
    dampenings,
    st.sampled_from([1.0, 0.3]),
    st.sampled_from(["symplectic", "explicit"]),
)
def test_with_momentum(n, k, shift, deficit, lr, friction, tau, ratio, scheme):
    if scheme == "explicit" and n == 2:
        n = 3  # the noise has reached w, but not yet through the curvature: both variances are equal
    arguments = [k, shift, 0.3, deficit, lr, friction, tau, lr * ratio]
    found = T.momentum_em_difference(
        n,
        curvature=k,
        shift=shift,
        diffusion=0.3,
        deficit=deficit,
        lr=lr,
        momentum=1 - friction,
        dampening=tau,
        dt=lr * ratio,
        scheme=scheme,
    )
    close(found, heavy(n, scheme), arguments, ULPS)


@given(spread(-5, 2), curvatures, shifts, deficits, rates, frictions, dampenings)
def test_of_the_sde(t, k, shift, deficit, lr, friction, tau):
    found = T.momentum_sde_difference(
        t, curvature=k, shift=shift, diffusion=0.3, deficit=deficit, lr=lr, momentum=1 - friction, dampening=tau
    )
    close(found, of_the_sde, [t, k, shift, 0.3, deficit, lr, friction, tau], ULPS)


@pytest.mark.parametrize("scheme", ["symplectic", "explicit"])
def test_covariance(scheme):
    """Against the recursion step by step; at equal curvatures it is the variance."""
    k, other, lr, g, tau, dt = -0.7, 0.4, 0.05, 0.8, 0.2, 0.03
    (a, e), (b, _) = (step_matrix(c, lr, 1 - g, tau, dt, scheme) for c in (k, other))
    total, about = mp.zeros(2), {"diffusion": 0.3, "lr": lr, "momentum": g, "dampening": tau, "dt": dt, "scheme": scheme}
    for n in range(1, 200):
        total = a * total * b.T + 2 * 0.3 * dt * ((1 - tau) * dt / lr) ** 2 * e * e.T
        found = T.momentum_em_crn_covariance(n, curvature=k, other_curvature=other, **about)
        assert found == relative(float(total[0, 0]), 1000 * EPS)
    steps = np.array([0, 1, 2, 17, 1000])
    np.testing.assert_allclose(
        T.momentum_em_crn_covariance(steps, curvature=k, other_curvature=k, **about),
        T.momentum_em_moments(steps, curvature=k, **about).var,
        rtol=1000 * EPS,
    )


def test_shapes_and_nothing():
    about = {"curvature": np.array([[-1.0], [2.0]]), "shift": 0.1, "diffusion": 0.3, "lr": 0.01, "momentum": 0.9}
    assert T.momentum_em_difference([0, 1, 100], **about).shape == (2, 3)
    assert (T.momentum_em_difference([0, 1], **about) == 0).all()  # one step from 0 is the noise alone
    assert (T.momentum_sde_difference([0.0, 1.0, 2.0], **{**about, "shift": 0.0}) == 0).all()
    assert (T.em_difference([0, 1], curvature=-1.0, shift=0.1, diffusion=0.3, dt=0.1) == 0).all()
    with pytest.raises(ValueError, match=r"deficit=2: give 1 - s\^2, at most 1, e.g. deficit=0.0"):
        T.em_difference(1, curvature=-1.0, shift=0.1, diffusion=0.3, deficit=2, dt=0.1)
