"""What simulate gives: shapes, statistics, divergence, replay, resume, seeds; and that nothing is compiled twice."""

import io
import warnings
from dataclasses import replace

import numpy as np
import pytest
from subject import RULE, bowl, digest, far_out, simulate
from tolerance import relative

import samfast as sf
from samfast import arrays, cache
from samfast.simulation import arguments, prepare
from samfast.simulation.job import check_size

PER_PATH = [sf.per_path(np.linspace(0.01, 0.2, 200))]


def in_numpy(run, values=None):
    """(mean, unbiased variance, third and fourth central moment) of the stored values, over the paths."""
    x = run.values if values is None else values
    mean = x.mean(-2, keepdims=True)
    d = x - mean
    return mean[..., 0, :], (d**2).sum(-2) / (x.shape[-2] - 1), (d**3).mean(-2), (d**4).mean(-2)


def close(a, b, scale=None):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * np.abs(b if scale is None else scale).max())


@pytest.mark.parametrize("params", [{}, {"lr": [0.05, 0.1, 0.2]}, {"lr": PER_PATH[0]}], ids=["one", "sweep", "per_path"])
def test_statistics_are_those_of_the_values(params):
    run = simulate(**params)
    mean, var, third, fourth = in_numpy(run)
    close(run.mean, mean)
    close(run.var, var)
    close(run.std_error, np.sqrt(var / 200))
    close(run.central(2), var * 199 / 200)
    close(run.central(3), third, var.max() ** 1.5)
    close(run.central(4), fourth, ((run.values - run.shift[..., None, :]) ** 4).mean(-2))  # about the shift: cancels
    close(run["w1"], mean[..., 1])
    assert (run.count == 200).all() and run.count.shape == (*run.sweep, 3)
    assert np.array_equal(run.values[..., -1, :, :], run.final())
    assert run.final("v").shape == run.final().shape and run.final("v").std() > 0
    assert (var[..., 0, :] == 0).all() and (var[..., 1:, :] > 0).all()


@pytest.mark.parametrize("m", [1, 5, 2.5, 0])
def test_moments_that_there_are_not(m):
    with pytest.raises(ValueError, match=r"central\(.*\): give 2, 3 or 4"):
        simulate().central(m)


def test_what_was_not_recorded_is_named():
    run = simulate(options={"values": False, "state": False})
    assert run.values is None and run.state is None
    with pytest.raises(KeyError, match="'w7' was not recorded: this run has w0, w1"):
        run["w7"]
    with pytest.raises(ValueError, match="state: this run has none; give state=True"):
        run.final()
    with pytest.raises(KeyError, match="'m' is no state of this rule; it has w, v0"):
        simulate().final("m")


def test_third_moments_need_asking():
    run = replace(simulate(), sums=simulate().sums[..., :2])
    with pytest.raises(ValueError, match="moment 3 was not recorded: give moments=3"):
        run.central(3)


# --- sweeps -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_update_counts_may_be_times_over_lr(kind):
    """Such as 2.1/0.3, which is 7.000000000000001; what is off by more than a few roundings is no update count."""
    counts = np.array([0.3, 0.6, 0.9, 2.1, 2.7, 37.8], kind) / kind(0.3)
    assert (counts != np.rint(counts)).any()
    assert arguments.update_counts(counts, -1).tolist() == [1, 2, 3, 7, 9, 126]
    assert arguments.update_counts([2.0**53], -1).tolist() == [2**53]
    for wrong in (3 * (1 + 2e-15), 2.0**40 + 0.5, 0.5):
        with pytest.raises(ValueError, match=r"give update counts, whole numbers"):
            arguments.update_counts([wrong], -1)


def test_a_grid_by_broadcasting():
    lr, momentum = [[0.05], [0.1], [0.15]], [0, 0.3, 0.6, 0.9]
    run = simulate(lr=lr, momentum=momentum)
    assert run.sweep == (3, 4) and run.mean.shape == (3, 4, 3, 2) == run.var.shape == run.std_error.shape
    assert run["w0"].shape == (3, 4, 3) == run.count.shape
    assert run.values.shape == (3, 4, 3, 200, 2) and run.final().shape == (3, 4, 200, 2)
    for i, j in ((0, 0), (2, 1), (1, 3)):
        alone = simulate(lr=lr[i][0], momentum=momentum[j])
        assert np.array_equal(run.values[i, j], alone.values) and np.array_equal(run.sums[i, j], alone.sums)
        assert np.array_equal(run.final("v")[i, j], alone.final("v"))


