"""Regions where an obvious way to evaluate a closed form loses digits, each against long arithmetic.

Errors are counted in eps times (1 + condition number), so that an ill-conditioned argument is not held against the code.
"""

import math

import mpmath as mp
import numpy as np
import pytest
from precise import EPS, close, condition, matrix_moments, phi1

from samfast import theory as T


def relative(value, exact):
    """Return |value/exact - 1|, in long arithmetic."""
    return float(abs(mp.mpf(float(value)) / exact - 1))


# --- the widened barrier of a monitored walk -----------------------------------------------------------------------------
def test_barrier_shift():
    """To all digits: -zeta(1/2)/sqrt(2 pi)."""
    exact = -mp.zeta(mp.mpf(1) / 2) / mp.sqrt(2 * mp.pi)
    wide = mp.mpf(1) + exact * mp.sqrt(2 * mp.mpf(0.1) * mp.mpf(0.01))
    found = T.em_exit_time_estimate(1.0, curvature=0.0, diffusion=0.1, dt=0.01)
    assert relative(found, wide**2 / (2 * mp.mpf(0.1))) < 4 * EPS


# --- Corollary 1 with the noise of minibatches ---------------------------------------------------------------------------
def variances(noise, drift):
    """SGD's variance less SAM's as a function of the arguments, for one noise."""

    def value(t, e, lr, rho):
        r = rho * e
        k = e * (1 + r) if drift == "plain" else e * (1 + r) ** 2
        s = {"unit": 1, "exact": 1, "same": (1 + r) ** 2, "independent": 1 + r * r}[noise]
        s = s if drift == "plain" or noise == "unit" else s * (1 + r) ** 2
        d = lr * abs(e) / 2
        return 2 * d * t * (phi1(-2 * e * t) - s * phi1(-2 * k * t))

    return value


@pytest.mark.parametrize("drift", ["chain", "plain"])
@pytest.mark.parametrize("noise", ["unit", "exact", "same", "independent"])
def test_corollary_1_with_every_noise(noise, drift):
    """At positive eigenvalues both variances level out and, with an exact ascent gradient, at one value."""
    rng = np.random.default_rng(1)
    cases = [
        (t, e, rho) for t in (0.01, 1.0, 10.0, 30.0, 100.0) for e in (0.3, 1.0, 3.0, -0.3, -1.0) for rho in (1e-6, 0.1, 0.7)
    ]
    cases += [
        tuple(x) for x in np.stack([10 ** rng.uniform(-3, 2, 60), rng.uniform(-3, 3, 60), 10 ** rng.uniform(-6, 0.7, 60)], 1)
    ]
    for t, e, rho in cases:
        if abs(e * t) * (1 + rho * abs(e)) ** 2 > 300:
            continue
        found = T.corollary1_exact(t, eigenvalue=e, lr=0.01, rho=rho, drift=drift, noise=noise)
        close(found, variances(noise, drift), [t, e, 0.01, rho], 20)


# --- stationary spread of normalised SAM ---------------------------------------------------------------------------------
@pytest.mark.parametrize("c", [0.0, 1e-9, 0.3, 0.9, 1 - 1e-3, 1 - EPS, 1.0, 1 + EPS, 1 + 1e-3, 1.05, 1.1, 1.5, 3.0, 30.0, 1e3])
def test_normalised_stationary_variance(c):
    """On both sides of c = rho*sqrt(B/lr) = 1, where a recursion takes over from the closed form."""
    exact = mp.mpf(1) / 2 + mp.mpf(c) ** 2 - mp.mpf(c) * mp.exp(-(mp.mpf(c) ** 2)) / (mp.sqrt(mp.pi) * mp.erfc(c))
    assert relative(T.normalized_stationary_variance(lr=1.0, rho=c), exact) < 1e-14


# --- the toy network -----------------------------------------------------------------------------------------------------
def exponent(batch, minibatch):
    def value(w, lr, rho):
        if batch == math.inf:
            means = {mp.mpf(1) / 2: mp.mpf(1)}
        else:
            means = {mp.mpf(3 * k) / batch - 1: mp.mpf(math.comb(batch, k)) / 2**batch for k in range(batch + 1)}
        if minibatch == "same":
            return sum(p * mp.log(abs(1 + 4 * lr * w * y * (1 - 4 * rho * w * y))) for y, p in means.items())
        return sum(
            p * q * mp.log(abs(1 + 4 * lr * w * z * (1 - 4 * rho * w * y))) for y, p in means.items() for z, q in means.items()
        )

    return value


