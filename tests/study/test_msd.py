"""sf.msd: simulated = exact within |z| < 5 (chance of a false alarm: about 6e-7 per comparison), and what it is made of."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import xarray as xr

import samfast as sf
from samfast import theory
from samfast.study import measured, process
from samfast.study.plan import MsdArguments, planned
from samfast.study.process import THEOREMS
from samfast.study.table import rows
from samfast.study.variables import fingerprint

msd = partial(sf.msd, lr=0.01)

TIMES = [0.01, 0.05, 0.2, 0.5]
GRID = {"eigenvalue": [-1.0, 2.0], "rho": [0.0, 0.3, 1.4], "momentum": [0.0, 0.6], "batch_size": [16, 64]}
NAMES = {"msd", "se", "ci", "exact", "theorem", "z", "ratio", "valid", "count", "steps", "n_diverged"} | {
    *("matched_theorem", "matched_ratio", "matched_valid", "left_out")
}


ONE = ("momentum", "dampening", "batch_size", "z", "ratio", "matched_ratio", "count", "left_out", "steps", "n_diverged")
UNITS = {"eigenvalue": "length^-2", **dict.fromkeys(ONE, "1")} | dict.fromkeys(
    ("lr", "rho", "dt", "time", "msd", "se", "ci", "exact", "theorem", "matched_theorem"), "length^2"
)  # the loss is a pure number, w a length


@pytest.fixture(scope="module")
def grid():
    return msd(**GRID, times=TIMES, paths=20_000)


@pytest.mark.parametrize(
    "method, drift, noise",
    [("em", "plain", "unit"), ("em", "plain", "same"), ("algorithm", "plain", "same"), ("algorithm", "chain", "independent")],
)
def test_simulation_meets_the_exact_value(method, drift, noise):
    """20,000 paths: a defect of 5 % in the MSD is 5 standard deviations."""
    study = msd(
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
    assert msd(rho=[0.0, 0.5], times=TIMES, paths=20_000, **options).worst < 5


@pytest.mark.parametrize("momentum, dampening", [(0.0, 0.0), ([0.0, 0.6], [0.0, 0.4])])
def test_the_law_of_the_sde_at_any_times(momentum, dampening):
    """No time is a multiple of lr; the exact column is the SDE's own."""
    study = msd(
        method="exact", rho=[0.0, 0.3], momentum=momentum, dampening=dampening, times=[0.0123, 0.1, 0.777], paths=20_000
    )
    assert study.worst < 5
    ds = study.dataset
    if not np.ndim(momentum):
        np.testing.assert_allclose(ds["matched_ratio"], 1, rtol=1e-13)  # Theorem 2 is exact for the diffusion
    else:
        one = ds["exact"].sel(rho=0.3, momentum=0.6, dampening=0.4)
        want = theory.momentum_sde_moments(
            ds["time"], curvature=theory.curvature(-1.0, rho=0.3), diffusion=0.01 / 128, lr=0.01, momentum=0.6, dampening=0.4
        ).var
        np.testing.assert_allclose(one, want, rtol=1e-13)
    assert int(msd(method="exact", paths=50).dataset.sizes["time"]) == 12


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
    study = msd(rho=[0.4, 0.5], momentum=0.5, times=TIMES, paths=20_000)
    assert study.worst > 5
    assert "DISAGREE" in study.summary()


def test_a_wrong_simulation_is_noticed(monkeypatch):
    """As if SAM went down instead of up the slope before it looks."""
    made = process.rules.sam
    monkeypatch.setattr(process.rules, "sam", lambda **k: made(**{**k, "rho": 0 * k["rho"]}))
    assert msd(rho=0.5, momentum=[0.0, 0.5], times=TIMES, paths=20_000).worst > 5


def test_a_grid_is_one_program_and_one_run(monkeypatch):
    runs, simulate = [], measured.simulate
    monkeypatch.setattr("samfast.study.measured.simulate", lambda *a, **k: runs.append(simulate(*a, **k)) or runs[-1])
    msd(**GRID, times=TIMES, paths=100)
    msd(**{**GRID, "rho": [0.0, 0.7], "eigenvalue": -3.0, "dampening": [0.0, 0.5, 0.9]}, times=[0.1], paths=300, seed=5)
    assert len(runs) == 2 and len({run.job.program.text for run in runs}) == 1


