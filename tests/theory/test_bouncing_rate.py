"""Theorem 3 of Bartlett et al. against mpmath, its units and its range; the largest loss within a radius."""

import mpmath as mp
import numpy as np
import pytest
from tolerance import relative

from samfast import theory as T

CASES = [  # eigenvalues, lr, rho, radius, density, first_squared, delta, distance
    ([1.0, 0.5], 0.2, 1.0, 2.83, 0.1, 1.0, 0.01, 0.01),
    ([3.0, 2.9, 0.7], 0.11, 0.3, 40.0, 2e-6, 1e-4, 1e-3, 1e-5),
    ([0.9, 7.0, 0.2, 5.5], 0.07, 2.0, 5.0, 1e-3, 1e-2, 0.1, 1e-4),
]
NAMES = ("eigenvalues", "lr", "rho", "radius", "density", "first_squared", "delta")


def reference(eigenvalues, lr, rho, far, density, q, delta, eps, corrected):
    """The four terms, as printed, in more than fifty digits."""
    e = sorted((mp.mpf(x) for x in eigenvalues), reverse=True)
    lr, rho, far, density, q, delta, eps = (mp.mpf(x) for x in (lr, rho, far, density, q, delta, eps))
    one, two, last, d = e[0], e[1], e[-1], len(e)
    b, m = lr * rho * one**2, min(lr * last, one**2 / two**2 - 1)
    log = max(mp.mpf(0), mp.log(far / (lr * rho * one)))
    first = 6 * one**5 / (lr * last**6 * m) * mp.log(4 / (lr * one))
    if corrected:
        first *= mp.mpf(4) / 3 * (2 - lr * last) / (2 - lr * one)
        density /= mp.fprod(e)
    grow = (mp.log(4 * (1 + b) ** 2 / (last**2 * eps**2)) + mp.log(far**2 / q)) / m
    away = mp.mpf(0)
    if log > 0:
        lost = log / (lr * last) * mp.log(9 * 6 ** (d + 3) * far**3 / ((lr * last) ** (d + 3) * (lr * rho * one) ** 3))
        shell = (
            4 * mp.pi ** (mp.mpf(d) / 2) * (4 * b) ** (d - 1) * log * density / (mp.gamma(mp.mpf(d) / 2) * delta * lr * last)
        )
        away = 2 * log / (lr * last * m) * (mp.log(2 * one * far) + lost + mp.log(shell))
    return [first, grow, away, 6 / (lr * one) * mp.log(2 * (1 + b) / (last * eps))]


@pytest.mark.parametrize("case", CASES, ids=["two", "three", "four"])
@pytest.mark.parametrize("version", ["as_printed", "corrected"])
def test_theorem_3_term_by_term(case, version):
    about = dict(zip(NAMES, case[:-1], strict=True))
    expected = reference(*case, version == "corrected")
    found = T.bartlett_theorem3_terms(case[-1], version=version, **about)
    assert [float(x) for x in found] == relative([float(x) for x in expected], 1e-13)
    assert T.bartlett_theorem3_bound(case[-1], version=version, **about) == relative(float(sum(expected)), 1e-13)


def test_theorem_3_at_stated_values():
    """4.9e5 in the setting of Fig. 1, known from elsewhere; the corrections raise it; arrays broadcast."""
    about = dict(zip(NAMES, CASES[0][:-1], strict=True))
    printed, corrected = (T.bartlett_theorem3_bound(0.01, version=v, **about) for v in ("as_printed", "corrected"))
    assert printed == pytest.approx(4.9e5, rel=0.01, abs=0) and corrected > printed
    many = T.bartlett_theorem3_terms([[0.01], [0.001]], **about | {"lr": [0.1, 0.2, 0.3]})
    assert many.settling.shape == (2, 3) and sum(x[0, 1] for x in many) == relative(corrected, 1e-15)
    near = T.bartlett_theorem3_terms(0.01, **about | {"radius": 0.2})  # of the order of the two-cycle: no approach
    assert near.approaching == 0 < near.overshooting
    assert near.growing < T.bartlett_theorem3_terms(0.01, **about).growing


