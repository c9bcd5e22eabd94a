"""Traced values, gradients and Hessians against jax.grad of the same function, finite differences and complex steps."""

from functools import cache
from types import SimpleNamespace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings

import samfast as sf
from samfast import tracing as T
from samfast.backends import cpu
from samfast.model.parameters import Parameters
from samfast.model.rule import Oracle
from samfast.simulation.prepare import prepared_job
from samfast.tracing import calculus

# Relative to the largest entry; the losses are smooth, and well conditioned at the points used.
ROUNDING = 1e-13
RHO = 0.07


@sf.loss(dim=2, a=0.7)
def waves(w, p):
    return p.a * sf.sin(w[0] * w[1]) + sf.cos(w[0]) ** 2 + sf.exp(-(w[0] ** 2)) * sf.tanh(3 * w[1])


@sf.loss(dim=3, a=sf.vector([0.5, 1.0, 2.0]), b=1.5)
def logs(w, p):
    return sf.log(p.b + sf.total(p.a * w * w)) / (2 + sf.cos(w[0]) - w[1] * w[2] / 4)


@sf.loss(dim=2, a=0.3)
def roots(w, p):
    """Half-integer and negative powers."""
    s = 2 + w[0] ** 2 + w[1]
    return s**1.5 + p.a * s**-2.5 + sf.sqrt(s) * w[1] ** 3 + s**0 - 3 / s**0.5


@sf.loss(dim=2)
def kinks(w, p):
    """Not differentiable on lines: they are not among the points."""
    x, y = w[0], w[1]
    return (
        sf.absolute(x) ** 3
        + sf.where(x > y, x * x * y, sf.exp(y))
        + sf.minimum(x, y * y) * y
        + sf.maximum(x * y, 0.1) ** 2
        + abs(y)
    )


@sf.loss(dim=5, size=2.0)
def lengths(w, p):
    return sf.norm(w) * p.size + sf.dot(w, w[::-1]) ** 2 + sf.total(sf.tanh(w)) / sf.norm(w - 3)


@sf.loss(dim=3)
def numpy_names(w, p):
    wave = np.sin(w[2]) / np.tanh(4 + w[2])
    return np.exp(-np.sum(w * w)) + np.sqrt(1 + np.square(w[0])) * np.log(2 + np.cos(w[1])) - wave


@sf.loss(dim=3, deep=0.4)
def nested(w, p):
    """A composition of three layers, each used twice."""
    u = w
    for _ in range(3):
        u = sf.tanh(u + p.deep * sf.sin(u[::-1])) + 0.1 * u * u
    return sf.total(u * w)


LOSSES = {
    f.name: f
    for f in (
        waves,
        logs,
        roots,
        kinks,
        lengths,
        numpy_names,
        nested,
        sf.losses.beale(),
        sf.losses.saddle(),
        sf.losses.quadratic([-1.0, 0.5, 2.0, 3.0]),
    )
}
every = pytest.mark.parametrize("name", LOSSES)


def points(loss, n=5):
    return np.random.default_rng(1).normal(0, 0.8, (n, loss.dim))


def close(got, want, tolerance=ROUNDING):
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape and np.isfinite(want).all()
    error = np.abs(got - want).max()
    assert error <= tolerance * max(1.0, np.abs(want).max()), f"{error:.3g} at largest entry {np.abs(want).max():.3g}"


def parameters(loss):
    return SimpleNamespace(**{k: np.asarray(v) for k, v in loss.params.items()})


@pytest.fixture(scope="module")
def jax():
    """JAX in float64, and as it was afterwards."""
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)


@cache
def by_jax(jax, name):
    """Of the user's own function at the points: value, gradient, Hessian, chain drift, normalised chain drift."""
    loss = whole if name == "whole" else LOSSES[name]
    function = loss.function
    if name == "numpy_names":  # NumPy's names become JAX's
        function = type(function)(function.__code__, {**function.__globals__, "np": jax.numpy})

    def f(w):
        return function(w, parameters(loss))

    def chain(w, scale):
        def ahead(u):
            g = jax.grad(f)(u)
            return f(u + RHO * g * scale(g))

        return jax.grad(ahead)(w)

    @jax.jit
    def everything(w):
        return (
            f(w),
            jax.grad(f)(w),
            jax.hessian(f)(w),
            chain(w, lambda g: 1.0),
            chain(w, lambda g: 1 / jax.numpy.linalg.norm(g)),
        )

    return [np.stack(x) for x in zip(*(everything(w) for w in points(loss)), strict=True)]


