"""Where an evaluation changes its way: points on both sides of each switch, at 1e-3 and at one unit in the last place."""

import math

import mpmath as mp
import numpy as np
import pytest
from precise import EPS, phi1

from samfast import theory as T
from samfast.theory import discrete, escape, momentum, monitored, special, toy_network
from samfast.theory.stability import BOUNDARY


def around(x):
    """Both sides of x, and x."""
    return [x * (1 - 1e-3), np.nextafter(x, -np.inf), x, np.nextafter(x, np.inf), x * (1 + 1e-3)]


def relative(value, exact):
    return float(abs(mp.mpf(float(value)) / exact - 1))


def longer(f, *arguments):
    with mp.workdps(60):
        return f(*(mp.mpf(float(x)) for x in arguments))


# --- special functions ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("z", [*around(1.0), *around(-1.0), *around(special.SPLIT_EXP), *around(50.0), 1e-300, -1e-300])
def test_phi_functions(z):
    def phi2(x):
        return (mp.expm1(x) - x) / x**2

    def psi(x):
        return ((x - 1) * mp.exp(x) + 1) / x**2

    with mp.workdps(700):  # 1e-300 cancels to its square
        x = mp.mpf(float(z))
        for found, exact in ((T.phi1(z), phi1(x)), (T.phi2(z), phi2(x)), (T.psi(z), psi(x)), (T.log_phi1(z), mp.log(phi1(x)))):
            assert relative(found, exact) < 4 * EPS * (1 + abs(z))


@pytest.mark.parametrize("top", around(special.CHC_SWITCH))
@pytest.mark.parametrize("low", [0.0, 1.0, 3.9, "equal"])
def test_divided_difference_of_chc(top, low):
    low = top * (1 - 2**-30) if low == "equal" else low

    def exact(a, b):
        c = [(mp.cosh(x) - 1) / x**2 if x else mp.mpf(1) / 2 for x in (a, b)]
        return (c[0] - c[1]) / (a * a - b * b) * mp.exp(-max(a, b))

    assert relative(T.scaled_delta_chc(top, low), longer(exact, top, low)) < 40 * EPS


# --- exit times ----------------------------------------------------------------------------------------------------------
def exit_time(limit, start, k, d):
    return sum(
        s * y * y / (2 * d) * mp.hyper([1, 1], [mp.mpf(3) / 2, 2], k * y * y / (2 * d)) for s, y in ((1, limit), (-1, start))
    )


@pytest.mark.parametrize("x", [*around(escape.FAR), *around(escape.SHALLOW), *around(1e-8), *around(2.0)])
@pytest.mark.parametrize("share", [0.0, 0.124, 0.126, 0.9])
@pytest.mark.parametrize("k", [-1.0, 1.0])
def test_mean_exit_time(x, share, k):
    """L*sqrt(|curvature|/2D) about FAR, SHALLOW, the free limit and the steep one; starts about L/8."""
    exact = longer(exit_time, x, share * x, k, 0.5)
    assert relative(T.mean_exit_time(x, curvature=k, diffusion=0.5, start=share * x), exact) < 30 * EPS * (1 + x * x)


@pytest.mark.parametrize("z", [*around(escape.BROAD), 30.0])
def test_survival_rate(z):
    """The smallest root of 1F1(-mu/2; 1/2; z), for curvature 1 and D = L^2/2z, on both sides of BROAD."""
    with mp.workdps(60):
        width = mp.mpf(float(z))
        guess = 1 / exit_time(mp.mpf(1), mp.mpf(0), mp.mpf(1), 1 / (2 * width))
        root = mp.findroot(lambda u: mp.hyp1f1(-u / 2, mp.mpf(1) / 2, width), (guess, guess * (1 + mp.mpf("1e-9"))))
    assert relative(T.survival_rate(1.0, curvature=1.0, diffusion=1 / (2 * z)), root) < 60 * EPS * (1 + z)


@pytest.mark.parametrize("ratio", around(monitored.FEW / 9))
def test_monitored_chain(ratio):
    """L over the spread of a step where one rule gives way to panels: against a rule that is fine enough for both."""
    about = {"curvature": -0.3, "diffusion": 0.5 / ratio**2, "dt": 1.0}
    assert relative(T.em_exit_time(1.0, **about), mp.mpf(float(T.em_exit_time(1.0, nodes=220, **about)))) < 1e-12


# --- variances -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("z", [*around(700.0), 709.0, -1e-3])
def test_variance_of_the_diffusion(z):
    exact = longer(lambda x: 2 * phi1(x) * mp.mpf(1e-3), z)
    assert relative(T.sde_variance(1.0, curvature=-z / 2, diffusion=1e-3), exact) < 4 * EPS * (1 + abs(z))


@pytest.mark.parametrize("power", [*around(50.0), 1e-9])
def test_logarithm_of_the_discrete_variance(power):
    """n*ln(1 + u) about 50, at n = 100 steps."""
    x = 1 - math.exp(power / 200)

    def exact(k):
        q = (1 - k) ** 2
        return mp.log(2 * (q**100 - 1) / (q - 1))

    assert relative(T.log_em_variance(100, curvature=x, diffusion=1.0, dt=1.0), longer(exact, x)) < 100 * EPS


