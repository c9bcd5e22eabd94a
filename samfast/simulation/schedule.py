"""Send shards to an executor, a limited number at a time; report progress; give up cleanly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from ..backends.dispatch import run_for_worker, run_shard
from ..backends.shard import Part, Shard
from ..machine import threads

OUTSTANDING = 64  # shards submitted at a time to an executor of the caller, which may have many workers
PER_THREAD = 2  # shards submitted at a time for each thread of ours; more would only wait in memory to be collected
DIRECT = 2e7  # estimated nanoseconds below which one shard runs in the caller's thread


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM during a simulation.

    `run` holds the shards that were finished (maybe none); `resume()`, or sf.resume(run), computes the others.
    """

    def __init__(self, run: Any, resume: Callable[[], Any] | None = None) -> None:
        super().__init__("interrupted: the finished shards are in the exception's .run; samfast.resume(run) goes on")
        self.run = run
        if resume is not None:
            self.resume = resume

    def __reduce__(self) -> Any:
        return Interrupted, (self.run, self.__dict__.get("resume"))


def carrying(error: BaseException, run: Any, resume: Callable[[], Any] | None) -> None:
    """Give an exception the finished part of a run, as `Interrupted` has it: .run and, if something is missing, .resume()."""
    error.run = run  # type: ignore[attr-defined]
    if resume is None:
        error.add_note("The simulation was finished: its result is the exception's .run.")
    else:
        error.resume = resume  # type: ignore[attr-defined]
        error.add_note(
            f"{run.paths:,} paths were finished: they are the exception's .run, and its .resume() computes the others."
        )


def outstanding(executor: Executor | None) -> int:
    """The most shards that are on their way at a time."""
    return OUTSTANDING if executor is not None else PER_THREAD * threads()


def execute(
    shards: Sequence[Shard],
    executor: Executor | None,
    report: Callable[[int], None] | None,
    parts: MutableMapping[tuple[int, int], Part],
    estimate: float,
) -> None:
    """Run the shards, filling `parts` by (tag, first) as they finish; the order does not matter to the result.

    Where one of them fails, those that have finished by then are in `parts`.
    """
    done = 0

    def keep(part: Part) -> None:
        nonlocal done
        parts[part.tag, part.first] = part
        done += part.paths
        if report:
            report(done)

    if executor is None and ((len(shards) == 1 and estimate < DIRECT) or shards[0].program.device != "cpu"):
        for each in shards:
            keep(run_shard(each))
        return
    own = executor is None
    pool = executor or ThreadPoolExecutor(min(threads(), len(shards)), "samfast")
    most = outstanding(executor)
    stop = np.zeros(1, np.int64)
    waiting: set[Future[Part]] = set()
    queue: Iterator[Shard] = iter(shards)
    try:
        exhausted = False
        while not exhausted or waiting:
            while not exhausted and len(waiting) < most:
                shard = next(queue, None)
                if shard is None:
                    exhausted = True
                else:
                    waiting.add(
                        pool.submit(run_for_worker, shard, stop)
                        if own or isinstance(pool, ThreadPoolExecutor)
                        else pool.submit(run_for_worker, shard)
                    )
            for future in wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED).done:
                keep(future.result())
                waiting.discard(future)
    except BaseException:
        stop[0] = 1
        for future in waiting:
            future.cancel()
        raise
    finally:
        if own:
            pool.shutdown(wait=True, cancel_futures=True)
        for future in waiting:  # after a failure
            if future.done() and not future.cancelled() and future.exception() is None:
                part = future.result()
                parts[part.tag, part.first] = part