def test_units_of_theorem_3():
    """In a shorter unit of length terms 1 and 3 stay if corrected; 2 and 4 do not, as 1 + b adds a number and a 1/length."""
    case = dict(zip(NAMES, CASES[1][:-1], strict=True))
    c, d = 0.1, 3
    other = case | {
        "eigenvalues": np.array(case["eigenvalues"]) / c**2,
        "lr": c**2 * case["lr"],
        "rho": c * case["rho"],
        "radius": c * case["radius"],
        "density": case["density"] / c**d,
        "first_squared": c**2 * case["first_squared"],
    }
    here, there = (T.bartlett_theorem3_terms(x * 1e-6, **k) for x, k in ((1.0, case), (c, other)))
    assert there[::2] == relative(here[::2], 1e-12)
    assert all(abs(a / b - 1) > 1e-3 for a, b in zip(there[1::2], here[1::2], strict=True))
    here, there = (T.bartlett_theorem3_terms(x * 1e-6, version="as_printed", **k) for x, k in ((1.0, case), (c, other)))
    assert abs(there[2] / here[2] - 1) > 1e-4  # A of w_0 in the place of that of Lambda w_0


def test_theorem_3_ends_where_it_says():
    about = dict(zip(NAMES, CASES[0][:-1], strict=True))
    assert np.isfinite(T.bartlett_theorem3_bound(0.0999, **about))
    for change, text in (
        ({"distance": 0.1}, "distance=0.1: give less than 0.1, where the theorem ends"),
        ({"eigenvalues": [1.0, 1.0]}, "the largest one alone"),
        ({"eigenvalues": [1.0]}, "give at least two"),
        ({"eigenvalues": [1.0, 0.0]}, "give positive eigenvalues"),
        ({"lr": 0.5}, "give lr below 0.5"),
        ({"delta": 1.0}, "delta=1: give a probability"),
        ({"density": 0.0}, "density=0: give a positive density"),
        ({"version": "printed"}, "give one of 'corrected', 'as_printed'"),
    ):
        with pytest.raises(ValueError, match=text):
            T.bartlett_theorem3_bound(**{"distance": 0.01, **about, **change})


def test_worst_loss_against_all_directions():
    """The largest of 200 000 directions is below the exact one by at most 1e-9 of it; the case without a root too."""
    angle = np.linspace(0, 2 * np.pi, 200_001)
    circle, e = np.stack([np.cos(angle), np.sin(angle)], -1), np.array([0.5, 2.0])
    for w in ([0.3, 0.1], [-2.0, 1.0], [0.2, 0.0], [5.0, 0.0], [0.0, 0.7], [1e-9, 1e-9], [0.0, 0.0]):
        seen = (e * (np.array(w) + 0.7 * circle) ** 2).sum(-1).max() / 2
        found = float(T.worst_loss(w, eigenvalues=e, rho=0.7))
        assert seen <= found * (1 + 1e-14) and seen == relative(found, 1e-9)
    assert T.worst_loss([0.0, 0.0], eigenvalues=e, rho=0.7) == relative(2.0 * 0.7**2 / 2, 1e-15)
    assert T.worst_loss([0.0, 0.4], eigenvalues=e, rho=0.7) == relative(2.0 * 1.1**2 / 2, 1e-14)
    assert T.worst_loss(np.ones((4, 2)), eigenvalues=e, rho=[[1.0], [2.0]]).shape == (2, 4)
    with pytest.raises(ValueError, match="give positive eigenvalues"):
        T.worst_loss([0.0, 0.0], eigenvalues=[1.0, 0.0], rho=1.0)


def test_constants_of_theorem_21():
    one, two = T.wide_minima_constants(2.0, lipschitz=3.0, lr=0.1, rho=0.2)
    assert (one, two) == relative((1.2**3 * 3 / 6, 2 * (4 + 0.6) * 3), 1e-14)
