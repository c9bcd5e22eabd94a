"""Comparison: a table of simulated numbers beside exact ones, as an xarray.Dataset that prints, draws and keeps itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..checks import flag, location, picture, several_words
from ..checks import folder as named_folder
from . import saved
from .comparison_figure import draw
from .table import Compared, diverged

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

STEM = "comparison"


@dataclass(frozen=True, repr=False)
class Comparison(Compared):
    """Simulated numbers, their standard errors and the exact values, for a grid of settings.

    dataset: an xarray.Dataset whose dimensions are the arguments that were given as sequences (and `time`); its variables
    say by `long_name` what they are. z = (simulated - exact)/se. left_out: paths that had diverged, where se and z are
    nan. The attributes tell where the numbers come from.
    """

    def summary(self) -> str:
        """The verdict in one line."""
        a = self.dataset.attrs
        return (
            f"{a['title']}: {self.verdict()} ({a['paths']:,} paths, {a['drift']} drift, {a['noise']} noise, seed {a['seed']}, "
            f"numbers {str(a['numbers'])[:16]})"
        )

    def __repr__(self) -> str:
        return f"Comparison({self.summary()})"

    def __str__(self) -> str:
        return "\n".join([*self._rows(), self.summary()])

    def _rows(self) -> Iterator[str]:
        ds = self.dataset
        columns = (*(d for d in ds["z"].dims if ds.sizes[d] > 1), *str(ds.attrs["shown"]).split())
        yield "  ".join(f"{name:>11}" for name in columns)
        for row in self.rows():
            line = "  ".join(f"{row[name]:>11.5g}" for name in columns)
            yield f"{line}  {row['note']}" if row["note"] else line

    def rows(self) -> Iterator[dict[str, Any]]:
        """Each setting (and time) with its parameters and numbers; note: a mark where paths diverged, else ''."""
        ds = self.dataset
        for index in np.ndindex(*(ds.sizes[d] for d in ds["z"].dims)):
            part = ds.isel(dict(zip(ds["z"].dims, index, strict=True)))
            row = {str(name): float(x) for name, x in (*part.coords.items(), *part.data_vars.items())}
            out = int(row["left_out"])
            yield {**row, "note": diverged(ds.attrs["paths"] - out, out)}

    def to_pandas(self, form: Literal["wide", "long"] = "wide") -> pd.DataFrame:
        """A data frame with one row for each setting (and time), "wide" or "long"; see `Study.to_pandas`."""
        return saved.frame(self.rows(), form, (*map(str, self.dataset.coords), "note"))

    def plot(self, path: Any = None, *, against: str | None = None) -> Figure:
        """The simulated values with bars of 2 standard errors, the exact ones and other formulas as lines; z below.

        against: the dimension on the axis (default: time, else the longest); each combination of the others is a series.
        path: .png, .pdf or .svg, written if given. Raises ValueError for a dimension that the dataset does not have.
        """
        figure = draw(self.dataset, against)
        if path is not None:
            saved.write_figure(figure, picture("path", path))
        return figure

    def save(self, folder: Any, *, formats: Iterable[str] = saved.FORMATS, overwrite: bool = False) -> list[Path]:
        """Write comparison.csv (a row per setting and time), .json and .nc (everything) and .png; their paths.

        Raises FileExistsError if the folder holds another comparison than that of the same call, unless overwrite=True.
        """
        chosen, where = several_words("formats", formats, "['csv', 'nc']"), named_folder("folder", folder)
        if not flag("overwrite", overwrite):
            call = str(self.dataset.attrs["call"])
            saved.refuse_another(where, call, f"folder={str(where)!r}", "overwrite=True", STEM)
        figures = {f"{STEM}.png": draw(self.dataset, None)} if "png" in chosen else {}
        fixed = {c: self.dataset.attrs[c] for c in ("drift", "noise")}
        rows = ({**fixed, **row} for row in self.rows())
        return saved.write(where, STEM, self.dataset, rows, figures, chosen)

    @classmethod
    def load(cls, path: Any) -> Comparison:
        """A saved comparison again, exactly: from its folder, its comparison.nc or its comparison.json."""
        return cls(saved.load(location("path", path), STEM))


def compared(
    values: Mapping[str, np.ndarray], columns: Mapping[str, tuple[str, Any]], attrs: Mapping[str, Any], **last: Any
) -> Comparison:
    """columns: name -> (long_name, array of the grid); `last`: one further dimension, name=coordinates."""
    import xarray as xr

    from .variables import fingerprint

    swept = {p: a.ravel() for p, a in values.items() if a.ndim} | last
    shape = tuple(len(x) for x in swept.values())
    data = {k: (tuple(swept), np.array(np.broadcast_to(x, shape)), {"long_name": text}) for k, (text, x) in columns.items()}
    fixed = {p: float(a) for p, a in values.items() if not a.ndim}
    ds = xr.Dataset(data, {**swept, **fixed}, dict(attrs))
    return Comparison(ds.assign_attrs(numbers=fingerprint(ds)))
