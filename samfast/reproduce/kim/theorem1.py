"""Kim et al., Theorem 1: a condition for a critical point to attract SAM, tested without noise, with and without momentum."""

from __future__ import annotations

from typing import Any

import numpy as np

import samfast as sf

from ... import theory
from .. import draw
from ..experiments import Claim, Outcome, experiment, verdict

LR, STEPS = 0.15, 400
MOMENTUM = (0.0, 0.5, 0.9)
EIGENVALUES, RADII = (-2.5, 2.5, 101), (0.0, 3.0, 121)  # ends and number; eigenvalue 0 is left out
CHAIN = (0.5, 1.5, 10.0)
WINDOW = 10
TINY = 1e-300  # smaller positions count as 0
EDGE = 1e-9  # nothing is compared within this relative distance from a boundary
SECOND = 0.9  # a second root smaller by this factor has died out, as 0.9^200 = 7e-10
SAME = 1e-8  # largest error of a rate per update
RADIUS = 10.0 ** np.arange(-3.0, 0.5)  # normalised radii
ALONE, WEAK, STRONG = -1.0, 0.02, 0.2  # eigenvalue of one direction; -eigenvalues beside a direction with eigenvalue 1
NORMALISED_LR, NORMALISED_STEPS = 0.1, 2000
LINEAR, STEEP = 0.02, 1.0  # colours are linear up to the rate LINEAR and logarithmic from there to STEEP
CAPTION = (
    "Noise-free SAM with constant rho on a quadratic, lr 0.15, 400 updates (a choice: the theorem has no setting). "
    "Colour: ln of the factor of one update, measured. Solid: rho = -1/lambda (Theorem 1). Dashed: upper end of the "
    "window, which the flow of the theorem does not have."
)


@experiment("kim-theorem1", "Attractors of SAM: rho > 1/|eigenvalue|")
def run(size: float = 1.0, progress: Any = None, executor: Any = None) -> Outcome:
    """Rates over a grid of eigenvalue and rho beside the window, and the boundary with a higher-order term."""
    e, rho = (np.linspace(a, b, max(int(n * size) | 1, 11) if size < 1 else n) for a, b, n in (EIGENVALUES, RADII))
    e = e[e != 0]
    rate = _rates(e, rho, progress, executor)
    kappa = np.asarray(theory.curvature(e[:, None], rho=rho))
    both = np.abs([theory.multipliers(kappa, lr=LR, momentum=g) for g in MOMENTUM])
    with np.errstate(divide="ignore"):
        roots = np.log(both[..., 0])
    inside, clear = roots < 0, np.abs(roots) > EDGE
    with np.errstate(divide="ignore"):
        flow = np.where(e[:, None] > 0, True, rho > -1 / e[:, None])
    slow = (LR * kappa > 0) & (LR * kappa < 2) & clear[0]
    alone = np.isfinite(rate) & (both[..., 1] < SECOND * both[..., 0])
    numbers = {
        "lr": LR,
        "steps": STEPS,
        "momentum": MOMENTUM,
        "points": int(clear.sum()),
        "wrong": int(((rate < 0) != inside)[clear].sum()),
        "flow_wrong": int(((rate[0] < 0) != flow)[clear[0]].sum()),
        "flow_wrong_slow": int(((rate[0] < 0) != flow)[slow].sum()),
        "largest_rate_error": float(np.abs(rate[alone] - roots[alone]).max(initial=0.0)),
        "escape_rates": rate[:, np.argmin(np.abs(e + 1)), 0],
        **_boundary(),
        "normalised": _normalised(),
    }
    table = {
        "eigenvalue": np.repeat(e, len(rho)),
        "rho": np.tile(rho, len(e)),
        **{f"rate_momentum_{g:g}": rate[i].ravel() for i, g in enumerate(MOMENTUM)},
    }
    return Outcome(_claims(numbers), numbers, {"rates": table}, {"kim-theorem1": _figure(e, rho, rate)})


def _rates(e: np.ndarray, rho: np.ndarray, progress: Any, executor: Any) -> np.ndarray:
    """Returns ln|factor of one update|, (momentum, eigenvalue, rho), averaged over the second half of the updates.

    It compares the largest of WINDOW successive |w| at both ends, because w oscillates where the roots are complex.
    """
    half = STEPS // 2
    record = [end - k for end in (half, STEPS) for k in reversed(range(WINDOW))]
    rule = sf.sam(lr=LR, rho=rho, momentum=np.reshape(MOMENTUM, (-1, 1, 1)))
    run = sf.simulate(
        sf.losses.quadratic(e[:, None, None]),
        rule,
        [1.0],
        record=record,
        dtype="float64",
        values=True,
        state=False,
        on_divergence="keep",
        progress=progress,
        executor=executor,
    )
    assert run.values is not None
    size = np.abs(run.values[..., 0, 0]).reshape(*run.sweep, 2, WINDOW).max(-1)
    first, last = np.moveaxis(np.log(np.maximum(size, TINY)), -1, 0)
    return np.where(last > np.log(TINY), (last - first) / half, -np.inf)


