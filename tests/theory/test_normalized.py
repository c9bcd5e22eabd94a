"""Normalised SAM in one dimension: capture, escape and stationary spread."""

import math

import mpmath as mp
import numpy as np
import pytest
from tolerance import relative

from samfast import theory as T


@pytest.mark.parametrize("a", [0.001, 0.05, 0.3, 0.9])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.9, 0.9999])
def test_capture_takes_exactly_that_many_steps(a, share):
    rho, m = 0.7, 2.0
    lr, w = a / m, share * rho
    steps = 0
    while abs(w) > a * rho:
        w = (1 + a) * w - a * rho * math.copysign(1, w)
        steps += 1
    assert T.capture_steps(share * rho, eigenvalue=-m, lr=lr, rho=rho) == steps
    for _ in range(1000):  # and the band is never left
        w = (1 + a) * w - a * rho * math.copysign(1, w)
        assert abs(w) <= a * rho * (1 + 1e-12)


def test_capture_threshold_and_flow():
    np.testing.assert_array_equal(T.capture_steps([0.7, -0.8], eigenvalue=-2.0, lr=0.01, rho=0.7), np.inf)
    assert T.capture_time(0.35, eigenvalue=-2.0, rho=0.7) == relative(math.log(2) / 2, 1e-15)
    assert T.capture_time(0.8, eigenvalue=-2.0, rho=0.7) == np.inf
    small = T.capture_steps(0.35, eigenvalue=-2.0, lr=1e-7, rho=0.7) * 1e-7
    assert small == relative(T.capture_time(0.35, eigenvalue=-2.0, rho=0.7), 1e-5)


def exact_exit(limit, m, lr, rho, b):
    beta, root = mp.mpf(b) / lr, mp.sqrt(mp.mpf(b) / lr)

    def dawson(x):
        return mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x)

    def integrand(y):
        return dawson(root * (y - rho)) + mp.exp(beta * (rho**2 - (y - rho) ** 2)) * dawson(root * rho)

    points = sorted({mp.mpf(0), *(min(mp.mpf(p) * rho, limit) for p in (0.5, 1, 1.5, 2)), mp.mpf(limit)})
    return mp.quad(integrand, points) / (mp.mpf(lr) * m / (2 * b)) / root


CASES = [
    (1, 1, 0.1, 0.2, 1),
    (1, 2, 0.1, 0.2, 5),
    (0.5, 1, 0.1, 0.6, 10),
    (0.01, 1, 0.1, 0.6, 10),
    (2, 1, 0.1, 0.5, 12),
    (1, 1, 0.1, 0.0, 1),
    (0.39, 1, 0.1, 0.4, 30),
    (0.41, 1, 0.1, 0.4, 30),
    (0.1, 1, 0.1, 2.0, 8),
    (0.4, 1, 0.1, 0.4, 30),
]


@pytest.mark.parametrize("case", CASES)
def test_exit_time(case):
    limit, m, lr, rho, b = (mp.mpf(x) for x in case)
    with mp.workdps(40):
        exact = exact_exit(limit, m, lr, rho, b)
    call = {"eigenvalue": -float(m), "lr": float(lr), "rho": float(rho), "batch_size": float(b)}
    barrier = float(b / lr * rho**2)
    tolerance = 1e-13 + 10 * 2.0**-52 * barrier
    assert T.normalized_exit_time(float(limit), **call) == relative(float(exact), tolerance)
    log_value = T.log_normalized_exit_time(float(limit), **call)
    assert log_value == relative(float(mp.log(exact)), tolerance)


def test_without_radius_it_is_the_plain_saddle():
    d = T.diffusion_coefficient(-2.0, lr=0.1, batch_size=8)
    plain = T.mean_exit_time([0.1, 1.0, 5.0], curvature=-2.0, diffusion=d)
    found = T.normalized_exit_time([0.1, 1.0, 5.0], eigenvalue=-2.0, lr=0.1, rho=0.0, batch_size=8)
    np.testing.assert_allclose(found, plain, rtol=1e-13)


def test_kramers_limit_and_overflow():
    call = {"eigenvalue": -1.0, "lr": 0.1, "rho": 1.0, "batch_size": 50}
    ratio = T.normalized_exit_time(5.0, **call) / T.normalized_kramers_time(**call)
    assert ratio == pytest.approx(1, abs=2 / 500)  # corrections are of order D/barrier = 1/500
    high = call | {"batch_size": 5000}
    assert T.normalized_exit_time(5.0, **high) == np.inf
    log_kramers = 50_000 + math.log(math.sqrt(math.pi * 0.1 / 5000))
    assert T.log_normalized_exit_time(5.0, **high) == relative(log_kramers, 1e-9)


@pytest.mark.parametrize("c", [0.0, 1e-6, 0.1, 0.999, 1.001, 1.5, 3.0, 10.0, 100.0, 1e5])
def test_stationary_variance(c):
    with mp.workdps(80):
        x = mp.mpf(c)
        # exp(c^2) erfc(c) by quadrature, where erfc itself would need thousands of digits
        scaled = 2 / mp.sqrt(mp.pi) * mp.quad(lambda u: mp.exp(-u * u - 2 * u * x), [0, 1 / (1 + x), 10 / (1 + x), 60])
        top = mp.quad(lambda u: u * u * mp.exp(-u * u - 2 * u * x), [0, 1 / (1 + x), 10 / (1 + x), 60])
        exact = top / (scaled * mp.sqrt(mp.pi) / 2)
    found = T.normalized_stationary_variance(lr=0.5, rho=c * math.sqrt(0.5 / 8), batch_size=8)
    assert found == relative(float(exact) / 16, 1e-13)


def test_stationary_limits():
    assert T.normalized_stationary_variance(lr=0.1, rho=0.0, batch_size=4) == relative(0.0125, 1e-15)
    # a Laplace law of rate 2 rho B/lr for a large radius
    assert T.normalized_stationary_variance(lr=1.0, rho=1e6) == relative(0.5e-12, 1e-11)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: T.capture_steps(0.1, eigenvalue=1.0, lr=0.1, rho=0.2),
            "eigenvalue=1: give a negative eigenvalue",
        ),
        (lambda: T.capture_steps(0.1, eigenvalue=-1.0, lr=1.0, rho=0.2), "lr below 1/|eigenvalue|"),
        (
            lambda: T.capture_time(0.1, eigenvalue=-1.0, rho=0.0),
            "rho=0: give a positive radius, e.g. rho=0.05",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message.replace("|", r"\|")):
        call()
