"""Drift and noise models against the linear response of the algorithm itself, and without subtractions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from precise import close, spread
from tolerance import relative

from samfast import theory as T

eigenvalues = spread(-6, 3, (1, -1, 0))
radii = spread(-9, 3, (1, 0))


def one_update(w, ascent, descent, h, rho, drift):
    """The gradient used in one update on a quadratic, for given noise in both gradient evaluations."""
    perturbed = w + rho * (h * w + ascent)
    gradient = h * perturbed + descent
    return gradient * (1 + rho * h) if drift == "chain" else gradient


@pytest.mark.parametrize("drift", ["plain", "chain"])
@pytest.mark.parametrize(("h", "rho"), [(2.0, 0.3), (-2.0, 0.3), (-2.0, 0.9), (-2.0, 0.5), (-2.0, 0.0)])
def test_models_are_the_linear_response_of_one_update(drift, h, rho):
    def respond(*x):
        return one_update(*x, h, rho, drift)

    assert T.curvature(h, rho=rho, drift=drift) == pytest.approx(respond(1, 0, 0), rel=1e-15, abs=1e-15)
    ascent, descent = respond(0, 1, 0), respond(0, 0, 1)
    factors = {"exact": descent**2, "same": (ascent + descent) ** 2, "independent": ascent**2 + descent**2}
    for noise, expected in factors.items():
        found = T.noise_factor(h, rho=rho, drift=drift, noise=noise)
        assert found == pytest.approx(expected, rel=1e-14, abs=1e-15)
    assert T.noise_factor(h, rho=rho, drift=drift, noise="unit") == 1


CURVATURES = {
    "plain": lambda e, r: e * (1 + r * e),
    "chain": lambda e, r: e * (1 + r * e) ** 2,
    "sgd": lambda e, r: e,
}


@given(eigenvalues, radii, st.sampled_from(["plain", "chain", "sgd"]))
def test_curvature_and_its_shift(e, rho, drift):
    exact = CURVATURES[drift]
    close(T.curvature(e, rho=rho, drift=drift), exact, [e, rho], 4)
    close(T.curvature_shift(e, rho=rho, drift=drift), lambda a, b: exact(a, b) - a, [e, rho], 4)


@given(eigenvalues, radii, st.sampled_from(["plain", "chain"]), st.sampled_from(["exact", "same", "independent"]))
def test_noise_deficit_is_one_minus_the_factor(e, rho, drift, noise):
    def exact(a, b):
        r = a * b
        descent = {"exact": 1, "same": (1 + r) ** 2, "independent": 1 + r * r}[noise]
        return 1 - (descent if drift == "plain" else descent * (1 + r) ** 2)

    close(T.noise_deficit(e, rho=rho, drift=drift, noise=noise), exact, [e, rho], 6)


def test_chain_never_makes_a_saddle_attract():
    assert (T.curvature(-np.logspace(-3, 3, 50)[:, None], rho=np.logspace(-3, 3, 50), drift="chain") <= 0).all()


def test_diffusion_coefficient():
    assert T.diffusion_coefficient(-3.0, lr=0.1, batch_size=5) == relative(0.03, 1e-15)
    wide = T.diffusion_coefficient([1.0, -2.0], lr=0.1, rho=0.25, drift="plain", noise="same")
    np.testing.assert_allclose(wide, [0.05 * 1.25**2, 0.1 * 0.5**2], rtol=1e-15)
    assert T.diffusion_coefficient(-3.0, lr=0.1, rho=0.7, drift="sgd", noise="same") == relative(0.15, 1e-12)
