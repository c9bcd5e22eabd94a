"""sf.msd: simulated = exact within |z| < 5 (chance of a false alarm: about 6e-7 per comparison), and what it is made of."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import samfast as sf
from samfast import theory
from samfast.study import displacement, process
from samfast.study.process import THEOREMS

TIMES = [0.01, 0.05, 0.2, 0.5]
GRID = {"eigenvalue": [-1.0, 2.0], "rho": [0.0, 0.3, 1.4], "momentum": [0.0, 0.6], "batch_size": [16, 64]}
NAMES = {"msd", "se", "ci", "exact", "theorem", "z", "ratio", "valid", "count", "steps", "n_diverged"}


@pytest.fixture(scope="module")
def grid():
    return sf.msd(**GRID, times=TIMES, paths=20_000)


@pytest.mark.parametrize(
    "method, drift, noise",
    [("em", "plain", "unit"), ("em", "plain", "same"), ("algorithm", "plain", "same"), ("algorithm", "chain", "independent")],
)
def test_simulation_meets_the_exact_value(method, drift, noise):
    """20,000 paths: a defect of 5 % in the MSD is 5 standard deviations."""
    study = sf.msd(
        eigenvalue=[-1.0, 2.0],
        rho=[0.0, 0.3],
        momentum=[0.0, 0.6],
        dampening=[0.0, 0.2],
        times=TIMES,
        paths=20_000,
        method=method,
        drift=drift,
        noise=noise,
        seed=1,
    )
    assert study.worst < 5
    assert np.isfinite(study.dataset["z"]).all()


@pytest.mark.parametrize(
    "options",
    [
        {"dt": [0.0025, 0.01]},
        {"dt": 0.0025, "momentum": [0.5, 0.9]},
        {"lr": [0.01, 0.002], "momentum": 0.5},
        {"kind": "sign", "dtype": "float64"},
    ],
)
def test_other_steps_noises_and_precisions(options):
    assert sf.msd(rho=[0.0, 0.5], times=TIMES, paths=20_000, **options).worst < 5


@pytest.mark.parametrize("momentum, dampening", [(0.0, 0.0), ([0.0, 0.6], [0.0, 0.4])])
def test_the_law_of_the_sde_at_any_times(momentum, dampening):
    """No time is a multiple of lr; the exact column is the SDE's own."""
    study = sf.msd(
        method="exact", rho=[0.0, 0.3], momentum=momentum, dampening=dampening, times=[0.0123, 0.1, 0.777], paths=20_000
    )
    assert study.worst < 5
    ds = study.dataset
    if not np.ndim(momentum):
        np.testing.assert_allclose(ds["ratio"], 1, rtol=1e-13)  # Theorem 2 is exact for the diffusion
    else:
        one = ds["exact"].sel(rho=0.3, momentum=0.6, dampening=0.4)
        want = theory.momentum_sde_moments(
            ds["time"], curvature=theory.curvature(-1.0, rho=0.3), diffusion=0.01 / 128, lr=0.01, momentum=0.6, dampening=0.4
        ).var
        np.testing.assert_allclose(one, want, rtol=1e-13)
    assert int(sf.msd(method="exact", paths=50).dataset.sizes["time"]) == 12


@pytest.mark.parametrize(
    "defect",
    [
        lambda v: {**v, "rho": 0 * v["rho"]},
        lambda v: {**v, "batch_size": 2 * v["batch_size"]},
        lambda v: {**v, "momentum": v["momentum"] + 0.05},
        lambda v: {**v, "dampening": v["dampening"] + 0.05},
    ],
)
def test_a_wrong_exact_value_is_noticed(monkeypatch, defect):
    """The test has failed on a defect: z finds a lost rho, a noise that is off by a factor, a wrong momentum."""
    exact = process.LinearProcess.exact
    monkeypatch.setattr(process.LinearProcess, "exact", lambda self, v, steps: exact(self, defect(v), steps))
    study = sf.msd(rho=[0.4, 0.5], momentum=0.5, times=TIMES, paths=20_000)
    assert study.worst > 5
    assert "DISAGREE" in study.summary()


def test_a_wrong_simulation_is_noticed(monkeypatch):
    """As if SAM went down instead of up the slope before it looks."""
    made = process.rules.sam
    monkeypatch.setattr(process.rules, "sam", lambda **k: made(**{**k, "rho": 0 * k["rho"]}))
    assert sf.msd(rho=0.5, momentum=[0.0, 0.5], times=TIMES, paths=20_000).worst > 5


