"""Schedules against their formulas in NumPy, for parameters of rules, noise and losses, cut and resumed, on every driver."""

import math

import numpy as np
import plain
import pytest

import samfast as sf
from samfast import schedule as S
from samfast.backends import cpu, cuda
from samfast.simulation.prepare import prepared_job

BOWL = sf.losses.quadratic([1.0, 3.0])
n = np.arange(40)


def warmed(value, warmup, rest):
    return np.where(n < warmup, value * (n + 1) / max(warmup, 1), rest)


X = (np.minimum(n, 30) - 5) / 25
SCHEDULES = {
    "cosine": (S.cosine(0.1, steps=30, warmup=5, end=0.01), warmed(0.1, 5, 0.01 + 0.09 * (1 + np.cos(math.pi * X)) / 2)),
    "cosine without warmup": (S.cosine(0.1, steps=30), 0.05 * (1 + np.cos(math.pi * np.minimum(n, 30) / 30))),
    "linear": (S.linear(0.1, steps=30, warmup=5, end=0.01), warmed(0.1, 5, 0.1 - 0.09 * X)),
    "exponential": (S.exponential(0.1, factor=0.9), 0.1 * 0.9**n),
    "every": (S.step(0.1, every=7, factor=0.5), 0.1 * 0.5 ** (n // 7)),
    "at": (S.step(0.1, at=[3, 20]), 0.1 * np.where(n < 3, 1, np.where(n < 20, 0.1, 0.01))),
    "array": (S.array(0.1 / (1 + n[:25])), 0.1 / (1 + np.minimum(n, 24))),
    "of": (S.of(lambda k, p: p.base / sf.sqrt(1 + k), base=0.1), 0.1 / np.sqrt(1 + n)),
}


def descent(rates, w, curvature=(1.0, 3.0)):
    path = [np.array(w)]
    for rate in rates:
        path.append(path[-1] * (1 - rate * np.array(curvature)))
    return np.array(path)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_formula(name):
    """40 updates of gradient descent with a scheduled rate, one path by the driver for one path, 2 by that for many."""
    schedule, rates = SCHEDULES[name]
    wanted = descent(rates, [1.0, -0.5])
    for paths in (1, 2):
        seen = plain.values(BOWL, sf.gd(lr=schedule), [1.0, -0.5], range(41), paths=paths)
        np.testing.assert_allclose(seen[:, paths - 1], wanted, rtol=1e-13)


def test_the_sweep_of_a_schedule():
    """Numbers of a schedule and tables sweep, against other parameters too."""
    table = np.array([[0.1, 0.2], [0.05, 0.1]])[:, None]
    rule = sf.noisy(sf.gd(lr=S.array(table), momentum=S.linear([0.5, 0.9, 0.1], steps=4)), sigma=[0.1, 0.1, 0.0])
    run = sf.simulate(BOWL, rule, [1.0, 1.0], record=[7], paths=3, dtype="float64")
    assert run.sweep == (2, 3) and run.dataset.momentum_value.values.tolist() == [0.5, 0.9, 0.1]
    for i in range(2):
        for j, (start, sigma) in enumerate([(0.5, 0.1), (0.9, 0.1), (0.1, 0.0)]):
            one = sf.noisy(sf.gd(lr=S.array(table[i, 0]), momentum=S.linear(start, steps=4)), sigma=sigma)
            alone = sf.simulate(BOWL, one, [1.0, 1.0], record=[7], paths=3, dtype="float64")
            np.testing.assert_array_equal(run.final()[i, j], alone.final())


EVERYTHING = sf.noisy(
    sf.sam(lr=S.cosine(0.1, steps=20, warmup=3), rho=S.times("lr", 2.0), momentum=S.array([0.1, 0.9, 0.5])),
    sigma=S.step(0.3, every=4),
    minibatch="same",
)
TILTED = sf.loss(2, k=sf.vector([1.0, 3.0]), tilt=S.exponential(0.2, factor=0.8))(
    lambda w, p: 0.5 * sf.total(p.k * w * w) + p.tilt * w[0]
)


@pytest.mark.parametrize("cut", [1, 4, 11])
def test_cut_and_resumed(cut):
    options = {"paths": 5, "values": True, "observe": sf.observe.loss_value()}
    whole = sf.simulate(TILTED, EVERYTHING, [1.0, 1.0], record=[cut, 25], **options)
    two = sf.resume(sf.simulate(TILTED, EVERYTHING, [1.0, 1.0], record=[cut], **options), record=[25])
    np.testing.assert_array_equal(whole.values, two.values)
    np.testing.assert_array_equal(whole.state, two.state)


def part(loss, rule, dim, device, record=(0, 3, 6), **options):
    job = prepared_job(loss, rule, np.full(dim, 0.5), paths=3, device=device, values=True, **options)
    [shard] = job.shards(0, np.asarray(record), None)
    return (cuda if device == "emulator" else cpu).run_shard(shard)


def test_rule_noise_and_loss_against_a_loop():
    """All four parameters are scheduled; the noise of the loop is that of a walk with the same random numbers."""
    walk = sf.noisy(sf.gd(lr=1.0), sigma=1.0)
    flat = sf.loss(2)(lambda w, p: 0.0 * w[0])
    z = -np.diff(plain.values(flat, walk, [0.0, 0.0], range(26)), axis=0)[:, 0]
    seen = plain.values(
        TILTED, EVERYTHING, [1.0, 1.0], range(26), observe=sf.observe.several(sf.observe.position(), sf.observe.loss_value())
    )[:, 0]
    w, m = np.array([1.0, 1.0]), np.zeros(2)
    k = np.array([1.0, 3.0])
    for i in range(26):
        tilt = 0.2 * 0.8**i
        np.testing.assert_allclose(seen[i], [*w, 0.5 * k @ (w * w) + tilt * w[0]], rtol=1e-7)
        if i == 25:
            break
        lr = 0.1 * (i + 1) / 3 if i < 3 else 0.05 * (1 + math.cos(math.pi * (min(i, 20) - 3) / 17))
        xi = 0.3 * 0.1 ** (i // 4) * z[i]
        g = k * w + [tilt, 0] + xi
        g = k * (w + 2 * lr * g) + [tilt, 0] + xi
        m = [0.1, 0.9, 0.5][min(i, 2)] * m + g
        w = w - lr * m


@pytest.mark.parametrize("dim", [2, 12], ids=["narrow", "wide"])
def test_every_device(dim):
    loss = sf.losses.quadratic(np.linspace(1.0, 3.0, dim))
    rule = EVERYTHING.replace(rho=[0.1, 0.2])
    parts = [part(loss, rule, dim, device) for device in ("cpu", "plain", "emulator")]
    for other in parts[1:]:
        np.testing.assert_array_equal(parts[0].values, other.values)
        np.testing.assert_array_equal(parts[0].state, other.state)


def test_long_steps_in_passes():
    """A step that is cut into several loops reads its table in each."""
    loss = sf.loss(2)(lambda w, p: sf.tanh(w[0] * w[1]) ** 2 + sf.exp(-(w[0] ** 2)) * sf.sin(w[1]) + sf.log(1 + w[0] ** 2))
    rule = sf.sam(lr=S.array(0.1 / (1 + n)), rho=0.1, normalize=True)
    parts = [part(loss, rule, 2, device) for device in ("cpu", "plain")]
    np.testing.assert_array_equal(parts[0].values, parts[1].values)


def test_a_stopped_path_keeps_what_was_scheduled():
    """The loss is seen as it was at the stop; with an array it could not be, and that is said."""
    options = {"observe": sf.observe.loss_value(), "stop": lambda s: s.t >= 5}
    run = sf.simulate(TILTED, sf.gd(lr=0.1), [1.0, 1.0], record=[5, 9], **options)
    assert run.mean[0] == run.mean[1]
    loss = TILTED.replace(tilt=S.array([0.1, 0.2]))
    with pytest.raises(sf.TraceError, match=r"stop: what observer 'loss' records depends on .*schedule\.array"):
        sf.simulate(loss, sf.gd(lr=0.1), [1.0, 1.0], record=[9], **options)


@pytest.mark.parametrize(
    "make, error, pattern",
    [
        (lambda: sf.gd(lr=S.cosine(-0.1, steps=10)), ValueError, "lr: value=-0.1: give values of at least 0"),
        (lambda: sf.sam(lr=0.1, rho=S.array([0.1, -0.1])), ValueError, "rho: array=.*give values of at least 0"),
        (lambda: sf.gd(lr=0.1, momentum=S.linear(1.0, steps=3)), ValueError, "momentum: value=1.0: give values below 1"),
        (lambda: S.cosine(0.1, steps=0), ValueError, "schedule.cosine: steps=0: give values of at least 1"),
        (lambda: S.cosine(0.1, steps=5, warmup=5), ValueError, "give more steps than warmup"),
        (lambda: S.cosine(0.1, steps=1.5), ValueError, "steps=1.5: give whole numbers"),
        (lambda: S.step(0.1), ValueError, "every=None, at=None: give one of them"),
        (lambda: S.exponential(0.1, factor=0.0), ValueError, "factor=0.0: give values above 0"),
        (lambda: S.array(0.1), ValueError, "array.0.1.: give one value for each update"),
        (lambda: S.linear("a", steps=3), TypeError, "schedule.linear: value='a': give a number"),
        (lambda: S.of(3), TypeError, "function=3: give a function"),
        (lambda: sf.msd(lr=S.linear(0.1, steps=3)), ValueError, "lr=schedule.linear.*exact values .* not known for schedules"),
        (lambda: sf.Flow(BOWL, sf.gd(lr=S.linear(0.1, steps=3))), ValueError, "lr=.*a flow has no updates"),
        (lambda: run_of(sf.gd(lr=S.times("rate", 2.0))), sf.TraceError, "p.rate: .*no parameter 'rate'"),
        (lambda: run_of(sf.gd(lr=S.of(lambda k, p: None))), sf.TraceError, "schedule.of: the function returned None"),
        (lambda: run_of(sf.rule("r", lambda w, g, p: g(w), lr=S.linear(0.1, steps=3), lr_value=1.0)), ValueError, "rename"),
    ],
)
def test_mistakes(make, error, pattern):
    with pytest.raises(error, match=pattern):
        make()


def run_of(rule):
    return sf.simulate(BOWL, rule, [1.0, 1.0], record=[1])
