"""Corollary 1: claims 6 and 7 of the specification."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from precise import close, ou_variance, spread
from tolerance import relative

from samfast import theory as T

DRIFTS = ("plain", "chain")
# printed over exact for a negative eigenvalue: rows |lambda| t, columns rho |lambda|, (chain, plain)
RATIOS = {
    0.01: [(0.992, 1.974), (1.040, 1.975), (1.322, 1.980), (1.987, 1.987), (19.8, 2.00), (-3.91, 2.01)],
    0.1: [(0.880, 1.750), (0.932, 1.760), (1.226, 1.808), (1.869, 1.869), (17.7, 1.98), (-3.21, 2.06)],
    1: [(0.243, 0.480), (0.289, 0.514), (0.527, 0.677), (0.911, 0.911), (5.49, 1.39), (-0.30, 1.74)],
}


def difference(drift, noise="unit"):
    def exact(t, e, lr, rho):
        r, d = rho * e, lr * abs(e) / 2
        k = e * (1 + r) ** (1 if drift == "plain" else 2)
        s2 = {"unit": 1, "same": (1 + r) ** 2, "independent": 1 + r * r}[noise]
        s2 *= (1 + r) ** 2 if drift == "chain" and noise != "unit" else 1
        return ou_variance(t, e, d) - ou_variance(t, k, s2 * d)

    return exact


def printed(t, e, lr, rho):
    return 2 * lr * t * t * abs(e) ** 3 * rho


problems = st.tuples(spread(-9, 6), spread(-3, 2, (1, -1)), spread(-4, 0), spread(-9, 2))


@given(problems, st.sampled_from(DRIFTS), st.sampled_from(["unit", "same", "independent"]))
def test_exact_difference(problem, drift, noise):
    t, e, lr, rho = problem
    arguments = [t / abs(e), e, lr, rho / abs(e)]
    call = dict(zip(("eigenvalue", "lr", "rho"), arguments[1:], strict=True), drift=drift)
    found = T.corollary1_exact(arguments[0], noise=noise, **call)
    if np.isfinite(found):  # both exponentials may overflow together, in opposite signs
        close(found, difference(drift, noise), arguments, 12)
    if noise == "unit" and drift == "plain":
        log_value = T.log_corollary1_exact(arguments[0], **call)
        close(log_value, lambda *a: mp.log(abs(difference(drift)(*a))), arguments, 12)


@given(problems, st.sampled_from(DRIFTS), st.sampled_from(["unit", "same"]))
def test_remainder(problem, drift, noise):
    t, e, lr, rho = problem
    arguments = [min(t, 300) / abs(e), e, lr, rho / abs(e) / 10]
    found = T.corollary1_remainder(arguments[0], eigenvalue=e, lr=lr, rho=arguments[3], drift=drift, noise=noise)
    close(found, lambda *a: difference(drift, noise)(*a) - printed(*a), arguments, 12)


def test_table_of_printed_over_exact():
    radii = [0.01, 0.1, 0.5, 1.0, 1.9, 2.5]
    for t, row in RATIOS.items():
        first = T.corollary1(t, eigenvalue=-1.0, lr=0.1, rho=radii)
        for column, drift in enumerate(("chain", "plain")):
            ratio = first / T.corollary1_exact(t, eigenvalue=-1.0, lr=0.1, rho=radii, drift=drift)
            expected = np.array([pair[column] for pair in row])
            # three digits: half a unit of the last printed one
            np.testing.assert_allclose(ratio, expected, rtol=5e-3, atol=5e-4)


def test_sign_reverses_only_for_chain_beyond_two():
    t = np.logspace(-9, 2, 40)[:, None]
    rho = np.array([1e-6, 0.5, 1.0, 1.999, 2.001, 5.0])
    plain = T.corollary1_exact(t, eigenvalue=-1.0, lr=0.1, rho=rho, drift="plain")
    chain = T.corollary1_exact(t, eigenvalue=-1.0, lr=0.1, rho=rho)
    assert (plain > 0).all()
    np.testing.assert_array_equal(np.sign(chain), np.broadcast_to([1, 1, 1, 1, -1, -1], chain.shape))
    assert (T.corollary1_exact(t, eigenvalue=1.0, lr=0.1, rho=rho) > 0).all()
    for e in (-1.0, -0.3, -27.75):
        np.testing.assert_array_equal(T.corollary1_sign(e, rho=np.array([1.9, 2.0, 2.1]) / -e), [1, 0, -1])
        np.testing.assert_array_equal(T.corollary1_sign(e, rho=np.array([1.9, 2.1]) / -e, drift="plain"), 1)


@given(problems, st.sampled_from(DRIFTS))
def test_bounds_enclose(problem, drift):
    t, e, lr, rho = problem
    call = {"eigenvalue": e, "lr": lr, "rho": rho / abs(e), "drift": drift}
    low, high = T.corollary1_bounds(t / abs(e), **call)
    value = T.corollary1_exact(t / abs(e), **call)
    slack = 1e-13 * abs(value) if np.isfinite(value) else 0  # the bounds touch for kappa = lambda
    assert low - slack <= value <= high + slack


@pytest.mark.parametrize("drift", DRIFTS)
def test_expansion_converges_at_its_order(drift):
    call = {"eigenvalue": -1.0, "lr": 0.1, "rho": 0.3, "drift": drift}
    for terms in (1, 2, 3, 4):
        errors = [abs(T.corollary1_expansion(t, terms=terms, **call) - T.corollary1_exact(t, **call)) for t in (0.02, 0.01)]
        # error t^(terms+2) (1 + O(t)): the next term's ratio to the first left out is below 2t
        assert errors[0] / errors[1] == relative(2 ** (terms + 2), 0.05)
    k = T.curvature(-1.0, rho=0.3, drift=drift)
    third = 0.1 * (0.01**2 * (k + 1) - 2 / 3 * 0.01**3 * (k**2 - 1) + 1 / 3 * 0.01**4 * (k**3 + 1))
    assert T.corollary1_expansion(0.01, **call) == relative(third, 1e-13)
    with pytest.raises(ValueError, match="terms=0"):
        T.corollary1_expansion(0.1, terms=0, **call)


def test_leading_terms():
    for drift, half in (("plain", 0.5), ("chain", 1.0)):
        for e in (-2.0, 2.0):
            t, rho = 1e-7, 1e-7
            ratio = T.corollary1_exact(t, eigenvalue=e, lr=0.1, rho=rho, drift=drift) / T.corollary1(
                t, eigenvalue=e, lr=0.1, rho=rho
            )
            assert ratio == relative(half, 2e-6)
    for t, rho in ((1e-4, 1e-4), (1e-5, 1e-3), (1e-3, 1e-5)):
        exact = T.corollary1_remainder(t, eigenvalue=-2.0, lr=0.1, rho=rho)
        leading = T.corollary1_remainder_leading(t, eigenvalue=-2.0, lr=0.1, rho=rho)
        assert leading == relative(exact, 2e-2)
    # at rho = 8t/3 the leading terms cancel
    assert T.corollary1_remainder_leading(0.3, eigenvalue=-1.0, lr=0.1, rho=0.8) == pytest.approx(0, abs=1e-17)


def test_the_usual_minibatch_makes_the_difference_first_order():
    for e in (-2.0, 2.0):
        t, rho = 1e-6, 0.01
        found = T.corollary1_exact(t, eigenvalue=e, lr=0.1, rho=rho, drift="plain", noise="same")
        # 2Dt(1-s^2) = -lr t |e| rho e (2 + rho e)
        assert found == relative(-0.1 * t * abs(e) * rho * e * (2 + rho * e), 1e-3)
        assert abs(found) > 1e4 * abs(T.corollary1(t, eigenvalue=e, lr=0.1, rho=rho))


def test_batch_size_only_scales():
    one = T.corollary1_exact(1.0, eigenvalue=-1.0, lr=0.1, rho=0.3)
    np.testing.assert_allclose(
        [b * T.corollary1_exact(1.0, eigenvalue=-1.0, lr=0.1, rho=0.3, batch_size=b) for b in (1, 7, 4096)],
        one,
        rtol=1e-15,
    )
