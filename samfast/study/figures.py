"""Which picture: over time, the difference of Corollary 1, or the MSD against a parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import theory
from ..checks import check, choice
from ..plotting import GREY, STYLE, TIME, around_one, dashed, drawn, log_axes, one_artist_for_small_ticks, pale
from .panels import (
    FINE,
    LABELS,
    MSD,
    OUTSIDE,
    aside,
    bars,
    follow,
    formulas,
    legend,
    lines,
    looks,
    matched,
    title,
    whole_steps,
    z_axis,
)
from .plan import PARAMETERS
from .process import USEFUL
from .sgd_minus_sam import difference
from .table import Table, name, number, worst
from .two_point import squares

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = ("time", "difference", *PARAMETERS)
LOG = ("lr", "batch_size", "dt")


def draw(study: Table, kind: str, time: float | None = None) -> Figure:
    """The picture of one of KINDS."""
    import matplotlib

    choice("kind", kind, KINDS)
    check(time is None or kind in PARAMETERS, f"time={time!r}: a picture of kind {kind!r} shows all times; leave it out")
    with matplotlib.rc_context(STYLE):
        if kind == "time":
            figure = over_time(study)
        else:
            figure = _difference(study) if kind == "difference" else _against(study, kind, time)
        one_artist_for_small_ticks(figure)
    return figure


def _difference(study: Table) -> Figure:
    """Three panels over time: MSD of SGD - MSD of SAM; z; printed/exact."""
    from matplotlib.figure import Figure

    d = difference(study)  # first: it may be impossible
    figure = Figure(figsize=(9.6, 8.0), layout="constrained")
    top, z, ratio = figure.subplots(3, 1, sharex=True, height_ratios=[3.2, 1, 1.2])
    settings = list(Table(d).settings())
    marked = looks([setting for setting, _ in settings], study.varied)
    for i, (setting, part) in enumerate(settings):
        look = marked[i]
        _difference_curves(top, ratio, study, setting, look["color"])
        t, value, se, exact, quotient = (np.asarray(part[k], float) for k in ("time", "difference", "se", "exact", "ratio"))
        for sign, face in ((1, "white"), (-1, look["color"])):
            at = (t > 0) & (se > 0) & (np.sign(exact) == sign)
            top.errorbar(
                t[at],
                drawn(sign * value[at]),
                2 * se[at],
                linestyle="none",
                markersize=5,
                capsize=2,
                label=name(setting, study.varied) if sign == 1 else None,
                **{**look, "markerfacecolor": face},
            )
        z.plot(t * aside(i, len(settings)), part["z"], linestyle="none", markersize=4, **look)
        ratio.plot(t, drawn(quotient), linestyle="none", markersize=4, **look)
    title(top, study, "Corollary 1: MSD of SGD \N{MINUS SIGN} MSD of SAM on the same noise")
    top.set_ylabel("difference  (length²)")
    log_axes(top, d["time"].values, np.abs(d["exact"].values))
    z_axis(z, worst(d))
    ratio.set_title("printed / exact", loc="left", fontsize=9, color=GREY)
    ratio.set_xlabel(TIME)
    seen = d["ratio"].values
    around_one(ratio, np.append(seen[np.isfinite(seen) & (seen > 0)], 1.0))
    meaning: dict[str, Any] = {
        "exact; bars of 2 standard errors": {"linestyle": "-", "color": GREY},
        "printed leading term": {"linestyle": "--", "color": GREY},
        OUTSIDE: {"linestyle": "--", "color": pale(GREY)},
    }
    if bool((d["exact"] < 0).any()):
        meaning["negative (filled marks): SAM is faster"] = {"linestyle": ":", "color": GREY}
    legend(figure, top, len(settings), meaning)
    return figure


def _difference_curves(top: Axes, ratio: Axes, study: Table, setting: dict[str, Any], c: Any) -> None:
    model, (n, t) = study.model(setting), whole_steps(study, setting)
    with np.errstate(all="ignore"):
        exact = model.exact({**setting, "rho": 0.0}, n) - model.exact(setting, n)
        top.plot(t, drawn(exact), "-", color=c, linewidth=1.4)
        top.plot(t, drawn(-exact), ":", color=c, linewidth=1.8)
        if setting["momentum"] or setting["dampening"]:
            return
        printed = theory.corollary1(t, **{p: setting[p] for p in ("eigenvalue", "lr", "rho", "batch_size")})
        good = np.abs(printed / exact - 1) <= USEFUL
        dashed(top, t, printed, good, c)
        dashed(ratio, t, printed / exact, good, c)


def _against(study: Table, parameter: str, time: float | None) -> Figure:
    """The MSD against one parameter, at one time: a curve for each combination of the others."""
    from matplotlib.figure import Figure

    ds = study.dataset
    check(parameter in study.varied, f"kind={parameter!r}: this study has one {parameter}; give msd a list of several")
    at = float(ds["time"][-1]) if time is None else time
    check(
        bool(np.isclose(ds["time"].values, at, rtol=1e-9).any()),
        f"time={time!r}: this study has the times {', '.join(map(number, ds['time'].values))}; choose one of them",
    )
    whole = Table(ds.sel(time=[at], method="nearest"))
    figure = Figure(figsize=(9.6, 6.4), layout="constrained")
    axes = figure.subplots()
    others = list(Table(whole.dataset.isel({parameter: [0]})).settings())
    marked = looks([setting for setting, _ in others], tuple(v for v in study.varied if v != parameter))
    for i, (setting, part) in enumerate(others):
        look = marked[i]
        line = ds.sel({d: part[d].item() for d in study.swept if d != parameter}).sel(time=at, method="nearest")
        label = _label(setting, parameter, study)
        bars(axes, line[parameter].values, np.asarray(line["msd"], float), line, look, label)
        _parameter_curves(axes, study, setting, parameter, at, look["color"])
    title(
        axes,
        study,
        f"Mean squared displacement at t = {number(at)} against {LABELS[parameter].partition(' (')[0]}",
        but=[parameter],
    )
    axes.set_xlabel(LABELS[parameter])
    axes.set_ylabel(MSD)
    axes.set_xscale("log" if parameter in LOG else "linear")
    if np.isfinite(drawn(np.asarray(whole.dataset["msd"], float))).any():
        axes.set_yscale("log")
        follow(axes, whole.dataset)
    legend(figure, axes, len(others), lines(whole, "exact"))
    return figure


def _label(setting: dict[str, Any], parameter: str, study: Table) -> str:
    """The setting, but for the parameter on the axis."""
    hidden = {**setting, parameter: 0.0} if parameter in ("rho", "momentum") else setting
    text = name(hidden, tuple(v for v in study.varied if v != parameter))
    return text.replace("SGD", "SAM", 1) if parameter == "rho" else text


def _parameter_curves(axes: Axes, study: Table, setting: dict[str, Any], parameter: str, at: float, c: Any) -> None:
    values = np.asarray(study.dataset[parameter], float)
    ends = float(values.min()), float(values.max())
    x = np.geomspace(*ends, FINE) if parameter in LOG else np.linspace(*ends, FINE)
    model, v = study.model(setting), {**setting, parameter: x}
    if parameter in ("lr", "dt") and model.method != "exact":  # only whole numbers of steps end at this time
        x = at / np.unique(np.rint(at / model.step(v)))[::-1]
        v = {**setting, parameter: x}
    t = np.full(x.shape, at)
    with np.errstate(all="ignore"):
        exact = model.exact(v, model.steps_at(v, t))
        axes.plot(x, drawn(exact), "-", color=c, linewidth=1.4)
        for which, style in formulas(study, v).items():
            theorem = model.theorem(v, t, which)
            dashed(axes, x, theorem, model.valid(v, t, theorem / exact), c, style)


def over_time(study: Table) -> Figure:
    """Three panels over time: MSD with its interval, exact and theorem; z; theorem/exact."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 8.0), layout="constrained")
    msd, z, ratio = figure.subplots(3, 1, sharex=True, height_ratios=[6, 1, 1])
    settings = list(study.settings())
    marked = looks([setting for setting, _ in settings], study.varied)
    for i, (setting, part) in enumerate(settings):
        look = marked[i]
        _curves(msd, ratio, study, setting, look["color"])
        _points(msd, ratio, part, look, name(setting, study.varied), matched(study, setting))
        z.plot(np.asarray(part["time"]) * aside(i, len(settings)), part["z"], linestyle="none", markersize=4, **look)
    title(msd, study, "Mean squared displacement from " + _point(study))
    msd.set_ylabel(MSD)
    doubt = "" if bool(study.dataset["valid"].all()) else f";  open: {OUTSIDE}"
    ratio.set_title(f"theorem / exact{doubt}", loc="left", fontsize=9, color=GREY)
    ratio.set_xlabel(TIME)
    _axes(msd, z, ratio, study)
    legend(figure, msd, len(settings), lines(study, "exact, band of 2 standard deviations"))
    return figure


