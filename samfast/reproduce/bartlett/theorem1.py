"""Bartlett, Long, Bousquet, Theorems 1 and 2, Lemma 5: on a quadratic normalised SAM ends in a two-cycle on the steepest axis.

Random quadratics, inside and outside the condition lr*lambda_1 < 1/2 of the theorems; then quadratics with a negative
eigenvalue, about which the theorems say nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ... import theory
from .. import draw
from ..experiments import SUFFICIENT, Claim, Outcome, Progress, experiment, verdict
from .paths import BOX, PAPER, ROUNDING, bounce

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONDITION, LIMIT = 0.5, 1.95  # lr*lambda_1 < CONDITION in the theorems; LIMIT is the largest tried, as the two-cycle ends at 2
SETTINGS, CASES, SEED = 120, 20_000, 1
EARLY, LATE = 300, 6000  # updates after which rates are measured, and after which paths are on the two-cycle to rounding
CAPTION = (
    "Normalised SAM on quadratics, settings of this library. Left: random eigenvalues and radii, 6000 updates. Middle: one "
    "start each, distance from the two-cycle along the flatter axis. Right: eigenvalues 1 and -m, begun beside the two-cycle; "
    "shaded where theory says that it holds."
)
SMALL = 1e-250  # a smaller deviation is near the end of float64's range and gives no rate


@experiment("bartlett-theorem1", "The two-cycle of SAM on quadratics: amplitude, rates, and saddles")
def run(size: float = 1.0, progress: Progress = None, executor: Any = None) -> Outcome:
    """Amplitudes, rates and constants of the two-cycle on random quadratics, and capture beside negative eigenvalues."""
    cycles, lemma, saddle, alone = (
        _cycles(max(12, int(size * SETTINGS))),
        _lemma_5(max(1000, int(size * CASES))),
        _saddles(max(7, int(size * 25))),
        _one_direction(),
    )
    inside = cycles["lr_top"] < CONDITION
    error, rates = cycles["error"], cycles["rate_error"]
    right = saddle["captured"] == saddle["expected"]
    numbers = {
        "settings": inside.size,
        "inside_condition": int(inside.sum()),
        "amplitude_error_inside": error[inside].max(),
        "amplitude_error_outside": error[~inside].max(),
        "loss_error": cycles["loss_error"].max(),
        "rate_error": np.nanmax(rates),
        "lemma_5": lemma,
        "saddles": right.size,
        "saddles_right": int(right.sum()),
        **alone,
    }
    return Outcome(
        (
            Claim(
                "from almost every start SAM ends in the two-cycle of amplitude lr*rho*lambda_1/(2 - lr*lambda_1)",
                f"largest relative error {error[inside].max():.0e} in {inside.sum()} random quadratics, 8 starts each; of the "
                f"loss {cycles['loss_error'].max():.0e}",
                verdict(max(error[inside].max(), cycles["loss_error"].max()) < ROUNDING),
                f"{PAPER}, Theorems 1, 2; theory.two_cycle_amplitude, theory.two_cycle_loss",
            ),
            Claim(
                "it is assumed that lr < 1/(2*lambda_1)",
                f"{(error[~inside] < ROUNDING).sum()} of {(~inside).sum()} quadratics with lr*lambda_1 from "
                f"{cycles['lr_top'][~inside].min():.2f} to {cycles['lr_top'].max():.2f} end there as well",
                verdict(error[~inside].max() > ROUNDING, otherwise=SUFFICIENT),
                f"{PAPER}, Theorems 1, 2; theory.two_cycle_multipliers",
            ),
            Claim(
                "small deviations shrink by 1 - lr*lambda_j - (2 - lr*lambda_1)(lambda_j/lambda_1)^2 (derived in this library)",
                f"observed factors within {np.nanmax(rates):.0e}",
                verdict(np.nanmax(rates) < 1e-4),
                "theory.two_cycle_multipliers",
            ),
            Claim(
                "Lemma 5: |v_i| falls iff |v| > beta_i, |v_1/v_i| grows iff |v| < alpha_i, |v| <= b is never left",
                f"{sum(lemma.values())} violations in {max(1000, int(size * CASES)):,} random steps",
                verdict(not any(lemma.values())),
                f"{PAPER}, Lemma 5; theory.bounce_constants",
            ),
            Claim(
                "beside a negative eigenvalue -m the two-cycle attracts in a window of m (derived in this library)",
                f"{right.sum()} of {right.size} settings as predicted, {int(saddle['captured'].sum())} captured",
                verdict(right.all()),
                "theory.two_cycle_capture",
            ),
            Claim(
                "alone, a negative direction captures exactly |w_0| < rho, in a band |w| <= lr*m*rho (derived in this library)",
                f"steps {alone['steps']}, expected {alone['steps_expected']}; afterwards |w| at most "
                f"{alone['widest']:.6f}, band "
                f"{alone['band']:.6f}",
                verdict(alone["steps"] == alone["steps_expected"] and alone["widest"] <= alone["band"]),
                "theory.capture_steps, theory.captured_band",
            ),
        ),
        numbers,
        {"cycles": {k: v for k, v in cycles.items() if k != "rate_error"}, "saddles": saddle},
        {"two_cycle": _picture(cycles, saddle)},
    )


def _cycles(settings: int) -> dict[str, np.ndarray]:
    """Compares amplitude, loss and rates with theory on random quadratics, from normally distributed starts.

    The eigenvalues are (1, lambda_2, lambda_3) times a random scale, with lambda_2 and lambda_3 between 0 and 1.
    """
    rng = np.random.default_rng(SEED)
    scale, rho = 10 ** rng.uniform(-1, 1, (2, settings))
    e = scale[:, None] * np.column_stack([np.ones(settings), rng.uniform(0.1, 0.93, (settings, 2))])
    top = np.where(np.arange(settings) % 2, rng.uniform(CONDITION, LIMIT, settings), rng.uniform(0.1, 0.49, settings))
    lr = top / scale
    w = bounce(e, rng.standard_normal((8, 3)), [EARLY, EARLY + 1, LATE - 1, LATE], lr=lr, rho=rho)
    amplitude = theory.two_cycle_amplitude(scale, lr=lr, rho=rho)
    last = w[:, 2:] / amplitude[:, None, None, None]
    turned = np.abs(last[:, 0, :, 0] + last[:, 1, :, 0]).max(-1)
    error = np.maximum(np.abs(np.abs(last) - [1.0, 0.0, 0.0]).max((1, 2, 3)), turned)
    loss = 0.5 * (e[:, None] * w[:, 3] ** 2).sum(-1) / theory.two_cycle_loss(scale, lr=lr, rho=rho)[:, None]
    before, after = w[:, 0, :, 1:], w[:, 1, :, 1:]
    seen = (np.abs(before) > SMALL) & (np.abs(after) > SMALL)
    factor = np.divide(after, before, out=np.full(after.shape, np.nan), where=seen)
    rate = np.abs(factor - theory.two_cycle_multipliers(e, lr=lr)[:, None, 1:])
    return {
        "lr_top": top,
        "amplitude_over_rho": np.abs(w[:, 3, 0, 0]) / rho,
        "error": error,
        "loss_error": np.abs(loss - 1).max(-1),
        "rate_error": rate,
    }


def _lemma_5(cases: int) -> dict[str, int]:
    """Counts violations of each statement of Lemma 5 in one step from random points, with norms near its constants."""
    rng = np.random.default_rng(SEED + 1)
    e = np.sort(rng.uniform(0.05, 1.0, (cases, 3)))[:, ::-1]
    lr, rho = rng.uniform(0.02, 0.49, cases) / e[:, 0], 10 ** rng.uniform(-1, 1, cases)
    c = theory.bounce_constants(e, lr=lr, rho=rho)
    v = rng.standard_normal((cases, 3))
    v *= (c.absorbing * rng.uniform(0.05, 1.6, cases) / np.linalg.norm(v, axis=-1))[:, None]
    after = e * theory.normalized_sam_step(v / e, eigenvalues=e, lr=lr, rho=rho)
    length, then = np.linalg.norm(v, axis=-1), np.linalg.norm(after, axis=-1)
    falls, grows = np.abs(after) < np.abs(v), np.abs(after[:, :1] / after) > np.abs(v[:, :1] / v)
    return {
        "beta": int((falls != (length[:, None] > c.beta)).sum()),
        "alpha": int((grows != (length[:, None] < c.alpha))[:, 1:].sum()),
        "absorbing": int((then > c.absorbing)[length <= c.absorbing].sum()),
        "shrinking": int((then > (1 - lr * e[:, 2]) * length * (1 + 1e-14))[length >= c.absorbing].sum()),
    }


def _saddles(points: int) -> dict[str, np.ndarray]:
    """Starts beside the two-cycle for eigenvalues 1 and -m and sees whether it captures the path.

    rho is chosen so that the amplitude is 0.1 for every lr.
    """
    lr, share = (x.ravel() for x in np.meshgrid(np.linspace(0.1, 1.9, points), np.linspace(0.05, 1.25, points)))
    low, high = theory.two_cycle_capture(1.0, lr=lr)
    m = share * high * (1 + 1e-3)
    w = bounce(np.column_stack([np.ones_like(m), -m]), (0.1, 1e-9), [2000], lr=lr, rho=0.1 * (2 - lr) / lr)
    captured = np.abs(w[:, 0, 0, 1]) < 1e-9
    return {"lr": lr, "m": m, "captured": captured, "expected": (low < m) & (m < high)}


def _one_direction(m: float = 1.0, lr: float = 0.1, rho: float = 0.5) -> dict[str, Any]:
    """Runs SAM for the eigenvalue -m alone; the second coordinate, of eigenvalue 0, stays 0."""
    starts = np.array([0.02, 0.1, 0.25, 0.4, 0.49, 0.499, 0.501, 0.6])
    w = np.abs(bounce((-m, 0.0), np.column_stack([starts, 0 * starts]), range(121), lr=lr, rho=rho)[..., 0])
    band = float(theory.captured_band(eigenvalue=-m, lr=lr, rho=rho)[0])
    edge = band * (1 + 1e-12)
    steps = [int(n) if path[n] <= edge else -1 for n, path in zip((w <= edge).argmax(0), w.T, strict=True)]
    expected = theory.capture_steps(starts, eigenvalue=-m, lr=lr, rho=rho)
    widest = max(float(path[n:].max()) for n, path in zip(steps, w.T, strict=True) if n >= 0)
    return {
        "steps": steps,
        "steps_expected": [int(n) if np.isfinite(n) else -1 for n in expected],
        "widest": widest,
        "band": edge,
    }


@draw.styled
def _picture(cycles: dict[str, np.ndarray], saddle: dict[str, np.ndarray]) -> Figure:
    figure, ((size, rate, window),) = draw.panels(1, 3, (13.2, 4.9), CAPTION)
    x = np.linspace(0.02, 1.97, 300)
    size.semilogy(
        x,
        theory.two_cycle_amplitude(1.0, lr=x, rho=1.0),
        color=draw.BLACK,
        linewidth=1.1,
        label="$\\eta\\lambda_1/(2-\\eta\\lambda_1)$",
    )
    size.plot(
        cycles["lr_top"],
        cycles["amplitude_over_rho"],
        "o",
        color=draw.BLUE,
        markerfacecolor="none",
        markersize=5,
        label="simulated",
    )
    size.axvline(CONDITION, color=draw.RED, linestyle=":", label="condition of the theorems")
    size.set(title="amplitude of the two-cycle", xlabel="$\\eta\\lambda_1$", ylabel="amplitude / $\\rho$")
    size.legend(loc="upper left", **BOX)
    for second, colour, mark in ((0.2, draw.BLUE, "o"), (0.5, draw.RED, "s"), (0.8, draw.GREEN, "^")):
        w = bounce((1.0, second), (2.0, 2.0), range(61), lr=0.2, rho=1.0)[:, 0, 1]
        factor = abs(float(theory.two_cycle_multipliers((1.0, second), lr=0.2)[1]))
        t = np.arange(30, 61)
        rate.semilogy(
            np.abs(w),
            mark,
            color=colour,
            markerfacecolor="none",
            markersize=4,
            label=f"$\\lambda_2/\\lambda_1$ = {second:g}, factor {factor:.3f}",
        )
        rate.plot(t, abs(w[30]) * factor ** (t - 30.0), color=colour, linewidth=1.2)
    rate.set(title="approach: lines of the predicted factor", xlabel="updates t", ylabel="$|w_2|$ (length)")
    rate.legend(loc="lower left", **BOX)
    held = saddle["captured"]
    window.plot(saddle["lr"][held], saddle["m"][held], "o", color=draw.BLUE, markersize=3, label="held by the two-cycle")
    window.plot(saddle["lr"][~held], saddle["m"][~held], "x", color=draw.ORANGE, markersize=4, label="escapes")
    low, high = theory.two_cycle_capture(1.0, lr=x)
    window.fill_between(x, low, high, color=draw.BLUE, alpha=0.12, linewidth=0)
    window.plot(x, np.transpose([low, high]), color=draw.BLACK, linewidth=1.1)
    window.set(
        title="eigenvalues 1 and $-m$",
        xlabel="$\\eta\\lambda_1$",
        ylabel="$m/\\lambda_1$",
        yscale="log",
        ylim=(0.04, 1.5 * saddle["m"].max()),
    )
    window.legend(loc="lower right", fontsize=7.5, **BOX)
    return figure
