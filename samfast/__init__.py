"""samfast: brute-force Monte Carlo and exact mathematics of SAM and heavy-ball dynamics, side by side."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

# Raised by one whenever the bits of any path change. Saved runs, studies and workers compare it; a test of the bits of a few
# programs fails where this was forgotten.
NUMERICS = 1

# In a bare checkout the kernels lie beside the package; installed, they lie inside it.
if not (Path(__file__).parent / "kernels").exists():
    __path__.append(str(Path(__file__).parent.parent))

_PUBLIC = {
    "simulate": "simulation.simulate",
    "resume": "simulation.simulate",
    "load": "study.loading",
    "gpus": "backends.cuda",
    "use_compiler": "compilers.choice",
    "Run": "simulation.run",
    "Interrupted": "simulation.schedule",
    "StudyInterrupted": "study.result",
    "loss": "model.loss",
    "Loss": "model.loss",
    "matrix": "model.parameters",
    "per_path": "model.parameters",
    "vector": "model.parameters",
    "scalar": "model.parameters",
    "rule": "model.rules",
    "Rule": "model.rule",
    "gd": "model.rules",
    "sam": "model.rules",
    "heavy_ball": "model.rules",
    "derivative": "model.rule",
    "sampled": "model.sampling",
    "CriticalPoint": "model.critical_points",
    "critical_point": "model.loss",
    "critical_points": "model.loss",
    "Basins": "landscape.basins",
    "basins": "landscape.basins",
    "Outcomes": "landscape.outcomes",
    "outcomes": "landscape.outcomes",
    "eigenvalue_map": "landscape.curvature",
    "sharpness": "landscape.curvature",
    "Flow": "landscape.flow",
    "cases": "landscape.flow",
    "noisy": "model.noise",
    "diffusion": "model.noise",
    "Observer": "model.observer",
    "msd": "study.displacement",
    "Study": "study.result",
    "gaussian_chain": "simulation.gaussian_chain",
    "paired": "model.paired",
    "paired_msd": "study.pairs",
    "Comparison": "study.comparison",
    "exit_times": "study.exits",
    "density": "law.density",
    "Density": "law.result",
    "Exits": "study.leaving",
    "CriticalPointError": "checks",
    "DivergenceWarning": "checks",
    "NoGpuError": "checks",
    "TraceError": "tracing",
    "sqrt": "tracing",
    "exp": "tracing",
    "floor": "tracing",
    "log": "tracing",
    "sin": "tracing",
    "cos": "tracing",
    "tanh": "tracing",
    "absolute": "tracing",
    "where": "tracing",
    "minimum": "tracing",
    "maximum": "tracing",
    "total": "tracing",
    "dot": "tracing",
    "norm": "tracing",
    "normalized": "tracing",
}
_MODULES = {
    "losses": "model.losses",
    "observe": "model.observe",
    "rules": "model.catalogue.rules",
    "schedule": "model.schedule",
    **{name: name for name in ("stats", "theory", "cache", "tracing", "reproduce")},
}
__all__ = ["NUMERICS", "__version__", *_PUBLIC, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f".{_PUBLIC[name]}", __name__), name)
    if name in _MODULES:
        return importlib.import_module(f".{_MODULES[name]}", __name__)
    raise AttributeError(f"module 'samfast' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