@pytest.mark.parametrize(
    "k, sweep", [([[1.0, 0.5], [2.0, 0.0]], (2,)), ([[[1.0, 2.0]], [[3.0, 4.0]]], (2, 1)), ([2.0, 1.0], ())]
)
def test_a_parameter_of_each_coordinate(k, sweep):
    """Its last axis is the coordinates, the others sweep."""
    run = simulate(bowl.replace(k=k))
    assert run.sweep == sweep and run.mean.shape == (*sweep, 3, 2)
    for i in np.ndindex(sweep):
        assert np.array_equal(run.values[i], simulate(bowl.replace(k=np.array(k)[i])).values)


def test_a_vector_parameter_sweeps_against_a_number():
    run = simulate(bowl.replace(k=[[[1.0, 0.5]], [[2.0, 0.0]]]), lr=[0.05, 0.1, 0.2])
    assert run.sweep == (2, 3)
    assert np.array_equal(run.values[1, 2], simulate(bowl.replace(k=[2.0, 0.0]), lr=0.2).values)


def test_parameters_of_each_path():
    run = simulate(lr=PER_PATH[0])
    for path in (0, 77, 199):
        alone = simulate(lr=sf.per_path(np.full(200, PER_PATH[0].values[path])))
        assert np.array_equal(run.values[:, path], alone.values[:, path])
    assert not np.array_equal(run.values, alone.values)


def test_starts_of_each_path():
    starts = np.linspace([-1.0, 2.0], [3.0, 1.0], 200)
    run = simulate(start=starts, paths=None)
    assert run.paths == 200 and np.array_equal(run.values[0], starts)
    for path in (0, 150):
        assert np.array_equal(run.values[:, path], simulate(start=starts[path]).values[:, path])


def test_a_vector_sigma_may_become_a_number():
    rule = sf.noisy(sf.gd(lr=0.1, momentum=0.5), sigma=sf.vector([0.3, 0.3]))
    one, other = (prepare.plan(bowl, r, [1.0, 1.0]).params for r in (rule.replace(sigma=0.3), rule))
    assert np.array_equal(one, other)


def test_variances_far_from_zero_keep_their_digits():
    """Without a reference near the paths nothing would be left of a variance of 0.01 beside 1e6 squared."""
    run = simulate(bowl.replace(k=[0.0, 0.0]), [1e6, -1e6])
    mean, var, _, _ = in_numpy(run)
    assert 0.005 < var[-1, 0] < 0.2
    np.testing.assert_allclose(run.mean, mean, rtol=1e-15)
    x = run.values - [1e6, -1e6]  # exact
    np.testing.assert_allclose(run.var[1:], x[1:].var(-2, ddof=1), rtol=1e-12)


# --- sizes and times ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("paths", [1, 32, 33, 256, 257])
def test_any_number_of_paths(paths):
    many, run = simulate(paths=300), simulate(paths=paths)
    assert run.job.program.lanes == (1 if paths == 1 else 32 if paths <= 32 else 256)
    assert np.array_equal(run.values, many.values[:, :paths]) and (run.count == paths).all()
    close(run.mean, run.values.mean(1))
    assert np.isnan(run.var).all() if paths == 1 else np.isfinite(run.var).all()


def test_every_step():
    sparse = simulate(record=[0, 3, 17, 40])
    every = simulate(record=range(41))
    assert np.array_equal(every.values[sparse.record], sparse.values)
    assert np.array_equal(every.sums[sparse.record], sparse.sums) and np.array_equal(every.state, sparse.state)


@pytest.mark.parametrize("record", [40, [40], (40.0,), np.array([40]), np.float32([40]), range(40, 41)])
def test_ways_to_give_a_record(record):
    assert np.array_equal(simulate(record=record).values, simulate(record=[40]).values)


