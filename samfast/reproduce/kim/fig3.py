"""Kim et al., Fig. 3: beside the saddle the perturbed point lies on the other side of the boundary and pulls SAM back."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import cKDTree

import samfast as sf

from .. import draw
from ..experiments import Claim, Outcome, experiment, verdict
from . import beale
from .beale import CONSTANT, LATE, NORMALIZED, RELEASED, SADDLE, Walk

NEARLY, SHOWN = 1, 2  # rho = 0.1 and 0.5 in RELEASED
ALIKE, BESIDE = 0.95, 0.1  # least cosine of two steps in one direction; largest distance of two equal paths
STEPS = 40  # successive steps in the picture
ALWAYS = 0.99  # share of the steps that counts as always
BOX = [(-0.9, 0.9), (0.4, 1.6)]
CAPTION = (
    f"Released setting (start (1, 2), lr 1.25e-5, normalised rho 0.5), from step {LATE} on as in the paper, which "
    "leaves start and rho open. Left: 200 steps. Right: coordinate across the boundary, of w (magnified 1000 times) and "
    "of the perturbed point."
)


@experiment("kim-fig3", "The perturbed point beside the saddle: Case III")
def run(size: float = 1.0, progress: Any = None, executor: Any = None) -> Outcome:
    """The case of each step, and how often the perturbed point changes the side."""
    walks = {
        "released": beale.walk(RELEASED, progress, executor),
        "constant": beale.walk(CONSTANT, progress, executor),
        "normalized": beale.walk(NORMALIZED, progress, executor),
    }
    numbers = {name: _numbers(walk) for name, walk in walks.items()}
    numbers["like_descent"] = _like_descent(walks["released"])
    walk, at = walks["released"], slice(LATE, LATE + 1000)
    table = {
        "step": np.arange(len(walk.position))[at],
        **{f"{k}_{c}": getattr(walk, k)[at, SHOWN, j] for k in ("position", "perturbed") for j, c in enumerate("xy")},
    }
    return Outcome(_claims(numbers), numbers, {"from-5000": table}, {"kim-fig3": _figure(walk)})


def _numbers(walk: Walk) -> dict[str, Any]:
    """Returns, for each walk, the shares of the cases before and after step LATE and the switches after it."""
    case = walk.case()
    late = Walk(walk.position[LATE:], walk.perturbed[LATE:], walk.cosine[LATE:])
    return {
        "early_shares": [(case[:LATE] == k).mean(0) for k in (1, 2, 3)],
        "late_shares": [(case[LATE:] == k).mean(0) for k in (1, 2, 3)],
        "switches": late.switches(),
    }


def _like_descent(walk: Walk) -> dict[str, float]:
    """Compares SAM with normalised rho 0.1 and gradient descent from the same start, over the steps of Case I.

    Returns the smallest cosine of the gradients at w and at the perturbed point, the largest relative difference of these
    gradients, and how far SAM's path leads away from that of gradient descent.
    """
    first = walk.case()[:, NEARLY] == 1
    loss = sf.losses.beale()
    here, ahead = (loss.gradient(x[first, NEARLY]) for x in (walk.position, walk.perturbed))
    change = np.linalg.norm(ahead - here, axis=-1) / np.linalg.norm(here, axis=-1)
    descent, path = walk.position[:, 0], walk.position[::50, NEARLY]
    return {
        "share": float(first.mean()),
        "smallest_cosine": float(walk.cosine[first, NEARLY].min()),
        "largest_change": float(change.max()),
        "path_apart": float(cKDTree(descent).query(path)[0].max()),
        "path_length": float(np.linalg.norm(np.diff(descent, axis=0), axis=-1).sum()),
    }


def _claims(n: dict[str, Any]) -> tuple[Claim, ...]:
    walks, near = {k: x for k, x in n.items() if k != "like_descent"}, n["like_descent"]
    third = {name: x["late_shares"][2] for name, x in walks.items()}
    trapped = np.array([third["released"][SHOWN], third["constant"][0], third["normalized"][0]])
    free, sides = third["released"][:SHOWN], [x["switches"] for x in walks.values()]
    return (
        Claim(
            "Trapped SAM has w and the perturbed point on different sides of the boundary (Case III).",
            f"from step {LATE}: in {_share(trapped.min())} of the steps of the trapped walks with rho 0.5 (released), "
            f"constant 0.05 and normalised 0.5, in {free.max():.1%} of those that are not trapped",
            verdict(trapped.min() > ALWAYS and free.max() < 1 - ALWAYS),
            "Kim et al., Fig. 3, Cases I to III; sf.cases",
        ),
        Claim(
            "Far from the saddle both are on one side and SAM behaves like gradient descent (Case I).",
            f"normalised rho 0.1, {_share(near['share'])} of the steps: there the gradients at w and at the perturbed point "
            f"have a cosine of at least {near['smallest_cosine']:.3f} and differ by at most {near['largest_change']:.0%}; on "
            f"a way of {near['path_length']:.1f} SAM keeps within {near['path_apart']:.2f} of the path of gradient descent",
            verdict(near["share"] > ALWAYS and near["smallest_cosine"] > ALIKE and near["path_apart"] < BESIDE),
            "Kim et al., section 4.1, Case I; sf.cases",
        ),
        Claim(
            "The perturbed point goes to and fro across the boundary.",
            f"it changes the side in {sides[0][SHOWN]:.0%} (released) and {sides[2][0]:.0%} (lr 1e-4) of the steps with "
            f"normalised rho, in {sides[1][0]:.0%} with constant rho",
            verdict(min(sides[0][SHOWN], sides[2][0]) > 0.5, None if sides[1][0] > 0.5 else "rho is normalised"),
            "Kim et al., Fig. 3; theory.two_cycle_amplitude",
        ),
    )


def _share(x: float) -> str:
    """Returns a share in words; it is rounded down, so that "all" is never said of almost all."""
    return "all" if x == 1 else f"at least {np.floor(1000 * x) / 10:.1f}%"


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
