"""Kim et al., Theorem 3: diffusion of SAM with heavy-ball momentum away from a saddle."""

from __future__ import annotations

from typing import Any

import numpy as np

import samfast as sf

from ... import theory
from ...study.table import FAULT
from ...theory.momentum import USEFUL
from .. import draw
from ..experiments import UNSTATED, Claim, Outcome, experiment, verdict

LR, EIGENVALUE, RHO = 0.001, -1.0, 0.1
MOMENTUM, BATCHES = (0.0, 0.5, 0.9, 0.95), (16, 64, 256)
TIMES = (0.01, 0.1, 1.0)
PATHS = 50_000
FINE = (0.0, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99)
SHOWN = 1  # index in BATCHES of the batch size in the picture
CAPTION = (
    "Eigenvalue -1, rho 0.1, lr 0.001, batch size 64, drift of the theorem (a choice: it has no setting); 50000 paths "
    "of Euler-Maruyama steps dt = lr. Left: marks simulated, lines exact, dashed Theorem 3 (C2 = t/lr). Right: Theorem "
    "3 / exact value of the heavy ball; thick where its conditions hold ((1 - momentum)*updates at least 41, slow and weak "
    "curvature), dotted elsewhere."
)


@experiment("kim-theorem3", "Diffusion of SAM with momentum")
def run(size: float = 1.0, progress: Any = None, executor: Any = None) -> Outcome:
    """Mean squared displacements over momentum and batch size, beside Theorem 3; exact values for its consequences."""
    study = sf.msd(
        eigenvalue=EIGENVALUE,
        lr=LR,
        rho=RHO,
        momentum=list(MOMENTUM),
        batch_size=list(BATCHES),
        times=TIMES,
        drift="chain",
        dtype="float64",
        paths=max(int(PATHS * size), 2000),
        progress=progress,
        executor=executor,
    )
    ds = study.dataset.drop_dims("bound").transpose("batch_size", "momentum", "time")
    numbers = {
        "momentum": MOMENTUM,
        "batch_size": BATCHES,
        "time": TIMES,
        "paths": study.dataset.attrs["paths"],
        "worst_z": study.worst,
        "ratio": np.asarray(ds["ratio"])[SHOWN],
        "valid": np.asarray(ds["valid"])[SHOWN],
        "msd_times_batch": np.asarray(ds["msd"])[:, 0, -1] * BATCHES,
        "spread": np.asarray(ds["se"])[:, 0, -1] * BATCHES,
        **_consequences(),
    }
    table = {
        k: np.asarray(ds[k].broadcast_like(ds["msd"])).ravel()
        for k in ("batch_size", "momentum", "time", "msd", "se", "exact", "theorem", "ratio", "valid")
    }
    return Outcome(_claims(numbers), numbers, {"msd": table}, {"kim-theorem3": _figure(ds)})


def _how() -> dict[str, Any]:
    return {"eigenvalue": EIGENVALUE, "lr": LR, "rho": RHO, "batch_size": BATCHES[SHOWN]}


def _exact(steps: Any, curvature: float, momentum: Any, dampening: Any = 0.0, lr: float = LR) -> np.ndarray:
    """Returns the variance of the position of a heavy ball with gradient variance 1."""
    return np.asarray(
        theory.heavy_ball_moments(
            steps, curvature=curvature, lr=lr, momentum=momentum, dampening=dampening, gradient_variance=1.0
        ).var
    )


def _consequences() -> dict[str, Any]:
    """Returns exact numbers on consequences: how variance depends on momentum, its growth towards 1, and momentum 0."""
    g = np.array(FINE)
    kappa = float(theory.curvature(EIGENVALUE, rho=RHO, drift="chain"))
    near = np.array([0.999, 0.9999])
    light = [float(theory.theorem3(t, momentum=0.0, **_how()) / theory.theorem2(t, **_how())) for t in (LR, 1000 * LR)]
    at_once = [
        float(np.divide(*(theory.theorem3(t, momentum=0.5, as_printed=p, **_how()) for t in (LR / 1000, LR))))
        for p in (True, False)
    ]
    return {
        "step_to_15": _step_to_15(),
        "escape": _exact(100, kappa, g),
        "fast": _exact(100, 1.5, g[:4], lr=1.0),
        "averaged": _exact(100, kappa, g, g),
        "product": (1 - near) * _exact(1000, kappa, near),
        "stationary_product": (1 - near)
        * np.asarray(theory.heavy_ball_stationary(curvature=1.0, lr=LR, momentum=near, gradient_variance=1.0).var),
        "momentum_0": light,
        "at_once": at_once,
    }


