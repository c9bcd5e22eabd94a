"""Kim et al., Fig. 5: gradient descent leaves the saddle of x^2 - y^2, SAM walks into it."""

from __future__ import annotations

from typing import Any

import numpy as np

import samfast as sf

from ... import theory
from .. import draw
from ..experiments import Claim, Outcome, experiment, verdict

LR, RHO, START, STEPS = 0.01, 1.0, (-3.0, -0.01), 500  # the paper names no lr or number of steps; the released code does
THRESHOLD = 0.5  # 1/|eigenvalue|
BOX = [(-3.3, 3.3), (-2.2, 2.2)]


@experiment("kim-fig5", "The saddle of x^2 - y^2: an attractor of SAM, not of gradient descent")
def run(size: float = 1.0, progress: Any = None, executor: Any = None) -> Outcome:
    """Gradient descent, SAM at the threshold 1/2, and SAM with rho 1, each beside its closed form."""
    loss, rho, record = sf.losses.saddle(), [0.0, THRESHOLD, RHO], np.arange(STEPS + 1)
    values = sf.simulate(
        loss, sf.sam(lr=LR, rho=rho), START, record=record, dtype="float64", values=True, progress=progress, executor=executor
    ).values
    assert values is not None
    walk = values[:, :, 0]
    factor = 1 - LR * np.stack([theory.curvature(e, rho=np.array(rho)) for e in (2.0, -2.0)], -1)
    exact = np.array(START) * factor[:, None] ** record[:, None]
    error = float(np.abs(walk / exact - 1).max())
    verdicts = [theory.theorem1([2.0, -2.0], rho=r).verdict for r in rho]
    numbers = {
        "lr": LR,
        "rho": rho,
        "start": START,
        "steps": int(record[-1]),
        "largest_relative_error": error,
        "factors": factor,
        "theorem1": verdicts,
        "end": walk[:, -1],
        "y_change_at_threshold": float(np.ptp(walk[1, :, 1])),
    }
    tables = {
        "trajectories": {
            "step": record,
            **{f"{name}_{c}": walk[i, :, j] for i, name in enumerate(("gd", "half", "sam")) for j, c in enumerate("xy")},
        }
    }
    return Outcome(_claims(numbers, walk), numbers, tables, {"kim-fig5": _figure(loss, walk)})


def _claims(n: dict[str, Any], walk: np.ndarray) -> tuple[Claim, ...]:
    gd, half, sam = np.abs(walk[..., 1])
    close = n["largest_relative_error"] < 1e-12
    return (
        Claim(
            "Gradient descent escapes from the saddle of x^2 - y^2.",
            f"|y| grows from {gd[0]:.3g} to {gd[-1]:.3g} in {n['steps']} steps, by {n['factors'][0][1]:.4g} in each",
            verdict(close and gd[-1] > gd[0] and n["theorem1"][0] == "unstable"),
            "Kim et al., Fig. 5b; theory.theorem1",
        ),
        Claim(
            "SAM with rho = 1 converges to it.",
            f"|y| falls by {n['factors'][2][1]:.4g} in each step, to {sam[-1]:.2e}",
            verdict(close and sam[-1] < sam[0] and n["theorem1"][2] == "attractor"),
            "Kim et al., Fig. 5c; theory.theorem1",
        ),
        Claim(
            "At rho = 1/|eigenvalue| the saddle attracts already (the theorem prints >=).",
            f"y changes by {n['y_change_at_threshold']:.1e} in all steps: {n['theorem1'][1]}",
            verdict(half[-1] < half[0] / 2),
            "Kim et al., Theorem 1, eq. 10; theory.theorem1",
        ),
    )


@draw.styled
def _figure(loss: sf.Loss, walk: np.ndarray) -> Any:
    figure, axes = draw.panels(
        1,
        4,
        (15.4, 4.6),
        f"lr {LR} and {STEPS} steps are not in the paper and are those of the "
        "authors' released code, which adds the gradients at w and at w^p in its SAM step; shown is "
        "the SAM step of the paper, with constant rho. Arrows: direction of a step.",
    )
    saddle = loss.critical_point(START)
    _surface(figure, axes[0, 0], loss, walk)
    for a, path, radius, name in zip(
        axes[0, 1:],
        (walk[0], walk[1], walk[2]),
        (0.0, THRESHOLD, RHO),
        ("Gradient descent", "SAM, rho = 1/2 (threshold)", "SAM, rho = 1"),
        strict=True,
    ):
        flow = sf.Flow(loss, sf.sam(lr=LR, rho=radius))
        points, arrows = flow.field(BOX, (41, 41))
        a.streamplot(
            points[:, 0, 0],
            points[0, :, 1],
            arrows[..., 0].T,
            arrows[..., 1].T,
            color="#BBBBBB",
            linewidth=0.7,
            density=0.9,
            arrowsize=0.8,
        )
        a.plot(*path.T, color=draw.BLUE if radius == 0 else draw.RED, linewidth=2, marker="o", markevery=25, markersize=3)
        draw.start(a, START)
        draw.critical(a, [saddle])
        a.set_title(name)
        draw.frame(a, BOX)
    axes[0, 1].legend(loc="upper right", frameon=True)
    return figure


def _surface(figure: Any, place: Any, loss: sf.Loss, walk: np.ndarray) -> None:
    """Draws the loss as a surface in the place of flat axes, with the paths of gradient descent and of SAM on it."""
    where = place.get_subplotspec()
    place.remove()
    axes = figure.add_subplot(where, projection="3d")
    x, y = np.meshgrid(np.linspace(*BOX[0], 61), np.linspace(*BOX[1], 61))
    axes.plot_surface(x, y, loss.value(np.stack([x, y], -1)), cmap="Greys", alpha=0.55, linewidth=0, rasterized=True)
    for path, colour, name in ((walk[0], draw.BLUE, "gradient descent"), (walk[2], draw.RED, "SAM, rho = 1")):
        seen = path[(np.abs(path) <= [BOX[0][1], BOX[1][1]]).all(-1)]
        axes.plot(*seen.T, loss.value(seen), color=colour, linewidth=2, zorder=5, label=name)
    axes.plot(0, 0, 0, "X", color=draw.BLACK, markersize=8, zorder=6)
    axes.set(xlabel="x", ylabel="y", zlabel="loss", title="Surface", xticks=[-3, 0, 3], yticks=[-2, 0, 2])
    axes.view_init(28, -62)
    axes.legend(loc="upper left", frameon=True)
