"""sf.load: a saved run, density, study or comparison, told apart by what is in the file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..checks import check, location
from ..simulation.kept import is_run
from ..simulation.run import Run
from .comparison import STEM as COMPARISON
from .comparison import Comparison
from .result import Study
from .saved import MARK, STEM, contents

if TYPE_CHECKING:
    from ..law.result import Density


def load(path: str | os.PathLike[str]) -> Run | Density | Study | Comparison:
    """What `save` of a run, a density, a study or a comparison wrote, exactly, whichever it is.

    path: the file, or for a study and a comparison also the folder. Nothing in a file is executed. Raises FileNotFoundError
    where there is none, ValueError for a file that none of them wrote, and for a folder that holds both tables.
    """
    where = location("path", path)
    if where.is_dir():
        return _of_folder(where)
    check(where.exists(), f"path={str(path)!r}: there is no such file or folder", FileNotFoundError)
    if is_run(where):
        return Run.load(where)
    seen = contents(where)
    if "density_error" in seen:
        from ..law.result import Density

        return Density.load(where)
    made = Study if MARK[STEM] in seen else Comparison if MARK[COMPARISON] in seen else None
    check(made is not None, f"path={str(path)!r}: this is no saved run, density, study or comparison; give what save wrote")
    assert made is not None
    return made.load(where)


def _of_folder(where: Path) -> Study | Comparison:
    there = [stem for stem in (STEM, COMPARISON) if any((where / f"{stem}.{kind}").exists() for kind in ("nc", "json"))]
    check(
        bool(there),
        f"path={str(where)!r}: this folder has no study and no comparison; give a folder that save wrote, or a file",
        FileNotFoundError,
    )
    check(len(there) == 1, f"path={str(where)!r}: this folder has both; give the file, e.g. {where / 'study.nc'}")
    return Study.load(where) if there[0] == STEM else Comparison.load(where)
