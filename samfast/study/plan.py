"""What a study simulates: its parameters on axes of a grid, its times, and the numbers of steps that reach them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import check, choice, integer, numbers
from ..model import parameters
from ..model.noise import KINDS
from ..model.parameters import unscheduled
from .process import DRIFTS, NOISES, THEOREMS, LinearProcess

BOUNDS: dict[str, dict[str, Any]] = {
    "eigenvalue": {"example": -1.0},
    **{p: parameters.BOUNDS[p] for p in ("lr", "rho", "momentum", "dampening")},
    "batch_size": {"low": 1.0, "example": 64},
    "dt": parameters.BOUNDS["dt"],
}
PARAMETERS = tuple(BOUNDS)  # the numbers of a setting, each a dimension if given as a sequence; dt may be absent
CHOICES = ("drift", "noise")  # the words of a setting, dimensions too; each combination is a program of its own
METHODS = ("em", "algorithm", "exact")
PATHS, MOST = 10**6, 10**10  # default number of paths; largest that `until` may ask for
UPDATES, RECORDS = 1000, 12  # default times: about this many, up to this many updates
ROUNDING, HALFWAY = 1e-6, 0.25  # of a step: how far a time may be from a multiple of the step, at least and at most
FEW = 16  # roundings of a time that the user computed
DRIFTED = 1e-3  # of a step: as far as a time that was summed up step by step may be off
CANDIDATES = 10**7  # steps among which default times are looked for


@dataclass(frozen=True, kw_only=True)
class MsdArguments:
    """The arguments of msd that decide its numbers, as the user gave them; defaults as there (see `samfast.msd`)."""

    eigenvalue: Any = -1.0
    lr: Any = 1e-3
    rho: Any = 0.0
    momentum: Any = 0.0
    dampening: Any = 0.0
    batch_size: Any = 64
    times: Any = None
    paths: int | None = None
    until: float | None = None
    drift: Any = "plain"
    noise: Any = "unit"
    method: str = "em"
    theorem: str = "both"  # or one of THEOREMS
    dt: Any = None
    kind: parameters.NoiseKind = "normal"
    seed: int | None = 0
    dtype: str = "mixed"
    confidence: float = 0.95

    def parameters(self) -> dict[str, Any]:
        """The numbers of a setting; dt only where it was given."""
        return {p: x for p in PARAMETERS if (x := getattr(self, p)) is not None or p != "dt"}

    def words(self) -> dict[str, Any]:
        """The words of a setting: each a word or a sequence of them."""
        return {c: getattr(self, c) for c in CHOICES}


@dataclass(frozen=True, eq=False)
class Plan:
    """A checked call of msd.

    values: each number on its own axis of the grid `sweep`. times: shared by all settings. steps: how many lead to each
    time, (*grid, time); for method "exact" jumps, one per time. models: one for each program, that is for each
    combination of drift and noise. paths: the most that may be run.
    """

    given: MsdArguments
    values: Mapping[str, np.ndarray]
    sweep: tuple[int, ...]
    times: np.ndarray
    steps: np.ndarray
    models: tuple[LinearProcess, ...]
    paths: int
    until: float | None

    @property
    def swept(self) -> dict[str, Any]:
        """The dimensions of the grid: name -> values; words first, then numbers."""
        words = {c: list(x) for c, x in self.given.words().items() if not isinstance(x, str)}
        return words | {p: a.ravel() for p, a in self.values.items() if a.ndim}

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of those dimensions."""
        return tuple(len(v) for v in self.swept.values())

    @property
    def with_time(self) -> dict[str, np.ndarray]:
        """The values, with room for a last axis of times."""
        return {p: a[..., None] for p, a in self.values.items()}


def settings(given: MsdArguments) -> tuple[dict[str, np.ndarray], tuple[LinearProcess, ...]]:
    """The numbers of the settings on their axes, and a process for each pair of words; ValueError for what msd refuses."""
    values = axes(given.parameters(), BOUNDS)
    for name, share in (("until", given.until), ("confidence", given.confidence)):
        check(
            share is None or np.ndim(numbers(name, share, above=0.0, below=1.0, example=0.05)) == 0,
            f"{name}={share!r}: give one number",
        )
    drifts, noises = _words("drift", given.drift, DRIFTS), _words("noise", given.noise, tuple(NOISES))
    method, dt = choice("method", given.method, METHODS), given.dt
    choice("theorem", given.theorem, ("both", *THEOREMS))
    choice("kind", given.kind, KINDS)
    check(dt is None or method == "em", f"dt={dt!r}: it belongs to method='em'; leave it out")
    moving = values["momentum"] > 0
    heavy = bool(moving.any() or (values["dampening"] > 0).any())
    check(
        dt is None or not heavy or bool(moving.all()),
        f"momentum={given.momentum!r} with dt={dt!r}: away from dt=lr, "
        "momentum 0 and above have different diffusion limits (Theorems 2 and 3); study them apart",
    )
    return values, tuple(LinearProcess(d, n, method, heavy) for d in drifts for n in noises)


