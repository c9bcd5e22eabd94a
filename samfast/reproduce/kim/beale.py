"""Walks on Beale's function, for Kim et al., Figs. 1, 3, 4 and 6.

The text gives lr = 1e-4 and leaves the start, rho, its kind and the number of steps open. RELEASED is what the authors'
released code runs; CONSTANT, NORMALIZED and FINE are settings with the lr of the text, found here, that show the same.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

import samfast as sf

from .. import draw

SADDLE, MINIMUM = np.array([0.0, 1.0]), np.array([3.0, 0.5])
BOX = [(-4.5, 4.5), (-4.5, 4.5)]
NEAR = 0.02  # of the saddle: a walk this close has arrived
LATE = 5000  # Fig. 3 begins there


@dataclass(frozen=True)
class Setting:
    """One walk for each radius; rho = 0 is gradient descent."""

    lr: float
    rho: tuple[float, ...]
    starts: tuple[tuple[float, float], ...]
    steps: int
    normalize: bool

    @property
    def names(self) -> list[str]:
        kind = "normalised rho" if self.normalize else "constant rho"
        return [f"SAM, {kind} = {r:g}" if r else "gradient descent" for r in self.rho]


RELEASED = Setting(1.25e-5, (0.0, 0.1, 0.5, 1.0), 4 * ((1.0, 2.0),), 87_683, True)
CONSTANT = Setting(1e-4, (0.05,), ((-0.75, 0.25),), 20_000, False)
NORMALIZED = Setting(1e-4, (0.5, 0.2), 2 * ((-3.0, -2.0),), 20_000, True)
FINE = Setting(1e-4, (0.001,), ((1e-4, 1.0002),), 20_000, True)


@dataclass(frozen=True, eq=False)
class Walk:
    """Arrays (step, walk, ...): the position, the perturbed point, and the cosine between the gradients at both."""

    position: np.ndarray
    perturbed: np.ndarray
    cosine: np.ndarray

    @property
    def distance(self) -> np.ndarray:
        """From the saddle (0, 1)."""
        return np.linalg.norm(self.position - SADDLE, axis=-1)

    @property
    def arrival(self) -> np.ndarray:
        """The first step within NEAR of the saddle, -1 for none."""
        near = self.distance < NEAR
        return np.where(near.any(0), near.argmax(0), -1)

    def case(self) -> np.ndarray:
        """Cases 1 to 3 of Kim et al., section 4.1."""
        return sf.cases(self.position, self.perturbed, boundary, SADDLE, near=NEAR)

    def switches(self) -> np.ndarray:
        """(walk,): the share of the steps in which the perturbed point changes the side of the boundary."""
        return changes(boundary(np.moveaxis(self.perturbed, -1, 0)))


def walk(setting: Setting, progress: Any = None, executor: Any = None, *, every: int = 1) -> Walk:
    """Every (or every k-th) step of a setting, in float64; both kinds of rho are one compiled program each."""
    n = len(setting.rho)
    rule = sf.sam(lr=sf.per_path(np.full(n, setting.lr)), rho=sf.per_path(setting.rho), normalize=setting.normalize)
    seen = sf.observe.several(sf.observe.position(), sf.observe.perturbed(rule), sf.observe.cosine(rule))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the paths differ by less than the spacing")  # of walks that end in one point
        run = sf.simulate(
            sf.losses.beale(),
            rule,
            setting.starts,
            record=range(0, setting.steps + 1, every),
            observe=seen,
            dtype="float64",
            values=True,
            state=False,
            progress=progress,
            executor=executor,
        )
    assert run.values is not None
    return Walk(run.values[..., 0:2], run.values[..., 2:4], run.values[..., 4])


def boundary(w: Any) -> Any:
    """The tangent at the saddle of the boundary between the two sides: 0 along (1, 1), the direction that GD approaches in."""
    return w[0] - w[1] + 1


def changes(x: np.ndarray) -> np.ndarray:
    """The share of the steps in which the sign changes."""
    return (np.sign(x[1:]) != np.sign(x[:-1])).mean(0)


@cache
def critical_points() -> tuple[sf.CriticalPoint, ...]:
    """Of Beale's function in BOX, lowest loss first."""
    return tuple(sf.losses.beale().critical_points(BOX))


def landscape(axes: Any, box: Any = BOX, *, label: str | None = "loss") -> None:
    """Contours, critical points, and the boundary of the saddle's two sides (its stable manifold under gradient descent)."""
    loss = sf.losses.beale()
    draw.contours(axes, loss, box, label=label)
    for i, branch in enumerate(sf.Flow(loss, sf.gd(lr=1.0)).manifold(SADDLE, "stable", box=BOX)):
        axes.plot(*branch.T, "--", color=draw.GREY, linewidth=1, label=None if i else "boundary of the basins")
    (a, b), (c, d) = box
    draw.critical(axes, [p for p in critical_points() if a <= p.position[0] <= b and c <= p.position[1] <= d])
