"""What a simulation gives."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .checks import check, names_of

if TYPE_CHECKING:
    import xarray as xr

    from .jobs import Job


@dataclass(frozen=True, repr=False, eq=False)
class Run:
    """Statistics of many paths at the recorded steps.

    Arrays have the shape (*sweep, time, feature): `sweep` is the broadcast shape of the parameters that were given as
    sequences, empty for plain numbers. Sums are kept about `shift`, the features at the start of path 0.
    """

    job: Job = field(repr=False)
    record: np.ndarray              # (time,) update counts
    labels: tuple[str, ...]
    sweep: tuple[int, ...]
    params: Mapping[str, Any]
    sums: np.ndarray                # (*sweep, time, feature, moment) about the shift
    count: np.ndarray               # (*sweep, time) paths in the sums
    shift: np.ndarray               # (*sweep, feature)
    diverged: np.ndarray            # (k, 3): configuration (flat index), path, recorded step
    paths: int
    seed: int
    values: np.ndarray | None = None    # (*sweep, time, path, feature), if asked for
    state: np.ndarray | None = field(default=None, repr=False)     # (configuration, row, path), internal order
    missing: tuple[tuple[int, int], ...] = ()      # (tag, first) of shards that an interrupt left out
    parts: Mapping[tuple[int, int], Any] = field(default_factory=dict, repr=False)      # what was finished then
    before: Run | None = field(default=None, repr=False)        # the run that was then being continued

    @property
    def _moments(self) -> Any:
        from .stats.moments import moments
        return moments(self)

    @property
    def mean(self) -> np.ndarray:
        """Mean over the paths, (*sweep, time, feature)."""
        mean: np.ndarray = self._moments.mean
        return mean

    @property
    def var(self) -> np.ndarray:
        """Unbiased variance over the paths."""
        var: np.ndarray = self._moments.var
        return var

    @property
    def std_error(self) -> np.ndarray:
        """Standard error of the mean."""
        error: np.ndarray = self._moments.std_error
        return error

    def central(self, m: int) -> np.ndarray:
        """m-th central moment (m up to the `moments` of the simulation, at most 4), not corrected for bias."""
        check(m in (2, 3, 4), f"central({m}): give 2, 3 or 4")
        check(m <= self.sums.shape[-1], f"moment {m} was not recorded: give moments={m} to simulate")
        central: np.ndarray = self._moments.central(m)
        return central

    def __getitem__(self, label: str) -> np.ndarray:
        """Mean of one feature, (*sweep, time)."""
        mean: np.ndarray = self.mean[..., self.index(label)]
        return mean

    def index(self, label: str) -> int:
        """Where a feature stands on the last axis."""
        check(label in self.labels, f"{label!r} was not recorded: this run has {names_of(self.labels)}", KeyError)
        return self.labels.index(label)

    def final(self, name: str = "w") -> Any:
        """The state at the last recorded step, (*sweep, path, dim): "w", or "v" for momentum or velocity."""
        check(self.state is not None, "state: this run has none; give state=True to simulate, or finish it by "
              "resume(run)")
        key = "v0" if name == "v" else name
        check(key in self.job.program.rows, f"{name!r} is no state of this rule; it has "
              f"{names_of(self.job.program.rows)}", KeyError)
        assert self.state is not None
        from .arrays import like
        from .backends.shard import equidistant
        rows = self.state[:, equidistant(self.job.program.rows[key])].copy()
        return like(rows.swapaxes(1, 2).reshape(*self.sweep, self.state.shape[2], rows.shape[1]), self.job.kind)

    @property
    def dataset(self) -> xr.Dataset:
        """The statistics, and the values if they were kept, as an xarray.Dataset; see `records.dataset`."""
        from .records import dataset
        return dataset(self)

    def replay(self, path: int, record: Any = None) -> Run:
        """Run one path again, alone, with its values stored at `record` (default: every step)."""
        from .engine import replay
        return replay(self, path, record)

    def __repr__(self) -> str:
        last = np.array2string(self.mean[..., -1, :].reshape(-1)[:4], precision=6, separator=", ")
        more = "..." if self.mean[..., -1, :].size > 4 else ""
        sweep = f", sweep {self.sweep}" if self.sweep else ""
        lost = f", {len(self.diverged)} diverged" if len(self.diverged) else ""
        left = f", {len(self.missing)} shards missing" if self.missing else ""
        return (f"Run({self.job.program.name}: {self.paths:,} paths{sweep}, {int(self.record[-1]):,} steps, seed "
                f"{self.seed}{lost}{left}; mean of {', '.join(self.labels[:4])} at the end {last}{more})")
