"""simulate(stop=...): a path stays where its condition first held, whatever cuts the run, and costs nothing from then on."""

import numpy as np
import pytest

import samfast as sf
from samfast import observe as O
from samfast.backends import cpu
from samfast.simulation.prepare import prepared_job

SADDLE = sf.losses.quadratic([-1.0, 1.0])
RULE = sf.noisy(sf.gd(lr=0.1, momentum=0.5), sigma=0.3)
OUT = O.exit_time(radius=0.5)
STEPS = 40


def values(record, paths=6, loss=SADDLE, rule=RULE, start=(0.0, 0.0), device="plain", **options):
    """(time, feature, path) and the shard's part; paths=1 takes the driver for one path."""
    job = prepared_job(
        loss, rule, np.asarray(start, float), paths=paths, device=device, values=True, dtype="float64", **options
    )
    [shard] = job.shards(0, np.asarray(record), None)
    part = cpu.run_shard(shard)
    return part.values[0], part


def frozen(path, outside):
    """Positions (time, dim, path) that stay where outside(w) first holds, and the times (path,) when, -1 for never."""
    flags = np.stack([outside(w) for w in path])
    stops = np.where(flags.any(0), flags.argmax(0), -1)
    at = np.minimum(np.arange(len(path))[:, None], np.where(stops < 0, len(path), stops))
    return np.take_along_axis(path, at[:, None], 0), stops


@pytest.mark.parametrize("paths", [6, 1])
@pytest.mark.parametrize("dim", [2, 12], ids=["narrow", "wide"])
def test_a_path_stays_where_the_condition_first_held(dim, paths):
    """Against the run without stop=, frozen by NumPy. What is seen at a record is that of the stop: position, loss, time."""
    loss, start = sf.losses.quadratic([-1.0, *[1.0] * (dim - 1)]), np.full(dim, 0.01)
    options = {"loss": loss, "start": start, "paths": paths}
    path, _ = values(range(STEPS + 1), **options)
    wanted, stops = frozen(path, lambda w: (w * w).sum(0) > 0.5)
    counter = O.Observer("t", lambda s: [s.t], ("t",))
    seen = O.several(O.position(), O.loss_value(), counter, O.running_max(O.loss_value()), O.stop_time())
    record = [0, 1, 5, 12, STEPS]
    found, part = values(record, **options, observe=seen, stop=lambda s: sf.dot(s.w, s.w) > 0.5)
    np.testing.assert_array_equal(found[:, :dim], wanted[record])
    np.testing.assert_array_equal(found[:, dim], [loss.value(w.T) for w in wanted[record]])
    until = np.where(stops < 0, STEPS, stops)
    np.testing.assert_array_equal(found[:, dim + 1], np.minimum(np.array(record)[:, None], until))
    largest = [[loss.value(wanted[: n + 1, :, i]).max() for i in range(paths)] for n in record]
    np.testing.assert_array_equal(found[:, dim + 2], largest)
    np.testing.assert_array_equal(found[:, dim + 3], [np.where((stops >= 0) & (stops <= n), stops, -1) for n in record])
    np.testing.assert_array_equal(part.state[0, -1], stops, "the mark of a stop is the last row of the state")
    assert (stops > 5).any() and (paths == 1 or len(set(stops)) > 2)


@pytest.mark.parametrize("paths, dim", [(1, 1), (300, 1), (3, 12)])
def test_what_has_stopped_costs_nothing_and_cannot_overflow(paths, dim):
    """10^15 updates of w' = 1.1 w would take years, and overflow within 8,000."""
    start = np.zeros((paths, dim))
    start[:, 0] = np.linspace(0.5, 0.7, paths)
    loss, record = sf.losses.quadratic([-1.0] * dim), [0, 10, 10**6, 10**15]
    run = sf.simulate(loss, sf.gd(lr=0.1), start, record=record, values=True, stop=lambda s: s.t + sf.norm(s.w) > 8.5)
    np.testing.assert_allclose(run.final()[:, 0], start[:, 0] * 1.1**8, rtol=1e-12)
    assert (run.stopped == 8).all() and run.count.tolist() == [paths] * 4
    np.testing.assert_array_equal(run.values[1], run.values[3])


def test_a_setting_that_goes_on_holds_nobody_up():
    """Settings of a sweep share the noise and stop at different times; each has the bits that it has alone."""
    rule = RULE.replace(sigma=[0.0, 0.3, 0.1])
    run = sf.simulate(SADDLE, rule, [0.0, 1.0], record=[0, 3, 50], paths=5, values=True, stop=lambda s: s.w[1] < 0.5)
    alone = sf.simulate(SADDLE, rule.replace(sigma=0.3), [0.0, 1.0], record=[50], paths=5, stop=lambda s: s.w[1] < 0.5)
    np.testing.assert_array_equal(run.final()[1], alone.final())
    assert len(set(run.stopped[0])) == 1 and run.stopped.shape == (3, 5) and run.stopped[0, 0] > 3


