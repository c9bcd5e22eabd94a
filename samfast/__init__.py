"""samfast: brute-force Monte Carlo and exact mathematics of SAM and heavy-ball dynamics, side by side."""
from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

# In a bare checkout the kernels lie beside the package; installed, they lie inside it.
if not (Path(__file__).parent / "kernels").exists():
    __path__.append(str(Path(__file__).parent.parent))

_PUBLIC = {
    "simulate": "engine", "resume": "engine", "gpus": "backends.cuda", "Run": "results", "Interrupted": "schedule",
    "StudyInterrupted": "study",
    "loss": "losses", "Loss": "losses", "per_path": "losses",
    "rule": "rules", "Rule": "rules", "gd": "rules", "sam": "rules", "heavy_ball": "rules", "derivative": "rules",
    "sampled": "sampling", "CriticalPoint": "landscape", "critical_point": "landscape", "critical_points": "landscape",
    "Basins": "landscape", "basins": "landscape", "eigenvalue_map": "landscape", "sharpness": "landscape",
    "Flow": "trajectories", "cases": "trajectories",
    "noisy": "noise", "diffusion": "noise", "Observer": "observe", "msd": "displacement", "Study": "study",
    "gaussian_chain": "chain", "paired": "pairs", "paired_msd": "paired_study", "Comparison": "comparison",
    "exit_times": "escape_study",
    "CriticalPointError": "checks", "DivergenceWarning": "checks", "NoGpuError": "checks", "TraceError": "tracing",
    "sqrt": "tracing", "exp": "tracing", "log": "tracing", "sin": "tracing", "cos": "tracing", "tanh": "tracing",
    "absolute": "tracing", "where": "tracing", "minimum": "tracing", "maximum": "tracing", "total": "tracing",
    "dot": "tracing", "norm": "tracing",
}
_MODULES = ("losses", "observe", "stats", "theory", "cache", "tracing", "reproduce")
__all__ = ["__version__", *_PUBLIC, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f".{_PUBLIC[name]}", __name__), name)
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'samfast' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
