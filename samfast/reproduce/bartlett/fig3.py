"""Bartlett, Long, Bousquet, Fig. 3: on a ravine SAM drifts away from the sharpest part, gradient descent does not.

The start is (0.1, 0.1), lr = 1/5, rho = 1. The drift exists only for rho > 1 - lr, as runs with other radii show.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import theory
from ..experiments import Claim, Outcome, Progress, experiment, verdict
from .paths import PAPER, ROUNDING
from .ravine import FEWER, LR, RADII, STEPS, columns, drift, largest_radius, picture, reached

START = (0.1, 0.1)


@experiment("bartlett-fig3", "SAM and gradient descent on a ravine, from (0.1, 0.1)")
def run(size: float = 1.0, progress: Progress = None, executor: Any = None) -> Outcome:
    """Paths of SAM and gradient descent, and the height that SAM reaches for many radii."""
    d = drift(START)
    radii = RADII if size == 1 else RADII[FEWER]
    tails, most = reached(radii, START), largest_radius()
    exact = np.array([theory.ravine_two_cycle(lr=LR, rho=r)[1] for r in radii])
    drifts, stays = tails.max(-1) > 1e-3, np.ptp(tails, axis=-1) < 1e-6
    error = float(np.abs(tails[:, -1] - exact)[stays].max())
    near, end = d.sam[STEPS, 1], d.two_cycle[-1, 1]
    numbers = d.numbers | {
        "radii": radii,
        "heights": tails[:, -1],
        "heights_theory": exact,
        "heights_error": error,
        "multipliers": theory.ravine_multiplier(lr=LR, rho=radii),
        "largest_radius": most,
        "wanders": radii[~stays],
    }
    return Outcome(
        (
            Claim(
                "SAM drifts along the ravine to less sharp places",
                f"y = {near:.6f} after {STEPS} updates, {end:.9f} at the end; of {len(radii)} radii those from "
                f"{radii[drifts].min():g} drift, those up to {radii[~drifts].max():g} do not",
                verdict(end > 0 and (drifts == (radii > 1 - LR)).all(), "rho > 1 - lr on this ravine"),
                f"{PAPER}, Fig. 3; theory.ravine_multiplier",
            ),
            Claim(
                "gradient descent goes to the minimum instead",
                f"|w| = {np.linalg.norm(d.gd[-1]):.0e} at the end",
                verdict(np.linalg.norm(d.gd[-1]) < 1e-10),
                f"{PAPER}, Fig. 3",
            ),
            Claim(
                "SAM ends in a two-cycle (x, y), (-x, y) with y > 0",
                f"x = {abs(d.two_cycle[-1, 0]):.12f}, y = {end:.12f}, within {d.error:.0e} of the theory; |y| of the "
                f"radii below "
                f"{most:.4f} within {error:.0e}, beyond it SAM wanders about the two-cycle",
                verdict(d.error < ROUNDING and error < 1e-9 and (stays == (radii < most)).all(), f"1 - lr < rho < {most:.4f}"),
                f"{PAPER}, Fig. 3; theory.ravine_two_cycle",
            ),
            Claim(
                "the place that it reaches is less sharp",
                f"largest curvature {d.sharpness:.6f} instead of 2: {1 - d.sharpness / 2:.2%} less",
                verdict(d.sharpness < 2),
                f"{PAPER}, Fig. 3 and section 6",
            ),
        ),
        numbers,
        {"paths": columns(d), "radii": {"rho": radii.repeat(tails.shape[1]), "height": tails.ravel()}},
        {"ravine": picture(d, [(-0.35, 0.35), (-0.1, 0.5)], radii, tails)},
    )