@pytest.mark.parametrize(
    ("batch", "minibatch"), [(1, "same"), (4, "same"), (64, "same"), (1, "independent"), (5, "independent"), (math.inf, "same")]
)
@pytest.mark.parametrize("lr", [1e-12, 1e-6, 0.01, 0.3])
def test_toy_network_exponent(batch, minibatch, lr):
    """Small steps: the logarithm of a number beside 1."""
    for w in (0.05, 0.5, 0.9):
        for rho in (0.0, 0.01, 0.5):
            found = T.toy_network_exponent(w, lr=lr, rho=rho, batch_size=batch, minibatch=minibatch)
            close(found, exponent(batch, minibatch), [w, lr, rho], 20)


# --- momentum where the map is nearly minus a shear ----------------------------------------------------------------------
FIELDS = ("var", "cov", "var_velocity", "mean", "mean_velocity")


def heavy(n, field, first=True):
    """Moments of (w, m) from w = 0.7, m = 0, for gradient variance 1."""

    def value(k, lr, friction, tau):
        g = 1 - friction
        mean, cov = mp.matrix([mp.mpf("0.7"), 0]), mp.zeros(2)
        rest = n
        if not first and n:
            mean = mp.matrix([mean[0] * (1 - lr * k), k * mean[0]])
            kick = mp.matrix([-lr, 1])
            cov, rest = kick * kick.T, n - 1
        a = mp.matrix([[1 - lr * (1 - tau) * k, -lr * g], [(1 - tau) * k, g]])
        kick = (1 - tau) * mp.matrix([-lr, 1])
        more, power = matrix_moments(a, kick * kick.T, rest)
        cov, mean = power * cov * power.T + more, power * mean
        return (cov[0, 0], cov[0, 1], cov[1, 1], mean[0], mean[1])[FIELDS.index(field)]

    return value


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("friction", [0.0, 2.0**-30, 2.0**-27, 1e-4, 0.1])
def test_heavy_ball_near_the_upper_end_of_its_window(friction, field):
    """a = lr*(1 - dampening)*curvature near 2(1 + momentum): there the position changes its sign in every update."""
    for below in (1e-12, 1e-8, 1e-5, 1e-2, -1e-9, 0.0):
        for n in (3, 1000, 40_001, 3_000_000):
            k = 4.0 - 2 * friction - below
            found = T.heavy_ball_moments(n, curvature=k, lr=1.0, momentum=1 - friction, gradient_variance=1.0, start=0.7)
            reference = heavy(n, field)
            if abs(reference(k, 1.0, friction, 0.0)) < 1e280:
                close(getattr(found, field), reference, [k, 1.0, friction, 0.0], 40)


@pytest.mark.parametrize("scheme", ["symplectic", "explicit"])
def test_schemes_where_they_alternate(scheme):
    """Friction per step near 4 (explicit), stiffness near 4 (symplectic), against exact doubling."""

    def value(field, n):
        def inner(k, d, lr, friction, dt):
            r = dt / lr
            f, a = friction * r, k * dt * r
            step = mp.matrix([[1 - a, 1 - f], [-a, 1 - f]] if scheme == "symplectic" else [[1, 1], [-a, 1 - f]])
            kick = mp.matrix([int(scheme == "symplectic"), 1])
            cov, _ = matrix_moments(step, 2 * d * dt * r * r * kick * kick.T, n)
            return (cov[0, 0], cov[0, 1] / dt, cov[1, 1] / dt / dt)[FIELDS.index(field)]

        return inner

    for n in (2, 5, 1001, 20_000):
        for eps in (0.0, 1e-9, 1e-4):
            k, friction, dt = (3.99999, eps, 1.0) if scheme == "symplectic" else (1e-9 + eps, 0.9999999, 4.0)
            for field in FIELDS[:3]:
                found = T.momentum_em_moments(
                    n, curvature=k, diffusion=0.5, lr=1.0, momentum=1 - friction, dt=dt, scheme=scheme
                )
                friction_ = float(1 - (1 - mp.mpf(friction))) if friction < 0.5 else 1 - (1 - friction)
                close(getattr(found, field), value(field, n), [k, 0.5, 1.0, friction_, dt], 60)


