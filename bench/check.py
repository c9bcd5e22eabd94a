"""Checks of answers. Moments may differ from the exact ones by random error, paths from a precise run by rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from .work import WrongError

ERRORS = 5.0  # standard errors allowed; a correct answer then fails with a chance below 1e-5


def near(name: str, got: Any, want: Any, allowed: float) -> str:
    """Raises WrongError unless got is within `allowed` of want, relative to the largest entry of want."""
    got, want = np.asarray(got, float), np.asarray(want, float)
    if got.shape != want.shape:
        raise WrongError(f"{name} has shape {got.shape}, not {want.shape}")
    off = float(np.max(np.abs(got - want)) / max(float(np.max(np.abs(want))), 1e-300))
    if not off <= allowed:
        raise WrongError(f"{name} off by {off:.1e}, allowed {allowed:.1e}")
    return f"{name} within {off:.0e}"


def random(name: str, got: Any, want: Any, error: Any) -> str:
    """Raises WrongError unless got is within ERRORS standard errors of want; `error` is one standard error."""
    got, want = np.asarray(got, float), np.asarray(want, float)
    if got.shape != want.shape:
        raise WrongError(f"{name} has shape {got.shape}, not {want.shape}")
    z = float(np.max(np.abs(got - want) / error))
    if not z < ERRORS:
        raise WrongError(f"{name} off by {z:.1f} standard errors")
    return f"|z| {z:.1f}"


def gaussian(answer: dict[str, Any], variance: Any, paths: int) -> str:
    """Checks the means over the paths of d and of d^2, where d has the law N(0, variance).

    The mean of d^2 is chi-square; its cube root is nearly normal even for one path (Wilson and Hilferty, 1931).
    """
    v = np.asarray(variance, float)
    one = random("mean", answer["first"], 0 * v, np.sqrt(v / paths))
    narrow = 2 / (9 * paths)
    two = random("mean square", np.cbrt(answer["second"] / v), np.full(v.shape, 1 - narrow), np.sqrt(narrow))
    return max(one, two, key=lambda text: float(text.split()[1]))


def rounding(w: Any, steps: int) -> float:
    """Returns the relative error that rounding may cause in `steps` steps that enlarge a deviation at most a hundredfold."""
    return 100 * steps * float(np.finfo(np.asarray(w).dtype).eps)
