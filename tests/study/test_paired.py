"""Two rules on the same noise: each as it is alone, and Corollary 1 from pairs of paths.

Every score is about a standard normal; |z| < 5 over some 150 of them, a false alarm in 1e-4 of all seeds.
"""

from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from tolerance import relative

import samfast as sf
from samfast import theory
from samfast.simulation.prepare import prepared_job
from samfast.simulation.run import complete
from samfast.study.process import LinearProcess

paired_msd = partial(sf.paired_msd, lr=0.01)

LIGHT = {"first": sf.noisy(sf.gd(lr=0.05), sigma=0.3), "second": sf.noisy(sf.sam(lr=0.04, rho=0.1), sigma=0.3)}
HEAVY = {
    "first": sf.noisy(sf.gd(lr=0.05, momentum=0.5), sigma=0.3),
    "second": sf.noisy(sf.sam(lr=0.04, rho=0.1, momentum=0.7, dampening=0.2, dampen_first=False), sigma=0.3),
}


@sf.loss(dim=2, depth=1.0)
def well(w, p):
    return p.depth * (w[0] ** 2 - 1) ** 2 / 4 + 0.5 * w[0] * w[1] + w[1] ** 2


def run(rule, loss=well, start=(0.4, -0.3), **options):
    """The program as plain Python, which gives the bits of compiled code (test_bits)."""
    job = prepared_job(loss, rule, start, paths=8, seed=6, device="plain", **options)
    return complete(job, np.array([0, 1, 12]), None, None, None, {})


