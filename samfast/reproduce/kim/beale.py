"""Walks on Beale's function, for Kim et al., Figs. 1, 3, 4 and 6.

The text gives lr = 1e-4 and leaves the start, rho, its kind and the number of steps open. RELEASED is the setting of the
authors' released code. CONSTANT, NORMALIZED and FINE have the lr of the text; we searched for them to show the same.
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
NEAR = 0.02  # a walk this close to the saddle has arrived there
LATE = 5000  # step at which Fig. 3 begins


@dataclass(frozen=True)
class Setting:
    """The setting of one walk for each radius; rho = 0 is gradient descent."""

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
    """Arrays (step, walk, ...) of the position, the perturbed point, and the cosine between the gradients at both."""

    position: np.ndarray
    perturbed: np.ndarray
    cosine: np.ndarray

    @property
    def distance(self) -> np.ndarray:
        """The distance from the saddle (0, 1)."""
        return np.linalg.norm(self.position - SADDLE, axis=-1)

    @property
    def arrival(self) -> np.ndarray:
        """The first step within NEAR of the saddle, -1 for none."""
        near = self.distance < NEAR
        return np.where(near.any(0), near.argmax(0), -1)

    def case(self) -> np.ndarray:
        """Returns the case of each step, 1 to 3 as in section 4.1 of Kim et al., or 0 for none of them."""
        return sf.cases(self.position, self.perturbed, boundary, SADDLE, near=NEAR)

    def switches(self) -> np.ndarray:
        """Returns, for each walk, the share of the steps in which the perturbed point changes the side of the boundary."""
        return changes(boundary(np.moveaxis(self.perturbed, -1, 0)))


def walk(setting: Setting, progress: Any = None, executor: Any = None, *, every: int = 1) -> Walk:
    """Runs a setting in float64 and keeps each step, or one in `every`; each kind of rho needs one compiled program."""
    n = len(setting.rho)
    rule = sf.sam(lr=sf.per_path(np.full(n, setting.lr)), rho=sf.per_path(setting.rho), normalize=setting.normalize)
    seen = sf.observe.several(sf.observe.position(), sf.observe.perturbed(rule), sf.observe.cosine(rule))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the paths differ by less than the spacing")  # as walks may end in one point
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
    """Returns a number whose sign tells on which side of the saddle's boundary w lies, to first order around the saddle.

    It is 0 on the tangent of the boundary, which runs along (1, 1): gradient descent approaches the saddle in this direction.
    """
    return w[0] - w[1] + 1


def changes(x: np.ndarray) -> np.ndarray:
    """Returns the share of the steps in which the sign of x changes."""
    return (np.sign(x[1:]) != np.sign(x[:-1])).mean(0)


@cache
def critical_points() -> tuple[sf.CriticalPoint, ...]:
    """Returns the critical points of Beale's function in BOX, lowest loss first."""
    return tuple(sf.losses.beale().critical_points(BOX))


def landscape(axes: Any, box: Any = BOX, *, label: str | None = "loss") -> None:
    """Draws contours, critical points, and the saddle's stable manifold under gradient descent, which bounds its two sides."""
    loss = sf.losses.beale()
    draw.contours(axes, loss, box, label=label)
    for i, branch in enumerate(sf.Flow(loss, sf.gd(lr=1.0)).manifold(SADDLE, "stable", box=BOX)):
        axes.plot(*branch.T, "--", color=draw.GREY, linewidth=1, label=None if i else "boundary of the basins")
    (a, b), (c, d) = box
    draw.critical(axes, [p for p in critical_points() if a <= p.position[0] <= b and c <= p.position[1] <= d])
