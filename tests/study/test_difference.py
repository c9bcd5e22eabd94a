"""Study.difference, Corollary 1: the simulated difference meets the exact one within its paired standard error."""

import itertools
from functools import partial

import mpmath as mp
import numpy as np
import pytest

import samfast as sf
from samfast import theory
from samfast.study import exact_sampling, process, sgd_minus_sam

msd = partial(sf.msd, lr=0.01)

TIMES = [0.05, 0.2, 0.5, 1.0]
GRID = {"rho": [0.0, 0.3, 1.4], "times": TIMES, "paths": 20_000}


@pytest.mark.parametrize(
    "options",
    [
        {"momentum": [0.0, 0.6], "dampening": [0.0, 0.3], "eigenvalue": [-1.0, 2.0]},
        {"dt": 0.005},
        {"method": "exact"},
        {"method": "exact", "momentum": [0.0, 0.6], "dampening": 0.2},
        {"method": "algorithm", "drift": ["plain", "chain"]},
        {"method": "algorithm", "noise": "same"},
        {"method": "algorithm", "noise": ["descent", "independent"], "drift": "chain", "momentum": 0.5},
    ],
)
def test_the_simulated_difference_meets_the_exact_one(options):
    """|z| < 5 with the paired error, which is below 2 % of the difference."""
    d = msd(**GRID, **options, seed=3).difference()
    z = d["z"].values[np.isfinite(d["z"].values)]
    assert z.size >= 8 and np.abs(z).max() < 5
    assert float((d["se"] / np.abs(d["exact"])).where(d["exact"] != 0).median()) < 0.02
    assert (d["rho"] > 0).all() and d["difference"].dims == d["exact"].dims


def spreads(**options):
    """Standard deviation of X^2 - Y^2 over 20,000 pairs of paths / the one that Study.difference takes."""
    values = {"eigenvalue": -1.0, "lr": 0.01, "rho": 0.3, "momentum": 0.5, "dampening": 0.2, "batch_size": 64.0}
    rule = sf.sam(lr=0.01, rho=[0.0, 0.3], momentum=0.5, dampening=0.2)
    rule = (
        sf.noisy(rule, batch_size=64, minibatch=options["noise"]) if "noise" in options else sf.diffusion(rule, batch_size=64)
    )
    run = sf.simulate(
        sf.losses.quadratic([-1.0]), rule, [0.0], record=[20, 100], paths=20_000, values=True, observe=sf.observe.msd()
    )
    model = process.LinearProcess("plain", options.get("noise", "unit"), "algorithm" if "noise" in options else "em", True)
    measured = (run.values[0] - run.values[1])[..., 0].std(-1)
    return measured / sgd_minus_sam.spread(model, {k: np.array(x) for k, x in values.items()}, np.array([0.2, 1.0]))


@pytest.mark.parametrize("options", [{}, {"noise": "same"}, {"noise": "independent"}])
def test_the_error_is_that_of_pairs(options):
    """X^2 - Y^2 is a difference of two chi-squares, of kurtosis at most 15: the measured value has a relative standard
    deviation of at most sqrt(14/4/20000) = 1.3 %; five of them."""
    np.testing.assert_allclose(spreads(**options), 1, atol=0.066)


@pytest.mark.parametrize("rho", [0.3, 1e-3])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_the_error_of_pairs_that_jump(momentum, rho):
    """Method "exact": 20,000 pairs drawn here on the same numbers, by the transition and the root of each; as above."""
    v = {"eigenvalue": -1.0, "lr": 0.01, "rho": rho, "momentum": momentum, "dampening": 0.0, "batch_size": 64.0}
    v = {k: np.array(x) for k, x in v.items()}
    model, times = process.LinearProcess("plain", "unit", "exact", momentum > 0), np.array([0.2, 1.0])
    laws = [exact_sampling.transitions(model, {**v, "rho": r}, times, law="sde") for r in (np.array(0.0), v["rho"])]
    normals = np.random.default_rng(5).normal(size=(len(times), laws[0][0].shape[-1], 20_000))
    squares = []
    for a, s in laws:
        state = np.zeros(normals.shape[1:])
        for i in range(len(times)):
            state = a[i] @ state + exact_sampling.root(s)[i] @ normals[i]
            squares.append(state[0] ** 2)
    measured = (np.array(squares[:2]) - np.array(squares[2:])).std(-1)
    np.testing.assert_allclose(
        measured / sgd_minus_sam.spread(model, {k: x.reshape(1) for k, x in v.items()}, times), 1, atol=0.066
    )


