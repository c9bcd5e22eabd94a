"""samfast.stats against SciPy, exact arithmetic and textbook data.

Random tests have fixed seeds; |z| < 5 is a false alarm of 6e-7 each, other bounds are stated where they stand.
"""

import math
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import scipy.stats as sps
from scipy.special import ndtr
from tolerance import relative

import samfast as sf
from samfast import stats, theory

RNG = np.random.default_rng(7)
X = RNG.gamma(2.0, size=(3, 4, 501))


# moments -------------------------------------------------------------------------------------------------------------
def test_moments_are_those_of_scipy():
    m = stats.moments(X, 5)
    np.testing.assert_allclose(m.mean, X.mean(-1), rtol=1e-14)
    np.testing.assert_allclose(m.var, X.var(-1, ddof=1), rtol=1e-13)
    np.testing.assert_allclose(m.std_error, sps.sem(X, axis=-1), rtol=1e-13)
    for order in (2, 3, 4, 5):
        np.testing.assert_allclose(m.central(order), sps.moment(X, order, axis=-1), rtol=1e-11)
    assert m.count.dtype == np.int64 and (m.count == 501).all() and m.order == 5
    along = stats.moments(np.moveaxis(X, -1, 0), axis=0)
    np.testing.assert_array_equal(along.sums, stats.moments(X).sums)
    assert stats.moments([1.0, 2.0, 6.0]).mean == 3 and stats.moments(np.float32([1, 2, 6])).var == 7


def test_nothing_cancels():
    """A variance of 2**-40 about 2**20, to the last digits, whatever part of the paths came first."""
    x = 2.0**20 + 2.0**-20 * RNG.integers(-8, 9, 1000)
    exact = [Fraction(v) for v in x]
    mean = sum(exact) / 1000
    var = float(sum((v - mean) ** 2 for v in exact) / 999)
    assert stats.moments(x).var == relative(var, 1e-13)
    assert stats.moments(x, shift=2.0**20).var == relative(var, 1e-13)
    assert stats.moments(x, shift=0.0).var != relative(var, 0.1)  # what the shift is for


def test_other_shift_and_addition():
    a, b = stats.moments(X[..., :200], 4), stats.moments(X[..., 200:], 4)
    both, whole = a + b, stats.moments(X, 4)
    np.testing.assert_allclose(both.shift, X.mean(-1), rtol=1e-14)
    for order in (2, 3, 4):
        np.testing.assert_allclose(both.central(order), whole.central(order), rtol=1e-11)
    np.testing.assert_allclose(both.mean, whole.mean, rtol=1e-14)
    direct = stats.moments(X, 4, shift=0.25)
    np.testing.assert_allclose(whole.about(0.25).sums, direct.sums, rtol=1e-13)


def test_a_small_or_empty_part_that_lies_apart_takes_no_digits():
    """Three paths near 0, or none, are added to 1000 paths of variance 2**-40 about 2**20, in either order."""
    x = 2.0**20 + 2.0**-20 * RNG.integers(-8, 9, 1000)
    near, none, far = (stats.moments(v, 4) for v in ([0.0, 1.0, 3.0], [np.nan], x))
    assert none.count == 0
    for both in (none + far, far + none, stats.merge([none, none, far])):
        assert both.count == 1000 and both.var == relative(far.var, 1e-13)
        assert both.central(4) == relative(far.central(4), 1e-12)
    one = stats.moments([2.0**20 + 1.0], 4)  # 2**20 standard deviations from the others
    exact = [Fraction(v) for v in (2.0**20 + 1.0, *x)]
    for both in (one + far, far + one):
        for m in (2, 3, 4):
            mean = sum(exact) / 1001
            assert both.central(m) == relative(float(sum((v - mean) ** m for v in exact) / 1001), 1e-13)
    exact = [Fraction(v) for v in (0.0, 1.0, 3.0, *x)]
    mean = sum(exact) / 1003
    for both in (near + far, far + near):
        assert both.mean == relative(float(mean), 1e-15)
        assert both.var == relative(float(sum((v - mean) ** 2 for v in exact) / 1002), 1e-13)


