"""Study: simulated mean squared displacements beside their exact values and the published theorems."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from .closed_form import Model
from .grid import CHOICES, PARAMETERS
from .simulation.schedule import Interrupted

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

WIDE = 120          # characters of a line of notes
FAULT = 5.0         # |z| above it by chance: 6e-7 per comparison
HEAD = (f"{'time':>10} {'updates':>9} {'MSD':>12} {'+- se':>9} {'exact':>12} {'z':>6} {'':2}"
        f"{'theorem':>12} {'/ exact':>9}")
Setting = Mapping[str, Any]         # parameter name -> number, and drift and noise


class StudyInterrupted(Interrupted):
    """Ctrl-C during msd. `study` holds the paths that were finished; `resume()` computes the others."""

    def __init__(self, run: Any, study: Study, resume: Callable[[], Study]) -> None:
        super().__init__(run)
        self.args = ("interrupted: the finished paths are in the exception's .study; its .resume() goes on",)
        self.study, self.resume = study, resume

    def __reduce__(self) -> Any:
        return Interrupted, (self.run,)


def number(x: Any) -> str:
    """Short and unambiguous: 0.1, 64, 1e-06."""
    return f"{float(x):.6g}"


def words(setting: Setting, names: Iterable[str]) -> list[str]:
    """'lr 0.01', 'batch_size 64', 'chain drift'."""
    return [f"{setting[p]} {p}" if p in CHOICES else f"{p} {number(setting[p])}" for p in names if p in setting]


def name(setting: Setting, varied: tuple[str, ...] = ()) -> str:
    """What a figure or table calls a setting: 'SGD', 'SAM rho=0.1 + momentum 0.9'."""
    text = f"SAM rho={number(setting['rho'])}" if setting["rho"] else "SGD"
    if setting["momentum"]:
        text += f" + momentum {number(setting['momentum'])}"
    others = [k for k in (*PARAMETERS, *CHOICES) if k in varied and k not in ("rho", "momentum")]
    return ", ".join([text, *words(setting, others)]).replace("batch_size", "batch")


@dataclass(frozen=True, repr=False)
class Study:
    """Mean squared displacements from the saddle, for a grid of settings, over time (see `samfast.msd`).

    dataset: an xarray.Dataset. Its dimensions are the parameters that were given as sequences, then `time` (lr per
    update). Variables: msd and its standard error se; ci: the confidence interval of the true value, low and high along
    `bound`; exact: the closed form of what was simulated; z = (msd - exact)/(standard deviation of msd); theorem: the
    published formula (Theorem 2 without momentum, 3 with it); ratio = theorem/exact; valid: the formula is within 15 %
    (Theorem 3: and in its range, theory.theorem3_validity); count: paths in the mean; n_diverged: paths that were left
    out by the end. Parameters that are plain numbers are scalar coordinates. Each variable has its long_name and units;
    the attributes tell where the numbers come from.
    """

    dataset: xr.Dataset

    def settings(self) -> Iterator[tuple[dict[str, Any], xr.Dataset]]:
        """Each setting of the grid: its parameters, and the dataset along time."""
        dims = self.swept
        for index in np.ndindex(*(self.dataset.sizes[d] for d in dims)):
            part = self.dataset.isel(dict(zip(dims, index, strict=True)))
            yield self._setting(part), part

    def _setting(self, part: xr.Dataset) -> dict[str, Any]:
        numbers = {p: float(part[p]) for p in PARAMETERS if p in part.coords}
        return numbers | {c: str(part[c].values) if c in part.coords else self.dataset.attrs[c] for c in CHOICES}

    @property
    def swept(self) -> tuple[str, ...]:
        """The parameters that were given as sequences."""
        return tuple(p for p in (*CHOICES, *PARAMETERS) if p in self.dataset.dims)

    @property
    def varied(self) -> tuple[str, ...]:
        """The parameters with more than one value."""
        return tuple(p for p in self.swept if self.dataset.sizes[p] > 1)

    def model(self, setting: Setting) -> Model:
        """The closed forms of one setting."""
        a, ds = self.dataset.attrs, self.dataset
        heavy = bool((ds["momentum"] > 0).any()) or bool((ds["dampening"] > 0).any())
        return Model(setting["drift"], setting["noise"], a["method"], heavy, a["theorem"] == "printed")

    @property
    def worst(self) -> float:
        """The largest |z|; nan if there is nothing to compare."""
        z = np.abs(np.asarray(self.dataset["z"], float))
        return float(np.max(z[np.isfinite(z)], initial=0.0)) if np.isfinite(z).any() else float("nan")

    @property
    def discrepancies(self) -> list[str]:
        """What the published statements say otherwise than these settings show: one sentence each, with numbers."""
        from .notes import notes
        return notes(self)

    def difference(self) -> xr.Dataset:
        """Corollary 1: MSD of SGD - MSD of SAM, for every rho > 0 (see `samfast.difference`)."""
        from .difference import difference
        return difference(self)

    def __repr__(self) -> str:
        a, ds = self.dataset.attrs, self.dataset
        grid = ", ".join(f"{d}: {ds.sizes[d]}" for d in (*self.swept, "time"))
        return f"Study(msd, {a['method']}, {a['drift']} drift; {grid}; {a['paths']:,} paths, largest |z| {self.worst:.2f})"

    def __str__(self) -> str:
        said = [line for x in self.discrepancies for line in wrap(x, WIDE, initial_indent="- ", subsequent_indent="  ")]
        head = ["", 'Beside the text of Kim et al., "Stability Analysis of Sharpness-Aware Minimization":'] if said else []
        return "\n".join([*self._blocks(), self.summary(), *head, *said])

    def _blocks(self) -> Iterator[str]:
        for setting, part in self.settings():
            shown = [p for p in PARAMETERS if p != "dampening" or setting[p]]
            yield f"{name(setting, self.varied)}   ({', '.join(words(setting, shown))})"
            yield HEAD.replace("  theorem", f"theorem {3 if setting['momentum'] else 2}")
            for row in rows(part):
                mark = " " if row["valid"] else "*"
                yield (f"{row['time']:>10.5g} {row['time'] / setting['lr']:>9.6g} {row['msd']:>12.5e} {row['se']:>9.2e} "
                       f"{row['exact']:>12.5e} {row['z']:>6.2f} {'':2}{row['theorem']:>12.5e} {row['ratio']:>8.4g}{mark}")
            yield ""
        if not bool(self.dataset["valid"].all()):
            yield "* outside the range where the theorem is within 15 %"

    def summary(self) -> str:
        """The verdict in one line."""
        a, z = self.dataset.attrs, np.asarray(self.dataset["z"], float)
        lost = int(self.dataset["n_diverged"].sum())
        verdict = "nothing to compare" if np.isnan(self.worst) else (
            "simulation and exact values agree" if self.worst < FAULT else
            "simulation and exact values DISAGREE" + (", diverged paths were left out" if lost else ""))
        status = "" if a["status"] == "complete" else f"{a['status'].upper()}, "
        return (f"largest |z| {self.worst:.2f} of {np.isfinite(z).sum()}: {verdict} ({status}{a['paths']:,} paths, "
                f"{a['method']}, {a['drift']} drift, {a['noise']} noise, seed {a['seed']}, {a['wall_seconds']:.1f} s)")

    def plot(self, path: Any = None, *, kind: str = "time", time: float | None = None) -> Figure:
        """A picture; written to `path` (.png, .pdf, .svg) if one is given.

        kind: "time", the MSD with z and theorem/exact; "difference", Corollary 1; or a parameter that was given as a
        sequence, such as "momentum" or "batch_size": the MSD against it at one `time` (default: the last).
        """
        from .charts import draw
        figure = draw(self, kind, time)
        if path is not None:
            from .atomic import beside
            ending = Path(path).suffix.lstrip(".") or "png"
            beside(Path(path), lambda f: figure.savefig(f, format=ending, dpi=150))
        return figure

    def save(self, folder: Any, *, formats: Iterable[str] = ("csv", "json", "nc", "png"),
             plots: Iterable[str] = ("time",)) -> list[Path]:
        """Write study.csv (one row per setting and time), study.json and study.nc (everything), and pictures; their paths.

        formats: those of them that you want. plots: kinds of `plot`; "time" is study.png, others study-<kind>.png.
        """
        from .store import save
        return save(self, Path(folder), tuple(formats), tuple(plots))

    @classmethod
    def load(cls, path: Any) -> Study:
        """A saved study again, exactly: from its folder, its study.nc or its study.json."""
        from .store import load
        return cls(load(Path(path)))


def rows(part: xr.Dataset) -> Iterator[dict[str, Any]]:
    """The dataset of one setting, as plain numbers, one dictionary per time; the interval as low and high."""
    names = ("time", "steps", "msd", "se", "exact", "theorem", "ratio", "valid", "z", "count")
    columns = {c: np.asarray(part[c]).tolist() for c in names}
    columns |= {str(end): part["ci"].sel(bound=end).values.tolist() for end in ("low", "high")}
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))
