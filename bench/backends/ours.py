"""The backends of samfast itself: simulate, as a user calls it, and the compiled program alone."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

import samfast as sf
from samfast.backends import cpu
from samfast.backends.central import pooled
from samfast.simulation import prepare as preparing

from ..work import Answer, Backend, Run, Work

BY_NUMBA = "samfast kernel by Numba"
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


def kernel(
    build: Build, change: Callable[[Any], Any] = lambda job: job, compiler: str = "llvm", **options: Any
) -> Callable[[Work], Run]:
    """Runs the compiled program by itself, without the checks, the tracing and the scheduler around it.

    change: a function of the job, applied before the job is cut into shards. compiler: what compiles the program.
    """

    def prepare(work: Work) -> Run:
        loss, rule, start, given = build(work)
        how = {"dtype": "float64" if work.keep == "state" else "mixed", "state": work.keep == "state", **given, **options}
        job = preparing.prepared_job(loss, rule, start, paths=work.paths, **how)
        shards = change(job).shards(0, work.record, None)

        def run() -> Answer:
            with setting("SAMFAST_COMPILER", compiler):
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


@contextmanager
def setting(name: str, value: str) -> Iterator[None]:
    """In this context an environment variable has another value."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def anew(build: Build, compiler: str, **options: Any) -> Callable[[Work], Run]:
    """Traces, compiles and runs the model in each call, with an empty cache directory and a text that was never seen.

    The text is new by a comment at its end.
    """
    number = itertools.count()

    def prepare(work: Work) -> Run:
        if compiler == "numba":
            import numba  # noqa: F401 - its import is none of the compilation

        def run() -> Answer:
            loss, rule, start, given = build(work)
            job = preparing.plan(loss, rule, start, paths=work.paths, state=True, **given, **options)
            text = f"{job.program.text}\n# {compiler} {next(number)} {time.time_ns()}\n"
            job = replace(job, program=replace(job.program, text=text))
            with tempfile.TemporaryDirectory() as folder, setting("SAMFAST_CACHE_DIR", folder):
                with setting("SAMFAST_COMPILER", compiler):
                    parts = [cpu.run_shard(shard) for shard in job.shards(0, work.record, None)]
            return {"w": np.concatenate([part.state[0, list(job.program.rows["w"])] for part in parts], -1)}

        return run

    return prepare


def kernels(build: Build, wrap: Callable[..., Any] = lambda prepare: prepare, **options: Any) -> tuple[Backend, ...]:
    """Returns the compiled program alone, and the same text compiled by Numba; `wrap` changes what prepares them."""
    return (
        Backend("samfast kernel", wrap(kernel(build, **options))),
        Backend(BY_NUMBA, wrap(kernel(build, compiler="numba", **options)), late=True, against="samfast kernel"),
    )


def backends(build: Build, *dtypes: str, threads_late: bool = True) -> tuple[Backend, ...]:
    """Returns samfast on one thread, to which ratios refer, on all threads and on CUDA, then its compiled programs."""
    first, *others = dtypes
    return (
        Backend("samfast", simulated(build, dtype=first)),
        Backend("samfast, all threads", simulated(build, dtype=first), clock="wall", threads=0, late=threads_late),
        Backend("samfast CUDA", simulated(build, dtype=first, device="cuda"), clock="wall", threads=0),
        *kernels(build, dtype=first),
        *(Backend(f"samfast kernel {d}", kernel(build, dtype=d), late=True) for d in others),
    )
