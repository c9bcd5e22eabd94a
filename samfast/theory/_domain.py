"""Argument checks shared by the closed forms: one rule and one remedy per argument name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from ..checks import real_array, shown

Array = npt.NDArray[np.float64]
ArrayLike = npt.ArrayLike

# np.where evaluates all branches of a formula, and those not taken may overflow or give nan; inf may be the right answer
quiet = np.errstate(all="ignore")

MAX_STEPS = 2**53  # beyond this float64 no longer separates n from n + 1


class Rule(NamedTuple):
    """A condition on the values of an argument; the error message gives the remedy and the example."""

    allowed: Callable[[Array], npt.NDArray[np.bool_]]
    remedy: str
    example: str


def _any(v: Array) -> npt.NDArray[np.bool_]:
    return np.ones(v.shape, bool)


def _count(v: Array) -> npt.NDArray[np.bool_]:
    return np.asarray((v >= 0) & (v <= MAX_STEPS) & (v == np.floor(v)))


RULES = {
    "time": Rule(lambda v: v >= 0, "a finite time of 0 or more (lr per update)", "10.0"),
    "steps": Rule(_count, "a whole number of updates from 0 to 2**53", "1000"),
    "eigenvalue": Rule(_any, "a finite number", "-1.0"),
    "eigenvalues": Rule(_any, "finite numbers", "[2.0, -1.0]"),
    "curvature": Rule(_any, "a finite number", "-1.0"),
    "shift": Rule(_any, "a finite difference of curvatures", "0.1"),
    "deficit": Rule(lambda v: v <= 1, "1 - s^2, at most 1", "0.0"),
    "diffusion": Rule(lambda v: v >= 0, "a diffusion coefficient of 0 or more", "0.1"),
    "diffusion_positive": Rule(lambda v: v > 0, "a positive diffusion coefficient", "0.1"),
    "gradient_variance": Rule(lambda v: v >= 0, "a variance of 0 or more", "1.0"),
    "lr": Rule(lambda v: v > 0, "a positive learning rate", "0.01"),
    "dt": Rule(lambda v: v > 0, "a positive time step", "0.01"),
    "rho": Rule(lambda v: v >= 0, "a radius of 0 or more", "0.05"),
    "rho_positive": Rule(lambda v: v > 0, "a positive radius", "0.05"),
    "batch_size": Rule(lambda v: v >= 1, "at least 1", "64"),
    "momentum": Rule(lambda v: (v >= 0) & (v <= 1), "a momentum from 0 to 1", "0.9"),
    "momentum_below_1": Rule(lambda v: (v >= 0) & (v < 1), "a momentum of at least 0 and below 1", "0.9"),
    "dampening": Rule(lambda v: (v >= 0) & (v < 1), "a dampening of at least 0 and below 1", "0.0"),
    "start": Rule(_any, "a finite position", "0.1"),
    "velocity": Rule(_any, "a finite velocity", "0.0"),
    "limit": Rule(lambda v: v > 0, "a positive distance", "1.0"),
    "variance": Rule(lambda v: v >= 0, "a variance of 0 or more", "1.0"),
    "variances": Rule(lambda v: v >= 0, "variances of 0 or more", "[1.0, 0.5]"),
    "mean": Rule(_any, "a finite mean", "0.0"),
    "msd": Rule(lambda v: v >= 0, "a mean squared displacement of 0 or more", "0.1"),
    "paths": Rule(lambda v: v >= 1, "at least 1", "10_000"),
    "dof_per_path": Rule(lambda v: v > 0, "a positive number of degrees of freedom", "1.0"),
    "confidence": Rule(lambda v: (v > 0) & (v < 1), "a level between 0 and 1", "0.95"),
    "relative_error": Rule(lambda v: v > 0, "a positive relative error", "0.01"),
    "z": Rule(lambda v: v > 0, "a positive number of standard deviations", "3.0"),
    "gradient": Rule(_any, "a finite gradient", "[0.0, -1.0]"),
    "lipschitz": Rule(lambda v: v >= 0, "a Lipschitz constant of 0 or more", "1.0"),
    "weight": Rule(_any, "a finite weight", "0.5"),
    "distance": Rule(lambda v: v > 0, "a positive distance", "0.01"),
    "radius": Rule(lambda v: v > 0, "a positive distance", "2.0"),
    "density": Rule(lambda v: v > 0, "a positive density", "0.1"),
    "first_squared": Rule(lambda v: v > 0, "a positive squared length", "0.001"),
    "delta": Rule(lambda v: (v > 0) & (v < 1), "a probability between 0 and 1", "0.01"),
    "spread": Rule(lambda v: v > 0, "a positive half width", "0.1"),
    "hessian": Rule(_any, "finite entries", "[[2.0, 0.0], [0.0, -2.0]]"),
    "eigenvectors": Rule(_any, "finite entries", "np.eye(2)"),
}


def checked(name: str, value: ArrayLike, rule: str | None = None) -> Array:
    """Return ``value`` as float64, or raise a ValueError with the argument, its value and the remedy.

    ``rule`` is the key of RULES that applies, where it is not ``name``.
    """
    use = RULES[rule or name]
    try:
        array = real_array(name, value, use.example)
    except TypeError:
        raise ValueError(f"{name}={shown(value)}: give {use.remedy}, e.g. {name}={use.example}") from None
    good = np.isfinite(array) & use.allowed(array)
    if not good.all():
        bad = float(array[~good].flat[0])
        raise ValueError(f"{name}={bad:.15g}: give {use.remedy}, e.g. {name}={use.example}")
    return array


def directions(name: str, value: ArrayLike, rule: str | None = None) -> Array:
    """Return ``value`` checked, with at least one entry along its last axis; a number is one direction."""
    array = np.atleast_1d(checked(name, value, rule))
    if array.shape[-1] == 0:
        raise ValueError(f"{name} has shape {array.shape}: give at least one, e.g. {name}={RULES[rule or name].example}")
    return array


def chosen(name: str, value: object, options: tuple[str, ...]) -> str:
    """Return ``value`` if it is one of ``options``, else raise a ValueError that lists them."""
    if isinstance(value, str) and value in options:
        return value
    listed = ", ".join(repr(option) for option in options)
    raise ValueError(f"{name}={shown(value)}: give one of {listed}")


def scalar(array: Any) -> Array:
    """Turn a 0-d array into a NumPy float64 and leave other arrays alone."""
    return cast(Array, np.asarray(array)[()])