@pytest.mark.parametrize("dtype", ["float32", "mixed"])
def test_float32_counts_updates_up_to_2_24(dtype):
    """The last update that it can tell from its neighbours, and the next; what only asks whether it is the first is free."""
    counting = sf.observe.first(lambda s: s.w[0] > 1)
    late = sf.observe.several(counting, sf.Observer("late", lambda s: [sf.where(s.t > 2.0**24, 1.0, 0.0)], ("late",)))
    beyond = sf.Observer("t", lambda s: [sf.where(s.t > 2.0**24 + 2, 1.0, 0.0)], ("t",))
    by_count = sf.Rule("slower", lambda w, v, grad, p, z: (w - p.lr / (1 + p.step_count) * grad(w), v), {"lr": 0.1})
    heavy = sf.gd(lr=0.1, momentum=0.9, dampening=0.5, dampen_first=False)
    for rule, observe, who in (
        (sf.gd(lr=0.1), counting, "observer 'first'"),
        (sf.gd(lr=0.1), sf.observe.running_max(sf.Observer("time", lambda s: [2 * s.t], ("t",))), "observer 'max_time'"),
        (sf.gd(lr=0.1), beyond, "observer 't'"),
        (heavy, late, "observer 'first[+]late'"),
        (by_count, None, "rule 'slower'"),
        (heavy, sf.observe.msd(), ""),
    ):
        job = prepare.prepared_job(sf.losses.quadratic([1.0]), rule, [0.0], observe=observe, dtype=dtype, device="plain")
        check_size(job, np.array([2**24]))
        if who and dtype == "float32":
            with pytest.raises(ValueError, match=rf"^dtype='float32': record=16777217, and {who} counts updates exactly up to"):
                check_size(job, np.array([2**24 + 1]))
        else:
            check_size(job, np.array([2**24 + 1]))
    assert np.float32(2**24 + 1) == 2**24 and np.float64(2**24 + 1) != 2**24


# --- seeds --------------------------------------------------------------------------------------------------------------
def test_seeds():
    a, b, c = (simulate(options={"seed": s}) for s in (None, None, 0))
    assert a.seed != b.seed and not np.array_equal(a.values, b.values)
    assert max(a.seed, b.seed) >= 2**32  # of 64 bits; below it by chance once in 2**64
    assert digest(simulate(options={"seed": a.seed})) == digest(a)
    assert digest(c) == digest(simulate()) and c.seed == 0
    assert not np.array_equal(simulate(options={"seed": 2**32}).values, c.values)


# --- divergence ---------------------------------------------------------------------------------------------------------
QUARTIC = bowl.replace(a=1.0)
LOST = [3, 53, 103, 153]


def diverging(policy="mask", **options):
    return simulate(QUARTIC, far_out(200), record=(0, 2, 5, 40), options={"on_divergence": policy, **options})


def masked():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.DivergenceWarning)
        return diverging()


def test_paths_that_diverge_are_left_out_with_one_warning():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = diverging()
    (warning,) = caught
    assert warning.category is sf.DivergenceWarning and warning.filename.endswith("subject.py")
    text = str(warning.message)
    step = int(run.diverged[0, 2])
    assert text.startswith(f"4 of 200 paths diverged; the first is path 3, by step {step}.")
    assert "run.replay(3)" in text and "smaller lr" in text and "left out" in text
    assert run.diverged[:, :2].tolist() == [[0, p] for p in LOST] and set(run.diverged[:, 2]) <= {5, 40}
    left = np.delete(run.values, LOST, 1)
    assert run.count[-1] == 196 and np.isfinite(left).all() and not np.isfinite(run.values[-1, LOST]).any()
    mean, var, _, _ = in_numpy(run, left[-1:])
    close(run.mean[-1:], mean)
    close(run.var[-1:], var)
    assert "4 diverged" in repr(run)


def test_diverged_is_what_is_far_from_the_first_start():
    """The limit of 1e75 is a distance: of paths from 9e74 one that begins at -5e74 has diverged, one at 0 has not."""
    start = np.tile([9e74, 1.0], (20, 1))
    start[[3, 4], 0] = -5e74, 0.0
    with pytest.warns(sf.DivergenceWarning, match=r"^1 of 20 paths diverged; the first is path 3, by step 0"):
        run = simulate(start=start, record=[0], paths=20, options={"dtype": "float64"})
    assert (
        run.count.tolist() == [19] and run.diverged.tolist() == [[0, 3, 0]] and run["w0"][0] == relative(9e74 * 18 / 19, 1e-14)
    )


def test_divergence_by_configuration():
    with pytest.warns(
        sf.DivergenceWarning, match=r"8 of 400 paths diverged in 2 of 2 settings, most \(4\) for lr=0\.1; the first"
    ):
        run = simulate(QUARTIC, far_out(200), lr=[0.1, 0.15])
    assert run.diverged[:, :2].tolist() == [[c, p] for c in (0, 1) for p in LOST]


