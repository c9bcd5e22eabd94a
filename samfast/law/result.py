"""What `density` returns: the law on the grid, its moments with their errors, and what follows from the operator."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from scipy.sparse import eye_array
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs, splu

from ..atomic import renamed
from ..checks import check, flag, integer, location, numbers, picture, real_array
from ..machine import versions
from ..stats.distribution import histogram
from . import figure
from .generator import Generator
from .grid import Grid
from .step import OneStep
from .transfer import State, Transfer

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

MARK = "density of paths on a grid"  # the title by which a file is known
LONGEST = 1e13  # jumps or updates until the exit, beyond which the linear equations have no digit left
SHIFT = 1e-12  # of the largest rate: where eigenvalues are sought, so that the matrix can be inverted if no wall absorbs
# name -> (dimensions beside time, power of length, meaning, unit)
MOMENTS: dict[str, tuple[tuple[str, ...], int, str, str]] = {
    "mass": ((), 0, "share of the paths inside the box", "1"),
    "mean": (("coordinate",), 1, "mean of the paths inside", "length"),
    "covariance": (("coordinate", "other"), 2, "covariance of the paths inside", "length^2"),
    "msd": ((), 2, "mean squared displacement of the paths inside, from the start or its mean", "length^2"),
}


class Number(NamedTuple):
    """A number and its estimated error."""

    value: float
    error: float


class Stationary(NamedTuple):
    """The density that keeps its form, (*shape,), the rate at which its mass decays, and their estimated errors."""

    density: np.ndarray
    rate: float
    density_error: float
    rate_error: float

    def __repr__(self) -> str:
        cells = " x ".join(map(str, self.density.shape))
        return f"Stationary({cells} cells, density +- {self.density_error:.1g}, rate {self.rate:.6g} +- {self.rate_error:.1g})"


class Solved(Protocol):
    """The law on one of two grids, by the equation or by the transfer operator."""

    def masses_at(self, i: int) -> np.ndarray: ...
    def moments_at(self, i: int) -> tuple[np.ndarray, np.ndarray]: ...
    def exit_time(self) -> float: ...
    def slowest(self) -> tuple[np.ndarray, float]: ...


@dataclass(frozen=True, eq=False)
class Diffusion:
    """A Fokker-Planck equation solved on a grid: masses (time, cell) and their error by the steps in time, (time,)."""

    operator: Generator
    start: np.ndarray
    masses: np.ndarray
    late: np.ndarray
    scheme: str

    extrapolated = True

    @property
    def grid(self) -> Grid:
        return self.operator.grid

    @property
    def longest(self) -> float:
        return LONGEST / float(-self.operator.matrix.diagonal().min())

    def masses_at(self, i: int) -> np.ndarray:
        return self.masses[i].reshape(self.grid.shape)

    def moments_at(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Points (n, dim) and their masses (n,)."""
        return self.grid.points.reshape(-1, self.grid.dim), self.masses[i]

    def exit_time(self) -> float:
        return float(self.start @ splu(self.operator.matrix.T.tocsc()).solve(-np.ones(len(self.start))))

    def slowest(self) -> tuple[np.ndarray, float]:
        matrix = self.operator.matrix
        shift = SHIFT * float(-matrix.diagonal().min())
        solve = splu((matrix - shift * eye_array(matrix.shape[0])).tocsc()).solve
        inverse = LinearOperator(matrix.shape, matvec=solve, dtype=float)
        found = _leading(inverse)
        found /= found.sum()
        return found.reshape(self.grid.shape), float(self.operator.killed @ found)


