"""Bartlett, Long, Bousquet, Fig. 5: gradient descent with random noise on the same ravine, for comparison with SAM.

w' = w - lr*(grad(w) + sigma*z), z standard normal, from (1, 1), lr = 1/5, sigma = rho/(2 - lr) with rho = 1. With that sigma
the kicks are as long as a two-cycle at curvature 1. The ravine has curvature 2, whose two-cycle needs sigma = rho/(1 - lr).
Both are simulated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ... import theory
from ...landscape.curvature import sharpness
from ...model.losses import ravine
from ...model.noise import noisy
from ...model.parameters import vector
from ...model.rules import gd
from ...simulation.run import Run
from ...simulation.simulate import simulate
from .. import draw
from ..experiments import Claim, Outcome, Progress, experiment, verdict
from .paths import BOX, PAPER, hills, travelled, two_cycle
from .ravine import LR, RHO, Drift, drift

if TYPE_CHECKING:
    from matplotlib.figure import Figure

START, SHOWN, STEPS, PATHS, SEED = (1.0, 1.0), 60, 200, 60_000, 5
SIGMA = np.array([RHO / (2 - LR), RHO / (1 - LR)])
ALARM = 5.0  # standard errors; chance of a false alarm 6e-7


@experiment("bartlett-fig5", "Noise instead of SAM on the ravine")
def run(size: float = 1.0, progress: Progress = None, executor: Any = None) -> Outcome:
    """Where noise of two sizes leads: spread, mean and sharpness, beside the two-cycle of SAM."""
    paths = max(2000, int(size * PATHS))
    run = simulate(
        ravine(),
        noisy(gd(lr=LR), sigma=vector(SIGMA[:, None])),
        START,
        record=[STEPS],
        paths=paths,
        seed=SEED,
        progress=progress,
        executor=executor,
    )
    x, y = np.moveaxis(run.final("w"), -1, 0)
    d = drift(START)
    floor = sharpness(ravine(), np.stack([np.zeros_like(y), y], -1))[0]
    spread, mean, error = x.std(-1), y.mean(-1), y.std(-1) / np.sqrt(paths)
    bounce, kick = float(theory.two_cycle_amplitude(2.0, lr=LR, rho=RHO)), LR * SIGMA
    numbers = {
        "sigma": SIGMA,
        "kick": kick,
        "two_cycle_at_0": bounce,
        "std_x": spread,
        "std_y": y.std(-1),
        "mean_y": mean,
        "mean_y_error": error,
        "mean_abs_y": np.abs(y).mean(-1),
        "sharpness": floor.mean(-1),
        "paths": paths,
        "sharpness_error": floor.std(-1) / np.sqrt(paths),
        "sam_y": d.two_cycle[-1, 1],
        "sam_sharpness": d.sharpness,
    }
    said, other = floor.mean(-1)
    return Outcome(
        (
            Claim(
                "noise with sigma = rho/(2 - lr) is comparable with SAM's bouncing",
                f"kicks of {kick[0]:.4f} and standard deviation of x {spread[0]:.4f}, SAM's two-cycle +-{bounce:.2f}; with "
                f"sigma = rho/(1 - lr) kicks of {kick[1]:.4f}, {spread[1]:.4f}",
                verdict(abs(kick[0] / bounce - 1) < 0.1, otherwise="holds only if the largest curvature is 1 (here it is 2)"),
                f"{PAPER}, Fig. 5; theory.two_cycle_amplitude",
            ),
            Claim(
                "read from the figure: noise does not drift to one side of the ravine, as SAM does",
                f"mean y {mean[0]:.4f} +- {error[0]:.4f} after {STEPS} updates from (1, 1), SAM at {d.two_cycle[-1, 1]:.4f}",
                verdict((np.abs(mean) < ALARM * error).all() and abs(d.two_cycle[-1, 1]) > 0.1),
                f"{PAPER}, Fig. 5",
            ),
            Claim(
                "read from Figs. 3 and 5 together: SAM comes to less sharp places than noise of this size does",
                f"mean sharpness {said:.4f} under noise (mean |y| {np.abs(y[0]).mean():.4f}), {d.sharpness:.4f} under SAM; "
                f"{other:.4f} with sigma = rho/(1 - lr)",
                verdict(said > d.sharpness),
                f"{PAPER}, Figs. 3 and 5",
            ),
        ),
        numbers,
        _tables(x, y),
        {"noise": _picture(run, d, x, y)},
    )


def _tables(x: np.ndarray, y: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    table: dict[str, np.ndarray] = {}
    for name, values in (("x", x), ("y", y)):
        edges = np.linspace(-1.5, 1.5, 121)
        table[name] = (edges[1:] + edges[:-1]) / 2
        for sigma, v in zip(SIGMA, values, strict=True):
            table[f"density_{name}_sigma_{sigma:.4f}"] = np.histogram(v, edges)[0] / v.size / np.diff(edges)
    return {"densities": table}


@draw.styled
def _picture(run: Run, d: Drift, x: np.ndarray, y: np.ndarray) -> Figure:
    figure, ((plane, across, along),) = draw.panels(
        1,
        3,
        (13.2, 4.5),
        "The paper leaves the number of updates open: "
        f"{SHOWN} of one path on the left, the distribution of {run.paths:,} paths after {STEPS} on the right.",
    )
    values = run.replay(0, range(SHOWN + 1)).values
    assert values is not None
    hills(plane, ravine().value, [(-0.7, 1.1), (-0.7, 1.1)])
    travelled(plane, values[0, :, 0], draw.RED, f"noise, $\\sigma$ = {SIGMA[0]:.3f}", linewidth=0.6)
    travelled(plane, d.sam[:31], draw.BLUE, "SAM, $\\rho$ = 1")
    draw.start(plane, START)
    two_cycle(plane, d.two_cycle)
    plane.set(title="paths on the ravine", aspect="equal")
    plane.legend(loc="lower left", fontsize=7.5, **BOX)
    edges = np.linspace(-1.0, 1.0, 81)
    for axes, v, name, at in (
        (across, x, "x", [-abs(d.two_cycle[0, 0]), abs(d.two_cycle[0, 0])]),
        (along, y, "y", [d.two_cycle[-1, 1]]),
    ):
        for sigma, values, colour, line in zip(SIGMA, v, (draw.RED, draw.ORANGE), ("-", "--"), strict=True):
            axes.stairs(
                np.histogram(values, edges)[0] / values.size / np.diff(edges),
                edges,
                color=colour,
                linestyle=line,
                linewidth=1.3,
                label=f"noise, $\\sigma$ = {sigma:.3f}",
            )
        for i, place in enumerate(at):
            axes.axvline(place, color=draw.BLUE, linewidth=1.4, label=None if i else "SAM's two-cycle")
        axes.set(xlabel=f"{name} (length)", ylabel="density (1/length)", xlim=(-1, 1), xticks=[-1, -0.5, 0, 0.5, 1])
        axes.set_ylim(0, 1.25 * axes.get_ylim()[1])
        axes.legend(loc="upper left", fontsize=7.5, **BOX)
    across.set_title("across the ravine")
    along.set_title("along the ravine")
    return figure
