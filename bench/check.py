"""Checks of answers: against exact moments within random error, against high precision within rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from .work import WrongError

ERRORS = 5.0  # standard errors: false alarms below 1e-5 for the moments checked here


def near(name: str, got: Any, want: Any, allowed: float) -> str:
    """Relative to the largest entry."""
    got, want = np.asarray(got, float), np.asarray(want, float)
    if got.shape != want.shape:
        raise WrongError(f"{name} has shape {got.shape}, not {want.shape}")
    off = float(np.max(np.abs(got - want)) / max(float(np.max(np.abs(want))), 1e-300))
    if not off <= allowed:
        raise WrongError(f"{name} off by {off:.1e}, allowed {allowed:.1e}")
    return f"{name} within {off:.0e}"


def random(name: str, got: Any, want: Any, error: Any) -> str:
    """Within random error."""
    got, want = np.asarray(got, float), np.asarray(want, float)
    if got.shape != want.shape:
        raise WrongError(f"{name} has shape {got.shape}, not {want.shape}")
    z = float(np.max(np.abs(got - want) / error))
    if not z < ERRORS:
        raise WrongError(f"{name} off by {z:.1f} standard errors")
    return f"|z| {z:.1f}"


def gaussian(answer: dict[str, Any], variance: Any, paths: int) -> str:
    """Means of d and of d^2 for d ~ N(0, variance).

    The mean of d^2 is chi-square; its cube root is nearly normal even for one path (Wilson and Hilferty, 1931).
    """
    v = np.asarray(variance, float)
    one = random("mean", answer["first"], 0 * v, np.sqrt(v / paths))
    narrow = 2 / (9 * paths)
    two = random("mean square", np.cbrt(answer["second"] / v), np.full(v.shape, 1 - narrow), np.sqrt(narrow))
    return max(one, two, key=lambda text: float(text.split()[1]))


def rounding(w: Any, steps: int) -> float:
    """Allowed for steps whose deviations grow at most a hundredfold."""
    return 100 * steps * float(np.finfo(np.asarray(w).dtype).eps)
