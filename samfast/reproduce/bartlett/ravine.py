"""Bartlett, Long, Bousquet, section 6: SAM and gradient descent on the ravine l(x, y) = x^2/(1 + y^2/2) + y^2/2.

The sharpness on the floor x = 0 is 2/(1 + y^2/2). Both rules start at one point; SAM is simulated for many radii as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ... import theory
from ...landscape.curvature import sharpness
from ...model.losses import ravine
from ...model.rules import sam
from .. import draw
from .paths import BOX, follow, hills, minimum, travelled, two_cycle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LR, RHO, STEPS, LONG = 0.2, 1.0, 30, 400
FAR, KEPT = 6000, 64  # FAR updates, since the drift is slow for radii just above 1 - lr; the last KEPT of them are looked at
RADII = np.array([0.5, 0.6, 0.7, 0.75, 0.79, 0.81, 0.85, 0.9, 1.0, 1.1, 1.15, 1.18, 1.2, 1.25, 1.3, 1.4])
FEWER = [0, 4, 5, 8, -1]


@dataclass(frozen=True)
class Drift:
    """Paths (time, 2) of SAM and of gradient descent, and the end of SAM.

    two_cycle: the last two points, (2, 2). expected: |x| and |y| of the two-cycle in theory. sharpness: that of the floor at
    the last point's height.
    """

    sam: np.ndarray
    gd: np.ndarray
    two_cycle: np.ndarray
    expected: np.ndarray
    sharpness: float

    @property
    def numbers(self) -> dict[str, object]:
        x, y = self.expected
        return {
            "two_cycle": self.two_cycle,
            "expected": [x, y],
            "near": self.sam[STEPS, 1],
            "gd_end": self.gd[-1],
            "loss": ravine().value(self.two_cycle[-1]),
            "sharpness": self.sharpness,
            "sharpness_at_minimum": 2.0,
            "two_cycle_error": self.error,
        }

    @property
    def error(self) -> float:
        """The largest deviation of |x| and |y| of the two-cycle from theory.ravine_two_cycle."""
        return float(np.abs(np.abs(self.two_cycle) - self.expected).max())


def drift(start: tuple[float, float]) -> Drift:
    """Runs SAM with rho = 1 and gradient descent (rho = 0) from one start, with lr = 1/5."""
    gd, path = follow(ravine(), sam(lr=LR, rho=[0.0, RHO], normalize=True), start, range(LONG + 1))[:, :, 0]
    end = path[-2:]
    floor = float(sharpness(ravine(), [0.0, end[-1, 1]])[0])
    return Drift(path, gd, end, np.array(theory.ravine_two_cycle(lr=LR, rho=RHO)), floor)


def reached(radii: np.ndarray, start: tuple[float, float]) -> np.ndarray:
    """Returns |y| in the last KEPT of FAR updates, with the axes (radius, update)."""
    w = follow(ravine(), sam(lr=LR, rho=radii, normalize=True), start, range(FAR - KEPT + 1, FAR + 1))
    return np.abs(w[:, :, 0, 1])


def slopes(rho: float, lr: float = LR, h: float = 1e-6) -> float:
    """Returns the largest |multiplier| at the two-cycle of one update followed by x -> -x, by central differences.

    The two-cycle attracts if this is below 1.
    """
    loss, point = ravine(), np.array(theory.ravine_two_cycle(lr=lr, rho=rho))
    w = point + h * np.concatenate([np.eye(2), -np.eye(2)])
    g = loss.gradient(w)
    after = (w - lr * loss.gradient(w + rho * g / np.linalg.norm(g, axis=-1, keepdims=True))) * [-1.0, 1.0]
    return float(np.abs(np.linalg.eigvals((after[:2] - after[2:]).T / (2 * h))).max())


def largest_radius(lr: float = LR) -> float:
    """Returns the radius beyond which the two-cycle away from the sharpest place of the floor repels."""
    from scipy.optimize import brentq

    return float(brentq(lambda rho: slopes(rho, lr) - 1, 1 - lr + 0.15, 1.6, xtol=1e-9))


def columns(d: Drift) -> dict[str, np.ndarray]:
    """Returns the table of both paths for the updates in the figure."""
    t = np.arange(STEPS + 1)
    return {"update": t, "sam_x": d.sam[t, 0], "sam_y": d.sam[t, 1], "gd_x": d.gd[t, 0], "gd_y": d.gd[t, 1]}


@draw.styled
def picture(d: Drift, box: list[tuple[float, float]], radii: np.ndarray, ends: np.ndarray) -> Figure:
    """Draws the paths on the loss, the height y over time, and the height reached against the radius."""
    x, y = d.sam[0]
    caption = (
        f"As published: l = x²/(1 + y²/2) + y²/2, learning rate {LR:g}, normalised rho {RHO:g}, {STEPS} updates from "
        f"({x:g}, {y:g}). Right (not in the paper): the same for other radii, the last {KEPT} of {FAR} updates."
    )
    figure, ((plane, time, radius),) = draw.panels(1, 3, (13.2, 4.8), caption, width_ratios=[1.25, 1, 1])
    hills(plane, ravine().value, box)
    travelled(plane, d.sam[: STEPS + 1], draw.BLUE, "SAM, $\\rho$ = 1")
    travelled(plane, d.gd[: STEPS + 1], draw.RED, "gradient descent", marker="s", markersize=3.5)
    draw.start(plane, d.sam[0])
    two_cycle(plane, d.two_cycle)
    minimum(plane)
    plane.set(title="paths on the ravine", aspect="equal")
    plane.legend(loc="upper left", fontsize=7.5, **BOX)
    t = np.arange(STEPS + 1)
    time.plot(t, d.sam[t, 1], ".-", color=draw.BLUE, linewidth=0.9, label="SAM, $\\rho$ = 1")
    time.plot(t, d.gd[t, 1], "s-", color=draw.RED, linewidth=0.9, markersize=3.5, label="gradient descent")
    time.axhline(np.sign(d.sam[-1, 1]) * d.expected[1], color=draw.BLACK, linestyle="--", linewidth=1.0, label="two-cycle")
    time.set(title="height above the sharpest place", xlabel="updates t", ylabel="y")
    time.legend()
    radius.plot(radii.repeat(KEPT), ends.ravel(), ".", color=draw.BLUE, markersize=3.5, label=f"SAM, last {KEPT} updates")
    fine = np.linspace(radii[0], radii[-1], 200)
    radius.plot(
        fine,
        [theory.ravine_two_cycle(lr=LR, rho=r)[1] for r in fine],
        color=draw.BLACK,
        linewidth=1.1,
        label="two-cycle, theory",
    )
    radius.axvline(1 - LR, color=draw.GREY, linestyle=":", label="drift begins, $\\rho=1-\\eta$")
    radius.axvline(largest_radius(), color=draw.RED, linestyle="-.", linewidth=1.0, label="two-cycle repels beyond")
    radius.set(title="height reached", xlabel="radius $\\rho$ (length)", ylabel="|y|")
    radius.set_ylim(top=1.5 * radius.get_ylim()[1])
    radius.legend(loc="upper left", **BOX)
    return figure
