"""sf.msd: simulated = exact within |z| < 5 (chance of a false alarm: about 6e-7 per comparison), and what it is made of."""
import csv
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg

import samfast as sf
from samfast import closed_form, displacement, theory
from samfast.study import COLUMNS, PARAMETERS

TIMES = [0.01, 0.05, 0.2, 0.5]
GRID = {"eigenvalue": [-1.0, 2.0], "rho": [0.0, 0.3, 1.4], "momentum": [0.0, 0.6], "batch_size": [16, 64]}


@pytest.fixture(scope="module")
def grid():
    return sf.msd(**GRID, times=TIMES, paths=20_000)


@pytest.mark.parametrize("method, drift, noise", [
    ("em", "plain", "unit"), ("em", "plain", "same"), ("algorithm", "plain", "same"), ("algorithm", "chain", "independent")])
def test_simulation_meets_the_exact_value(method, drift, noise):
    """20,000 paths: a defect of 5 % in the MSD is 5 standard deviations."""
    study = sf.msd(eigenvalue=[-1.0, 2.0], rho=[0.0, 0.3], momentum=[0.0, 0.6], dampening=0.2, times=TIMES, paths=20_000,
                   method=method, drift=drift, noise=noise, seed=1)
    assert study.worst < 5
    assert np.isfinite(study.dataset["z"]).all()


@pytest.mark.parametrize("options", [{"dt": 0.0025}, {"dt": 0.0025, "momentum": [0.5, 0.9]},
                                     {"lr": [0.01, 0.002], "momentum": 0.5}, {"kind": "sign", "dtype": "float64"}])
def test_other_steps_noises_and_precisions(options):
    assert sf.msd(rho=[0.0, 0.5], times=TIMES, paths=20_000, **options).worst < 5


@pytest.mark.parametrize("defect", [lambda v: {**v, "rho": 0 * v["rho"]}, lambda v: {**v, "batch_size": 2 * v["batch_size"]},
                                    lambda v: {**v, "momentum": v["momentum"] + 0.05}])
def test_a_wrong_exact_value_is_noticed(monkeypatch, defect):
    """The test has failed on a defect: z finds a lost rho, a noise that is off by a factor, a wrong momentum."""
    exact = closed_form.Model.exact
    monkeypatch.setattr(closed_form.Model, "exact", lambda self, v, steps: exact(self, defect(v), steps))
    study = sf.msd(rho=[0.4, 0.5], momentum=0.5, times=TIMES, paths=20_000)
    assert study.worst > 5
    assert "DISAGREE" in study.summary()


def test_a_wrong_simulation_is_noticed(monkeypatch):
    """As if SAM went down instead of up the slope before it looks."""
    made = displacement.rules.sam
    monkeypatch.setattr(displacement.rules, "sam", lambda **k: made(**{**k, "rho": 0 * k["rho"]}))
    assert sf.msd(rho=0.5, momentum=[0.0, 0.5], times=TIMES, paths=20_000).worst > 5


def test_a_grid_is_one_program_and_one_run(monkeypatch):
    runs, simulate = [], displacement.simulate
    monkeypatch.setattr(displacement, "simulate", lambda *a, **k: runs.append(simulate(*a, **k)) or runs[-1])
    sf.msd(**GRID, times=TIMES, paths=100)
    sf.msd(**{**GRID, "rho": [0.0, 0.7], "eigenvalue": -3.0}, times=[0.1], paths=300, seed=5)
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
    assert set(COLUMNS) <= set(ds.data_vars) and float(ds["lr"]) == 0.01 and ds["lr"].dims == ()
    assert ds["n_diverged"].dims == tuple(GRID) and int(ds["count"].min()) == 20_000
    assert set(ds.attrs) >= {"samfast", "numba", "llvmlite", "numpy", "python", "seed", "stream", "dtype", "method",
                             "drift", "noise", "kind", "paths", "dampening", "wall_seconds", "call"}
    assert sf.msd(paths=10, times=[0.1]).dataset["msd"].dims == ("time",)
    assert sf.msd(paths=10, times=0.1, rho=[0.1]).dataset["msd"].dims == ("rho", "time")


