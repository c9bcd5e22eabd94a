"""Studies on disk: exact, whole or not at all; and the notes under the table."""

import csv
import functools
import gc
import json
import math
import os
import random
import re
import warnings
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import samfast as sf
from samfast.study import saved
from samfast.study.plan import PARAMETERS
from samfast.study.saved import COLUMNS, FORMATS
from samfast.study.table import MATCHED
from samfast.study.variables import fingerprint

msd = partial(sf.msd, lr=0.01)

GRID = {"rho": [0.0, 0.3], "momentum": [0.0, 0.6], "drift": ["plain", "chain"]}
FILES = ["study.csv", "study.json", "study.nc", "study.png"]


@pytest.fixture(scope="module")
def grid():
    return msd(**GRID, times=[0.1, 0.5], paths=1000, seed=2**64 - 1)


def test_saved_files_read_equal(grid, tmp_path):
    paths = grid.save(tmp_path / "new" / "folder")
    assert [p.name for p in paths] == FILES and sorted(p.name for p in paths[0].parent.iterdir()) == FILES
    for place in (paths[0].parent, paths[1], paths[2]):
        again = sf.Study.load(place).dataset
        xr.testing.assert_identical(again, grid.dataset)
        assert {k: type(v) for k, v in again.attrs.items()} == {k: type(v) for k, v in grid.dataset.attrs.items()}
        for name in grid.dataset.variables:
            assert again[name].dtype == grid.dataset[name].dtype and again[name].attrs == grid.dataset[name].attrs
    json.loads(paths[1].read_text(), parse_constant=lambda c: pytest.fail(f"{c} is not JSON"))
    assert str(sf.Study.load(paths[2])) == str(grid)


def test_any_netcdf_reader_reads_it(grid, tmp_path):
    """The library below xarray finds the numbers, their names and units."""
    import h5netcdf

    grid.save(tmp_path, formats=["nc"])
    with h5netcdf.File(tmp_path / "study.nc") as f:
        assert f.variables["msd"].attrs["units"] == "length^2" and f.attrs["seed"] == 2**64 - 1
        np.testing.assert_array_equal(f.variables["msd"][...], grid.dataset["msd"])


