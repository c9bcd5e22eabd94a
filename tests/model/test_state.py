"""Rules with state of their own against the same loops in NumPy; their noise, samples, pairs, observers and continuation."""

import numpy as np
import plain
import pytest

import samfast as sf
from samfast import observe as O

BEALE, BOWL = sf.losses.beale(), sf.losses.quadratic([1.0, 3.0])
START = [0.5, 0.8]


def moments(w, s, grad, p):
    """Everything at once: two vectors, a counter, one number, a copy of the start, every third step another rate."""
    g = grad(w)
    m, v = p.beta * s.m + g, 0.9 * s.v + g * g
    rate = sf.where(s.k % 3 < 1, 1.0, 0.5)
    size = 0.5 * s.size + sf.dot(g, g)
    slow = 0.9 * s.slow + 0.1 * w
    new = w - p.lr * rate * m / (sf.sqrt(v) + 1e-3) + 1e-3 * size * (s.slow - w)
    return new, {"m": m, "v": v, "k": s.k + 1, "size": size, "slow": slow}


STATE = {"m": 0.0, "v": sf.vector([1.0, 2.0]), "k": 0, "size": sf.scalar(1.5), "slow": "start"}
RULE = sf.rule("moments", moments, lr=0.01, beta=0.9, state=STATE)


def loop(gradient, w, steps, lr=0.01, beta=0.9, noise=None):
    w = np.array(w, float)
    m, v, size, slow, path = 0 * w, np.array([1.0, 2.0]), 1.5, w.copy(), [w]
    for k in range(steps):
        g = gradient(w) + (0 if noise is None else noise[k])
        m, v = beta * m + g, 0.9 * v + g * g
        size = 0.5 * size + g @ g
        w, slow = (
            w - lr * (1.0 if k % 3 == 0 else 0.5) * m / (np.sqrt(v) + 1e-3) + 1e-3 * size * (slow - w),
            0.9 * slow + 0.1 * w,
        )
        path.append(w)
    return np.array(path), {"m": m, "v": v, "k": [steps], "size": [size], "slow": slow}


def test_a_step_with_state():
    seen = plain.values(BEALE, RULE, [START], range(21))[:, 0]
    np.testing.assert_allclose(seen, loop(BEALE.gradient, START, 20)[0], rtol=1e-12)


def test_the_state_at_the_end_goes_on_and_is_observed():
    observe = O.several(O.position(), O.Observer("state", lambda s: [s.v.m, s.v.k], ("m", "k")))
    options = {"observe": observe, "dtype": "float64", "values": True, "paths": 2}
    whole = sf.simulate(BEALE, RULE, START, record=[7, 20], **options)
    path, state = loop(BEALE.gradient, START, 20)
    for name, value in state.items():
        np.testing.assert_allclose(whole.final(name)[0], value, rtol=1e-11)
    np.testing.assert_allclose(whole.values[1, 0], [*path[20], *state["m"], 20], rtol=1e-11)
    two = sf.resume(sf.simulate(BEALE, RULE, START, record=[7], **options), record=[20])
    np.testing.assert_array_equal(two.values, whole.values)
    np.testing.assert_array_equal(two.state, whole.state)
    np.testing.assert_array_equal(whole.replay(1, [20]).values[0], whole.values[1, 1:])


def wide(w, s, grad, p):
    m = p.beta * s.m + grad(w)
    scale = 0.5 * s.scale + sf.norm(m)
    return w - p.lr * m / scale, {"m": m, "scale": scale, "k": s.k + 1}


