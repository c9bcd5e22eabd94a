"""Runs on disk, as NetCDF: what a run shows, for any reader, and beside it what is needed to go on with it.

The file holds no code. Its program is written again from a recipe (see codegen.recipe), and must have the formulas that the run
was computed with; else the run can be read, but not continued.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import NUMERICS, arrays
from ..atomic import renamed
from ..checks import check, said
from ..codegen.pipeline import written_again
from ..codegen.program import MODES, Program
from ..codegen.recipe import Recipe
from ..machine import STREAM
from ..model.parameters import PerPath
from .dataset import feature_groups, run_dataset
from .fingerprint import formulas
from .job import Job

if TYPE_CHECKING:
    import xarray as xr

GROUP = "run"  # of the file, with what the root does not show; parts of a merged run are in run_0, run_1, ...
FORM = 1  # of the file
SHARE = 0.8  # of the free memory, the most that a file may claim
TABLES = ("sums", "shift", "count")  # arrays of a run that begin with the dimensions of its sweep


def write(run: Any, path: Path, overwrite: bool) -> Path:
    """Write a run beside the path and rename it; FileExistsError for a file that is there, unless it may be replaced."""
    check(not run.missing, "save: this run was interrupted; finish it first by sf.resume(run)")
    check(
        overwrite or not path.exists(),
        f"path={str(path)!r}: there is such a file; give another name, or overwrite=True",
        FileExistsError,
    )
    renamed(path, lambda temporary: _put(run, temporary))
    return path


def _put(run: Any, path: Path) -> None:
    shown: xr.Dataset = run_dataset(run, host=True)
    shown.to_netcdf(path, engine="h5netcdf")
    parts = run.of_runs or ()
    for name, one in [(GROUP, run), *((f"{GROUP}_{i}", part) for i, part in enumerate(parts))]:
        _group(one, state=name == GROUP, parts=len(parts) if name == GROUP else 0).to_netcdf(
            path, engine="h5netcdf", group=name, mode="a"
        )


def _group(run: Any, *, state: bool, parts: int) -> xr.Dataset:
    """What the root of the file does not show. state: whether to write it; parts take theirs from the whole."""
    import xarray as xr

    job, p = run.job, run.job.program
    check(job.recipe is not None, "save: the program of this run has no recipe; compute the run anew")
    data: dict[str, Any] = {
        k: _anonymous(k, getattr(run, k).reshape(-1, *getattr(run, k).shape[len(run.sweep) :])) for k in TABLES
    }
    data |= {
        k: _anonymous(k, np.asarray(x)) for k, x in (("record", run.record), ("diverged", run.diverged), ("params", job.params))
    }
    data["job_shift"] = _anonymous("job_shift", job.shift)
    data |= {f"row_{k}": _anonymous(f"row_{k}", arrays.to_host(v)) for k, v in job.rows.items()}
    given = {k: v.values if isinstance(v, PerPath) else np.asarray(v, float) for k, v in job.given.items()}
    data |= {f"given_{k}": _anonymous(f"given_{k}", arrays.to_host(v)) for k, v in given.items()}
    data["recipe"] = ("recipe_bytes", np.frombuffer(job.recipe.text.encode(), np.uint8))
    if state and run.state is not None:
        data["state"] = _anonymous("state", arrays.to_host(run.state))
    about = {
        "form": FORM,
        "numerics": NUMERICS,
        "stream": STREAM,
        "formulas": formulas(p.text),
        "writer": job.recipe.writer,
        "program": {f.name: _plain(getattr(p, f.name)) for f in fields(Program) if f.name != "text"},
        "paths": run.paths,
        "job_paths": job.paths,
        "first_path": job.first_path,
        "seed": job.seed,
        "sweep": list(run.sweep),
        "parts": parts,
        "numbers": run.numbers,
        "info": dict(run.info),
        "per_path": [k for k, v in job.given.items() if isinstance(v, PerPath)],
        **{k: getattr(job, k) for k in ("shared_noise", "on_divergence", "values", "state")},
    }
    return xr.Dataset(data, attrs={"about": json.dumps(about)})


def _anonymous(name: str, x: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    return tuple(f"{name}_{i}" for i in range(x.ndim)), x


def _plain(x: Any) -> Any:
    """A field of a Program for JSON."""
    if isinstance(x, frozenset):
        return sorted(x)
    if isinstance(x, dict):
        return {k: list(v) for k, v in x.items()}
    return [repr(v) if isinstance(v, float) else v for v in x] if isinstance(x, tuple) else x


def is_run(path: Path) -> bool:
    """Whether a file is NetCDF with the group of a run."""
    import h5netcdf

    try:
        with h5netcdf.File(path, "r") as file:
            return GROUP in file.groups
    except (OSError, ValueError, RuntimeError, KeyError):
        return False


def read(path: Path) -> list[dict[str, Any]]:
    """The fields of the Run in a file, and of the runs that were merged into it; ValueError for a file that is no saved run."""
    check(path.is_file(), f"path={str(path)!r}: there is no such file", FileNotFoundError)
    try:
        import xarray as xr

        def opened(group: str | None) -> xr.Dataset:
            with xr.open_dataset(path, engine="h5netcdf", group=group, decode_cf=False) as ds:
                free = arrays.free_memory()
                check(free is None or ds.nbytes < SHARE * free, f"it claims {ds.nbytes:,} bytes")
                return ds.load()

        shown, whole = opened(None), opened(GROUP)
        found = [_fields(whole, shown)]
        parts, at = int(json.loads(whole.attrs["about"])["parts"]), 0
        for i in range(parts):
            part = _fields(opened(f"{GROUP}_{i}"), None)
            job = part["job"]
            for name, axis in (("values", len(part["sweep"]) + 1), ("state", 2)):
                array = found[0][name]
                if array is not None:
                    part[name] = array[(*[slice(None)] * axis, slice(at, at + job.paths))]
            at += job.paths
            found.append(part)
        check(not parts or at == found[0]["paths"], "its parts")
    except Exception as error:
        if isinstance(error, MemoryError | KeyboardInterrupt):
            raise
        raise ValueError(f"path={str(path)!r}: this is no saved run ({said(error)}); give a file that save wrote") from None
    return found


def changed(path: Path, run: Any, numbers: str) -> None:
    """Warn if the numbers of a file are not those that were written."""
    if run.numbers != numbers:
        warnings.warn(f"{path}: these are not the numbers that samfast wrote (their hash differs)", stacklevel=4)


def _program(raw: Mapping[str, Any]) -> Program:
    """A program without its text, which is enough to read a run."""
    made = dict(raw)
    made["rows"] = {str(k): tuple(map(int, v)) for k, v in raw["rows"].items()}
    made["columns"] = tuple((str(k), int(n)) for k, n in raw["columns"])
    made["memory"], made["labels"] = tuple(map(float, raw["memory"])), tuple(map(str, raw["labels"]))
    made["per_path"] = frozenset(raw["per_path"])
    check(made["mode"] in MODES, "its dtype")
    return Program(text="", **made)


def _fields(ds: xr.Dataset, shown: xr.Dataset | None) -> dict[str, Any]:
    about = json.loads(ds.attrs["about"])
    check(about["form"] == FORM, f"it has the form {about['form']}, this samfast reads {FORM}")
    text = ds["recipe"].values.astype(np.uint8).tobytes().decode()
    program, recipe = _program(about["program"]), Recipe(None, about["writer"], text)
    if (about["numerics"], about["stream"]) == (NUMERICS, STREAM):
        again, fresh = written_again(text)
        if formulas(again.text) == about["formulas"] and again.labels == program.labels:
            program, recipe = again, fresh
    sweep = tuple(int(n) for n in about["sweep"])
    p, records, settings, paths = program, ds["record"].size, int(np.prod(sweep)), int(about["job_paths"])
    tables = {k: ds[k].values.reshape(*sweep, *ds[k].shape[1:]) for k in TABLES}
    nf = len(p.labels)
    record, params = ds["record"].values.astype(np.int64), ds["params"].values.astype(p.dtype)
    rows = {k[4:]: ds[k].values.astype(p.dtype) for k in map(str, ds.data_vars) if k.startswith("row_")}
    state = ds["state"].values.astype(p.dtype) if "state" in ds else None
    good = {
        "sums": tables["sums"].shape == (*sweep, records, nf, p.moments),
        "shift": tables["shift"].shape == (*sweep, records, nf) and ds["job_shift"].shape == (settings, nf),
        "count": tables["count"].shape == (*sweep, records),
        "record": records > 0 and bool((np.diff(record) > 0).all()) and int(record[0]) >= 0,
        "parameters": params.ndim == 3
        and params.shape[1:] == (settings, sum(n for _, n in p.columns))
        and len(params) in (1, records),
        "paths": 0 < int(about["paths"]) < 2**62 and 0 < paths < 2**62 and 0 <= int(about["first_path"]) < 2**62,
        "seed": 0 <= int(about["seed"]) < 2**64,
        "rows": all(k in p.rows and v.shape in ((len(p.rows[k]), 1), (len(p.rows[k]), paths)) for k, v in rows.items()),
        "state": state is None or state.shape == (settings, p.state_rows, int(about["paths"])),
        "on_divergence": about["on_divergence"] in ("mask", "raise", "keep"),
    }
    for name, well in good.items():
        check(well, f"its {name}")
    names = [str(k).removeprefix("given_") for k in ds.data_vars if str(k).startswith("given_")]
    given: dict[str, Any] = {}
    for k in names:
        x = ds[f"given_{k}"].values.astype(float)
        given[k] = PerPath(x) if k in about["per_path"] else x if x.ndim else float(x)
    job = Job(
        program=program,
        recipe=recipe,
        paths=paths,
        seed=int(about["seed"]),
        params=params,
        rows=rows,
        shift=ds["job_shift"].values,
        sweep=sweep,
        given=given,
        first_path=int(about["first_path"]),
        on_divergence=about["on_divergence"],
        shared_noise=bool(about["shared_noise"]),
        values=bool(about["values"]),
        state=bool(about["state"]),
    )
    return {
        "job": job,
        "record": record,
        "labels": p.labels,
        "sweep": sweep,
        "params": given,
        **tables,
        "diverged": ds["diverged"].values.astype(np.int64).reshape(-1, 3),
        "paths": int(about["paths"]),
        "seed": job.seed,
        "values": None if shown is None or not job.values else _values(shown, p, (*sweep, records, int(about["paths"]), nf)),
        "state": state,
        "info": {str(k): v for k, v in about["info"].items() if isinstance(v, str | int | float)},
        "numbers": str(about["numbers"]),
    }


def _values(shown: xr.Dataset, p: Program, shape: tuple[int, ...]) -> np.ndarray | None:
    """The values of every path, which the root of the file shows by feature; None if the run kept none."""
    groups = feature_groups(p.labels, p.dim)
    if not all(name in shown for name in groups):
        return None
    values = np.empty(shape, p.dtype)
    for name, at in groups.items():
        values[..., at] = shown[name].values
    return values


__all__ = ["changed", "is_run", "read", "write"]