def test_differences_where_the_heavy_ball_alternates():
    """Two heavy balls that both change sign in every update, as close together as SGD and SAM are."""

    def value(n, which):
        def inner(k, shift, friction):
            g = 1 - friction
            both = [mp.matrix([[1 - a, g], [-a, g]]) for a in (k, k + shift)]
            if which == "difference":
                one = mp.matrix([[1, 1], [1, 1]])
                x, y = (matrix_moments(m, one, n)[0] for m in both)
                return x[0, 0] - y[0, 0]
            total, e = mp.mpf(0), [mp.matrix([1, 1]), mp.matrix([1, 1])]
            for _ in range(n):
                total += e[0][0] * e[1][0]
                e = [m * v for m, v in zip(both, e, strict=True)]
            return total

        return inner

    about = {"diffusion": 0.5, "lr": 1.0, "momentum": 1 - 2.0**-20}
    for below in (1e-6, 1e-3, 0.5):
        k, shift = 4 - 2.0**-19 - below, -below / 64
        found = T.momentum_em_difference(50_000, curvature=k, shift=shift, **about)
        close(found, value(50_000, "difference"), [k, shift, 2.0**-20], 100)
        found = T.momentum_em_crn_covariance(3000, curvature=k, other_curvature=k + shift, **about)
        exact, cond = condition(value(3000, "covariance"), [k, shift, 2.0**-20])
        assert relative(found, exact) < 100 * EPS * (1 + cond)


def test_overflow_of_the_heavy_ball():
    """inf, and the sign of the covariance is that of the last finite one."""
    for first in (True, False):
        for k in (-1.0, 80.0):
            about = {
                "curvature": k,
                "lr": 0.1,
                "momentum": 0.9,
                "dampening": 0.3,
                "gradient_variance": 1.0,
                "dampen_first": first,
            }
            late = T.heavy_ball_moments(10**6, **about)
            early = T.heavy_ball_moments(60, **about)
            assert late.var == np.inf and late.var_velocity == np.inf and np.isfinite(early.var)
            assert late.cov == np.sign(early.cov) * np.inf, (first, k)
    for scheme in ("explicit", "symplectic"):
        for k in (-1.0, 80.0):
            about = {"curvature": k, "diffusion": 1.0, "lr": 0.1, "momentum": 0.9, "scheme": scheme}
            early, late = (T.momentum_em_moments(n, **about).cov for n in (10, 10**6))
            if scheme == "symplectic" or k < 0:  # the explicit scheme turns while it grows at k = 80
                assert late == np.sign(early) * np.inf


# --- the embedding in an Ornstein-Uhlenbeck process ----------------------------------------------------------------------
@pytest.mark.parametrize("x", [-1e6, -650.0, -30.0, -1.9, -0.86, -0.85, -1e-9, 0.0, 1e-300, 1e-3, 0.46, 0.47, 0.999, 1 - EPS])
def test_ou_embedding(x):
    k, d = T.ou_embedding(curvature=x, diffusion=0.3, dt=1.0)
    ratio = -mp.log1p(-mp.mpf(x)) / x if x else mp.mpf(1)
    assert relative(d, mp.mpf(0.3) * ratio * 2 / (2 - mp.mpf(x))) < 1e-14
    assert k == 0 if x == 0 else relative(k, ratio * x) < 1e-14


@pytest.mark.parametrize("x", [-650.0, -30.0, -0.86, -0.85, -1e-6, 1e-6, 0.46, 0.47, 0.9])
def test_bias_of_euler_maruyama(x):
    def value(k, d, h):
        n = 3
        q = (1 - k * h) ** 2
        return 2 * d * h * (1 - q**n) / (1 - q) - 2 * d * n * h * phi1(-2 * k * n * h)

    if n_fits := abs(x) < 100:
        close(T.em_bias(3, curvature=x, diffusion=0.3, dt=1.0), value, [x, 0.3, 1.0], 20)
    assert n_fits or T.em_bias(3, curvature=x, diffusion=0.3, dt=1.0) == -np.inf


