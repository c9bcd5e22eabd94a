"""A table: a dataset of numbers for a grid of settings, and the words for a setting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .plan import CHOICES, PARAMETERS
from .process import LinearProcess

if TYPE_CHECKING:
    import xarray as xr

MATCHED = ("matched_theorem", "matched_ratio", "matched_valid")  # beside theorem, ratio and valid where both are asked for
FAULT = 5.0  # |z| above it by chance: 6e-7 per comparison
Setting = Mapping[str, Any]  # parameter name -> number, and drift and noise


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


def rows(part: xr.Dataset) -> Iterator[dict[str, Any]]:
    """The dataset of one setting, as plain numbers, one dictionary per time; the interval as low and high.

    note: "diverged, 812 of 1,000 left" where paths were left out of the mean, else "".
    """
    names = ("time", *(str(name) for name, x in part.data_vars.items() if x.dims == ("time",)))
    columns = {c: np.asarray(part[c]).tolist() for c in names}
    columns |= {str(end): part["ci"].sel(bound=end).values.tolist() for end in ("low", "high")}
    columns["note"] = [diverged(c, out) for c, out in zip(columns["count"], columns["left_out"], strict=True)]
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def diverged(left: int, out: int) -> str:
    """The mark of a mean from which paths were left out."""
    return f"diverged, {left:,} of {left + out:,} left" if out else ""


def worst(ds: xr.Dataset) -> float:
    """The largest |z| of a dataset; nan if there is nothing to compare."""
    z = np.abs(np.asarray(ds["z"], float))
    return float(np.max(z[np.isfinite(z)])) if np.isfinite(z).any() else float("nan")


@dataclass(frozen=True, repr=False)
class Compared:
    """Simulated numbers beside exact ones: `dataset` has z, the difference in standard errors."""

    dataset: xr.Dataset

    @property
    def worst(self) -> float:
        """The largest |z|; nan if there is nothing to compare."""
        return worst(self.dataset)

    def verdict(self) -> str:
        """Whether simulation and exact values agree, and by how much."""
        z, out = np.asarray(self.dataset["z"], float), np.asarray(self.dataset["left_out"])
        said = "nothing to compare" if np.isnan(self.worst) else "simulation and exact values "
        if not np.isnan(self.worst):
            said += "agree" if self.worst < FAULT else "DISAGREE"
        if (out > 0).any():
            said += f"; {(out > 0).sum()} of {out.size} rows are not compared, since paths diverged"
        return f"largest |z| {self.worst:.2f} of {np.isfinite(z).sum()}: {said}"


@dataclass(frozen=True, repr=False)
class Table(Compared):
    """Numbers for a grid of settings, over time: what figures, discrepancies, differences and files work on."""

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

    def model(self, setting: Setting) -> LinearProcess:
        """The closed forms of one setting."""
        a, ds = self.dataset.attrs, self.dataset
        heavy = bool((ds["momentum"] > 0).any()) or bool((ds["dampening"] > 0).any())
        return LinearProcess(setting["drift"], setting["noise"], a["method"], heavy)