def test_a_grid_is_one_program_and_one_run(monkeypatch):
    runs, simulate = [], displacement.simulate
    monkeypatch.setattr("samfast.study.displacement.simulate", lambda *a, **k: runs.append(simulate(*a, **k)) or runs[-1])
    sf.msd(**GRID, times=TIMES, paths=100)
    sf.msd(**{**GRID, "rho": [0.0, 0.7], "eigenvalue": -3.0, "dampening": [0.0, 0.5, 0.9]}, times=[0.1], paths=300, seed=5)
    assert len(runs) == 2 and len({run.job.program.text for run in runs}) == 1


def test_settings_share_their_noise(grid):
    """After one step rho and momentum have not acted yet: the same number in every such setting."""
    first = grid.dataset["msd"].isel(time=0, batch_size=0, eigenvalue=0)
    assert len(np.unique(np.float32(first))) == 1
    alone = sf.msd(eigenvalue=2.0, rho=[0.3], momentum=[0.6], times=TIMES, paths=20_000, batch_size=16).dataset
    both = grid.dataset.sel(eigenvalue=2.0, rho=0.3, momentum=0.6, batch_size=16)
    np.testing.assert_allclose(alone["msd"].squeeze(), both["msd"], rtol=1e-12)


def test_dimensions_are_the_sequences(grid):
    ds = grid.dataset
    assert ds["msd"].dims == (*GRID, "time") and ds["msd"].shape == (2, 3, 2, 2, 4)
    assert set(ds.data_vars) == NAMES and float(ds["lr"]) == 0.01 and ds["lr"].dims == ()
    assert ds["n_diverged"].dims == tuple(GRID) and int(ds["count"].min()) == 20_000
    assert ds["ci"].dims == (*GRID, "time", "bound") and ds["bound"].values.tolist() == ["low", "high"]
    assert sf.msd(paths=50, times=[0.1]).dataset["msd"].dims == ("time",)
    assert sf.msd(paths=50, times=0.1, rho=[0.1]).dataset["msd"].dims == ("rho", "time")


def test_every_parameter_may_be_a_sequence():
    """Drift and noise too, on the same numbers: a value alone is the value in the grid."""
    many = {"drift": ["plain", "chain"], "noise": ["unit", "same"], "dampening": [0.0, 0.3], "dt": [0.005, 0.01]}
    common = {"rho": 0.4, "momentum": 0.5, "times": [0.1, 0.5], "paths": 500}
    ds = sf.msd(**many, **common).dataset
    assert ds["msd"].dims == ("drift", "noise", "dampening", "dt", "time") and ds["msd"].shape == (2, 2, 2, 2, 2)
    at = {"drift": "chain", "noise": "same", "dampening": 0.3, "dt": 0.005}
    alone = sf.msd(**at, **common).dataset
    for name in NAMES:
        np.testing.assert_allclose(ds[name].sel(at), alone[name], rtol=1e-12, err_msg=name)
    assert len(np.unique(ds["exact"])) == 32


def test_what_each_number_is(grid):
    """Names, units and the level of the band, and where the numbers come from."""
    ds = grid.dataset
    for name in (*ds.data_vars, *ds.coords):
        assert ds[name].attrs["long_name"], name
        assert name in ("bound", "valid") or ds[name].attrs["units"], name
    assert ds["ci"].attrs["level"] == 0.95 and "95 %" in ds["ci"].attrs["long_name"]
    assert {
        "samfast",
        "numba",
        "llvmlite",
        "numpy",
        "scipy",
        "xarray",
        "python",
        "machine",
        "device",
        "seed",
        "stream",
        "dtype",
        "method",
        "kind",
        "drift",
        "noise",
        "paths",
        "started",
        "status",
        "wall_seconds",
        "call",
        "programs",
        "numbers",
    } <= set(ds.attrs)
    assert ds.attrs["status"] == "complete" and len(ds.attrs["programs"]) == 24 and len(ds.attrs["numbers"]) == 64


def test_the_hash_of_the_numbers(grid):
    """The same numbers give it again, one other bit does not; another program has another name."""
    again = sf.msd(**GRID, times=TIMES, paths=20_000).dataset
    assert again.attrs["numbers"] == grid.dataset.attrs["numbers"] and again.attrs["programs"] == grid.dataset.attrs["programs"]
    assert sf.msd(**GRID, times=TIMES, paths=20_000, confidence=0.9).dataset.attrs["numbers"] != again.attrs["numbers"]
    chain = sf.msd(paths=50, times=[0.1], drift=["plain", "chain"], rho=0.1).dataset.attrs["programs"].split(", ")
    assert len(set(chain)) == 2


def test_interval_and_exact_value(grid):
    ds = grid.dataset
    ends = ds["ci"].sel(bound="low"), ds["ci"].sel(bound="high")
    inside = (ends[0] <= ds["exact"]) & (ds["exact"] <= ends[1])
    assert float(inside.mean()) > 0.8  # of one noise: the comparisons are far from independent
    np.testing.assert_allclose(ds["se"], ds["msd"] * np.sqrt(2 / 20_000), rtol=0.1)
    low, high = theory.msd_interval(ds["msd"].values, paths=20_000, confidence=0.95)
    np.testing.assert_array_equal(ends[0], low)
    np.testing.assert_array_equal(ends[1], high)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"kind": "sign", "paths": 1000}, {"method": "exact", "momentum": 0.5}])
