"""Kim et al., Corollary 1: by how much the mean squared displacement of SGD exceeds that of SAM."""

from __future__ import annotations

from typing import Any

import numpy as np

import samfast as sf

from ... import theory
from ...study.table import FAULT
from .. import draw
from ..experiments import Claim, Outcome, experiment, verdict

LR, BATCH, EIGENVALUE = 0.001, 64, -1.0
RHO = (0.01, 0.1, 0.5, 1.0, 1.9, 2.5)
TIMES = (0.01, 0.1, 1.0)
PATHS = 100_000  # pairs of SGD and SAM on common noise
CLOSE = 0.01  # distance from 1 that printed / exact may have in the limit
FEW = 10  # largest factor that we let "of order" mean
WIDE = np.linspace(0.05, 3.0, 60)  # radii over which the gap is followed, |eigenvalue| = 1
SMALL = (0, 0)  # indices of the smallest values in RHO and TIMES
CAPTION = (
    "Eigenvalue -1, batch size 64, lr 0.001 (a choice: the corollary has no setting); 100000 pairs of SGD and SAM on "
    "the same noise, Euler-Maruyama steps dt = lr. Left: marks simulated, filled where negative (SAM is faster), both "
    "drifts at one place for rho 1; lines "
    "exact for the diffusion, which 10 updates (t = 0.01) miss by 10 %; dashed eq. 13. Right: eq. 13 / exact for the "
    "diffusion. Chain: drift of Theorem 2; plain: of SAM as defined."
)


@experiment("kim-corollary1", "SGD outruns SAM near a saddle by 2 lr t^2 |eigenvalue|^3 rho/B")
def run(size: float = 1.0, progress: Any = None, executor: Any = None) -> Outcome:
    """The difference of SGD and SAM on common noise, for both drifts and for SAM on minibatches."""
    how: dict[str, Any] = {
        **_how(),
        "rho": list(RHO),
        "times": list(TIMES),
        "paths": max(int(PATHS * size), 2000),
        "dtype": "float64",
        "progress": progress,
        "executor": executor,
    }
    runs = {
        "chain": sf.paired_msd(drift="chain", **how),
        "plain": sf.paired_msd(**how),
        "same": sf.paired_msd(method="algorithm", noise="same", **how),
    }
    left = np.abs(theory.corollary1_remainder(np.array(TIMES), rho=np.array(RHO)[:, None], **_how()))
    numbers = {
        "rho": RHO,
        "time": TIMES,
        "pairs": how["paths"],
        "remainder": left * BATCH / (LR * np.array(TIMES) ** 3),
        "gap": {
            drift: np.asarray(theory.corollary1_exact(TIMES[0], rho=WIDE, drift=drift, **_how()))
            for drift in ("chain", "plain")
        },
        **{k: _numbers(r) for k, r in runs.items()},
    }
    table = {
        "run": np.repeat(list(runs), len(RHO) * len(TIMES)),
        "rho": np.tile(np.repeat(RHO, len(TIMES)), len(runs)),
        "time": np.tile(TIMES, len(runs) * len(RHO)),
        **{
            k: np.concatenate([_of(r, k).ravel() for r in runs.values()])
            for k in ("difference", "se", "exact", "sde", "printed")
        },
    }
    return Outcome(_claims(numbers), numbers, {"differences": table}, {"kim-corollary1": _figure(runs)})


def _how() -> dict[str, Any]:
    return {"eigenvalue": EIGENVALUE, "lr": LR, "batch_size": BATCH}


def _of(run: sf.Comparison, name: str) -> np.ndarray:
    return np.asarray(run.dataset[name].transpose("rho", "time"), float)


def _numbers(run: sf.Comparison) -> dict[str, Any]:
    return {
        "worst_z": run.worst,
        "printed_to_sde": _of(run, "printed") / _of(run, "sde"),
        "sign": np.sign(_of(run, "sde")),
        "simulated": _of(run, "difference"),
        "error": _of(run, "se"),
    }


