"""Derivatives at 0, at infinity, at ties and for nan: limits by mpmath where there are some, else what the docstrings say."""

import mpmath as mp
import numpy as np
import plain
import pytest

import samfast as sf
from samfast.backends import cpu
from samfast.simulation.prepare import prepared_job

INF, NAN = np.inf, np.nan
mp.mp.dps = 300
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's words about 1/0 and inf - inf


def power(n):
    return lambda x: x**n


# name -> (function of symbols, function of mpmath, where its derivatives have limits)
ONE = {
    "sqrt": (sf.sqrt, mp.sqrt, "0 inf"),
    "exp": (sf.exp, mp.exp, "0 inf -inf"),
    "log": (sf.log, mp.log, "0 inf"),
    "sin": (sf.sin, mp.sin, "0"),
    "cos": (sf.cos, mp.cos, "0"),
    "tanh": (sf.tanh, mp.tanh, "0 inf -inf"),
    "abs": (sf.absolute, abs, "0 inf -inf"),
    **{f"x**{n}": (power(n), power(mp.mpf(n)), "0 inf") for n in (0, 1, 2, 3, 4, 0.5, 1.5, 2.5, 3.5, -0.5, -1, -1.5, -2, -3)},
    **{f"abs(x)**{n}": (lambda x, n=n: abs(x) ** n, lambda x, n=n: abs(x) ** mp.mpf(n), "0 inf") for n in (0.5, 1.5, 2.5, 3)},
    "sqrt(x)*x": (lambda x: sf.sqrt(x) * x, power(mp.mpf(1.5)), "0 inf"),
    "x*x*sqrt(x)": (lambda x: x * x * sf.sqrt(x), power(mp.mpf(2.5)), "0 inf"),
    "sqrt(x)*sqrt(x)": (lambda x: sf.sqrt(x) * sf.sqrt(x), lambda x: x, "0 inf"),
    "sqrt(x)**3": (lambda x: sf.sqrt(x) ** 3, power(mp.mpf(1.5)), "0 inf"),
    "(3*x)**1.5": (lambda x: (3 * x) ** 1.5, lambda x: (3 * x) ** mp.mpf(1.5), "0 inf"),
    "(3*x)**2.5": (lambda x: (3 * x) ** 2.5, lambda x: (3 * x) ** mp.mpf(2.5), "0 inf"),
    "-(2*x)**1.5": (lambda x: -((2 * x) ** 1.5), lambda x: -((2 * x) ** mp.mpf(1.5)), "0 inf"),
    "x*sqrt(abs(x))": (lambda x: x * sf.sqrt(abs(x)), lambda x: x * mp.sqrt(abs(x)), "0"),
    "sqrt(x)*sin(x)": (lambda x: sf.sqrt(x) * sf.sin(x), lambda x: mp.sqrt(x) * mp.sin(x), "0"),
    "where(x > 0, sqrt(x)**3, 0)": (lambda x: sf.where(x > 0, sf.sqrt(x) ** 3, 0.0), lambda x: mp.sqrt(x) ** 3, "inf"),
    "where(x < 30, log(1 + exp(x)), x)": (
        lambda x: sf.where(x < 30, sf.log(1 + sf.exp(x)), x),
        lambda x: mp.log1p(mp.exp(x)) if x < 30 else x,
        "0 inf -inf",
    ),
}


def of(function, dim=1):
    return sf.Loss("one", dim, lambda w, p: function(w[0] if dim == 1 else w))


def limit(f, to, order):
    """The limit of a derivative, from the right at 0; infinite where it grows by more than 1e9."""
    at = {0.0: lambda k: mp.mpf(10) ** -k, INF: lambda k: mp.mpf(10) ** k, -INF: lambda k: -(mp.mpf(10) ** k)}[to]

    def slope(x):
        h = abs(x) * mp.mpf(10) ** -12  # relative error 1e-24
        return (f(x + h) - f(x - h)) / (2 * h) if order == 1 else (f(x + h) - 2 * f(x) + f(x - h)) / h**2

    near, far = (slope(at(k)) for k in (30, 50))
    return float(mp.sign(far)) * INF if abs(far) > 1e9 * max(1, abs(near)) else float(far)


POINTS = [(name, float(at)) for name, (_, _, points) in ONE.items() for at in points.split()]