def test_interval_and_exact_value(grid):
    ds = grid.dataset
    inside = (ds["low"] <= ds["exact"]) & (ds["exact"] <= ds["high"])
    assert float(inside.mean()) > 0.8       # of one noise: the comparisons are far from independent
    np.testing.assert_allclose(ds["se"], ds["msd"] * np.sqrt(2 / 20_000), rtol=0.1)
    low, high = theory.msd_interval(ds["msd"].values, paths=20_000, confidence=0.95)
    np.testing.assert_array_equal(ds["low"], low)
    np.testing.assert_array_equal(ds["high"], high)


def test_the_theorems_are_those_of_the_paper(grid):
    ds = grid.dataset.sel(eigenvalue=-1.0, rho=0.3, batch_size=16)
    common = {"eigenvalue": -1.0, "lr": 0.01, "rho": 0.3, "batch_size": 16, "drift": "plain"}
    np.testing.assert_allclose(ds["theorem"].sel(momentum=0.0), theory.theorem2(TIMES, **common), rtol=1e-13)
    np.testing.assert_allclose(ds["theorem"].sel(momentum=0.6), theory.theorem3(TIMES, momentum=0.6, **common), rtol=1e-13)
    np.testing.assert_allclose(ds["ratio"], ds["theorem"] / ds["exact"], rtol=1e-15)
    chain = sf.msd(rho=0.3, drift="chain", batch_size=16, times=TIMES, paths=100).dataset
    np.testing.assert_allclose(chain["theorem"], theory.theorem2(TIMES, **{**common, "drift": "chain"}), rtol=1e-13)
    assert ds["valid"].sel(momentum=0.0).all() and not ds["valid"].sel(momentum=0.6).isel(time=0)


def test_times():
    ds = sf.msd(paths=10).dataset
    assert 10 <= ds.sizes["time"] <= 12 and int(ds["steps"][-1]) == 1000 and int(ds["steps"][0]) == 1
    two = sf.msd(paths=10, lr=[0.01, 0.03], times=[0.03, 0.3]).dataset
    assert two["steps"].values.tolist() == [[3, 30], [1, 10]]
    mixed = sf.msd(paths=10, lr=[0.01, 0.004]).dataset
    np.testing.assert_allclose(mixed["steps"] * mixed["lr"] / mixed["time"], 1, rtol=1e-12)
    start = sf.msd(paths=10, times=[0, 0.1]).dataset.isel(time=0)
    assert float(start["msd"]) == float(start["exact"]) == 0 and np.isnan(start["z"])


def test_progress_executor_and_seed():
    seen = []
    few = {"paths": 5000, "times": [0.1], "momentum": [0.0, 0.5]}
    with ThreadPoolExecutor(2) as pool:
        a, b, other, fresh = (sf.msd(**few, **options).dataset for options in (
            {"progress": lambda done, total: seen.append((done, total))}, {"executor": pool}, {"seed": 1}, {"seed": None}))
    assert seen[-1] == (5000, 5000)
    np.testing.assert_array_equal(a["msd"], b["msd"])
    assert (a["msd"] != other["msd"]).all() and (a["msd"] != fresh["msd"]).all()
    np.testing.assert_array_equal(sf.msd(**few, seed=fresh.attrs["seed"]).dataset["msd"], fresh["msd"])


def test_the_call_repeats_the_study(grid):
    for study in (grid, sf.msd(paths=50, dt=0.005, times=[0.5], noise="same", rho=np.array([0.2, 0.4]))):
        again = eval(study.dataset.attrs["call"], {"sf": sf})
        np.testing.assert_array_equal(again.dataset["msd"], study.dataset["msd"])


@pytest.mark.parametrize("given, message", [
    ({"rho": -0.1}, "rho=-0.1: give values of at least 0"), ({"momentum": 1.0}, "momentum=1.0: give values below 1"),
    ({"lr": 0}, "lr=0: give values above 0"), ({"batch_size": 0}, "batch_size=0: give values of at least 1"),
    ({"rho": [[0.1]]}, r"rho has shape \(1, 1\): give a number or a flat"), ({"rho": [0.1, 0.1]}, "a value occurs twice"),
    ({"eigenvalue": []}, "eigenvalue=.*give at least one"), ({"paths": 1}, "paths=1: give at least 2"),
    ({"times": [0.015]}, "times: 0.015 is no multiple of the step 0.01; the nearest are 0.01 and 0.02"),
    ({"times": [0.2, 0.1]}, "times=.*ascending"), ({"method": "exact"}, "method='exact': choose one of 'em', 'algorithm'"),
    ({"drift": "sgd"}, "drift='sgd': choose"), ({"noise": "exact"}, "noise='exact': choose"),
    ({"dt": 0.01, "method": "algorithm"}, "dt=0.01: it belongs to method='em'"),
    ({"dt": 0.005, "momentum": [0, 0.9]}, "momentum 0 and above have different diffusion limits"),
    ({"dt": 1e-9}, "steps; give times="), ({"confidence": 1.0}, "confidence=1.0: give values below 1"),
    ({"lr": [0.1, np.pi / 100]}, "no common multiple within 1000 updates; give times=")])
