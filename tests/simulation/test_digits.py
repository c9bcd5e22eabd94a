"""Statistics keep their digits wherever the paths are: far from 0, from their start, from each other.

What is compared with: the same numbers in extended precision (mpmath is not needed: numpy.longdouble holds 64 bits).
"""

import warnings

import numpy as np
import pytest
from subject import digest

import samfast as sf
from samfast.backends import central as blocks
from samfast.backends import cpu, cuda
from samfast.simulation.prepare import prepared_job

RNG = np.random.default_rng(1)


@sf.loss(dim=1, centre=0.0)
def well(w, p):
    return 0.5 * (w[0] - p.centre) ** 2


def precise(values):
    """(mean, variance, fourth central moment) of (*settings, time, path, feature)."""
    first = values[..., -1:, :].astype(np.longdouble)
    x = values.astype(np.longdouble) - first  # exact
    mean = x.mean(-2, keepdims=True)
    return (first + mean)[..., 0, :], ((x - mean) ** 2).sum(-2) / (x.shape[-2] - 1), ((x - mean) ** 4).mean(-2)


def right(run, rtol=1e-9):
    mean, var, fourth = precise(run.values)
    np.testing.assert_allclose(run.mean, mean.astype(float), rtol=3e-16, atol=3e-16 * abs(run.values).max())
    np.testing.assert_allclose(run.var, var.astype(float), rtol=rtol)
    np.testing.assert_allclose(run.std_error, np.sqrt(var / run.values.shape[-2]).astype(float), rtol=rtol)
    np.testing.assert_allclose(run.central(4), fourth.astype(float), rtol=rtol)


STARTS = 1e6 + 1e-4 * RNG.standard_normal((700, 1))
CASES = {
    "far from 0": STARTS,
    "path 0 starts elsewhere": np.concatenate([[[1e6 + 1.0]], STARTS]),
    "path 0 starts at 0": np.concatenate([[[0.0]], STARTS]),
    "another path starts at 0": np.concatenate([STARTS, [[0.0]], STARTS]),
    "two heaps": np.concatenate([STARTS, -STARTS]),
}


@pytest.mark.parametrize("start", CASES.values(), ids=CASES)
def test_a_narrow_spread_far_away(start):
    """The shift was the start of path 0: its standard error was wrong by factors, its kurtosis by 1e8."""
    right(sf.simulate(well, sf.gd(lr=1e-6), start, record=[0, 1, 40], values=True, moments=4))


def test_far_from_the_start_at_later_times():
    """A start at 0 and a well at 1e8: the standard error was 24,810 times the true one."""
    rule = sf.noisy(sf.gd(lr=0.5), sigma=1e-4)
    run = sf.simulate(well.replace(centre=1e8), rule, [0.0], record=[1, 10, 100], paths=3000, values=True, moments=4)
    right(run, 1e-9)


def test_a_loss_far_above_its_spread():
    """1e8 + w^2/2 with w of order 1e-2: 5000 spacings of float64 are left of the spread, and all of them count."""
    high = sf.loss(dim=1)(lambda w, p: 1e8 + 0.5 * w[0] ** 2)
    rule = sf.noisy(sf.gd(lr=0.1), sigma=0.1)
    run = sf.simulate(high, rule, [0.0], record=[10, 100], paths=3000, values=True, moments=4, observe=sf.observe.loss_value())
    right(run)


@pytest.mark.parametrize("paths", [1, 2, 255, 256, 257, 5 * 256 + 37])
def test_every_number_of_paths(paths):
    start = 1e6 + 1e-4 * RNG.standard_normal((paths, 1))
    run = sf.simulate(well, sf.gd(lr=1e-6), start, record=[0, 1], values=True, moments=4)
    if paths > 1:
        right(run)
    else:
        assert run.mean[0, 0] == start[0, 0] and np.isnan(run.var).all()


def test_cutting_and_going_on(monkeypatch):
    """Shards of any size, threads, a continuation: the same bits."""
    start = CASES["another path starts at 0"]
    call = dict(values=True, moments=4)
    whole = digest(sf.simulate(well, sf.noisy(sf.gd(lr=0.1), sigma=1e-4), start, record=[1, 3, 10], **call))
    for size in (256, 512):
        monkeypatch.setattr("samfast.simulation.job.Job.chunk", lambda self, steps, records, size=size: size)
        run = sf.simulate(well, sf.noisy(sf.gd(lr=0.1), sigma=1e-4), start, record=[1, 3], **call)
        assert digest(sf.resume(run, record=[10])) == whole


