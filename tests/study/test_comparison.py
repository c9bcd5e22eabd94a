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