@pytest.mark.parametrize("y", [*around(discrete.SMALL), *around(-discrete.SMALL)])
def test_excess_of_the_embedding(y):
    x = 2 * y / (1 + y)
    k, d = T.ou_embedding(curvature=x, diffusion=1.0, dt=1.0)
    ratio = longer(lambda v: -mp.log1p(-v) / v, x)
    assert relative(k, ratio * mp.mpf(float(x))) < 8 * EPS and relative(d, ratio * 2 / (2 - mp.mpf(float(x)))) < 8 * EPS
    bias = longer(lambda v: 2 * (1 + (1 - v) ** 2) - 4 * phi1(-4 * v), x)
    assert relative(T.em_bias(2, curvature=x, diffusion=1.0, dt=1.0), bias) < 100 * EPS


@pytest.mark.parametrize("side", [-1e-3, -EPS, 0.0, EPS, 1e-3])
@pytest.mark.parametrize("k", [0.25, 0.7])
def test_critical_damping(side, k):
    """a^2/4 = b: the roots meet, and turn from real to complex."""
    lr = 0.25 * (1 + side) / k  # a = 1/lr, b = k/lr without momentum

    def exact(rate, curvature):
        a, b = 1 / rate, curvature / rate
        w = mp.sqrt(mp.mpc(a * a / 4 - b)) or mp.mpf(10) ** -40
        t, r, s = mp.mpf(2), -a / 2 + w, -a / 2 - w
        total = sum(c * t * phi1(z * t) for c, z in ((1, 2 * r), (1, 2 * s), (-2, r + s)))
        return mp.re(2 / rate**2 * total / (4 * w * w))

    with mp.workdps(120):
        expected = exact(mp.mpf(lr), mp.mpf(k))
    assert relative(T.momentum_sde_moments(2.0, curvature=k, diffusion=1.0, lr=lr, momentum=0.0).var, expected) < 1e-14
    assert (
        relative(
            mp.exp(mp.mpf(float(T.log_momentum_sde_variance(2.0, curvature=k, diffusion=1.0, lr=lr, momentum=0.0)))), expected
        )
        < 1e-14
    )


@pytest.mark.parametrize("batch", [toy_network.COUNTED - 1, toy_network.COUNTED, toy_network.COUNTED + 1])
def test_chances_of_a_batch(batch):
    """Whole numbers up to COUNTED, SciPy's beyond it."""
    with mp.workdps(40):
        exact = mp.fsum(
            mp.mpf(math.comb(batch, k)) / 2**batch * mp.log(abs(1 + mp.mpf(4) / 100 * y * (1 - y / 4)))
            for k in range(batch + 1)
            for y in [mp.mpf(3 * k) / batch - 1]
        )
    assert relative(T.toy_network_exponent(1.0, lr=0.01, rho=0.0625, batch_size=batch), exact) < 1e-13


# --- verdicts ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("e", [-3.0, -7.0, -0.1, -1 / 3, -49.0, -1e-5, -12345.678])
def test_edges_at_eigenvalues_that_are_no_powers_of_two(e):
    """rho = 1/|eigenvalue| and 2/|eigenvalue|: one unit in the last place is not told from the edge, 1e-3 is."""
    for rho in around(2 / -e)[1:4]:
        assert T.corollary1_sign(e, rho=rho) == 0
    assert [T.corollary1_sign(e, rho=r) for r in around(2 / -e)[::4]] == [1, -1]
    for rho in around(1 / -e)[1:4]:
        assert T.theorem1([e], rho=rho).verdict == "neutral"
    assert [T.theorem1([e], rho=r).verdict for r in around(1 / -e)[::4]] == ["unstable", "attractor"]
    assert BOUNDARY == 4 * EPS


@pytest.mark.parametrize("tighter", [1.0, momentum.TIGHTER])
def test_edges_of_the_range_of_theorem_3(tighter):
    """The three conditions one by one, 1e-9 inside and outside each edge, for both levels."""
    level, beyond = (0.15, np.inf) if tighter == 1 else (0.01, 0.15)
    for side, expected in ((1 - 1e-9, level), (1 + 1e-9, beyond)):
        g, lr = 0.75, 0.5
        updates = 41.0 * tighter / 0.25
        assert T.theorem3_validity(updates / side * lr, curvature=0.0, lr=lr, momentum=g) == expected
        k = 0.05 / tighter * 0.25**2 / lr * side
        for late in (1e4, 1e5):
            assert T.theorem3_validity(late * lr, curvature=k, lr=lr, momentum=g) == expected
        n = 2 * updates
        rate = math.sqrt(0.0245 / tighter * 0.25**3 / n) * side**0.5
        k = -rate / lr
        assert abs(k) * lr < 0.05 / tighter * 0.25**2  # the inertia alone would allow it
        assert T.theorem3_validity(n * lr, curvature=k, lr=lr, momentum=g) == expected
        assert T.theorem3_validity(n * lr, curvature=-k, lr=lr, momentum=g) <= level  # no rate where nothing escapes