@pytest.mark.parametrize("cut", [1, 7, 23])
def test_going_on_and_replaying(cut):
    observe = O.several(O.position(), O.stop_time())
    options = {"observe": observe, "paths": 9, "stop": OUT, "values": True}
    whole = sf.simulate(SADDLE, RULE, [0.0, 0.0], record=[cut, STEPS], **options)
    two = sf.resume(sf.simulate(SADDLE, RULE, [0.0, 0.0], record=[cut], **options), record=[STEPS])
    for name in ("sums", "values", "state"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(two, name))
    again = whole.replay(4, [cut, STEPS])
    np.testing.assert_array_equal(again.values[:, 0], whole.values[:, 4])
    more = sf.simulate(SADDLE, RULE, [0.0, 0.0], record=[cut, STEPS], **{**options, "seed": 1})
    np.testing.assert_array_equal(whole.merge(more).stopped, np.concatenate([whole.stopped, more.stopped]))


def test_observers_that_are_settled_stop_the_path():
    """The exit that is observed may stop the path too; with several the last one does, and other observers may look on."""
    plainly = sf.simulate(SADDLE, RULE, [0.0, 0.0], record=[STEPS], observe=OUT, paths=6, values=True)
    late = O.first(lambda s: s.w[0] * s.w[0] > 0.49, name="late")
    for observe, stop in ((OUT, OUT), (O.several(O.msd(), OUT), OUT), (OUT, O.several(late, OUT))):
        run = sf.simulate(SADDLE, RULE, [0.0, 0.0], record=[STEPS], observe=observe, stop=stop, paths=6, values=True)
        np.testing.assert_array_equal(run.values[..., run.index("exit_time")], plainly.values[..., 0])
        assert (run.stopped[run.stopped >= 0] >= run.values[-1, run.stopped >= 0, -1]).all()
    assert (run.stopped != run.values[-1, :, 0]).any(), "stopped at the later of both"


def test_a_stopped_path_raises_no_alarm():
    """It stays on a critical point, where the normalised step that it no longer takes is undefined."""
    rule = sf.sam(lr=0.1, rho=0.1, normalize=True, at_critical="raise")
    run = sf.simulate(SADDLE, rule, [0.0, 0.0], record=[3], stop=lambda s: s.t >= 0)
    assert run.final().tolist() == [[0.0, 0.0]] and run.stopped.tolist() == [0]
    with pytest.raises(sf.CriticalPointError):
        sf.simulate(SADDLE, rule, [0.0, 0.0], record=[3], stop=lambda s: s.t >= 1)


def test_conditions_are_joined():
    def both(s):
        return (s.w[0] > 0.2) & (s.t >= 3) | ~(s.w[1] < 2)

    run = sf.simulate(SADDLE, sf.gd(lr=0.1), [[0.3, 0.0], [0.01, 0.0], [0.0, 2.5]], record=[5], stop=both)
    assert run.stopped.tolist() == [3, -1, 0]


@pytest.mark.parametrize(
    "stop, error, pattern",
    [
        (3, TypeError, "stop=3: give a condition, e.g."),
        (dict, TypeError, "stop=.*dict.*: give a condition"),
        (O.msd(), TypeError, "stop=Observer.msd.*knows when it is settled, such as"),
        (lambda s: 1.0, sf.TraceError, "stop: it returned 1.0, which is no comparison"),
        (lambda s: s.w > 1, sf.TraceError, "stop: it returned .*no comparison of numbers"),
        (lambda s: (s.w[0] > 1) & 3, sf.TraceError, "join comparisons such as"),
        (lambda s: s.w[0] > 1 and s.w[1] > 1, sf.TraceError, "join comparisons by &"),
        (O.exit_time(radius=2.0), ValueError, "disagree about parameter 'radius'"),
    ],
)
def test_mistakes(stop, error, pattern):
    with pytest.raises(error, match=pattern):
        sf.simulate(SADDLE, RULE, [0.0, 0.0], record=[1], observe=OUT, stop=stop)


def test_mistakes_of_a_run_without_stop():
    with pytest.raises(sf.TraceError, match="stop_time: this run has no stop="):
        sf.simulate(SADDLE, RULE, [0.0, 0.0], record=[1], observe=O.stop_time())
    run = sf.simulate(SADDLE, sf.gd(lr=0.1), [0.0, 0.0], record=[0])
    with pytest.raises(ValueError, match="stopped: this run had no stop="):
        _ = run.stopped
    with pytest.raises(ValueError, match="2\\*\\*24"):
        sf.simulate(SADDLE, RULE, [0.0, 0.0], record=[2**25], dtype="float32", stop=lambda s: s.w[0] > 1)
