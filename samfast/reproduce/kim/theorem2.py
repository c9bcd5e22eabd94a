"""Kim et al., Theorem 2: the speed at which SAM diffuses away from a saddle."""

from __future__ import annotations

from typing import Any

import numpy as np

import samfast as sf

from ... import theory
from ...study.table import FAULT
from .. import draw
from ..experiments import Claim, Outcome, experiment, verdict

LR, BATCH, EIGENVALUES, RHO = 0.01, 64, (-1.0, 1.0), (0.0, 0.5, 1.5)
TIMES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
PATHS = 200_000
CLOSE = 0.05
CAPTION = (
    "One eigen-direction, lr 0.01, batch size 64 (a choice: the theorem has no setting), 200000 paths of Euler-Maruyama "
    "steps dt = lr from the saddle. Marks: simulated. Lines: exact. Dashed: Theorem 2, drift lambda*(1 + "
    "rho*lambda)^2 and unit noise; at eigenvalue -1 it is the same for rho 0.5 and 1.5."
)


@experiment("kim-theorem2", "Diffusion of SAM near a saddle")
def run(size: float = 1.0, progress: Any = None, executor: Any = None) -> Outcome:
    """Mean squared displacements under both drifts, and of SAM on minibatches, beside Theorem 2."""
    how = {
        "lr": LR,
        "batch_size": BATCH,
        "times": TIMES,
        "paths": max(int(PATHS * size), 2000),
        "dtype": "float64",
        "progress": progress,
        "executor": executor,
    }
    drifts = sf.msd(eigenvalue=EIGENVALUES, rho=RHO, drift=["chain", "plain"], **how)
    usual = sf.msd(eigenvalue=EIGENVALUES, rho=RHO, method="algorithm", noise="same", **how)
    ds = drifts.dataset.drop_dims("bound").transpose("drift", "eigenvalue", "rho", "time")
    exact = np.asarray(ds["exact"])
    grid: dict[str, Any] = {"eigenvalue": np.array(EIGENVALUES)[:, None, None], "rho": np.array(RHO)[:, None]}
    printed = theory.theorem2(np.array(TIMES), lr=LR, batch_size=BATCH, **grid)
    own = usual.dataset.drop_dims("bound").transpose("eigenvalue", "rho", "time")
    numbers = {
        "eigenvalue": EIGENVALUES,
        "rho": RHO,
        "time": TIMES,
        "paths": how["paths"],
        "worst_z": [drifts.worst, usual.worst],
        "theorem_to_chain": printed / exact[0],
        "theorem_to_plain": printed / exact[1],
        "first_update": np.asarray(own["msd"])[..., 0] / np.asarray(own["msd"])[:, :1, 0],
        "bias_bound": _bias(grid),
        "noise_factor": (1 + np.array(RHO) * np.array(EIGENVALUES)[:, None]) ** 2,
    }
    table = {
        k: v.ravel()
        for k, v in zip(
            ("drift", "eigenvalue", "rho", "time"),
            np.meshgrid(ds["drift"].values, EIGENVALUES, RHO, TIMES, indexing="ij"),
            strict=True,
        )
    }
    table |= {k: np.asarray(ds[k]).ravel() for k in ("msd", "se", "exact")} | {"theorem2": np.tile(printed.ravel(), 2)}
    return Outcome(_claims(numbers), numbers, {"msd": table}, {"kim-theorem2": _figure(ds)})


def _bias(grid: dict[str, np.ndarray]) -> np.ndarray:
    """Bounds the relative difference between steps of size lr and their diffusion, to first order in lr*kappa."""
    kappa = np.abs(theory.curvature(**grid, drift="chain"))
    return np.asarray(LR * kappa * (1 + kappa * np.array(TIMES)))