def test_a_wrong_error_is_noticed(monkeypatch):
    """Planted: settings taken for independent, or the momentum of one of them lost."""
    covariance = process.LinearProcess.covariance
    for defect in (
        lambda self, v, steps: 0 * self.exact(v, steps),
        lambda self, v, steps: covariance(self, {**v, "momentum": np.array(0.45)}, steps),
    ):
        monkeypatch.setattr(process.LinearProcess, "covariance", defect)
        assert not np.allclose(spreads(), 1, atol=0.066)


def test_the_covariance_is_that_of_the_theory():
    """Of unit noise, with momentum and without; at rho = 0 it is the variance of what was simulated."""
    v = {
        "eigenvalue": -1.3,
        "lr": 0.02,
        "rho": np.array([0.0, 0.1, 0.9])[:, None],
        "momentum": 0.0,
        "dampening": 0.0,
        "batch_size": 8.0,
    }
    steps = np.array([0, 1, 2, 7, 100, 1000])
    light = process.LinearProcess("plain", "unit", "em", False)
    about = {
        "curvature": -1.3,
        "other_curvature": theory.curvature(-1.3, rho=v["rho"]),
        "diffusion": light.diffusion(v),
        "dt": 0.02,
    }
    np.testing.assert_allclose(light.covariance(v, steps), theory.em_crn_covariance(steps, **about), rtol=1e-14)
    for method in ("em", "algorithm"):
        heavy, at = process.LinearProcess("plain", "unit", method, True), {**v, "momentum": 0.8, "dampening": 0.3}
        want = theory.momentum_em_crn_covariance(steps, lr=0.02, momentum=0.8, dampening=0.3, **about)
        np.testing.assert_allclose(heavy.covariance(at, steps), want, rtol=1e-14)
        np.testing.assert_allclose(heavy.covariance(at, steps)[0], heavy.exact(at, steps)[0], rtol=1e-12)


def variances(model, v, n):
    """(<X^2>, <Y^2>) of SGD and SAM after n steps, by the recursion or the characteristic roots of the SDE, to 60 digits."""
    e, lr, rho, g, tau, batch = (
        mp.mpf(float(v[k])) for k in ("eigenvalue", "lr", "rho", "momentum", "dampening", "batch_size")
    )
    r = rho * e
    noise = {"unit": 1, "descent": 1, "same": (1 + r) ** 2, "independent": 1 + r * r}[model.noise]
    gain = (1 + r) if model.drift == "chain" else 1
    for kappa, factor in ((e, 1), (e * (1 + r) * gain, noise * (1 if model.noise == "unit" else gain**2))):
        q, t = lr * abs(e) / batch * factor, n * lr  # 2D
        if model.method == "exact" and not g:
            yield q * (1 - tau) ** 2 * mp.expm1(-2 * kappa * (1 - tau) * t) / (-2 * kappa * (1 - tau))
        elif model.method == "exact":
            b, c = (1 - g) / lr, kappa * (1 - tau) / lr
            w = mp.sqrt(mp.mpc(b * b / 4 - c))
            one, two = -b / 2 + w, -b / 2 - w
            total = sum(s * mp.expm1(z * t) / z for s, z in ((1, 2 * one), (1, 2 * two), (-2, one + two)))
            yield mp.re(q * ((1 - tau) / lr) ** 2 * total / (4 * w * w))
        else:
            xx = xm = mm = mp.mpf(0)  # of w and m, where w' = w - lr m', m' = g m + (1 - tau)(kappa w + noise)
            for _ in range(n):
                pull = (1 - tau) * kappa
                xm, mm = (pull * xx + g * xm, pull * pull * xx + 2 * pull * g * xm + g * g * mm + (1 - tau) ** 2 * q / lr)
                xx, xm = xx - 2 * lr * xm + lr * lr * mm, xm - lr * mm
            yield xx