def _boundary() -> dict[str, Any]:
    """Returns the verdict at exactly rho = 1/|eigenvalue|, and the end of the flow on l = -w^2/2 + a w^4/4 from w = 0.1.

    The flow is computed for a = 1 and a = -1.
    """
    end = {}
    for a in (1.0, -1.0):
        loss = sf.Loss("quartic", 1, _quartic, {"a": a})
        end[a] = float(sf.Flow(loss, sf.sam(lr=LR, rho=1.0)).trajectory([0.1], 40.0)[1][-1, 0])
    return {
        "boundary": theory.theorem1([-1.0, 1.0], rho=1.0).verdict,
        "boundary_end": [end[1.0], end[-1.0]],
        "two_eigenvalues": [theory.theorem1([-1.0, -4.0, 2.0], rho=r).verdict for r in (0.5, 1.5)],
        "chain": [theory.theorem1([-1.0, 1.0], rho=r, drift="chain").verdict for r in CHAIN],
    }


def _normalised() -> dict[str, Any]:
    """Returns what the saddle does with the normalised radius: alone, and beside a direction with eigenvalue 1.

    Alone: shares of starts inside and outside |w| < rho that stay. Beside: whether a deviation along -m has shrunk in the end.
    """
    share = np.linspace(0.05, 1.95, 39)  # |w|/rho, without 1
    w = (share[share != 1] * RADIUS[:, None])[..., None]
    starts = np.abs(w[..., 0])
    beside = np.broadcast_to([0.1, 1e-6], (2, len(RADIUS), 2)) * RADIUS[:, None]
    both = np.array([[1.0, -WEAK], [1.0, -STRONG]])[:, None, :]
    about: dict[str, Any] = {"lr": NORMALISED_LR, "rho": RADIUS[:, None]}
    for _ in range(NORMALISED_STEPS):
        w = np.clip(theory.normalized_sam_step(w, eigenvalues=[ALONE], **about), -1e9, 1e9)
        beside = np.clip(theory.normalized_sam_step(beside, eigenvalues=both, lr=NORMALISED_LR, rho=RADIUS), -1e9, 1e9)
    stays, inside = np.abs(w[..., 0]) < RADIUS[:, None], starts < RADIUS[:, None]
    held = np.abs(beside[..., 1]) < 1e-6 * RADIUS
    return {
        "rho": RADIUS,
        "inside": float(stays[inside].mean()),
        "outside": float(stays[~inside].mean()),
        "starts": int(stays.size),
        "weak_held": held[0],
        "strong_held": held[1],
        "lowest": float(theory.two_cycle_capture(1.0, lr=NORMALISED_LR)[0]),
    }


def _quartic(w: Any, p: Any) -> Any:
    return -(w[0] ** 2) / 2 + p.a * w[0] ** 4 / 4


