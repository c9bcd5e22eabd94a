"""Kim et al., Fig. 2: the ways of gradient descent and of SAM around a saddle."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np

import samfast as sf

from ... import theory
from .. import draw
from ..experiments import Claim, Outcome, experiment, verdict

LR, STEPS, START = 0.01, 60_000, (0.1, 0.8)
RHO = (0.0, 1.01, 1.5, 3.0)
BOX = [(-1.25, 1.25), (-1.0, 1.0)]
STARTS = 251  # along x, from one end of BOX to the other
CLOSE = 1e-3  # largest distance of a manifold that is followed numerically from its place
NEAR = 0.1  # distance from the boundary x = 0, or from the saddle, that counts as near
LONG = 30.0  # time over which a manifold is followed
OFF = ("stable", "unstable", "basin")
SMALL = 0.5  # a radius below 1/|eigenvalue|, at which Case II occurs
CASES = ((1, 1.5, (0.9, 0.2)), (2, SMALL, (0.08, 0.55)), (3, 1.5, (0.32, 0.3)))  # case, rho, position of w in the picture
CAPTION = (
    "The paper names no function; shown is x^4/4 - x^2/2 + y^2/2, whose saddle at 0 has the eigenvalues -1 and 1, with "
    "constant rho. Black: stable (dashed) and unstable (solid) manifolds of the flow in each panel; those of SAM are of the "
    "points whose perturbed point is the saddle, |x| = sqrt(1 - 1/rho). Shaded: starts that end at the saddle (simulated, lr "
    "0.01, 60000 steps). (d) to (f): w, its perturbed point, and minus the gradient at both; SAM takes the second, thin at w."
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
        "manifolds": _manifolds(),
        "reversed": _reversed(loss),
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


@cache
def _branches(rho: float, x: float) -> dict[str, list[np.ndarray]]:
    """Returns the branches of the stable and the unstable manifold of the critical point (x, 0) of a flow."""
    flow = sf.Flow(sf.losses.double_well(), sf.sam(lr=LR, rho=rho))
    kinds: tuple[Literal["stable", "unstable"], ...] = ("stable", "unstable")
    return {kind: flow.manifold((x, 0.0), kind, box=BOX, time=LONG) for kind in kinds}


def _manifolds(rho: float = 1.5) -> dict[str, Any]:
    """Returns how far the manifolds are from where they should be, and the number of branches that leave SAM's saddle.

    Those of gradient descent's saddle are the two axes. SAM's basin is bounded by the stable manifolds of the two points at
    which the perturbed point is the saddle.
    """
    edge = float(np.sqrt(1 - 1 / rho))
    away = [np.abs(branch[:, 0] - side * edge).max() for side in (1, -1) for branch in _branches(rho, side * edge)["stable"]]
    descent = _branches(0.0, 0.0)
    return {
        "stable_off": max(np.abs(branch[:, 0]).max() for branch in descent["stable"]),
        "unstable_off": max(np.linalg.norm(np.abs(branch[-1]) - [1, 0]) for branch in descent["unstable"]),
        "branches_from_sam": len(_branches(rho, 0.0)["unstable"]),
        "basin_off": max(away),
        "basin_branches": len(away),
    }


def _reversed(loss: sf.Loss) -> dict[str, list[float]]:
    """Returns, for each case, the share of points of a grid in it, and of those at which SAM moves against gradient descent.

    Compared is the motion across the boundary x = 0, over a grid of BOX, for both radii of the pictures.
    """
    x, y = np.linspace(*BOX[0], 80), np.linspace(*BOX[1], 60)
    w = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    share, against = [], []
    found = []
    for rho in (SMALL, 1.5):
        ahead = w + rho * loss.gradient(w)
        case = sf.cases(w, ahead, lambda v: v[0], (0.0, 0.0), near=NEAR)
        found.append((case, loss.gradient(ahead)[:, 0] * loss.gradient(w)[:, 0] < 0))
    case, turned = (np.concatenate(v) for v in zip(*found, strict=True))
    for k in (1, 2, 3):
        share.append(float((case == k).mean()))
        against.append(float(turned[case == k].mean()))
    return {"share": share, "against": against}


def _claims(n: dict[str, Any]) -> tuple[Claim, ...]:
    share, end, low = n["share_to_saddle"], np.abs(n["end_x"]), n["window"][0]
    lines, turned = n["manifolds"], n["reversed"]["against"]
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
        Claim(
            "The stable manifold of the saddle separates the basins, its unstable one leads to the minima; under SAM it has no "
            "unstable one.",
            f"gradient descent: within {lines['stable_off']:.0e} of x = 0 and {lines['unstable_off']:.0e} of the minima; SAM, "
            f"rho 1.5: {lines['branches_from_sam']} branches leave the saddle, and the stable manifolds of the points whose "
            f"perturbed point is the saddle are within {lines['basin_off']:.0e} of |x| = sqrt(1 - 1/rho)",
            verdict(max(lines[f"{k}_off"] for k in OFF) < CLOSE and lines["branches_from_sam"] == 0),
            "Kim et al., Fig. 2; Flow.manifold",
        ),
        Claim(
            "In Cases I and II SAM moves as gradient descent does, in Case III against it, towards the boundary.",
            f"of the points of a grid in Cases I, II, III (rho 0.5 and 1.5) {turned[0]:.0%}, {turned[1]:.0%}, {turned[2]:.0%} "
            "move against gradient descent across the boundary",
            verdict(turned[0] == turned[1] == 0 and turned[2] == 1),
            "Kim et al., Fig. 2, section 4.1, Cases I to III; sf.cases",
        ),
    )


@draw.styled
def _figure(loss: sf.Loss, x: np.ndarray, trapped: np.ndarray, width: np.ndarray) -> Any:
    figure, axes = draw.panels(2, 3, (14.0, 8.6), CAPTION)
    points = loss.critical_points(BOX)
    for a, letter, i in zip(axes[0], "abc", (0, 2, 3), strict=True):
        flow = sf.Flow(loss, sf.sam(lr=LR, rho=RHO[i]))
        _stream(a, flow)
        if trapped[i].sum() > 1:
            a.axvspan(x[trapped[i]].min(), x[trapped[i]].max(), color=draw.ORANGE, alpha=0.2, label="ends at the saddle")
        for side in (1, -1) if i else (1,):
            _lines(a, RHO[i], side * float(width[i]))
        path = flow.trajectory(START, 40.0)[1]
        a.plot(*path.T, color=draw.RED if i else draw.BLUE, linewidth=2.2, label="SAM" if i else "gradient descent")
        draw.start(a, START)
        a.set_title(f"({letter}) SAM, constant rho = {RHO[i]:g}" if i else f"({letter}) Gradient descent")
    descent = sf.Flow(loss, sf.gd(lr=LR))
    for a, letter, (case, rho, w) in zip(axes[1], "def", CASES, strict=True):
        _stream(a, descent)
        _lines(a, 0.0, 0.0)
        _one_step(a, loss, rho, np.array(w))
        a.set_title(f"({letter}) Case {'I' * case}, rho = {rho:g}")
    for a in axes.ravel():
        draw.critical(a, points)
        draw.frame(a, BOX)
    for a in axes[:, 1:].ravel():
        a.set_ylabel("")
    # The legend stands above the panels because inside it would hide streamlines; each name stands in it once.
    named: dict[str, Any] = {}
    for a in (axes[0, 0], axes[0, 1], axes[1, 2]):
        named |= {name: line for line, name in zip(*a.get_legend_handles_labels(), strict=True) if name not in named}
    figure.legend(list(named.values()), list(named), loc="outside upper center", ncols=6)
    return figure


def _stream(axes: Any, flow: sf.Flow) -> None:
    grid, arrows = flow.field(BOX, (31, 31))
    axes.streamplot(
        grid[:, 0, 0],
        grid[0, :, 1],
        arrows[..., 0].T,
        arrows[..., 1].T,
        color="#B0B0B0",
        linewidth=0.7,
        density=0.8,
        arrowsize=0.8,
    )


def _lines(axes: Any, rho: float, x: float) -> None:
    """Draws the stable and unstable manifolds of the critical point (x, 0); each kind has one entry in the legend."""
    for kind, branches in _branches(rho, x).items():
        for k, branch in enumerate(branches):
            label = None if k or x < 0 else f"{kind} manifold"
            axes.plot(*branch.T, "--" if kind == "stable" else "-", color=draw.BLACK, linewidth=1.1, label=label, zorder=3)


def _one_step(axes: Any, loss: sf.Loss, rho: float, w: np.ndarray) -> None:
    """Draws w, the perturbed point, and minus the gradient at both, as far as the arrows have one scale."""
    ahead = w + rho * loss.gradient(w)
    axes.plot(*np.stack([w, ahead]).T, ":", color=draw.BLACK, linewidth=1.2, zorder=4)
    for place, colour, marker, name in ((w, draw.BLUE, "o", "w"), (ahead, draw.RED, "s", "perturbed point")):
        axes.plot(*place, marker, color=colour, markersize=7, zorder=8, linestyle="none", label=name)
        force = -loss.gradient(place)
        axes.quiver(
            *place,
            *force,
            color=colour,
            angles="xy",
            scale_units="xy",
            scale=1.6,
            width=0.009,
            zorder=7,
        )
    force = -loss.gradient(ahead)
    axes.quiver(*w, *force, color=draw.RED, angles="xy", scale_units="xy", scale=1.6, width=0.005, alpha=0.6, zorder=6)