def test_many_coordinates():
    """The wide layout gives the numbers of the unrolled one, its counters and single numbers included."""
    rule = sf.rule("wide", wide, lr=[0.01, 0.02], beta=0.9, state={"m": 0.0, "scale": sf.scalar(1.0), "k": 0})
    loss = sf.losses.quadratic(np.linspace(-1, 2, 12))
    runs = [
        sf.simulate(loss, rule, np.full(12, 0.3), record=[30], paths=2, values=True, dtype="float64"),
        sf.simulate(
            sf.loss(12, e=sf.vector(np.linspace(-1, 2, 12)))(coordinates), rule, np.full(12, 0.3), record=[30], paths=2
        ),
    ]
    assert runs[0].job.program.wide and not runs[1].job.program.wide
    np.testing.assert_allclose(runs[0].final(), runs[1].final(), rtol=1e-12)
    np.testing.assert_allclose(runs[0].final("scale"), runs[1].final("scale"), rtol=1e-12)
    assert (runs[0].final("k") == 30).all()


def coordinates(w, p):
    return 0.5 * sum(p.e[i] * w[i] * w[i] for i in range(12))


def two(w, s, grad, p):
    g = grad(w)
    return w - p.lr * (grad(w + 0.1 * g) + s.m), {"m": 0.5 * s.m + g}


TWO = sf.rule("two", two, lr=0.1, state={"m": 0.0})


@pytest.mark.parametrize("minibatch, first, second", [("descent", None, 0), ("same", 0, 0), ("independent", 0, 1)])
def test_noise_on_the_gradients_of_a_rule_with_state(minibatch, first, second):
    """The same step by hand, with the noise written into it."""

    def by_hand(w, s, grad, p, z):
        g = grad(w) + (0 if first is None else 0.3 * z[first])
        return w - p.lr * (grad(w + 0.1 * g) + 0.3 * z[second] + s.m), {"m": 0.5 * s.m + g}

    draws = 2 if minibatch == "independent" else 1
    written = sf.rule("by hand", by_hand, lr=0.1, state={"m": 0.0}, draws=draws)
    a, b = (plain.values(BOWL, rule, START, [9], paths=4) for rule in (sf.noisy(TWO, sigma=0.3, minibatch=minibatch), written))
    np.testing.assert_allclose(a, b, rtol=1e-12)
    assert len(np.unique(a)) == 8


def test_samples_for_a_rule_with_state():
    """A network's own labels, drawn once for both gradients or for each, against steps on the loss with samples."""
    mean, batch = sf.losses.toy_network(), sf.losses.toy_network(batch_size=2)
    same = plain.values(mean, sf.sampled(TWO, batch), [0.3, 0.5], [5], paths=4)
    np.testing.assert_allclose(same, plain.values(batch, TWO, [0.3, 0.5], [5], paths=4), rtol=1e-13)
    apart = plain.values(mean, sf.sampled(TWO, batch, minibatch="independent"), [0.3, 0.5], [5], paths=4)
    assert (same != apart).any()


def test_a_pair_with_state():
    first = sf.noisy(sf.gd(lr=0.1, momentum=0.5), sigma=0.1)
    second = sf.noisy(RULE, sigma=0.1)
    run = sf.simulate(BOWL, sf.paired(first, second), START, record=[6], paths=3, observe=O.paired_msd(), dtype="float64")
    ends = [sf.simulate(BOWL, rule, START, record=[6], paths=3, dtype="float64") for rule in (first, second)]
    np.testing.assert_allclose(run.final("v0"), ends[1].final() - ends[0].final(), rtol=1e-10)
    np.testing.assert_allclose(run.final("size_second"), ends[1].final("size"), rtol=1e-12)
    moved = [((e.final() - START) ** 2).sum(-1) for e in ends]
    np.testing.assert_allclose(run["difference"], (moved[1] - moved[0]).mean(), rtol=1e-9)


