"""Studies and comparisons on disk: written beside and renamed, read back exactly."""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ..arrays import free_memory
from ..atomic import beside
from ..checks import check, choice, said, shown
from .figures import draw
from .plan import CHOICES, PARAMETERS
from .schema import CHECKS
from .table import MATCHED, Table, rows

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure


STEM = "study"
MARK = {"study": "msd", "comparison": "curves"}  # a variable or attribute that tells one from the other
OLD = {"msd", "se", "ci", "z", "count", "paths", "theorem", "call"}  # of a study that was saved before it had left_out
FORMATS: tuple[str, ...] = ("csv", "json", "nc", "png")
DTYPE = re.compile(r"u?int(8|16|32|64)|float(16|32|64)|bool|object|<U[0-9]{1,3}")  # of a variable in JSON
SHARE = 0.8  # of the free memory, the most that a saved study may take
DPI = 150  # of pictures
LARGEST = 2**32  # bytes of a saved study, and of the numbers in it
COLUMNS = ("time", "steps", "msd", "se", "low", "high", "exact", "theorem", "ratio", "valid", *MATCHED, "z", "count", "note")


def save(study: Table, folder: Path, formats: tuple[str, ...], plots: tuple[str, ...], overwrite: bool) -> list[Path]:
    """Write study.csv, .json, .nc and the pictures; FileExistsError for a folder that holds another study."""
    _checked(formats)
    if not overwrite:
        refuse_another(folder, str(study.dataset.attrs["call"]), f"folder={str(folder)!r}", "overwrite=True")
    pictures = {(f"{STEM}.png" if kind == "time" else f"{STEM}-{kind}.png"): kind for kind in plots if "png" in formats}
    figures = {file: draw(study, kind) for file, kind in pictures.items()}  # before anything is written
    return write(folder, STEM, study.dataset, study_rows(study), figures, formats)


