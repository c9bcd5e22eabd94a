"""Exits of any rule on any loss: against the exact chain, with paths that stay, and beside theory."""

import numpy as np
import pytest

import samfast as sf

LIMIT, RULE = 0.2, sf.noisy(sf.sam(lr=0.05, rho=[0.0, 0.5]), sigma=0.25)
SADDLE = sf.losses.quadratic([-1.0])


@pytest.fixture(scope="module")
def left():
    return sf.exit_times(SADDLE, RULE, [0.0], limit=LIMIT, steps=5000, paths=4000)


def test_the_mean_is_that_of_the_exact_chain(left):
    """The same chain as batch size 16; 4000 paths: an error of 5 % of the mean is 4 standard errors."""
    ds = left.dataset
    exact = [
        sf.theory.em_exit_time(LIMIT, curvature=k, diffusion=0.05 * 0.25**2 / 2, dt=0.05) / 0.05
        for k in sf.theory.curvature(-1.0, rho=np.array([0.0, 0.5]))
    ]
    z = (ds["updates"].values - exact) / ds["se"].values
    assert (np.abs(z) < 5).all() and (ds["se"] / ds["updates"] < 0.012).all()
    sde = sf.theory.mean_exit_time(LIMIT, curvature=np.array([-1.0, -0.5]), diffusion=0.05 * 0.25**2 / 2) / 0.05
    np.testing.assert_allclose(ds["theory"], sde, rtol=1e-12)
    np.testing.assert_allclose(ds["median"], np.median(left.exits, -1), atol=1)
    assert not left.stayed and (ds["restricted"] == ds["updates"]).all() and ds["updates"].dims == ("rho",)


def test_paths_that_stay_are_censored_and_named():
    """The finite mean of the other setting stays; the restricted mean and Kaplan-Meier's curve are those of all paths."""
    rule = RULE.replace(rho=[0.0, 1.5])
    some = sf.exit_times(SADDLE, rule, [0.0], limit=LIMIT, steps=400, paths=500)
    ds, share = some.dataset, (some.exits < 0).mean(-1)
    assert share[0] == 0 and 0 < share[1] < 1 and np.isfinite(ds["updates"][0]) and np.isnan(ds["updates"][1])
    assert some.stayed == [f"rho 1.5 ({share[1]:.1%} stayed)"] and "No finite mean is known for rho 1.5" in str(some)
    bounded = np.where(some.exits < 0, 400, some.exits)
    np.testing.assert_allclose(ds["restricted"], bounded.mean(-1), rtol=1e-14)
    np.testing.assert_allclose(ds["survival"][:, -1], share, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(ds["exponential"], bounded.sum(-1) / (some.exits >= 0).sum(-1), rtol=1e-14)
    figure = some.plot()
    (axes,) = figure.axes
    assert axes.get_xlabel().startswith("radius rho") and "lower bound" in axes.get_legend().get_texts()[-1].get_text()


def test_what_has_no_theory_says_nan_and_what_left_stays_left():
    """A saddle without end: paths are thrown beyond float64 after their exit, which is kept."""
    heavy = sf.noisy(sf.gd(lr=0.1, momentum=0.5), sigma=0.2)
    gone = sf.exit_times(SADDLE, heavy, [0.0], limit=LIMIT, steps=20_000, paths=40)
    assert (gone.exits >= 0).all() and np.isnan(gone.dataset["theory"]) and gone.dataset["updates"] < 400
    assert len(gone.to_pandas()) == 1 and "survival" not in gone.to_pandas() and len(gone.to_pandas("long")) == 8
    assert gone.plot().axes[0].get_ylabel() == "share that has not left"


def test_a_setting_that_never_leaves_is_named_and_the_others_are_computed():
    options = {"limit": 0.3, "lr": 0.05, "batch_size": 16, "paths": 300}
    with pytest.warns(RuntimeWarning, match="rho=4: paths would need more than 100,000,000 steps"):
        some = sf.exit_times(rho=[0.0, 4.0, 0.5], **options)
    whole = sf.exit_times(rho=[0.0, 0.5], **options)
    for k in ("time", "se", "exact", "z", "steps"):
        np.testing.assert_array_equal(some.dataset[k].values[[0, 2]], whole.dataset[k], k)
    assert np.isnan(some.dataset["time"][1]) and np.isnan(some.dataset["z"][1])
    with pytest.raises(ValueError, match=r"a path needs .* steps on average to leave"):
        sf.exit_times(rho=4.0, **options)


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, "steps: give the most updates"),
        ({"steps": 10, "rho": 0.1}, "rho: with a loss and a rule it belongs to them"),
        ({"steps": 10, "until": 0.1}, "until: with a loss"),
        ({"steps": 0}, "steps=0: give at least 1"),
    ],
)
def test_arguments_of_the_other_form_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        sf.exit_times(SADDLE, RULE, [0.0], limit=1.0, paths=3, **options)
    with pytest.raises(ValueError, match="give loss, rule and start"):
        sf.exit_times(SADDLE, limit=1.0)
    with pytest.raises(ValueError, match="it belongs to exit_times"):
        sf.exit_times(limit=1.0, steps=3)
