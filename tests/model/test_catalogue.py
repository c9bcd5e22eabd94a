"""The rules of sf.rules against loops in NumPy that are written from the equations of their papers; their bases and noise."""

import math

import numpy as np
import plain
import pytest

import samfast as sf

R = sf.rules
LOSS = sf.loss(2)(lambda w, p: 0.5 * w[0] ** 2 + 1.5 * w[1] ** 2 + 0.25 * w[0] ** 4 - 0.7 * w[0] * w[1] + 0.2 * w[0])
START, STEPS = [0.9, -0.6], 30


def gradient(w):
    x, y = w
    return np.array([x + x**3 - 0.7 * y + 0.2, 3 * y - 0.7 * x])


def unit(v):
    return v / math.sqrt(v @ v)


def nesterov(g, t, s, lr=0.05, mu=0.9):
    s["m"] = mu * s.get("m", 0) + g
    return lr * (g + mu * s["m"])


def adam(g, t, s, lr=0.05, b1=0.9, b2=0.999, eps=1e-8):
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g**2
    return lr * (s["m"] / (1 - b1**t)) / (np.sqrt(s["v"] / (1 - b2**t)) + eps)


def rmsprop(g, t, s, lr=0.05, alpha=0.99, eps=1e-8):
    s["v"] = alpha * s.get("v", 0) + (1 - alpha) * g**2
    return lr * g / (np.sqrt(s["v"]) + eps)


def adagrad(g, t, s, lr=0.05, eps=1e-10):
    s["v"] = s.get("v", 0) + g**2
    return lr * g / (np.sqrt(s["v"]) + eps)


def signum(g, t, s, lr=0.05, beta=0.9):
    s["m"] = beta * s.get("m", 0) + (1 - beta) * g
    return lr * np.sign(s["m"])


def lion(g, t, s, lr=0.05, b1=0.9, b2=0.99):
    u = np.sign(b1 * s.get("m", 0 * g) + (1 - b1) * g)
    s["m"] = b2 * s.get("m", 0 * g) + (1 - b2) * g
    return lr * u


def descent(g, t, s, lr=0.05):
    return lr * g


def heavy(g, t, s, lr=0.05):
    s["h"] = 0.8 * s.get("h", 0) + g
    return lr * s["h"]


BASES = {
    "gd": (lambda: sf.gd(lr=0.05), descent),
    "heavy": (lambda: sf.gd(lr=0.05, momentum=0.8), heavy),
    "nesterov": (lambda: R.nesterov(lr=0.05), nesterov),
    "adam": (lambda: R.adam(lr=0.05), adam),
    "rmsprop": (lambda: R.rmsprop(lr=0.05), rmsprop),
    "adagrad": (lambda: R.adagrad(lr=0.05), adagrad),
    "signum": (lambda: R.signum(lr=0.05), signum),
    "lion": (lambda: R.lion(lr=0.05), lion),
}


def same(w, t, s):
    return gradient(w)


def sam(w, t, s):
    return gradient(w + 0.1 * unit(gradient(w)))


def usam(w, t, s):
    return gradient(w + 0.1 * gradient(w))


def masked(w, t, s):
    g = gradient(w) * [1.0, 0.0]
    return gradient(w + 0.1 * unit(g))


def asam(w, t, s):
    size = np.abs(w) + 0.01
    return gradient(w + 0.1 * size**2 * gradient(w) / np.linalg.norm(size * gradient(w)))


def gsam(w, t, s):
    g, h = gradient(w), sam(w, t, s)
    return h - 0.3 * (g - (g @ h) / (h @ h) * h)


def looksam(w, t, s):
    g = gradient(w)
    if (t - 1) % 4 == 0:
        h = sam(w, t, s)
        s["u"] = h - (g @ h) / (g @ g) * g
        return h
    return g + 0.7 * np.linalg.norm(g) / np.linalg.norm(s["u"]) * s["u"]


def fsam(w, t, s):
    g = gradient(w)
    s["mean"] = 0.9 * s.get("mean", 0) + 0.1 * g
    return gradient(w + 0.1 * unit(g - 0.8 * s["mean"]))


def multistep(w, t, s):
    u = w
    for _ in range(3):
        u = u + 0.1 / 3 * unit(gradient(u))
    return gradient(u)


def by_norm(w, t, s):
    g = gradient(w)
    return g * min(1.0, 0.5 / np.linalg.norm(g))


def by_value(w, t, s):
    return np.clip(gradient(w), -0.4, 0.4)


def coupled(w, t, s):
    return gradient(w) + 0.3 * w