def _curves(msd: Axes, ratio: Axes, study: Table, setting: dict[str, Any], c: Any) -> None:
    """The closed forms at whole steps, close enough for smooth lines."""
    model, (n, t) = study.model(setting), whole_steps(study, setting)
    with np.errstate(all="ignore"):
        exact = model.exact(setting, n)
        msd.plot(t, drawn(exact), "-", color=c, linewidth=1.4)
        values = {p: np.reshape(setting[p], 1) for p in PARAMETERS if p in setting}
        law = squares(model, values, n, study.dataset.attrs["kind"])
        wide = 2 * np.sqrt(law.variance / study.dataset.attrs["paths"])  # where the simulated values belong
        msd.fill_between(t, drawn(exact * (1 - wide)), drawn(exact * (1 + wide)), color=c, alpha=0.2, linewidth=0)
        for which, style in formulas(study, setting).items():
            theorem = model.theorem(setting, t, which)
            good = model.valid(setting, t, theorem / exact)
            dashed(msd, t, theorem, good, c, style)
            dashed(ratio, t, theorem / exact, good, c, style)


def _points(msd: Axes, ratio: Axes, part: Any, look: dict[str, Any], label: str, beside: bool) -> None:
    t, value = np.asarray(part["time"], float), np.asarray(part["msd"], float)
    bars(msd, t, value, part, look, label)
    for prefix in ("", "matched_") if beside else ("",):
        quotient, good = np.asarray(part[f"{prefix}ratio"], float), np.asarray(part[f"{prefix}valid"])
        for where, face in ((good, look["color"]), (~good, "white")):
            style = {**look, "markerfacecolor": face}
            ratio.plot(t[where], drawn(quotient[where]), linestyle="none", markersize=4, **style)


def _point(study: Table) -> str:
    values = study.dataset["eigenvalue"]
    return "the saddle" if bool((values < 0).all()) else "the minimum" if bool((values > 0).all()) else "the critical point"


def _axes(msd: Axes, z: Axes, ratio: Axes, study: Table) -> None:
    log_axes(msd, study.dataset["time"].values, study.dataset["msd"].values)
    z_axis(z, study.worst)
    follow(msd, study.dataset)
    quotients = [study.dataset[k].values.ravel() for k in ("ratio", "matched_ratio") if k in study.dataset]
    around_one(ratio, drawn(np.concatenate(quotients)))
