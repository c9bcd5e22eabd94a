"""Comparison: a table of simulated numbers beside exact ones, as an xarray.Dataset that prints itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .table import Compared


@dataclass(frozen=True, repr=False)
class Comparison(Compared):
    """Simulated numbers, their standard errors and the exact values, for a grid of settings.

    dataset: an xarray.Dataset whose dimensions are the arguments that were given as sequences (and `time`); its variables
    say by `long_name` what they are. z = (simulated - exact)/se.
    """

    def summary(self) -> str:
        """The verdict in one line."""
        a = self.dataset.attrs
        return (
            f"{a['title']}: {self.verdict()} ({a['paths']:,} paths, {a['drift']} drift, {a['noise']} noise, seed {a['seed']})"
        )

    def __repr__(self) -> str:
        return f"Comparison({self.summary()})"

    def __str__(self) -> str:
        return "\n".join([*self._rows(), self.summary()])

    def _rows(self) -> Iterator[str]:
        ds = self.dataset
        varied, shown = [d for d in ds["z"].dims if ds.sizes[d] > 1], str(ds.attrs["shown"]).split()
        yield "  ".join(f"{name:>11}" for name in (*varied, *shown))
        for index in np.ndindex(*(ds.sizes[d] for d in ds["z"].dims)):
            row = ds.isel(dict(zip(ds["z"].dims, index, strict=True)))
            yield "  ".join(f"{float(row[name]):>11.5g}" for name in (*varied, *shown))


def compared(
    values: Mapping[str, np.ndarray], columns: Mapping[str, tuple[str, Any]], attrs: Mapping[str, Any], **last: Any
) -> Comparison:
    """columns: name -> (long_name, array of the grid); `last`: one further dimension, name=coordinates."""
    import xarray as xr

    swept = {p: a.ravel() for p, a in values.items() if a.ndim} | last
    shape = tuple(len(x) for x in swept.values())
    data = {k: (tuple(swept), np.array(np.broadcast_to(x, shape)), {"long_name": text}) for k, (text, x) in columns.items()}
    fixed = {p: float(a) for p, a in values.items() if not a.ndim}
    return Comparison(xr.Dataset(data, {**swept, **fixed}, dict(attrs)))
