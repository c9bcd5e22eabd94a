"""Panels: what the pictures of a study share, headline, points with bars, axis of z, legend."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from ..plotting import GREY, MARKS, colour, drawn, pale
from .plan import CHOICES, PARAMETERS
from .process import WITHIN
from .table import FAULT, Table, number

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = {
    "eigenvalue": "eigenvalue (1/length²)",
    "lr": "learning rate (length²)",
    "rho": "radius rho of SAM (length²)",
    "momentum": "momentum",
    "dampening": "dampening",
    "batch_size": "batch size",
    "limit": "limit of |w| (length)",
    "dt": "step dt (length²)",
}
FEW = 4  # up to so many settings each has a colour of its own
LEGEND = 24  # more settings than this get no names of their own
FINE = 300  # points of a curve
ROW = 0.18  # inches of a row of the legend
NARROW, WIDEST, LONGEST = 32, 66, 110  # characters of a label: room for two columns, for one beside the lines, for a line
MSD = r"$\langle (w(t)-w(0))^2\rangle$  (length²)"
FORMULA = {
    "published": "theorems with the published drift and noise",
    "printed": "theorems as printed: published drift and noise, C2 = lr/t",
    "matched": "theorems with the drift and noise that were simulated",
}
DIVERGED = "paths diverged: mean of those that are left"
OUTSIDE = f"outside the range where it is {WITHIN}"


def whole_steps(study: Table, setting: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of steps for a smooth line over the times of a study (see `LinearProcess.steps_at`), and their times."""
    times = np.asarray(study.dataset["time"])
    ends = times[times > 0]
    if not ends.size:
        return np.zeros(0), np.zeros(0)
    model = study.model(setting)
    step = float(model.step(setting))
    if model.method == "exact":
        t = np.geomspace(ends[0], ends[-1], FINE)
        return t, t
    n = np.unique(np.rint(np.geomspace(max(ends[0] / step, 1), max(ends[-1] / step, 1), FINE)))
    return n, n * step


def bars(axes: Axes, x: np.ndarray, value: np.ndarray, part: xr.Dataset, look: dict[str, Any], label: str) -> None:
    """Simulated values with their confidence interval; a cross without one where paths diverged."""
    low, high = (np.asarray(part["ci"].sel(bound=end), float) for end in ("low", "high"))
    error, whole = np.nan_to_num(np.maximum([value - low, high - value], 0.0), posinf=0.0), np.asarray(part["left_out"]) == 0
    shown = np.where(whole, drawn(value), np.nan)
    axes.errorbar(x, shown, error, linestyle="none", markersize=5, elinewidth=1.2, capsize=2, label=label, **look)
    if not whole.all():
        cross = {**look, "marker": "x"}
        axes.plot(x, np.where(whole, np.nan, drawn(value)), linestyle="none", markersize=6, **cross)


def title(axes: Axes, study: Table, text: str, but: Sequence[str] = ()) -> None:
    """A headline, and below it what all settings share."""
    a, ds = study.dataset.attrs, study.dataset
    fixed = [
        f"{p.replace('_', ' ')} {number(ds[p].values.flat[0])}"
        for p in PARAMETERS
        if p in ds.coords
        and p not in (*study.varied, *but)
        and (p not in ("rho", "momentum", "dampening") or (p == "dampening" and float(ds[p].max()) > 0))
    ]
    how = {"em": "Euler-Maruyama", "algorithm": "the algorithm itself", "exact": "law of the SDE"}[a["method"]]
    common = [f"{a[c]} {c}" for c in CHOICES if c not in study.varied]
    below = [", ".join([*fixed, f"{a['paths']:,} paths", how, *common])]
    if a["theorem"] != "both":
        below.append(FORMULA[a["theorem"]])
    axes.set_title(text, loc="left", fontsize=14, fontweight="bold", pad=10 + 14 * len(below))
    axes.text(0, 1.02, "\n".join(below).replace(" -", " \N{MINUS SIGN}"), transform=axes.transAxes, color=GREY, va="bottom")


def follow(axes: Axes, ds: xr.Dataset) -> None:
    """The axis of MSD reaches over the simulated and exact values: a theorem out of its range may be far beyond them."""
    seen = np.concatenate([drawn(np.asarray(ds[k], float)).ravel() for k in ("msd", "exact")])
    seen = seen[np.isfinite(seen)]
    if seen.size:
        room = max(2.0, float(seen.max() / seen.min()) ** 0.06)
        axes.set_ylim(seen.min() / room, seen.max() * room)


