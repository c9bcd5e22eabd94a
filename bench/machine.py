"""The machine of a measurement and the versions of its libraries."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PEERS = ("jax", "jaxlib", "torch", "diffrax", "torchsde", "heyoka", "cupy", "numba-cuda")


def about() -> dict[str, Any]:
    """Returns the hardware and the versions that a report names."""
    from samfast.info import info

    i = info()
    versions = {name: v for name in PEERS if (v := _version(name))}
    return {
        "processor": i["processor"],
        "compiled_for": i["name"],
        "vector_bits": i["vector_bits"],
        "fma": i["fma"],
        "processors": os.cpu_count(),
        "system": i["system"],
        "gpu": _gpu(),
        "load": _load(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "versions": {
            "samfast": i["samfast"],
            "python": platform.python_version(),
            "numpy": i["numpy"],
            "numba": i["numba"],
            "llvmlite": i["llvmlite"],
            **versions,
            "compiler": _compiler(),
        },
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _first_line(*command: str) -> str:
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
        return out.splitlines()[0].strip() if out.strip() else ""
    except (OSError, subprocess.SubprocessError):
        return ""


def _gpu() -> str:
    return _first_line("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader") or "none"


def _compiler() -> str:
    return _first_line(os.environ.get("CXX", "g++"), "--version") or "none"


def _load() -> float | None:
    """Returns the load average of the last minute, which tells whether others use the machine; None if there is none."""
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):
        return None


def _commit() -> str:
    """Returns the git commit of a checkout; "" for an installation, which has none."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return ""
    return _first_line("git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12")
