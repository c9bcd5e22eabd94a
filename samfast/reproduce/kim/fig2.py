"""Kim et al., Fig. 2: the ways of gradient descent and of SAM around a saddle."""

from __future__ import annotations

from typing import Any

import numpy as np

import samfast as sf

from ... import theory
from .. import draw
from ..experiments import Claim, Outcome, experiment, verdict

LR, STEPS, START = 0.01, 60_000, (0.1, 0.8)
RHO = (0.0, 1.01, 1.5, 3.0)
BOX = [(-1.25, 1.25), (-1.0, 1.0)]
STARTS = 251  # along x, from one end of BOX to the other
CAPTION = (
    "The paper names no function; shown is x^4/4 - x^2/2 + y^2/2, whose saddle at 0 has the eigenvalues -1 and 1, with "
    "constant rho. Shaded: starts that end at the saddle (simulated, lr 0.01, 60000 steps). Dashed: |x| = "
    "sqrt(1 - 1/rho), where the perturbed point is on the axis x = 0."
)


@experiment("kim-fig2", "Flow of gradient descent and SAM around a saddle between two minima")
def run(size: float = 1.0, progress: Any = None, executor: Any = None) -> Outcome:
    """Where starts along a line end, for each radius, beside the exact basin of the saddle."""
    loss = sf.losses.double_well()
    x = np.linspace(*BOX[0], max(int(STARTS * size) | 1, 61))
    starts = np.concatenate([[START], np.stack([x, np.full(x.shape, START[1])], -1)])
    end = sf.simulate(
        loss, sf.sam(lr=LR, rho=RHO), starts, record=[STEPS], dtype="float64", progress=progress, executor=executor
    ).final("w")
    trapped = np.abs(end[:, 1:, 0]) < 0.5
    width = np.sqrt(np.maximum(1 - 1 / np.maximum(RHO, 1e-9), 0))
    inside = np.abs(x) < width[:, None]
    numbers = {
        "rho": RHO,
        "share_to_saddle": trapped.mean(1),
        "basin": width,
        "wrong": (trapped != inside)[:, x != 0].sum(1),
        "starts": len(x),
        "end_x": end[:, 0, 0],
        "window": theory.theorem1([-1.0, 1.0], rho=1.5).window,
    }
    table = {"x": x, **{f"end_x_rho_{r:g}": end[i, 1:, 0] for i, r in enumerate(RHO)}}
    return Outcome(_claims(numbers), numbers, {"ends": table}, {"kim-fig2": _figure(loss, x, trapped, width)})


def _claims(n: dict[str, Any]) -> tuple[Claim, ...]:
    share, end, low = n["share_to_saddle"], np.abs(n["end_x"]), n["window"][0]
    reach = ", ".join(f"{w:.3f} for rho {r:g}" for w, r in zip(n["basin"][1:], n["rho"][1:], strict=True))
    return (
        Claim(
            "Gradient descent leaves the saddle for a minimum.",
            f"from {START} to |x| = {end[0]:.6f}; of {n['starts']} starts {share[0]:.1%} end at the saddle",
            verdict(abs(end[0] - 1) < 1e-6 and share[0] < 2 / n["starts"]),
            "Kim et al., Fig. 2; theory.theorem1",
        ),
        Claim(
            "The saddle is an attractor of SAM.",
            f"starts that reach it: {share[1]:.1%}, {share[2]:.1%}, {share[3]:.1%} for "
            f"rho {n['rho'][1]}, {n['rho'][2]}, {n['rho'][3]}",
            verdict(
                (share[1:] > share[0]).all() and low == 1.0, f"rho > 1/|eigenvalue| = {low:g}, here from a part of the starts"
            ),
            "Kim et al., Fig. 2, Theorem 1; theory.theorem1",
        ),
        Claim(
            "Its basin ends where the perturbed point crosses to the other side (Case III).",
            f"|x| < sqrt(1 - 1/rho) = {reach}: {n['wrong'].sum()} of {len(n['rho']) * n['starts']} starts do otherwise",
            verdict((n["wrong"] == 0).all()),
            "Kim et al., section 4.1, Case III; theory.theorem1",
        ),
    )


@draw.styled
def _figure(loss: sf.Loss, x: np.ndarray, trapped: np.ndarray, width: np.ndarray) -> Any:
    figure, axes = draw.panels(1, 3, (14.0, 4.4), CAPTION)
    points = loss.critical_points(BOX)
    for a, i in zip(axes[0], (0, 2, 3), strict=True):
        rule = sf.sam(lr=LR, rho=RHO[i])
        flow = sf.Flow(loss, rule)
        grid, arrows = flow.field(BOX, (41, 41))
        a.streamplot(
            grid[:, 0, 0],
            grid[0, :, 1],
            arrows[..., 0].T,
            arrows[..., 1].T,
            color="#B0B0B0",
            linewidth=0.7,
            density=1.0,
            arrowsize=0.8,
        )
        if trapped[i].sum() > 1:
            a.axvspan(x[trapped[i]].min(), x[trapped[i]].max(), color=draw.ORANGE, alpha=0.2, label="ends at the saddle")
            for side in (-1, 1):
                a.axvline(side * width[i], color=draw.GREY, linestyle="--", linewidth=1)
        path = flow.trajectory(START, 40.0)[1]
        a.plot(*path.T, color=draw.RED if i else draw.BLUE, linewidth=2.2)
        draw.start(a, START)
        draw.critical(a, points)
        a.set_title(f"SAM, constant rho = {RHO[i]:g}" if i else "Gradient descent")
        draw.frame(a, BOX)
    # The legend stands above the panels because inside it would hide streamlines.
    lines, names = axes[0, 1].get_legend_handles_labels()
    figure.legend(
        [*axes[0, 0].lines[:1], *axes[0, 1].lines[2:3], *lines],
        ["gradient descent", "SAM", *names],
        loc="outside upper center",
        ncols=6,
    )
    return figure