def write(
    folder: Path,
    stem: str,
    ds: xr.Dataset,
    rows: Iterable[Mapping[str, Any]],
    figures: Mapping[str, Figure],
    formats: tuple[str, ...],
) -> list[Path]:
    """Write a dataset as stem.csv (the rows), .json and .nc, and figures; what fails leaves the older file as it was."""
    from .variables import fingerprint

    _checked(formats)
    ds = ds.assign_attrs(numbers=fingerprint(ds))  # it may be a part of what was computed
    writers: dict[str, Callable[[IO[bytes]], Any]] = {
        "csv": lambda f: f.write(_csv(rows).encode()),
        "json": lambda f: f.write((json.dumps(_plain(ds), indent=1, allow_nan=False) + "\n").encode()),
        "nc": lambda f: f.write(_netcdf(ds)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for kind in (k for k in formats if k in writers):
        beside(folder / f"{stem}.{kind}", writers[kind])
        written.append(folder / f"{stem}.{kind}")
    for file, figure in figures.items():
        write_figure(figure, folder / file)
        written.append(folder / file)
    return written


def write_figure(figure: Figure, path: Path) -> None:
    """Write a picture in the format of its ending: .png, .pdf or .svg; PNG without one."""
    ending = path.suffix.lstrip(".") or "png"
    beside(path, lambda f: _png(figure, f) if ending == "png" else figure.savefig(f, format=ending, dpi=DPI))


def _png(figure: Figure, file: IO[bytes]) -> None:
    """The bytes of `savefig`, which draws a figure twice: first to measure what constrained layout has measured before."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    usual = figure.dpi
    try:
        figure.dpi = DPI
        FigureCanvasAgg(figure).print_png(file)
    finally:
        figure.dpi = usual


def _checked(formats: tuple[str, ...]) -> None:
    for kind in formats:
        choice("formats", kind, FORMATS)


def refuse_another(folder: Path, call: str, named: str, word: str, stem: str = STEM) -> None:
    """Raise FileExistsError if a folder holds another study than that of this call, or files of an unknown one.

    named: the folder as the message names it. word: what to give to write all the same. stem: "study" or "comparison".
    """
    files = sorted(f.name for f in folder.glob(f"{stem}*") if f.suffix.lstrip(".") in FORMATS) if folder.is_dir() else []
    if files:
        try:
            there = str(load(folder, stem).attrs["call"])
        except (OSError, ValueError, KeyError):
            there = ""
        what = f"another {stem}, {there}" if there else f"files of a {stem} that cannot be told: {', '.join(files)}"
        check(there == call, f"{named}: it holds {what}; give another folder, or {word}", FileExistsError)


def load(path: Path, stem: str = STEM) -> xr.Dataset:
    """The dataset of a folder, or of a file; a warning if its numbers are not those that were written."""
    from .variables import fingerprint

    file = path
    if path.is_dir():
        there = [path / f"{stem}.{kind}" for kind in ("nc", "json") if (path / f"{stem}.{kind}").exists()]
        check(
            bool(there),
            f"path={str(path)!r}: this folder has no {stem}.nc and no {stem}.json; give a folder that save wrote",
            FileNotFoundError,
        )
        file = there[0]
    check(file.exists(), f"path={str(path)!r}: there is no such file or folder", FileNotFoundError)
    size = file.stat().st_size if file.is_file() else -1
    check(0 <= size <= LARGEST, f"path={str(path)!r}: give a regular file of at most {LARGEST:,} bytes, as save writes it")
    with _damage(path, f"{file} is not a saved {stem}"):
        ds = _from_netcdf(file) if file.suffix == ".nc" else _from_json(file)
        ds.attrs = {k: v.item() if isinstance(v, np.generic) else v for k, v in ds.attrs.items()}
        changed = ds.attrs.get("numbers") != fingerprint(ds)
        old = "left_out" not in ds and OLD <= {*ds.data_vars, *ds.attrs} and stem == STEM
        ds = _translated(ds) if old else ds
        CHECKS[stem](ds)
    if changed:
        warnings.warn(f"{file}: these are not the numbers that samfast wrote (their hash differs)", stacklevel=3)
    return ds


def contents(file: Path) -> set[str]:
    """The names of variables and attributes in a file; empty for one that cannot be read."""
    try:
        ds = _from_netcdf(file) if file.suffix == ".nc" else _from_json(file)
    except Exception:  # of nearly every kind there is
        return set()
    return {str(x) for x in (*ds.variables, *ds.attrs)}


@contextmanager
def _damage(path: Path, what: str) -> Iterator[None]:
    """Whatever a reader of a damaged file raises is one ValueError, which names the file and says what is wrong.

    The readers of NetCDF raise nearly every kind of exception there is.
    """
    try:
        yield
    except Exception as error:
        raise ValueError(f"path={str(path)!r}: {what} ({said(error)}); give a folder that save wrote") from None


def _translated(ds: xr.Dataset) -> xr.Dataset:
    """A study of the time before `left_out`, as it would be saved now.

    What was the corrected theorem then is the matched one now. Where paths had diverged, z, se and ci were those of the
    survivors, which are no fair sample.
    """
    from .variables import NAMES, THEOREM, UNITS, fingerprint

    check(
        ds.attrs["theorem"] == "corrected",
        f"an older samfast saved it with theorem={ds.attrs['theorem']!r}, as printed but with the drift "
        f"that was simulated, which no column holds now; compute it again, then by {ds.attrs['call']}",
    )
    left_out = (int(ds.attrs["paths"]) - ds["count"]).assign_attrs(long_name=NAMES["left_out"], units=UNITS["left_out"])
    fair = {k: ds[k].where(left_out == 0).transpose(*ds[k].dims).assign_attrs(ds[k].attrs) for k in ("se", "ci", "z")}
    new = ds.assign(**fair, left_out=left_out).assign_attrs(theorem="matched")
    new["theorem"].attrs["long_name"] = THEOREM["matched"]
    return new.assign_attrs(numbers=fingerprint(new))


def _from_netcdf(file: Path) -> xr.Dataset:
    """The sizes stand in the header, so that a file which claims too much is refused before memory is taken."""
    import h5py  # type: ignore[import-untyped, import-not-found, unused-ignore]
    import xarray as xr

    with h5py.File(file, "r"):  # h5netcdf leaves a half-made object, and a message of its destructor, where this fails
        pass
    with xr.open_dataset(file, engine="h5netcdf") as ds:
        most = min(LARGEST, SHARE * (free_memory() or LARGEST))
        check(ds.nbytes <= most, f"it claims {ds.nbytes:,} bytes, of which {int(most):,} are free")
        return ds.load()


def _from_json(file: Path) -> xr.Dataset:
    import xarray as xr

    raw = json.loads(file.read_text(encoding="utf-8"))
    check(isinstance(raw, dict), "it is no JSON object")
    for part in ("coords", "data_vars", "attrs"):
        check(isinstance(raw.get(part), dict), f"field {part}: it is missing, or no JSON object")
    for name, variable in (*raw["coords"].items(), *raw["data_vars"].items()):
        check(isinstance(variable, dict) and {"dims", "data", "dtype"} <= {*variable}, f"field {name}: no dims, data and dtype")
        kind = variable["dtype"]
        known = isinstance(kind, str) and DTYPE.fullmatch(kind) is not None
        check(known, f"field {name}: dtype={shown(kind)} is none that samfast writes")
        try:
            variable["data"] = np.asarray(variable["data"], kind)
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"field {name}: {error}") from None
    return xr.Dataset.from_dict(raw)


def _netcdf(ds: xr.Dataset) -> bytes:
    """The bytes of a NetCDF 4 file, which the library writes to a path only."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "study.nc"
        ds.to_netcdf(file, engine="h5netcdf")
        return file.read_bytes()


def study_rows(study: Table) -> Iterator[dict[str, Any]]:
    """The lines of study.csv."""
    names = [p for p in (*CHOICES, *PARAMETERS) if p != "dt" or "dt" in study.dataset.coords]
    columns = [c for c in COLUMNS if c not in MATCHED or c in study.dataset]
    for setting, part in study.settings():
        for row in rows(part):
            fixed = {p: setting[p] for p in names}
            yield {**fixed, **{c: row[c] for c in columns}, "n_diverged": int(part["n_diverged"])}


def frame(lines: Iterable[Mapping[str, Any]], form: str, fixed: Iterable[str]) -> pd.DataFrame:
    """Rows as a data frame. form: "wide", or "long" with the columns `variable` and `value`; fixed: columns that stay."""
    import pandas as pd

    choice("form", form, ("wide", "long"))
    table = pd.DataFrame(list(lines))
    return table if form == "wide" else table.melt([c for c in fixed if c in table], var_name="variable", value_name="value")


def _csv(lines: Iterable[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for i, line in enumerate(lines):
        if i == 0:
            writer.writerow(line)
        writer.writerow([c if isinstance(c, str) else repr(c) for c in line.values()])
    return out.getvalue()


def _plain(x: Any) -> Any:
    """For JSON, which has no inf and nan: they become strings, which NumPy reads as numbers again."""
    import xarray as xr

    if isinstance(x, xr.Dataset):
        raw = x.to_dict()
        for key, variable in (*raw["coords"].items(), *raw["data_vars"].items()):
            variable["dtype"] = str(x[key].dtype)
        return _plain(raw)
    if isinstance(x, Mapping):
        return {str(k): _plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [_plain(v) for v in x]
    return repr(x) if isinstance(x, float) and not np.isfinite(x) else x