def test_chunks_after_an_empty_one_keep_their_digits():
    """Against the variance of the whole numbers that the paths are made of; NumPy's of the paths is off by 1e-10."""
    k = np.random.default_rng(11).integers(-8, 9, 1000)
    x = 2.0**20 + 2.0**-20 * k
    assert stats.accumulate([[np.nan], x[:300], x[300:]]).var == relative(2.0**-40 * np.var(k, ddof=1), 1e-12)
    settings = stats.accumulate([[[np.nan], [0.5]], np.stack([x, x]), np.stack([x, x])])
    assert settings.var[0] == relative(2.0**-40 * np.var(k) * 2000 / 1999, 1e-12)


def test_bits_do_not_depend_on_the_cuts(monkeypatch):
    """Chunks of 2^m paths, blocks of any size, any order of arrival."""
    x = RNG.standard_normal((2, 1000)) * 10.0 ** RNG.integers(-8, 8, (2, 1000))
    whole = stats.moments(x, 3, shift=0.1)
    for m in range(11):
        step = 2**m
        parts = {i: stats.moments(x[:, i * step : (i + 1) * step], 3, shift=0.1) for i in reversed(range(-(-1000 // step)))}
        found = stats.merge(parts)
        np.testing.assert_array_equal(found.sums, whole.sums)
        np.testing.assert_array_equal(found.count, whole.count)
        np.testing.assert_array_equal(stats.merge(parts[i] for i in range(len(parts))).sums, whole.sums)
    for size in (8, 20, 32, 44, 100, 10**4):  # blocks of 1, 3, 5, 7, 16 paths and of all, cut to powers of two
        monkeypatch.setattr("samfast.stats.blocks.ELEMENTS", size)
        np.testing.assert_array_equal(stats.moments(x, 3, shift=0.1).sums, whole.sums)
    naive = ((x - 0.1) ** 3).cumsum(-1)[:, -1]
    assert (naive != whole.sums[..., 2]).any()  # another order gives other bits


def test_the_tree_is_that_of_the_engine():
    from samfast.arrays import tree

    parts = list(RNG.standard_normal((37, 5)) * 10.0 ** RNG.integers(-9, 9, (37, 5)))
    for n in range(1, 38):
        assert (stats.merge(parts[:n]) == tree(np.stack(parts[:n]), np)).all()


def test_accumulate():
    chunks = np.split(X[..., :500], 5, -1)
    m = stats.accumulate((c for c in chunks), 4)
    np.testing.assert_allclose(m.mean, X[..., :500].mean(-1), rtol=1e-14)
    np.testing.assert_allclose(m.central(4), sps.moment(X[..., :500], 4, axis=-1), rtol=1e-11)
    assert (m.shift == stats.moments(chunks[0]).shift).all() and (m.count == 500).all()
    with pytest.raises(ValueError, match="there are no parts; give at least one"):
        stats.accumulate([])


def test_what_is_not_finite_is_left_out():
    x = X.copy()
    x[0, 0, :3], x[2, 3, :] = [np.nan, np.inf, -np.inf], np.nan
    m = stats.moments(x, 2)
    assert m.count[0, 0] == 498 and m.count[2, 3] == 0 and np.isnan(m.mean[2, 3])
    assert m.mean[0, 0] == relative(x[0, 0, 3:].mean(), 1e-14)
    assert m.var[0, 0] == relative(x[0, 0, 3:].var(ddof=1), 1e-13)
    q = stats.quantiles(x, [0.25, 0.5])
    np.testing.assert_allclose(q.value[0, 0], np.quantile(x[0, 0, 3:], [0.25, 0.5]), rtol=1e-14)
    assert np.isnan(q.value[2, 3]).all() and stats.histogram(x, [0.0, 1.0, 9.0]).count[0, 0] == 498
    assert stats.ks(x[0], lambda v: sps.gamma.cdf(v, 2)).pvalue[0] == relative(
        sps.kstest(x[0, 0, 3:], lambda v: sps.gamma.cdf(v, 2)).pvalue, 1e-9
    )


def test_the_example_of_the_reference():
    """It runs as it stands; its parts have the bits of the whole."""
    text = (Path(__file__).parents[2] / "docs" / "reference" / "statistics.md").read_text(encoding="utf-8")
    names = {"sf": sf}
    exec(text.split("```python")[1].split("```")[0], names)
    whole, w = stats.moments(names["w"], 4, shift=0.0), names["w"]
    assert w.shape == names["left"].shape == (2, 10_000) and (names["left"] == -1).any()
    np.testing.assert_array_equal(stats.merge(names["parts"]).sums, whole.sums)
    exact = theory.em_variance(400, curvature=theory.curvature(-1.0, rho=np.array([0.1, 0.5])), diffusion=0.01 / 128, dt=0.01)
    assert np.abs(stats.z_score(stats.msd(w[..., None]).mean, stats.msd(w[..., None]).std_error, exact)).max() < 5
    value = stats.survival(names["left"], times=[200, 300, 400], last=400).value
    assert (np.diff(value) < 0).all() and (value[1] > value[0])[1:].all()  # SAM stays longer


# a Run ---------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def run():
    rule = sf.diffusion(sf.sam(lr=0.05, rho=[0.1, 0.5]), sigma=0.3)
    return sf.simulate(
        sf.losses.quadratic([1.0, -0.5]), rule, [0.1, 0.2], record=[5, 20], paths=2000, moments=4, values=True, seed=5
    )


def test_the_moments_of_a_run(run):
    m = stats.moments(run, 4)
    for a, b in (
        (m.mean, run.mean),
        (m.var, run.var),
        (m.central(3), run.central(3)),
        (m.central(4), run.central(4)),
        (stats.standard_error(run), run.std_error),
    ):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-18)
    again = stats.moments(run.values, 4, axis=-2)
    np.testing.assert_allclose(again.mean, run.mean, rtol=1e-12)
    np.testing.assert_allclose(stats.standard_error(run, of="variance"), again.var_std_error, rtol=1e-9)
    with pytest.raises(ValueError, match=r"order=5: the run recorded 4 moments; give moments=5 to simulate"):
        stats.moments(run, 5)


def test_displacements_of_a_run(run):
    """|z| < 5 against the exact MSD of the recursion, and its standard error that of Gaussian paths."""
    found = stats.msd(run.final(), [0.1, 0.2])
    direct = ((run.final() - [0.1, 0.2]) ** 2).sum(-1)
    np.testing.assert_allclose(found.mean, direct.mean(-1), rtol=1e-13)
    np.testing.assert_allclose(found.std_error, sps.sem(direct, axis=-1), rtol=1e-12)
    kappa = theory.curvature(np.array([1.0, -0.5]), rho=np.array([[0.1], [0.5]]))
    exact = theory.em_msd(20, curvature=kappa, diffusion=0.05 * 0.09 / 2, dt=0.05, start=[0.1, 0.2]).sum(-1)
    assert (np.abs(stats.z_score(found.mean, found.std_error, exact)) < 5).all()
    assert (np.abs(stats.z_score(found.mean, found.std_error, 1.3 * exact)) > 5).all()  # a defect of 30 % is seen
    per_path = np.broadcast_to([0.1, 0.2], run.final().shape)
    np.testing.assert_array_equal(stats.msd(run.final(), per_path).sums, found.sums)


def test_covariance(run):
    w = run.final()
    np.testing.assert_allclose(stats.covariance(w), [np.cov(x.T) for x in w], rtol=1e-12, atol=1e-16)
    w = w.copy()
    w[0, 4, 1] = np.nan
    np.testing.assert_allclose(stats.covariance(w)[0], np.cov(np.delete(w[0], 4, 0).T), rtol=1e-12, atol=1e-16)


# errors --------------------------------------------------------------------------------------------------------------
def test_the_error_of_a_variance():
    """Of 20,000 samples of n = 60 normal numbers the mean square of the error is its exact expectation, |z| < 5.

    That is (3 (n-1)^2/n^2 - (n-3)(n+1)/(n-1)^2)/n, by the moments of m4 and s^4; it is 2/(n-1) but for terms of 1/n, which the
    spread of the variances themselves, known to 1 %, confirms. An error of 3 % of the standard error would be found.
    Var(s^2) of a fair coin of +-1 is exactly 2/(n(n-1)): (m4 - (n-3)/(n-1))/n with m4 = 1.
    """
    n, m = 60, stats.moments(np.random.default_rng(1).standard_normal((20_000, 60)), 4)
    square, exact = m.var_std_error**2, (3 * (n - 1) ** 2 / n**2 - (n - 3) * (n + 1) / (n - 1) ** 2) / n
    error = square.std() / np.sqrt(20_000)
    assert abs(square.mean() - exact) < 5 * error < 0.03 * exact
    assert m.var.var() == relative(2 / (n - 1), 0.05)
    coin = np.tile([-1.0, 1.0], 50)
    assert stats.standard_error(coin, of="variance") == relative(math.sqrt((1 - 97 / 99 * (100 / 99) ** 2) / 100), 1e-12)
    large = stats.standard_error(np.random.default_rng(2).standard_normal(10**6), of="variance")
    assert large == relative(math.sqrt(2e-6), 0.02)  # sqrt(Var m4)/(2 m4) is 0.3 %


def test_intervals_of_scipy():
    x = X[0]
    low, high = stats.mean_interval(x, confidence=0.9)
    want = sps.norm.interval(0.9, x.mean(-1), sps.sem(x, axis=-1))
    np.testing.assert_allclose([low, high], want, rtol=1e-12)
    low, high = stats.variance_interval(x, confidence=0.9)
    ends = 500 / sps.chi2.ppf([0.95, 0.05], 500)
    np.testing.assert_allclose([low, high], x.var(-1, ddof=1) * ends[:, None], rtol=1e-11)
    m = stats.moments(x)
    np.testing.assert_array_equal(stats.mean_interval(m), stats.mean_interval(x))


def test_the_chi_square_interval_covers():
    """4000 samples of 5 at 90 %: the share has standard deviation 0.5 %."""
    low, high = stats.variance_interval(np.random.default_rng(3).standard_normal((4000, 5)), confidence=0.9)
    assert abs(((low < 1) & (high > 1)).mean() - 0.9) < 5 * 0.0048


def test_common_random_numbers():
    """Y = X + Z/10: the pairs' variance is 1/100, that of independent runs 2.01; relative deviations below 2 %."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((2, 20_000))
    y = x + 0.3 + 0.1 * rng.standard_normal((2, 20_000))
    found = stats.paired_difference(x, y)
    np.testing.assert_allclose(found.mean, (x - y).mean(-1), rtol=1e-12)
    np.testing.assert_allclose(found.std_error, sps.sem(x - y, axis=-1), rtol=1e-12)
    assert (np.abs(stats.z_score(found.mean, found.std_error, -0.3)) < 5).all()
    np.testing.assert_allclose(found.gain, 201, rtol=0.1)
    np.testing.assert_allclose(found.gain, (x.var(-1) + y.var(-1)) / (x - y).var(-1), rtol=1e-10)
    x[0, 3], y[0, 5] = np.nan, np.inf
    keep = np.delete(np.arange(20_000), [3, 5])
    for a, b in zip(stats.paired_difference(x, y), stats.paired_difference(x[:, keep], y[:, keep]), strict=True):
        assert a[0] == relative(b[0], 1e-12)
    assert np.isnan(stats.paired_difference(x[1], x[1]).gain)


# distributions -------------------------------------------------------------------------------------------------------
def test_quantiles_of_numpy():
    p = [0.0, 0.013, 0.5, 0.9, 1.0]
    found = stats.quantiles(X, p)
    np.testing.assert_allclose(found.value, np.moveaxis(np.quantile(X, p, axis=-1), 0, -1), rtol=1e-13)
    assert found.value.shape == found.std_error.shape == (3, 4, 5)
    x = np.random.default_rng(5).standard_normal(10**6)
    want = np.sqrt([0.25, 0.09]) / sps.norm.pdf(sps.norm.ppf([0.5, 0.9])) / 1e3
    # the spacing of 600 ranks or more has a relative deviation of 1/sqrt(600); five of them
    np.testing.assert_allclose(stats.quantiles(x, [0.5, 0.9]).std_error, want, rtol=0.21)


def test_the_error_of_a_quantile_is_its_spread():
    """2000 samples of 400: the spread of the median is known to 1.6 %, the mean error is 2 % off at this size."""
    found = stats.quantiles(np.random.default_rng(6).standard_normal((2000, 400)), 0.5)
    assert found.std_error.mean() == relative(found.value.std(), 0.1)


def test_histogram_of_numpy():
    edges = [0.5, 1.0, 1.5, 4.0]
    x = X.copy()
    x[0, 0, :4] = edges
    h = stats.histogram(x, edges)
    for i in np.ndindex(3, 4):
        np.testing.assert_array_equal(h.counts[i], np.histogram(x[i], edges)[0])
        assert tuple(h.outside[i]) == ((x[i] < 0.5).sum(), (x[i] > 4).sum())
    assert (h.count == 501).all() and h.counts.dtype == np.int64
    share = h.counts / 501
    np.testing.assert_allclose(h.density, share / np.diff(edges), rtol=1e-14)
    np.testing.assert_allclose(h.std_error, np.sqrt(share * (1 - share) / 501) / np.diff(edges), rtol=1e-14)
    parts = stats.merge(stats.histogram(part, edges) for part in (x[..., :100], x[..., 100:]))
    np.testing.assert_array_equal(parts.counts, h.counts)
    np.testing.assert_array_equal(parts.outside, h.outside)
    with pytest.raises(ValueError, match="different ones; give both the same"):
        h + stats.histogram(x, [0.5, 1.0])


# escape --------------------------------------------------------------------------------------------------------------
def test_survival_of_scipy():
    """Random censoring and ties, against scipy.stats.ecdf and its log-log interval."""
    rng = np.random.default_rng(8)
    for paths in (1, 2, 40, 300):
        t, watch = rng.integers(0, 30, paths).astype(float), rng.integers(1, 40, paths).astype(float)
        left = t <= watch
        data = sps.CensoredData.right_censored(np.where(left, t, watch), ~left)
        want = sps.ecdf(data).sf
        at = np.arange(-1.0, 30)
        found = stats.survival(np.where(left, t, -1.0), at, last=watch, confidence=0.9)
        np.testing.assert_allclose(found.value, want.evaluate(at), rtol=1e-12, atol=1e-15)
        inside = (found.value > 1e-12) & (found.value < 1)
        if inside.any():
            with warnings.catch_warnings(action="ignore"):  # of SciPy where the function is 0 or 1
                ends = want.confidence_interval(0.9, method="log-log")
            np.testing.assert_allclose(found.low[inside], ends.low.evaluate(at)[inside], rtol=1e-9)
            np.testing.assert_allclose(found.high[inside], ends.high.evaluate(at)[inside], rtol=1e-9)


def test_survival_of_the_leukaemia_patients():
    """6-MP group of Freireich et al., Blood 21, 699 (1963), as in every textbook."""
    times = np.array([6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35], float)
    gone = np.array([1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0], bool)
    found = stats.survival(np.where(gone, times, -1), [6, 7, 10, 13, 16, 22, 23], last=times)
    np.testing.assert_allclose(found.value, [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], atol=5e-4)
    np.testing.assert_allclose(found.std_error, [0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346], atol=5e-5)


def test_survival_of_paths_that_are_all_watched_to_the_end():
    """Then it is the share that is left, with the binomial error; diverged paths count for nothing."""
    t = np.random.default_rng(9).exponential(size=(2, 3, 1000))
    found = stats.survival(np.where(t < 2, t, -1.0), [0.0, 0.5, 1.9], last=2.0)
    share = (t[..., None] > [0.0, 0.5, 1.9]).mean(-2)
    np.testing.assert_allclose(found.value, share, rtol=1e-12)
    np.testing.assert_allclose(found.std_error, np.sqrt(share * (1 - share) / 1000), rtol=1e-10, atol=1e-18)
    z = stats.z_score(found.value, found.std_error, np.exp([0.0, -0.5, -1.9]))
    assert np.abs(z[..., 1:]).max() < 5 and np.isnan(z[..., 0]).all()
    assert (found.low[..., 0] == 1).all() and (found.low[..., 1:] < found.value[..., 1:]).all()
    more = np.concatenate([np.where(t < 2, t, -1.0), np.full((2, 3, 50), np.nan)], -1)
    np.testing.assert_allclose(stats.survival(more, [0.5], last=2.0).value[..., 0], share[..., 1], rtol=1e-12)
    assert np.isnan(stats.survival([1.0, -1.0], [0.5]).value).all()  # the end of the watch is not known
    assert stats.survival([1.0, 3.0], [0.5, 1.0, 3.0]).value.tolist() == [1, 0.5, 0]


# comparison ----------------------------------------------------------------------------------------------------------
def test_chi_square_of_scipy():
    x, edges = np.random.default_rng(10).standard_normal((4, 2000)), np.linspace(-2, 2, 9)
    found = stats.chi_square(stats.histogram(x, edges), ndtr)
    bounds = np.concatenate([[-np.inf], edges, [np.inf]])
    for i in range(4):
        want = sps.chisquare(np.histogram(x[i], bounds)[0], 2000 * np.diff(ndtr(bounds)))
        assert found.statistic[i] == relative(want.statistic, 1e-11)
        assert found.pvalue[i] == relative(want.pvalue, 1e-9)
    assert found.pvalue.min() > 1e-6  # a false alarm in 4e-6 of all seeds
    assert (stats.chi_square(stats.histogram(x + 0.3, edges), ndtr).pvalue < 1e-6).all()  # a shift of 0.3 is seen
    u = stats.histogram(ndtr(x), np.linspace(0, 1, 6))
    assert np.isfinite(stats.chi_square(u, lambda e: e).statistic).all()  # inf: something outside, where nothing can be
    fewer = stats.chi_square(u, lambda e: e, fitted=1)
    assert (fewer.pvalue < stats.chi_square(u, lambda e: e).pvalue).all()
    assert stats.chi_square(stats.histogram(ndtr(x) * 1.2, np.linspace(0, 1, 6)), lambda e: e).pvalue.tolist() == [0] * 4


def test_ks_of_scipy():
    x = np.random.default_rng(11).standard_normal((3, 2, 500))
    found = stats.ks(x, ndtr)
    for i in np.ndindex(3, 2):
        want = sps.kstest(x[i], "norm")
        assert found.statistic[i] == relative(want.statistic, 1e-12)
        assert found.pvalue[i] == relative(want.pvalue, 1e-9)
    assert found.pvalue.min() > 1e-7 and (stats.ks(x + 0.4, ndtr).pvalue < 1e-7).all()


def test_ks_raises_alarms_as_often_as_it_says():
    """2000 samples at 10 %: the share has standard deviation 0.7 %."""
    p = stats.ks(np.random.default_rng(12).standard_normal((2000, 50)), ndtr).pvalue
    assert abs((p < 0.1).mean() - 0.1) < 5 * 0.0067


def test_z_score():
    assert stats.z_score(3.0, 0.5, 2.0) == 2 and np.isnan(stats.z_score(1.0, 0.0, 1.0))
    assert stats.z_score([1.0, 2.0], [1.0, 2.0], 0.0).tolist() == [1, 1]


# memory and errors ---------------------------------------------------------------------------------------------------
def test_memory(monkeypatch):
    stats.fits(1e6)
    with pytest.raises(MemoryError, match=r"values: this needs 1e\+09 GB, and .* GB are free: give fewer paths or settings"):
        stats.fits(1e18)
    monkeypatch.setattr("samfast.stats.blocks.free_memory", lambda xp: 1000.0)
    for call in (lambda: stats.quantiles(X, 0.5), lambda: stats.ks(X, ndtr), lambda: stats.survival(X, [1.0])):
        with pytest.raises(MemoryError, match="and 1e-06 GB are free"):
            call()
    stats.moments(X), stats.histogram(X, [0.0, 1.0])  # in blocks: they need no more, however many paths


def test_temporaries_are_bounded(monkeypatch):
    """The peak is that of a block, far below the eight float64 numbers a path that the work needs."""
    import tracemalloc

    monkeypatch.setattr("samfast.stats.blocks.ELEMENTS", 2**14)
    x = np.zeros(2**19, np.float32)
    for work in (
        lambda: stats.moments(x, 4),
        lambda: stats.histogram(x, [-1.0, 1.0]),
        lambda: stats.msd(x.reshape(-1, 2)),
        lambda: stats.covariance(x.reshape(-1, 2)),
        lambda: stats.paired_difference(x, x),
    ):
        tracemalloc.start()
        work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 6 * 8 * stats.blocks.ELEMENTS


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stats.moments(X, axis=3), r"axis=3: values has shape \(3, 4, 501\); give the axis of the paths"),
        (lambda: stats.moments(1.0), r"axis=-1: values has shape \(\)"),
        (lambda: stats.moments(np.empty((3, 0))), r"values has shape \(3, 0\): give at least one path along axis -1"),
        (lambda: stats.moments(X, 0), "order=0: give at least 1"),
        (lambda: stats.moments(X).central(3), r"order=2: this needs moment 3; give order=3, or moments=3 to simulate"),
        (lambda: stats.moments(X).central(1), r"m=1: give at least 2"),
        (lambda: stats.moments(X) + stats.moments(X, 3), "order=3: the other moments have order 2; give one order"),
        (lambda: stats.msd(X[0, 0], axis=0), r"values has shape \(501,\): give coordinates last, e.g. values\[:, None\]"),
        (lambda: stats.covariance(X[0, 0], axis=0), "give coordinates last"),
        (lambda: stats.standard_error(X, of="median"), "of='median': choose one of 'mean', 'variance'"),
        (lambda: stats.mean_interval(X, confidence=1.0), "confidence=1.0: give values below 1.0, e.g. confidence=0.95"),
        (lambda: stats.variance_interval([1.0, np.nan]), "values: 1 finite path; give at least 2"),
        (lambda: stats.paired_difference(X, X[0]), r"b has shape \(4, 501\): give that of a, \(3, 4, 501\)"),
        (lambda: stats.quantiles(X, 1.5), "probabilities=1.5: give numbers from 0 to 1"),
        (lambda: stats.histogram(X, 10), "edges=10: give at least two ascending numbers, e.g. edges="),
        (lambda: stats.histogram(X, [1.0, 1.0]), "give at least two ascending numbers"),
        (lambda: stats.survival(X, 1.0), r"times has shape \(\): give a flat sequence of times"),
        (
            lambda: stats.chi_square(stats.histogram(X, [0.0, 1e-9, 1.0]), lambda e: sps.gamma.cdf(e, 2)),
            "edges: a bin expects .* paths; give wider bins, each of at least 5",
        ),
        (
            lambda: stats.z_score([1.0, 2.0], 0.1, [1.0, 2.0, 3.0]),
            r"do not fit together: estimate \(2,\), exact \(3,\); give numbers, arrays of one shape",
        ),
        (
            lambda: stats.chi_square(stats.histogram(X, [0.0, 1.0, 9.0]), lambda e: e[1:] / 9),
            r"cdf: it returned shape \(2,\); give a function of numbers of shape \(3,\)",
        ),
        (lambda: stats.ks(X[0, 0], lambda v: v[1:]), r"cdf: it returned shape \(500,\); give a function of .* shape \(501,\)"),
        (lambda: stats.chi_square(stats.histogram(X, [0.0, 9.0]), lambda e: e[::-1] / 9), "cdf: it must ascend from 0 to 1"),
        (
            lambda: stats.chi_square(stats.histogram(X, [1.0, 2.0]), lambda e: sps.gamma.cdf(e, 2), fitted=2),
            "fitted=2: 3 bins leave no degree of freedom; give more edges",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_records_print_themselves():
    m = stats.moments([1.0, 2.0, 6.0])
    assert repr(m) == "Moments(order 2, shape ())"
    assert str(m) == "Moments(order 2, shape ()): mean [3.], standard error [1.527525], 3 paths"
    assert repr(stats.histogram(X, [0.0, 0.5, 1.0])) == "Histogram(2 bins from 0 to 1, shape (3, 4))"
    found = stats.ks(X[0, 0], lambda v: sps.gamma.cdf(v, 2))
    assert repr(found) == "Goodness(shape ())" and f"pvalue {found.pvalue}" in str(found)
