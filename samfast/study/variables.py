"""The numbers of a study as an xarray.Dataset that says what they are and where they come from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .plan import CHOICES, PARAMETERS, Plan
from .process import WITHIN
from .table import MATCHED

if TYPE_CHECKING:
    import xarray as xr

LENGTHS = "length^2"  # the loss is a pure number, w a length: so are lr, rho, time and D t lengths squared
UNITS = {
    "eigenvalue": "length^-2",
    "lr": LENGTHS,
    "rho": LENGTHS,
    "momentum": "1",
    "dampening": "1",
    "batch_size": "1",
    "dt": LENGTHS,
    "time": LENGTHS,
    "msd": LENGTHS,
    "se": LENGTHS,
    "ci": LENGTHS,
    "exact": LENGTHS,
    "theorem": LENGTHS,
    "matched_theorem": LENGTHS,
    "z": "1",
    "ratio": "1",
    "matched_ratio": "1",
    "count": "1",
    "left_out": "1",
    "n_diverged": "1",
    "steps": "1",
}
NAMES = {
    "eigenvalue": "eigenvalue of the Hessian",
    "lr": "learning rate",
    "rho": "constant radius of SAM; 0 is SGD",
    "momentum": "heavy-ball momentum",
    "dampening": "dampening of the momentum",
    "batch_size": "minibatch size",
    "dt": "Euler-Maruyama step",
    "time": "time, learning rate x updates",
    "drift": "drift of SAM",
    "noise": "gradients on which the minibatch noise acts",
    "bound": "end of the interval",
    "msd": "mean squared displacement <(w(t) - w(0))^2>, simulated",
    "se": "standard error of msd",
    "exact": "exact mean squared displacement of what was simulated, step size included",
    "ratio": "theorem / exact",
    "matched_ratio": "matched_theorem / exact",
    "valid": f"whether the theorem is {WITHIN} of exact (Theorem 3: inside its range)",
    "matched_valid": f"whether matched_theorem is {WITHIN} of exact (Theorem 3: inside its range)",
    "count": "paths in the mean",
    "left_out": "paths that had diverged by this time and are left out: where there are any, se, ci and z are nan",
    "n_diverged": "paths left out by the last time",
    "steps": "steps done by this time",
}
VARIABLES = ("msd", "se", "ci", "exact", "theorem", "ratio", "valid", *MATCHED, "z", "count", "left_out", "steps", "n_diverged")
THEOREM = {
    "published": "Kim et al., Theorem 2 (momentum 0) or 3: drift eigenvalue*(1 + rho*eigenvalue)^2, unit noise, C2 = t/lr",
    "printed": "Kim et al., Theorem 2 (momentum 0) or 3 as printed: published drift, unit noise, C2 = lr/t",
    "matched": "Kim et al., Theorem 2 (momentum 0) or 3 with the drift and noise of the simulation, C2 = t/lr",
}
THEOREM["both"] = THEOREM["published"]
INTERVAL = {"normal": "chi-square: the paths are Gaussian", "sign": "shifted gamma law with the exact first three moments"}
Z = {
    "normal": "(msd - exact) / standard deviation of msd",
    "sign": "(msd - exact) / exact standard deviation of msd, its skewness taken out by a cube root",
}


def build(plan: Plan, table: Mapping[str, np.ndarray], attrs: Mapping[str, Any]) -> xr.Dataset:
    """The dataset; `table` has the programs on its first axis."""
    import xarray as xr

    given, shape, dims = plan.given, plan.shape, tuple(plan.swept)
    coords: dict[str, Any] = {"time": ("time", plan.times), "bound": ("bound", ["low", "high"])}
    coords |= {d: (d, np.asarray(values)) for d, values in plan.swept.items()}
    coords |= {p: float(a) for p, a in plan.values.items() if not a.ndim}
    table = {**table, "ci": np.stack([table["low"], table["high"]], -1)}
    ends = {"ci": ("time", "bound"), "n_diverged": ()}
    data = {}
    for name in (x for x in VARIABLES if x in table):
        end = ends.get(name, ("time",))
        sizes = {"time": len(plan.times), "bound": 2}
        data[name] = ((*dims, *end), np.array(table[name]).reshape((*shape, *(sizes[e] for e in end))))
    level = float(given.confidence)
    about = {
        "title": "mean squared displacement from a critical point",
        **attrs,
        "confidence": level,
        **{k: getattr(given, k) for k in ("method", "kind", "theorem", "seed", "dtype")},
        **{c: x if isinstance(x, str) else ", ".join(x) for c, x in given.words().items()},
        "dt": "dimension or coordinate dt" if "dt" in plan.values else "lr",
    }
    if plan.until is not None:
        about["until"] = plan.until
    ds = xr.Dataset(data, coords, about)
    for name in (*ds.coords, *ds.data_vars):
        unit = {"units": UNITS[name]} if name in UNITS else {}
        ds[name].attrs = {"long_name": NAMES.get(str(name), ""), **unit}
    ds["theorem"].attrs["long_name"], ds["z"].attrs["long_name"] = THEOREM[given.theorem], Z[given.kind]
    if "matched_theorem" in ds:
        ds["matched_theorem"].attrs["long_name"] = THEOREM["matched"]
    ds["ci"].attrs |= {
        "long_name": f"{100 * level:.6g} % confidence interval of the mean squared displacement",
        "level": level,
        "method": INTERVAL[given.kind],
    }
    ds.attrs["numbers"] = fingerprint(ds)
    return ds


def fingerprint(ds: xr.Dataset) -> str:
    """A hash of all numbers and words of a dataset, the attributes apart."""
    h = hashlib.sha256()
    for name in sorted(map(str, (*ds.coords, *ds.data_vars))):
        a = np.asarray(ds[name])
        if a.dtype.kind == "f":
            a = np.where(np.isnan(a), np.nan, a)  # one nan: their signs do not survive a file
        number = "<f8" if a.dtype.kind == "f" else "<i8"
        h.update(f"{name} {ds[name].dims} {a.shape} ".encode())
        h.update(a.astype(number).tobytes() if a.dtype.kind in "fiub" else repr(a.tolist()).encode())
    return h.hexdigest()


def provenance(call: str, jobs: Sequence[Any]) -> dict[str, Any]:
    """Who computed what, where: versions, machine, hash of each compiled program, and the call."""
    import scipy
    import xarray

    from .. import cache
    from ..backends.cuda import gpu
    from ..machine import described

    programs = {cache.key(job.program): None for job in jobs}
    (device,) = {job.program.device for job in jobs} or {"cpu"}
    about = {"gpu": gpu()} if device == "cuda" else {}
    return {
        "call": call,
        **about,
        "programs": ", ".join(programs),
        **described(device),
        "compiler": ", ".join(sorted({cache.compiler_of(job.program) for job in jobs})),
        "scipy": scipy.__version__,
        "xarray": xarray.__version__,
    }


def msd_call(plan: Plan) -> str:
    """The call of msd that gives this study."""
    paths = plan.given.paths if plan.until is not None else plan.paths
    return written_call("msd", {**vars(plan.given), "times": plan.times, "paths": paths})


def written_call(function: str, given: Mapping[str, Any]) -> str:
    """A call with every argument that decides its numbers, defaults too, since they may change; None is left out."""

    def plain(value: Any) -> Any:
        return value if isinstance(value, str) else np.asarray(value).tolist()

    return f"sf.{function}(" + ", ".join(f"{k}={plain(x)!r}" for k, x in given.items() if x is not None) + ")"


__all__ = ["CHOICES", "PARAMETERS", "build", "fingerprint", "msd_call", "provenance", "written_call"]