def test_the_table_as_csv(grid, tmp_path):
    grid.save(tmp_path, formats=["csv"])
    with open(tmp_path / "study.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == grid.dataset["msd"].size
    assert list(rows[0]) == ["drift", "noise", *(p for p in PARAMETERS if p != "dt"), *COLUMNS, "n_diverged"]
    assert set(MATCHED) < set(rows[0])
    for row in (rows[0], rows[-1]):
        at = {p: row[p] if p == "drift" else float(row[p]) for p in (*GRID, "time")}
        for column in ("msd", "exact", "z", "theorem", "matched_theorem", "matched_ratio"):
            assert float(row[column]) == float(grid.dataset[column].sel(at))
        assert float(row["high"]) == float(grid.dataset["ci"].sel({**at, "bound": "high"}))


def test_a_study_with_one_formula_has_its_columns_only(tmp_path):
    one = msd(rho=0.3, times=[0.1], paths=50, theorem="published")
    one.save(tmp_path, formats=["csv"])
    assert "matched" not in (tmp_path / "study.csv").read_text()


@pytest.mark.parametrize("ending, first", [(".pdf", b"%PDF"), (".png", b"\x89PNG"), (".svg", b"<?xml"), ("", b"\x89PNG")])
def test_a_picture_is_what_its_ending_says(grid, tmp_path, ending, first):
    grid.plot(tmp_path / f"a{ending}")
    found = (tmp_path / f"a{ending}").read_bytes()
    assert found.startswith(first) and (ending != ".svg" or b"<svg" in found)


def test_files_may_be_read_by_others_and_are_renamed_into_place(grid, tmp_path, monkeypatch):
    """Mode 644 under the usual umask; each file appears by one rename, whole."""
    renamed, replace = [], os.replace
    monkeypatch.setattr("samfast.atomic.os.replace", lambda a, b: renamed.append(Path(b).name) or replace(a, b))
    before = os.umask(0o022)
    try:
        paths = grid.save(tmp_path)
    finally:
        os.umask(before)
    assert renamed == [p.name for p in paths] == FILES
    assert {p.stat().st_mode & 0o777 for p in paths} == {0o644}


def test_another_study_is_not_overwritten(grid, tmp_path):
    """The same call may be written again, another one is refused, as are files that nobody can tell."""
    refuse = partial(saved.refuse_another, named="--out a", word="--overwrite")
    call = grid.dataset.attrs["call"]
    refuse(tmp_path / "none", call)
    refuse(tmp_path, call)
    grid.save(tmp_path, formats=["csv", "json"])
    refuse(tmp_path, call)
    with pytest.raises(FileExistsError, match=r"it holds another study, sf.msd\(.*; give another folder, or --overwrite"):
        refuse(tmp_path, call.replace("paths=1000", "paths=1001"))
    (tmp_path / "study.json").unlink()
    with pytest.raises(FileExistsError, match=r"it holds files of a study that cannot be told: study.csv"):
        refuse(tmp_path, call)
    before = (tmp_path / "study.csv").read_bytes()
    with pytest.raises(FileExistsError, match="give another folder, or overwrite=True"):
        grid.save(tmp_path, formats=["csv"])
    assert (tmp_path / "study.csv").read_bytes() == before
    grid.save(tmp_path, formats=["csv", "nc"], overwrite=True)
    assert grid.save(tmp_path, formats=["csv"]), "the same study once more"


def test_nan_and_inf_survive_saving(grid, tmp_path):
    """Of either sign and in either file; a part of a study is a study, with a hash of its own."""
    ds = grid.dataset.isel(rho=0, momentum=1).copy(deep=True)
    ds["z"][0, 0], ds["ratio"][0, 0], ds["exact"][0, 1] = -np.nan, np.inf, -np.inf
    sf.Study(ds).save(tmp_path, formats=["json", "nc"])
    for file in ("study.json", "study.nc"):
        again = sf.Study.load(tmp_path / file).dataset
        assert again.attrs["numbers"] == fingerprint(ds) != ds.attrs["numbers"]
        xr.testing.assert_identical(again, ds.assign_attrs(numbers=fingerprint(ds)))


def test_a_changed_digit_is_noticed(grid, tmp_path):
    grid.save(tmp_path, formats=["json"])
    file = tmp_path / "study.json"
    value = repr(float(grid.dataset["msd"].values.flat[3]))
    assert value in file.read_text()
    file.write_text(file.read_text().replace(value, value[:4] + ("1" if value[4] != "1" else "2") + value[5:]))
    with pytest.warns(UserWarning, match="their hash differs"):
        sf.Study.load(tmp_path)


def _as_of_old(ds, theorem):
    """How a study was saved before it had `left_out`; "corrected" was what is now the matched theorem."""
    ds = ds.drop_vars("left_out").assign_attrs(theorem=theorem)
    return ds.assign_attrs(numbers=fingerprint(ds))


@pytest.mark.parametrize("kind", ["nc", "json"])
def test_a_study_that_was_saved_before_left_out_is_read(tmp_path, kind):
    """With the survivors' z left out where paths had diverged, as it would be saved now; a changed digit is noticed."""
    ds = msd(rho=[0.0, 0.3], times=[0.1, 0.5], paths=1000, theorem="matched").dataset
    lost = ds.copy(deep=True)
    lost["count"][1, 1] -= 3
    now = lost.copy(deep=True)
    now["left_out"][1, 1] = 3
    for name in ("se", "ci", "z"):
        now[name][1, 1] = np.nan
    old = _as_of_old(lost, "corrected")
    saved.write(tmp_path, "study", old, [], {}, (kind,))
    again = sf.Study.load(tmp_path)
    xr.testing.assert_identical(again.dataset, now.assign_attrs(numbers=fingerprint(now)))
    assert "diverged, 997 of 1,000 left" in str(again)
    again.save(tmp_path / "new", formats=[kind])
    xr.testing.assert_identical(sf.Study.load(tmp_path / "new").dataset, again.dataset)
    with pytest.warns(UserWarning, match="their hash differs"):
        _written(tmp_path / "other", old.assign_attrs(numbers="0" * 64), kind)


def _written(folder, ds, kind):
    """A study on disk with the hash that its attributes have, loaded."""
    folder.mkdir()
    (folder / f"study.{kind}").write_bytes(saved._netcdf(ds) if kind == "nc" else json.dumps(saved._plain(ds)).encode())
    return sf.Study.load(folder)


def test_a_study_of_old_whose_theorem_no_column_holds_is_refused(tmp_path):
    ds = msd(rho=0.3, times=[0.1], paths=50, theorem="printed").dataset
    with pytest.raises(ValueError, match=r"older samfast saved it with theorem='printed'.*compute it again, .*sf.msd\(") as e:
        _written(tmp_path / "a", _as_of_old(ds, "printed"), "json")
    assert "\n" not in str(e.value)


def test_formats_and_pictures_by_choice(grid, tmp_path):
    part = sf.Study(grid.dataset.sel(drift=["plain"]))
    written = part.save(tmp_path, formats=["json", "png"], plots=["difference", "momentum"])
    assert [p.name for p in written] == ["study.json", "study-difference.png", "study-momentum.png"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in written)
    with pytest.raises(ValueError, match=f"formats='xls': choose one of {', '.join(map(repr, FORMATS))}"):
        grid.save(tmp_path, formats=["xls"])
    with pytest.raises(ValueError, match="kind='batch_size': this study has one batch_size; give msd a list"):
        grid.save(tmp_path / "none", plots=["batch_size"])
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("kind", ["nc", "png"])
def test_a_failed_save_leaves_no_half_file(grid, tmp_path, monkeypatch, kind):
    grid.save(tmp_path, formats=[kind])
    before = (tmp_path / f"study.{kind}").read_bytes()
    from matplotlib.figure import Figure

    def half(self, f, **k):
        if hasattr(f, "write"):
            f.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(Figure, "savefig", half)
    monkeypatch.setattr("matplotlib.backends.backend_agg.FigureCanvasAgg.print_png", half)
    monkeypatch.setattr(xr.Dataset, "to_netcdf", half)
    with pytest.raises(OSError, match="no space"):
        grid.save(tmp_path, formats=[kind], overwrite=True)
    assert (tmp_path / f"study.{kind}").read_bytes() == before and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(FileNotFoundError, match="create it first"):
        grid.plot(tmp_path / "missing" / "a.png")


@pytest.mark.parametrize("file, content", [("study.json", "{}"), ("study.json", "no"), ("study.nc", "no"), ("study.nc", "")])
def test_load_says_what_is_wrong(tmp_path, file, content):
    with pytest.raises(FileNotFoundError, match=r"this folder has no study.nc"):
        sf.Study.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        sf.Study.load(tmp_path / "else.nc")
    (tmp_path / file).write_text(content)
    with pytest.raises(ValueError, match="is not a saved study"):
        sf.Study.load(tmp_path)


def reads_or_says_so(path):
    """A damaged file is a study that names itself, or one line that names the file; nothing else, and soon."""
    try:
        with warnings.catch_warnings(action="ignore"):
            found = sf.Study.load(path)
    except ValueError as error:
        assert str(path) in str(error) and str(error).isprintable() and len(str(error)) < 700, error
    else:
        assert repr(found).startswith("Study(msd, ")


def damaged(raw):
    """The document with one thing wrong: a key left out, or another value in its place."""
    odd = [None, 3, -1.5, "x", [], {}, [[1, 2], [3]], "9" * 400, "\x1b[31m", True]
    for i, (top, inner) in enumerate((t, k) for t in raw for k in [None, *(raw[t] if isinstance(raw[t], dict) else ())]):
        for change in ("drop", odd[i % len(odd)]):
            copy = json.loads(json.dumps(raw))
            place, key = (copy, top) if inner is None else (copy[top], inner)
            if change == "drop":
                del place[key]
            else:
                place[key] = change
            yield copy
        if top in ("data_vars", "coords") and inner is not None:
            for key, value in (("dtype", "S99999999999999"), ("dtype", "O"), ("dims", ["no"]), ("data", "x"), ("attrs", 3)):
                copy = json.loads(json.dumps(raw))
                copy[top][inner][key] = value
                yield copy


def test_damaged_documents_are_said_to_be_damaged(grid, tmp_path):
    grid.save(tmp_path, formats=["json"])
    file = tmp_path / "study.json"
    raw = json.loads(file.read_text())
    tried = 0
    for copy in damaged(raw):
        file.write_text(json.dumps(copy))
        reads_or_says_so(file)
        tried += 1
    assert tried > 100
    file.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="is not a saved study"):
        sf.Study.load(file)
    os.mkfifo(tmp_path / "fifo.json")
    for name in (tmp_path / "fifo.json", "/dev/zero"):
        with pytest.raises(ValueError, match=r"give a regular file of at most"):
            sf.Study.load(name)