def test_settings_share_their_noise(grid):
    """After one step rho and momentum have not acted yet: the same number in every such setting."""
    first = grid.dataset["msd"].isel(time=0, batch_size=0, eigenvalue=0)
    assert len(np.unique(np.float32(first))) == 1
    alone = msd(eigenvalue=2.0, rho=[0.3], momentum=[0.6], times=TIMES, paths=20_000, batch_size=16).dataset
    both = grid.dataset.sel(eigenvalue=2.0, rho=0.3, momentum=0.6, batch_size=16)
    np.testing.assert_allclose(alone["msd"].squeeze(), both["msd"], rtol=1e-12)


def test_dimensions_are_the_sequences(grid):
    ds = grid.dataset
    assert ds["msd"].dims == (*GRID, "time") and ds["msd"].shape == (2, 3, 2, 2, 4)
    assert set(ds.data_vars) == NAMES and float(ds["lr"]) == 0.01 and ds["lr"].dims == ()
    assert ds["n_diverged"].dims == tuple(GRID) and int(ds["count"].min()) == 20_000
    assert ds["ci"].dims == (*GRID, "time", "bound") and ds["bound"].values.tolist() == ["low", "high"]
    assert msd(paths=50, times=[0.1]).dataset["msd"].dims == ("time",)
    assert msd(paths=50, times=0.1, rho=[0.1]).dataset["msd"].dims == ("rho", "time")


def test_every_parameter_may_be_a_sequence():
    """Drift and noise too, on the same numbers: a value alone is the value in the grid."""
    many = {"drift": ["plain", "chain"], "noise": ["unit", "same"], "dampening": [0.0, 0.3], "dt": [0.005, 0.01]}
    common = {"rho": 0.4, "momentum": 0.5, "times": [0.1, 0.5], "paths": 500}
    ds = msd(**many, **common).dataset
    assert ds["msd"].dims == ("drift", "noise", "dampening", "dt", "time") and ds["msd"].shape == (2, 2, 2, 2, 2)
    at = {"drift": "chain", "noise": "same", "dampening": 0.3, "dt": 0.005}
    alone = msd(**at, **common).dataset
    for name in NAMES:
        np.testing.assert_allclose(ds[name].sel(at), alone[name], rtol=1e-12, err_msg=name)
    assert len(np.unique(ds["exact"])) == 32


def test_what_each_number_is(grid):
    """Names, units and the level of the band, and where the numbers come from."""
    ds = grid.dataset
    for name in (*ds.data_vars, *ds.coords):
        assert ds[name].attrs["long_name"], name
        assert name in ("bound", "valid", "matched_valid") or ds[name].attrs["units"] == UNITS[name], name
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
    again = msd(**GRID, times=TIMES, paths=20_000).dataset
    assert again.attrs["numbers"] == grid.dataset.attrs["numbers"] and again.attrs["programs"] == grid.dataset.attrs["programs"]
    assert msd(**GRID, times=TIMES, paths=20_000, confidence=0.9).dataset.attrs["numbers"] != again.attrs["numbers"]
    chain = msd(paths=50, times=[0.1], drift=["plain", "chain"], rho=0.1).dataset.attrs["programs"].split(", ")
    assert len(set(chain)) == 2


def test_the_hash_tells_axes_apart():
    """The same numbers along other dimensions, or in another shape, are another dataset."""
    square = np.arange(4.0).reshape(2, 2)
    made = [xr.Dataset({"msd": (d, square)}) for d in (("rho", "time"), ("time", "rho"), ("rho", "lr"))]
    made += [xr.Dataset({"msd": ("rho", square.ravel())}), xr.Dataset({"se": (("rho", "time"), square)})]
    assert len({fingerprint(ds) for ds in made}) == 5


