"""Kim et al., Fig. 3: beside the saddle the perturbed point lies on the other side of the boundary and pulls SAM back."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import draw
from ..experiment import Claim, Outcome, experiment, verdict
from . import beale
from .beale import CONSTANT, LATE, NORMALIZED, RELEASED, SADDLE, Walk

SHOWN = 2  # rho = 0.5 in RELEASED
STEPS = 40  # successive steps in the picture
ALWAYS = 0.99  # share of the steps
BOX = [(-0.9, 0.9), (0.4, 1.6)]
CAPTION = (
    f"Released setting (start (1, 2), lr 1.25e-5, normalised rho 0.5), from step {LATE} on as in the paper, which "
    "leaves start and rho open. Left: 200 steps. Right: coordinate across the boundary, of w (magnified 1000 times) and "
    "of the perturbed point."
)


@experiment("kim-fig3", "The perturbed point beside the saddle: Case III")
def run(size: float = 1.0, progress: Any = None, executor: Any = None) -> Outcome:
    """Which of the three cases each step is, and how often the perturbed point changes the side."""
    walks = {
        "released": beale.walk(RELEASED, progress, executor),
        "constant": beale.walk(CONSTANT, progress, executor),
        "normalized": beale.walk(NORMALIZED, progress, executor),
    }
    numbers = {name: _numbers(walk) for name, walk in walks.items()}
    walk, at = walks["released"], slice(LATE, LATE + 1000)
    table = {
        "step": np.arange(len(walk.position))[at],
        **{f"{k}_{c}": getattr(walk, k)[at, SHOWN, j] for k in ("position", "perturbed") for j, c in enumerate("xy")},
    }
    return Outcome(_claims(numbers), numbers, {"from-5000": table}, {"kim-fig3": _figure(walk)})


def _numbers(walk: Walk) -> dict[str, Any]:
    """Shares of the cases before and after LATE, for each walk, and switches after it."""
    case = walk.case()
    late = Walk(walk.position[LATE:], walk.perturbed[LATE:], walk.cosine[LATE:])
    return {
        "early_shares": [(case[:LATE] == k).mean(0) for k in (1, 2, 3)],
        "late_shares": [(case[LATE:] == k).mean(0) for k in (1, 2, 3)],
        "switches": late.switches(),
    }


def _claims(n: dict[str, Any]) -> tuple[Claim, ...]:
    third = {name: x["late_shares"][2] for name, x in n.items()}
    trapped = np.array([third["released"][SHOWN], third["constant"][0], third["normalized"][0]])
    free, sides = third["released"][:SHOWN], [x["switches"] for x in n.values()]
    return (
        Claim(
            "Trapped SAM has w and the perturbed point on different sides of the boundary (Case III).",
            f"from step {LATE}: {trapped.min():.1%} or more of the steps of the trapped walks with rho 0.5 (released), "
            f"constant 0.05 and normalised 0.5; {free.max():.1%} of those that are not trapped",
            verdict(trapped.min() > ALWAYS and free.max() < 1 - ALWAYS),
            "Kim et al., Fig. 3, Cases I to III; sf.cases",
        ),
        Claim(
            "Far from the saddle both are on one side and SAM behaves like gradient descent (Case I).",
            f"gradient descent and rho = 0.1: {n['released']['late_shares'][0][:SHOWN].min():.1%} of the steps",
            verdict(n["released"]["late_shares"][0][:SHOWN].min() > ALWAYS),
            "Kim et al., section 3, Case I; sf.cases",
        ),
        Claim(
            "The perturbed point goes to and fro across the boundary.",
            f"it changes the side in {sides[0][SHOWN]:.0%} (released) and {sides[2][0]:.0%} (lr 1e-4) of the steps with "
            f"normalised rho, in {sides[1][0]:.0%} with constant rho",
            verdict(min(sides[0][SHOWN], sides[2][0]) > 0.5, None if sides[1][0] > 0.5 else "rho is normalised"),
            "Kim et al., Fig. 3; theory.two_cycle_amplitude",
        ),
    )


@draw.styled
def _figure(walk: Walk) -> Any:
    from matplotlib.collections import LineCollection

    figure, ((left, right),) = draw.panels(1, 2, (12.4, 5.6), CAPTION)
    beale.landscape(left, BOX)
    many = slice(LATE, LATE + 200)
    w, ahead = walk.position[many, SHOWN], walk.perturbed[many, SHOWN]
    left.add_collection(LineCollection(list(np.stack([w, ahead], 1)), colors=draw.RED, linewidths=0.4, alpha=0.5, zorder=3))
    left.plot(*ahead.T, "o", color=draw.RED, markersize=3.5, zorder=5, label="perturbed point")
    left.plot(*walk.position[:LATE, SHOWN].T, color=draw.BLUE, linewidth=1.8, label=f"w, steps 0 to {LATE}", zorder=4)
    left.set_title("w and the perturbed point")
    left.legend(loc="lower right", frameon=True)
    steps = np.arange(LATE, LATE + STEPS)
    for path, scale, c, mark, label in (
        (walk.perturbed, 1, draw.RED, "o", "perturbed point"),
        (walk.position, 1000, draw.BLUE, "s", "w, times 1000"),
    ):
        right.plot(
            steps,
            scale * (path[steps, SHOWN] - SADDLE) @ [1, -1] / np.sqrt(2),
            color=c,
            marker=mark,
            markersize=4,
            linewidth=0.8,
            label=label,
        )
    right.axhline(0, color=draw.GREY, linewidth=1, linestyle="--", label="boundary")
    right.set(xlabel="step", ylabel="coordinate across the boundary  (length)", title="Successive steps", ylim=(-0.75, 0.95))
    right.legend(loc="upper right", ncols=3, frameon=True)
    return figure