@pytest.mark.parametrize("dtype", ["mixed", "float32"])
def test_the_same_bits_as_the_text_in_python_and_for_a_gpu(dtype):
    """Two blocks of 256; in the first the first two paths diverge, in the second only the last ones are left."""
    start = 1000.0 + RNG.standard_normal((300, 1))
    start[[0, 1]], start[256:295] = 1e30, 1e30
    loss = sf.loss(dim=1)(lambda w, p: w[0] ** 4 / 4e6)
    parts = {}
    for device in ("cpu", "plain", "emulator"):
        job = prepared_job(loss, sf.gd(lr=0.1), start, dtype=dtype, device=device, moments=4)
        [shard] = job.shards(0, np.array([0, 1, 2, 3]), None)
        parts[device] = (cuda if device == "emulator" else cpu).run_shard(shard)
    for device in ("plain", "emulator"):
        for field in ("moments", "count", "diverged", "state"):
            np.testing.assert_array_equal(getattr(parts[device], field), getattr(parts["cpu"], field), f"{device}, {field}")
    assert parts["cpu"].count[0].tolist()[-1] == 259 and np.isfinite(parts["cpu"].moments).all()


def test_where_numbers_cannot_tell_there_is_none():
    """Positions whose spread is half the spacing of float64: nan and a warning, the mean stays; it was a number."""
    noise = 6e-9 * RNG.standard_normal((1000, 1))
    with pytest.warns(RuntimeWarning, match="std_error and var of w0 are nan, first of w0 at update 0; observe the difference"):
        run = sf.simulate(well, sf.gd(lr=1e-6), 1e8 + noise, record=[0], moments=4)
    assert run.mean[0, 0] == pytest.approx(1e8, rel=1e-15, abs=0)
    assert all(np.isnan(x).all() for x in (run.var, run.std_error, run.central(3), run.central(4)))


def test_equal_paths_have_no_spread():
    """A common start, or values that cannot differ: 0 is right, and nothing warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = sf.simulate(well, sf.gd(lr=0.1), [1e8 / 3], record=[0, 7], paths=3 * 256 + 5)
    assert (run.var == 0).all() and (run.std_error == 0).all() and run.mean[0, 0] == 1e8 / 3


def test_float32_is_judged_by_its_own_spacing():
    start = 1000.0 + 1e-5 * RNG.standard_normal((600, 1))
    with pytest.warns(RuntimeWarning, match="less than the spacing of float32 numbers: std_error and var of w0 are nan"):
        sf.simulate(well, sf.gd(lr=1e-9), start, record=[0], dtype="float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right(sf.simulate(well, sf.gd(lr=1e-9), start, record=[0], moments=4, values=True))


def test_pooling_blocks_is_the_moments_of_all():
    """Chan's formulas in one tree, blocks of any size with some empty: against the moments of all numbers at once."""
    counts = np.array([256, 0, 17, 256, 1, 0, 90])
    raw, everything = [], []
    for n in counts:
        x = 1e7 + RNG.exponential(1.0, n) * 10.0 ** RNG.integers(-3, 1)
        c = x[0] if n else 123.0
        raw.append([c, *(((x - c) ** m).sum() for m in (1, 2, 3, 4))])
        everything.append(x)
    found, n = blocks.pooled(blocks.central(np.array(raw)[:, None], counts), counts)
    x = np.concatenate(everything).astype(np.longdouble)
    d = x - x.mean()
    assert n == len(x)
    np.testing.assert_allclose(found[0, 0] + found[0, 1], float(x.mean()), rtol=3e-16)
    np.testing.assert_allclose(found[0, 2:], [float((d**m).sum()) for m in (2, 3, 4)], rtol=1e-10)
    sums, shift = blocks.about_the_mean(found, n, np.dtype(float))
    about = [float(((x - shift[0]) ** m).sum()) for m in (1, 2, 3, 4)]
    np.testing.assert_allclose(sums[0], about, rtol=1e-10, atol=1e-5 * abs(about[0]))