# one function, five readers ------------------------------------------------------------------------------------------
@every
def test_value_gradient_and_hessian_equal_jax(name, jax):
    loss = LOSSES[name]
    w, (value, gradient, hessian, *_) = points(loss), by_jax(jax, name)
    close(loss.value(w), value)
    close(loss.gradient(w), gradient)
    close(loss.hessian(w), hessian)


@every
def test_finite_differences(name):
    """Central differences of step 1e-5: error about 1e-10, from rounding and the third derivative alike."""
    loss = LOSSES[name]
    w, e = points(loss), 1e-5 * np.eye(loss.dim)
    slopes = [(loss.value(w + d) - loss.value(w - d)) / 2e-5 for d in e]
    close(loss.gradient(w), np.stack(slopes, -1), 1e-8)
    rows = [(loss.gradient(w + d) - loss.gradient(w - d)) / 2e-5 for d in e]
    close(loss.hessian(w), np.stack(rows, -2), 1e-8)


@every
def test_shapes_and_the_function_itself(name):
    """value of w of shape (..., dim) is what the function gives on the coordinates."""
    loss = LOSSES[name]
    w = points(loss, 12).reshape(2, 3, 2, loss.dim)
    if name == "numpy_names":  # np.sum adds up everything: one point at a time
        want = np.array([loss.function(x, None) for x in w.reshape(-1, 3)]).reshape(2, 3, 2)
    else:
        p = {k: v[:, None, None, None] if v.ndim else v for k, v in vars(parameters(loss)).items()}
        want = loss.function(np.moveaxis(w, -1, 0), SimpleNamespace(**p))
    close(loss.value(w), want)
    assert loss.gradient(w).shape == w.shape and loss.hessian(w).shape == (*w.shape, loss.dim)
    assert loss.value(w[0, 0, 0]).shape == () and loss.gradient(w[0, 0, 0]).shape == (loss.dim,)
    np.testing.assert_array_equal(loss.gradient(w[1, 2, 0]), loss.gradient(w)[1, 2, 0])


@pytest.mark.parametrize("name", ["logs", "waves"])
def test_parameters_of_a_sweep_broadcast(name):
    loss = LOSSES[name]
    a = np.random.default_rng(2).uniform(0.5, 1, (4, *np.shape(loss.params["a"])))
    w = points(loss, 4)
    each = [loss.replace(a=a[i]).gradient(w[i]) for i in range(4)]
    np.testing.assert_array_equal(loss.gradient(w, a=a), each)


def directions(loss, rule, w):
    """The rule's direction at the points w, traced."""
    symbols, params, _ = loss.symbols()
    names = {k: T.var(f"p_{k}", "param") for k in rule.params}
    p = Parameters("the test", {**params, **names})
    traced = rule.direction(symbols, Oracle(lambda u: loss.trace(u, p)), p)
    env = {s.args[0]: w[:, i] for i, s in enumerate(symbols)}
    env |= {f"p_{k}": np.float64(v) for k, v in rule.params.items()}
    for k, v in loss.params.items():
        env |= (
            {s.args[0]: np.float64(x) for s, x in zip(params[k], v, strict=True)}
            if k in loss.vectors
            else {f"p_{k}": np.float64(v)}
        )
    return np.stack(np.broadcast_arrays(*T.evaluate(traced, env), w[:, 0])[:-1], -1)


@pytest.mark.parametrize("normalize", [False, True])
@every
def test_chain_and_plain_drift(name, normalize, jax):
    """ "chain" is the gradient of w -> l(w + rho grad l(w)) or of its normalised kind, "plain" stops at w^p."""
    loss = LOSSES[name]
    w, chain = points(loss), by_jax(jax, name)[4 if normalize else 3]
    close(directions(loss, sf.sam(lr=0.1, rho=RHO, normalize=normalize, drift="chain"), w), chain, 1e-12)
    g = loss.gradient(w)
    ahead = w + RHO * (g / np.linalg.norm(g, axis=-1, keepdims=True) if normalize else g)
    close(directions(loss, sf.sam(lr=0.1, rho=RHO, normalize=normalize), w), loss.gradient(ahead), 1e-12)


@every
def test_the_program_text_steps_along_the_gradient(name):
    """One step of lr 1, as rendered (fused products, functions of kernels/math64), against the traced gradient."""
    loss = LOSSES[name]
    w = points(loss)
    close(one_step(loss, w)[0], loss.gradient(w), 1e-12)


