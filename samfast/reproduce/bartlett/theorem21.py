"""Bartlett, Long, Bousquet, Theorem 21: a step across a ravine also moves along it, towards a smaller largest curvature.

From w_z + s*(beta_1/lambda_1)*e_1, s = 1 or -1, one update moves by -2s*(beta_1/lambda_1)*e_1, by the drift
-2*lr*rho^2/(2 - lr*lambda_1)^2*grad(lambda_max), and by a remainder, which the theorem bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ... import theory
from ...landscape.curvature import sharpness
from ...model.loss import Loss
from .. import draw
from ..experiments import Claim, Outcome, Progress, experiment, verdict
from .paths import BOX, PAPER, ROUNDING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def cubic(w: Any, p: Any) -> Any:
    """The loss x^2/2 + x^2*y/2, whose third derivative is constant; D2 has the Lipschitz constant 2/sqrt(3) < 2."""
    return 0.5 * w[0] ** 2 + 0.5 * w[0] ** 2 * w[1]


def quartic(w: Any, p: Any) -> Any:
    """The loss x^2*(1 + y^2)/2 + x^2*y/2 + x^4/24; near 0 the Lipschitz constants of D2 and D3 are below 12."""
    return 0.5 * w[0] ** 2 * (1 + w[1] ** 2) + 0.5 * w[0] ** 2 * w[1] + w[0] ** 4 / 24


LOSSES = {"cubic": (Loss("cubic", 2, cubic), 2.0), "quartic": (Loss("quartic", 2, quartic), 12.0)}
LR, RHO = np.array([0.02, 0.05, 0.1, 0.2, 0.4]), np.geomspace(0.001, 0.1, 9)
CASE = {"lr": 0.1, "rho": 0.1}  # setting at which the loss of constant third derivative is looked at


@experiment("bartlett-theorem21", "Drift towards wide minima in one step across a ravine")
def run(size: float = 1.0, progress: Progress = None, executor: Any = None) -> Outcome:
    """One step across a ravine for many lr and rho: its drift and its remainder, beside the bounds."""
    lr, rho, side = (x.ravel() for x in np.meshgrid(LR, RHO, [1.0, -1.0], indexing="ij"))
    parts = {name: step(loss, bound, lr, rho, side) for name, (loss, bound) in LOSSES.items()}
    sharp, printed = ({k: p["remainder"] / p[v] for k, p in parts.items()} for v in ("sharp", "theorem"))
    small = rho < 0.002
    share = max(float(np.abs(p["along"][small] / p["drift"][small] - 1).max()) for p in parts.values())
    down = all(bool((p["along"] < 0).all()) for p in parts.values())
    ones, twos = ({k: p[v] / p[f"{v}_allowed"] for k, p in parts.items()} for v in ("c_1", "c_2"))
    case = step(*LOSSES["cubic"], *(np.array([CASE["lr"]]), np.array([CASE["rho"]]), np.ones(1)))
    rest = float(case["remainder"][0])
    zero = float(theory.wide_minima_remainder(1.0, lipschitz=0.0, version="theorem", **CASE))
    numbers = {
        "settings": lr.size,
        "drift_error_small_rho": share,
        "cubic_remainder": rest,
        "remainder_over_sharp": {k: v.max() for k, v in sharp.items()},
        "remainder_over_theorem": {k: v.max() for k, v in printed.items()},
        "bound_with_lipschitz_of_D3_only": zero,
        "c_1_over_bound": {k: v.max() for k, v in ones.items()},
        "c_2_over_bound": {k: v.max() for k, v in twos.items()},
        "parts_error": max(float(p["parts_error"].max()) for p in parts.values()),
    }
    worst = {k: f"{v.max():.3f}" for k, v in printed.items()}
    return Outcome(
        (
            Claim(
                "the step drifts by -(lr*rho^2/2)(1 + lr*lambda_1/(2 - lr*lambda_1))^2 grad(lambda_max)",
                f"along -grad(lambda_max) in all {lr.size} steps on each of two losses; for rho = {RHO[0]:g} within "
                f"{share:.0e}",
                verdict(down and share < 0.05),
                f"{PAPER}, Theorem 21; theory.wide_minima_drift",
            ),
            Claim(
                "the remainder is at most lr*rho^2[(1 + lr*lambda_1)^3 rho/6 + 2(2*lambda_1 + B*rho)lr]B, B a Lipschitz "
                "constant of D2 and D3",
                f"remainder/bound at most {worst['cubic']} (cubic) and {worst['quartic']} (quartic); of a sharper "
                f"bound at most "
                f"{max(v.max() for v in sharp.values()):.3f}",
                verdict(all((v <= 1).all() for v in [*printed.values(), *sharp.values()])),
                f"{PAPER}, Theorem 21; theory.wide_minima_remainder",
            ),
            Claim(
                "the remainder is lr*rho^2*(c_1*rho + c_2*lr) with |c_1| <= (1 + lr*lambda_1)^3*B/6 and "
                "|c_2| <= 2(2*lambda_1 + B*rho)B",
                f"both parts of each step by themselves: |c_1| at most {max(v.max() for v in ones.values()):.3f}, |c_2| "
                f"{max(v.max() for v in twos.values()):.3f} of its bound; their sum is the remainder within "
                f"{numbers['parts_error']:.0e}",
                verdict(all((v <= 1).all() for v in [*ones.values(), *twos.values()]) and numbers["parts_error"] < ROUNDING),
                f"{PAPER}, Theorem 21; theory.wide_minima_constants",
            ),
            Claim(
                "it is enough that D3 is B-Lipschitz",
                f"l = x^2/2 + x^2*y/2 has a constant D3, B = 0: bound {zero:g}, remainder {rest:.1e} at lr = rho = 0.1",
                verdict(rest <= zero + ROUNDING),
                f"{PAPER}, Theorem 21; theory.wide_minima_remainder",
            ),
        ),
        numbers,
        {name: {"lr": lr, "rho": rho, "side": side, **p} for name, p in parts.items()},
        {"drift": _picture(parts, lr, rho, side)},
    )


def step(loss: Loss, bound: float, lr: np.ndarray, rho: np.ndarray, side: np.ndarray) -> dict[str, np.ndarray]:
    """Makes one update and returns its part along y, the drift, |remainder|, its bounds, and its parts c_1 and c_2.

    The drift is along y because both losses have grad(lambda_max) = (0, 1) at 0.
    """
    top, _, slope = sharpness(loss, [0.0, 0.0])
    across = np.stack([side * theory.two_cycle_amplitude(top, lr=lr, rho=rho), np.zeros_like(lr)], -1)
    g = loss.gradient(across)
    moved = -lr[:, None] * loss.gradient(across + rho[:, None] * g / np.linalg.norm(g, axis=-1, keepdims=True))
    drift = theory.wide_minima_drift(top, gradient=slope, lr=lr, rho=rho)
    bounds = {
        v: np.asarray(theory.wide_minima_remainder(top, lipschitz=bound, lr=lr, rho=rho, version=v))
        for v in ("sharp", "theorem")
    }
    rest = moved + 2 * across - drift
    ahead = across * (1 + rho / np.abs(across[:, 0]))[:, None]  # the perturbed point if the gradient were along e_1
    straight = -lr[:, None] * loss.gradient(ahead)
    scale = lr * rho**2
    one, two = straight + 2 * across - drift, moved - straight
    allowed = theory.wide_minima_constants(top, lipschitz=bound, lr=lr, rho=rho)
    return {
        "along": moved[:, 1],
        "drift": drift[:, 1],
        "remainder": np.linalg.norm(rest, axis=-1),
        **bounds,
        "c_1": np.linalg.norm(one, axis=-1) / (scale * rho),
        "c_2": np.linalg.norm(two, axis=-1) / (scale * lr),
        "c_1_allowed": allowed[0] + 0 * lr,
        "c_2_allowed": allowed[1] + 0 * lr,
        "parts_error": np.linalg.norm(one + two - rest, axis=-1),
    }


@draw.styled
def _picture(parts: dict[str, dict[str, np.ndarray]], lr: np.ndarray, rho: np.ndarray, side: np.ndarray) -> Figure:
    figure, ((left, right),) = draw.panels(
        1,
        2,
        (10.8, 4.4),
        "The losses are examples of this library: "
        "x²/2 + x²y/2 (cubic) and x²(1 + y²)/2 + x²y/2 + x⁴/24 (quartic), their sharpness rising along y at 0.",
    )
    for value, colour, mark in ((0.02, draw.BLUE, "o"), (0.1, draw.RED, "s"), (0.4, draw.GREEN, "^")):
        at = (lr == value) & (side == 1)
        left.loglog(
            rho[at],
            -parts["cubic"]["along"][at],
            mark,
            color=colour,
            markerfacecolor="white",
            markersize=6,
            label=f"cubic, $\\eta$ = {value:g}",
        )
        left.plot(
            rho[at], -parts["quartic"]["along"][at], mark, color=colour, markersize=3, label=f"quartic, $\\eta$ = {value:g}"
        )
        left.plot(rho[at], -parts["cubic"]["drift"][at], color=colour, linewidth=1.1)
    left.set(title="drift of one update; lines: theorem", xlabel="radius $\\rho$ (length)", ylabel="$-\\Delta y$ (length)")
    left.legend(ncols=2, fontsize=7.5)
    for (name, p), colour, mark in zip(parts.items(), (draw.BLUE, draw.RED), ("o", "s"), strict=True):
        for bound, line, fill in (("theorem", "-", "white"), ("sharp", "--", colour)):
            worst = [(p["remainder"] / p[bound])[rho == r].max() for r in RHO]
            label = f"{name}, {'bound of the theorem' if bound == 'theorem' else 'sharper bound'}"
            right.loglog(RHO, worst, line, color=colour, marker=mark, markersize=4, markerfacecolor=fill, label=label)
    right.axhline(1, color=draw.BLACK, linewidth=1.0)
    right.set(
        title="remainder / bound, the largest over $\\eta$", xlabel="radius $\\rho$ (length)", ylabel="ratio", ylim=(None, 2)
    )
    right.legend(loc="lower right", fontsize=7.5, **BOX)
    return figure