def test_divergence_as_an_error():
    with pytest.raises(FloatingPointError, match=r"4 of 200 paths diverged; the first is path 3, .*on_divergence='mask'"):
        diverging("raise")
    ok = simulate(record=[0, 2], options={"on_divergence": "raise"})
    with pytest.raises(FloatingPointError, match="smaller lr"):  # the policy goes on with the run
        sf.resume(simulate(QUARTIC, far_out(200), record=[0, 1], options={"on_divergence": "raise"}), record=[40])
    assert sf.resume(ok, record=[5]).count.tolist() == [200] * 3


def test_divergence_left_in():
    run = diverging("keep")
    assert (run.count == 200).all() and len(run.diverged) == 0 and not np.isfinite(run.mean[-1, 0])
    assert np.array_equal(run.values, masked().values, equal_nan=True)


def test_a_continuation_warns_of_what_is_new():
    with pytest.warns(sf.DivergenceWarning, match="1 of 200"):
        first = simulate(QUARTIC, far_out(200, every=200), record=[0, 40])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        later = sf.resume(first, record=[50])
    assert later.diverged.tolist() == first.diverged.tolist() and later.count.tolist() == [200, 199, 199]


# --- replay -------------------------------------------------------------------------------------------------------------
def test_replay_shows_a_path():
    run = masked()
    for path in (3, 4, 199):
        again = run.replay(path, record=run.record)
        assert np.array_equal(again.values[:, 0], run.values[:, path], equal_nan=True)
        assert again.dataset["path"].values.tolist() == [path]  # the number that it has in the run
    blown = run.replay(3)
    size = np.abs(blown.values[:, 0, 0])
    assert len(blown.record) == 41 and size[0] == 10 and not np.isfinite(size[-1])
    until = np.argmin(np.isfinite(size))
    assert 3 < until <= 40 and size[run.diverged[0, 2]] > 1e75 and (np.diff(size[2:until]) > 0).all() and size[until - 1] > 1e20
    assert np.array_equal(blown.replay(0).values, blown.values, equal_nan=True)


@pytest.mark.parametrize("params", [{"lr": PER_PATH[0]}, {"lr": [0.05, 0.2]}], ids=["per_path", "sweep"])
def test_replay_of_other_runs(params):
    run = simulate(**params)
    again = run.replay(131, record=[3, 40])
    assert np.array_equal(again.values[..., 0, :], run.values[..., 1:, 131, :]) and again.sweep == run.sweep


def test_replay_with_noise_of_its_own_for_each_setting():
    run = simulate(lr=[0.1, 0.1], options={"shared_noise": False})
    again = run.replay(131, record=run.record)
    assert np.array_equal(again.values[..., 0, :], run.values[..., 131, :])
    assert not np.array_equal(run.values[0], run.values[1])


# --- resume -------------------------------------------------------------------------------------------------------------
def test_resuming_joins_the_records():
    run = sf.resume(sf.resume(simulate(record=[0, 3]), record=17), record=[20, 40])
    assert run.record.tolist() == [0, 3, 17, 20, 40] and digest(run) == digest(simulate(record=[0, 3, 17, 20, 40]))


def test_resuming_from_the_start():
    assert digest(sf.resume(simulate(record=[0]), record=[3, 40])) == digest(simulate())


@pytest.mark.parametrize("params", [{"lr": PER_PATH[0]}, {"lr": [[0.05], [0.2]], "momentum": [0.1, 0.5]}])
def test_resuming_other_runs(params):
    assert digest(sf.resume(simulate(record=[0, 3], **params), record=[40])) == digest(simulate(**params))


# --- memory -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "options, what", [({}, "values"), ({"values": False}, "state"), ({"values": False, "state": False}, "sums")]
)
def test_memory_is_checked_before_it_is_taken(monkeypatch, options, what):
    monkeypatch.setattr("samfast.arrays.free_memory", lambda: 4e5)
    monkeypatch.setattr("samfast.simulation.prepare.run_shard", None)
    monkeypatch.setattr("samfast.simulation.run.execute", None)
    size = {"record": range(10**4)} if what == "sums" else {"paths": 10**6}
    with pytest.raises(MemoryError, match=rf"memory: this run needs .* GB for {what}.*0.0004 GB are free: record fewer"):
        simulate(options=options, **size)


def test_memory_of_a_continuation_and_a_replay(monkeypatch):
    run = simulate()
    monkeypatch.setattr("samfast.arrays.free_memory", lambda: 4e5)
    with pytest.raises(MemoryError, match="record fewer"):
        sf.resume(run, record=range(41, 10**4))
    with pytest.raises(MemoryError, match="record fewer"):
        run.replay(0, record=range(10**5))


