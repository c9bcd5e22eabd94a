"""The picture of a Comparison: simulated values, exact values and other formulas along one dimension, and z."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import check, names_of, shown
from ..plotting import GREY, MARKS, STYLE, TIME, colour
from .panels import LABELS, aside, legend, z_axis
from .table import number, worst

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES = ("--", ":")  # of the formulas beside the exact values
WIDE = 110  # characters of the line below the headline
HIDDEN = ("momentum", "dampening")  # not worth a word where they are 0
FAR = 5.0  # a dimension or a column that spans more than this factor gets a log axis


def draw(ds: xr.Dataset, against: str | None) -> Figure:
    """attrs of ds: title; value, the simulated variable; curves, the formulas that are drawn beside exact."""
    import matplotlib
    from matplotlib.figure import Figure

    dims = [str(d) for d in ds["z"].dims]
    known = against is None or (isinstance(against, str) and against in dims)
    check(known, f"against={shown(against)}: choose one of {names_of(map(repr, dims))}, or leave it out")
    along = against or ("time" if ds.sizes.get("time", 1) > 1 else max(dims, key=ds.sizes.__getitem__, default=""))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 6.8), layout="constrained")
        top, z = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        parts, log = list(_series(ds, along)), _scales(top, ds, along)
        for i, (label, part) in enumerate(parts):
            look = {"color": colour(i, len(parts)), "marker": MARKS[i % len(MARKS)], "markerfacecolor": "white"}
            _one(top, z, part, along, label, look, aside(i, len(parts)) if log else 1.0)
        z_axis(z, worst(ds))
        z.set_xlabel(TIME if along == "time" else LABELS.get(along, along))
        _title(top, ds)
        meaning: dict[str, Any] = {"exact; bars of 2 standard errors": {"linestyle": "-", "color": GREY}}
        meaning |= {
            str(ds[k].attrs["long_name"]): {"linestyle": s, "color": GREY} for k, s in _curves(ds) if np.isfinite(ds[k]).any()
        }
        if bool((ds["left_out"] > 0).any()):
            meaning["paths diverged: mean of those that are left"] = {"linestyle": "none", "marker": "x", "color": GREY}
        legend(figure, top, len(parts), meaning)
    return figure


def _curves(ds: xr.Dataset) -> list[tuple[str, str]]:
    return list(zip(str(ds.attrs["curves"]).split(), STYLES, strict=True))


def _series(ds: xr.Dataset, along: str) -> Iterator[tuple[str, xr.Dataset]]:
    """Each combination of the other dimensions: its words, and the numbers along the axis."""
    others = [d for d in ds["z"].dims if d != along]
    for index in np.ndindex(*(ds.sizes[d] for d in others)):
        part = ds.isel(dict(zip(others, index, strict=True)))
        yield ", ".join(f"{d} {number(part[d])}".replace("_", " ") for d in others if ds.sizes[d] > 1) or "simulated", part


def _one(top: Axes, z: Axes, part: xr.Dataset, along: str, label: str, look: dict[str, Any], shift: float) -> None:
    x = np.atleast_1d(np.asarray(part[along], float)) if along else np.zeros(1)
    order = np.argsort(x)

    def column(k: str) -> np.ndarray:
        return np.atleast_1d(np.asarray(part[k], float))[order]

    x, value, whole = x[order], column(str(part.attrs["value"])), column("left_out") == 0
    bars = np.nan_to_num(2 * column("se"))
    top.errorbar(x, np.where(whole, value, np.nan), bars, linestyle="none", markersize=5, capsize=2, label=label, **look)
    top.plot(x, np.where(whole, np.nan, value), linestyle="none", **{**look, "marker": "x"})
    exact = column("exact")
    top.plot(x, np.where(exact == 0, np.nan, exact), "-", color=look["color"], linewidth=1.4)
    for k, style in _curves(part):
        top.plot(x, column(k), style, color=look["color"], linewidth=1.2)
    z.plot(x * shift, column("z"), linestyle="none", markersize=4, **look)


def _scales(top: Axes, ds: xr.Dataset, along: str) -> bool:
    """Log axes where numbers of one sign span far; the values decide, not the curves. Whether the lower axis is one."""
    x = np.asarray(ds[along], float) if along else np.ones(1)
    log = bool((x > 0).all() and x.max() > FAR * x.min())
    if log:
        top.set_xscale("log")
    y = np.concatenate([np.asarray(ds[k], float).ravel() for k in (str(ds.attrs["value"]), "exact")])
    y = y[np.isfinite(y) & (y != 0)]
    if not y.size:
        return log
    low, high = np.abs(y).min(), np.abs(y).max()
    if (y > 0).all() and high > FAR * low:
        top.set_yscale("log")
        top.set_ylim(low / 2, high * 2)
    elif high > FAR * low:
        top.set_yscale("symlog", linthresh=low)
        top.axhline(0, color=GREY, linewidth=0.8)
    return log


def _title(top: Axes, ds: xr.Dataset) -> None:
    a = ds.attrs
    alone = {str(k): float(x.values.flat[0]) for k, x in ds.coords.items() if x.size == 1}
    fixed = [f"{k} {number(x)}".replace("_", " ") for k, x in alone.items() if x or k not in HIDDEN]
    below = wrap(", ".join([*fixed, f"{a['paths']:,} paths", f"{a['drift']} drift", f"{a['noise']} noise"]), WIDE)
    headline = str(a["title"]).replace(" - ", " \N{MINUS SIGN} ")
    top.set_title(headline[0].upper() + headline[1:], loc="left", fontsize=14, fontweight="bold", pad=10 + 14 * len(below))
    top.text(0, 1.02, "\n".join(below).replace(" -", " \N{MINUS SIGN}"), transform=top.transAxes, color=GREY, va="bottom")
    top.set_ylabel(f"{a['value']}  ({a['unit']})")
