"""Comparison: what paired_msd and exit_times give, drawn, saved and read back."""

import csv
from functools import partial

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg

import samfast as sf

FILES = ["comparison.csv", "comparison.json", "comparison.nc", "comparison.png"]


@pytest.fixture(scope="module")
def pairs():
    return sf.paired_msd(lr=0.01, rho=[0.1, 0.5], times=[0.01, 0.1, 1.0], paths=500, seed=3)


@pytest.fixture(scope="module")
def exits():
    return sf.exit_times(limit=[0.05, 0.1], lr=0.1, batch_size=16, rho=[0.0, 1.2], paths=300)


def test_saved_files_read_equal(pairs, tmp_path):
    paths = pairs.save(tmp_path / "new")
    assert [p.name for p in paths] == FILES
    for place in (paths[0].parent, paths[1], paths[2]):
        again = sf.Comparison.load(place)
        xr.testing.assert_identical(again.dataset, pairs.dataset.assign_attrs(numbers=again.dataset.attrs["numbers"]))
        assert str(again) == str(pairs) and repr(again) == repr(pairs)
    with pytest.raises(ValueError, match="is not a saved study"):
        sf.Study.load(paths[2])
    with pytest.raises(FileNotFoundError, match=r"this folder has no study\.nc"):
        sf.Study.load(tmp_path / "new")


def test_the_rows_as_csv(exits, tmp_path):
    """A row per setting, with every number of the dataset."""
    exits.save(tmp_path, formats=["csv"])
    with open(tmp_path / "comparison.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 4 and {*exits.dataset.data_vars, *exits.dataset.coords, "drift", "noise", "note"} == set(rows[0])
    for row in rows:
        part = exits.dataset.sel(limit=float(row["limit"]), rho=float(row["rho"]))
        for name in exits.dataset.data_vars:
            np.testing.assert_array_equal(float(row[name]), float(part[name]))


@pytest.mark.parametrize("call", ["pairs", "exits"])
def test_the_call_repeats_the_numbers(call, request):
    made = request.getfixturevalue(call)
    again = eval(made.dataset.attrs["call"], {"sf": sf})
    xr.testing.assert_equal(again.dataset, made.dataset)
    assert {"samfast", "numpy", "machine", "programs", "stream"} <= set(made.dataset.attrs)


def drawn(made, **how):
    figure = made.plot(**how)
    FigureCanvasAgg(figure).draw()
    return figure


def test_the_picture_shows_the_numbers(pairs):
    """Points with bars of two standard errors, the exact line, the formulas, and z; each setting in its colour."""
    figure, ds = drawn(pairs), pairs.dataset
    top, z = figure.axes
    assert top.get_xscale() == top.get_yscale() == "log" and top.get_ylabel() == "difference  (length²)"
    for i, bars in enumerate(top.containers):
        part = ds.isel(rho=i)
        points, _, (segments,) = bars
        np.testing.assert_array_equal(points.get_ydata(), part["difference"])
        ends = np.array([s[:, 1] for s in segments.get_segments()])
        np.testing.assert_allclose(ends[1:, 1] - ends[1:, 0], 4 * part["se"][1:], rtol=1e-12)
        own = [line for line in top.lines if line.get_color() == points.get_color() and line.get_linestyle() != "None"]
        looks = {line.get_linestyle(): line.get_ydata() for line in own}
        for style, name in (("-", "exact"), ("--", "sde"), (":", "printed")):
            np.testing.assert_array_equal(looks[style][1:], part[name][1:], err_msg=name)
        np.testing.assert_array_equal(z.lines[i].get_ydata(), part["z"])
    names = [t.get_text() for t in figure.legends[0].get_texts()]
    assert names[:2] == ["rho 0.1", "rho 0.5"] and "Kim et al., Corollary 1, eq. 13" in names
    assert top.get_title(loc="left") == "MSD of SGD \N{MINUS SIGN} MSD of SAM on common noise"


def test_the_dimension_on_the_axis(exits, tmp_path):
    figure = drawn(exits, against="rho")
    assert figure.axes[1].get_xlabel() == "radius rho of SAM (length²)" and len(figure.axes[0].containers) == 2
    np.testing.assert_array_equal(figure.axes[0].containers[1][0].get_xdata(), [0.0, 1.2])
    with pytest.raises(ValueError, match="against='lr': choose one of 'limit', 'rho', or leave it out"):
        exits.plot(against="lr")
    exits.plot(tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    one = sf.Comparison(exits.dataset.isel(limit=0, rho=0))  # a point
    assert drawn(one).axes[0].containers[0][0].get_ydata().size == 1


def test_values_of_both_signs_have_a_picture():
    """SAM outruns SGD at some settings: an axis that is linear around 0."""
    both = sf.paired_msd(lr=0.1, eigenvalue=-4.0, rho=[0.1, 0.9], times=[0.2, 1.0], paths=200)
    ds = both.dataset
    flipped = ds.assign(difference=ds["difference"] * xr.DataArray([1.0, -1.0], dims="rho"))
    assert drawn(sf.Comparison(flipped)).axes[0].get_yscale() == "symlog"


save = partial(sf.Comparison.save, formats=["json"])


def test_a_changed_digit_is_noticed(exits, tmp_path):
    (file,) = save(exits, tmp_path)
    value = repr(float(exits.dataset["time"].values.flat[0]))
    file.write_text(file.read_text().replace(value, value[:4] + ("1" if value[4] != "1" else "2") + value[5:]))
    with pytest.warns(UserWarning, match="their hash differs"):
        sf.Comparison.load(tmp_path)