def test_the_table_counts_updates_and_marks_what_is_invalid():
    """Updates are times over lr, whatever the step; * at a theorem outside its range."""
    rows = str(msd(lr=0.02, dt=0.005, times=[0.1], paths=50)).partition("\n\n")[2].splitlines()
    assert rows[2].split()[:2] == ["0.1", "5"]
    study = msd(lr=1e-4, momentum=0.9, times=[0.001, 0.1], paths=50)
    assert study.dataset["valid"].values.tolist() == [False, True]
    early, late = str(study).partition("\n\n")[2].splitlines()[2:4]
    assert early.split()[:2] == ["0.001", "10"] and "*" in early and "*" not in late


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
    studies = [msd(**{"paths": 200, "rho": 0.3, "times": [0.1, 0.5], "seed": s, **options}).dataset for s in range(1000)]
    inside = [(ds["ci"].sel(bound="low") <= ds["exact"]) & (ds["exact"] <= ds["ci"].sel(bound="high")) for ds in studies]
    share = np.mean([x.values for x in inside], axis=0)
    assert (share > 0.929).all() and (share < 0.971).all()


def test_the_theorems_are_those_of_the_paper(grid):
    """The column theorem has the published drift whatever is simulated, as `theory` has it; beside it stands SAM's own."""
    ds = grid.dataset.sel(eigenvalue=-1.0, rho=0.3, batch_size=16)
    common = {"eigenvalue": -1.0, "lr": 0.01, "rho": 0.3, "batch_size": 16}
    for column, drift in ({"theorem": {}, "matched_theorem": {"drift": "plain"}}).items():
        np.testing.assert_allclose(ds[column].sel(momentum=0.0), theory.theorem2(TIMES, **common, **drift), rtol=1e-13)
        third = theory.theorem3(TIMES, momentum=0.6, **common, **drift)
        np.testing.assert_allclose(ds[column].sel(momentum=0.6), third, rtol=1e-13)
    for prefix in ("", "matched_"):
        ratio = ds[prefix + "theorem" if prefix else "theorem"] / ds["exact"]
        np.testing.assert_allclose(ds[prefix + "ratio"], ratio, rtol=1e-15)
    chain = msd(rho=0.3, drift="chain", batch_size=16, times=TIMES, paths=100).dataset
    np.testing.assert_array_equal(chain["theorem"], chain["matched_theorem"])
    assert ds["matched_valid"].sel(momentum=0.0).all() and not ds["matched_valid"].sel(momentum=0.6).isel(time=0)


def test_the_published_drift_is_another_number():
    """Kim et al., eq. 12, far from the saddle: 0.0576, while SAM itself, and the same formula with its drift, are at 0.083."""
    options = {"eigenvalue": -0.5, "rho": 0.2, "batch_size": 8, "times": [5.34], "paths": 100}
    study = msd(**options)
    ((row,),) = ([r for r in rows(part)] for _, part in study.settings())
    assert row["theorem"] == pytest.approx(0.0576, rel=1e-3, abs=0) and row["ratio"] == pytest.approx(0.693, rel=1e-3, abs=0)
    assert row["matched_theorem"] == pytest.approx(0.0842, rel=1e-3, abs=0)
    assert row["matched_ratio"] == pytest.approx(1.013, rel=1e-3, abs=0)
    assert not row["valid"] and row["matched_valid"]
    line = str(study).partition("\n\n")[2].splitlines()[2]
    assert "0.6927*" in line and line.endswith("1.013") and "with this drift" in str(study)
    assert "column 'theorem' has the former, 'with this drift' the latter" in study.discrepancies[0]
    for which in THEOREMS:
        one = msd(**options, theorem=which)
        assert "matched_theorem" not in one.dataset and "with this drift" not in str(one).partition("Beside")[0]
        assert float(one.dataset["theorem"][0]) == row["matched_theorem" if which == "matched" else "theorem"]
    assert "with this drift" not in str(msd(times=[0.1], paths=50))  # of SGD there is one formula


