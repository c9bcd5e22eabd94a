"""The backends of samfast itself: simulate, as a user calls it, and the compiled program alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import samfast as sf
from samfast.backends import cpu
from samfast.backends.central import pooled
from samfast.simulation import prepare as preparing

from ..work import Answer, Backend, Run, Work

Build = Callable[[Work], tuple[Any, Any, Any, dict[str, Any]]]  # work -> loss, rule, start, options of simulate


def answer(run: Any, keep: str) -> Answer:
    """Converts the result of simulate to the answer that `Work` defines; moments have the axes (time, setting)."""
    if keep == "state":
        return {"w": run.final("w").T}
    if keep == "values":
        return {"values": run.values.transpose(0, 2, 1)}
    square = run.central(2) + run.mean**2
    return {"first": run.mean[..., 0].T, "second": square[..., 0].T}


def simulated(build: Build, **options: Any) -> Callable[[Work], Run]:
    """Calls sf.simulate as a user would; the first call also compiles the program."""

    def prepare(work: Work) -> Run:
        loss, rule, start, given = build(work)
        how = {
            "dtype": "float64" if work.keep != "moments" else "mixed",
            "state": work.keep == "state",
            "values": work.keep == "values",
            **given,
            **options,
        }
        return lambda: done(answer(sf.simulate(loss, rule, start, record=work.record, paths=work.paths, **how), work.keep))

    return prepare


def done(result: Answer) -> Answer:
    """Returns the answer once it is computed; arrays on a device may still be in the making, so their device is waited for."""
    for x in result.values():
        wait = getattr(getattr(x, "device", None), "synchronize", None)
        if wait:
            wait()
    return result


def kernel(build: Build, change: Callable[[Any], Any] = lambda job: job, **options: Any) -> Callable[[Work], Run]:
    """Runs the compiled program by itself, without the checks, the tracing and the scheduler around it.

    change: a function of the job, applied before the job is cut into shards.
    """

    def prepare(work: Work) -> Run:
        loss, rule, start, given = build(work)
        how = {"dtype": "float64" if work.keep == "state" else "mixed", "state": work.keep == "state", **given, **options}
        job = preparing.prepared_job(loss, rule, start, paths=work.paths, **how)
        shards = change(job).shards(0, work.record, None)

        def run() -> Answer:
            parts = [cpu.run_shard(shard) for shard in shards]
            if work.keep == "state":
                return {"w": np.concatenate([part.state[0, list(job.program.rows["w"])] for part in parts], -1)}
            moments, _ = pooled(np.stack([part.moments for part in parts]), np.stack([part.count for part in parts]))
            mean = moments[:, :, 0, 0] + moments[:, :, 0, 1]
            square = moments[:, :, 0, 2] / work.paths + mean**2
            first, second = (x[0] if len(x) == 1 else x.T for x in (mean, square))
            return {"first": first, "second": second}

        run.program = job.program  # type: ignore[attr-defined]
        return run

    return prepare


def backends(build: Build, *dtypes: str, threads_late: bool = True) -> tuple[Backend, ...]:
    """Returns samfast on one thread, to which ratios refer, on all threads and on CUDA, then its compiled program per dtype."""
    first, *others = dtypes
    return (
        Backend("samfast", simulated(build, dtype=first)),
        Backend("samfast, all threads", simulated(build, dtype=first), clock="wall", threads=0, late=threads_late),
        Backend("samfast CUDA", simulated(build, dtype=first, device="cuda"), clock="wall", threads=0),
        Backend("samfast kernel", kernel(build, dtype=first)),
        *(Backend(f"samfast kernel {d}", kernel(build, dtype=d), late=True) for d in others),
    )
