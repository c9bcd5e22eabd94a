"""Study: simulated mean squared displacements beside their exact values and the published theorems."""
from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from .checks import check
from .closed_form import Model

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

PARAMETERS = ("eigenvalue", "lr", "rho", "momentum", "batch_size")
COLUMNS = ("msd", "se", "low", "high", "exact", "theorem", "ratio", "valid", "z", "count")
FAULT = 5.0         # |z| above it by chance: 6e-7 per comparison
HEAD = (f"{'time':>10} {'updates':>9} {'MSD':>12} {'+- se':>9} {'exact':>12} {'z':>6} {'':2}"
        f"{'theorem':>12} {'/ exact':>9}")


def number(x: Any) -> str:
    """Short and unambiguous: 0.1, 64, 1e-06."""
    return f"{float(x):.6g}"


def name(setting: Mapping[str, float], varied: tuple[str, ...] = ()) -> str:
    """What a figure or table calls a setting: 'SGD', 'SAM rho=0.1 + momentum 0.9'."""
    text = f"SAM rho={number(setting['rho'])}" if setting["rho"] else "SGD"
    if setting["momentum"]:
        text += f" + momentum {number(setting['momentum'])}"
    others = [f"{k} {number(setting[k])}" for k in ("eigenvalue", "lr", "batch_size") if k in varied]
    return ", ".join([text, *others]).replace("batch_size", "batch")