def one_step(loss, w):
    """(w - w', whether the program was traced as a whole) of gradient descent with lr 1."""
    job = prepared_job(loss, sf.gd(lr=1.0), w, dtype="float64", device="plain")
    [shard] = job.shards(0, np.array([1]), None)
    rows = list(job.program.rows["w"])
    return w - cpu.run_shard(shard).state[0, rows].T, job.program.wide


@sf.loss(dim=11, a=sf.vector(np.linspace(-1, 2, 11)), b=0.3)
def whole(w, p):
    """Vector operations only: can be traced with all coordinates at once."""
    x = p.a * w
    return (
        sf.total(x * w) / (1 + sf.dot(w, w))
        + sf.norm(w - 2) * p.b
        + sf.total(sf.tanh(w) * sf.norm(x))
        + sf.total(sf.where(w > 0, w * w, sf.exp(w)))
        + sf.log(1 + sf.total(sf.sin(w) ** 2))
    )


def test_wide_gradient_equals_unrolled_and_jax(monkeypatch, jax):
    w = points(whole)
    want = by_jax(jax, "whole")[1]
    close(whole.gradient(w), want)
    got, wide = one_step(whole, w)
    monkeypatch.setattr("samfast.codegen.pipeline.WIDE_ABOVE", 11)
    unrolled, narrow = one_step(whole, w)
    assert wide and not narrow
    close(got, want, 1e-12)
    close(unrolled, want, 1e-12)
    close(got, unrolled, 1e-13)


# random expressions --------------------------------------------------------------------------------------------------
# A tree is a number, a name, or (operation, arguments...). `smooth` reads it with NumPy on complex numbers, apart from
# the library: a step of 1e-30 along the imaginary axis gives derivatives without cancellation.
NAMES = ("x", "y", "z", "a")
ONE = ("exp", "log", "sin", "cos", "tanh", "sqrt", "abs", "neg", "square", "cube", "power", "inverse")
TWO = ("add", "sub", "mul", "div", "minimum", "maximum", "where", "dot", "norm")


def trees():
    leaf = st.one_of(st.sampled_from(NAMES), st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.25, 1.0, 2.0, 3.7]))

    def grow(inner):
        return st.one_of(st.tuples(st.sampled_from(ONE), inner), st.tuples(st.sampled_from(TWO), inner, inner))

    return st.recursive(leaf, grow, max_leaves=14)


def traced(tree, env):
    """The tree written with the library's functions."""
    if not isinstance(tree, tuple):
        return env[tree] if isinstance(tree, str) else tree
    op, *args = tree
    a = [traced(t, env) for t in args]
    match op:
        case "exp" | "sin" | "cos" | "tanh" | "minimum" | "maximum":
            return getattr(sf, op)(*a)
        case "log" | "sqrt" | "power":  # of something positive
            s = 1 + a[0] * a[0]
            return s**-1.5 if op == "power" else getattr(sf, op)(s)
        case "abs":
            return sf.absolute(a[0])
        case "neg":
            return -a[0]
        case "square":
            return a[0] ** 2
        case "cube":
            return a[0] ** 3
        case "inverse":
            return 1 / (2 + sf.cos(a[0]))
        case "add":
            return a[0] + a[1]
        case "sub":
            return a[0] - a[1]
        case "mul":
            return a[0] * a[1]
        case "div":
            return a[0] / (1 + a[1] * a[1])
        case "where":
            return sf.where(T.lift(a[0]) < 0.3, a[1], a[0])
        case "dot":
            return sf.dot(T.Vector(a), T.Vector(a[::-1]))
        case "norm":
            return sf.norm(T.Vector([*a, 0.5]))


def smooth(tree, env):
    """The same tree by its mathematics; branches are chosen by the real part."""
    if not isinstance(tree, tuple):
        return env[tree] if isinstance(tree, str) else np.complex128(tree)
    op, *args = tree
    a = smooth(args[0], env)
    b = smooth(args[1], env) if len(args) > 1 else None
    table = {
        "exp": lambda: np.exp(a),
        "log": lambda: np.log(1 + a * a),
        "sin": lambda: np.sin(a),
        "cos": lambda: np.cos(a),
        "tanh": lambda: np.tanh(a),
        "sqrt": lambda: np.sqrt(1 + a * a),
        "abs": lambda: np.where(a.real < 0, -a, a),
        "neg": lambda: -a,
        "square": lambda: a * a,
        "cube": lambda: a * a * a,
        "inverse": lambda: 1 / (2 + np.cos(a)),
        "power": lambda: 1 / ((1 + a * a) * np.sqrt(1 + a * a)),
        "add": lambda: a + b,
        "sub": lambda: a - b,
        "mul": lambda: a * b,
        "div": lambda: a / (1 + b * b),
        "dot": lambda: 2 * a * b,
        "minimum": lambda: np.where(a.real < b.real, a, b),
        "maximum": lambda: np.where(a.real > b.real, a, b),
        "where": lambda: np.where(a.real < 0.3, b, a),
        "norm": lambda: np.sqrt(a * a + b * b + 0.25),
    }
    return table[op]()