def test_the_theorems_as_printed():
    """Chain drift, unit noise and C2 = lr/t, whatever is simulated."""
    options = {"rho": 0.3, "momentum": [0.0, 0.6], "batch_size": 16, "times": TIMES, "paths": 100}
    printed, both = (msd(**options, noise="same", theorem=t).dataset for t in ("printed", "both"))
    common = {"eigenvalue": -1.0, "lr": 0.01, "rho": 0.3, "batch_size": 16}
    np.testing.assert_allclose(printed["theorem"].sel(momentum=0.0), theory.theorem2(TIMES, **common), rtol=1e-13)
    np.testing.assert_allclose(
        printed["theorem"].sel(momentum=0.6), theory.theorem3(TIMES, momentum=0.6, as_printed=True, **common), rtol=1e-13
    )
    np.testing.assert_array_equal(printed["msd"], both["msd"])
    assert "as printed" in printed["theorem"].attrs["long_name"] and both["matched_valid"].sel(momentum=0.0).all()
    assert not printed["valid"].any()  # the noise alone is off by a factor of 2


def test_theorem_3_may_cross_one_outside_its_range():
    """There the ratio is 1 by accident, so that it does not count as valid."""
    model = process.LinearProcess("chain", "unit", "em", True)
    v = {"eigenvalue": -1.0, "lr": 0.01, "rho": 0.0, "momentum": 0.9, "dampening": 0.0, "batch_size": 64}
    t = np.array([0.1, 1.0])
    assert not model.valid(v, t, np.ones(2)).any()  # 10 and 100 updates with a memory of 10, at lr/(1 - momentum)^2 = 1
    gentle = {**v, "lr": 1e-4}
    assert model.valid(gentle, np.array([0.1]), np.ones(1)).all()
    assert model.valid(gentle, np.array([0.1]), np.array([1.149, 0.851])).all()
    assert not model.valid(gentle, np.array([0.1]), np.array([1.151, 0.849])).any()


def test_times():
    ds = msd(paths=50).dataset
    assert 10 <= ds.sizes["time"] <= 12 and int(ds["steps"][-1]) == 1000 and int(ds["steps"][0]) == 1
    two = msd(paths=50, lr=[0.01, 0.03], times=[0.03, 0.3]).dataset
    assert two["steps"].values.tolist() == [[3, 30], [1, 10]]
    mixed = msd(paths=50, lr=[0.01, 0.004]).dataset
    np.testing.assert_allclose(mixed["steps"] * mixed["lr"] / mixed["time"], 1, rtol=1e-12)
    start = msd(paths=50, times=[0, 0.1]).dataset.isel(time=0)
    assert float(start["msd"]) == float(start["exact"]) == 0 and np.isnan(start["z"])


@pytest.mark.parametrize(
    "lr, times, steps",
    [
        (1e-6, 4000 * (1 + 1e-15), 4 * 10**9),  # a rounding more than the nearest float
        (1e-2, np.float32([10.3, 12.3]), [1030, 1230]),
        (np.float32(0.01), [10.0], 1000),
        (0.1, np.cumsum(np.full(10**6, 0.1))[-1], 10**6),  # 1.3e-6 beyond 100,000
        (1.0, [2.0**24 + 1, 2.0**53 - 1], [2**24 + 1, 2**53 - 1]),  # float32 has no 2^24 + 1
        ([0.1, 0.3], [0.3, 0.9], [[3, 9], [1, 3]]),
        ([0.01, 0.07], [0.07, 0.21], [[7, 21], [1, 3]]),
    ],
)
def test_numbers_of_updates_are_whole(lr, times, steps):
    """Quotients just beside a whole number are taken for it; the counts are integers."""
    todo = planned(MsdArguments(lr=lr, times=times))
    assert todo.steps.dtype == np.int64
    np.testing.assert_array_equal(todo.steps, np.atleast_1d(steps))


@pytest.mark.parametrize("lr", [[0.1, 0.3], [0.01, 0.07], [0.003, 0.011]])
def test_default_times_are_reached_by_whole_steps(lr):
    todo = planned(MsdArguments(lr=lr))
    np.testing.assert_allclose(todo.steps * np.array(lr)[:, None], np.broadcast_to(todo.times, todo.steps.shape), rtol=1e-12)
    assert todo.steps.max() <= 1010 and len(todo.times) > 3