def _claims(n: dict[str, Any]) -> tuple[Claim, ...]:
    chain, plain = (np.abs(n[k] - 1)[:, 1:] for k in ("theorem_to_chain", "theorem_to_plain"))
    at = n["time"].index(1.0)
    far = n["theorem_to_plain"][0, 1:, at]
    first = n["first_update"]
    return (
        Claim(
            "The mean squared displacement is that of Theorem 2.",
            f"drift lambda*(1 + rho*lambda)^2, unit noise: largest |z| {n['worst_z'][0]:.2f} against the exact law of the "
            f"steps, which differs from the theorem by {chain.max():.1%} at most, everywhere less "
            "than lr*|kappa|*(1 + |kappa|*t)",
            verdict(
                n["worst_z"][0] < FAULT and (chain <= n["bias_bound"][:, 1:]).all(),
                "the drift is the gradient of w -> l(w + rho*grad) and the noise does not depend on rho",
            ),
            "Kim et al., Theorem 2, eq. 12; theory.theorem2",
        ),
        Claim(
            "SAM as defined (gradient at the perturbed point) obeys it.",
            f"at t = 1 and eigenvalue -1 the theorem is {far[0]:.2f} (rho 0.5) and {far[1]:.2f} (rho 1.5) times the exact "
            "value; with rho 1.5 SAM is trapped, the theorem is not",
            verdict(plain.max() < CLOSE),
            "Kim et al., eq. 6 against Theorem 2; theory.curvature",
        ),
        Claim(
            "The covariance of its minibatch gradient is [H]+/B.",
            "first update of SAM on minibatches, one sample for both gradients: MSD / that of SGD "
            f"{first[0, 1]:.4f}, {first[0, 2]:.4f} (eigenvalue -1), {first[1, 1]:.3f}, {first[1, 2]:.3f} (1); (1 + "
            f"rho*lambda)^2 = {n['noise_factor'][0, 1]:g}, {n['noise_factor'][0, 2]:g}, {n['noise_factor'][1, 1]:g}, "
            f"{n['noise_factor'][1, 2]:g}; largest |z| {n['worst_z'][1]:.2f}",
            verdict(np.abs(first[:, 1:] - 1).max() < CLOSE),
            "Kim et al., eq. 11, 23; theory.noise_factor",
        ),
    )


@draw.styled
def _figure(ds: Any) -> Any:
    figure, axes = draw.panels(1, 2, (12.4, 5.6), CAPTION, sharey=True)
    fine = np.geomspace(TIMES[0], TIMES[-1], 200)
    for a, drift in zip(axes[0], ("plain", "chain"), strict=True):
        for (i, e), style in zip(enumerate(EIGENVALUES), ("o", "s"), strict=True):
            for (j, r), c in zip(enumerate(RHO), (draw.BLUE, draw.RED, draw.GREEN), strict=True):
                part = ds.sel(drift=drift).isel(eigenvalue=i, rho=j)
                how: dict[str, Any] = {"eigenvalue": e, "lr": LR, "rho": r, "batch_size": BATCH}
                # (1 + rho*lambda)^2 is one number for rho 0.5 and 1.5 at eigenvalue -1: the broad line and the large mark
                # stay in sight below, and the dashes alternate
                broad = 3.6 if j == 1 else 1.2
                a.plot(fine, theory.theorem2(fine, drift=drift, **how), color=c, linewidth=broad, alpha=0.6 if j == 1 else 1)
                if r and drift == "plain":
                    a.plot(fine, theory.theorem2(fine, **how), linestyle=(5 * (j - 1), (5, 5)), color=c, linewidth=1.2)
                a.errorbar(
                    TIMES,
                    part["msd"],
                    2 * part["se"],
                    color=c,
                    linestyle="none",
                    marker=style,
                    markersize=9 if j == 1 else 5,
                    markerfacecolor="white",
                    label=f"{f'SAM, rho {r:g}' if r else 'SGD'}, eigenvalue {e:g}",
                )
        a.set(
            xscale="log",
            yscale="log",
            xlabel=draw.CLOCK,
            title="What SAM does: drift lambda*(1 + rho*lambda)"
            if drift == "plain"
            else "Drift of Theorem 2: lambda*(1 + rho*lambda)²",
        )
    axes[0, 0].set_ylabel("mean squared displacement  (length²)")
    axes[0, 0].legend(loc="upper left")
    return figure