def test_the_band_covers_as_often_as_it_says(options):
    """1000 small studies: 95 % +- 3 sd of a binomial share is 92.9 to 97.1 %."""
    studies = [sf.msd(**{"paths": 200, "rho": 0.3, "times": [0.1, 0.5], "seed": s, **options}).dataset for s in range(1000)]
    inside = [(ds["ci"].sel(bound="low") <= ds["exact"]) & (ds["exact"] <= ds["ci"].sel(bound="high")) for ds in studies]
    share = np.mean([x.values for x in inside], axis=0)
    assert (share > 0.929).all() and (share < 0.971).all()


def test_the_theorems_are_those_of_the_paper(grid):
    ds = grid.dataset.sel(eigenvalue=-1.0, rho=0.3, batch_size=16)
    common = {"eigenvalue": -1.0, "lr": 0.01, "rho": 0.3, "batch_size": 16, "drift": "plain"}
    np.testing.assert_allclose(ds["theorem"].sel(momentum=0.0), theory.theorem2(TIMES, **common), rtol=1e-13)
    np.testing.assert_allclose(ds["theorem"].sel(momentum=0.6), theory.theorem3(TIMES, momentum=0.6, **common), rtol=1e-13)
    np.testing.assert_allclose(ds["ratio"], ds["theorem"] / ds["exact"], rtol=1e-15)
    chain = sf.msd(rho=0.3, drift="chain", batch_size=16, times=TIMES, paths=100).dataset
    np.testing.assert_allclose(chain["theorem"], theory.theorem2(TIMES, **{**common, "drift": "chain"}), rtol=1e-13)
    assert ds["valid"].sel(momentum=0.0).all() and not ds["valid"].sel(momentum=0.6).isel(time=0)


def test_the_theorems_as_printed():
    """Chain drift, unit noise and C2 = lr/t, whatever is simulated."""
    options = {"rho": 0.3, "momentum": [0.0, 0.6], "batch_size": 16, "times": TIMES, "paths": 100}
    printed, corrected = (sf.msd(**options, noise="same", theorem=t).dataset for t in reversed(THEOREMS))
    common = {"eigenvalue": -1.0, "lr": 0.01, "rho": 0.3, "batch_size": 16}
    np.testing.assert_allclose(printed["theorem"].sel(momentum=0.0), theory.theorem2(TIMES, **common), rtol=1e-13)
    np.testing.assert_allclose(
        printed["theorem"].sel(momentum=0.6), theory.theorem3(TIMES, momentum=0.6, as_printed=True, **common), rtol=1e-13
    )
    np.testing.assert_array_equal(printed["msd"], corrected["msd"])
    assert "as printed" in printed["theorem"].attrs["long_name"] and corrected["valid"].sel(momentum=0.0).all()
    assert not printed["valid"].any()  # the noise alone is off by a factor of 2


def test_times():
    ds = sf.msd(paths=50).dataset
    assert 10 <= ds.sizes["time"] <= 12 and int(ds["steps"][-1]) == 1000 and int(ds["steps"][0]) == 1
    two = sf.msd(paths=50, lr=[0.01, 0.03], times=[0.03, 0.3]).dataset
    assert two["steps"].values.tolist() == [[3, 30], [1, 10]]
    mixed = sf.msd(paths=50, lr=[0.01, 0.004]).dataset
    np.testing.assert_allclose(mixed["steps"] * mixed["lr"] / mixed["time"], 1, rtol=1e-12)
    start = sf.msd(paths=50, times=[0, 0.1]).dataset.isel(time=0)
    assert float(start["msd"]) == float(start["exact"]) == 0 and np.isnan(start["z"])


def test_progress_executor_and_seed():
    seen = []
    few = {"paths": 5000, "times": [0.1], "momentum": [0.0, 0.5]}
    with ThreadPoolExecutor(2) as pool:
        a, b, other, fresh = (
            sf.msd(**few, **options).dataset
            for options in (
                {"progress": lambda done, total: seen.append((done, total))},
                {"executor": pool},
                {"seed": 1},
                {"seed": None},
            )
        )
    assert seen[-1] == (5000, 5000)
    np.testing.assert_array_equal(a["msd"], b["msd"])
    assert (a["msd"] != other["msd"]).all() and (a["msd"] != fresh["msd"]).all()
    np.testing.assert_array_equal(sf.msd(**few, seed=fresh.attrs["seed"]).dataset["msd"], fresh["msd"])


