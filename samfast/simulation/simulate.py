"""simulate and resume: check, render, cut into shards, run, merge. The same bits under every schedule."""

from __future__ import annotations

from concurrent.futures import Executor
from functools import reduce

import numpy as np

from ..checks import check, integer, numbers
from ..model.loss import Loss
from ..model.observer import Observer, Stop
from ..model.rule import Rule
from . import arguments
from .arguments import Device, DType, OnDivergence, Point, Record
from .job import check_size
from .join import join
from .prepare import checked_job, ready
from .progress import Progress
from .run import MOST, PILOT, Run, complete, enough, finish, relative_error


def simulate(
    loss: Loss,
    rule: Rule,
    start: Point,
    *,
    record: Record,
    paths: int | None = None,
    until: float | None = None,
    observe: Observer | None = None,
    seed: int | None = 0,
    dtype: DType = "mixed",
    device: Device | None = None,
    moments: int = 2,
    values: bool = False,
    state: bool = True,
    shared_noise: bool = True,
    on_divergence: OnDivergence = "mask",
    stop: Stop | None = None,
    executor: Executor | None = None,
    progress: Progress = None,
) -> Run:
    """Run many paths of a rule on a loss and keep the moments of what an observer sees.

    start: shape (dim,) for all paths, or (paths, dim). record: update counts at which to look, ascending, e.g.
    [0, 100, 1000]. observe: default position(). A parameter given as a sequence makes a sweep: parameters broadcast
    against each other as in NumPy, and all settings see the same noise unless shared_noise=False. A parameter given as
    per_path(values) differs from path to path.

    until: a relative standard error; paths are added in batches until std_error/|mean| is below it for every feature and
    time, at most `paths` if that is given. It needs noise, and features whose mean is not 0, such as msd().

    seed: an integer, or None for a fresh one (it is in the result). dtype: "mixed" (state in float64, normals drawn in
    float32), "float32", "float64". device: "cpu", or "cuda" for the current GPU (default: where `start` lies), with the
    same paths; "auto" takes the GPU if there is one and the work is long enough for it. A start on a GPU may be CuPy's,
    JAX's, PyTorch's or any with DLPack: values and final states then come as such arrays; with device="cuda" and a start
    on the host, as CuPy arrays.
    moments: 1 to 4 moments of every feature. values=True keeps every path's features; state=False saves the memory of
    the final state (then the run cannot be resumed).
    on_divergence: "mask" leaves a path out of the statistics at the recorded times at which a feature is not a number
    or farther than 1e75 from its start, or a coordinate is not finite, and warns; "raise" raises FloatingPointError;
    "keep" leaves it in. What an observer has stored along the way (exit times, running extremes) does not need the
    coordinates any more and stays; beside a feature that does need them, one count serves both.
    stop: a condition on the `observe.Seen` state of a path, e.g. lambda s: s.w[0] > 1, or an observer that knows when it is
    settled (observe.first, escape, exit_time, and `several` of them). A path stays where the condition first holds after an
    update, or at the start; what is recorded of it later is what it was then, its t included, and it takes no more time
    once all paths of its block of 256 have stopped. `Run.stopped` and observe.stop_time() tell when. Comparisons are
    joined by &, | and ~, in brackets.
    executor: any concurrent.futures executor (default: threads); the result is bitwise the same under all of them.
    progress: True for a bar, or a function (paths done, paths).
    """
    arguments.executor_and_progress(executor, progress)
    record = arguments.update_counts(record, -1)
    first, most = batch(paths, until)
    options = dict(
        paths=first,
        observe=observe,
        seed=seed,
        dtype=dtype,
        moments=moments,
        values=values,
        state=state,
        shared_noise=shared_noise,
        on_divergence=on_divergence,
        stop=stop,
    )
    job = checked_job(loss, rule, start, device=device, steps=int(record[-1]), **options)  # type: ignore[arg-type]
    run = complete(ready(job, record, executor), record, None, executor, progress, {})
    return run if until is None else enough(run, until, most, relative_error, executor, progress)


def batch(paths: int | None, until: float | None) -> tuple[int | None, int]:
    """(paths of the first batch, the most paths) where `until` decides how many there are; else (paths, 0)."""
    if until is None:
        return paths, 0
    check(np.ndim(numbers("until", until, above=0.0, below=1.0, example=0.01)) == 0, f"until={until!r}: give one number")
    most = MOST if paths is None else integer("paths", paths, 2, 10_000)
    return min(most, PILOT), most


def resume(run: Run, *, record: Record | None = None, executor: Executor | None = None, progress: Progress = None) -> Run:
    """Go on from where a run ended, to further update counts; or finish a run that was interrupted (no record).

    The result holds the old records and the new ones, and is bitwise what one longer run would have given.
    """
    check(isinstance(run, Run), f"run={run!r}: give the result of simulate, or the .run of an Interrupted", TypeError)
    arguments.executor_and_progress(executor, progress)
    if run.missing or (run.interrupted and record is None):
        check(record is None, "record: this run was interrupted; finish it first by resume(run), then go on")
        return finish(run, executor, progress)
    if run.of_runs:
        more = [resume(part, record=record, executor=executor, progress=progress) for part in run.of_runs]
        return reduce(join, more)
    last = int(run.record[-1])
    check(run.state is not None, "state: this run kept none and cannot be resumed; give state=True to simulate")
    check(run.job.time_independent, "run: it has coefficients for its own times only; begin anew with all times")
    check(record is not None, f"record: give update counts beyond {last}, e.g. record=[{2 * max(last, 1)}]")
    record = arguments.update_counts(record, last)
    check_size(run.job, record, executor)
    return complete(run.job, record, run, executor, progress, {})


__all__ = ["batch", "resume", "simulate"]