def planned(given: MsdArguments) -> Plan:
    """Check everything that msd was given, before anything is compiled."""
    values, models = settings(given)
    sweep, method = tuple(a.size for a in values.values() if a.ndim), given.method
    step = values.get("dt", values["lr"])
    if given.times is not None:
        times = _ascending(given.times)
    else:
        times = _free(step) if method == "exact" else _default(step, values["lr"])
    steps = np.arange(1, 1 + len(times)) if method == "exact" else _steps(times, step, _epsilon(given))
    until = None if given.until is None else float(given.until)
    return Plan(given, values, sweep, times, steps, models, _most(given.paths, until), until)


def _most(paths: Any, until: float | None) -> int:
    """The largest number of paths that may be run."""
    if paths is not None:
        return integer("paths", paths, 2, "10_000")
    check(
        until is None or until > (2 / MOST) ** 0.5,
        f"until={until!r}: that takes 2/until^2 paths, more than {MOST:,}; give at least 2e-5, or paths= for a limit",
    )
    return PATHS if until is None else MOST


def _words(name: str, value: Any, options: tuple[str, ...]) -> tuple[Any, ...]:
    words = (value,) if isinstance(value, str) or not isinstance(value, Sequence) else tuple(value)
    check(len(words) > 0, f"{name}={value!r}: give at least one of {', '.join(map(repr, options))}")
    for word in words:
        choice(name, word, options)
    check(len(set(words)) == len(words), f"{name}={value!r}: a value occurs twice; give each once")
    return words


def axes(given: Mapping[str, Any], bounds: Mapping[str, Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Each parameter as an array on its own axis of a grid; a plain number has no axis."""
    for p, x in given.items():
        unscheduled(p, x, "the exact values of a study are not known for schedules; give a number, or use sf.simulate")
    arrays = {p: np.asarray(numbers(p, x, **bounds[p]), float) for p, x in given.items()}
    for p, a in arrays.items():
        check(a.ndim <= 1, f"{p} has shape {a.shape}: give a number or a flat sequence of numbers")
        check(len(np.unique(a)) == a.size, f"{p}={given[p]!r}: a value occurs twice; give each once")
    own = iter(np.eye(sum(a.ndim for a in arrays.values()), dtype=bool))
    return {p: a.reshape(np.where(next(own), a.size, 1)) if a.ndim else a for p, a in arrays.items()}


def _ascending(times: Any) -> np.ndarray:
    numbers("times", times, low=0.0, example=[0.1, 1.0])
    times = np.atleast_1d(np.asarray(times, float))
    check(
        times.ndim == 1 and bool((np.diff(times) > 0).all()),
        f"times={times!r}: give ascending times without repeats, e.g. times=[0.1, 1.0]",
    )
    return times


def _default(step: np.ndarray, lr: np.ndarray) -> np.ndarray:
    """About 12 times, evenly on a log scale, that every setting reaches by whole steps."""
    large = float(step.max())
    many = max(1, round(UPDATES * float(lr.min()) / large))
    check(many <= CANDIDATES, f"dt={large:.6g}: {UPDATES} updates would be {many:,} steps; give times=")
    common = np.arange(1, many + 1)
    for h in np.unique(step):
        n = common * (large / h)
        common = common[np.abs(n - np.rint(n)) < ROUNDING]
    check(
        common.size > 0,
        f"lr={np.unique(step).tolist()}: these steps have no common multiple within {UPDATES} updates; "
        "give times=, or study each lr apart",
    )
    wanted = np.geomspace(common[0], common[-1], RECORDS)
    return np.unique(common[np.argmin(np.abs(common[:, None] - wanted), 0)]) * large


def _free(lr: np.ndarray) -> np.ndarray:
    """12 times from one update to 1000, to three digits, for a method without steps."""
    return np.unique([float(f"{t:.3g}") for t in np.geomspace(float(lr.max()), UPDATES * float(lr.min()), RECORDS)])


def _epsilon(given: MsdArguments) -> float:
    """The rounding of the coarsest floating-point type among what decides numbers of steps."""
    kinds = [a.dtype for x in (given.times, given.lr, given.dt) if (a := np.asarray(x)).dtype.kind == "f"]
    return max((float(np.finfo(kind).eps) for kind in kinds), default=0.0)


def _steps(times: np.ndarray, step: np.ndarray, epsilon: float) -> np.ndarray:
    """Numbers of steps, (*grid, time), as integers; the grid axes other than that of the step have length 1.

    A quotient n counts as whole if it is off by a few roundings, or by what the sum of n steps may be (n of them).
    """
    n = times / step[..., None]
    whole, size = np.rint(n), np.abs(n)
    summed = np.minimum(epsilon * size * size, DRIFTED)
    off = np.abs(n - whole) > np.clip(np.maximum(FEW * epsilon * size, summed), ROUNDING, HALFWAY)
    if off.any():
        where = tuple(np.argwhere(off)[0])
        h, k = float(step[where[:-1]]), np.floor(n[where])
        time, low, high = _apart(times[where[-1]], k * h, (k + 1) * h)
        check(False, f"times: {time} is no multiple of the step {h:.10g}; the nearest are {low} and {high}")
    return whole.astype(np.int64)


def _apart(*values: float) -> list[str]:
    """Numbers in as few digits as show that they differ."""
    texts = [[f"{x:.{digits}g}" for x in values] for digits in range(6, 18)]
    return next((t for t in texts if len(set(t)) == len(t)), texts[-1])
