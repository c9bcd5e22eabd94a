"""Corollary 1: by how much the mean squared displacement of SGD exceeds that of SAM, on common noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import theory
from ..checks import check
from . import exact_sampling
from .plan import CHOICES, PARAMETERS
from .process import USEFUL, WITHIN, LinearProcess, Values
from .table import Table

if TYPE_CHECKING:
    import xarray as xr

NOTHING = 1e-14  # of the variances' squares: a variance of the difference below it is rounding
ABOUT = {
    "difference": "MSD of SGD - MSD of SAM, simulated on common noise",
    "se": "standard deviation of the difference, from the exact covariance of each pair of paths",
    "exact": "exact difference of what was simulated",
    "z": "(difference - exact) / se",
    "printed": "Kim et al., Corollary 1, eq. 13: 2 lr t^2 |eigenvalue|^3 rho / batch_size",
    "ratio": "printed / exact",
    "valid": f"whether the printed term is {WITHIN} of exact",
}


def difference(study: Table) -> xr.Dataset:
    r"""Return Delta_SGD - Delta_SAM of a study whose rho holds 0 and others, for each of the others.

    Its standard error is that of pairs (X, Y) on the same noise, :math:`\sqrt{2(\sigma_X^4+\sigma_Y^4-2c^2)/N}` with
    c = <X Y>: far below that of independent runs. (Two-point noise: an upper bound.) `printed` is the leading term of
    Corollary 1, which is about no momentum: nan elsewhere. Raises ValueError if rho=0 or rho > 0 is missing.
    """
    import xarray as xr

    ds = study.dataset
    radii = np.atleast_1d(ds["rho"].values)
    check(
        "rho" in ds.dims and bool((radii == 0).any()) and bool((radii > 0).any()),
        f"rho={radii.tolist()}: the difference between SGD and SAM needs both; give msd a list with 0, e.g. rho=[0, 0.1, 0.5]",
    )
    sgd, sam = ds.sel(rho=0.0, drop=True), ds.sel(rho=radii[radii > 0])
    dims = sam["exact"].dims
    msd = (sgd["msd"] - sam["msd"]).transpose(*dims)
    se, exact = xr.zeros_like(msd), xr.zeros_like(msd)
    for index in np.ndindex(*(ds.sizes[c] for c in CHOICES if c in dims)):
        at: Any = dict(zip((c for c in CHOICES if c in dims), index, strict=True))
        part = sam.isel(at)
        setting = {c: str(part[c].values) if c in part.coords else ds.attrs[c] for c in CHOICES}
        model, times, v = study.model(setting), part["time"].values, grid(part)
        se[at] = spread(model, v, times) / np.sqrt(np.maximum(part["count"], 1))
        exact[at] = model.difference(v, model.steps_at(v, times))
    v = grid(sam)
    printed = theory.corollary1(sam["time"].values, **{p: v[p] for p in ("eigenvalue", "lr", "rho", "batch_size")})
    alone = (np.asarray(v["momentum"]) == 0) & (np.asarray(v["dampening"]) == 0)
    printed = xr.zeros_like(se) + np.where(alone, printed, np.nan)
    with np.errstate(all="ignore"):
        se = se.where((sgd["left_out"] == 0) & (sam["left_out"] == 0))  # the survivors are no pairs of one law
        z, ratio = (msd - exact) / se, printed / exact
    out = xr.Dataset(
        {
            "difference": msd,
            "se": se,
            "exact": exact,
            "z": z.where(se > 0),
            "printed": printed,
            "ratio": ratio,
            "valid": np.abs(ratio - 1) <= USEFUL,
        },
        attrs=dict(ds.attrs),
    )
    for key, text in ABOUT.items():
        out[key].attrs = {"long_name": text, "units": "1" if key in ("z", "ratio", "valid") else "length^2"}
    out.attrs |= {"title": "MSD of SGD - MSD of SAM"}
    del out.attrs["numbers"]
    return out


def grid(part: xr.Dataset) -> dict[str, Any]:
    """The parameters of a dataset, each on its own axis of the grid, with a last axis for the times."""
    dims = [d for d in part["exact"].dims if d != "time"]
    return {p: part[p].values.reshape([-1 if d == p else 1 for d in dims] + [1]) for p in PARAMETERS if p in part.coords}


def spread(model: LinearProcess, v: Values, times: np.ndarray) -> np.ndarray:
    """Standard deviation of X^2 - Y^2 of one pair: SGD, and the setting v, on the same noise."""
    free = {**v, "rho": np.zeros_like(v["rho"])}
    steps = model.steps_at(v, times)
    with np.errstate(all="ignore"):
        x, y = model.exact(free, steps), model.exact(v, steps)
        c = _of_jumps(model, free, v, steps) if model.method == "exact" else model.covariance(v, steps)
        variance = 2 * (x * x + y * y - 2 * c * c)
        return np.sqrt(np.where(variance > NOTHING * (x * x + y * y), variance, 0.0))


def _of_jumps(model: LinearProcess, v: Values, w: Values, times: np.ndarray) -> np.ndarray:
    """<X Y> where both jump from time to time by their own law, on the same normal numbers."""
    (a, s), (b, r) = (
        exact_sampling.transitions(model, {p: np.asarray(x)[..., 0] for p, x in one.items()}, times, law="sde")
        for one in (v, w)
    )
    left, right = exact_sampling.root(s), exact_sampling.root(r)
    total, out = np.zeros(()), []
    for i in range(len(times)):
        noise = left[..., i, :, :] @ np.swapaxes(right[..., i, :, :], -1, -2)
        total = a[..., i, :, :] @ (total * np.ones_like(noise)) @ np.swapaxes(b[..., i, :, :], -1, -2) + noise
        out.append(total[..., 0, 0])
    return np.abs(np.stack(out, -1))