def test_the_call_repeats_the_study(grid):
    for study in (
        grid,
        sf.msd(paths=50, dt=0.005, times=[0.5], noise=["same", "unit"], rho=np.array([0.2, 0.4])),
        sf.msd(paths=50, method="exact", theorem="printed"),
        sf.msd(until=0.1, times=[0.5], seed=None),
    ):
        again = eval(study.dataset.attrs["call"], {"sf": sf})
        np.testing.assert_array_equal(again.dataset["msd"], study.dataset["msd"])


@pytest.mark.parametrize(
    "given, message",
    [
        ({"rho": -0.1}, "rho=-0.1: give values of at least 0"),
        ({"momentum": 1.0}, "momentum=1.0: give values below 1"),
        ({"lr": 0}, "lr=0: give values above 0"),
        ({"batch_size": 0}, "batch_size=0: give values of at least 1"),
        ({"rho": [[0.1]]}, r"rho has shape \(1, 1\): give a number or a flat"),
        ({"rho": [0.1, 0.1]}, "a value occurs twice"),
        ({"eigenvalue": []}, "eigenvalue=.*give at least one"),
        ({"paths": 1}, "paths=1: give at least 2"),
        ({"times": [0.015]}, "times: 0.015 is no multiple of the step 0.01; the nearest are 0.01 and 0.02"),
        ({"times": [0.2, 0.1]}, "times=.*ascending"),
        ({"method": "sde"}, "method='sde': choose one of 'em', 'algorithm', 'exact'"),
        ({"drift": "sgd"}, "drift='sgd': choose"),
        ({"noise": "exact"}, "noise='exact': choose"),
        ({"drift": []}, "drift=.*give at least one of 'plain', 'chain'"),
        ({"noise": ["same", "same"]}, "a value occurs twice"),
        ({"theorem": "2"}, "theorem='2': choose one of 'corrected', 'printed'"),
        ({"dampening": [0, 1]}, "give values below 1"),
        ({"until": 0}, "until=0: give values above 0"),
        ({"until": [0.1, 0.2]}, "until=.*give one number"),
        ({"until": 1e-6}, "until=1e-06: that takes 2e[+]12 paths; give at least"),
        ({"method": "exact", "kind": "sign"}, "kind='sign'.*give kind='normal'"),
        ({"method": "exact", "dt": 0.1}, "dt=0.1: it belongs to method='em'"),
        ({"dt": 0.01, "method": "algorithm"}, "dt=0.01: it belongs to method='em'"),
        ({"dt": 0.005, "momentum": [0, 0.9]}, "momentum 0 and above have different diffusion limits"),
        ({"dt": 1e-9}, "steps; give times="),
        ({"confidence": 1.0}, "confidence=1.0: give values below 1"),
        ({"lr": [0.1, np.pi / 100]}, "no common multiple within 1000 updates; give times="),
    ],
)
def test_errors_name_argument_value_and_remedy(given, message, tmp_path, monkeypatch):
    """Before anything is compiled or written."""
    monkeypatch.setenv("SAMFAST_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(ValueError, match=message) as caught:
        sf.msd(**given)
    assert len(str(caught.value)) < 300 and not list(tmp_path.iterdir())


def test_diverged_paths_are_counted():
    with pytest.warns(sf.DivergenceWarning, match="100 of 200 paths diverged.*earlier times"):
        study = sf.msd(eigenvalue=[-1.0, -80.0], lr=0.1, times=[1, 50], paths=100)
    assert study.dataset["n_diverged"].values.tolist() == [0, 100]
    assert study.dataset["count"].values.tolist() == [[100, 100], [100, 0]]
    assert np.isnan(study.dataset["msd"][1, 1]) and "nan" in str(study)
    study.plot()


def test_steps_beyond_the_last_time_do_not_count():
    """With two learning rates the larger one is carried on, and may overflow, where nobody looks."""
    study = sf.msd(eigenvalue=-30.0, lr=[0.001, 0.1], times=[0.1, 0.5], paths=50)
    assert int(study.dataset["n_diverged"].sum()) == 0


def test_table_and_repr(grid):
    text, line = str(grid), repr(grid)
    assert "\n" not in line and "largest |z|" in line and "20,000 paths" in line
    for part in ("SGD ", "SAM rho=0.3 + momentum 0.6", "theorem 2", "theorem 3", "updates", "exact values agree"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 130 and text.count("theorem 3 ") == 12
    assert "dampening" not in text and "dampening 0.1" in str(sf.msd(paths=50, times=[0.1], dampening=0.1))
    many = str(sf.msd(paths=50, times=[0.1], drift=["plain", "chain"], dampening=[0.0, 0.1]))
    assert "SGD, dampening 0.1, chain drift   (" in many