def _claims(n: dict[str, Any]) -> tuple[Claim, ...]:
    chain, plain, same = n["chain"], n["plain"], n["same"]
    ratio = chain["printed_to_sde"]
    sure = [np.abs(x["simulated"]) > FAULT * x["error"] for x in (chain, plain)]
    negative = (chain["simulated"] < 0) & sure[0]
    small = np.square(RHO)[:, None] <= np.array(TIMES)
    gap, peak = n["gap"], float(WIDE[n["gap"]["chain"].argmax()])
    earlier = 1 / same["printed_to_sde"][1, 0]
    return (
        Claim(
            "The difference is 2 lr t^2 |eigenvalue|^3 rho/B.",
            f"printed / exact: {ratio[SMALL]:.3f} at rho 0.01, t 0.01; "
            f"{ratio[1, 1]:.3f} at 0.1, 0.1; {ratio[3, 2]:.3f} at 1, 1; {ratio[4, 0]:.1f} at 1.9, 0.01. Simulated on common "
            f"noise: largest |z| {chain['worst_z']:.2f}",
            verdict(
                abs(ratio[SMALL] - 1) < CLOSE and chain["worst_z"] < FAULT,
                "rho*|lambda| and |lambda|*t are small, and the drift is that of Theorem 2",
            ),
            "Kim et al., Corollary 1, eq. 13; theory.corollary1_exact",
        ),
        Claim(
            "So it is for SAM as defined.",
            f"printed / exact: {plain['printed_to_sde'][SMALL]:.3f} at rho 0.01, t 0.01; largest |z| {plain['worst_z']:.2f}",
            verdict(abs(plain["printed_to_sde"][SMALL] - 1) < CLOSE),
            "Kim et al., eq. 6, 13; theory.corollary1_exact",
        ),
        Claim(
            "It is positive: SGD escapes faster than SAM.",
            "drift of Theorem 2: significantly negative in "
            f"{negative.sum()} of {negative.size} settings, all at rho 2.5; SAM as defined: positive in all",
            verdict(
                not negative[:-1].any() and not ((plain["simulated"] < 0) & sure[1]).any(),
                "rho*|lambda| < 2 (for the drift of Theorem 2)" if negative.any() else None,
            ),
            "Kim et al., Corollary 1; theory.corollary1_sign",
        ),
        Claim(
            "The gap grows with rho.",
            f"exact gap at t = {TIMES[0]:g} for rho*|lambda| up to {WIDE[-1]:g}: with the drift of Theorem 2 it is largest at "
            f"{peak:.2f} and falls from there, for SAM as defined it grows throughout; eq. 13 grows in proportion to rho",
            verdict(
                (np.diff(gap["chain"][: gap["chain"].argmax() + 1]) > 0).all() and (np.diff(gap["plain"]) > 0).all(),
                f"rho*|lambda| < {peak:.2g} (for the drift of Theorem 2)" if peak < WIDE[-1] else None,
            ),
            "Kim et al., Corollary 1; theory.corollary1_exact",
        ),
        Claim(
            "The remainder is of order lr t^3 lambda^4/B.",
            "remainder / that: "
            + ", ".join(
                f"{n['remainder'][i, k]:.2g} at rho {RHO[i]:g}, t {TIMES[k]:g}" for i, k in ((0, 0), (1, 1), (3, 0), (3, 1))
            ),
            verdict(n["remainder"][small].max() < FEW, "rho^2 <= t/|lambda|" if n["remainder"].max() > FEW else None),
            "Kim et al., slides; theory.corollary1_remainder_leading",
        ),
        Claim(
            "The drift is what makes SAM slower.",
            "SAM on minibatches, one sample for both gradients: the difference is "
            f"{earlier:.0f} times eq. 13 at rho 0.1, t 0.01, by the damped noise; largest |z| {same['worst_z']:.2f}",
            verdict(earlier < 2),
            "Kim et al., eq. 11, 13; theory.noise_factor",
        ),
    )


@draw.styled
def _figure(runs: dict[str, sf.Comparison]) -> Any:
    figure, ((left, right),) = draw.panels(1, 2, (12.6, 5.6), CAPTION)
    fine, how = np.geomspace(TIMES[0], TIMES[-1], 200), _how()
    for i, c in ((1, draw.BLUE), (3, draw.GREEN), (5, draw.RED)):
        for drift, mark, wide, width in (("chain", "o", 10, 1.3), ("plain", "s", 4, 0.8)):  # equal at rho 1, so marks nest
            value, se = _of(runs[drift], "difference")[i], _of(runs[drift], "se")[i]
            left.errorbar(
                TIMES,
                np.abs(value),
                2 * se,
                color=c,
                marker=mark,
                linestyle="none",
                markersize=wide,
                capsize=2,
                markerfacecolor=c if value[0] < 0 else "white",
                label=f"rho {RHO[i]:g}, {drift} drift",
            )
            left.plot(fine, np.abs(theory.corollary1_exact(fine, rho=RHO[i], drift=drift, **how)), color=c, linewidth=width)
        left.plot(fine, theory.corollary1(fine, rho=RHO[i], **how), "--", color=c, linewidth=1)
    left.set(
        xscale="log",
        yscale="log",
        xlabel=draw.CLOCK,
        ylabel="|MSD of SGD \N{MINUS SIGN} MSD of SAM|  (length²)",
        title="On common noise",
    )
    left.legend(loc="upper left")
    rho = np.geomspace(0.01, 4, 400)
    for t, c in zip(TIMES, (draw.BLUE, draw.GREEN, draw.RED), strict=True):
        for drift, style in (("chain", "-"), ("plain", ":")):
            exact = theory.corollary1_exact(t, rho=rho, drift=drift, **how)
            ratio = theory.corollary1(t, rho=rho, **how) / exact
            right.plot(
                rho,
                np.where(np.abs(ratio) < 50, ratio, np.nan),
                style,
                color=c,
                linewidth=1.5,
                label=f"t = {t:g}, {drift} drift",
            )
    right.axhline(1, color=draw.GREY, linewidth=0.8)
    right.axvline(2, color=draw.GREY, linewidth=0.8, linestyle="--")
    right.set(xscale="log", xlabel="rho·|lambda|", ylabel="eq. 13 / exact", title="The printed term", ylim=(-4, 6))
    right.legend(loc="lower left", ncols=2)
    return figure