def _step_to_15(t: float = 1.0) -> dict[str, np.ndarray]:
    """Returns what becomes of the second term of Theorem 3 where exp(-C4/(1 - momentum)) is dropped, as in eq. 15.

    It is C3*(1 - exp(-C4/(1 - momentum)))/((1 - momentum)*B); C3 = lr*|eigenvalue|/(2*kappa) and C4 = 2*kappa*t have the sign
    of the eigenvalue.
    """
    momentum = np.array([0.9, 0.99, 0.999])
    kappa = {sign: float(theory.curvature(sign, rho=RHO, drift="chain")) for sign in (EIGENVALUE, -EIGENVALUE)}
    exponent = {sign: 2 * k * t / (1 - momentum) for sign, k in kappa.items()}
    return {
        "momentum": momentum,
        "exponent": exponent[EIGENVALUE],
        "dropped": LR * abs(EIGENVALUE) / (2 * kappa[EIGENVALUE]) / ((1 - momentum) * BATCHES[SHOWN]),
        "log_whole": np.asarray(theory.log_theorem3(t, momentum=momentum, **_how())),
        "kept_positive": -np.expm1(-exponent[-EIGENVALUE]),
    }


def _claims(n: dict[str, Any]) -> tuple[Claim, ...]:
    ratio, valid = n["ratio"], n["valid"]
    bad, constant = np.abs(ratio - 1), n["msd_times_batch"]
    worst = np.unravel_index(bad.argmax(), bad.shape)
    falls = float(n["product"][1] / n["product"][0])
    light = n["momentum_0"]
    limit = n["step_to_15"]
    start, gain = n["at_once"], n["escape"][-1] / n["escape"][0]
    return (
        Claim(
            "The mean squared displacement is given by Theorem 3.",
            f"theorem / exact from {ratio.min():.3g} to {ratio.max():.3g} (momentum {MOMENTUM[worst[0]]:g}, t = "
            f"{TIMES[worst[1]]:g}); in its range of validity within {bad[valid].max(initial=0.0):.1%}; simulated: largest "
            f"|z| {n['worst_z']:.2f}",
            verdict(
                bad[valid].max(initial=0.0) <= USEFUL and n["worst_z"] < FAULT,
                "(1 - momentum)*updates is large and lr*|kappa|/(1 - momentum)^2 small" if bad.max() > USEFUL else None,
            ),
            "Kim et al., Theorem 3; theory.theorem3_validity",
        ),
        Claim(
            "C2 = lr/t.",
            f"at t = lr/1000 and momentum 0.5 the formula gives {start[0]:.2g} times its value at t = lr, and "
            f"with C2 = t/lr {start[1]:.2g}; a displacement begins at 0",
            verdict(start[0] < 0.1),
            "Kim et al., Theorem 3; theory.theorem3",
        ),
        Claim(
            "It increases with momentum.",
            f"at eigenvalue -1 by a factor {gain:.3g} from 0 to 0.99 (100 updates); at "
            f"lr*kappa = 1.5 {_list(n['fast'])} for momentum {_list(FINE[:4])}; with dampening = momentum by a factor "
            f"{n['averaged'][-1] / n['averaged'][0]:.2g}",
            verdict(
                (np.diff(n["escape"]) > 0).all(),
                None
                if (np.diff(n["fast"]) > 0).all() and (np.diff(n["averaged"]) > 0).all()
                else "lr*kappa <= 1 and dampening is 0",
            ),
            "Kim et al., Theorem 3 (1); theory.heavy_ball_moments",
        ),
        Claim(
            "It decreases with the batch size, as 1/B.",
            "B*MSD at t = 1: " + ", ".join(f"{x:.5f}" for x in constant) + " for B = " + ", ".join(map(str, BATCHES)),
            verdict(np.ptp(constant) < FAULT * n["spread"].max() * np.sqrt(2)),
            "Kim et al., Theorem 3 (2); theory.theorem3",
        ),
        Claim(
            "It grows as 1/((1 - momentum) B) as momentum goes to 1.",
            "(1 - momentum)*MSD from momentum 0.999 to 0.9999: "
            f"times {falls:.2g} after 1000 updates at the saddle, times "
            f"{n['stationary_product'][1] / n['stationary_product'][0]:.3f} in the stationary state of eigenvalue 1",
            verdict(
                abs(n["stationary_product"][1] / n["stationary_product"][0] - 1) < 0.01,
                "the eigenvalue is positive and the state stationary" if abs(falls - 1) > 0.1 else None,
            ),
            "Kim et al., eq. 15; theory.heavy_ball_stationary",
        ),
        Claim(
            "In the step to eq. 15 exp(-C4/(1 - momentum)) goes to 0 as momentum goes to 1.",
            f"at the saddle C4/(1 - momentum) = {limit['exponent'][0]:.3g} and {limit['exponent'][-1]:.3g} at momentum "
            f"{limit['momentum'][0]:g} and {limit['momentum'][-1]:g}, so that without it the second term is "
            f"{limit['dropped'][-1]:.2g}, a negative mean square, where the formula has exp({limit['log_whole'][-1]:.3g}); at "
            f"eigenvalue 1 the term keeps {limit['kept_positive'][-1]:.6g} of its value",
            verdict(
                abs(limit["kept_positive"][-1] - 1) < 1e-6,
                "the eigenvalue is positive" if limit["dropped"][-1] < 0 < limit["log_whole"][-1] else None,
            ),
            "Kim et al., step from Theorem 3 to eq. 15; theory.log_theorem3",
        ),
        Claim(
            "One expects that without momentum it is Theorem 2.",
            f"Theorem 3 / Theorem 2 at momentum 0: {light[0]:.3f} after one update, {light[1]:.5f} after 1000",
            verdict(max(abs(x - 1) for x in light) < 1e-6, otherwise=UNSTATED),
            "Kim et al., Theorems 2, 3; theory.theorem3",
        ),
    )