# --- exit of the monitored chain from a deep trap ------------------------------------------------------------------------
def monitored(limit, curvature, diffusion, dt, start, nodes=48):
    """Nystrom's method in forty digits."""
    with mp.workdps(40):
        decay, step = 1 - mp.mpf(curvature) * dt, mp.sqrt(2 * mp.mpf(diffusion) * dt)
        x, w = nodes_of(nodes)
        y = [limit * v for v in x]

        def density(at, to):
            both = mp.exp(-(((to - decay * at) / step) ** 2) / 2) + mp.exp(-(((to + decay * at) / step) ** 2) / 2)
            return both / (step * mp.sqrt(2 * mp.pi))

        system = mp.matrix(nodes)
        for i in range(nodes):
            for j in range(nodes):
                system[i, j] = (i == j) - limit * w[j] * density(y[i], y[j])
        solution = mp.lu_solve(system, mp.matrix([1] * nodes))
        return dt * (1 + sum(limit * w[j] * density(mp.mpf(start), y[j]) * solution[j] for j in range(nodes)))


_FOUND = {}


def nodes_of(n):
    """Positive half of a Gauss-Legendre rule of 2n nodes in forty digits."""
    if n not in _FOUND:
        x, _ = np.polynomial.legendre.leggauss(2 * n)
        roots, weights = [], []
        for start in x[n:]:
            r = mp.mpf(float(start))
            for _ in range(4):
                p0, p1 = mp.mpf(1), r
                for k in range(2, 2 * n + 1):
                    p0, p1 = p1, ((2 * k - 1) * r * p1 - (k - 1) * p0) / k
                slope = 2 * n * (r * p1 - p0) / (r * r - 1)
                r -= p1 / slope
            roots.append(r)
            weights.append(2 / ((1 - r * r) * slope**2))
        _FOUND[n] = (roots, weights)
    return _FOUND[n]


@pytest.mark.parametrize(
    ("curvature", "diffusion", "dt"), [(1.0, 0.01, 0.5), (1.0, 0.02, 0.9), (2.0, 0.05, 0.3), (-1.0, 0.1, 0.1)]
)
def test_exit_of_the_chain_from_a_deep_trap(curvature, diffusion, dt):
    """Mean times up to 1e17 steps: no error that grows with the depth."""
    for start in (0.0, 0.7):
        exact = monitored(1, curvature, diffusion, dt, start)
        found = T.em_exit_time(1.0, curvature=curvature, diffusion=diffusion, dt=dt, start=start)
        assert relative(found, exact) < 2e-13


def test_exit_of_the_chain_on_both_sides_of_the_banded_rule():
    """The same number from one rule, and from panels with a band, in a trap of 1e9 steps."""
    about = {"curvature": 1.0, "diffusion": 0.02, "dt": 0.1}
    whole = T.em_exit_time(1.0, nodes=128, **about)
    panels = T.em_exit_time(1.0, **about)
    assert panels == pytest.approx(whole, rel=2e-13, abs=0)
    assert 1e8 < whole < 1e14


# --- the control variate -------------------------------------------------------------------------------------------------
def test_control_variate_at_its_ends():
    """rho = 0: SAM is SGD, so beta is 1 and nothing is left, at any time; beyond float64 the residual is inf."""
    for t in (0.0, 1.0, 1000.0):
        beta, residual = T.control_variate(t, eigenvalue=-1.0, lr=0.01, rho=0.0)
        assert (beta, residual) == (1.0, 0.0)
    beta, residual = T.control_variate(2000.0, eigenvalue=-1.0, lr=0.01, rho=0.1)
    assert residual == np.inf and 0 <= beta < 1e-10
    beta, residual = T.control_variate(3.0, eigenvalue=0.0, lr=0.01, rho=0.1)
    assert (beta, residual) == (1.0, 0.0)
    about = {"eigenvalue": -1.0, "lr": 1e-3, "rho": 1e-12}  # sigma^4 exceeds float64, the residual does not
    size = mp.exp(2 * mp.mpf(float(T.log_theorem2(185.0, drift="plain", **about))))
    beta, residual = T.control_variate(185.0, **about)
    assert size > mp.mpf(10) ** 308 and 0 < residual < np.inf
    x, y = mp.mpf(-1), -1 * (1 - mp.mpf(1e-12))
    c, sx, sy = (2 * phi1(-(p + q) * 185) for p, q in ((x, y), (x, x), (y, y)))
    share = 1 - (c * c / (sx * sy)) ** 2
    assert relative(residual, 2 * (mp.mpf(1e-3) * 185 / 2 * sy) ** 2 * share) < 1e-12


