"""List, prune and clear the entries of the cache."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

from ..atomic import remove_leftovers
from ..checks import check, shown
from .files import directory, read, scan, unlink


@dataclass(frozen=True)
class Entry:
    """One cached program.

    key: hex digits that name it. name: its label. device: the device it is for, e.g. "cpu" or "cuda". bytes: size of all its
    files. created, used: times of the first writing and of the last use, in seconds since 1970.
    """

    key: str
    name: str
    device: str
    bytes: int
    created: float
    used: float

    def __str__(self) -> str:
        made, used = (time.strftime("%Y-%m-%d %H:%M", time.localtime(t)) for t in (self.created, self.used))
        size = f"{self.bytes / 1000:8.1f} kB"
        return f"{self.key}  {self.device:<6} {size}  made {made}  used {used}  {self.name}"


def entries() -> list[Entry]:
    """All programs in the cache, those used longest ago first."""
    folder = directory()
    remove_leftovers(folder)
    return [entry for entry, _ in listing(folder)]


def prune(max_bytes: int | None = 500_000_000, max_age_days: float | None = 90) -> list[Entry]:
    """Remove entries not used for `max_age_days`, and those used longest ago until the rest is at most `max_bytes`.

    A limit of None removes nothing. Returns the removed entries; a program that is needed again is compiled again. Raises
    ValueError for a limit that is negative or no number.
    """
    for name, limit in (("max_bytes", max_bytes), ("max_age_days", max_age_days)):
        if limit is not None:
            good = isinstance(limit, Real) and not isinstance(limit, bool)
            check(good and limit >= 0, f"{name}={shown(limit)}: give at least 0, or None for no limit")
    return evict(max_bytes, None if max_age_days is None else time.time() - 86400 * max_age_days)


def clear() -> list[Entry]:
    """Remove every entry and return the removed ones; files that samfast did not write stay."""
    return evict(-1, None)


def evict(max_bytes: int | None, oldest: float | None) -> list[Entry]:
    """Remove what was used before `oldest`, and what was used longest ago until the rest is at most `max_bytes`."""
    folder, removed = directory(), []
    remove_leftovers(folder)
    found = listing(folder)
    total = sum(entry.bytes for entry, _ in found)
    for entry, files in found:
        if (oldest is not None and entry.used < oldest) or (max_bytes is not None and total > max_bytes):
            unlink(files)
            if not any(file.exists() for file in files):
                removed.append(entry)
                total -= entry.bytes
    return removed


def listing(folder: Path) -> list[tuple[Entry, list[Path]]]:
    """The programs of a folder with their files, those used longest ago first."""
    found = []
    for stem, files in scan(folder).items():
        stats = []
        for file in files:
            with suppress(OSError):  # removed by another process meanwhile
                stats.append(file.stat())
        if stats:
            _, device, digits = stem.split("_")
            name = (read(folder / f"{stem}.label") or b"(no label)").decode(errors="replace")
            size, times = sum(s.st_size for s in stats), [s.st_mtime for s in stats]
            found.append((Entry(digits, name, device, size, min(times), max(times)), files))
    return sorted(found, key=lambda pair: pair[0].used)
