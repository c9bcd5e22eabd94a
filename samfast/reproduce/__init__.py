"""The figures and theorems of both papers, computed again with data, pictures, and a verdict on each claim.

sf.reproduce.names()
outcome = sf.reproduce.run("kim-fig1", "folder")       # the same as: samfast reproduce kim-fig1 --out folder
print(sf.reproduce.table("kim-fig1", outcome.claims))
"""

from __future__ import annotations

import time
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from ..checks import folder as named_folder
from .experiments import Claim, Experiment, Outcome, Progress, experiment, get, names
from .verdicts import table, total


def run(
    name: str,
    folder: Any = None,
    *,
    size: float = 1.0,
    animate: bool = False,
    progress: Progress = None,
    executor: Executor | None = None,
) -> Outcome:
    """Compute one experiment; its files are written to folder/name if a folder is given (see `storage.write`).

    size: below 1 for fewer seeds, points or steps. animate: write animations too. progress, executor: as in `simulate`.
    """
    made, begun = get(name), time.perf_counter()
    where = None if folder is None else named_folder("folder", folder) / name
    outcome = made(size, progress, executor)
    if where is not None:
        from .storage import write

        write(where, made, outcome, size, begun, animate)
    return outcome


def done(name: str, folder: Any, *, size: float = 1.0, animate: bool = False) -> dict[str, Any] | None:
    """Returns the record of an experiment written to folder/name with these versions and this size; None if there is none."""
    from .storage import read, versions

    record = read(named_folder("folder", folder) / get(name).name)
    same = record is not None and record["versions"] == versions() and record["size"] == size
    return record if same and record is not None and record["animate"] >= animate else None


def index(folder: Any) -> Path | None:
    """Write folder/index.html, one page with every picture and claim in the folder. Returns its path; None if there is none."""
    from .page import write

    return write(named_folder("folder", folder))


__all__ = ["Claim", "Experiment", "Outcome", "done", "experiment", "get", "index", "names", "run", "table", "total"]


def __dir__() -> list[str]:
    return __all__