CHANGES = {
    "sam": (lambda base: sf.sam(base, rho=0.1, normalize=True), sam),
    "masked": (lambda base: sf.sam(base, rho=0.1, normalize=True, mask=sf.vector([1.0, 0.0])), masked),
    "usam": (lambda base: R.usam(base, rho=0.1), usam),
    "asam": (lambda base: R.asam(base, rho=0.1), asam),
    "gsam": (lambda base: R.gsam(base, rho=0.1, alpha=0.3), gsam),
    "looksam": (lambda base: R.looksam(base, rho=0.1, every=4), looksam),
    "fsam": (lambda base: R.fsam(base, rho=0.1, share=0.8), fsam),
    "multistep": (lambda base: R.multistep_sam(base, rho=0.1, steps=3), multistep),
    "m_sam": (lambda base: R.m_sam(base, rho=0.1, parts=2), sam),
    "norm": (lambda base: R.clipped(base, norm=0.5), by_norm),
    "value": (lambda base: R.clipped(base, value=0.4), by_value),
    "decayed": (lambda base: R.decayed(base, weight_decay=0.3), coupled),
}
PAIRS = [("", base) for base in BASES] + [(change, base) for change in CHANGES for base in ("gd", "heavy", "adam")]


def loop(change, base, decay=0.0):
    w, s, path = np.array(START), {}, [np.array(START)]
    for t in range(1, STEPS + 1):
        w = w - base(change(w, t, s), t, s) - decay * w
        path.append(w)
    return np.array(path)


@pytest.mark.parametrize("change, base", PAIRS)
def test_the_equations(change, base):
    """30 steps to 1e-12 of the largest coordinate. The loop's gradient is written by hand."""
    made, step = BASES[base]
    put, follow = CHANGES.get(change, (lambda rule: rule, same))
    seen = plain.values(LOSS, put(made()), [START], range(STEPS + 1))[:, 0]
    np.testing.assert_allclose(seen, loop(follow, step), rtol=0, atol=1e-12)


@pytest.mark.parametrize("base", ["gd", "heavy", "adam"])
def test_decoupled_decay(base):
    """AdamW is Adam with decoupled decay; Lion has it too, scaled by lr."""
    made, step = BASES[base]
    rules = [R.decayed(made(), weight_decay=0.3, decoupled=True)]
    rules += [R.adamw(lr=0.05, weight_decay=0.3)] if base == "adam" else []
    for rule in rules:
        seen = plain.values(LOSS, rule, [START], range(STEPS + 1))[:, 0]
        np.testing.assert_allclose(seen, loop(same, step, 0.05 * 0.3), rtol=0, atol=1e-12)
    seen = plain.values(LOSS, R.lion(lr=0.05, weight_decay=0.3), [START], range(STEPS + 1))[:, 0]
    np.testing.assert_allclose(seen, loop(same, lion, 0.05 * 0.3), rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [R.usam, R.asam, lambda *base, **o: R.gsam(*base, alpha=0.1, **o), R.looksam, R.fsam, sf.sam])
def test_lr_is_gradient_descent(make):
    a, b = (plain.values(LOSS, rule, [START], [5]) for rule in (make(lr=0.05, rho=0.1), make(sf.gd(lr=0.05), rho=0.1)))
    np.testing.assert_array_equal(a, b)


def test_nothing_moves_at_a_critical_point():
    """No rule of the SAM family divides by the length of a gradient that is 0."""
    loss = sf.losses.quadratic([1.0, -1.0])
    for change in CHANGES:
        rule = CHANGES[change][0](R.adam(lr=0.05))
        assert plain.values(loss, rule, [[0.0, 0.0]], [5]).tolist() == [[[0.0, 0.0]]], change


def test_noise_reaches_what_the_base_sees():
    """Clipping sees the noisy gradient, and m-SAM has a minibatch for each part, the same in ascent and descent."""

    def by_hand(w, s, grad, p, z):
        g = grad(w) + 2.0 * z[0]
        size = sf.norm(g)
        return w - 0.05 * sf.where(size > 0.5, 0.5 / size, 1.0) * g, {}

    def parts(w, s, grad, p, z):
        total = 0.0 * w
        for j in range(2):
            g = grad(w) + 0.5 * z[j]
            total = total + grad(w + 0.1 / sf.norm(g) * g) + 0.5 * z[j]
        return w - 0.05 * total / 2, {}

    for rule, written in (
        (sf.noisy(R.clipped(sf.gd(lr=0.05), norm=0.5), sigma=2.0), sf.rule("by hand", by_hand, state={}, draws=1)),
        (
            sf.noisy(R.m_sam(lr=0.05, rho=0.1, parts=2), sigma=0.5, minibatch="same"),
            sf.rule("parts", parts, state={}, draws=2),
        ),
    ):
        a, b = (plain.values(LOSS, r, START, [6], paths=3) for r in (rule, written))
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_samples_of_the_parts():
    """m-SAM on samples: the mean over two parts with labels of their own is not SAM on one of them."""
    mean, batch = sf.losses.toy_network(), sf.losses.toy_network(batch_size=1)
    one, two = (
        plain.values(mean, sf.sampled(rule, batch), [0.3, 0.5], [4], paths=4)
        for rule in (sf.sam(lr=0.1, rho=0.1, normalize=True), R.m_sam(lr=0.1, rho=0.1, parts=2))
    )
    assert np.isfinite(two).all() and (one != two).any(-1).sum() >= 3


