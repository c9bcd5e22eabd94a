"""A run as tables: data frames of pandas, and the small table that notebooks show."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import arrays
from ..checks import check, choice, several_words
from ..model.parameters import PerPath
from .dataset import STATISTICS, Recorded, feature_groups

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 12  # rows of the table in a notebook


def frame(run: Recorded, form: str, paths: bool | None, coordinates: Sequence[str] | None) -> pd.DataFrame:
    """The values of every path, or the statistics, as a data frame; see `Run.to_pandas`."""
    import pandas as pd

    choice("form", form, ("wide", "long"))
    check(
        paths is None or isinstance(paths, bool),
        f"paths={paths!r}: give True for paths, False for statistics, or None",
        TypeError,
    )
    each = run.values is not None if paths is None else paths
    check(not each or run.values is not None, "paths=True: this run kept no values; give values=True to simulate")
    names, settings, times = columns(run, coordinates), int(np.prod(run.sweep)), len(run.record)
    if each:
        values = arrays.to_host(run.values).reshape(settings, times, -1, len(names)).swapaxes(1, 2)
        count = values.shape[1]
        data = {k: np.repeat(x, count * times) for k, x in swept(run).items()}
        path = run.job.first_path + np.arange(count)
        own = {k: v.values for k, v in run.params.items() if isinstance(v, PerPath) and v.values.ndim == 1}
        data |= {k: np.tile(np.repeat(x, times), settings) for k, x in {**own, "path": path}.items()}
        data["updates"] = np.tile(run.record, settings * count)
        table = pd.DataFrame({**data, **{k: values[..., i].ravel() for i, k in enumerate(names)}})
        kept = list(data)
    else:
        data = {k: np.repeat(x, times) for k, x in swept(run).items()}
        data |= {"updates": np.tile(run.record, settings), "count": run.count.ravel()}
        tables = {k: getattr(run, k).reshape(settings * times, len(names)) for k in STATISTICS}
        table = pd.DataFrame({**data, **{f"{n}_{k}": x[:, i] for i, n in enumerate(names) for k, x in tables.items()}})
        kept = list(data)
    return table if form == "wide" else table.melt(kept, var_name="feature", value_name="value")


def columns(run: Recorded, coordinates: Sequence[str] | None) -> list[str]:
    """The names of the features. coordinates: what the coordinates of w are called in place of w0, w1, ..."""
    if coordinates is None:
        return list(run.labels)
    dim, given = run.job.program.dim, list(several_words("coordinates", coordinates, "['x', 'y']"))
    check(
        len(set(given)) == len(given) == dim,
        f"coordinates={coordinates!r}: give {dim} different names, one for each coordinate",
    )
    names = list(run.labels)
    for base, at in feature_groups(run.labels, dim).items():
        if isinstance(at, slice):
            names[at] = given if base == "w" else [f"{base}_{c}" for c in given]
    check(len(set(names)) == len(names), f"coordinates={coordinates!r}: a feature has one of these names; give others")
    return names


def swept(run: Recorded) -> dict[str, np.ndarray]:
    """Each parameter that varies over the sweep, (settings,); a vector is one column for each coordinate."""
    out: dict[str, np.ndarray] = {}
    at, params = 0, run.job.params
    for name, size in run.job.program.columns:
        if name in run.params and not isinstance(run.params[name], PerPath):
            for i in range(size):
                column = params[0, :, at + i].astype(float)
                if (column != column[0]).any():
                    out[name if size == 1 else f"{name}_{i}"] = _exact(run, name, i, size, column)
        at += size
    return out


def _exact(run: Recorded, name: str, i: int, size: int, column: np.ndarray) -> np.ndarray:
    """The values as they were given, which a program in float32 rounds."""
    given = np.asarray(run.params[name], float)
    shape = (*run.sweep, size) if given.ndim > len(run.sweep) or size > 1 else run.sweep
    try:
        whole = np.broadcast_to(given, shape).reshape(len(column), -1)
    except ValueError:
        return column
    return np.ascontiguousarray(whole[:, i if whole.shape[1] > 1 else 0])


def as_html(run: Any) -> str:
    """What a notebook shows: the run in a line, its settings, and the means at the last time."""
    p, table = run.job.program, frame(run, "wide", False, None)
    last = table[table["updates"] == int(run.record[-1])]
    about = {
        "program": p.name,
        "paths": f"{run.paths:,}" + (f", of which {len(run.diverged):,} diverged" if len(run.diverged) else ""),
        "updates": f"{int(run.record[-1]):,}, recorded at {len(run.record)}",
        "seed": ", ".join(map(str, run.seeds)),
        "numbers": run.numbers,
    }
    facts = "".join(f"<tr><th style='text-align:left'>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in about.items())
    head = "".join(f"<th>{escape(str(c))}</th>" for c in last.columns)
    rows = ["".join(f"<td>{x:.6g}</td>" for x in row) for row in last.head(SHOWN).itertuples(index=False)]
    more = f"<p>{len(last) - SHOWN:,} settings more</p>" if len(last) > SHOWN else ""
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table>{facts}</table><p>at the last time:</p><table><tr>{head}</tr>{body}</table>{more}"
