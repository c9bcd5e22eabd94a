"""Runs put together: the paths of two runs of one experiment, and everything that must not be added up."""

import re

import numpy as np
import pytest

import samfast as sf
from samfast import stats

BOWL = sf.losses.quadratic([1.0])


def run(lr=0.1, seed=0, record=(10,), paths=300, sigma=1.0, loss=BOWL, start=(0.0,), **options):
    rule = sf.noisy(sf.gd(lr=lr), sigma=sigma)
    return sf.simulate(loss, rule, start, record=list(record), paths=paths, seed=seed, **options)


FIRST = {}


def first():
    """One run for all tests, when it is first needed."""
    return FIRST.setdefault("run", run(record=(0, 10), values=True))


def test_two_seeds_are_one_run_of_all_their_paths():
    a, b = first(), run(record=(0, 10), values=True, seed=1, paths=500)
    both = a.merge(b)
    values = np.concatenate([a.values, b.values], 1)
    assert both.paths == 800 and both.count.tolist() == [800, 800] and both.seeds == (0, 1)
    np.testing.assert_array_equal(both.values, values)
    np.testing.assert_allclose(both.mean, values.mean(1), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(both.std_error[1], values[1].std(0, ddof=1) / np.sqrt(800), rtol=1e-12)
    np.testing.assert_array_equal(both.final(), np.concatenate([a.final(), b.final()]))
    assert "800 paths" in repr(both) and "seed 0, 1" in repr(both) and both.dataset.attrs["seed"] == "0, 1"
    np.testing.assert_array_equal(both.replay(303, [10]).values[0, 0], b.values[1, 3])
    with pytest.raises(ValueError, match=r"path=800: choose one of this run's paths, 0 to 799"):
        both.replay(800)


def test_a_merged_run_goes_on():
    a, b = first(), run(record=(0, 10), values=True, seed=1, paths=500)
    longer, expected = sf.resume(a.merge(b), record=[20]), sf.resume(a, record=[20]).merge(sf.resume(b, record=[20]))
    for name in ("sums", "count", "values", "state", "record"):
        np.testing.assert_array_equal(getattr(longer, name), getattr(expected, name))


def test_three_runs_and_a_repeat():
    a, b, c = (run(seed=s) for s in (0, 1, 2))
    whole = a.merge(b).merge(c)
    assert whole.paths == 900 and whole.seeds == (0, 1, 2)
    for again in (a, b, c, a.merge(c)):
        with pytest.raises(ValueError, match=r"paths 0 to 299 of seed \d are in both records and would count twice"):
            whole.merge(again)


def test_diverged_paths_keep_their_numbers():
    loss = sf.losses.quadratic([-1.0])
    options = {"loss": loss, "lr": 1.0, "record": (400,), "sigma": 0.0, "paths": None}
    with pytest.warns(sf.DivergenceWarning):
        a, b = (run(start=[[0.0], [x]], seed=s, **options) for s, x in enumerate((1.0, -1.0)))
    both = a.merge(b)
    assert both.diverged[:, 1].tolist() == [1, 3] and both.count.tolist() == [2]
    np.testing.assert_array_equal(both.replay(3, [5]).values, b.replay(1, [5]).values)


WRONG = {
    "the same run": (lambda: first(), r"paths 0 to 299 of seed 0 are in both.*give runs with different seeds"),
    "its seed again": (lambda: run(record=(0, 10), paths=700), r"paths 0 to 299 of seed 0 are in both"),
    "another lr": (lambda: run(record=(0, 10), lr=0.5, seed=1), r"not of one experiment, they differ in parameters;"),
    "another sigma": (lambda: run(record=(0, 10), sigma=2.0, seed=1), r"differ in parameters;"),
    "other times": (lambda: run(record=(0, 20), seed=1), r"differ in record;"),
    "another start": (lambda: run(record=(0, 10), start=[1.0], seed=1), r"differ in start;"),
    "another rule": (
        lambda: sf.simulate(BOWL, sf.noisy(sf.sam(lr=0.1, rho=0.0), sigma=1.0), [0.0], record=[0, 10], paths=300, seed=1),
        r"differ in program",
    ),
    "more times": (lambda: run(record=(0, 10, 20), seed=1), r"shapes \(2, 1\) and \(3, 1\)|differ in record"),
    "a sweep": (lambda: run(record=(0, 10), lr=[0.1, 0.2], seed=1), r"shapes \(2, 1\) and \(2, 2, 1\)|differ in parameters"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_must_not_be_added(name):
    """By merge of a run, by + of moments, and by stats.merge."""
    make, pattern = WRONG[name]
    other = make()
    for add in (first().merge, lambda r: first().moments + r.moments, lambda r: stats.merge([first().moments, r.moments])):
        with pytest.raises(ValueError) as caught:
            add(other)
        assert re.search(pattern, str(caught.value)) and "\n" not in str(caught.value)


def test_the_number_of_paths_is_no_other_program():
    """One path, few and many have programs of their own for one experiment, narrow and wide, sweeps too."""
    for dim, lr in ((1, 0.1), (12, 0.1), (1, [0.1, 0.2])):
        options = {"loss": sf.losses.quadratic(np.ones(dim)), "lr": lr, "start": np.zeros(dim)}
        sources = [job(paths=n, seed=s, **options) for s, n in enumerate((1, 20, 1000))]
        total = sources[0] + sources[1] + sources[2]
        assert total.paths == (("seed 0", 0, 1), ("seed 1", 0, 20), ("seed 2", 0, 1000))


def job(loss, lr, start, paths, seed, **options):
    """What `merge` knows of a run, without running it."""
    from samfast.simulation.join import source
    from samfast.simulation.prepare import plan

    made = plan(loss, sf.noisy(sf.gd(lr=lr), sigma=1.0), start, paths=paths, seed=seed, **options)
    return source(made, np.array([10]), (), {})


def test_parts_of_one_seed_that_do_not_overlap():
    from dataclasses import replace

    from samfast.simulation.join import source

    job = first().job
    one, other = source(job, first().record, (), {}), source(replace(job, first_path=300), first().record, (), {})
    assert (one + other).paths == (("seed 0", 0, 300), ("seed 0", 300, 300))
    with pytest.raises(ValueError, match="paths 299 to 299 of seed 0"):
        _ = one + source(replace(job, first_path=299), first().record, (), {})


def test_without_noise_the_starts_tell_paths_apart():
    starts = np.linspace(-1, 1, 6)[:, None]
    a, b = (sf.simulate(BOWL, sf.gd(lr=0.1), x, record=[3], values=True) for x in (starts[:3], starts[3:]))
    np.testing.assert_allclose(a.merge(b).values[0], starts * 0.9**3, rtol=1e-15)
    with pytest.raises(ValueError, match=r"paths 0 to 2 of start .* without noise are in both"):
        a.merge(a)


@pytest.mark.parametrize("other", [None, 3, "run", [1], BOWL])
def test_merge_of_what_is_no_run(other):
    with pytest.raises(TypeError, match=r"other=.*: give a Run, the result of simulate"):
        first().merge(other)


def test_one_line_for_many_settings():
    """How many settings, the worst of them by its parameters, and where the counts are."""
    with pytest.warns(sf.DivergenceWarning) as caught:
        start = [[1e-3], [1.0], [1e70]]
        sf.simulate(
            sf.losses.quadratic([-1.0]), sf.sam(lr=np.linspace(0.01, 1, 50)[:, None], rho=[0.0, 0.5]), start, record=[100]
        )
    text = str(caught[0].message)
    assert re.match(
        r"\d+ of 300 paths diverged in \d+ of 100 settings, most \(\d\) for lr=0\.\d+, rho=0; the first is path", text
    )
    assert "run.count has how many are left" in text and len(text) < 300
