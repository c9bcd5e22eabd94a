"""Operators between vectors and numbers, arrays, tuples and lists, on either side: the values are those of NumPy."""

import operator

import numpy as np
import pytest
from tolerance import relative

import samfast as sf
from samfast.codegen.pipeline import render
from samfast.tracing import TraceError

WEIGHTS, A = np.array([1.0, 10.0, 100.0]), np.array([0.5, 2.0, -1.5])
OTHERS = {"array": A, "list": A.tolist(), "tuple": tuple(A.tolist()), "number": 1.5, "NumPy number": np.float64(1.5), "int": 2}


def value(function, w=(0.75, -1.25, 2.0)):
    """Of total((1, 10, 100)*function(w)), in which no two coordinates can be exchanged."""
    return float(sf.loss(dim=3)(lambda v, p: sf.total(WEIGHTS * function(v))).value(np.array(w)))


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv"])
def test_arithmetic_on_either_side(name, other):
    x, f, w = OTHERS[other], getattr(operator, name), np.array([0.75, -1.25, 2.0])
    a = np.asarray(x, float)
    assert value(lambda v: f(v, x)) == relative(float(WEIGHTS @ f(w, a)), 1e-14)
    assert value(lambda v: f(x, v)) == relative(float(WEIGHTS @ f(a, w)), 1e-14)


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge"])
def test_comparisons_on_either_side(name, other):
    """Coordinate by coordinate; some are equal."""
    x, f, w = OTHERS[other], getattr(operator, name), np.array([0.5, 1.5, 2.0])
    a = np.asarray(x, float)
    assert value(lambda v: sf.where(f(v, x), 2.0, 7.0) + 0.0 * v, w) == WEIGHTS @ np.where(f(w, a), 2.0, 7.0)
    assert value(lambda v: sf.where(f(x, v), 2.0, 7.0) + 0.0 * v, w) == WEIGHTS @ np.where(f(a, w), 2.0, 7.0)


def test_powers_signs_and_slices():
    w = np.array([0.75, -1.25, 2.0])
    for f in (lambda v: v**3, lambda v: -v, abs, lambda v: sum([v, v, v]), lambda v: v**2 - v[1] * v):
        assert value(f) == relative(float(WEIGHTS @ f(w)), 1e-14)
    assert sf.loss(dim=3)(lambda v, p: sf.dot(v[1:], v[:2])).value(w) == w[1:] @ w[:2]


@pytest.mark.parametrize("other", [A[:2], [*A.tolist(), 1.0], ()])
def test_lengths_that_differ(other):
    with pytest.raises(TraceError, match=rf"vectors of lengths 3 and {len(other)} do not combine: give both one length"):
        value(lambda v: v + other)
    with pytest.raises(TraceError, match=r"w\[3\]: the vector has 3 coordinates, 0 to 2; give the loss a larger dim"):
        value(lambda v: v + v[3])


def test_many_coordinates_beside_an_array():
    """Of many coordinates one symbol stands for all; beside an array the program is unrolled, with the same values."""
    a = np.linspace(-1, 1, 12)
    loss = sf.loss(dim=12)(lambda w, p: sf.total(a * w * w))
    w = np.linspace(1, 2, 12)
    assert loss.value(w) == relative(float(a @ w**2), 1e-14)
    np.testing.assert_allclose(loss.gradient(w), 2 * a * w, rtol=1e-14)
    options = {"mode": "mixed", "device": "plain", "lanes": 8}
    rule, observer = sf.gd(lr=0.1), sf.observe.msd()
    assert not render(loss, rule, observer, **options).wide
    assert render(sf.losses.quadratic(np.ones(12)), rule, observer, **options).wide
    with pytest.raises(
        ValueError, match=r"wide=True: the loss '<lambda>', the rule or the observer asks for single coordinates"
    ):
        render(loss, rule, observer, **options, wide=True)