def test_errors_name_argument_value_and_remedy(given, message):
    with pytest.raises(ValueError, match=message):
        sf.msd(**given)


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


def test_saved_files_read_equal(grid, tmp_path):
    paths = grid.save(tmp_path / "new" / "folder")
    assert [p.name for p in paths] == ["study.csv", "study.json", "study.png"]
    assert sorted(p.name for p in paths[0].parent.iterdir()) == ["study.csv", "study.json", "study.png"]
    for place in (paths[0].parent, paths[1]):
        xr.testing.assert_identical(sf.Study.load(place).dataset, grid.dataset)
    json.loads(paths[1].read_text(), parse_constant=lambda c: pytest.fail(f"{c} is not JSON"))
    with open(paths[0], newline="") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == grid.dataset["msd"].size
    for row in (rows[0], rows[-1]):
        at = {p: float(row[p]) for p in (*GRID, "time")}
        for column in ("msd", "exact", "z", "theorem"):
            assert float(row[column]) == float(grid.dataset[column].sel(at))
    assert set(PARAMETERS) <= set(rows[0])


def test_nan_and_inf_survive_saving(grid, tmp_path):
    ds = grid.dataset.isel(rho=0, momentum=1).copy(deep=True)
    ds["z"][0, 0, 0], ds["ratio"][0, 0, 0], ds["exact"][0, 0, 1] = np.nan, np.inf, -np.inf
    sf.Study(ds).save(tmp_path)
    xr.testing.assert_identical(sf.Study.load(tmp_path).dataset, ds)


def test_a_failed_save_leaves_no_half_file(grid, tmp_path, monkeypatch):
    grid.save(tmp_path)
    before = (tmp_path / "study.png").read_bytes()
    from matplotlib.figure import Figure

    def half(self, f, **k):
        f.write(b"half")
        raise OSError("no space left")
    monkeypatch.setattr(Figure, "savefig", half)
    with pytest.raises(OSError, match="no space"):
        grid.save(tmp_path)
    assert (tmp_path / "study.png").read_bytes() == before and len(list(tmp_path.iterdir())) == 3
    with pytest.raises(FileNotFoundError, match="create it first"):
        grid.plot(tmp_path / "missing" / "a.png")


def test_load_says_what_is_wrong(tmp_path):
    with pytest.raises(FileNotFoundError):
        sf.Study.load(tmp_path)
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(ValueError, match="is not a saved study"):
        sf.Study.load(tmp_path)


@pytest.mark.parametrize("options", [{}, {"rho": [0.0, 0.5], "momentum": [0.0, 0.9]}, {"times": [0, 0.1], "kind": "sign"},
                                     {"eigenvalue": [-1, 0, 1], "rho": list(np.linspace(0, 1, 6))}])
def test_plot_has_every_setting_and_no_text_outside(options, tmp_path):
    study = sf.msd(paths=200, **options)
    figure = study.plot(tmp_path / "a.png")
    FigureCanvasAgg(figure).draw()
    box = figure.bbox.padded(1)
    texts = [t for legend in figure.legends for t in legend.get_texts()]
    for axes in figure.axes:
        texts += [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
    for text in texts:
        extent = text.get_window_extent()
        assert not text.get_text() or (box.contains(extent.x0, extent.y0) and box.contains(extent.x1, extent.y1))
    names = [t.get_text() for t in figure.legends[0].get_texts()]
    if options.get("momentum"):
        assert {"SGD", "SGD + momentum 0.9", "SAM rho=0.5", "SAM rho=0.5 + momentum 0.9"} <= set(names)
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
