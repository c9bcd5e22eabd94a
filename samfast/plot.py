"""Figures of studies. matplotlib's object interface only: no window, no global state, any thread."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .study import FAULT, PARAMETERS, Study, name, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette without its yellow, which vanishes on white; all pairs differ for colour-blind readers
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKS = "osD^vPX"
GREY = "#666666"
LEGEND = 14         # more settings than this get no names of their own
FINE = 300          # points of a curve
STYLE = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#E4E4E4",
         "grid.linewidth": 0.6, "axes.axisbelow": True, "legend.frameon": False, "figure.facecolor": "white"}


def draw(study: Study) -> Figure:
    """Three panels over time: MSD with its interval, exact and theorem; z; theorem/exact."""
    import matplotlib
    from matplotlib.figure import Figure
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 8.0), layout="constrained")
        msd, z, ratio = figure.subplots(3, 1, sharex=True, height_ratios=[3.6, 1, 1])
        settings = list(study.settings())
        for i, (setting, part) in enumerate(settings):
            look = {"color": _colour(i, len(settings)), "marker": MARKS[i % len(MARKS)], "markerfacecolor": "white"}
            _curves(msd, ratio, study, setting, look["color"])
            _points(msd, ratio, part, look, name(setting, study.varied))
            aside = min(0.012, 0.12 / len(settings)) * (i - (len(settings) - 1) / 2)       # or they would hide each other
            z.plot(np.asarray(part["time"]) * 10 ** aside, part["z"], linestyle="none", markersize=4, **look)
        _titles(msd, z, ratio, study)
        _axes(msd, z, ratio, study)
        _legend(figure, msd, len(settings), study.dataset.attrs["kind"] == "normal")
    return figure


def _colour(i: int, many: int) -> Any:
    if many <= len(COLOURS):
        return COLOURS[i]
    from matplotlib import colormaps
    return colormaps["viridis"](0.92 * i / (many - 1))


def _curves(msd: Axes, ratio: Axes, study: Study, setting: dict[str, float], colour: Any) -> None:
    """The closed forms at whole steps, close enough for smooth lines."""
    ends = np.asarray(study.dataset["time"])[np.asarray(study.dataset["time"]) > 0]
    if not ends.size:
        return
    step = setting["lr"] if study.model.dt is None else study.model.dt
    n = np.unique(np.rint(np.geomspace(max(ends[0] / step, 1), max(ends[-1] / step, 1), FINE)))
    values = {p: np.asarray(x) for p, x in setting.items()}
    exact, theorem = study.model.exact(values, n), study.model.theorem(values, n * step)
    with np.errstate(all="ignore"):
        msd.plot(n * step, _drawn(exact), "-", color=colour, linewidth=1.4)
        if study.dataset.attrs["kind"] == "normal":     # chi-square: where the simulated values belong
            wide = 2 * np.sqrt(2 / study.dataset.attrs["paths"])
            msd.fill_between(n * step, _drawn(exact * (1 - wide)), _drawn(exact * (1 + wide)), color=colour, alpha=0.2,
                             linewidth=0)
        msd.plot(n * step, _drawn(theorem), "--", color=colour, linewidth=1.2)
        ratio.plot(n * step, _drawn(theorem / exact), "--", color=colour, linewidth=1.1)


def _points(msd: Axes, ratio: Axes, part: Any, look: dict[str, Any], label: str) -> None:
    t, value, low, high = (np.asarray(part[k], float) for k in ("time", "msd", "low", "high"))
    error = np.nan_to_num(np.maximum([value - low, high - value], 0.0))
    msd.errorbar(t, _drawn(value), error, linestyle="none", markersize=5, elinewidth=1.2, capsize=2, label=label, **look)
    good = np.asarray(part["valid"])
    for where, face in ((good, look["color"]), (~good, "white")):
        ratio.plot(t[where], _drawn(np.asarray(part["ratio"], float)[where]), linestyle="none", markersize=4,
                   **{**look, "markerfacecolor": face})


def _drawn(x: np.ndarray) -> np.ndarray:
    """What has a place on a log axis, its margins included."""
    return np.where((x > 1e-250) & (x < 1e250), x, np.nan)


def _titles(msd: Axes, z: Axes, ratio: Axes, study: Study) -> None:
    a = study.dataset.attrs
    fixed = [f"{p.replace('_', ' ')} {number(study.dataset[p].values.flat[0])}" for p in PARAMETERS
             if p not in (*study.varied, "rho", "momentum")]
    how = {"em": "Euler-Maruyama", "algorithm": "the algorithm itself"}[a["method"]]
    if a["method"] == "em" and a["dt"] != "lr":
        how += f" dt {number(a['dt'])}"
    text = ", ".join([*fixed, f"{a['paths']:,} paths", how, f"{a['drift']} drift", f"{a['noise']} noise"])
    values = study.dataset["eigenvalue"]
    point = "the saddle" if bool((values < 0).all()) else "the minimum" if bool((values > 0).all()) else "the critical point"
    msd.set_title(f"Mean squared displacement from {point}", loc="left", fontsize=14, fontweight="bold", pad=24)
    msd.text(0, 1.02, text.replace(" -", " \N{MINUS SIGN}"), transform=msd.transAxes, color=GREY, va="bottom")
    msd.set_ylabel(r"$\langle (w(t)-w(0))^2\rangle$")
    z.set_title("z = (simulated \N{MINUS SIGN} exact) / standard deviation;  band \N{PLUS-MINUS SIGN}2", loc="left", fontsize=9,
                color=GREY)
    doubt = "" if bool(study.dataset["valid"].all()) else ";  open: outside the range where Theorem 3 is within 15 %"
    ratio.set_title(f"theorem / exact{doubt}", loc="left", fontsize=9, color=GREY)
    ratio.set_xlabel("time t = learning rate \N{MULTIPLICATION SIGN} updates")


def _axes(msd: Axes, z: Axes, ratio: Axes, study: Study) -> None:
    columns = {k: _drawn(np.asarray(study.dataset[k], float)) for k in ("time", "msd", "ratio")}
    if np.isfinite(columns["time"]).any():
        msd.set_xscale("log")
    if np.isfinite(columns["msd"]).any():
        msd.set_yscale("log")
    z.axhspan(-2, 2, color="black", alpha=0.07, linewidth=0)
    z.axhline(0, color=GREY, linewidth=0.8)
    height = max(3.4, 1.15 * np.nan_to_num(study.worst))
    z.set_ylim(-height, height)
    if height <= 2 * FAULT:
        z.set_yticks([y for y in (-8, -6, -4, -2, 0, 2, 4, 6, 8) if abs(y) < height])
    ratio.axhline(1, color=GREY, linewidth=0.8)
    seen = columns["ratio"][np.isfinite(columns["ratio"])]
    off = float(np.max(np.abs(seen - 1), initial=0.0))
    if off < 0.5:
        ratio.set_ylim(1 - max(0.01, 1.4 * off), 1 + max(0.01, 1.4 * off))
    else:
        low, high = min(0.6, float(seen.min()) / 1.6), max(1.6, float(seen.max()) * 1.6)
        ratio.set_yscale("log")
        ratio.set_ylim(low, high)
        if high / low < 50:
            _plain_ticks(ratio, low, high)


def _plain_ticks(axes: Axes, low: float, high: float) -> None:
    """0.5, 1, 2, 5 where powers of ten would be too few."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator
    marks = [m * 10.0 ** e for e in range(-3, 4) for m in (1, 2, 5)]
    axes.yaxis.set_major_locator(FixedLocator([x for x in marks if low <= x <= high]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, axes: Axes, many: int, normal: bool) -> None:
    """Below the panels, where no data can be: the settings, then in columns of their own what the lines mean."""
    from matplotlib.lines import Line2D
    handles, labels = axes.get_legend_handles_labels()
    if many > LEGEND:
        handles, labels = [handles[0], handles[-1]], [f"{labels[0]}  (first of {many})", f"{labels[-1]}  (last)"]
    meaning = {f"exact{', band of 2 standard deviations' if normal else ''}": "-", "Theorem 2 (3 with momentum)": "--"}
    rows = max(2, -(-len(labels) // (2 if max(map(len, labels)) < 40 else 1)))
    blank = Line2D([], [], linestyle="none")
    pad = -len(labels) % rows
    lines = [Line2D([], [], color=GREY, linewidth=1.4, linestyle=style) for style in meaning.values()]
    figure.legend([*handles, *[blank] * pad, *lines, *[blank] * (rows - 2)],
                  [*labels, *[""] * pad, *meaning, *[""] * (rows - 2)], loc="outside lower left", fontsize=9,
                  ncols=(len(labels) + pad) // rows + 1, columnspacing=1.6)