def looks(settings: Sequence[dict[str, Any]], varied: Sequence[str]) -> list[dict[str, Any]]:
    """Colour and mark of every setting. Above FEW a colour stands for rho (or what varies most), a mark for the rest."""
    free = [v for v in varied if len({s[v] for s in settings}) > 1]
    if len(settings) <= FEW or len(free) < 2:
        kinds, rest = list(range(len(settings))), list(range(len(settings)))
    else:
        by = "rho" if "rho" in free else max(free, key=lambda v: len({s[v] for s in settings}))
        groups = list(dict.fromkeys(s[by] for s in settings))
        others = list(dict.fromkeys(tuple(s[v] for v in free if v != by) for s in settings))
        kinds = [groups.index(s[by]) for s in settings]
        rest = [others.index(tuple(s[v] for v in free if v != by)) for s in settings]
    many = max(kinds, default=0) + 1
    return [
        {"color": colour(k, many), "marker": MARKS[r % len(MARKS)], "markerfacecolor": "white"}
        for k, r in zip(kinds, rest, strict=True)
    ]


def aside(i: int, many: int) -> float:
    """A factor that moves the points of one of many settings aside on a log axis, or they would hide each other."""
    return float(10 ** (min(0.012, 0.12 / many) * (i - (many - 1) / 2)))


def z_axis(axes: Axes, worst: float) -> None:
    """Prepare the panel of z: a band of 2 standard deviations, and room for the worst value."""
    axes.set_title(
        "z = (simulated \N{MINUS SIGN} exact) / standard deviation;  band \N{PLUS-MINUS SIGN}2",
        loc="left",
        fontsize=9,
        color=GREY,
    )
    axes.axhspan(-2, 2, color="black", alpha=0.07, linewidth=0)
    axes.axhline(0, color=GREY, linewidth=0.8)
    height = max(3.4, 1.15 * np.nan_to_num(worst))
    axes.set_ylim(-height, height)
    if height <= 2 * FAULT:
        axes.set_yticks([y for y in (-8, -6, -4, -2, 0, 2, 4, 6, 8) if abs(y) < height])


def lines(study: Table, exact: str) -> dict[str, Any]:
    """What the lines and marks of a picture mean: label -> look."""
    ds, moving = study.dataset, np.atleast_1d(study.dataset["momentum"].values) > 0
    theorem = "Theorem 3" if moving.all() else "Theorem 2 (3 with momentum)" if moving.any() else "Theorem 2"
    beside = any(matched(study, setting) for setting, _ in study.settings())
    look: dict[str, Any] = {exact: {"linestyle": "-", "color": GREY}}
    look[f"{theorem} as published" if beside else theorem] = {"linestyle": "--", "color": GREY}
    if beside:
        look["the same with this drift"] = {"linestyle": ":", "color": GREY}
    if not bool(ds["valid"].all()) or (beside and not bool(ds["matched_valid"].all())):
        look[OUTSIDE] = {"linestyle": "--", "color": pale(GREY)}
    if bool((ds["left_out"] > 0).any()):
        look[DIVERGED] = {"linestyle": "none", "marker": "x", "color": GREY}
    return look


def matched(study: Table, setting: dict[str, Any]) -> bool:
    """Whether the formula with the drift and noise of this setting is shown beside the published one."""
    return study.dataset.attrs["theorem"] == "both" and study.model(setting).departs(setting)


def formulas(study: Table, setting: dict[str, Any]) -> dict[str, str]:
    """The formulas that a picture shows for this setting: which (see `LinearProcess.theorem`) -> style of its line."""
    which = study.dataset.attrs["theorem"]
    return {"published" if which == "both" else which: "--"} | ({"matched": ":"} if matched(study, setting) else {})


def legend(figure: Figure, axes: Axes, many: int, meaning: dict[str, Any]) -> None:
    """Below the panels, where no data can be: the settings, then in a column of its own what the lines mean."""
    from matplotlib.lines import Line2D

    handles, labels = axes.get_legend_handles_labels()
    if many > LEGEND:
        handles, labels = [handles[0], handles[-1]], [f"{labels[0]}  (first of {many})", f"{labels[-1]}  (last)"]
    longest = max(map(len, labels))
    labels = ["\n    ".join(wrap(label, LONGEST)) for label in labels]
    key = [Line2D([], [], linewidth=1.4, **look) for look in meaning.values()]
    blank = Line2D([], [], linestyle="none")
    if longest > WIDEST:
        handles, labels, key, meaning = [*handles, *key], [*labels, *meaning], [], {}
    rows = max(len(meaning), -(-len(labels) // (2 if longest <= NARROW and len(labels) > 2 else 1)))
    pad, more = -len(labels) % rows, rows - len(meaning) if meaning else 0
    figure.set_figheight(figure.get_figheight() + ROW * max(0, rows - 4))
    figure.legend(
        [*handles, *[blank] * pad, *key, *[blank] * more],
        [*labels, *[""] * pad, *meaning, *[""] * more],
        loc="outside lower left",
        fontsize=9,
        ncols=(len(labels) + pad) // rows + bool(meaning),
        columnspacing=1.6,
    )
