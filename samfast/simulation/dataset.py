"""A run as an xarray.Dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .. import arrays
from ..model.parameters import PerPath
from .job import Job

if TYPE_CHECKING:
    import xarray as xr

UNITS = {
    "w": "length",
    "dw": "length",
    "wp": "length",
    "distance": "length",
    "msd": "length^2",
    "loss": "1",
    "gradient_norm": "1/length",
    "cosine": "1",
    "side": "1",
    "escape": "updates",
    "exit_time": "updates",
    "first": "updates",
}
STATISTICS = {
    "mean": "mean over the paths",
    "var": "unbiased variance over the paths",
    "std_error": "standard error of the mean",
}


class Recorded(Protocol):
    """The attributes of a Run that `run_dataset` reads. This file cannot import Run, since run.py imports this file."""

    @property
    def job(self) -> Job: ...
    @property
    def record(self) -> np.ndarray: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def sweep(self) -> tuple[int, ...]: ...
    @property
    def params(self) -> Mapping[str, Any]: ...
    @property
    def count(self) -> np.ndarray: ...
    @property
    def mean(self) -> np.ndarray: ...
    @property
    def var(self) -> np.ndarray: ...
    @property
    def std_error(self) -> np.ndarray: ...
    @property
    def values(self) -> np.ndarray | None: ...
    @property
    def diverged(self) -> np.ndarray: ...
    @property
    def paths(self) -> int: ...
    @property
    def seeds(self) -> tuple[int, ...]: ...
    @property
    def numbers(self) -> str: ...
    @property
    def info(self) -> Mapping[str, Any]: ...


def run_dataset(run: Recorded, *, host: bool = False) -> xr.Dataset:
    """The statistics of all recorded features, and their values if the run kept them, as an xarray.Dataset.

    The dimensions are those of the sweep, time (in updates), path (only for values) and coordinate (only for vectors). A
    dimension of the sweep has the name of the parameter that alone varies along it; otherwise it is called sweep_0,
    sweep_1, ... and the parameters are its coordinates. A feature such as w gives the variables w_mean, w_var and
    w_std_error, (*sweep, time, coordinate), and, if values were kept, w itself, (*sweep, time, path, coordinate).
    The attributes say what computed it (`Run.info`). host: copy values that lie on a GPU to the host.
    """
    import xarray as xr

    names, coords = _sweep(run)
    dims = (*names, "time")
    coords["time"] = ("time", run.record, {"units": "updates", "long_name": "updates done"})
    values = arrays.to_host(run.values) if host and run.values is not None else run.values
    groups = feature_groups(run.labels, run.job.program.dim)
    variables: dict[str, Any] = {"count": (dims, run.count, {"long_name": "paths in the statistics"})}
    tables = {k: getattr(run, k) for k in STATISTICS}
    for name, at in groups.items():
        vector = isinstance(at, slice)
        more = ("coordinate",) if vector else ()
        units = _units(name)
        for k, table in tables.items():
            squared = f"({units})^2" if units and k == "var" else units
            variables[f"{name}_{k}"] = ((*dims, *more), table[..., at], _attrs(squared, f"{STATISTICS[k]} of {name}"))
        if values is not None:
            variables[name] = ((*dims, "path", *more), values[..., at], _attrs(units, name))
    if run.values is not None:
        coords["path"] = ("path", run.job.first_path + np.arange(run.values.shape[len(run.sweep) + 1]))
    if any(isinstance(at, slice) for at in groups.values()):
        coords["coordinate"] = ("coordinate", np.arange(run.job.program.dim))
    seeds = ", ".join(map(str, run.seeds))
    about = {
        "program": run.job.program.name,
        "seed": seeds,
        "paths": run.paths,
        "diverged": len(run.diverged),
        "numbers": run.numbers,
        **run.info,
    }
    return xr.Dataset(variables, coords, about)


def _attrs(units: str | None, long_name: str) -> dict[str, str]:
    return {"long_name": long_name} | ({"units": units} if units else {})


def _units(name: str) -> str | None:
    return UNITS.get(name.removeprefix("max_").removeprefix("min_"))


def feature_groups(labels: tuple[str, ...], dim: int) -> dict[str, int | slice]:
    """Columns by feature: labels w0, w1, ..., one for each of the `dim` coordinates, become one vector w, others stay."""
    out: dict[str, int | slice] = {}
    i = 0
    while i < len(labels):
        base = labels[i].removesuffix("0")
        if base and base != labels[i] and labels[i : i + dim] == tuple(f"{base}{j}" for j in range(dim)):
            out[base] = slice(i, i + dim)
            i += dim
        else:
            out[labels[i]] = i
            i += 1
    return out


def _sweep(run: Recorded) -> tuple[list[str], dict[str, Any]]:
    """(names of the dimensions of the sweep, parameters as coordinates of the dataset)."""
    shapes: dict[str, tuple[int, ...]] = {}
    columns = dict(run.job.program.columns)
    for name, value in run.params.items():
        if isinstance(value, PerPath):
            continue
        array = np.asarray(value)
        vector = columns.get(name, 1) > 1 or (array.ndim > 0 and array.ndim > len(run.sweep))
        shapes[name] = array.shape[:-1] if vector else array.shape
    names: list[str] = []
    coords: dict[str, Any] = {}
    along = {k: [axis + len(run.sweep) - len(s) for axis, n in enumerate(s) if n > 1] for k, s in shapes.items()}
    for axis in range(len(run.sweep)):
        only = [k for k, a in along.items() if a == [axis]]
        names.append(only[0] if len(only) == 1 and np.asarray(run.params[only[0]]).size == run.sweep[axis] else f"sweep_{axis}")
    for name, axes in along.items():
        value = np.asarray(run.params[name], float)
        if not axes and value.size == 1:
            coords[name] = float(value.ravel()[0])
        elif value.size == np.prod([run.sweep[a] for a in axes]) and axes:
            coords[name] = (tuple(names[a] for a in axes), value.reshape([run.sweep[a] for a in axes]))
    return names, coords
