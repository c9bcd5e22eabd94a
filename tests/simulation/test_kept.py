"""Runs on disk: the same bits again, gone on with, and nothing executed from a file."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import samfast as sf
from samfast.codegen import pipeline
from samfast.codegen.recipe import Recipe, specification
from samfast.simulation.kept import _group

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from programs import CASES

RULE = sf.noisy(sf.sam(lr=0.1, rho=[0.0, 0.5]), sigma=0.1)


def simulated(paths=40, **more):
    options = {"record": [0, 5], "values": True, "device": "plain", **more}
    return plain(sf.losses.double_well(), RULE, [0.0, 0.0], paths=paths, **options)


def plain(loss, rule, start, *, device, record, **options):
    """A run whose text Python runs: nothing is compiled."""
    from samfast.simulation.prepare import prepared_job
    from samfast.simulation.run import complete

    job = prepared_job(loss, rule, start, device=device, **options)
    return complete(job, np.asarray(record), None, None, None, {})


def same(a, b):
    for name in ("sums", "shift", "count", "diverged", "record", "values", "state"):
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None), name
        if x is not None:
            np.testing.assert_array_equal(x, y, name)
    assert a.numbers == b.numbers and a.labels == b.labels and repr(a) == repr(b)


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_program_is_written_again_from_its_recipe(name, device):
    """Every kind of program, to the letter, with its layout, and with a writer for one path."""
    case = CASES[name]
    for single in (False, True):
        writer, spec = pipeline.specified(case.loss, case.rule, case.observer, device=device, single=single)
        program, recipe = pipeline.written(writer, spec), pickle.loads(pickle.dumps(Recipe(spec, writer.__name__)))
        pipeline._programs.clear()
        again, _ = pipeline.written_again(recipe.text)
        assert again == program and again.text == program.text


def test_a_saved_run_is_the_same_run(tmp_path):
    run = simulated()
    assert run.save(tmp_path / "run.nc") == tmp_path / "run.nc"
    again = sf.load(tmp_path / "run.nc")
    same(again, run)
    assert again.info == run.info and again.info["numerics"] == sf.NUMERICS and again.info["compiler"] == "none"
    xr.testing.assert_identical(again.dataset, run.dataset)
    same(sf.resume(again, record=[9]), sf.resume(run, record=[9]))
    same(again.replay(7), run.replay(7))
    longer = sf.resume(again, record=[9])
    longer.save(tmp_path / "run.nc", overwrite=True)
    same(sf.Run.load(tmp_path / "run.nc"), longer)


def test_any_netcdf_reader_reads_it(tmp_path):
    run = simulated()
    run.save(tmp_path / "run.nc")
    with xr.open_dataset(tmp_path / "run.nc", engine="h5netcdf") as ds:
        np.testing.assert_array_equal(ds["w"], run.dataset["w"])
        assert ds["w_mean"].attrs["units"] == "length" and ds.attrs["numerics"] == sf.NUMERICS


def test_parameters_and_starts_of_each_path_are_kept(tmp_path):
    rng = np.random.default_rng(0)
    rule = sf.noisy(sf.sam(lr=0.1, rho=sf.per_path(rng.random(9))), sigma=sf.vector([0.1, 0.2]))
    run = plain(sf.losses.double_well(), rule, rng.normal(size=(9, 2)), device="plain", record=[3], state=False)
    run.save(tmp_path / "run.nc")
    again = sf.load(tmp_path / "run.nc")
    same(again, run)
    same(again.replay(4), run.replay(4))
    with pytest.raises(ValueError, match="each path of this run has a start or parameters of its own"):
        again.more(paths=3)


def test_more_paths_are_the_next_ones(tmp_path):
    """The paths of a longer run, and of a merged run after it was saved."""
    whole, run = simulated(paths=70), simulated(paths=40).more(paths=30)
    np.testing.assert_array_equal(run.values, whole.values)
    np.testing.assert_allclose(run.mean, whole.mean, rtol=1e-14, atol=1e-17)
    np.testing.assert_allclose(run.var, whole.var, rtol=1e-13, atol=0)
    run.save(tmp_path / "run.nc")
    again = sf.load(tmp_path / "run.nc")
    same(again, run)
    same(again.more(paths=5), run.more(paths=5))
    same(sf.resume(again, record=[9]), sf.resume(run, record=[9]))
    np.testing.assert_array_equal(again.more(paths=30).values[..., :70, :], whole.values)


def test_a_merged_run_goes_on_with_its_own_seed():
    """Paths of another seed that were merged into it are not taken for its last ones."""
    both = simulated(paths=8).merge(simulated(paths=20, seed=1)).more(paths=4)
    np.testing.assert_array_equal(both.values[..., -4:, :], simulated(paths=12).values[..., -4:, :])


def test_without_noise_there_are_no_more_paths():
    run = plain(sf.losses.double_well(), sf.gd(lr=0.1), [0.1, 0.0], device="plain", record=[3])
    with pytest.raises(ValueError, match="this run has no noise"):
        run.more(paths=3)


def test_a_file_is_not_replaced_unasked(tmp_path):
    simulated().save(tmp_path / "run.nc")
    before = (tmp_path / "run.nc").read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        simulated(paths=3).save(tmp_path / "run.nc")
    assert (tmp_path / "run.nc").read_bytes() == before
    simulated(paths=3).save(tmp_path / "run.nc", overwrite=True)
    assert sf.load(tmp_path / "run.nc").paths == 3 and len(list(tmp_path.iterdir())) == 1


def rewritten(path, change, array=None):
    """The file with another record of the run; `array` changes its arrays."""
    run = simulated()
    group = _group(run, state=True, parts=0)
    about = json.loads(group.attrs["about"])
    change(about)
    group = (array(group) if array else group).assign_attrs(about=json.dumps(about))
    run.dataset.to_netcdf(path, engine="h5netcdf")
    group.to_netcdf(path, engine="h5netcdf", group="run", mode="a")
    return run


def test_a_run_of_other_numerics_is_read_and_not_continued(tmp_path):
    run = rewritten(tmp_path / "run.nc", lambda about: about.update(numerics=sf.NUMERICS + 1))
    again = sf.load(tmp_path / "run.nc")
    np.testing.assert_array_equal(again.mean, run.mean)
    np.testing.assert_array_equal(again.final(), run.final())
    for go_on in (lambda: again.more(paths=2), lambda: sf.resume(again, record=[9]), lambda: again.replay(1)):
        with pytest.raises(ValueError, match="it can be read, not continued"):
            go_on()


def test_a_run_of_other_formulas_is_not_continued(tmp_path):
    rewritten(tmp_path / "run.nc", lambda about: about.update(formulas="0" * 16))
    with pytest.raises(ValueError, match="it can be read, not continued"):
        sf.load(tmp_path / "run.nc").more(paths=2)


def test_changed_numbers_are_noticed(tmp_path):
    rewritten(tmp_path / "run.nc", lambda about: None, lambda ds: ds.assign(sums=ds["sums"] * 2))
    with pytest.warns(UserWarning, match="not the numbers that samfast wrote"):
        sf.load(tmp_path / "run.nc")


@pytest.mark.parametrize(
    "name, change",
    [
        ("state", lambda ds: ds.isel(state_1=slice(1))),
        ("state of fewer paths", lambda ds: ds.isel(state_2=slice(1))),
        ("parameters", lambda ds: ds.isel(params_2=slice(1))),
        ("record", lambda ds: ds.assign(record=-ds["record"])),
        ("shift", lambda ds: ds.isel(job_shift_1=slice(1))),
        ("a row that is none", lambda ds: ds.rename(row_w="row_x")),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, name, change):
    """A program reads its state without asking how long it is."""
    rewritten(tmp_path / "run.nc", lambda about: None, change)
    with pytest.raises(ValueError, match="this is no saved run"):
        sf.load(tmp_path / "run.nc")


def damaged(change):
    raw = json.loads(simulated().job.recipe.text)
    change(raw)
    return json.dumps(raw)


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.update(loss='x"""\nimport os'),
        lambda r: r.update(dim=3),
        lambda r: r.update(dim=10**9),
        lambda r: r.update(lanes=512),
        lambda r: r.update(device="other"),
        lambda r: r.update(writer="Other"),
        lambda r: r.update(memory={"t": [{"f": "1.0"}]}),
        lambda r: r["nodes"].append(["exec", 0]),
        lambda r: r["nodes"].insert(0, ["neg", 10**6]),
        lambda r: r["nodes"].append(["var", "a b", "state", False]),
        lambda r: r["nodes"].append(["const", "__import__"]),
        lambda r: r["traced"].update(draws=-1),
        lambda r: r["traced"].update(draws=10**9),
        lambda r: r["traced"].update(features={"l": []}),
        lambda r: r["traced"].pop("new"),
        lambda r: r.pop("nodes"),
    ],
)
def test_a_damaged_recipe_is_refused(change):
    """Names, operations, references and lengths that no model has."""
    with pytest.raises(ValueError, match="the recipe of its program is damaged"):
        pipeline.written_again(damaged(change))