def _claims(n: dict[str, Any]) -> tuple[Claim, ...]:
    away, home = n["boundary_end"]
    mild = n["normalised"]
    gain = [float(r / n["escape_rates"][0]) for r in n["escape_rates"]]
    return (
        Claim(
            "A saddle is an attractor of SAM iff rho >= 1/|eigenvalue| for each negative eigenvalue.",
            f"{n['flow_wrong']} of {n['points'] // 3} settings (eigenvalue, rho) do otherwise at lr {n['lr']}, of those with "
            f"lr*kappa < 2 {n['flow_wrong_slow']}",
            verdict(
                n["flow_wrong_slow"] == 0 and n["two_eigenvalues"] == ["unstable", "attractor"],
                "lr is small, lr*kappa < 2" if n["flow_wrong"] else None,
            ),
            "Kim et al., Theorem 1, eq. 10; theory.theorem1",
        ),
        Claim(
            "At rho = 1/|eigenvalue| itself it is one.",
            f"verdict {n['boundary']}; with a quartic term w goes from 0.1 to "
            f"{away:.3f} or to {home:.3f} in t = 40, by the sign of the term",
            verdict(n["boundary"] == "attractor" and max(away, home) < 0.1),
            "Kim et al., eq. 10; theory.theorem1",
        ),
        Claim(
            "Steps of finite size: 0 < lr*kappa < 2(1 + momentum), kappa = eigenvalue*(1 + rho*eigenvalue).",
            f"{n['wrong']} of {n['points']} settings do otherwise; measured rates differ from the roots by at most "
            f"{n['largest_rate_error']:.1e}",
            verdict(n["wrong"] == 0 and n["largest_rate_error"] < SAME),
            "derived here; theory.multipliers",
        ),
        Claim(
            "Momentum frees SAM from the saddle.",
            f"it escapes {gain[1]:.2f} and {gain[2]:.2f} times as fast with momentum "
            "0.5 and 0.9 where it escapes; the threshold of rho is the same",
            verdict(n["wrong"] == 0 and gain[2] > gain[1] > 1, "rho < 1/|eigenvalue|, where SAM is free"),
            "Kim et al., section 4.4; theory.rho_window",
        ),
        Claim(
            "With the normalised radius the condition is mild: near the saddle it always holds.",
            f"eigenvalue {ALONE:g} alone: {mild['inside']:.0%} of the starts within rho stay, {mild['outside']:.0%} of those "
            f"farther away, for rho from {mild['rho'][0]:g} to {mild['rho'][-1]:g} (constant: rho > 1); beside an eigenvalue "
            f"1, at lr {NORMALISED_LR:g}, {-STRONG:g} is held for {mild['strong_held'].sum()} and {-WEAK:g} for "
            f"{mild['weak_held'].sum()} of these {len(mild['rho'])} radii",
            verdict(
                mild["inside"] == 1 and mild["strong_held"].all(),
                f"the start is within rho and, beside a steeper positive eigenvalue, |eigenvalue| > {mild['lowest']:.4f} here"
                if mild["outside"] == 0 and not mild["weak_held"].any()
                else None,
            ),
            "Kim et al., section 4.1 on normalised rho; theory.capture_steps, theory.two_cycle_capture",
        ),
        Claim(
            "The SAM of Theorem 2 is that of Theorem 1.",
            "with the drift of Theorem 2 the saddle is "
            + ", ".join(f"{v} at rho {r:g}" for v, r in zip(n["chain"], CHAIN, strict=True)),
            verdict("attractor" in n["chain"]),
            "Kim et al., Theorems 1, 2; theory.curvature",
        ),
    )


@draw.styled
def _figure(e: np.ndarray, rho: np.ndarray, rate: np.ndarray) -> Any:
    from matplotlib.colors import SymLogNorm

    figure, ((left, middle, right),) = draw.panels(1, 3, (14.0, 5.2), CAPTION)
    fine = np.linspace(-2.5, -0.3, 300)
    for axes, i in ((left, 0), (middle, 2)):
        shown = axes.pcolormesh(
            e,
            rho,
            np.maximum(rate[i].T, -STEEP),  # the rate is -inf where w has become 0
            cmap="PuOr_r",
            norm=SymLogNorm(LINEAR, vmin=-STEEP, vmax=STEEP),
            shading="nearest",
            rasterized=True,
        )
        axes.plot(fine, -1 / fine, color=draw.BLACK, linewidth=1.8, label="rho = -1/lambda, Theorem 1")
        for side in (fine, -fine):
            top = theory.rho_window(side, lr=LR, momentum=MOMENTUM[i])[1]
            axes.plot(
                side, top, "--", color=draw.BLACK, linewidth=1.4, label="upper end of the window" if side is fine else None
            )
        axes.set(
            title=f"Momentum {MOMENTUM[i]:g}",
            xlabel="eigenvalue lambda  (1/length²)",
            ylabel="rho  (length²)",
            ylim=(0, 3),
            xlim=(-2.5, 2.5),
        )
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    bar = figure.colorbar(shown, ax=middle, pad=0.02, extend="both")
    bar.set_ticks([-STEEP, -0.1, -LINEAR, 0, LINEAR, 0.1, STEEP], labels=["-1", "-0.1", "-0.02", "0", "0.02", "0.1", "1"])
    bar.minorticks_off()
    bar.set_label("rate per update; > 0 escapes")
    at = np.argmin(np.abs(e + 1))
    dense = np.linspace(0, 3, 400)
    kappa = theory.curvature(e[at], rho=dense)
    for i, (g, c) in enumerate(zip(MOMENTUM, (draw.BLUE, draw.GREEN, draw.RED), strict=True)):
        right.plot(dense, np.log(np.abs(theory.multipliers(kappa, lr=LR, momentum=g)[:, 0])), color=c, linewidth=1.4)
        right.plot(rho[::4], rate[i, at, ::4], "o", color=c, markersize=4, markerfacecolor="white", label=f"momentum {g:g}")
    right.axhline(0, color=draw.GREY, linewidth=0.8)
    right.axvline(-1 / e[at], color=draw.GREY, linewidth=0.8, linestyle="--")
    right.set(
        title=f"Eigenvalue {e[at]:g}: measured and theory",
        xlabel="rho  (length²)",
        ylabel="rate per update",
        ylim=(-0.45, 0.4),
    )
    right.legend()
    return figure
