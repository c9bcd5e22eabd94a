"""Bartlett, Long, Bousquet, Fig. 1: on a convex quadratic SAM comes close to the minimum, then bounces across it for ever.

w' = w - lr*grad(w + rho*grad(w)/|grad(w)|) on l(w) = (w_1^2 + w_2^2/2)/2, 30 updates from (2, 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ... import theory
from ...model.losses import quadratic
from .. import draw
from ..experiments import Claim, Outcome, Progress, experiment, verdict
from .paths import BOX, PAPER, ROUNDING, bounce, hills, minimum, travelled, two_cycle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EIGENVALUES, LR, RHO, START = (1.0, 0.5), 0.2, 1.0, (2.0, 2.0)
CAPTION = (
    "As published: curvatures 1 and 1/2, learning rate 1/5, normalised rho 1, 30 updates from (2, 2). Contours: the loss, each "
    "twice the next."
)
STEPS, LONG = 30, 400  # updates in the figure, and updates after which a path is on the two-cycle to rounding


@experiment("bartlett-fig1", "A path of SAM on a convex quadratic")
def run(size: float = 1.0, progress: Progress = None, executor: Any = None) -> Outcome:
    """The path of the figure, its approach to the two-cycle of the theory, and the direction of the bouncing."""
    w = bounce(EIGENVALUES, START, range(LONG + 1), lr=LR, rho=RHO)[:, 0]
    away = np.linalg.norm(w[: STEPS + 1], axis=-1)
    amplitude = float(theory.two_cycle_amplitude(EIGENVALUES[0], lr=LR, rho=RHO))
    error = float(np.abs(np.abs(w[-2:]) - [amplitude, 0.0]).max())
    near, last = int(away.argmin()), w[STEPS]
    turns = bool((w[near + 1 : -1, 0] * w[near + 2 :, 0] < 0).all())
    numbers = {
        "closest": away[near],
        "closest_step": near,
        "last": last,
        "last_distance": away[-1],
        "amplitude": amplitude,
        "amplitude_error": error,
        "last_over_amplitude": away[-1] / amplitude,
    }
    return Outcome(
        (
            Claim(
                "SAM first comes close to the minimum, then moves away from it again",
                f"closest {away[near]:.4f} after {near} updates, {away[-1]:.4f} after {STEPS}",
                verdict(0 < near < STEPS and away[-1] > 2 * away[near]),
                f"{PAPER}, Fig. 1; theory.normalized_sam_step",
            ),
            Claim(
                "it ends in a two-cycle across the minimum of amplitude lr*rho*lambda_1/(2 - lr*lambda_1)",
                f"amplitude {amplitude:.6f}; |w_t| is off by {away[-1] / amplitude - 1:.1%} after {STEPS} updates, {error:.0e} "
                f"(length) after {LONG}; the sign alternates",
                verdict(error < ROUNDING and turns),
                f"{PAPER}, Fig. 1 and Theorems 1, 2; theory.two_cycle_amplitude",
            ),
            Claim(
                "the bouncing is along the direction of largest curvature",
                f"|w_2|/|w_1| = {abs(last[1] / last[0]):.1e} after {STEPS} updates",
                verdict(abs(last[1]) < 1e-3 * abs(last[0])),
                f"{PAPER}, Fig. 1; theory.two_cycle_multipliers",
            ),
        ),
        numbers,
        {"path": {"update": np.arange(STEPS + 1), "w_1": w[: STEPS + 1, 0], "w_2": w[: STEPS + 1, 1], "distance": away}},
        {"path": _picture(w[: STEPS + 1], amplitude)},
    )


@draw.styled
def _picture(w: np.ndarray, amplitude: float) -> Figure:
    figure, ((whole, close, time),) = draw.panels(1, 3, (12.6, 4.7), CAPTION)
    loss, cycle = quadratic(EIGENVALUES), [(-amplitude, 0), (amplitude, 0)]
    whole.set_title("path from (2, 2)")
    close.set_title("beside the minimum")
    for axes, box in ((whole, [(-0.4, 2.2), (-0.4, 2.2)]), (close, [(-0.2, 0.2), (-0.12, 0.28)])):
        hills(axes, loss.value, box)
        travelled(axes, w, draw.BLUE, "SAM")
        minimum(axes)
        two_cycle(axes, cycle)
        axes.set(xlabel="$w_1$ (curvature 1)", ylabel="$w_2$ (curvature ½)", aspect="equal")
    close.set_xticks([-0.2, -0.1, 0.0, 0.1, 0.2])
    draw.start(whole, w[0])
    whole.legend(loc="upper left", **BOX)
    time.set_title("distance from the minimum")
    time.semilogy(np.linalg.norm(w, axis=-1), ".-", color=draw.BLUE, linewidth=0.9, label="$|w_t|$")
    time.axhline(
        amplitude, color=draw.RED, linestyle="--", linewidth=1.2, label="two-cycle, $\\eta\\rho\\lambda_1/(2-\\eta\\lambda_1)$"
    )
    time.set(xlabel="updates t", ylabel="length")
    time.legend()
    return figure
