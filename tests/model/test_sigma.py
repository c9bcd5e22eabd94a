"""Noise whose size is a matrix or a function of the point: by the same random numbers, and by exact moments."""

import numpy as np
import plain
import pytest

import samfast as sf

BOWL = sf.losses.quadratic([1.0, 3.0])
FLAT = sf.loss(2)(lambda w, p: 0.0 * w[0])
CURVATURE = np.array([1.0, 3.0])


def numbers(steps, draws=1):
    """The normals that two coordinates see, from a walk with sigma = lr = 1: (step, draw, coordinate) of path 0."""
    names = [f"z{j}" for j in range(draws)]
    state = dict.fromkeys(names, 0.0)
    rule = sf.rule("walk", lambda w, s, grad, p, z: (w, dict(zip(names, z, strict=True))), state=state, draws=draws)
    seen = sf.observe.Observer("z", lambda s: [getattr(s.v, n) for n in names], tuple(f"{n}_" for n in names))
    return plain.values(FLAT, rule, [[0.0, 0.0]], range(steps + 1), observe=seen)[1:, 0].reshape(steps, draws, 2)


def size(w, p):
    return 0.1 + 0.2 * abs(w)


def factor(w, p):
    return [[0.1, 0.0], [0.2 * w[0], 0.3 + w[1] * w[1]]]


def spread(w):
    return np.array([[0.1, 0.0], [0.2 * w[0], 0.3 + w[1] * w[1]]])


FORMS = {
    "number": (lambda w, p: 0.1 + w[0] * w[0], lambda w: np.eye(2) * (0.1 + w[0] ** 2)),
    "vector": (size, lambda w: np.diag(0.1 + 0.2 * np.abs(w))),
    "factor": (factor, spread),
    "tall": (lambda w, p: [[0.1], [w[0]]], lambda w: np.array([[0.1, 0.0], [w[0], 0.0]])),
    "parameters": (lambda w, p: p.eigenvalue * p.lr, lambda w: np.diag(CURVATURE * 0.1)),
}


@pytest.mark.parametrize("name", FORMS)
def test_noise_where_the_gradient_is_asked_for(name):
    """SAM with one minibatch: the noise of the ascent has the size at w, that of the descent the size at w^p."""
    sigma, matrix = FORMS[name]
    rule = sf.noisy(sf.sam(lr=0.1, rho=0.2), sigma=sigma, minibatch="same")
    seen, w = plain.values(BOWL, rule, [[0.5, -0.4]], range(9))[:, 0], np.array([0.5, -0.4])
    for z, wanted in zip(numbers(8)[:, 0], seen[1:], strict=True):
        up = w + 0.2 * (CURVATURE * w + matrix(w) @ z)
        w = w - 0.1 * (CURVATURE * up + matrix(up) @ z)
        np.testing.assert_allclose(wanted, w, rtol=1e-6)


@pytest.mark.parametrize("name", FORMS)
def test_a_diffusion_of_ito(name):
    """dw = -grad dt - sqrt(lr) S(w) dW in steps of 0.02: the noise has the size at the old point."""
    sigma, matrix = FORMS[name]
    seen = plain.values(BOWL, sf.diffusion(sf.gd(lr=0.1), sigma=sigma, dt=0.02), [[0.5, -0.4]], range(9))[:, 0]
    w = np.array([0.5, -0.4])
    for z, wanted in zip(numbers(8)[:, 0], seen[1:], strict=True):
        w = w - np.sqrt(0.1 * 0.02) * (matrix(w) @ z) - 0.02 * CURVATURE * w
        np.testing.assert_allclose(wanted, w, rtol=1e-6)


def test_many_coordinates():
    """A vector of sigma keeps the wide layout; a factor asks for coordinates."""
    loss = sf.losses.quadratic(np.linspace(1.0, 2.0, 10))
    a = sf.simulate(loss, sf.noisy(sf.gd(lr=0.1), sigma=size), np.full(10, 0.5), record=[5], paths=2, dtype="float64")
    rows = lambda w, p: [[0.1 + 0.2 * abs(w[i]) if i == j else 0.0 for j in range(10)] for i in range(10)]  # noqa: E731
    b = sf.simulate(loss, sf.noisy(sf.gd(lr=0.1), sigma=rows), np.full(10, 0.5), record=[5], paths=2, dtype="float64")
    assert a.job.program.wide and not b.job.program.wide
    np.testing.assert_allclose(a.final(), b.final(), rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_a_full_covariance_on_a_quadratic(momentum):
    """The exact covariance of the recursion. 40,000 paths: an error of 5 % of an entry's scale is 7 standard errors."""
    s = np.array([[0.3, 0.0], [0.4, 0.2]])
    rule = sf.noisy(sf.gd(lr=0.1, momentum=momentum), sigma=sf.matrix(s))
    run = sf.simulate(BOWL, rule, [0.0, 0.0], record=[15], paths=40_000)
    curved, one = np.diag(CURVATURE), np.eye(2)
    step = np.block([[one - 0.1 * curved, -0.1 * momentum * one], [curved, momentum * one]])
    kick = np.vstack([-0.1 * s, s])
    exact = np.zeros((4, 4))
    for _ in range(15):
        exact = step @ exact @ step.T + kick @ kick.T
    w = run.final()
    found = np.cov(w.T)
    scale = np.sqrt(np.diag(exact)[:2])
    error = np.sqrt((np.outer(scale, scale) ** 2 + exact[:2, :2] ** 2) / run.paths)
    assert (np.abs(found - exact[:2, :2]) < 5 * error).all() and exact[0, 1] > 10 * error[0, 1]


@pytest.mark.parametrize(
    "make, error, pattern",
    [
        (lambda: sf.noisy(sf.gd(lr=0.1), sigma=float), TypeError, "sigma=.*float.*: give numbers or a function"),
        (lambda: run_of(lambda w, p: "x"), sf.TraceError, "sigma: the function returned 'x'; return a number"),
        (lambda: run_of(lambda w, p: [[1.0, 0.0]]), sf.TraceError, "sigma: the function returned .*list of rows"),
        (lambda: run_of(lambda w, p: [[1.0], [1.0, 2.0]]), sf.TraceError, "sigma: the function returned"),
        (lambda: run_of(lambda w, p: p.size), sf.TraceError, "p.size: .*no parameter 'size'"),
        (
            lambda: run_of(size, sf.sam(lr=0.1, rho=0.1, drift="chain")),
            sf.TraceError,
            "sigma: this rule differentiates the loss",
        ),
    ],
)
def test_mistakes(make, error, pattern):
    with pytest.raises(error, match=pattern):
        make()


def run_of(sigma, rule=None):
    return sf.simulate(BOWL, sf.noisy(rule or sf.gd(lr=0.1), sigma=sigma, minibatch="same"), [0.5, 0.5], record=[1])
