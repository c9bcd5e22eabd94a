"""Outcomes on disk. Each experiment has a folder, which is complete once its outcome.json is there."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tempfile
import time
from collections.abc import Mapping
from functools import cache, partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..atomic import beside
from .experiments import Claim, Experiment, Outcome

RECORD = "outcome.json"
LIBRARIES = ("matplotlib", "numba", "numpy", "scipy")
DPI, FRAMES = 200, 20  # dots per inch of a picture; frames per second of an animation


@cache
def versions() -> dict[str, str]:
    """Returns the versions of samfast, of its source text (a hash) and of the libraries that it computes with."""
    h = hashlib.sha256()
    for file in sorted({file for part in ("samfast", "samfast.kernels") for file in _folder(part).rglob("*.py")}):
        h.update(file.read_bytes())
    return {"samfast": __version__, "source": h.hexdigest()[:16], **{name: version(name) for name in LIBRARIES}}


def _folder(package: str) -> Path:
    """Returns the folder of a package; the kernels lie beside samfast in a checkout and inside it once installed."""
    found = find_spec(package)
    assert found is not None and found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0])


def write(folder: Path, made: Experiment, outcome: Outcome, size: float, begun: float, animate: bool) -> list[Path]:
    """Writes tables as CSV, figures as PNG and PDF, animations as GIF, and last outcome.json with claims and numbers.

    begun: time.perf_counter() when the experiment began.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    written = []
    for name, table in outcome.tables.items():
        text = _csv(table)
        written.append(_put(folder / f"{name}.csv", text.encode()))
    for name, figure in outcome.figures.items():
        for ending, about in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
            path = folder / f"{name}.{ending}"
            beside(path, partial(figure.savefig, format=ending, dpi=DPI, metadata=about))
            written.append(path)
    if animate:
        written += [_put(folder / f"{name}.gif", _gif(make())) for name, make in outcome.animations.items()]
    seconds = round(time.perf_counter() - begun, 3)
    record = {
        "name": made.name,
        "title": made.title,
        "size": size,
        "seconds": seconds,
        "animate": animate,
        "versions": versions(),
        "claims": [vars(c) for c in outcome.claims],
        "numbers": outcome.numbers,
        "files": [p.name for p in written],
    }
    written.append(_put(folder / RECORD, (json.dumps(plain(record), indent=1, allow_nan=False) + "\n").encode()))
    return written


def read(folder: Path) -> dict[str, Any] | None:
    """Returns the record that write() left, with its claims; None if the folder holds no complete outcome."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        record["claims"] = tuple(Claim(**c) for c in record["claims"])
        return record if all((folder / file).exists() for file in record["files"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def plain(x: Any) -> Any:
    """Converts x for JSON: numbers and arrays of NumPy become those of Python, inf and nan become strings."""
    if isinstance(x, Mapping):
        return {str(k): plain(v) for k, v in x.items()}
    if isinstance(x, np.ndarray | np.generic):
        return plain(x.tolist())
    if isinstance(x, list | tuple):
        return [plain(v) for v in x]
    return repr(x) if isinstance(x, float) and not np.isfinite(x) else x


def _put(path: Path, data: bytes) -> Path:
    beside(path, lambda f: f.write(data))
    return path


def _csv(table: Mapping[str, Any]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*(np.asarray(column).tolist() for column in table.values()), strict=True))
    return out.getvalue()


def _gif(animation: Any) -> bytes:
    from matplotlib.animation import PillowWriter

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "animation.gif"
        animation.save(file, writer=PillowWriter(fps=FRAMES))
        return file.read_bytes()
