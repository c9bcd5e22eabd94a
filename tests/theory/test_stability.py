"""Theorem 1: claims 1 and 2 of the specification, against noise-free runs of the algorithm."""

import numpy as np
import pytest
from tolerance import relative

from samfast import theory as T

KINDS = [(0.0, 0.0), (0.5, 0.0), (0.9, 0.0), (0.9, 0.9), (0.99, 0.5)]


def run(curvature, lr, momentum, dampening, steps):
    """Return ln of the slowest mode's amplitude over the course of a noise-free run, rescaled at every step.

    The mode is taken from the step itself; a norm would wiggle where the roots are complex.
    """

    def step(state):
        kick = momentum * state[1] + (1 - dampening) * lr * curvature * state[0]
        return np.array([state[0] - kick, kick])

    matrix = np.array([step([1.0, 0.0]), step([0.0, 1.0])])
    values, modes = np.linalg.eig(matrix)
    mode = modes[:, np.abs(values).argmax()]
    state, size, sizes = np.array([1.0, 0.3]), 0.0, np.zeros(steps)
    for n in range(steps):
        state = step(state)
        norm = np.hypot(*state)
        size, state = size + np.log(norm), state / norm
        sizes[n] = size + np.log(abs(mode @ state))
    return sizes


@pytest.mark.parametrize(("momentum", "dampening"), KINDS)
@pytest.mark.parametrize("side", [0.99, 1.01])
@pytest.mark.parametrize("edge", ["low", "high"])
def test_windows_and_spectral_radius_against_runs(momentum, dampening, side, edge):
    e, lr, steps = -2.0, 0.05, 10_000
    settings = {"lr": lr, "momentum": momentum, "dampening": dampening}
    low, high = T.rho_window(e, **settings)
    rho = float(low) / side if edge == "low" else float(high) * side
    found = T.theorem1(e, rho=rho, **settings)
    assert found.attractor == (side < 1)
    sizes = run(float(T.curvature(e, rho=rho)), lr, momentum, dampening, steps)
    rate = (sizes[-1] - sizes[steps // 2 - 1]) / (steps - steps // 2)
    assert rate == pytest.approx(np.log(found.spectral_radius), abs=1e-6)


def test_momentum_does_not_move_the_threshold_of_an_attractor():
    for momentum in (0.0, 0.9, 0.999):
        low, high = T.rho_window(-4.0, lr=0.01, momentum=momentum)
        assert low == 0.25
        assert high == relative(2 * (1 + momentum) / (0.01 * 16) + 0.25, 1e-14)


@pytest.mark.parametrize("e", [-1.0, -49.0, -27.75, -0.3, -1e-6, -7e5])
@pytest.mark.parametrize("model", [{}, {"lr": 1e-7}, {"lr": 1e-7, "momentum": 0.9}])
def test_the_boundary_is_neutral(e, model):
    assert T.theorem1([3.0, e], rho=1 / abs(e), **model).verdict == "neutral"
    assert T.theorem1([3.0, e], rho=1.000001 / abs(e), **model).verdict == "attractor"
    assert T.theorem1([3.0, e], rho=0.999999 / abs(e), **model).verdict == "unstable"


def test_upper_boundary_is_neutral():
    for momentum in (0.0, 0.9):
        assert T.theorem1(2.0, rho=0.0, lr=1.0 + momentum, momentum=momentum).verdict == "neutral"
        assert T.theorem1(2.0, rho=0.0, lr=1.001 + momentum, momentum=momentum).verdict == "unstable"
        assert T.theorem1(2.0, rho=0.0, lr=0.999 + momentum, momentum=momentum).verdict == "attractor"


def test_several_eigenvalues():
    found = T.theorem1([2.0, -1.0, -0.25], rho=2.0)
    assert found.verdict == "unstable" and found.verdicts == ("attractor", "attractor", "unstable")
    assert found.window == (4.0, np.inf)  # the least negative eigenvalue decides
    assert T.theorem1([2.0, 1.0], rho=0.0).attractor
    assert T.theorem1([2.0, 0.0], rho=1.0).verdict == "neutral"
    assert np.isnan(T.theorem1([2.0, 0.0], rho=1.0).window).all()
    # the positive direction bounds rho from above, the negative one from below
    both = T.theorem1([40.0, -1.0], rho=1.1, lr=0.04)
    assert both.verdict == "unstable" and np.isnan(both.window).all()


def test_chain_never_attracts_a_saddle_and_sgd_ignores_rho():
    for rho in (0.1, 0.9, 3.0):
        assert T.theorem1([2.0, -1.0], rho=rho, drift="chain").verdict == "unstable"
        assert T.theorem1([2.0, -1.0], rho=rho, drift="sgd").verdict == "unstable"
    assert T.theorem1([2.0, -1.0], rho=1.0, drift="chain").verdict == "neutral"
    assert np.isnan(T.rho_window(-1.0, drift="chain")).all()
    low, high = T.rho_window(2.0, lr=0.1, drift="chain")
    assert low == -0.5
    assert 0.1 * T.curvature(2.0, rho=high, drift="chain") == relative(2, 1e-14)


def test_window_edges_put_a_root_on_the_unit_circle():
    for e in (-3.0, 2.0):
        for momentum, dampening in KINDS:
            settings = {"lr": 0.03, "momentum": momentum, "dampening": dampening}
            high = T.rho_window(e, **settings)[1]
            roots = T.multipliers(T.curvature(e, rho=high), **settings)
            assert np.abs(roots).max() == pytest.approx(1, abs=1e-13)


@pytest.mark.parametrize("a", [-0.5, -1e-12, 0.0, 1e-12, 0.002, 0.0025, 0.3, 1.0, 3.0, 3.9])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9025, 0.999999])
def test_multipliers_are_the_roots_of_the_companion_matrix(a, momentum):
    roots = T.multipliers(a, lr=1.0, momentum=momentum)
    np.testing.assert_allclose(roots.prod(), momentum, rtol=1e-14, atol=1e-16)
    np.testing.assert_allclose(roots.sum(), 1 + momentum - a, rtol=1e-14, atol=1e-15)
    assert abs(roots[0]) >= abs(roots[1])


def test_slow_root_keeps_its_digits():
    # z1 - 1 = |a|/(1-gamma) (1 + O(a)) for a small negative a, far below what 1 - a resolves on its own
    roots = T.multipliers(-1e-9, lr=1.0, momentum=0.5)
    assert (roots[0].real - 1) == relative(2e-9, 1e-6)


def test_hessian_and_prints():
    hessian = [[0.0, 27.75], [27.75, 0.0]]
    assert T.theorem1_hessian(hessian, rho=0.0361, lr=1e-4).attractor
    assert not T.theorem1_hessian(hessian, rho=0.0360, lr=1e-4).attractor
    text = str(T.theorem1_hessian(hessian, rho=0.05, lr=1e-4, momentum=0.9))
    assert "\n" not in text
    for part in ("attractor", "0.05", "0.036036", "-27.75", "momentum=0.9", "spectral radius"):
        assert part in text
    assert "no rho attracts" in str(T.theorem1([0.0], rho=1.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: T.theorem1_hessian([[1.0, 2.0]], rho=0.1), "not square"),
        (lambda: T.theorem1_hessian([[1.0, 2.0], [0.0, 1.0]], rho=0.1), "not symmetric"),
        (lambda: T.theorem1([], rho=0.1), r"eigenvalues has shape \(0,\): give at least one"),
        (lambda: T.theorem1([1.0], rho=0.1, lr=0.1, momentum=1.0), "momentum=1: give"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