# --- files that were changed at random: a study (or comparison) that prints itself, or one line ----------------------------
ODD = [
    None, 3, -1.5, 0, -1, 2**70, 0.5, True, math.nan, math.inf, 1e308, 1e-300, "x", "9" * 400, "nan", "\x1b[31m",
    "\u202e", "$\\frac$", "plain, chain", "float64", "int64", "object", [], {}, [None], [[1, 2], [3]], [0.5, 0.5], [1, 2],
    ["low", "high"],
]  # fmt: skip


def places(document, path=()):
    """Where something stands in a JSON document; of a list the first entries."""
    inside = document.items() if isinstance(document, dict) else enumerate(document[:2]) if isinstance(document, list) else ()
    for key, value in inside:
        yield (*path, key)
        yield from places(value, (*path, key))


def changed(document, draw):
    """A copy with up to three things left out, renamed, nested or replaced."""
    copy = json.loads(json.dumps(document))
    for _ in range(draw.choice([1, 1, 2, 3])):
        *way, key = draw.choice(list(places(copy)))
        place = functools.reduce(lambda at, k: at[k], way, copy)
        how = draw.random() if isinstance(place, dict) else 1.0
        if how < 0.3:
            del place[key]
        elif how < 0.4:
            place[draw.choice(["\x1b[2J", "x", "time", "msd", "bound", "$a$"])] = place.pop(key)
        elif how < 0.5:
            place[key] = functools.reduce(lambda inner, _: [inner], range(draw.choice([3, 400])), 1)
        else:
            place[key] = draw.choice(ODD)
    return copy