@pytest.mark.parametrize("digits, step", [("1000000000000000.5", 1.0), ("10.005", 0.01), ("1000.0000001", 1e-6)])
def test_a_refused_time_is_shown_to_differ(digits, step):
    with pytest.raises(ValueError, match=f"times: {digits} is no multiple of the step {step:g}; the nearest are") as caught:
        planned(MsdArguments(lr=step, times=float(digits)))
    assert len({digits, *str(caught.value).partition("the nearest are ")[2].split(" and ")}) == 3


def test_the_arguments_have_the_defaults_of_msd():
    """Of msd, its record of arguments, paired_msd and exit_times: one default each."""
    record = vars(MsdArguments())
    for call in (sf.msd, sf.paired_msd, sf.exit_times):
        shared = {k: v for k, v in call.__kwdefaults__.items() if k in record and k not in ("paths", "rho")}
        assert shared == {k: record[k] for k in shared} and shared["lr"] == 1e-3
    assert set(sf.msd.__kwdefaults__) - set(record) == {"device", "executor", "progress"}


def test_progress_executor_and_seed():
    seen = []
    few = {"paths": 5000, "times": [0.1], "momentum": [0.0, 0.5]}
    with ThreadPoolExecutor(2) as pool:
        a, b, other, fresh = (
            msd(**few, **options).dataset
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
    np.testing.assert_array_equal(msd(**few, seed=fresh.attrs["seed"]).dataset["msd"], fresh["msd"])


def test_the_call_repeats_the_study(grid):
    for study in (
        grid,
        msd(paths=50, dt=0.005, times=[0.5], noise=["same", "unit"], rho=np.array([0.2, 0.4])),
        msd(paths=50, method="exact", theorem="printed"),
        msd(until=0.1, times=[0.5], seed=None),
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
        ({"theorem": "corrected"}, "theorem='corrected': choose one of 'both', 'published', 'printed', 'matched'"),
        ({"dampening": [0, 1]}, "give values below 1"),
        ({"until": 0}, "until=0: give values above 0"),
        ({"until": [0.1, 0.2]}, "until=.*give one number"),
        ({"until": 1e-6}, "until=1e-06: that takes .* more than 10,000,000,000; give at least"),
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
        msd(**given)
    assert len(str(caught.value)) < 300 and not list(tmp_path.iterdir())


def test_diverged_paths_are_counted():
    with pytest.warns(sf.DivergenceWarning, match="100 of 200 paths diverged.*earlier times") as caught:
        study = msd(eigenvalue=[-1.0, -80.0], lr=0.1, times=[1, 50], paths=100)
    assert caught[0].filename == __file__  # the caller's line
    assert study.dataset["n_diverged"].values.tolist() == [0, 100]
    assert study.dataset["count"].values.tolist() == [[100, 100], [100, 0]]
    assert np.isnan(study.dataset["msd"][1, 1]) and "diverged, 0 of 100 left" in str(study)


@pytest.fixture(scope="module")
def thinned():
    """A row that lost the paths with w^2 > 1e75, some in a hundred of them, beside one that lost none."""
    with pytest.warns(sf.DivergenceWarning):
        return msd(eigenvalue=-80.0, lr=0.1, times=[1.0, 4.1, 4.2], paths=2000, dtype="float64")


def test_a_row_that_lost_paths_is_no_estimate(thinned):
    """The mean of the survivors is biased: it was told with an interval, and as z = -5.7 from the exact value."""
    ds = thinned.dataset
    left = ds["count"].values
    assert left[0] == 2000 and 1000 < left[1] < 2000 and 0 < left[2] < left[1]
    np.testing.assert_array_equal(ds["left_out"], 2000 - left)
    for name in ("se", "z"):
        assert np.isfinite(ds[name][0]) and np.isnan(ds[name][1:]).all()
    assert np.isfinite(ds["ci"][0]).all() and np.isnan(ds["ci"][1:]).all()
    assert np.isfinite(ds["exact"]).all() and (ds["msd"][1:] < ds["exact"][1:]).all()
    assert "agree; 2 of 3 rows are not compared, since paths diverged" in thinned.summary()
    assert f"diverged, {left[1]:,} of 2,000 left" in str(thinned).partition("\n\n")[2].splitlines()[3]


def test_the_answer_comes_first():
    """Before the rows: one sentence for each theorem, with the number that puts Theorem 3 out of its range."""
    both = msd(rho=[0.0, 2.0], momentum=[0.0, 0.9], lr=1e-3, times=[0.1, 1.0], paths=50)
    first = " ".join(str(both).partition("\n\n")[0].split())
    assert first.startswith(
        "Theorem 1: the point does not attract 2 of 4 settings, e.g. SGD; it attracts 2 of 4 settings, e.g. SAM"
    )
    assert "Theorem 2 is within 15 % of the exact MSD in 2 of 4 rows; farthest off for SAM rho=2 at t = 1" in first
    assert "Theorem 3 is within 15 % of the exact MSD nowhere here" in first
    assert "lr*|kappa|/(1 - momentum)^2 = 0.1, it needs <= 0.05" in first
    assert "Theorem 3 is in its range where (1 - momentum)*updates >= 41" in " ".join(str(both).split())
    one = str(msd(times=[0.1], paths=50)).splitlines()
    assert one[:2] == ["Theorem 1: the point attracts no setting", "Theorem 2 is within 15 % of the exact MSD everywhere here"]


def test_a_row_that_lost_paths_is_marked_in_files_and_pictures(thinned, tmp_path):
    thinned.save(tmp_path)
    left = int(thinned.dataset["count"][1])
    lines = (tmp_path / "study.csv").read_text().splitlines()
    assert lines[2].count(f'"diverged, {left:,} of 2,000 left"') == 1 and "diverged" not in lines[1]
    np.testing.assert_array_equal(sf.Study.load(tmp_path / "study.nc").dataset["left_out"], thinned.dataset["left_out"])
    figure = thinned.plot()
    (cross,) = (line for line in figure.axes[0].lines if line.get_marker() == "x")
    np.testing.assert_array_equal(cross.get_ydata()[1:], thinned.dataset["msd"][1:])
    assert np.isnan(cross.get_ydata()[0])
    assert any("paths diverged" in t.get_text() for t in figure.legends[0].get_texts())


def test_pairs_that_diverged_are_not_compared():
    with pytest.warns(sf.DivergenceWarning):
        pairs = sf.paired_msd(eigenvalue=-80.0, lr=0.1, rho=1e-4, times=[1.0, 4.1], paths=2000, dtype="float64")
    ds = pairs.dataset
    assert ds["left_out"][0] == 0 < ds["left_out"][1] and np.isnan(ds["z"][1]) and np.isnan(ds["se"][1])
    assert np.isfinite(ds["z"][0]) and np.isfinite(ds["exact"]).all() and "diverged, " in str(pairs).splitlines()[2]


@pytest.mark.parametrize("z, words", [(4.9, "largest |z| 4.90 of 96: simulation and exact values agree"), (5.1, "DISAGREE")])
def test_the_verdict_turns_at_five(grid, z, words):
    """A standard normal number is beyond 5 once in 1.7 million."""
    ds = grid.dataset.assign(z=grid.dataset["z"] * (z / grid.worst))
    assert words in sf.Study(ds).summary() and ("DISAGREE" in sf.Study(ds).summary()) == (z > 5)


def test_steps_beyond_the_last_time_do_not_count():
    """With two learning rates the larger one is carried on, and may overflow, where nobody looks."""
    study = msd(eigenvalue=-30.0, lr=[0.001, 0.1], times=[0.1, 0.5], paths=50)
    assert int(study.dataset["n_diverged"].sum()) == 0


def test_table_and_repr(grid):
    text, line = str(grid), repr(grid)
    assert "\n" not in line and "largest |z|" in line and "20,000 paths" in line
    for part in ("SGD ", "SAM rho=0.3 + momentum 0.6", "theorem 2", "theorem 3", "updates", "exact values agree"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 130 and text.count("theorem 3 ") == 12
    assert "dampening" not in text and "dampening 0.1" in str(msd(paths=50, times=[0.1], dampening=0.1))
    many = str(msd(paths=50, times=[0.1], drift=["plain", "chain"], dampening=[0.0, 0.1]))
    assert "SGD, dampening 0.1, chain drift   (" in many
