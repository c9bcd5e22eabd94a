"""A shard of paths and what it gives, as plain data: any process on any machine can run it, and twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import to_host, tree
from ..codegen.program import Program
from ..machine import toolchain


@dataclass(frozen=True)
class Shard:
    """Paths first .. first+paths-1 of the configurations in `params`, from step `start` to the last recorded step."""

    program: Program
    first: int
    paths: int
    start: int
    seed: int
    tag: int
    params: np.ndarray  # (1, C, columns), or (times, C, columns): for the steps up to each recorded time
    shift: np.ndarray  # (C, features)
    times: np.ndarray  # recorded steps
    rows: dict[str, np.ndarray]  # initial rows by name: (size, 1) common or (size, paths)
    state: np.ndarray | None  # (C, rows, paths) to go on from, instead of `rows`
    mask: bool
    keep_values: bool
    keep_state: bool
    versions: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Part:
    """What one shard gave."""

    first: int
    paths: int
    tag: int
    sums: np.ndarray  # (C, times, features, moments)
    count: np.ndarray  # (C, times)
    diverged: np.ndarray  # (k, 3): configuration, path, step
    alarms: np.ndarray  # (k, 2): configuration, path
    values: np.ndarray | None  # (C, times, features, paths)
    state: np.ndarray | None  # (C, rows, paths)


class StoppedError(Exception):
    """The shard was told to give up."""


NEVER, NOBODY = np.zeros(1, np.int64), np.zeros((0, 3), np.int64)


def merge(parts: Any) -> np.ndarray:
    """The sum of equal arrays: aligned shards are subtrees, so the bits do not depend on the sharding."""
    total: np.ndarray = tree(np.asarray(parts), np)
    return total


def initial(shard: Shard, xp: Any = np) -> Any:
    """The state (C, rows, paths) to start from; xp: NumPy or CuPy, for where it is needed."""
    p, configurations = shard.program, shard.params.shape[1]
    if shard.state is not None:
        return xp.array(shard.state, p.dtype, order="C")
    state = xp.zeros((configurations, p.state_rows, shard.paths), p.dtype)
    for name, values in shard.rows.items():
        if name in p.rows:
            state[:, equidistant(p.rows[name])] = xp.asarray(values)
    if p.memory:
        state[:, equidistant(p.rows["m"])] = xp.asarray(np.reshape(p.memory, (-1, 1)), p.dtype)
    return state


def lost(shard: Shard, bad: Any, state: Any, xp: Any = np) -> tuple[np.ndarray, np.ndarray]:
    """(diverged, alarms) of a Part; bad: the step by which a path diverged, or -1."""
    diverged, alarms, rows = NOBODY, NOBODY[:, :2], shard.program.rows
    if (bad >= 0).any():
        at = xp.nonzero(bad >= 0)
        c, path, step = map(to_host, (*at, bad[at]))
        diverged = np.stack([c, path + shard.first, step], 1)
    if "alarm" in rows:
        c, path = map(to_host, xp.nonzero(state[:, rows["alarm"][0]] > 0))
        alarms = np.stack([c, path + shard.first], 1)
    return diverged, alarms


def same_versions(shard: Shard) -> None:
    """A worker with other versions refuses."""
    if shard.versions != toolchain():
        raise RuntimeError(
            f"this worker has {dict(toolchain())}, the caller has {dict(shard.versions)}: install the same "
            "versions on both, results would differ"
        )


def equidistant(rows: tuple[int, ...]) -> slice:
    """Equidistant rows; assigning to a slice takes a fraction of the time of a list."""
    return slice(rows[0], rows[-1] + 1, rows[1] - rows[0] if len(rows) > 1 else 1)
