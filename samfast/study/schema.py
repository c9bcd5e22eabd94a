"""What a file must hold to be a study or a comparison: each field's dimensions, kind and range, or one line that names it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import check, choice, shown
from ..model.noise import KINDS as NOISE_KINDS
from .plan import BOUNDS, CHOICES, PARAMETERS, MsdArguments, axes, settings
from .process import DRIFTS, NOISES, THEOREMS
from .table import MATCHED
from .variables import VARIABLES

if TYPE_CHECKING:
    import xarray as xr

HOLDS = {"b": "truth values", "i": "whole numbers", "u": "whole numbers", "f": "numbers"}
COUNTS = ("count", "left_out", "steps", "n_diverged")
STATES = ("complete", "interrupted", "until not reached")
LONGEST = 100_000  # characters of an attribute; the call of a study with many settings is its longest


def study(ds: xr.Dataset) -> None:
    """Raise ValueError with the field's name unless the dataset is that of a Study whose settings `msd` would take."""
    _attributes(
        ds, {k: str for k in ("method", "theorem", "kind", "dtype", *CHOICES)} | {"wall_seconds": float, "confidence": float}
    )
    choice("attribute kind", ds.attrs["kind"], NOISE_KINDS)
    choice("attribute status", ds.attrs.get("status"), STATES)
    choice("attribute theorem", ds.attrs["theorem"], ("both", *THEOREMS))
    swept = tuple(d for d in (*CHOICES, *PARAMETERS) if d in ds.dims)
    given = {k: ds.attrs[k] for k in ("method", "theorem", "kind", "confidence")}
    settings(MsdArguments(**_parameters(ds, PARAMETERS, PARAMETERS[:-1]), **_words(ds), **given, until=ds.attrs.get("until")))
    _times(ds)
    check(
        ds.sizes.get("bound") == 2 and ds["bound"].values.tolist() == ["low", "high"], "coordinate bound: it is not low, high"
    )
    for name in (v for v in VARIABLES if v not in MATCHED or ds.attrs["theorem"] == "both"):
        ends = {"ci": ("time", "bound"), "n_diverged": ()}.get(name, ("time",))
        kinds = "b" if name.endswith("valid") else "iu" if name in COUNTS else "f"
        _variable(ds, name, (*swept, *ends), kinds)
    _others(ds, {*swept, "time", "bound"})


def comparison(ds: xr.Dataset) -> None:
    """Raise ValueError with the field's name unless the dataset is that of a Comparison."""
    words = {k: str for k in ("title", "value", "curves", "shown", "unit", *CHOICES)}
    _attributes(ds, words)
    named = {k: ds.attrs[k].split() for k in ("value", "curves", "shown")}
    for key, many in (("value", 1), ("curves", 2)):
        check(len(named[key]) == many, f"attribute {key}={shown(ds.attrs[key])}: it does not name {many} variables")
    _words(ds)
    limits = {**BOUNDS, "limit": {"above": 0.0}}
    axes(_parameters(ds, limits, ("eigenvalue", "lr", "rho", "batch_size")), limits)
    dims = (*(p for p in limits if p in ds.dims), *(("time",) if "time" in ds.dims else ()))
    if "time" in ds.dims:
        _times(ds)
    check("z" in ds.variables and {*ds["z"].dims} == {*dims}, f"variable z has not the dimensions {dims}")
    for name in (*named["value"], *named["curves"], "z", "se", "exact", "left_out"):
        found = _variable(ds, name, ds["z"].dims, "iu" if name == "left_out" else "f")
        check(_text(found.attrs.get("long_name")), f"variable {name}: its long_name is no plain text")
    for name in named["shown"]:
        _variable(ds, name, None, "iuf")
    for d in dims:
        check(d in ds.coords, f"coordinate {d}: it is missing")
    _others(ds, {*dims})


