"""Bartlett, Long, Bousquet, Fig. 4: the ravine from far away, (1, 1); lr = 1/5, rho = 1.

SAM descends into the ravine, overshoots the sharpest part and drifts to less sharp places on the other side.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import theory
from ...landscape.curvature import sharpness
from ...model.losses import ravine
from ..experiments import Claim, Outcome, Progress, experiment, verdict
from .paths import PAPER, ROUNDING
from .ravine import FEWER, LR, RADII, RHO, STEPS, columns, drift, picture, reached

START = (1.0, 1.0)


@experiment("bartlett-fig4", "SAM and gradient descent on a ravine, from (1, 1)")
def run(size: float = 1.0, progress: Progress = None, executor: Any = None) -> Outcome:
    """Paths of SAM and gradient descent from far away, and the height that SAM reaches for many radii."""
    d = drift(START)
    radii = RADII if size == 1 else RADII[FEWER]
    tails = reached(radii, START)
    drifts, end = tails.max(-1) > 1e-3, d.two_cycle[-1, 1]
    settled = int(np.flatnonzero(np.abs(d.sam[:, 1] - end) > 1e-5)[-1]) + 1
    floor = sharpness(ravine(), np.stack([np.zeros(STEPS + 1), d.sam[: STEPS + 1, 1]], -1))[0]
    numbers = d.numbers | {
        "radii": radii,
        "heights": tails[:, -1],
        "settled": settled,
        "growth_per_update": theory.ravine_multiplier(lr=LR, rho=RHO),
        "sharpness_path_largest": floor.max(),
    }
    return Outcome(
        (
            Claim(
                "from (1, 1) as well SAM ends where the ravine is less sharp",
                f"y = {end:.9f}, reached to 1e-5 after {settled} updates; largest curvature {d.sharpness:.6f} instead of 2; of "
                f"{len(radii)} radii those above {radii[~drifts].max():g} drift",
                verdict(
                    d.sharpness < 2 and settled <= STEPS and (drifts == (radii > 1 - LR)).all(), "rho > 1 - lr on this ravine"
                ),
                f"{PAPER}, Fig. 4; theory.ravine_multiplier",
            ),
            Claim(
                "it ends in the same two-cycle as from (0.1, 0.1), up to signs",
                f"|x|, |y| within {d.error:.0e}; the start was on the other side of y = 0",
                verdict(d.error < ROUNDING and end < 0),
                f"{PAPER}, Fig. 3 and 4; theory.ravine_two_cycle",
            ),
            Claim(
                "gradient descent goes to the minimum",
                f"|w| = {np.linalg.norm(d.gd[-1]):.0e} at the end",
                verdict(np.linalg.norm(d.gd[-1]) < 1e-10),
                f"{PAPER}, Fig. 4",
            ),
        ),
        numbers,
        {"paths": columns(d), "radii": {"rho": radii.repeat(tails.shape[1]), "height": tails.ravel()}},
        {"ravine": picture(d, [(-0.6, 1.1), (-0.5, 1.1)], radii, tails)},
    )