def as_netcdf(document, file):
    """False where no NetCDF file can say this."""
    try:
        for v in (*document["data_vars"].values(), *document["coords"].values()):
            v["data"] = np.asarray(v["data"], v["dtype"])
        xr.Dataset.from_dict(document).to_netcdf(file, engine="h5netcdf")
    except Exception:
        return False
    return True


def uses_or_says_so(kind, file):
    try:
        with warnings.catch_warnings(action="ignore"):
            found = kind.load(file)
            text = f"{found!r}\n{found}"
    except ValueError as error:
        assert str(file) in str(error) and str(error).isprintable() and len(str(error)) < 900, error
        return False
    assert text.replace("\n", "").isprintable()
    return True


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # h5netcdf's destructor after its own failure
@pytest.mark.parametrize("form, tries", [("json", 60), ("nc", 12), ("bytes", 24)])
def test_files_that_were_changed_at_random(grid, tmp_path, form, tries):
    if form == "bytes" and h5py.version.hdf5_version_tuple < (2, 0, 0):
        pytest.skip(f"HDF5 {h5py.version.hdf5_version} itself crashes on some damaged files, before any Python sees them")
    grid.save(tmp_path, formats=["json", "nc"])
    exits = sf.exit_times(limit=[0.05, 0.1], lr=0.1, batch_size=16, rho=[0.0, 1.2], paths=300)
    exits.save(tmp_path, formats=["json", "nc"])
    draw, read = random.Random(form), 0
    for i in range(tries):
        kind, stem = ((sf.Study, "study"), (sf.Comparison, "comparison"))[i % 2]
        source = json.loads((tmp_path / f"{stem}.json").read_text())
        file = tmp_path / f"changed-{i}.{'json' if form == 'json' else 'nc'}"
        if form == "bytes":
            raw = bytearray((tmp_path / f"{stem}.nc").read_bytes())
            for _ in range(draw.choice([1, 30, 1000])):
                raw[draw.randrange(len(raw))] = draw.randrange(256)
            file.write_bytes(raw)
        elif form == "json":
            file.write_text(json.dumps(changed(source, draw)))
        elif not as_netcdf(changed(source, draw), file):
            continue
        read += uses_or_says_so(kind, file)
    gc.collect()  # what h5netcdf has left half made says so here, and not in the test that comes next
    assert 0 < read < tries


