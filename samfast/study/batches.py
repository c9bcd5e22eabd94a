"""Batches of paths: consecutive path numbers of one program, their sums added; until a relative error is reached."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..codegen.program import BLOCK
from ..simulation.join import pool
from ..simulation.simulate import resume
from .plan import Plan

if TYPE_CHECKING:
    from ..simulation.run import Run

Begin = Callable[[int, Any], "Run"]  # (paths, progress): the first batch
More = Callable[["Run", int, Any], "Run"]  # (run, paths, progress): the next paths of a run
PILOT = 8  # for noise that is not Gaussian, the first batch has an eighth of the paths that Gaussian noise would need
SPARE = 1.02  # batches after the first aim a little further, or rounding would call for many small ones


class Estimate(NamedTuple):
    """What the paths gave at each setting's own step numbers, (*grid, time).

    se: nan where paths diverged and were left out. alive: paths in the mean. lost: paths left out by the end, (*grid,).
    """

    mean: np.ndarray
    se: np.ndarray
    alive: np.ndarray
    lost: np.ndarray
    paths: int


@np.errstate(all="ignore")
def pooled(a: Estimate, b: Estimate) -> Estimate:
    """The estimate from the paths of both, by the sums of squares about the means (Chan, Golub and LeVeque)."""
    alive = a.alive + b.alive
    n = np.maximum(alive, 1).astype(float)
    apart = np.where(b.alive > 0, b.mean - a.mean, 0.0)
    mean = np.where(a.alive > 0, a.mean + apart * (b.alive / n), b.mean)
    squares = sum(np.where(x.alive > 1, x.se**2 * x.alive * (x.alive - 1.0), 0.0) for x in (a, b))
    squares = squares + np.where(a.alive > 0, apart**2 * (a.alive * (b.alive / n)), 0.0)
    se = np.sqrt(squares / (n * np.maximum(n - 1, 1)))
    se = np.where(alive == a.paths + b.paths, se, np.nan)  # the survivors do not tell how far the mean is off
    return Estimate(mean, se, alive, a.lost + b.lost, a.paths + b.paths)


def next_paths(run: Run, paths: int, progress: Any, *, executor: Executor | None) -> Run:
    """The next `paths` paths of a run: those numbered after the ones that it has."""
    job = replace(run.job, first_path=run.job.first_path + run.job.paths, paths=paths)
    return resume(replace(run, job=job, missing=((0, job.first_path),), parts={}), executor=executor, progress=progress)


def added(a: Run | None, b: Run) -> Run:
    """One run with the paths of both; their statistics are pooled."""
    return b if a is None else pool(a, b)


class Batches:
    """The paths of one program, computed in batches. After an interrupt `go` resumes the batch that was begun."""

    def __init__(
        self, plan: Plan, begin: Begin, more: More, executor: Executor | None, progress: Any, prior: Estimate | None = None
    ) -> None:
        self.plan, self.begin, self.more, self.executor, self.progress = plan, begin, more, executor, progress
        self.prior = prior  # of the paths that were computed before
        self.total: Run | None = None  # the finished batches
        self.last: Run | None = None  # the latest of them, as it came
        self.pending: Run | None = None  # an interrupted batch

    def go(self) -> None:
        """Run batches until no more paths are wanted."""
        while (paths := self._wanted()) > 0:
            report = self._report() if callable(self.progress) else self.progress
            try:
                if self.pending is not None:
                    run = resume(self.pending, executor=self.executor, progress=report)
                elif self.last is None:
                    run = self.begin(paths, report)
                else:
                    run = self.more(self.last, paths, report)
            except BaseException as stop:  # each carries what was finished, see simulation.schedule.carrying
                done = getattr(stop, "run", None)
                if done is not None and done.missing:
                    self.pending = done
                elif done is not None:  # it failed in its last moment
                    self._keep(done)
                raise
            self._keep(run)

    def _keep(self, run: Run) -> None:
        self.pending, self.last, self.total = None, run, added(self.total, run)

    @property
    def done(self) -> int:
        """The number of paths that are finished."""
        return (0 if self.total is None else self.total.paths) + (0 if self.prior is None else self.prior.paths)

    def _report(self) -> Callable[[int, int], None]:
        before = self.done
        return lambda done, total: self.progress(before + done, before + total)

    def _wanted(self) -> int:
        """The number of paths of the next batch; 0 when there are enough."""
        if self.pending is not None:
            return self.pending.job.paths
        return max(self._target(self.done) - self.done, 0)

    def _target(self, done: int) -> int:
        """The number of paths that reach the relative error, as far as is known after `done` of them."""
        most, until = self.plan.paths, self.plan.until
        if until is None:
            return most
        need = 2 / until**2  # Gaussian paths: the relative variance of their mean square is 2/paths
        first = _whole(need if self.plan.given.kind == "normal" else need / PILOT)
        if done < min(first, most):
            return min(first, most)
        error = self.error()
        return min(_whole(done * (SPARE * error / until) ** 2), most) if error > until else done

    def error(self) -> float:
        """The largest relative standard error se/msd at the times that were asked for; nan if there is none."""
        mean, se, *_ = self.estimate()
        with np.errstate(all="ignore"):
            relative = np.where(mean > 0, se / mean, np.nan)
        return float(np.max(relative, initial=-1.0, where=np.isfinite(relative)))

    def estimate(self) -> Estimate:
        """The estimate from all finished paths, the finished shards of an interrupted batch included."""
        run = self.total
        if self.pending is not None and self.pending.paths:
            run = added(run, self.pending)
        plan = self.plan
        shape = (*plan.sweep, len(plan.times))
        if run is None and self.prior is not None:
            return self.prior
        if run is None:
            nothing = np.zeros(shape)
            return Estimate(nothing, nothing, nothing.astype(np.int64), np.zeros(plan.sweep, np.int64), 0)
        at = np.searchsorted(run.record, np.broadcast_to(plan.steps, shape))
        mean, se, count = (
            np.take_along_axis(np.broadcast_to(a, (*plan.sweep, len(run.record))), at, -1)
            for a in (run.mean[..., 0], run.std_error[..., 0], run.count)
        )
        se = np.where(count == run.paths, se, np.nan)  # the survivors do not tell how far the mean is off
        found = Estimate(mean, se, count, run.paths - count[..., -1], run.paths)
        return found if self.prior is None else pooled(self.prior, found)

    @property
    def reached(self) -> bool:
        """Whether the relative error is as small as was asked."""
        return self.plan.until is None or not self.error() > self.plan.until


def _whole(paths: float) -> int:
    """The next whole number of blocks of paths, as sums are kept by blocks."""
    return max(1, int(np.ceil(paths / BLOCK - 1e-9))) * BLOCK
