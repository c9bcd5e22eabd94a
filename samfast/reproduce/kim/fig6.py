"""Kim et al., Fig. 6: the region of Beale's function in which the eigenvalues of the SAM flow are positive."""

from __future__ import annotations

from typing import Any

import numpy as np

import samfast as sf

from ... import theory
from .. import draw
from ..experiments import Claim, Outcome, experiment, verdict
from . import beale
from .beale import BOX

RHO = (0.0, 0.03, 0.04, 0.05, 0.1, 0.5)
SHOWN = (0.0, 0.05, 0.5)
POINTS = 181  # along each axis
LINEAR = 1.0  # colours are linear below this, logarithmic above
CAPTION = (
    "lambda + rho*lambda^2 for the smaller (above) and the larger (below) eigenvalue lambda of the Hessian; black line: "
    "0. The paper leaves rho open. SAM attracts to a critical point where both are positive."
)


@experiment("kim-fig6", "Sign of lambda + rho*lambda^2 on Beale's function")
def run(size: float = 1.0, progress: Any = None, executor: Any = None) -> Outcome:
    """Share of the square in which both values are positive, and their values at the saddle (0, 1)."""
    points = max(int(POINTS * size) | 1, 61)
    loss, finer = sf.losses.beale(), 2 * points - 1
    values = sf.eigenvalue_map(loss, BOX, rho=RHO, shape=(points, points))
    share = (np.asarray(values) > 0).all(-1).mean((1, 2))
    low = np.asarray(theory.curvature(-27.75, rho=np.array(RHO)))
    verdicts = [theory.theorem1([-27.75, 27.75], rho=r).verdict for r in RHO]
    rest = [p for p in beale.critical_points() if p.kind == "saddle" and abs(p.position[1] - 1) > 1]
    numbers = {
        "rho": RHO,
        "points": points,
        "share": share,
        "at_saddle": low,
        "theorem1": verdicts,
        "thresholds": [1 / 27.75, *(-1 / p.eigenvalues[0] for p in rest)],
    }
    table = {"rho": np.array(RHO), "share_both_positive": share, "smaller_at_saddle": low}
    return Outcome(
        _claims(numbers),
        numbers,
        {"shares": table},
        {"kim-fig6": _figure(sf.eigenvalue_map(loss, BOX, rho=SHOWN, shape=(finer, finer)))},
    )


def _claims(n: dict[str, Any]) -> tuple[Claim, ...]:
    share, first = n["share"], n["thresholds"][0]
    attracts = np.array([v == "attractor" for v in n["theorem1"]])
    return (
        Claim(
            "With larger rho both eigenvalues become positive nearly everywhere.",
            "share of the square: " + ", ".join(f"{s:.3f} (rho {r:g})" for s, r in zip(share, n["rho"], strict=True)),
            verdict((np.diff(share) > 0).all() and share[-1] > 0.95),
            "Kim et al., Fig. 6; landscape.eigenvalue_map",
        ),
        Claim(
            "At the saddle (0, 1) they do so for rho > 1/27.75, and SAM is attracted there.",
            "smaller one: " + ", ".join(f"{x:.3g}" for x in n["at_saddle"]) + f"; threshold {first:.6f}",
            verdict((attracts == (np.array(n["rho"]) > first)).all() and (attracts == (n["at_saddle"] > 0)).all()),
            "Kim et al., Fig. 6, Theorem 1; theory.theorem1",
        ),
        Claim(
            "The only saddle becomes an attractor.",
            f"the other saddle, (0.10, -2.64), does so only for rho > {n['thresholds'][-1]:.3f}",
            verdict(len(n["thresholds"]) == 1),
            "Kim et al., section 4.1; theory.theorem1",
        ),
    )


@draw.styled
def _figure(values: Any) -> Any:
    from matplotlib.colors import SymLogNorm

    figure, axes = draw.panels(2, len(SHOWN), (12.6, 8.2), CAPTION, sharex=True, sharey=True)
    x, y = (np.asarray(values[k]) for k in ("w0", "w1"))
    top = 10.0 ** np.ceil(np.log10(float(np.abs(values).max())))
    for column, rho in zip(axes.T, SHOWN, strict=True):
        for mode, a in enumerate(column):
            z = np.asarray(values.sel(rho=rho))[..., mode].T
            shown = a.imshow(
                z,
                origin="lower",
                extent=(*BOX[0], *BOX[1]),
                aspect="auto",
                interpolation="nearest",
                norm=SymLogNorm(LINEAR, vmin=-top, vmax=top),
                cmap="PuOr_r",
            )
            if (z < 0).any() and (z > 0).any():
                a.contour(x, y, z, [0], colors="black", linewidths=1)
            draw.critical(a, beale.critical_points())
            draw.frame(a, BOX)
            a.set_title(f"{('smaller', 'larger')[mode]} eigenvalue, rho = {rho:g}")
    for a in axes.ravel():
        a.label_outer()
    axes[0, 0].legend(loc="lower left", frameon=True)
    bar = figure.colorbar(shown, ax=axes, pad=0.01, fraction=0.03)
    powers = 10.0 ** np.arange(0, np.log10(top) + 1, 3)
    bar.set_ticks([*(-powers[::-1]), 0, *powers])
    bar.set_label("lambda + rho*lambda²  (1/length²)")
    return figure
