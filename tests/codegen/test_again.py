"""A second call finds its program by what the functions gave this time, never by who they are."""

import numpy as np
import plain
import pytest

import samfast as sf
from samfast import tracing as T
from samfast.codegen.pipeline import render
from samfast.model.observe import position
from samfast.model.observer import Observer

SCALE = 1.0


@sf.loss(dim=2, a=1.0)
def bowl(w, p):
    return SCALE * p.a * sf.dot(w, w) / 2


RULE = sf.diffusion(sf.sam(lr=0.1, rho=0.1, normalize=True), sigma=0.1)


def test_equal_functions_share_a_program():
    """Parameters and the objects themselves do not matter; precision and the number of paths do."""
    first = render(bowl, RULE, position())
    assert render(bowl.replace(a=3.0), RULE.replace(lr=0.2), position()) is first
    assert render(bowl, RULE, position(), mode="float64") is not first
    assert render(bowl, RULE, position(), single=True) is not first


def test_a_loss_whose_global_changed_is_never_run_as_it_was(monkeypatch):
    """The same objects, called again after the user has changed what they read."""
    before = plain.values(bowl, RULE, [1.0, 1.0], [1])
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    with pytest.raises(ValueError, match=r"loss 'bowl': its function has changed since it was made"):
        plain.values(bowl, RULE, [1.0, 1.0], [1])
    again, fresh = (
        plain.values(sf.loss(dim=2, a=1.0)(f), RULE, [1.0, 1.0], [1])
        for f in (bowl.function, lambda w, p: 2.0 * p.a * sf.dot(w, w) / 2)
    )
    assert (again != before).all()
    np.testing.assert_array_equal(again, fresh)


@pytest.mark.parametrize("thing", ["list", "attribute", "cell"])
def test_what_a_rule_holds_may_change(thing):
    """A list in a closure, an attribute of the function, a cell."""
    held, n = [1.0], 1.0

    def step(w, v, grad, p, z):
        return w - {"list": held[0], "attribute": step.n, "cell": n}[thing] * grad(w), v

    step.n = 1.0
    rule = sf.Rule("own", step=step)
    before = plain.values(bowl, rule, [1.0, 1.0], [0, 1])
    held[0] = step.n = n = 3.0
    after = plain.values(bowl, rule, [1.0, 1.0], [0, 1])
    np.testing.assert_array_equal(after[1] - after[0], 3.0 * (before[1] - before[0]))


def test_zero_and_minus_zero_are_two_numbers():
    assert T.const(0.0).key != T.const(-0.0).key and T.const(-0.0) is T.const(-0.0)
    programs = [
        render(bowl, RULE, Observer("last", lambda s: [s.m[0]], ("x",), (zero,), lambda s: [s.w[0]])) for zero in (0.0, -0.0)
    ]
    assert [np.signbit(p.memory[0]) for p in programs] == [False, True]


def test_a_derivative_is_derived_once():
    """By content: another function that says the same has the same derivative."""
    x, y = T.var("x"), T.var("y")
    a, b = T.gradient(x * x * y, [x, y]), T.gradient(T.var("x") * T.var("x") * y, [x, y])
    assert [e.key for e in a] == [e.key for e in b] and a is not b
    assert [e.key for e in T.gradient(x * x * y, [y, x])] == [e.key for e in reversed(a)]
