"""Two pictures of a report: the ratios of the backends in each workload, and the throughput against the size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .report import Report, number
from .work import Row

COLOURS = {
    "samfast": "#C0392B",
    "C++": "#555555",
    "NumPy": "#2E86C1",
    "JAX": "#7D3C98",
    "PyTorch": "#D35400",
    "CuPy": "#117A65",
    "diffrax": "#B7950B",
    "torchsde": "#839192",
    "heyoka": "#1E8449",
}

LEAST = 0.1  # the axis begins here; the row of an import has a far smaller ratio and is no rival


def colour(backend: str) -> str:
    return next((c for name, c in COLOURS.items() if backend.startswith(name)), "#999999")


def draw(report: Report, folder: Path) -> list[Path]:
    """Writes bench-ratios.png and, where sizes were measured, bench-scaling.png; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {"bench-ratios.png": _ratios(report)} | ({"bench-scaling.png": _scaling(report)} if report.points else {})
    for name, figure in made.items():
        figure.savefig(folder / name, dpi=110)
    return [folder / name for name in made]


def _ratios(report: Report) -> Any:
    from matplotlib.figure import Figure

    rows = [r for r in report.rows if r.correct and r.ratio is not None]
    lines: list[Row | str] = []
    for name in dict.fromkeys(r.workload for r in rows):
        lines += [name, *(r for r in rows if r.workload == name)]
    figure = Figure(figsize=(9.5, 1.2 + 0.19 * len(lines)), layout="constrained")
    axes = figure.subplots()
    for i, r in enumerate(lines):
        if isinstance(r, str):
            axes.text(-0.01, i, r, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=8, weight="bold")
            continue
        spread = [[max(0.0, r.ratio - r.low)], [max(0.0, r.high - r.ratio)]]  # type: ignore[operator]
        axes.barh(i, r.ratio - 1, left=1, color=colour(r.backend), height=0.75)
        axes.errorbar(r.ratio, i, xerr=spread, color="black", linewidth=0.8)
        axes.text(-0.01, i, r.backend, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=7)
        axes.text(
            1.01,
            i,
            f"{number(r.ratio)}   {number(r.value)} {r.unit}",
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=7,
        )
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set(
        xscale="log",
        xlim=(LEAST, None),
        ylim=(len(lines) - 0.5, -0.5),
        yticks=[],
        title=f"{report.machine['processor']}, one thread unless named",
        xlabel="time / time of samfast (lines: quartiles)",
    )
    return figure


def _scaling(report: Report) -> Any:
    from matplotlib.figure import Figure

    axes_of = list(dict.fromkeys(p.axis for p in report.points))
    dimension = [
        (int(r.workload.split("-")[1]), r)
        for r in report.rows
        if r.workload.startswith("quadratic-") and r.backend == "samfast" and r.value is not None
    ]
    figure = Figure(figsize=(14, 3.6), layout="constrained")
    panels = figure.subplots(1, len(axes_of) + bool(dimension), squeeze=False)[0]
    for axes, axis in zip(panels, axes_of, strict=False):
        for name in dict.fromkeys(p.backend for p in report.points if p.axis == axis):
            line = sorted((p.x, p.value) for p in report.points if p.axis == axis and p.backend == name)
            axes.plot(
                *zip(*line, strict=True),
                marker="o",
                markersize=3,
                color=colour(name),
                label=name,
                linestyle="--" if "all threads" in name else ":" if "CUDA" in name else "-",
            )
        axes.set(xlabel=axis, xscale="linear" if axis == "threads" else "log")
        if axis == "paths":
            axes.set(yscale="log")
        else:
            axes.set(ylim=(0, None))
        if axis == "threads":
            axes.set_xticks(sorted({p.x for p in report.points if p.axis == axis}))
    panels[0].set_ylabel("ns per path-step")
    panels[0].legend(fontsize=7)
    if dimension:
        panels[-1].plot(
            [d for d, _ in dimension], [r.value for _, r in dimension], marker="o", markersize=3, color=colour("samfast")
        )
        panels[-1].set(
            xlabel="dimension, normalised SAM", xscale="log", ylim=(0, None), ylabel="ns per path-step and coordinate"
        )
    return figure
