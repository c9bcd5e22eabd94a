"""Bartlett, Long, Bousquet, Fig. 2: with alternating signs SAM on a quadratic is gradient descent on an objective J.

u_t = (-1)^t w_t descends J(u) = u.C.u/2 - |Lambda u| with steps lr*rho (Proposition 8); 25 updates from (0.244, 0.0224).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ... import theory
from .. import draw
from ..experiments import Claim, Outcome, Progress, experiment, verdict
from .paths import BOX, PAPER, ROUNDING, bounce, hills, travelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ABOUT: dict[str, Any] = {"eigenvalues": (1.0, 0.2), "lr": 0.2, "rho": 1.0}
START, STEPS = (0.244, 0.0224), 25
CAPTION = (
    "As published: curvatures 1 and 1/5, learning rate 1/5, normalised rho 1, 25 updates from (0.244, 0.0224). Right: how far "
    "J falls in each update, and the least that Lemma 10 grants."
)


@experiment("bartlett-fig2", "SAM on a quadratic as gradient descent on J")
def run(size: float = 1.0, progress: Progress = None, executor: Any = None) -> Outcome:
    """SAM's path with alternating signs beside gradient descent on J, the fall of J, and J's stationary points."""
    w = bounce(ABOUT["eigenvalues"], START, range(STEPS + 1), lr=ABOUT["lr"], rho=ABOUT["rho"])[:, 0]
    u = w * (-1.0) ** np.arange(STEPS + 1)[:, None]
    descended = [np.array(START)]
    for _ in range(STEPS):
        descended.append(descended[-1] - ABOUT["lr"] * ABOUT["rho"] * theory.bouncing_gradient(descended[-1], **ABOUT))
    apart = float(np.abs(u - descended).max())
    objective: np.ndarray = theory.bouncing_objective(u, **ABOUT)
    bound: np.ndarray = theory.bouncing_descent_bound(u[:-1], **ABOUT)
    fall: np.ndarray = np.diff(objective)
    norms, values = theory.bouncing_stationary(ABOUT["eigenvalues"], lr=ABOUT["lr"], rho=ABOUT["rho"])
    least = float(min(values))
    points = [np.diag(norms)[i] * s for i in range(2) for s in (1, -1)]
    slopes = [float(np.linalg.norm(theory.bouncing_gradient(x, **ABOUT))) for x in points]
    curved = [np.linalg.eigvalsh(theory.bouncing_hessian(x, **ABOUT)) for x in points]
    index = [int((c < 0).sum()) for c in curved]
    numbers = {
        "apart": apart,
        "J_first": objective[0],
        "J_last": objective[-1],
        "J_minimum": least,
        "norms": norms,
        "slopes": slopes,
        "negative_eigenvalues": index,
        "fall_over_bound": fall / bound,
    }
    return Outcome(
        (
            Claim(
                "u_t = (-1)^t w_t is gradient descent on J with steps lr*rho",
                f"apart by {apart:.0e} in {STEPS} updates",
                verdict(apart < ROUNDING),
                f"{PAPER}, Proposition 8; theory.bouncing_gradient",
            ),
            Claim(
                "J falls in every update, by at least the bound of Lemma 10",
                f"J from {objective[0]:.6f} to {objective[-1]:.9f}; fall/bound from {np.min(fall / bound):.3f} to "
                f"{np.max(fall / bound):.3f}",
                verdict((fall <= bound + ROUNDING).all()),
                f"{PAPER}, Lemma 10; theory.bouncing_descent_bound",
            ),
            Claim(
                "J is stationary at norm beta_i/lambda_i on each eigenvector, and least on that of the largest eigenvalue",
                f"|grad J| at most {max(slopes):.0e}; negative eigenvalues {index}; J = {values[0]:.9f} and {values[1]:.9f}",
                verdict(max(slopes) < ROUNDING and index == [0, 0, 1, 1]),
                f"{PAPER}, Lemma 10; theory.bouncing_stationary",
            ),
            Claim(
                "the path ends at a minimum of J",
                f"J_last - J_min = {objective[-1] - least:.1e}",
                verdict(objective[-1] - least < 1e-4 * abs(least)),
                f"{PAPER}, Fig. 2; theory.bouncing_objective",
            ),
        ),
        numbers,
        {
            "path": {
                "update": np.arange(STEPS + 1),
                "u_1": u[:, 0],
                "u_2": u[:, 1],
                "J": objective,
                "bound": np.append(np.nan, bound),
            }
        },
        {"objective": _picture(u, objective, bound, norms, values)},
    )


@draw.styled
def _picture(u: np.ndarray, objective: np.ndarray, bound: np.ndarray, norms: np.ndarray, values: np.ndarray) -> Figure:
    figure, ((left, right),) = draw.panels(1, 2, (11.4, 4.9), CAPTION, width_ratios=[1.7, 1])
    box = [(-0.28, 0.28), (-0.11, 0.11)]
    shown = hills(left, lambda x: theory.bouncing_objective(x, **ABOUT), box, log=False, levels=24)
    figure.colorbar(shown, ax=left, pad=0.01, label="J (length)", format="%.2f")
    left.set(xlabel="$u_1$", ylabel="$u_2$", title="gradient descent on J")
    travelled(left, u, draw.BLUE, "$u_t=(-1)^tw_t$")
    draw.start(left, u[0])
    left.plot(
        [-norms[0], norms[0]],
        [0, 0],
        "*",
        color=draw.BLACK,
        markeredgecolor="white",
        markersize=12,
        zorder=6,
        label="minima of J: the two-cycle",
    )
    left.plot(
        [0, 0],
        [-norms[1], norms[1]],
        "X",
        color=draw.BLACK,
        markeredgecolor="white",
        markersize=9,
        zorder=6,
        label="saddles of J",
    )
    left.plot(0, 0, "+", color=draw.RED, markersize=9, markeredgewidth=1.6, zorder=6, label="kink at 0")
    left.legend(loc="lower left", ncols=2, **BOX)
    right.set_title("fall of J in each update")
    right.semilogy(-np.diff(objective), ".-", color=draw.BLUE, linewidth=0.9, label="$J(u_t)-J(u_{t+1})$")
    right.semilogy(-bound, "--", color=draw.RED, linewidth=1.2, label="at least (Lemma 10)")
    right.set(xlabel="updates t", ylabel="length")
    right.legend()
    return figure