@pytest.mark.parametrize("method", ["em", "algorithm", "exact"])
@pytest.mark.parametrize("noise", ["unit", "same"])
def test_a_small_difference_keeps_its_digits(method, noise):
    """rho = 1e-9, where subtracting the variances would lose nine digits."""
    with mp.workdps(60):
        for drift, eigenvalue, momentum in itertools.product(("plain", "chain"), (-1.0, 2.0), (0.0, 0.5, 0.9)):
            v = {
                "eigenvalue": eigenvalue,
                "lr": 0.01,
                "rho": 1e-9,
                "momentum": momentum,
                "dampening": 0.2 * (momentum > 0),
                "batch_size": 64.0,
            }
            model = process.LinearProcess(drift, noise, method, momentum > 0)
            for n in (2, 30, 100):
                sgd, sam = variances(model, v, n)
                found = model.difference({k: np.array(x) for k, x in v.items()}, np.array(n * 0.01 if method == "exact" else n))
                assert abs(mp.mpf(float(found)) / (sgd - sam) - 1) < 3e-13, (v, drift, n)
                assert abs(float(sgd / sam) - 1) < 1e-7


def test_the_study_shows_those_digits():
    study = msd(rho=[0.0, 1e-9], times=[0.5, 1.0], lr=0.01, momentum=[0.0, 0.5], paths=50, method="exact")
    out = study.difference()["exact"].sel(rho=1e-9)
    want = theory.corollary1_exact([0.5, 1.0], eigenvalue=-1.0, lr=0.01, rho=1e-9, batch_size=64, drift="plain")
    np.testing.assert_allclose(out.sel(momentum=0.0), want, rtol=1e-13)
    assert (out.sel(momentum=0.5) > out.sel(momentum=0.0)).all()


def test_paired_variance_of_the_theory():
    """Small steps: 7.4 of the diffusion, theory.paired_difference_variance."""
    v = {
        "eigenvalue": np.array(-1.0),
        "lr": np.array(1e-6),
        "rho": np.array(0.3),
        "momentum": np.array(0.0),
        "dampening": np.array(0.0),
        "batch_size": np.array(1.0),
    }
    got = sgd_minus_sam.spread(process.LinearProcess("plain", "unit", "em", False), v, np.array([0.1, 1.0])) ** 2
    want = theory.paired_difference_variance(np.array([0.1, 1.0]), eigenvalue=-1.0, lr=1e-6, rho=0.3)
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_common_noise_resolves_what_independent_noise_does_not():
    d = msd(rho=[0.0, 0.001], times=[0.02, 0.1], lr=1e-3, paths=2000)
    apart = np.sqrt((d.dataset["se"] ** 2).sum("rho"))
    out = d.difference().isel(rho=0)
    assert (np.abs(out["difference"]) > 10 * out["se"]).all() and (np.abs(out["difference"]) < 0.01 * apart).all()


def test_the_printed_term_and_its_range():
    study = msd(rho=[0.0, 0.01], momentum=[0.0, 0.5], lr=1e-4, times=[0.01, 1.0], drift=["plain", "chain"], paths=50)
    d = study.difference()
    want = theory.corollary1([0.01, 1.0], eigenvalue=-1.0, lr=1e-4, rho=0.01, batch_size=64)
    for drift in ("plain", "chain"):
        np.testing.assert_allclose(d["printed"].sel(drift=drift, momentum=0.0, rho=0.01), want, rtol=1e-14)
    assert np.isnan(d["printed"].sel(momentum=0.5)).all()
    short = d["ratio"].sel(momentum=0.0, rho=0.01, time=0.01)
    assert float(short.sel(drift="chain")) == pytest.approx(1, abs=0.02)  # the leading term of chain,
    assert float(short.sel(drift="plain")) == pytest.approx(2, abs=0.04)  # twice that of plain
    assert bool(d["valid"].sel(drift="chain", momentum=0.0).isel(time=0)) and not d["valid"].isel(time=1).any()


def test_the_sign_reverses_beyond_two():
    """chain: SAM is the faster one for rho |eigenvalue| > 2."""
    study = msd(rho=[0.0, 1.0, 2.5], drift="chain", times=[0.5], paths=2000)
    assert np.sign(study.difference()["difference"]).values.ravel().tolist() == [1, -1]
    assert any("SAM spreads faster than SGD" in x for x in study.discrepancies)


@pytest.mark.parametrize("rho", [0.0, 0.5, [0.1, 0.5], [0.0]])
def test_both_are_needed(rho):
    with pytest.raises(ValueError, match=r"rho=.*needs both; give msd a list with 0"):
        msd(rho=rho, times=[0.1], paths=10).difference()