def test_scheduled_swept_resumed_and_stopped():
    """What a rule of the catalogue is for: everything at once, in one program."""
    rate = sf.schedule.cosine([[0.05], [0.1]], steps=20)
    rule = sf.noisy(sf.sam(R.adam(lr=rate, beta1=[0.9, 0.5, 0.0]), rho=0.1, normalize=True), sigma=0.1)
    options = {"paths": 4, "values": True, "stop": lambda s: sf.dot(s.w, s.w) < 0.05}
    whole = sf.simulate(LOSS, rule, START, record=[7, 30], **options)
    two = sf.resume(sf.simulate(LOSS, rule, START, record=[7], **options), record=[30])
    assert whole.sweep == (2, 3)
    np.testing.assert_array_equal(whole.values, two.values)
    np.testing.assert_array_equal(whole.final("v"), two.final("v"))


def test_the_perturbed_point():
    rule = sf.sam(R.adam(lr=0.05), rho=0.1, normalize=True)
    seen = plain.values(LOSS, rule, [START], [0], observe=sf.observe.perturbed(rule))[0, 0]
    np.testing.assert_allclose(seen, START + 0.1 * unit(gradient(START)), rtol=1e-13)


NOISY = sf.noisy(sf.gd(lr=0.1), sigma=0.1)


@pytest.mark.parametrize(
    "make, error, pattern",
    [
        (lambda: R.asam(rho=0.1), ValueError, "asam: give a base rule or lr, one of them"),
        (lambda: R.asam(sf.gd(lr=0.1), lr=0.1, rho=0.1), ValueError, "asam: give a base rule or lr"),
        (lambda: R.asam(NOISY, rho=0.1), ValueError, "asam of rule .*noise already"),
        (lambda: R.asam(3, rho=0.1), TypeError, "base=3: give a rule"),
        (lambda: R.asam(R.usam(lr=0.1, rho=0.1), rho=0.1), ValueError, "that has a parameter 'rho' already"),
        (lambda: R.looksam(lr=0.1, rho=0.1, every=0), ValueError, "every=0: give at least 1"),
        (lambda: R.multistep_sam(lr=0.1, rho=0.1, steps=1000), ValueError, "steps=1000: give at most 100"),
        (lambda: R.adam(lr=0.1, beta1=1.0), ValueError, "beta1=1.0: give values below 1"),
        (lambda: R.adam(lr=-0.1), ValueError, "lr=-0.1: give values above 0"),
        (lambda: R.clipped(sf.gd(lr=0.1)), ValueError, "norm=None, value=None: give one of them"),
        (lambda: R.clipped(sf.gd(lr=0.1), norm=0.0), ValueError, "norm=0.0: give values above 0"),
        (lambda: R.decayed(R.adamw(lr=0.1), weight_decay=0.1), ValueError, "weight decay already"),
        (lambda: R.decayed(sf.gd(lr=0.1), weight_decay=0.1, decoupled="no"), TypeError, "decoupled='no': give True or False"),
        (lambda: sf.sam(rho=0.1), TypeError, "sam: base=None, lr=None: give one of them"),
        (lambda: sf.sam(R.adam(lr=0.1), lr=0.1, rho=0.1), ValueError, "give one of them"),
        (lambda: sf.sam(R.adam(lr=0.1), rho=0.1, momentum=0.9), ValueError, "momentum and dampening are the base's"),
        (lambda: sf.sam(NOISY, rho=0.1), ValueError, "sam of rule .*noise already"),
        (lambda: sf.sam(lr=0.1, rho=0.1, mask=[1.0, 0.0]), TypeError, r"mask=\[1.0, 0.0\]: give a number for each"),
    ],
)
def test_mistakes(make, error, pattern):
    with pytest.raises(error, match=pattern):
        make()
