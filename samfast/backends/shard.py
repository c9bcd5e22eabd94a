"""A shard of paths and its result as plain data, so that any process on any machine can run it, and run it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import to_host
from ..codegen.program import Program
from ..machine import versions


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Paths first .. first+paths-1 of the settings in `params`, from step `start` to the last recorded step.

    tag: number of the group of settings that share one noise; it is part of the key of their random numbers.
    """

    program: Program
    first: int
    paths: int
    start: int
    seed: int
    tag: int
    params: np.ndarray  # (1, C, columns), or (times, C, columns): for the steps up to each recorded time
    shift: np.ndarray  # (C, features): a path that is farther than LIMIT from it has diverged
    record: np.ndarray  # recorded steps
    rows: dict[str, np.ndarray]  # initial rows by name: (size, 1) common or (size, paths)
    state: np.ndarray | None  # (C, rows, paths) to go on from, instead of `rows`
    mask: bool
    keep_values: bool
    keep_state: bool
    versions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Part:
    """The result of one shard."""

    first: int
    paths: int
    tag: int
    moments: np.ndarray  # (C, times, features, 1 + moments), see central.py
    count: np.ndarray  # (C, times)
    diverged: np.ndarray  # (k, 3): setting, path, step
    alarms: np.ndarray  # (k, 2): setting, path
    values: np.ndarray | None  # (C, times, features, paths)
    state: np.ndarray | None  # (C, rows, paths)


class StoppedError(Exception):
    """The shard was told to give up."""


NEVER, NOBODY = np.zeros(1, np.int64), np.zeros((0, 3), np.int64)


def initial(shard: Shard, xp: Any = np) -> Any:
    """The state (C, rows, paths) to start from; xp: NumPy or CuPy, for where it is needed."""
    p, settings = shard.program, shard.params.shape[1]
    if shard.state is not None:
        return xp.array(shard.state, p.dtype, order="C")
    state = xp.zeros((settings, p.state_rows, shard.paths), p.dtype)
    for name, values in shard.rows.items():
        if name in p.rows:
            state[:, as_slice(p.rows[name])] = xp.asarray(values)
    if p.memory:
        state[:, as_slice(p.rows["m"])] = xp.asarray(np.reshape(p.memory, (-1, 1)), p.dtype)
    if "stop" in p.rows:
        state[:, p.rows["stop"][0]] = -1
    return state


def diverged_and_alarms(shard: Shard, bad: Any, state: Any, xp: Any = np) -> tuple[np.ndarray, np.ndarray]:
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
    if shard.versions != versions():
        raise RuntimeError(
            f"this worker has {dict(versions())}, the caller has {dict(shard.versions)}: install the same "
            "versions on both, results would differ"
        )


def as_slice(rows: tuple[int, ...]) -> slice:
    """Equidistant rows as a slice; assigning to a slice takes a fraction of the time of a list."""
    return slice(rows[0], rows[-1] + 1, rows[1] - rows[0] if len(rows) > 1 else 1)