def _attributes(ds: xr.Dataset, words: Mapping[str, type]) -> None:
    """Those that everything has, and `words`: a name and its type."""
    for key, value in ds.attrs.items():
        check(
            isinstance(value, (str, int, float)) and not (isinstance(value, str) and len(value) > LONGEST),
            f"attribute {key}={shown(value)}: it is no number and no text of at most {LONGEST:,} characters",
        )
        check(not isinstance(value, str) or _printable(value), f"attribute {key}: it has control characters")
    for key, kind in {"call": str, "numbers": str, "paths": int, "seed": int, **words}.items():
        value = ds.attrs.get(key)
        good = isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)
        check(good, f"attribute {key}={shown(value)}: it is no {'text' if kind is str else 'number'}")
        check(kind is str or bool(np.isfinite(value)), f"attribute {key}={shown(value)}: it is not finite")
    check(ds.attrs["paths"] >= 1, f"attribute paths={ds.attrs['paths']}: it is below 1")
    for key in ("title", "unit"):
        check(key not in ds.attrs or _text(ds.attrs[key]), f"attribute {key}: it is no plain text")


def _parameters(ds: xr.Dataset, names: Iterable[str], need: Iterable[str]) -> dict[str, Any]:
    """The parameters of the settings: dimensions, or single numbers."""
    found = {}
    for p in names:
        if p in ds.coords:
            found[p] = _coordinate(ds, p).values if p in ds.dims else _variable(ds, p, (), "iuf").values[()]
    for p in need:
        check(p in found, f"coordinate {p}: it is missing")
    return found


def _words(ds: xr.Dataset) -> dict[str, Any]:
    """Drift and noise: dimensions, single words, or an attribute."""
    found = {}
    for c, options in (("drift", DRIFTS), ("noise", tuple(NOISES))):
        words = [str(x) for x in np.ravel(ds[c].values)] if c in ds.coords else ds.attrs[c].split(", ")
        for word in words:
            choice(f"coordinate or attribute {c}", word, options)
        check(c not in ds.coords or ds[c].dims in ((), (c,)), f"coordinate {c}: it has other dimensions than itself")
        found[c] = words if c in ds.dims else words[0]
    return found


def _times(ds: xr.Dataset) -> None:
    times = np.asarray(_coordinate(ds, "time").values, float)
    good = bool(np.isfinite(times).all() and (times >= 0).all() and (np.diff(times) > 0).all())
    check(good, "coordinate time: its values do not ascend from 0 or more")


def _coordinate(ds: xr.Dataset, name: str) -> Any:
    check(name in ds.coords and name in ds.dims, f"coordinate {name}: it is missing")
    return _variable(ds, name, (name,), "iuf")


def _variable(ds: xr.Dataset, name: str, dims: tuple[Any, ...] | None, kinds: str) -> Any:
    """The variable, if its dimensions are these and its type is one of these kinds; dims: None for any."""
    check(name in ds.variables, f"variable {name}: it is missing")
    found = ds[name]
    check(dims is None or found.dims == dims, f"variable {name} has the dimensions {found.dims}: they are not {dims}")
    check(found.dtype.kind in kinds, f"variable {name} is of type {found.dtype}: it holds no {HOLDS[kinds[0]]}")
    check(found.size > 0, f"variable {name} is empty")
    return found


def _others(ds: xr.Dataset, dims: set[str]) -> None:
    """Whatever else is there has numbers and no dimensions of its own, since pictures and tables go over all of it."""
    for name in ds.dims:
        check(name in dims, f"dimension {shown(name)}: it is none of these settings")
    for name, found in ds.variables.items():
        check(_text(name), f"variable {shown(name)}: its name is no plain text")
        check(
            name in (*CHOICES, "bound") or found.dtype.kind in "iufb", f"variable {name} is of type {found.dtype}: no numbers"
        )


def _printable(text: str) -> bool:
    return text.replace("\n", "").isprintable()


def _text(value: Any) -> bool:
    """Whether a picture can show it as it is; a $ begins a formula."""
    return isinstance(value, str) and _printable(value) and "$" not in value


CHECKS: dict[str, Callable[[xr.Dataset], None]] = {"study": study, "comparison": comparison}