def _list(x: Any) -> str:
    return ", ".join(f"{v:.4g}" for v in x)


@draw.styled
def _figure(ds: Any) -> Any:
    figure, ((left, right),) = draw.panels(1, 2, (12.6, 5.6), CAPTION)
    n = np.unique(np.geomspace(1, 2000, 200).astype(int))
    kappa = float(theory.curvature(EIGENVALUE, rho=RHO, drift="chain"))
    colours = (draw.BLUE, draw.GREEN, draw.RED, draw.PINK, draw.ORANGE)
    for i, (g, c) in enumerate(zip((*MOMENTUM, 0.99), colours, strict=True)):
        exact = _exact(n, kappa, g) * abs(EIGENVALUE) / BATCHES[SHOWN]
        formula = theory.theorem3(n * LR, momentum=g, **_how())
        good = np.isfinite(theory.theorem3_validity(n * LR, curvature=kappa, lr=LR, momentum=g))
        right.plot(n, formula / exact, ":", color=c, linewidth=1.2)
        right.plot(n, np.where(good, formula / exact, np.nan), color=c, linewidth=2.6, label=f"momentum {g:g}")
        if i < len(MOMENTUM):
            left.plot(n * LR, exact, color=c, linewidth=1.4)
            left.plot(n * LR, formula, "--", color=c, linewidth=1)
            part = ds.isel(batch_size=SHOWN, momentum=i)
            left.errorbar(
                TIMES,
                part["msd"],
                2 * part["se"],
                color=c,
                marker="o",
                markerfacecolor="white",
                linestyle="none",
                label=f"momentum {g:g}",
            )
    left.set(
        xscale="log",
        yscale="log",
        xlabel=draw.CLOCK,
        ylabel="mean squared displacement  (length²)",
        title="Simulated, exact, and Theorem 3",
        xlim=(5e-3, 2.5),
        ylim=(1e-7, 1e3),
    )
    left.legend(loc="upper left")
    right.axhline(1, color=draw.GREY, linewidth=0.8)
    right.set(
        xscale="log",
        yscale="log",
        xlabel="updates",
        ylabel="Theorem 3 / exact",
        ylim=(0.7, 1e8),
        title="How far Theorem 3 is off",
    )
    right.legend(loc="upper left", ncols=2, frameon=True)
    return figure