def test_counting_is_exact():
    """% and // of whole numbers, of counters and of the number of steps, in float32 too."""

    def features(s):
        return [s.t % 7, s.t // 7, (s.t + 0.5) % 1, -s.t % 7, sf.floor(-0.25 * s.t)]

    observe = O.Observer("count", features, ("a", "b", "c", "d", "e"))
    record = np.array([0, 1, 6, 7, 8, 48, 49, 300])
    for dtype in ("float32", "float64"):
        run = sf.simulate(BOWL, sf.gd(lr=0.1), START, record=record, observe=observe, dtype=dtype)
        found = run.mean.T.tolist()
        assert found == [a.tolist() for a in (record % 7, record // 7, 0.5 + 0 * record, -record % 7, np.floor(-0.25 * record))]


def test_the_number_of_updates_in_a_direction():
    """Every third step of gradient descent is taken."""
    rule = sf.rule("third", lambda w, grad, p: sf.where(p.step_count % 3 < 1, 1.0, 0.0) * grad(w), lr=0.5)
    seen = plain.values(sf.losses.quadratic([1.0]), rule, [[1.0]], range(8))[:, 0, 0]
    assert seen.tolist() == [1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]


def returns(value):
    return lambda w, s, grad, p: (w, value)


@pytest.mark.parametrize(
    "make, error, pattern",
    [
        (lambda: sf.rule("r", two, state={"m": "zero"}), TypeError, "state 'm'='zero': give a number for a vector"),
        (lambda: sf.rule("r", two, state={"m": True}), TypeError, "state 'm'=True: give"),
        (lambda: sf.rule("r", two, state={"m": np.inf}), ValueError, "state 'm'=inf: every value must be a finite"),
        (lambda: sf.rule("r", two, state={"w": 0.0}), ValueError, "state 'w': this name is samfast's own"),
        (lambda: sf.rule("r", two, state=["m"]), TypeError, "state=.*give a dict of starts"),
        (lambda: sf.rule("r", two, lr=0.1, state={"m": 0.0}, momentum=0.9), ValueError, "momentum: a step with state="),
        (lambda: sf.rule("r", lambda w, s: w, state={}), sf.TraceError, r"define the step as step\(w, s, grad, p, z\)"),
        (lambda: sf.rule("r", lambda w, g, p: g(w)), TypeError, "lr=None: give a number.*or state="),
        (lambda: sf.rule("r", returns({"x": 1.0}), state={"m": 0.0}), sf.TraceError, "x: rule 'r' has no such state; it has m"),
        (lambda: sf.rule("r", returns(3.0), state={"m": 0.0}), sf.TraceError, "the step returned 3.0 for its state"),
        (lambda: sf.rule("r", two, lr=1, state={"n": 0.0}), sf.TraceError, "s.m: rule 'r' has no such state; it has n"),
        (lambda: sf.rule("r", lambda w, s, g, p: w, state={"m": 0.0}), sf.TraceError, "must return"),
        (lambda: sf.noisy(TWO, sigma=0.1, minibatch="unit"), ValueError, "'unit': it adds noise to the direction"),
        (lambda: sf.heavy_ball(TWO, momentum=0.9), ValueError, "heavy_ball of rule 'two': .*without momentum, state"),
        (
            lambda: sf.diffusion(TWO, sigma=0.1),
            ValueError,
            "diffusion of rule 'two': it needs a rule without noise and of the form",
        ),
        (lambda: sf.scalar([1.0, 2.0]), ValueError, r"scalar has shape \(2,\): give one number"),
    ],
)
def test_mistakes(make, error, pattern):
    with pytest.raises(error, match=pattern):
        make()


@pytest.mark.parametrize(
    "state, new, pattern",
    [
        ({"k": 0}, lambda s: {"k": s.k + 0 * s.k}, None),
        ({"m": 0.0}, lambda s: {"m": 1.0}, "the new m must be a vector"),
        ({"m": sf.vector([1.0, 2.0, 3.0])}, lambda s: {}, "must|shape|lengths"),
    ],
)
def test_mistakes_that_only_a_loss_shows(state, new, pattern):
    rule = sf.rule("r", lambda w, s, grad, p: (0.5 * w, new(s)), state=state)
    if pattern is None:
        assert sf.simulate(BOWL, rule, START, record=[1], dtype="float64").mean.tolist() == [[0.25, 0.4]]
        return
    with pytest.raises((ValueError, sf.TraceError), match=pattern):
        sf.simulate(BOWL, rule, START, record=[1])