def test_free_memory_is_in_bytes(monkeypatch):
    """The system tells it in units of 1024 bytes; where it does not tell, it is unknown."""
    for text, free in (("MemTotal: 9 kB\nMemAvailable:    2048 kB\n", 2048 * 1024.0), ("MemTotal: 9 kB\n", None)):
        monkeypatch.setattr("samfast.arrays.open", lambda *a, text=text, **k: io.StringIO(text), raising=False)
        assert arrays.free_memory() == free


def test_memory_unknown(monkeypatch):
    monkeypatch.setattr("samfast.arrays.free_memory", lambda: None)
    assert simulate().paths == 200


# --- compilation --------------------------------------------------------------------------------------------------------
def test_nothing_is_compiled_twice(monkeypatch):
    """Other sizes, starts, parameters, times, seeds, policies and numbers of settings: the same machine code."""
    alone, swept = simulate(), simulate(lr=[0.05, 0.1])
    modules = len(cache._modules)
    with monkeypatch.context() as patch:
        patch.setattr("samfast.compilers.native.object_file", None)
        simulate(paths=1000, start=[3.0, 4.0], record=[5, 6, 70])
        simulate(QUARTIC.replace(k=[3.0, 4.0]), lr=0.01, momentum=0.9, dampening=0.1, sigma=0.7)
        simulate(start=np.ones((50, 2)), paths=50, options={"seed": 5, "values": False, "state": False})
        simulate(lr=np.linspace(0.01, 0.1, 7), momentum=0.9, record=range(20), options={"seed": None, "on_divergence": "keep"})
        simulate(lr=[[0.01], [0.02]], sigma=[0.1, 0.2, 0.3])
        sf.resume(alone, record=[41, 50])
        swept.replay(3)
    assert len(cache._modules) == modules


def key(loss, rule=RULE, paths=200, **options):
    return cache.key(prepare.plan(loss, rule, [1.0, 1.0], paths=paths, **options).program)


def test_the_key_follows_the_value_of_the_program():
    """Not its source: what a closure, a helper or a literal holds is in the text."""

    def make(constant, helper=lambda x: x * x):
        @sf.loss(dim=2, a=1.0)
        def f(w, p):
            return p.a * constant * helper(w[0]) + w[1] ** 2

        return f

    base = key(make(3.0))
    assert key(make(3.0)) == base == key(make(6.0 / 2))
    assert key(make(3.0).replace(a=7.0)) == base == key(make(3.0), RULE.replace(lr=0.5, sigma=2.0))
    assert key(make(3.0), paths=33, seed=9) == base
    others = [
        key(make(3.5)),
        key(make(3.0, lambda x: x * x * x)),
        key(make(3.0), sf.noisy(sf.gd(lr=0.1), sigma=0.3)),
        key(make(3.0), observe=sf.observe.loss_value()),
        key(make(3.0), dtype="float32"),
        key(make(3.0), moments=3),
        key(make(3.0), paths=1),
        key(make(3.0), RULE.replace(lr=[0.1, 0.2])),
        key(make(3.0), RULE.replace(lr=sf.per_path(np.full(200, 0.1)))),
    ]
    assert base not in others and len(set(others)) == len(others)
    assert key(make(3.0), RULE.replace(lr=[0.1, 0.2])) == key(make(3.0), RULE.replace(lr=[0.1, 0.2, 0.3]))


def test_a_literal_changes_the_key():
    def make(source):
        space = {"sf": sf}
        exec(f"@sf.loss(dim=2)\ndef f(w, p):\n    return {source}", space)
        return space["f"]

    assert key(make("w[0]**2 + 2.0*w[1]**2")) == key(make("w[0]**2 + 2*w[1]*w[1]"))
    assert key(make("w[0]**2 + 2.0*w[1]**2")) != key(make("w[0]**2 + 2.0000000000000004*w[1]**2"))


def test_a_processor_without_fma_is_warned_of_once(monkeypatch):
    monkeypatch.setattr("samfast.simulation.prepare.processor", lambda: {"name": "old", "fma": False, "vector_bits": 128})
    prepare._warn_of_slow_processor.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="'old' has no fused multiply-add.*use another machine"):
            prepare._warn_of_slow_processor()
        prepare._warn_of_slow_processor()  # a second warning would be an error here
    finally:
        prepare._warn_of_slow_processor.cache_clear()
