"""Send shards to an executor, at most 64 at a time; report progress; give up cleanly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from ..backends.dispatch import run_for_worker, run_shard
from ..backends.shard import Part, Shard
from ..machine import threads

OUTSTANDING = 64
DIRECT = 2e7  # estimated nanoseconds below which one shard runs in the caller's thread


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a simulation. `run` holds the shards that were finished (maybe none); sf.resume(run) computes the
    others."""

    def __init__(self, run: Any) -> None:
        super().__init__("interrupted: the finished shards are in the exception's .run; samfast.resume(run) goes on")
        self.run = run

    def __reduce__(self) -> Any:
        return Interrupted, (self.run,)


def execute(
    shards: Sequence[Shard],
    executor: Executor | None,
    report: Callable[[int], None] | None,
    parts: dict[tuple[int, int], Part],
    estimate: float,
) -> None:
    """Run the shards, filling `parts` by (tag, first) as they finish; the order does not matter to the result."""
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
    stop = np.zeros(1, np.int64)
    waiting: set[Future[Part]] = set()
    queue: Iterator[Shard] = iter(shards)
    try:
        exhausted = False
        while not exhausted or waiting:
            while not exhausted and len(waiting) < OUTSTANDING:
                shard = next(queue, None)
                if shard is None:
                    exhausted = True
                else:
                    waiting.add(
                        pool.submit(run_for_worker, shard, stop)
                        if own or isinstance(pool, ThreadPoolExecutor)
                        else pool.submit(run_for_worker, shard)
                    )
            finished, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in finished:
                keep(future.result())
    except BaseException:
        stop[0] = 1
        for future in waiting:
            future.cancel()
        raise
    finally:
        if own:
            pool.shutdown(wait=True, cancel_futures=True)
