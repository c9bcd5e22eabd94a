"""Fifty-digit and longer references, and the tolerance that goes with them."""

import math

import mpmath as mp
from hypothesis import strategies as st

mp.mp.dps = 220  # enough for a cancellation of 1e-80 in a divided difference
EPS = 2.0**-52
STEP = mp.mpf(10) ** -30


def condition(function, arguments):
    """Return (value, condition number): the sum of |relative change| per relative change of each argument."""
    exact = [mp.mpf(x) for x in arguments]
    base = function(*exact)
    total = mp.mpf(0)
    for i, x in enumerate(exact):
        if x != 0 and base != 0:
            moved = [*exact[:i], x * (1 + STEP), *exact[i + 1 :]]
            total += abs((function(*moved) - base) / base) / STEP
    return base, float(total)


def error(value, function, arguments):
    """Return |relative error| in units of eps (1 + condition); agreeing overflow and underflow count as 0."""
    exact, cond = condition(function, arguments)
    if exact == 0 or abs(exact) < mp.mpf(10) ** -300:
        return abs(float(value)) * 1e299
    if abs(exact) > mp.mpf(10) ** 306:
        return 0.0 if abs(float(value)) > 1e305 else math.inf
    return float(abs(mp.mpf(float(value)) - exact) / abs(exact)) / (EPS * (1 + cond))


def close(value, function, arguments, ulps=10):
    """Assert agreement within ``ulps`` eps times (1 + condition)."""
    found = error(value, function, arguments)
    assert found <= ulps, f"{value!r} at {arguments}: {found:.3g} eps times condition, allowed {ulps}"


def spread(low, high, signs=(1,)):
    """Numbers of every magnitude: 10**U(low, high) with one of the signs (0 gives 0)."""
    return st.builds(lambda e, s: s * 10.0**e, st.floats(low, high), st.sampled_from(signs))


def phi1(z):
    return mp.mpf(1) if z == 0 else mp.expm1(z) / z


def ou_variance(t, k, d):
    return 2 * d * t * phi1(-2 * k * t)


def matrix_moments(a, q, n):
    """Return (covariance, A^n) of the recursion with matrix a and noise q by exact doubling."""
    cov, power = mp.zeros(2), mp.eye(2)
    for bit in bin(n)[2:]:
        cov, power = power * cov * power.T + cov, power * power
        if bit == "1":
            cov, power = a * cov * a.T + q, power * a
    return cov, power