# --- logarithms of variances with momentum -------------------------------------------------------------------------------
def test_logarithms_agree_where_nothing_overflows():
    rng = np.random.default_rng(2)
    k, g, tau = rng.uniform(-1, 1, 200), rng.uniform(0, 0.99, 200), rng.uniform(0, 0.9, 200)
    about = {"curvature": k, "lr": 0.05, "momentum": g, "dampening": tau}
    n = rng.integers(0, 200, 200)
    pairs = [
        (T.log_theorem3_variance(n * 0.05, diffusion=0.3, **about), T.theorem3_variance(n * 0.05, diffusion=0.3, **about)),
        (
            T.log_momentum_sde_variance(n * 0.05, diffusion=0.3, **about),
            T.momentum_sde_moments(n * 0.05, diffusion=0.3, **about).var,
        ),
        *(
            (
                T.log_heavy_ball_variance(n, gradient_variance=2.0, dampen_first=f, **about),
                T.heavy_ball_moments(n, gradient_variance=2.0, dampen_first=f, **about).var,
            )
            for f in (True, False)
        ),
        *(
            (
                T.log_momentum_em_variance(n, diffusion=0.3, scheme=s, dt=0.03, **about),
                T.momentum_em_moments(n, diffusion=0.3, scheme=s, dt=0.03, **about).var,
            )
            for s in ("explicit", "symplectic")
        ),
    ]
    for logarithm, value in pairs:
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(logarithm, np.log(value), rtol=1e-12, atol=1e-12)
    about = {"eigenvalue": -1.0, "lr": 0.01, "momentum": 0.9, "rho": 0.1, "batch_size": 4}
    assert T.log_theorem3(2.0, **about) == pytest.approx(math.log(T.theorem3(2.0, **about)), rel=1e-14, abs=0)


@pytest.mark.parametrize("n", [10**4, 10**6, 10**9])
def test_logarithms_beyond_float64(n):
    """The variance of an escape after up to 1e9 updates, in long arithmetic: two terms of its exponential sum."""
    lr, g, k, d = mp.mpf("0.0625"), mp.mpf("0.75"), mp.mpf(-1), mp.mpf("0.25")
    about = {"curvature": -1.0, "lr": 0.0625, "momentum": 0.75}
    a = lr * k
    root = mp.sqrt((1 + g - a) ** 2 - 4 * g)
    z1, z2 = (1 + g - a + root) / 2, (1 + g - a - root) / 2
    # sum of (z1^(k+1) - z2^(k+1))^2/(z1 - z2)^2 over k < n; the powers of z2 are long gone
    grown = 2 * (n + 1) * mp.log(z1) - mp.log((z1 * z1 - 1) * (z1 - z2) ** 2)
    assert relative(T.log_heavy_ball_variance(n, gradient_variance=8.0, **about), grown + mp.log(lr**2 * 8)) < 1e-14
    symplectic = T.log_momentum_em_variance(n, diffusion=0.25, scheme="symplectic", **about)
    assert relative(symplectic, grown + mp.log(2 * d * lr)) < 1e-14
    f = 1 - g
    root = mp.sqrt(f * f - 4 * a)
    z1, z2 = (2 - f + root) / 2, (2 - f - root) / 2
    late = 2 * n * mp.log(z1) - mp.log((z1 * z1 - 1) * (z1 - z2) ** 2)
    assert relative(T.log_momentum_em_variance(n, diffusion=0.25, **about), late + mp.log(2 * d * lr)) < 1e-14
    t = n / 16
    phi, b, q = (1 - g) / lr, k / lr, 2 * d / lr**2
    w = mp.sqrt(phi * phi / 4 - b)
    r = -phi / 2 + w
    assert relative(T.log_momentum_sde_variance(t, diffusion=0.25, **about), 2 * r * t + mp.log(q / (8 * r * w * w))) < 1e-14
    fast = -2 * k / (1 - g)
    exact = fast * t + mp.log(d / (-k * (1 - g)))
    assert relative(T.log_theorem3_variance(t, diffusion=0.25, **about), exact) < 1e-14
    assert T.momentum_sde_moments(t, diffusion=0.25, **about).var == np.inf


def test_logarithm_of_nothing():
    about = {"curvature": -1.0, "lr": 0.1, "momentum": 0.5}
    assert T.log_heavy_ball_variance(0, gradient_variance=1.0, **about) == -np.inf
    assert T.log_momentum_sde_variance(0.0, diffusion=1.0, **about) == -np.inf
    assert T.log_theorem3_variance(0.0, diffusion=1.0, **about) == -np.inf
    assert T.log_momentum_em_variance([0, 1], diffusion=1.0, **about).tolist() == [-np.inf, -np.inf]