def test_a_recipe_holds_no_code():
    writer, spec = specification(simulated().job.recipe.text)
    assert writer == "CpuWriter" and not any(callable(x) for x in (*vars(spec.loss).values(), *vars(spec.rule).values()))


def test_other_files_are_no_runs(tmp_path):
    (tmp_path / "a.nc").write_bytes(b"nothing")
    for path, error in ((tmp_path / "a.nc", ValueError), (tmp_path / "b.nc", FileNotFoundError), (tmp_path, FileNotFoundError)):
        with pytest.raises(error):
            sf.load(path)
    with pytest.raises(ValueError, match="this is no saved run"):
        sf.Run.load(tmp_path / "a.nc")
    with pytest.raises(TypeError, match="give a folder or a file"):
        sf.load(3)


def test_data_frames():
    run = simulated()
    wide = run.to_pandas(coordinates=["x", "y"])
    assert list(wide.columns) == ["rho", "path", "updates", "x", "y"] and len(wide) == 2 * 40 * 2
    row = wide[(wide["rho"] == 0.5) & (wide["path"] == 3) & (wide["updates"] == 5)]
    np.testing.assert_array_equal(row[["x", "y"]].to_numpy()[0], run.values[1, 1, 3])
    long = run.to_pandas("long")
    assert list(long.columns) == ["rho", "path", "updates", "feature", "value"] and len(long) == 2 * len(wide)
    np.testing.assert_array_equal(long[long["feature"] == "w1"]["value"], wide["y"])
    statistics = run.to_pandas(paths=False)
    assert list(statistics.columns[:3]) == ["rho", "updates", "count"] and len(statistics) == 4
    np.testing.assert_array_equal(statistics["w1_std_error"], run.std_error[..., 1].ravel())
    rho = np.linspace(0, 1, 5)
    own = plain(
        sf.losses.double_well(), sf.sam(lr=0.1, rho=sf.per_path(rho)), [0.1, 0], device="plain", record=[2], values=True
    )
    np.testing.assert_array_equal(own.to_pandas()["rho"], rho)
    for wrong in (["x"], ["x", "x"]):
        with pytest.raises(ValueError, match="give 2 different names"):
            run.to_pandas(coordinates=wrong)
    with pytest.raises(TypeError, match="coordinates='xy': give a sequence of words"):
        run.to_pandas(coordinates="xy")
    with pytest.raises(ValueError, match="this run kept no values"):
        simulated(values=False).to_pandas(paths=True)


