"""Short digests by which results and programs are compared."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np

OF_LANES = re.compile(r"^[WN],? .*\n?", re.M)  # lines of constants that depend on the lanes and the driver


@lru_cache(maxsize=100)
def formulas(text: str) -> str:
    """A digest of the formulas of one step and one record of a program, the same for every number of lanes."""
    whole = text.partition("# --- the program")[2].partition("# --- the driver")[0]
    functions = re.findall(r"^def (?:advance|observe)\(.*?(?=^@|\Z)", whole, re.M | re.S)
    constants = whole.partition("\n@")[0]
    return digest(OF_LANES.sub("", constants + "\n" + "".join(functions) if functions else whole).encode())


def digest(*parts: bytes) -> str:
    """16 hexadecimal digits of SHA-256."""
    return sha256(b"".join(parts)).hexdigest()[:16]


def of_arrays(labels: tuple[str, ...], *given: Any) -> str:
    """The digest of named columns and of arrays with their shapes. All nan count as one: files do not keep their signs."""
    parts = [repr(labels).encode()]
    for x in given:
        a = np.ascontiguousarray(x, "<f8" if np.asarray(x).dtype.kind == "f" else "<i8")
        a = np.where(np.isnan(a), np.nan, a) if a.dtype.kind == "f" else a
        parts.append(repr(a.shape).encode() + a.tobytes())
    return digest(*parts)
