"""What a simulation gives, and how it is completed: missing shards are run, all are merged, what diverged is reported."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import arrays, cache
from ..atomic import beside
from ..backends.shard import Part, Shard, as_slice
from ..checks import CriticalPointError, DivergenceWarning, check, flag, integer, location, names_of, picture, shown
from ..codegen.program import BLOCK
from ..machine import described
from ..model.rule import ROW
from ..signals import termination_raises
from ..stats.moments import Moments, Source
from . import arguments, kept
from .dataset import run_dataset
from .figure import draw
from .fingerprint import of_arrays
from .job import Job, check_size
from .join import join, joined, source
from .merge import Parts, collect, in_order
from .progress import Progress, bar
from .schedule import Interrupted, carrying, execute
from .table import as_html, frame

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class Run:
    """Statistics of many paths at the recorded steps.

    Arrays have the shape (*sweep, time, feature): `sweep` is the broadcast shape of the parameters that were given as
    sequences, empty for plain numbers. Sums are kept about `shift`, the mean at each time.
    """

    job: Job = field(repr=False)
    record: np.ndarray  # (time,) update counts
    labels: tuple[str, ...]
    sweep: tuple[int, ...]
    params: Mapping[str, Any]
    sums: np.ndarray  # (*sweep, time, feature, moment) about the shift
    count: np.ndarray  # (*sweep, time) paths in the sums
    shift: np.ndarray  # (*sweep, time, feature)
    diverged: np.ndarray  # (k, 3): setting (flat index), path, recorded step
    paths: int
    seed: int
    values: np.ndarray | None = None  # (*sweep, time, path, feature), if asked for
    state: np.ndarray | None = field(default=None, repr=False)  # (setting, row, path), internal order
    missing: tuple[tuple[int, int], ...] = ()  # (tag, first) of shards that an interrupt left out
    parts: Mapping[tuple[int, int], Any] = field(default_factory=dict, repr=False)  # what was finished then
    before: Run | None = field(default=None, repr=False)  # the run that was then being continued
    of_runs: tuple[Run, ...] = field(default=(), repr=False)  # the runs that were merged into this one
    interrupted: bool = field(default=False, repr=False)  # an exception came after its last shard: nothing is missing
    info: Mapping[str, Any] = field(
        default_factory=dict, repr=False
    )  # versions, compiler, processor and numerics that computed it

    @cached_property
    def source(self) -> Source:
        """Which paths this run is of, by which `merge` tells what must not be added."""
        if self.of_runs:
            return reduce(operator.add, (run.source for run in self.of_runs))
        return source(self.job, self.record, self.missing, self.parts)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of its paths: one, or after `merge` those of all runs in it."""
        return tuple(dict.fromkeys(run.seed for run in self.of_runs)) or (self.seed,)

    def merge(self, other: Run) -> Run:
        """The paths of this run and of another as one run: the same experiment with another seed, for more paths.

        Loss, rule, observer, parameters, start and recorded times must be the same. Paths of the other run are numbered
        after those of this one. Raises ValueError for another experiment, and where a path would be counted twice.
        """
        return join(self, other)

    @cached_property
    def numbers(self) -> str:
        """A fingerprint of its statistics, 16 digits: two runs that show the same one have the same numbers, bit for bit.

        It is formed of the labels, the recorded times, the counts, means and sums of all features, and what diverged; see
        `samfast verify`.
        """
        return of_arrays(self.labels, self.record, self.count, self.shift, self.sums, self.diverged)

    @property
    def moments(self) -> Moments:
        """What was summed, as `sf.stats` works with it: of every feature and time, (*sweep, time, feature)."""
        return Moments(self.sums, self.count[..., None], self.shift, self.source)

    @property
    def mean(self) -> np.ndarray:
        """Mean over the paths, (*sweep, time, feature)."""
        mean: np.ndarray = self.moments.mean
        return mean

    @property
    def var(self) -> np.ndarray:
        """Unbiased variance over the paths."""
        var: np.ndarray = self.moments.var
        return var

    @property
    def std_error(self) -> np.ndarray:
        """Standard error of the mean."""
        error: np.ndarray = self.moments.std_error
        return error

    def central(self, m: int) -> np.ndarray:
        """m-th central moment (m up to the `moments` of the simulation, at most 4), not corrected for bias."""
        check(isinstance(m, int | np.integer) and m in (2, 3, 4), f"central({shown(m)}): give 2, 3 or 4")
        check(m <= self.sums.shape[-1], f"moment {m} was not recorded: give moments={m} to simulate")
        central: np.ndarray = self.moments.central(m)
        return central

    def __getitem__(self, label: str) -> np.ndarray:
        """Mean of one feature, (*sweep, time)."""
        mean: np.ndarray = self.mean[..., self.index(label)]
        return mean

    def index(self, label: str) -> int:
        """Where a feature stands on the last axis."""
        check(
            isinstance(label, str) and label in self.labels,
            f"{shown(label)} was not recorded: this run has {names_of(self.labels)}",
            KeyError,
        )
        return self.labels.index(label)

    def final(self, name: str = "w") -> Any:
        """The state at the last recorded step, (*sweep, path, dim): "w", "v" for momentum or velocity, or a state by name.

        A state of one number has the shape (*sweep, path, 1).
        """
        check(self.state is not None, "state: this run has none; give state=True to simulate, or finish it by resume(run)")
        rows = self.job.program.rows
        wanted = name if isinstance(name, str) else ""
        key = next((k for k in (ROW + wanted, "v0" if wanted == "v" else wanted) if k in rows), None)
        known = names_of(k.removeprefix(ROW) for k in rows)
        check(key is not None, f"{shown(name)} is no state of this rule; it has {known}", KeyError)
        assert key is not None
        assert self.state is not None
        part = self.state[:, as_slice(rows[key])].copy()
        return arrays.like(part.swapaxes(1, 2).reshape(*self.sweep, self.state.shape[2], part.shape[1]), self.job.array_library)

    @property
    def stopped(self) -> Any:
        """The update at which stop= stopped each path, -1 for one that goes on, (*sweep, path)."""
        check("stop" in self.job.program.rows, "stopped: this run had no stop=; give simulate one")
        return self.final("stop")[..., 0]

    @property
    def dataset(self) -> xr.Dataset:
        """The statistics, and the values if they were kept, as an xarray.Dataset; see `run_dataset`."""
        return run_dataset(self)

    def plot(self, path: Any = None, *, feature: str | None = None, boundary: Any = None) -> Figure:
        """Draw the mean of a feature and return the figure, which is also saved to `path` if that is given.

        Over two swept parameters it is a map, over one a curve with bars of 2 standard errors, both at the last time; without
        a sweep the course in time. feature: a label, by default the first. boundary: over a map, an array of the shape of
        the sweep that theory says is positive on one side and negative on the other (or True and False); a line is drawn
        where it changes. Raises ValueError for a sweep over more than two parameters.
        """
        chosen = self.labels[0] if feature is None else self.labels[self.index(feature)]
        figure = draw(self, chosen, boundary)
        if path is not None:
            where = picture("path", path)
            beside(where, lambda file: figure.savefig(file, format=where.suffix.lstrip(".") or "png", dpi=150))
        return figure

    def to_pandas(
        self,
        form: Literal["wide", "long"] = "wide",
        *,
        paths: bool | None = None,
        coordinates: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """A data frame: the values of every path if they were kept (values=True), else the statistics.

        form: "wide" has one column for each feature, "long" the columns `feature` and `value`. The other columns are the
        parameters that vary, `path`, and `updates`, the update count; for statistics `count`, and for each feature its
        mean, var and std_error. paths: True for paths, False for statistics. coordinates: names for w0, w1, ..., e.g.
        ["x", "y"]. Raises ValueError for paths of a run that kept no values.
        """
        return frame(self, form, paths, coordinates)

    def save(self, path: Any, *, overwrite: bool = False) -> Path:
        """Write the run to a NetCDF file, from which `Run.load` or `sf.load` gives it again; returns the path.

        The root of the file is `dataset`, for any reader of NetCDF; a group beside it holds the state, by which the run can
        be resumed if it was kept (state=True). The file is written beside and renamed, so that it is never half there.
        Raises FileExistsError for a file that exists unless overwrite=True, ValueError for a run that was interrupted.
        """
        return kept.write(self, location("path", path), flag("overwrite", overwrite))

    @classmethod
    def load(cls, path: Any) -> Run:
        """A saved run again, bit for bit, with the same `resume`, `more`, `replay` and `merge`.

        A file of a samfast with other numerics (`samfast.NUMERICS`) can be read, but not continued. Nothing in a file is
        executed. Raises FileNotFoundError, or ValueError for a file that is no saved run.
        """
        where = location("path", path)
        whole, *parts = kept.read(where)
        numbers = whole.pop("numbers")
        made = cls(**whole, of_runs=tuple(cls(**{k: v for k, v in part.items() if k != "numbers"}) for part in parts))
        kept.changed(where, made, numbers)
        return made

    def more(self, *, paths: int, executor: Executor | None = None, progress: Progress = None) -> Run:
        """This run with so many paths more: those numbered after its own, of the same seed.

        The result is that of `merge` with a run of these paths. Raises ValueError where more paths would only repeat these:
        without noise, or where each path has its own start or parameters (simulate further ones, and merge).
        """
        return more(self, paths, executor, progress)

    def replay(self, path: int, record: Any = None) -> Run:
        """Run one path again, alone, with its values stored at `record` (default: every step)."""
        return replay(self, path, record)

    def _repr_html_(self) -> str:
        return as_html(self)

    def __repr__(self) -> str:
        last = np.array2string(self.mean[..., -1, :].reshape(-1)[:4], precision=6, separator=", ")
        more = "..." if self.mean[..., -1, :].size > 4 else ""
        sweep = f", sweep {self.sweep}" if self.sweep else ""
        lost = f", {len(self.diverged)} diverged" if len(self.diverged) else ""
        left = f", {len(self.missing)} shards missing" if self.missing else ""
        return (
            f"Run({self.job.program.name}: {self.paths:,} paths{sweep}, {int(self.record[-1]):,} steps, seed "
            f"{', '.join(map(str, self.seeds))}{lost}{left}, numbers {self.numbers}; mean of {', '.join(self.labels[:4])} "
            f"at the end {last}{more})"
        )


def complete(
    job: Job,
    record: np.ndarray,
    before: Run | None,
    executor: Executor | None,
    progress: Progress,
    finished: Mapping[tuple[int, int], Part],
) -> Run:
    """Run the shards that are not finished, from the end of `before` if that is given, and merge all.

    Every exception carries what has been finished by then: Ctrl-C and SIGTERM as `Interrupted`, others as they are.
    """
    check(
        bool(job.program.text),
        "run: it was saved by a samfast whose programs had other bits (sf.NUMERICS, or the formulas of its rule): it can be "
        "read, not continued; simulate it anew",
    )
    start, state = (0, None) if before is None else (int(before.record[-1]), before.state)
    shards = job.shards(start, record, state)
    sizes = {(s.tag, s.first): s.paths for s in shards}
    parts = Parts(job, len(record))
    parts.update({k: q for k, q in finished.items() if sizes.get(k) == q.paths})  # another machine may cut other shards
    todo = [s for s in shards if (s.tag, s.first) not in parts]
    total = sum(sizes.values())
    done_before = total - sum(s.paths for s in todo)
    show = bar(total) if progress is True else None
    report = None
    if show is not None or callable(progress):

        def report(done: int) -> None:
            if show is not None:
                show(done_before + done)
            elif callable(progress):
                progress(done_before + done, total)

    estimate = job.nanoseconds(job.paths, int(record[-1]) - start, job.settings)
    try:
        with termination_raises():
            if todo:
                execute(todo, executor, report, parts, estimate)
    except BaseException as error:
        run = _run(job, record, parts, shards, before)
        if not run.missing:
            run = replace(run if before is None else _append(before, run, _fresh(before, run)), interrupted=True)
        go_on = partial(finish, run)
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted(run, go_on) from None
        carrying(error, run, go_on)
        raise
    finally:
        if show is not None:
            show.close()  # type: ignore[attr-defined]
    new = _run(job, record, parts, shards, before)
    fresh = _fresh(before, new)
    run = new if before is None else _append(before, new, fresh)
    try:
        _report_divergence(new, fresh, [parts[k] for k in sizes])
        _report_lost_digits(new)
    except Exception as error:
        carrying(error, run, None)
        raise
    return run


def finish(run: Run, executor: Executor | None = None, progress: Progress = None) -> Run:
    """Compute the shards that a run lacks, if it lacks any."""
    if run.interrupted:
        return replace(run, interrupted=False)
    return complete(run.job, run.record, run.before, executor, progress, run.parts)


def _run(job: Job, record: np.ndarray, parts: Parts, shards: Sequence[Shard], before: Run | None) -> Run:
    """One run of the shards that are finished; its `missing` lists the others."""
    m = collect(job, record, parts, shards)
    return Run(
        job=job,
        record=record,
        labels=job.program.labels,
        sweep=job.sweep,
        params=job.given,
        sums=m.sums,
        count=m.count,
        shift=m.shift,
        diverged=m.diverged,
        paths=m.paths,
        seed=job.seed,
        values=m.values,
        state=m.state,
        missing=m.missing,
        parts=dict(parts) if m.missing else {},
        before=before if m.missing else None,
        info={**described(job.program.device), "compiler": cache.compiler_of(job.program)},
    )


def _fresh(before: Run | None, new: Run) -> np.ndarray:
    """What diverged in a run, but not in the run that it goes on from."""
    known = set() if before is None else {(c, path) for c, path, _ in before.diverged.tolist()}
    return in_order([row for row in new.diverged.tolist() if (row[0], row[1]) not in known])


def _append(old: Run, new: Run, fresh: np.ndarray) -> Run:
    """The records of one run and of its continuation. fresh: what diverged in the continuation only."""
    t = len(old.sweep)
    values = None
    if old.values is not None and new.values is not None:
        values = joined(old.values, new.values, t, old.job.array_library)
    return replace(
        new,
        record=np.concatenate([old.record, new.record]),
        sums=np.concatenate([old.sums, new.sums], t),
        count=np.concatenate([old.count, new.count], t),
        shift=np.concatenate([old.shift, new.shift], t),
        values=values,
        diverged=in_order([*old.diverged.tolist(), *fresh.tolist()]),
    )


def _report_divergence(run: Run, diverged: np.ndarray, parts: Sequence[Part]) -> None:
    alarms = [tuple(int(x) for x in row) for q in parts for row in q.alarms]
    if alarms:
        raise CriticalPointError(
            f"{len(alarms)} paths met an exactly zero gradient, where a normalised step is "
            f"undefined; the first is path {alarms[0][1]}. Use at_critical='stay' to go on"
        )
    if len(diverged) and run.job.mask:
        _, path, step = diverged[0].tolist()
        text = (
            f"{len(diverged):,} of {run.paths * run.job.settings:,} paths diverged"
            + (_worst_setting(run, diverged[:, 0]) if run.sweep else "")
            + f"; the first is path {path}, by step {step}. "
        )
        if run.job.on_divergence == "raise":
            raise FloatingPointError(
                text + "A smaller lr or rho may keep them; on_divergence='mask' gives a run, "
                f"whose run.replay({path}) shows one"
            )
        warnings.warn(
            text
            + f"They are left out of the statistics: run.replay({path}) shows one; "
            + ("run.count has how many are left; " if run.sweep else "")
            + "a smaller lr or rho may keep them",
            DivergenceWarning,
            stacklevel=4,
        )


def _worst_setting(run: Run, settings: np.ndarray) -> str:
    """In how many settings paths diverged, and the one with the most, by what varies in the sweep."""
    found, counts = np.unique(settings, return_counts=True)
    worst, at, varied = int(found[counts.argmax()]), 0, []
    for name, size in run.job.program.columns:
        column = run.job.params[0, :, at]
        at += size
        if size == 1 and (column != column[0]).any():
            varied.append(f"{name}={float(column[worst]):.6g}")
    which = ", ".join(varied) or f"setting {worst}"
    return f" in {len(found):,} of {run.job.settings:,} settings, most ({counts.max():,}) for {which}"


def _report_lost_digits(run: Run) -> None:
    """Warn of means whose standard errors are nan because the paths differ by rounding only."""
    lost = np.isnan(run.sums[..., 1]) & np.isfinite(run.shift) & (run.count > 0)[..., None]
    if lost.any():
        where = np.argwhere(lost.reshape(-1, *lost.shape[-2:]).any(0))
        time, feature = where[0].tolist()
        names = [run.labels[f] for f in np.unique(where[:, 1])]
        warnings.warn(
            f"the paths differ by less than the spacing of {run.job.program.dtype} numbers: std_error and var of "
            f"{names_of(names)} are nan, first of {run.labels[feature]} at update {int(run.record[time])}; observe the "
            "difference from a constant near the mean, or give dtype='float64' if this is float32",
            RuntimeWarning,
            stacklevel=4,
        )


def more(run: Run, paths: int, executor: Executor | None = None, progress: Progress = None) -> Run:
    """A run and the next paths of its seed, as one run; see `Run.more`."""
    paths = integer("paths", paths, 1, 10_000)
    arguments.executor_and_progress(executor, progress)
    check(not run.missing, "more: this run was interrupted; finish it first by sf.resume(run)")
    whole = run.of_runs or (run,)
    last = max(whole, key=lambda part: (part.seed == run.seed, part.job.first_path))
    job, end = last.job, last.job.first_path + last.job.paths
    own = [k for k, v in job.rows.items() if v.shape[1] > 1]
    check(
        not own and job.program.calls > 0,
        "more: "
        + ("each path of this run has a start or parameters of its own" if own else "this run has no noise")
        + "; simulate other starts, and merge the two runs",
    )
    next_job = replace(job, first_path=end, paths=paths)
    check_size(next_job, run.record, executor)
    return join(run, complete(next_job, run.record, None, executor, progress, {}))


PILOT = 4096  # paths of the first batch where `until` decides how many there are
MOST = 10**9  # paths at which `until` gives up where no limit is given
SPARE = 1.02  # each batch aims a little further, or rounding would call for many small ones


def enough(
    run: Run,
    until: float,
    most: int,
    error: Callable[[Run], float],
    executor: Executor | None = None,
    progress: Progress = None,
    complete_batch: Callable[[Run], Run] = lambda run: run,
) -> Run:
    """The run with as many further paths as bring error(run) to `until`, at most to `most` paths; a warning if that fails.

    The error is taken to fall as one over the root of the number of paths. complete_batch: what is to be done to a run after
    paths were added to it.
    """
    while (off := error(run)) > until and run.paths < most:
        wanted = min(run.paths * (SPARE * off / until) ** 2, 64.0 * run.paths, float(most))
        missing = min(max(1, -(-int(wanted - run.paths) // BLOCK)) * BLOCK, most - run.paths)
        run = complete_batch(more(run, missing, executor, progress))
    if off > until:
        warnings.warn(
            f"until={until:g} is not reached: the largest relative standard error is {off:.3g} after {run.paths:,} paths; give "
            "more paths, or observe what has a mean other than 0",
            RuntimeWarning,
            stacklevel=4,
        )
    return run


def relative_error(run: Run) -> float:
    """The largest std_error/|mean| of all features and times, 0 where there is none."""
    with np.errstate(all="ignore"):
        relative = np.where(run.std_error > 0, run.std_error / np.abs(run.mean), 0.0)
    return float(np.max(relative, initial=0.0))


def replay(run: Run, path: int, record: Any = None) -> Run:
    """One path of a run again, alone, with its values stored at `record` (default: every step)."""
    path, job = integer("path", path, 0), run.job
    paths = run.paths if run.of_runs else job.paths
    check(path < paths, f"path={path}: choose one of this run's paths, 0 to {paths - 1}")
    for part in run.of_runs:
        if path < part.paths:
            return replay(part, path, record)
        path -= part.paths
    check(
        job.time_independent or record is None,
        f"record={record!r}: a run with coefficients for its own times is replayed at all of them; leave record out",
    )
    whole = range(int(run.record[-1]) + 1) if job.time_independent else run.record
    record = arguments.update_counts(whole if record is None else record, -1)
    rows = {k: v[:, path : path + 1] if v.shape[1] > 1 else v for k, v in job.rows.items()}
    one = replace(job, paths=1, rows=rows, values=True, first_path=job.first_path + path, on_divergence="keep")
    check_size(one, record)
    return complete(one, record, None, None, None, {})