@pytest.mark.parametrize(
    "where, value, field",
    [
        (("coords", "rho", "data"), [-1.0, 0.3], "rho="),
        (("coords", "momentum", "data"), [0.0, 1.5], "momentum="),
        (("coords", "time", "data"), [0.5, 0.1], "coordinate time"),
        (("coords", "drift", "data"), ["plain", "cain"], "drift='cain'"),
        (("data_vars", "msd", "dims"), ["rho", "momentum", "drift", "time"], "variable msd"),
        (("data_vars", "count", "dtype"), "float64", "variable count"),
        (("data_vars", "valid", "dtype"), "S999999999999", "field valid: dtype="),
        (("attrs", "paths"), "many", "attribute paths='many'"),
        (("attrs", "seed"), 1.5, "attribute seed=1.5"),
        (("attrs", "status"), "unknown", "attribute status='unknown'"),
        (("attrs", "machine"), [[1], [2]], "attribute machine="),
        (("attrs", "system"), "\x1b[31m", "attribute system: it has control characters"),
    ],
)
def test_the_field_that_is_wrong_is_named(grid, tmp_path, where, value, field):
    grid.save(tmp_path, formats=["json"])
    file = tmp_path / "study.json"
    document = json.loads(file.read_text())
    functools.reduce(lambda at, k: at[k], where[:-1], document)[where[-1]] = value
    file.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=f"study.json is not a saved study .*{re.escape(field)}"):
        sf.Study.load(file)


# --- what the published text says otherwise -----------------------------------------------------------------------------
PATHS = 50  # the programs of larger studies: few paths would be other ones


def said(**options):
    return " | ".join(msd(paths=PATHS, **{"times": [0.1, 1.0], **options}).discrepancies)


def test_nothing_is_said_where_all_agrees():
    """SGD without momentum: Theorem 2 is right."""
    assert said() == "" and "Beside the text" not in str(msd(paths=PATHS, times=[0.1]))


def test_the_notes_of_each_statement():
    """Each with its number, each only where it applies."""
    sam = said(rho=0.5)
    chain, plain = (sf.theory.em_variance([10, 100], curvature=k, diffusion=0.01 / 128, dt=0.01) for k in (-0.25, -0.5))
    low, high = sorted(chain / plain)
    assert f"with the former the exact MSD would be {low:.3g} to {high:.3g} times" in sam
    assert "0.25 times as large (noise='same')" in sam
    assert "Corollary 1" not in sam and "Theorem 3" not in sam
    assert "with the former" not in said(rho=0.5, drift="chain") and "noise='same'" not in said(rho=0.5, noise="same")
    assert "Corollary 1" in said(rho=[0.0, 0.5])
    assert "here up to 1.88 times its leading term" in said(rho=[0.0, 0.5])  # 3*0.5/(8*0.1)
    assert "slides" not in said(rho=[0.0, 0.001])
    heavy = said(momentum=[0.0, 0.9])
    for part in (
        "prints C2 = lr/t where t/lr is meant",
        "also corrected and with the drift that was simulated, is an approximation",
        "C3 and C4 are negative",
        "at momentum 0 is not Theorem 2",
        "not proportional to 1/(1 - momentum)",
    ):
        assert part in heavy
    assert "C3 and C4" not in said(momentum=0.9, eigenvalue=1.0)
    assert "falls with momentum" not in heavy and "batch_size" not in heavy
    assert "falls with momentum" in said(eigenvalue=1.0, lr=1.5, momentum=[0.0, 0.1], times=[150.0])
    assert "falls with momentum" not in said(momentum=[0.0, 0.9, 0.95], method="exact", times=[1e-3])
    same = {"momentum": [0.0, 0.5, 0.9], "dampening": [0.0, 0.5, 0.9]}
    assert "with dampening = momentum, which keeps the effective learning rate, the MSD falls" in said(**same)
    assert "keeps the effective" not in said(momentum=[0.0, 0.5], dampening=[0.0, 0.3])
    assert "smaller batches leave the saddle faster" in said(batch_size=[16, 64])
    assert "rho = 1 is 1/|eigenvalue|" in said(rho=[0.0, 1.0]) and "neutral" not in said(rho=[0.0, 0.999])


def test_the_numbers_of_the_notes():
    """The factor of C2, and that of 1/(1 - momentum), by hand."""
    study = msd(paths=PATHS, momentum=[0.0, 0.9], times=[0.1])
    t3 = {
        p: float(sf.theory.theorem3(0.1, eigenvalue=-1.0, lr=0.01, momentum=0.9, batch_size=64, as_printed=p))
        for p in (False, True)
    }
    assert f"as printed it is {t3[True] / t3[False]:.3g} times" in study.discrepancies[0]
    exact = study.dataset["exact"].values[:, 0]
    assert f"is {0.1 * exact[1] / exact[0]:.3g} times that of momentum 0" in study.discrepancies[-1]