def test_a_notebook_shows_a_table():
    html = simulated()._repr_html_()
    assert html.count("<tr>") == 5 + 1 + 2 and "w1_std_error" in html and simulated().numbers in html


def test_pictures_of_sweeps():
    """A map over two parameters with theory's line where it changes sign, a curve over one, the course in time without any."""
    rho, lr = np.array([0.0, 0.5, 1.0]), np.array([[0.1], [0.2]])
    rule = sf.noisy(sf.sam(lr=lr, rho=rho), sigma=0.1)
    run = plain(sf.losses.double_well(), rule, [0.5, 0.0], paths=5, device="plain", record=[0, 4])
    axes = run.plot(boundary=np.array([[1, 1, -1], [1, -1, -1]])).axes[0]
    np.testing.assert_array_equal(np.asarray(axes.collections[0].get_array()).reshape(3, 2), run.mean[:, :, -1, 0].T)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("lr", "rho") and axes.get_legend() is not None
    one = simulated().plot(feature="w1").axes[0]
    np.testing.assert_array_equal(one.lines[0].get_ydata(), simulated().mean[:, -1, 1])
    course = plain(sf.losses.double_well(), sf.gd(lr=0.1), [0.5, 0.0], device="plain", record=[0, 2, 4]).plot().axes[0]
    assert course.get_xlabel() == "updates" and list(course.lines[0].get_xdata()) == [0, 2, 4]
    with pytest.raises(ValueError, match=r"give an array of the sweep's shape \(2, 3\)"):
        run.plot(boundary=[1.0])