@dataclass(frozen=True, eq=False)
class Chain:
    """An algorithm on a grid: its densities at the nodes after each of the recorded updates."""

    operator: Transfer
    point: np.ndarray | None
    start: np.ndarray | None
    first: np.ndarray
    states: Sequence[State]

    extrapolated = False
    scheme = "Gauss-Legendre"

    @property
    def grid(self) -> Grid:
        return self.operator.grid

    @property
    def longest(self) -> float:
        return LONGEST * self.operator.step.length

    @property
    def late(self) -> np.ndarray:
        return np.zeros(len(self.states))

    def masses_at(self, i: int) -> np.ndarray:
        before = self.states[i].before
        return self.first if before is None else self.operator.cells(before)

    def moments_at(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        now = self.states[i].now
        if now is not None:
            return self.operator.points, self.operator.weights * now
        assert self.point is not None
        return self.point[None], np.ones(1)

    def exit_time(self) -> float:
        length = self.operator.step.length
        if self.point is None:
            assert self.start is not None
            return length * self.operator.total_time(self.start)
        return length * (1 + self.operator.total_time(self.operator.first(self.point)))

    def slowest(self) -> tuple[np.ndarray, float]:
        size = len(self.operator.weights)
        found = _leading(LinearOperator((size, size), matvec=self.operator, dtype=float))
        found /= self.operator.weights @ found
        kept = float(self.operator.weights @ self.operator(found))
        return self.operator.cells(found) / kept, -float(np.log(kept)) / self.operator.step.length


def _leading(operator: LinearOperator) -> np.ndarray:
    """The eigenvector of the eigenvalue of largest modulus, positive; that of a positive operator has one sign."""
    try:
        _, vectors = eigs(operator, k=1, which="LM", v0=np.ones(operator.shape[0]))
    except ArpackNoConvergence:
        raise ValueError("grid: the stationary density was not found; give a smaller box, or fewer cells") from None
    return np.abs(vectors[:, 0].real)


def _moments(weighted: tuple[np.ndarray, np.ndarray], origin: np.ndarray) -> tuple[np.ndarray, ...]:
    """(mass, mean, covariance, msd) of points (n, dim) with masses (n,), the last three of the paths that are left."""
    points, masses = weighted
    mass = masses.sum()
    share = masses / mass
    mean = share @ points
    away = points - mean
    return mass, mean, (away * share[:, None]).T @ away, share @ ((points - origin) ** 2).sum(-1)


def result(kept: Sequence[Any], step: OneStep, point: np.ndarray | None, times: np.ndarray) -> Density:
    """The law of two grids, the second the coarser one, as a dataset with errors."""
    import xarray as xr

    fine, coarse = kept
    grid, dim, many = fine.grid, step.dim, range(len(times))
    if point is not None:
        origin = point
    elif fine.extrapolated:
        origin = fine.start @ grid.points.reshape(-1, dim)
    else:
        origin = (fine.operator.weights * fine.start) @ fine.operator.points
    with np.errstate(invalid="ignore", divide="ignore"):
        numbers_of = [[_moments(one.moments_at(i), origin) for i in many] for one in (fine, coarse)]
    names = [f"w{i}" for i in range(dim)]
    reach = float(np.linalg.norm([max(abs(e[0] - x), abs(e[-1] - x)) for e, x in zip(grid.edges, origin, strict=True)]))
    data: dict[str, Any] = {}
    for k, (name, (inner, power, about, unit)) in enumerate(MOMENTS.items()):
        a, b = (np.array([row[k] for row in rows]) for rows in numbers_of)
        value, error = _estimate(a, b, fine.extrapolated)
        value = np.clip(value, 0.0, 1.0) if name == "mass" else value  # the extrapolation may pass the limits
        late = reach**power * np.maximum(fine.late, coarse.late).reshape(-1, *(1,) * len(inner))
        data[name] = (("time", *inner), value, {"long_name": about, "units": unit})
        data[f"{name}_error"] = (("time", *inner), error + late, {"long_name": f"estimated error of {name}"})
    masses = np.array([fine.masses_at(i) for i in many])
    data["density"] = (
        ("time", *names),
        masses / grid.volume,
        {"long_name": "mean density in each cell", "units": f"1/length^{dim}"},
    )
    off = np.array([_cell_errors(fine, coarse, i) for i in many]) / grid.volume
    data["density_error"] = (("time", *names), off, {"long_name": "estimated error of density"})
    coordinates: dict[str, Any] = {n: (n, c, {"units": "length"}) for n, c in zip(names, grid.centres, strict=True)}
    coordinates |= {f"edge{i}": (f"edge{i}", e, {"units": "length"}) for i, e in enumerate(grid.edges)}
    coordinates["time"] = ("time", times, {"long_name": "learning rate x updates"})
    sides = [["absorbing" if side else "reflecting" for side in pair] for pair in grid.absorbing]
    attrs = {
        "title": MARK,
        "rule": step.name,
        "method": "fokker-planck" if fine.extrapolated else "transfer",
        "scheme": fine.scheme,
        "walls": ", ".join("/".join(pair) for pair in sides),
        "samfast": dict(versions())["samfast"],
    }
    return Density(xr.Dataset(data, coordinates, attrs), tuple(kept))


def _estimate(fine: np.ndarray, coarse: np.ndarray, extrapolated: bool) -> tuple[np.ndarray, np.ndarray]:
    """A value and its error. An error of second order is a quarter on the finer grid, and is taken out (Richardson)."""
    off = np.abs(fine - coarse)
    return ((4 * fine - coarse) / 3, off / 3) if extrapolated else (fine, off)


def _cell_errors(fine: Any, coarse: Any, i: int) -> np.ndarray:
    """The error of the mass of each cell of the fine grid."""
    a, b = fine.masses_at(i), coarse.masses_at(i)
    if not fine.extrapolated:
        return np.abs(a - b)
    blocks = [k for n in b.shape for k in (n, 2)]
    off = np.abs(a.reshape(blocks).sum(tuple(range(1, len(blocks), 2))) - b) / 3 / 2**b.ndim
    for axis in range(b.ndim):
        off = np.repeat(off, 2, axis)
    return off + float(fine.late[i]) / a.size


@dataclass(frozen=True, eq=False, repr=False)
class Density:
    """The law of the paths on a grid at some times, the result of `density`.

    dataset: an xarray.Dataset with `density` (time, w0[, w1]), in 1/length^dim, the mean over each cell, and the moments
    `mass` (share of the paths inside the box), `mean`, `covariance` and `msd` (of the paths inside, msd from the start).
    Each has an estimated error beside it, e.g. `msd_error`.
    """

    dataset: xr.Dataset
    _solved: tuple[Any, ...] = field(default=())

    @property
    def times(self) -> np.ndarray:
        """(time,), in units of lr per update."""
        return np.asarray(self.dataset["time"])

    @property
    def dim(self) -> int:
        """The number of coordinates, 1 or 2."""
        return int(self.dataset.sizes["coordinate"])

    @property
    def edges(self) -> tuple[np.ndarray, ...]:
        """The edges of the cells along each coordinate, as `stats.histogram` takes them."""
        return tuple(np.asarray(self.dataset[f"edge{i}"]) for i in range(self.dim))

    @property
    def density(self) -> np.ndarray:
        """(time, *shape), in 1/length^dim."""
        return np.asarray(self.dataset["density"])

    @property
    def probability(self) -> np.ndarray:
        """The chance of a path to be in each cell, (time, *shape); the sum over the cells is `mass` on this grid."""
        volume = np.prod([(e[-1] - e[0]) / (len(e) - 1) for e in self.edges])
        return self.density * volume

    @property
    def mass(self) -> np.ndarray:
        """The share of the paths inside the box, (time,)."""
        return np.asarray(self.dataset["mass"])

    @property
    def mean(self) -> np.ndarray:
        """(time, dim), of the paths inside."""
        return np.asarray(self.dataset["mean"])

    @property
    def covariance(self) -> np.ndarray:
        """(time, dim, dim), of the paths inside."""
        return np.asarray(self.dataset["covariance"])

    @property
    def msd(self) -> np.ndarray:
        """The mean squared displacement from the start, (time,), of the paths inside."""
        return np.asarray(self.dataset["msd"])

    def marginal(self, coordinate: int = 0) -> np.ndarray:
        """The density of one coordinate, (time, cells)."""
        i = integer("coordinate", coordinate, 0, most=self.dim - 1)
        others = tuple(1 + k for k in range(self.dim) if k != i)
        width = float(self.edges[i][-1] - self.edges[i][0]) / (len(self.edges[i]) - 1)
        return self.probability.sum(others) / width

    def exit_time(self) -> Number:
        """The mean time until a path leaves the box, inf where no wall absorbs.

        For an algorithm it is that of the first update after which the path is outside. It is nan where it is beyond the digits
        of float64, which is for times above some 1e13 mean times between jumps from a cell.
        """
        fine, coarse = self._operators()
        if fine.grid.closed:
            return Number(float("inf"), 0.0)
        a, b = fine.exit_time(), coarse.exit_time()
        value, error = (float(x) for x in _estimate(np.array(a), np.array(b), fine.extrapolated))
        return Number(value, error) if 0 < a < fine.longest else Number(float("nan"), float("inf"))

    def stationary(self) -> Stationary:
        """The density that paths tend to, and the rate at which they leave, in 1/time.

        Without absorbing walls the rate is 0. With them it is the law of the paths that are still inside after a long time, and
        their number falls as exp(-rate*t). Rates below 1e-14 of the largest rate of the grid are lost in rounding.
        """
        fine, coarse = self._operators()
        (a, quick), (b, slow) = fine.slowest(), coarse.slowest()
        rate, rate_error = _estimate(np.array(quick), np.array(slow), fine.extrapolated)
        if fine.extrapolated:
            blocks = [k for n in b.shape for k in (n, 2)]
            off = np.abs(a.reshape(blocks).sum(tuple(range(1, len(blocks), 2))) - b).max() / 3 / 2**b.ndim
        else:
            off = np.abs(a - b).max()
        volume = fine.grid.volume
        return Stationary(a / volume, max(float(rate), 0.0), float(off / volume), float(rate_error))

    def _operators(self) -> tuple[Any, ...]:
        check(
            bool(self._solved), "this density was loaded from a file, which holds no operator; compute it again by sf.density"
        )
        return self._solved

    def z(self, values: Any, *, time: float | None = None, together: int = 1, least: int = 1000) -> np.ndarray:
        """How far simulated paths are from this law in each bin, (their share - probability)/standard error.

        values: (paths, dim), or (paths,) for one coordinate, positions at `time` (default: the last one); nan for a path that
        has left. together: the number of cells in a bin along each coordinate. The result is nan in bins where fewer than
        `least` paths are expected.
        """
        i = self._at(time)
        n = integer("together", together, 1, 4)
        x = real_array("values", values)
        x = x[:, None] if x.ndim == 1 and self.dim == 1 else x
        check(x.ndim == 2 and x.shape[-1] == self.dim and len(x) > 0, f"values has shape {x.shape}: give (paths, {self.dim})")
        for edge in self.edges:
            check((len(edge) - 1) % n == 0, f"together={n}: {len(edge) - 1} cells cannot be divided into bins of {n}")
        edges = [e[::n] for e in self.edges]
        counts = np.histogramdd(x[np.isfinite(x).all(-1)], edges)[0] if self.dim > 1 else histogram(x[:, 0], edges[0]).counts
        blocks = [k for e in edges for k in (len(e) - 1, n)]
        p = self.probability[i].reshape(blocks).sum(tuple(range(1, len(blocks), 2)))
        with np.errstate(all="ignore"):
            z = (counts / len(x) - p) / np.sqrt(p * (1 - p) / len(x))
        return np.where(p * len(x) >= least, z, np.nan)

    def _at(self, time: float | None) -> int:
        """The number of a recorded time."""
        if time is None:
            return len(self.times) - 1
        near = np.abs(self.times - float(numbers("time", time)))
        i = int(near.argmin())
        check(near[i] <= 1e-9 * max(1.0, abs(float(self.times[i]))), f"time={time!r}: choose one of {self.times.tolist()}")
        return i

    def __repr__(self) -> str:
        d, last = self.dataset, -1
        cells = " x ".join(str(len(e) - 1) for e in self.edges)

        def said(name: str) -> str:
            return f"{name} {float(d[name][last]):.6g} +- {float(d[f'{name}_error'][last]):.1g}"

        return (
            f"Density({d.attrs['method']} of {d.attrs['rule']}, {cells} cells, {len(self.times)} times to "
            f"{self.times[last]:g}; {said('mass')}, {said('msd')})"
        )

    def plot(self, path: Any = None, *, values: Any = None, time: float | None = None) -> Figure:
        """Draw the density at a time (default: the last one) and return the figure, which is saved to `path` if that is given.

        values: simulated positions, as for `z`; their histogram is drawn beside.
        """
        made = figure.draw(self, self._at(time), None if values is None else real_array("values", values))
        if path is not None:
            made.savefig(picture("path", path), dpi=150)
        return made

    def save(self, path: Any, *, overwrite: bool = False) -> Path:
        """Write the dataset to a NetCDF 4 file, e.g. "law.nc", from which `load` or `sf.load` gives it again; its path.

        Raises FileExistsError for a file that exists unless overwrite=True.
        """
        file = location("path", path)
        check(
            flag("overwrite", overwrite) or not file.exists(),
            f"path={str(path)!r}: there is such a file; give another name, or overwrite=True",
            FileExistsError,
        )
        renamed(file, lambda temporary: self.dataset.to_netcdf(temporary, engine="h5netcdf"))
        return file

    @classmethod
    def load(cls, path: Any) -> Density:
        """A saved density again; `exit_time` and `stationary` need the operator, which is not saved."""
        import xarray as xr

        file = location("path", path)
        check(file.is_file(), f"path={str(path)!r}: there is no such file", FileNotFoundError)
        try:
            with xr.open_dataset(io.BytesIO(file.read_bytes()), engine="h5netcdf") as found:
                ds = found.load()
            made = cls(ds)
            check(ds.attrs.get("title") == MARK, "it has another title")
            repr(made)
        except Exception as error:
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise ValueError(f"path={str(path)!r}: this is not a saved density ({said}); give a file that save wrote") from None
        return made