@pytest.mark.parametrize(("name", "at"), POINTS)
def test_first_and_second_derivative_are_the_limits(name, at):
    function, precise, _ = ONE[name]
    loss = of(function)
    got = [loss.gradient([at])[0], loss.hessian([at])[0, 0]]
    np.testing.assert_allclose(got, [limit(precise, at, 1), limit(precise, at, 2)], rtol=1e-14, atol=1e-9)


@pytest.mark.parametrize("f", [sf.sin, sf.cos])
def test_sine_and_cosine_have_no_limit_at_infinity(f):
    assert np.isnan(of(f).value([INF])) and np.isnan(of(f).gradient([INF])[0])


# lengths -------------------------------------------------------------------------------------------------------------
LENGTHS = {  # name -> (function, gradient at 0, Hessian at 0 or None where it has no limit)
    "norm": (sf.norm, 0, None),
    "twice the norm": (lambda w: 2 * sf.norm(w), 0, None),
    "minus a third": (lambda w: sf.norm(w) / -3, 0, None),
    "three roots of a square": (lambda w: 3 * sf.sqrt(w[0] * w[0]) + sf.sqrt(2.0) * sf.sqrt(w[1] * w[1]), 0, None),
    "norm squared": (lambda w: sf.norm(w) ** 2, 0, 2),
    "norm cubed": (lambda w: sf.norm(w) ** 3, 0, 0),
    "norm to the fourth": (lambda w: sf.norm(w) ** 4, 0, 0),
    "norm times w0": (lambda w: sf.norm(w) * w[0], 0, None),
    "cosine of norm": (lambda w: sf.cos(sf.norm(w)), 0, -1),
    "product of norms": (lambda w: sf.norm(w) * sf.norm(w + w[::-1] / 2), 0, None),
    "Huber": (lambda w: sf.where(sf.norm(w) > 1, sf.norm(w) - 0.5, 0.5 * sf.dot(w, w)), 0, 1),
    "squares under a root": (lambda w: sf.sqrt(2 * w[0] * w[0] + w[1] ** 4), 0, None),
    "root of 1 more": (lambda w: sf.sqrt(1 + sf.dot(w, w)), 0, 1),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_at_0(name):
    function, slope, bend = LENGTHS[name]
    loss = of(function, 2)
    np.testing.assert_array_equal(loss.gradient([0.0, 0.0]), [slope, slope])
    if bend is not None:
        np.testing.assert_allclose(loss.hessian([0.0, 0.0]), bend * np.eye(2), rtol=1e-15, atol=0)


@pytest.mark.parametrize(
    ("function", "sign"),
    [
        (sf.norm, 1),
        (lambda w: -2 * sf.norm(w), -1),
        (lambda w: 1e-5 * sf.norm(w) + w[0] ** 2, 1),
        (lambda w: sf.sin(sf.norm(w)), 1),
        (lambda w: sf.log(1 + sf.norm(w)), 1),
        (lambda w: sf.norm(w) ** 1.5, 1),
    ],
    ids=["norm", "minus twice", "beside a bowl", "sine", "logarithm", "power"],
)
def test_a_length_bends_without_end_at_0(function, sign):
    """Across a ray the second derivative of |w| is 1/|w|; at 0 it was 4.5e307, a finite number."""
    with mp.workdps(30):
        across = [float(mp.diff(lambda y, x=x: mp.sqrt(x * x + y * y), 0, 2)) for x in (mp.mpf("1e-3"), mp.mpf("1e-6"))]
    assert across == pytest.approx([1e3, 1e6], rel=1e-6, abs=0)
    loss = of(function, 2)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(np.diag(loss.hessian([0.0, 0.0])), [sign * INF] * 2)
    assert (loss.gradient([0.0, 0.0]) == 0).all() and np.isfinite(loss.hessian([1e-3, 0.0])).all()


def test_two_roots_that_vanish_together_are_nan_rather_than_wrong():
    """sqrt(2*x)*sqrt(x) = sqrt(2)*x."""
    loss = of(lambda x: sf.sqrt(2 * x) * sf.sqrt(x))
    assert loss.gradient([2.0])[0] == pytest.approx(np.sqrt(2), rel=1e-15, abs=0)
    assert np.isnan(loss.gradient([0.0])[0])


# branches ------------------------------------------------------------------------------------------------------------
BRANCHES = {  # name -> (function, point, first and second derivative there)
    "root": (lambda x: sf.where(x > 0, sf.sqrt(x), 0.0), 0.0, (0, 0)),
    "root below": (lambda x: sf.where(x > 0, sf.sqrt(x), 2 * x), -1.0, (2, 0)),
    "power": (lambda x: sf.where(x > 0, x**1.5, 0.0), 0.0, (0, 0)),
    "power below": (lambda x: sf.where(x > 0, x**2.5, x * x), -3.0, (-6, 2)),
    "entropy": (lambda x: sf.where(x > 0, x * sf.log(x), 0.0), 0.0, (0, 0)),
    "inverse": (lambda x: sf.where(abs(x) > 0, 1 / x, 0.0), 0.0, (0, 0)),
    "overflow": (lambda x: sf.where(x < 700, sf.exp(x), 3 * x), 1e4, (3, 0)),
    "inside each other": (lambda x: sf.where(x > 0, sf.where(x > 1, sf.log(x - 1), sf.sqrt(x)), x * x), -2.0, (-4, 2)),
    "shared": (lambda x: sf.where(x > 0, sf.log(x), sf.sqrt(x)) + sf.where(x > 0, x * sf.log(x), x), 1.0, (2, 0)),
    "chosen at the boundary": (lambda x: sf.where(x <= 0, 5 * x, sf.sqrt(x)), 0.0, (5, 0)),
}  # fmt: skip


@pytest.mark.parametrize("name", BRANCHES)
def test_a_branch_that_is_not_taken_has_no_say(name):
    function, at, want = BRANCHES[name]
    loss = of(function)
    assert (loss.gradient([at])[0], loss.hessian([at])[0, 0]) == want


TIES = {  # name -> (function, point, derivative)
    "absolute": (sf.absolute, 0.0, 1),
    "absolute at -0": (sf.absolute, -0.0, 1),
    "absolute of nan": (sf.absolute, NAN, 1),
    "minimum": (lambda x: sf.minimum(2 * x, 3 * x), 0.0, 3),
    "maximum": (lambda x: sf.maximum(2 * x, 3 * x), 0.0, 3),
    "ramp": (lambda x: sf.maximum(x, 0.0), 0.0, 0),
    "ramp the other way": (lambda x: sf.maximum(0.0, x), 0.0, 1),
    "ramp of nan": (lambda x: sf.maximum(x, 0.0), NAN, 0),
    "where of nan": (lambda x: sf.where(x > 0, 2 * x, 5 * x), NAN, 5),
}


@pytest.mark.parametrize("name", TIES)
def test_ties_and_nan(name):
    function, at, want = TIES[name]
    assert of(function).gradient([at])[0] == want


@pytest.mark.parametrize("f", [sf.sqrt, sf.exp, sf.log, sf.sin, sf.cos, sf.tanh, power(1.5), power(-2), power(3)])
def test_nan_stays_nan(f):
    assert np.isnan(of(f).gradient([NAN])[0])


# the programs --------------------------------------------------------------------------------------------------------
def power_well(w, p):
    return abs(w[0]) ** 1.5 + sf.norm(w) ** 3 + sf.norm(w) + sf.where(w[1] > 0, w[1] ** 2.5, -w[1] * sf.sqrt(-w[1]))


@pytest.mark.parametrize(
    "rule", [sf.gd(lr=0.1, momentum=0.5), sf.sam(lr=0.1, rho=0.1), sf.sam(lr=0.1, rho=0.1, normalize=True)]
)
def test_a_path_rests_at_the_minimum_of_a_well_with_a_branch_point(rule):
    loss = sf.Loss("well", 2, power_well)
    assert (plain.values(loss, rule, [0.0, 0.0], [0, 1, 50]) == 0).all()
    assert np.isfinite(plain.values(loss, rule, [0.5, -0.2], [50])).all()


@pytest.mark.parametrize("mode", ["float64", "float32", "mixed"])
def test_programs_have_the_same_derivatives_in_every_precision(mode):
    """Eleven coordinates at once: one step of lr 1 from 0 and from 1."""
    loss = sf.Loss("wide", 11, lambda w, p: sf.norm(w) + sf.total(sf.where(w > 0, w**1.5, sf.log(1 - w))))
    for at, want in ((0.0, -1.0), (1.0, 1.5 + 1 / np.sqrt(11))):
        job = prepared_job(loss, sf.gd(lr=1.0), np.full(11, at), dtype=mode, device="plain", values=True, on_divergence="keep")
        [shard] = job.shards(0, np.array([1]), None)
        state = cpu.run_shard(shard).state[0]
        assert job.program.wide
        np.testing.assert_allclose(at - state[list(job.program.rows["w"])].T, want, rtol=1e-6)


# directions ----------------------------------------------------------------------------------------------------------
def test_normalized_is_the_direction_and_0_at_0():
    v = np.random.default_rng(4).normal(size=(3, 5))
    np.testing.assert_allclose(sf.normalized(v), v / np.linalg.norm(v, axis=0), rtol=1e-15, atol=0)
    np.testing.assert_array_equal(sf.normalized(np.zeros((3, 5))), 0)
    assert sf.normalized(np.float32([3, 4])).dtype == np.float32
    np.testing.assert_allclose(sf.normalized([3, 4]), [0.6, 0.8], rtol=1e-15, atol=0)


def test_an_own_normalised_rule_is_that_of_the_library():
    """At the saddle it stays, where v/norm(v) is nan; elsewhere it has the bits of sf.sam."""
    own = sf.rule("own", lambda w, grad, p: grad(w + p.rho * sf.normalized(grad(w))), lr=0.1, rho=0.1)
    lost = sf.rule("lost", lambda w, grad, p: grad(w + p.rho * (grad(w) / sf.norm(grad(w)))), lr=0.1, rho=0.1)
    loss = sf.losses.saddle()
    assert (plain.values(loss, own, [0.0, 0.0], [0, 20]) == 0).all()
    assert np.isnan(plain.values(loss, lost, [0.0, 0.0], [20])).all()
    theirs = plain.values(loss, sf.sam(lr=0.1, rho=0.1, normalize=True), [0.3, 0.1], [1, 7])
    np.testing.assert_allclose(plain.values(loss, own, [0.3, 0.1], [1, 7]), theirs, rtol=1e-14, atol=0)


def test_the_derivative_of_a_direction():
    """(I - n n^T)/|v|; at 0 the finite I/sqrt(t)."""
    loss = of(lambda w: sf.normalized(w)[0], 2)
    np.testing.assert_allclose(loss.gradient([3.0, 4.0]), [16 / 125, -12 / 125], rtol=1e-14, atol=0)
    np.testing.assert_allclose(loss.gradient([0.0, 0.0]), [1 / np.sqrt(np.finfo(float).tiny), 0], rtol=1e-15, atol=0)


@pytest.mark.parametrize("use", [range, int, round, lambda k: [1, 2, 3][k]])
def test_a_parameter_cannot_decide_how_the_program_is_made(use):
    def direction(w, grad, p):
        use(p.k)
        return grad(w)

    with pytest.raises(sf.TraceError, match=r"p_k is a symbol.*none can decide how the program is made.*my_rule\(k\)"):
        sf.rule("own", direction, lr=0.1, k=3)


# what is kept --------------------------------------------------------------------------------------------------------
def test_a_loss_edited_in_a_notebook_gets_new_derivatives():
    """Gradients are kept by the content of an expression, so a cell that is run again with another formula is another."""
    slopes = []
    for formula in (lambda w, p: w[0] ** 2, lambda w, p: w[0] ** 3, lambda w, p: w[0] ** 2):
        slopes.append(sf.Loss("cell", 1, formula).gradient([3.0])[0])
    assert slopes == [6, 27, 6]


def test_a_variable_that_a_loss_uses_and_that_has_changed_is_noticed():
    """Derivatives were taken when the loss was made, the program would be made now: gradients of 2 and steps of 6."""
    a = 1.0
    loss = sf.Loss("cell", 1, lambda w, p: a * w[0] ** 2)
    assert plain.values(loss, sf.gd(lr=0.5), [1.0], [1]) == 0
    a = 3.0
    with pytest.raises(
        ValueError, match=r"loss 'cell': its function has changed since it was made.*make the variable a parameter"
    ):
        plain.values(loss, sf.gd(lr=0.5), [1.0], [1])
