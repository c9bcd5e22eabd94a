"""Kim et al., Fig. 1: on Beale's function gradient descent goes to the minimum and SAM into the saddle."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import theory
from .. import draw
from ..experiments import Claim, Outcome, experiment, verdict
from . import beale
from .beale import CONSTANT, MINIMUM, NORMALIZED, RELEASED, Setting, Walk

TRAPPED = 0.005  # a trapped walk stays within this distance from the saddle
DESCENT = Setting(CONSTANT.lr, (0.0, 0.0), (CONSTANT.starts[0], NORMALIZED.starts[0]), 100_000, False)
EVERY = 250  # one step in EVERY of DESCENT is kept
COLOURS = (draw.BLUE, draw.GREEN, draw.RED, draw.PINK)
FRAMES = 120
CAPTION = (
    "The text gives lr 1e-4 and leaves the start, rho, its kind and the steps open. Left: what the authors' released "
    "code runs, start (1, 2), lr 1.25e-5, 87683 steps, normalised rho. Middle: lr of the text, 20000 steps; constant "
    "rho from (-0.75, 0.25), normalised rho from (-3, -2), gradient descent from both, 100000 steps. Right: distances "
    "from (0, 1)."
)
CLOSE = [(-1.0, 3.6), (-0.8, 2.6)]


@experiment("kim-fig1", "Beale's function: gradient descent reaches the minimum, SAM the saddle")
def run(size: float = 1.0, progress: Any = None, executor: Any = None) -> Outcome:
    """The released setting, and two settings with the lr of the text beside gradient descent from their starts."""
    released, constant, normalized = (beale.walk(s, progress, executor) for s in (RELEASED, CONSTANT, NORMALIZED))
    descent = beale.walk(DESCENT, progress, executor, every=EVERY).position
    numbers = {
        "released": _numbers(released, RELEASED.rho),
        "constant": _numbers(constant, CONSTANT.rho),
        "normalized": _numbers(normalized, NORMALIZED.rho),
        "descent_distance_from_minimum": np.linalg.norm(descent[-1] - MINIMUM, axis=-1),
        "descent_steps": DESCENT.steps,
        "critical_points": [
            {"kind": p.kind, "position": p.position, "eigenvalues": p.eigenvalues} for p in beale.critical_points()
        ],
        "threshold": theory.theorem1([-27.75, 27.75], rho=CONSTANT.rho[0], lr=CONSTANT.lr).window,
    }
    at = draw.thin(len(released.position))
    table = {
        "step": at,
        **{f"{c}_rho_{r:g}": released.position[at, i, j] for i, r in enumerate(RELEASED.rho) for j, c in enumerate("xy")},
    }
    return Outcome(
        _claims(numbers),
        numbers,
        {"released": table},
        {"kim-fig1": _figure(released, constant, normalized, descent)},
        {"kim-fig1": lambda: _animation(released)},
    )


def _numbers(walk: Walk, rho: tuple[float, ...]) -> dict[str, Any]:
    """Returns the arrival at the saddle and the distances from it over the last half of the steps."""
    late = walk.distance[len(walk.distance) // 2 :]
    return {
        "rho": rho,
        "steps": len(walk.distance) - 1,
        "arrival": walk.arrival,
        "late_median": np.median(late, 0),
        "late_smallest": late.min(0),
        "late_largest": late.max(0),
        "end_from_minimum": np.linalg.norm(walk.position[-1] - MINIMUM, axis=-1),
    }


def _claims(n: dict[str, Any]) -> tuple[Claim, ...]:
    e, a, b = n["released"], n["constant"], n["normalized"]
    held = e["late_largest"] < TRAPPED
    kinds = [p["kind"] for p in n["critical_points"]]
    low = n["threshold"][0]
    free, caught = [f"{r:g}" for r in np.array(e["rho"])[~held]], [f"{r:g}" for r in np.array(e["rho"])[held]]
    return (
        Claim(
            "SAM is trapped at the saddle (0, 1), where gradient descent goes on to the minimum.",
            f"normalised rho {' and '.join(caught)}: within {e['late_largest'][held].max():.2g} of it in the last half of "
            f"{e['steps']} steps; rho {' and '.join(free)}: {e['late_smallest'][~held].min():.2g} away",
            verdict(held[-1] and not held[0], None if held[1:].all() else f"rho is large enough ({caught[0]}, not {free[-1]})"),
            "Kim et al., Fig. 1; theory.capture_steps",
        ),
        Claim(
            "So does SAM with constant rho, as in eq. 5.",
            f"rho {a['rho'][0]}: within {beale.NEAR} at step {a['arrival'][0]}, then geometrically to "
            f"{a['late_smallest'][0]:.1e}; with normalised rho {b['rho'][0]} it stays at about {b['late_median'][0]:.1e}",
            verdict(a["late_smallest"][0] < 1e-6 and a["rho"][0] > low, f"rho > 1/27.75 = {low:.4f}"),
            "Kim et al., Fig. 1, Theorem 1; theory.theorem1",
        ),
        Claim(
            "Gradient descent from the same starts reaches the minimum (3, 1/2).",
            f"distance {n['descent_distance_from_minimum'].max():.2g} after {n['descent_steps']} steps of 1e-4; in the "
            f"released setting still {e['end_from_minimum'][0]:.2f} after {e['steps']}",
            verdict(n["descent_distance_from_minimum"].max() < 0.03, "it gets steps enough"),
            "Kim et al., Fig. 1",
        ),
        Claim(
            "Beale's function has a single saddle between two basins with a minimum each.",
            f"{kinds.count('saddle')} saddles and {kinds.count('minimum')} minimum in the box; the loss falls to 0.452 at "
            "infinity on the other side",
            verdict(kinds.count("saddle") == 1 and kinds.count("minimum") == 2),
            "Kim et al., section 4.1; Loss.critical_points",
        ),
    )


@draw.styled
def _figure(released: Walk, constant: Walk, normalized: Walk, descent: np.ndarray) -> Any:
    figure, ((left, middle, right),) = draw.panels(1, 3, (15.5, 5.4), CAPTION)
    beale.landscape(left, CLOSE, label=None)
    for i, (name, c) in enumerate(zip(RELEASED.names, COLOURS, strict=True)):
        at = draw.thin(len(released.position), 3000)
        left.plot(*released.position[at, i].T, color=c, linewidth=1.8, label=name, zorder=5 - i / 4)
        # gradient descent and rho 0.1 run side by side: a dashed line on a broad one shows both
        looks: list[dict[str, Any]] = [
            {"linestyle": "--", "linewidth": 1.4, "zorder": 4},
            {"linewidth": 4, "alpha": 0.6},
            {},
            {},
        ]
        right.plot(at, released.distance[at, i], color=c, label=name, **{"linewidth": 1, **looks[i]})
    draw.start(left, RELEASED.starts[0])
    beale.landscape(middle)
    middle.plot(*descent[:, 1].T, color=draw.BLUE, linewidth=1.8)
    for path, name, c in (
        (descent[:, 0], "gradient descent", draw.BLUE),
        (constant.position[:, 0], CONSTANT.names[0], draw.BLACK),
        (normalized.position[:, 0], NORMALIZED.names[0], draw.RED),
    ):
        middle.plot(*path.T, color=c, linewidth=1.8, label=name)
    for i, position in enumerate((CONSTANT.starts[0], NORMALIZED.starts[0])):
        draw.start(middle, position, label="start" if i == 0 else None)
    at = draw.thin(len(constant.distance), 3000)
    right.plot(at, constant.distance[at, 0], color=draw.BLACK, linewidth=1.5, label=CONSTANT.names[0] + " (middle)")
    right.set(yscale="log", xlabel="steps", ylabel="distance from the saddle (0, 1)  (length)", ylim=(1e-9, 2e4))
    for axes, name in (
        (left, "The released setting"),
        (middle, "With the learning rate of the text"),
        (right, "Trapped, or not"),
    ):
        axes.set_title(name)
        axes.legend(loc="lower right" if axes is middle else "upper right", frameon=True, framealpha=0.9, fontsize=7.5)
    return figure


@draw.styled
def _animation(released: Walk) -> Any:
    """Animates gradient descent, SAM with rho 0.5 and its perturbed point; the first steps are shown more slowly."""
    from matplotlib.animation import FuncAnimation

    figure, ((axes,),) = draw.panels(1, 1, (6.2, 5.4))
    beale.landscape(axes)
    draw.start(axes, RELEASED.starts[0])
    shown = [axes.plot([], [], color=COLOURS[i], linewidth=2, label=RELEASED.names[i])[0] for i in (0, 2)]
    (ahead,) = axes.plot([], [], "o", color=draw.ORANGE, markersize=5, label="perturbed point")
    axes.legend(loc="lower right", frameon=True)
    steps = np.geomspace(1, len(released.position) - 1, FRAMES).astype(int)

    def frame(k: int) -> list[Any]:
        for line, i in zip(shown, (0, 2), strict=True):
            line.set_data(*released.position[: k + 1, i][draw.thin(k + 1, 1000)].T)
        ahead.set_data(*released.perturbed[k : k + 1, 2].T)
        axes.set_title(f"step {k}")
        return [*shown, ahead]

    return FuncAnimation(figure, frame, steps, blit=False)