@dataclass(frozen=True, repr=False)
class Study:
    """Mean squared displacements from the saddle, for a grid of settings, over time (see `samfast.msd`).

    dataset: an xarray.Dataset. Its dimensions are the parameters that were given as sequences, then `time` (lr per
    update). Variables: msd and its standard error se; low, high: the confidence interval of the true value; exact: the
    closed form of what was simulated; z = (msd - exact)/(standard deviation of msd); theorem: the published formula
    with the same drift and noise (Theorem 2 without momentum, 3 with it); ratio = theorem/exact; valid: the formula is
    within 15 % (Theorem 3: see theory.theorem3_validity; Theorem 2 is exact for the diffusion); count: paths in the
    mean; n_diverged: paths that were left out by the end. Parameters that are plain numbers are scalar coordinates.
    """

    dataset: xr.Dataset

    def settings(self) -> Iterator[tuple[dict[str, float], xr.Dataset]]:
        """Each setting of the grid: its parameters, and the dataset along time."""
        dims = self.swept
        for index in np.ndindex(*(self.dataset.sizes[d] for d in dims)):
            part = self.dataset.isel(dict(zip(dims, index, strict=True)))
            yield {p: float(part[p]) for p in PARAMETERS}, part

    @property
    def swept(self) -> tuple[str, ...]:
        """The parameters that were given as sequences."""
        return tuple(p for p in PARAMETERS if p in self.dataset.dims)

    @property
    def varied(self) -> tuple[str, ...]:
        """The parameters with more than one value."""
        return tuple(p for p in self.swept if self.dataset.sizes[p] > 1)

    @property
    def model(self) -> Model:
        """The closed forms of this study."""
        a = self.dataset.attrs
        return Model(a["drift"], a["noise"], a["method"], a["dampening"], None if a["dt"] == "lr" else a["dt"],
                     bool((self.dataset["momentum"] > 0).any()) or a["dampening"] > 0)

    @property
    def worst(self) -> float:
        """The largest |z|; nan if there is nothing to compare."""
        z = np.abs(np.asarray(self.dataset["z"], float))
        return float(np.max(z[np.isfinite(z)], initial=0.0)) if np.isfinite(z).any() else float("nan")

    def __repr__(self) -> str:
        a, ds = self.dataset.attrs, self.dataset
        grid = ", ".join(f"{d}: {ds.sizes[d]}" for d in (*self.swept, "time"))
        return f"Study(msd, {a['method']}, {a['drift']} drift; {grid}; {a['paths']:,} paths, largest |z| {self.worst:.2f})"

    def __str__(self) -> str:
        return "\n".join([*self._blocks(), self.summary()])

    def _blocks(self) -> Iterator[str]:
        for setting, part in self.settings():
            yield f"{name(setting)}   ({', '.join(f'{p} {number(setting[p])}' for p in PARAMETERS)})"
            yield HEAD.replace("  theorem", f"theorem {3 if setting['momentum'] else 2}")
            for row in _rows(part):
                mark = " " if row["valid"] else "*"
                yield (f"{row['time']:>10.5g} {row['time'] / setting['lr']:>9.6g} {row['msd']:>12.5e} {row['se']:>9.2e} "
                       f"{row['exact']:>12.5e} {row['z']:>6.2f} {'':2}{row['theorem']:>12.5e} {row['ratio']:>8.4g}{mark}")
            yield ""
        if not bool(self.dataset["valid"].all()):
            yield "* outside the range where Theorem 3 is within 15 % of the algorithm"

    def summary(self) -> str:
        """The verdict in one line."""
        a, z = self.dataset.attrs, np.asarray(self.dataset["z"], float)
        lost = int(self.dataset["n_diverged"].sum())
        verdict = "nothing to compare" if np.isnan(self.worst) else (
            "simulation and exact values agree" if self.worst < FAULT else
            "simulation and exact values DISAGREE" + (", diverged paths were left out" if lost else ""))
        return (f"largest |z| {self.worst:.2f} of {np.isfinite(z).sum()}: {verdict} ({a['paths']:,} paths, {a['method']}, "
                f"{a['drift']} drift, {a['noise']} noise, seed {a['seed']}, {a['wall_seconds']:.1f} s)")

    def plot(self, path: Any = None) -> Figure:
        """MSD against time, z and theorem/exact; written to `path` (.png, .pdf, .svg) if one is given."""
        from .plot import draw
        figure = draw(self)
        if path is not None:
            kind = Path(path).suffix.lstrip(".") or "png"
            _beside(Path(path), lambda f: figure.savefig(f, format=kind, dpi=150))
        return figure

    def save(self, folder: Any) -> list[Path]:
        """Write study.csv (one row per setting and time), study.json (everything) and study.png; their paths."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        table, everything, picture = (place / f"study.{kind}" for kind in ("csv", "json", "png"))
        text = json.dumps(self._json(), indent=1, allow_nan=False) + "\n"
        _beside(table, lambda f: f.write(self._csv().encode()))
        _beside(everything, lambda f: f.write(text.encode()))
        self.plot(picture)
        return [table, everything, picture]

    def _json(self) -> Any:
        raw = self.dataset.to_dict()
        for key, variable in (*raw["coords"].items(), *raw["data_vars"].items()):
            variable["dtype"] = str(self.dataset[key].dtype)
        return _plain(raw)

    def _csv(self) -> str:
        import io
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([*PARAMETERS, "time", "steps", *COLUMNS, "n_diverged"])
        for setting, part in self.settings():
            for row in _rows(part):
                cells = [*setting.values(), row["time"], row["steps"], *(row[c] for c in COLUMNS)]
                writer.writerow([*(repr(x) for x in cells), repr(int(part["n_diverged"]))])
        return out.getvalue()

    @classmethod
    def load(cls, path: Any) -> Study:
        """A saved study again: from its folder, or from its study.json."""
        import xarray as xr
        file = Path(path)
        file = file / "study.json" if file.is_dir() else file
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            for variable in (*raw["data_vars"].values(), *raw["coords"].values()):
                variable["data"] = np.asarray(variable["data"], variable["dtype"])
            return cls(xr.Dataset.from_dict(raw))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"path={str(path)!r}: {file} is not a saved study ({error}); give a folder that Study.save "
                             "wrote") from None


def _rows(part: xr.Dataset) -> Iterator[dict[str, Any]]:
    """The dataset of one setting, as plain numbers, one dictionary per time."""
    columns = {c: np.asarray(part[c]).tolist() for c in ("time", "steps", *COLUMNS)}
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _plain(x: Any) -> Any:
    """For JSON, which has no inf and nan: they become strings, which NumPy reads as numbers again."""
    if isinstance(x, Mapping):
        return {str(k): _plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [_plain(v) for v in x]
    return repr(x) if isinstance(x, float) and not np.isfinite(x) else x


def _beside(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file beside and rename it, so that no reader ever sees half of it."""
    check(path.parent.is_dir(), f"path={str(path)!r}: folder {path.parent} does not exist; create it first",
          FileNotFoundError)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            write(file)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