# the rule ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("first", [LIGHT, HEAVY], ids=["light", "heavy"])
@pytest.mark.parametrize("second", [LIGHT, HEAVY], ids=["light", "heavy"])
def test_each_goes_as_it_does_alone(first, second):
    a, b = first["first"], second["second"]
    both, alone = run(sf.paired(a, b), observe=sf.observe.paired_msd(), values=True), [run(a), run(b)]
    x, u = both.final(), both.final("v0")
    np.testing.assert_allclose(x, alone[0].final(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(x + u, alone[1].final(), rtol=0, atol=1e-13)
    assert np.abs(u).mean() > 1e-3
    squares = [((one.final() - [0.4, -0.3]) ** 2).sum(-1) for one in alone]
    np.testing.assert_allclose(both.values[-1], np.stack([*squares, squares[1] - squares[0]], -1), atol=1e-12)
    assert (both.values[0] == 0).all() and both.labels == ("first", "second", "difference")


def test_without_noise_and_in_a_large_dimension():
    """Traced as a whole from dim 9 on; a path without noise has the difference of two plain runs."""
    loss, start = sf.losses.quadratic(np.linspace(-1, 2, 16)), np.linspace(1, 2, 16)
    a, b = sf.gd(lr=0.1), sf.sam(lr=0.1, rho=0.2, momentum=0.3)
    one, other = (run(r, loss, start).final()[0] for r in (a, b))
    both = run(sf.paired(a, b), loss, start, observe=sf.observe.paired_msd())
    np.testing.assert_allclose(both.final("v0")[0], other - one, atol=1e-13)
    np.testing.assert_allclose(both["difference"][-1], ((other - start) ** 2).sum() - ((one - start) ** 2).sum(), rtol=1e-12)


def test_descent_noise_meets_descent_noise():
    """SAM with two minibatches draws twice; at rho=0 it is SGD on the second of them."""
    sam = sf.noisy(sf.sam(lr=0.05, rho=0.0), sigma=0.3, minibatch="independent")
    for pair in (sf.paired(LIGHT["first"], sam), sf.paired(sam, LIGHT["first"])):
        result = run(pair)
        assert np.abs(result.final("v0")).max() < 1e-14 and result.final().std() > 0.01


def test_the_parameters_of_the_second_have_names_of_their_own():
    rule = sf.paired(HEAVY["first"], HEAVY["second"])
    assert sorted(rule.params) == sorted([*HEAVY["first"].params, *(k + "_second" for k in HEAVY["second"].params)])
    swept = run(rule.replace(rho_second=[0.0, 0.5], lr_second=0.05))
    assert swept.sweep == (2,) and (swept.final()[0] == swept.final()[1]).all()
    assert np.abs(swept.final("v0")[0] - swept.final("v0")[1]).max() > 1e-3
    with pytest.raises(ValueError, match=r"lr_second=-1: give values above 0"):
        rule.replace(lr_second=-1)
    vector = sf.paired(LIGHT["first"].replace(lr=0.04), sf.noisy(sf.gd(lr=0.04), sigma=sf.vector([0.3, 0.3])))
    assert (run(vector).final("v0") == 0).all() and vector.vectors == {"sigma_second"}


def test_what_cannot_be_paired():
    with pytest.raises(TypeError, match="second=3: give a rule"):
        sf.paired(LIGHT["first"], 3)
    with pytest.raises(ValueError, match=r"draws 'normal' noise, the second 'sign'; give both one kind"):
        sf.paired(LIGHT["first"], sf.noisy(sf.gd(lr=0.1), sigma=1.0, kind="sign"))
    pair = sf.paired(LIGHT["first"], LIGHT["second"])
    with pytest.raises(ValueError, match="pair two rules that are no pairs"):
        sf.paired(pair, LIGHT["second"])
    with pytest.raises(ValueError, match=r"a pair is that of its second rule alone; give each rule its noise"):
        sf.noisy(sf.paired(sf.gd(lr=0.1), sf.gd(lr=0.1)), sigma=0.1)


# Corollary 1 ---------------------------------------------------------------------------------------------------------
def recursion_variance(ds):
    """2(sX^4 + sY^4 - 2c^2) of Euler-Maruyama at dt = lr, unit noise."""
    v = {k: ds[k].values for k in ("eigenvalue", "lr", "batch_size")}
    kappa = theory.curvature(v["eigenvalue"], rho=ds["rho"].values[:, None], drift=ds.attrs["drift"])
    d = theory.diffusion_coefficient(v["eigenvalue"], lr=v["lr"], batch_size=v["batch_size"])
    steps = np.rint(ds["time"].values / v["lr"])
    x, y = (theory.em_variance(steps, curvature=k, diffusion=d, dt=v["lr"]) for k in (v["eigenvalue"], kappa))
    c = theory.em_crn_covariance(steps, curvature=v["eigenvalue"], other_curvature=kappa, diffusion=d, dt=v["lr"])
    return 2 * (x * x + y * y - 2 * c * c)


@pytest.mark.parametrize(("eigenvalue", "drift"), [(-1.0, "plain"), (-1.0, "chain"), (2.0, "plain")])
def test_ten_thousand_pairs_resolve_the_difference(eigenvalue, drift):
    ds = paired_msd(eigenvalue=eigenvalue, rho=[0.001, 0.1, 0.5, 2.5], times=[0.1, 0.5, 1.0], drift=drift, seed=2).dataset
    sd = np.sqrt(recursion_variance(ds)[1:] / 10_000)  # at rho=0.001 this subtraction keeps few digits
    error = (ds["difference"] - ds["exact"]).values
    assert np.abs(error[1:] / sd).max() < 5 and np.abs(ds["z"]).max() < 5
    assert np.array_equal(
        np.sign(ds["difference"][:, 1:]),
        np.broadcast_to(theory.corollary1_sign(eigenvalue, rho=ds["rho"].values[:, None], drift=drift), (4, 2)),
    )
    # the relative error is sqrt((2 + 4g/d^2)/N), about 1.5 %, where independent runs would need up to 10^7 times the paths
    assert (ds["se"] / np.abs(ds["exact"])).max() < 0.02
    assert ds["gain"].sel(rho=0.001).min() > 1e4 * ds["gain"].sel(rho=0.5).min() > 1e4
    assert ((ds["low"] <= ds["sde"]) & (ds["sde"] <= ds["high"])).all()
    assert np.array_equal(
        ds["printed"],
        theory.corollary1(ds["time"].values, eigenvalue=eigenvalue, lr=0.01, batch_size=64, rho=ds["rho"].values[:, None]),
    )
    assert np.array_equal(
        ds["needed"],
        theory.paths_to_resolve(ds["time"].values, eigenvalue=eigenvalue, drift=drift, rho=ds["rho"].values[:, None]),
    )


@pytest.mark.parametrize("drift", ["plain", "chain"])
def test_the_variance_of_the_pairs(drift):
    """Within 5 % of 2d^2 + 4g; the sample variance of 2^17 pairs has a standard deviation of about 1 %, the step of 1 %."""
    rho, paths = [0.1, 0.5], 2**17
    ds = paired_msd(rho=rho, lr=0.002, times=[1.0], drift=drift, paths=paths, seed=4).dataset
    found = ds["se"].values ** 2 * paths
    setting = {"eigenvalue": -1.0, "lr": 0.002, "rho": np.array(rho)[:, None], "batch_size": 64, "drift": drift}
    assert found == relative(theory.paired_difference_variance(1.0, **setting), 0.05)
    assert found == relative(recursion_variance(ds), 0.05)
    apart = theory.paired_difference_variance(1.0, **setting, paired=False)
    assert ds["gain"].values == relative(apart / theory.paired_difference_variance(1.0, **setting), 0.05)


@pytest.mark.parametrize(
    ("method", "noise"),
    [
        ("em", "same"),
        ("em", "independent"),
        ("algorithm", "same"),
        *(pytest.param("algorithm", n, marks=pytest.mark.slow) for n in ("descent", "independent", "unit")),
    ],
)
def test_minibatches_of_both_gradients(method, noise):
    """The two-gradient algorithm against the exact difference of its noise model, on both sides of a saddle."""
    ds = paired_msd(
        eigenvalue=[-1.0, 1.5], rho=[0.1, 0.4], times=[0.01, 0.05, 1.0], noise=noise, method=method, paths=2**15, seed=7
    ).dataset
    assert np.abs(ds["z"]).max() < 5
    if noise == "same":  # K15: first order in t, positive only at negative eigenvalues
        t, value, rho = (ds[k].values for k in ("time", "eigenvalue", "rho"))
        assert (ds["difference"][0] > 0).all() and (ds["difference"][1] < 0).all()
        first = 2 * 0.01 * t * value[:, None, None] ** 2 * rho[:, None] / 64 * (1 + rho[:, None] * value[:, None, None] / 2)
        assert (np.abs(ds["exact"].values[..., 0] / (-first * np.sign(value[:, None, None]))[..., 0] - 1) < 0.02).all()
        assert (np.abs(ds["difference"] / ds["printed"])[..., 0] > 20).all()


def test_a_wrong_minibatch_is_found():
    """Planted: one minibatch for both gradients where two are meant."""
    rho, times = np.array([0.2, 0.4]), np.array([0.05, 0.5])
    ds = paired_msd(rho=rho, times=times, noise="same", method="algorithm", paths=2**15).dataset
    v = {"eigenvalue": -1.0, "lr": 0.01, "rho": rho[:, None], "batch_size": 64, "momentum": 0.0, "dampening": 0.0}
    meant = LinearProcess("plain", "independent", "algorithm", False).difference(v, np.rint(times / 0.01))
    assert (np.abs((ds["difference"] - meant) / ds["se"]) > 6).all() and np.abs(ds["z"]).max() < 5


def test_with_momentum():
    ds = paired_msd(rho=[0.1, 0.5], momentum=[0.0, 0.5, 0.9], dampening=0.1, times=[0.1, 1.0], paths=2**14, seed=1).dataset
    assert ds["difference"].dims == ("rho", "momentum", "time") and np.abs(ds["z"]).max() < 5
    assert np.isnan(ds["printed"]).all() and np.isnan(ds["needed"]).all() and (ds["gain"] > 1).all()
    mixed = paired_msd(rho=0.1, momentum=[0.0, 0.5], times=[0.1], paths=1000).dataset
    assert np.isnan(mixed["sde"].values[:, 0]).tolist() == [False, True]


@pytest.mark.parametrize("eigenvalue", [-1, 3])
def test_the_exact_difference_keeps_its_digits(eigenvalue):
    """Against rational arithmetic, where subtracting the variances would lose up to ten digits."""
    steps, lr, batch = 20, Fraction(1, 128), 64
    for rho in (Fraction(1, 2**30), Fraction(1, 8)):
        sums = []
        for kappa in (Fraction(eigenvalue), eigenvalue * (1 + rho * eigenvalue)):
            q = (1 - kappa * lr) ** 2
            sums.append(lr * lr * abs(eigenvalue) / batch * sum(q**k for k in range(steps)))
        v = {
            k: np.array([float(x)])
            for k, x in {
                "eigenvalue": eigenvalue,
                "lr": lr,
                "rho": rho,
                "batch_size": batch,
                "momentum": 0,
                "dampening": 0,
            }.items()
        }
        found = LinearProcess("plain", "unit", "em", False).difference(v, np.array([steps]))
        assert found == relative(float(sums[0] - sums[1]), 1e-14)


def test_the_table():
    result = paired_msd(rho=[0.1, 0.5], times=[0.01, 1.0], paths=1000)
    lines = str(result).splitlines()
    assert lines[0].split() == ["rho", "time", "difference", "se", "exact", "z", "sde", "printed", "gain", "needed"]
    assert len(lines) == 6 and lines[-1] == result.summary()
    assert "agree (1,000 paths, plain drift, unit noise, seed 0, numbers " in lines[-1]
    assert repr(result) == f"Comparison({result.summary()})" and 0 < result.worst < 5
    assert np.isnan(result.dataset["z"][:, 0]).all()  # after one update both are where the noise put them
    wrong = sf.Comparison(result.dataset.assign(z=result.dataset["z"] + 10))
    assert "DISAGREE" in wrong.summary()
    assert all(result.dataset[k].attrs["long_name"] for k in result.dataset.data_vars)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rho": 0.0}, r"rho=0.0: give values above 0"),
        ({"drift": ["plain"]}, r"drift=\['plain'\]: choose one of"),
        ({"noise": "none"}, "noise='none': choose one of"),
        ({"method": "exact"}, "method='exact': choose one of 'em', 'algorithm'"),
        ({"paths": 1}, "paths=1: give at least 2"),
        ({"times": [0.015]}, "times: 0.015 is no multiple of the step 0.01"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        paired_msd(**options)