POINTS = np.random.default_rng(3).uniform(-1.2, 1.2, (4, 5))
VALUES = dict(zip(NAMES, POINTS, strict=True))
SYMBOLS = {n: T.var(n, "param" if n == "a" else "state") for n in NAMES}


def conditioned(tree):
    """Largest absolute value of any part at any point: rounding grows with it."""
    inner = max((conditioned(t) for t in tree[1:]), default=1.0) if isinstance(tree, tuple) else 1.0
    return max(inner, float(np.abs(smooth(tree, {n: v + 0j for n, v in VALUES.items()})).max()))


@given(trees())
@example(("sub", ("mul", "x", "a"), ("mul", "x", -1.0)))
@example(("add", ("mul", 2.0, "x"), ("mul", 2.0, ("neg", "y"))))
@example(("norm", ("where", "x", 1.0), ("dot", "y", ("abs", "z"))))
@settings(derandomize=True, max_examples=250, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_expressions_and_their_gradients(tree):
    """Values against NumPy, derivatives by x, y, z against complex steps."""
    with np.errstate(all="ignore"):
        size = conditioned(tree)
        assume(size < 20)
        want = smooth(tree, {n: v + 0j for n, v in VALUES.items()})
        slopes = [smooth(tree, {m: v + (1e-30j if m == n else 0j) for m, v in VALUES.items()}).imag / 1e-30 for n in "xyz"]
    e = T.lift(traced(tree, SYMBOLS))
    value, *got = T.evaluate([e, *T.gradient(e, [SYMBOLS[n] for n in "xyz"])], VALUES)
    np.testing.assert_allclose(np.broadcast_to(value, 5), np.broadcast_to(want.real, 5), rtol=0, atol=1e-13 * size**2)
    for one, slope in zip(got, slopes, strict=True):
        limit = 1e-12 * max(1.0, np.abs(slope).max()) * size**2
        np.testing.assert_allclose(np.broadcast_to(one, 5), np.broadcast_to(slope, 5), rtol=0, atol=limit)


@cache
def text(trees):
    """A loss of the trees' sum."""

    def function(w, p):
        env = {"x": w[0], "y": w[1], "z": w[2], "a": p.a}
        return sum((traced(t, env) for t in trees), start=w[0] * 0.0)

    return sf.Loss("trees", 3, function, {"a": 0.6})


@given(st.lists(trees(), min_size=1, max_size=4))
@settings(derandomize=True, max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_programs(some):
    """The rendered text of one step on random losses: rounding once per product and sum may differ, no more."""
    with np.errstate(all="ignore"):
        size = max(conditioned(t) for t in some)
    assume(size < 20)
    loss, w = text(tuple(some)), POINTS[:3].T
    slope = loss.gradient(w)
    assert np.abs(one_step(loss, w)[0] - slope).max() <= 1e-12 * max(1.0, np.abs(slope).max()) * size**2


# the comparison itself -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("op", ["sin", "tanh", "sqrt", "div", "abs"])
def test_a_planted_fault_is_found(op, monkeypatch, jax):
    """One derivative off by a millionth, or of the wrong sign."""
    right = calculus._local

    def wrong(e, *given):
        shares = right(e, *given)
        if e.op != op:
            return shares
        (x, share), *rest = shares
        return [(x, -share if op == "abs" else share * (1 + 1e-6)), *rest]

    monkeypatch.setattr("samfast.tracing.calculus._local", wrong)
    monkeypatch.setattr("samfast.tracing.calculus._gradients", {})  # kept by content: what was right before would be taken
    losses = [waves, roots, logs, kinks]
    fresh = [sf.Loss(f.name, f.dim, f.function, f.params, f.vectors) for f in losses]
    errors = [np.abs(g.gradient(points(f)) - by_jax(jax, f.name)[1]).max() for f, g in zip(losses, fresh, strict=True)]
    assert max(errors) > 1e-9
