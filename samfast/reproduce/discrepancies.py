"""The register of places where a paper and the computation disagree; each entry has the numbers that show it.

K: Kim, Park, Choi, Lee, "Stability Analysis of Sharpness-Aware Minimization" (and its slides).
B: Bartlett, Long, Bousquet, "The Dynamics of Sharpness-Aware Minimization".

K1   Theorem 1: rho >= -1/lambda_1          K2   eq. 17 to 19: a second derivative in time
K3   two drifts for one algorithm           K4   eq. 22: the Gaussian
K5   Corollary 1, eq. 13                    K6   its remainder on the slides
K7   Theorem 3: C2                          K8   Theorem 3: signs of C1 to C4
K9   Theorem 3 is an approximation          K10  eq. 15: proportional to 1/((1 - momentum)*B)
K11  the equation of motion                 K12  Theorem 3 without momentum
K13  the MSD increases with momentum        K14  larger batches
K15  the noise of real minibatches          K16  critical points of Beale's function
K17  Fig. 4: kind of rho                    K18  Fig. 5: two starts
K19  Fig. 7: ridge and minima               K20  Fig. 7c: the loss saturates
K21  a missing gradient sign                K22  eq. 23: Fisher information at a saddle
K23  momentum and escape                    K24  networks on images (open)
B1   Remark 9: a missing factor             B2   Lemma 11: 3 or 4
B3   Theorem 3: a dropped factor            B4   density of Lambda w_0
B5   proof of Lemma 7                       B6   Lemma 16: a superfluous condition
B7   Lemma 18: range of epsilon, sum        B8   Lemma 5: v = 0
B9   Theorem 21: D2 as well                 B10  which vector is normalised
B11  Fig. 5: sigma                          B12  Figs. 3, 4: only for rho > 1 - lr
B13  proof of Lemma 10: the kink of J       B14  lr < 1/(2*lambda_1)
B15  Theorem 3 is loose                     B16  proof of Lemma 7: the density

A verdict judges the printed statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import theory
from . import draw
from .experiments import Outcome, Progress, experiment
from .register.bouncing import ENTRIES as BOUNCING
from .register.diffusion import ENTRIES as DIFFUSION
from .register.entry import Entry, Means
from .register.stability import ENTRIES as STABILITY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENTRIES = {**STABILITY, **DIFFUSION, **BOUNCING}
ORDER = sorted(ENTRIES, key=lambda label: (label[0] == "B", int(label[1:])))


@experiment("discrepancies", "What is printed and what the computation gives, entry by entry")
def run(size: float = 1.0, progress: Progress = None, executor: Any = None) -> Outcome:
    """Every entry of the register, with the printed statement, the correct one, and the numbers that show it."""
    means = Means(size, progress, executor)
    entries = {label: ENTRIES[label](means) for label in ORDER}
    numbers = {label: dict(e.numbers) for label, e in entries.items()}
    return Outcome(
        tuple(e.claim for e in entries.values()),
        numbers,
        {"register": _register(entries)},
        {"discrepancies": _picture(entries)},
    )


def _register(entries: dict[str, Entry]) -> dict[str, list[str]]:
    """Returns the table of all entries in order."""
    table: dict[str, list[str]] = {k: [] for k in ("entry", "where", "printed", "correct", "measured", "verdict")}
    for label, e in entries.items():
        cells = (e.where, e.printed, e.correct, e.measured, e.verdict)
        for column, cell in zip(table.values(), (label, *cells), strict=True):
            column.append(cell)
    return table


@draw.styled
def _picture(entries: dict[str, Entry]) -> Figure:
    """Draws six of the entries."""
    figure, axes = draw.panels(2, 3, (13.2, 8.0))
    for draw_one, place, label in zip(
        (_k1, _k5, _k9, _k13, _k14, _k15), axes.ravel(), ("K1", "K5", "K9", "K13", "K14", "K15"), strict=True
    ):
        draw_one(place, entries[label])
        place.legend(fontsize=8)
    return figure


def _k1(axes: Axes, e: Entry) -> None:
    w, t = np.linspace(0, 1, 200), np.array([0.0])
    for a, colour, line in ((0.5, draw.RED, "-"), (-0.5, draw.BLUE, "--")):
        speed = a * w**3 - a**4 * w**9
        axes.plot(w, speed, line, color=colour, label=f"$-w^2/2{'+' if a > 0 else '-'}w^4/8$")
    axes.axhline(0, color=draw.GREY, linewidth=0.8)
    axes.plot(t, t, "X", color=draw.BLACK, markersize=8, label="saddle, eigenvalue $-1$")
    axes.set(title="K1  SAM's flow at $\\rho=1/|\\lambda|$", xlabel="w (length)", ylabel="dw/dt")


def _k5(axes: Axes, e: Entry) -> None:
    rho = np.linspace(0.01, 3, 300)
    about: dict[str, Any] = {"eigenvalue": -1.0, "lr": 1e-3, "rho": rho}
    printed = theory.corollary1(0.01, **about)
    for drift, colour, line, label in (("chain", draw.RED, "-", "published drift"), ("plain", draw.BLUE, "--", "SAM")):
        axes.plot(rho, theory.corollary1_exact(0.01, drift=drift, **about) / printed, line, color=colour, label=label)
    axes.plot(e.numbers["rho"], 1 / e.numbers["chain"], "o", color=draw.RED, markerfacecolor="white")
    axes.plot(e.numbers["rho"], 1 / e.numbers["plain"], "s", color=draw.BLUE, markerfacecolor="white")
    axes.axhline(1, color=draw.GREY, linestyle=":", label="as printed, eq. 13")
    axes.axhline(0, color=draw.GREY, linewidth=0.8)
    axes.set(title="K5  Corollary 1 at $|\\lambda|t=0.01$", xlabel="$\\rho|\\lambda|$", ylabel="exact difference / printed")


def _k9(axes: Axes, e: Entry) -> None:
    n = np.unique(np.geomspace(10, 10_000, 60).astype(int))
    for momentum, colour, line in ((0.5, draw.BLUE, "-"), (0.9, draw.RED, "--"), (0.95, draw.GREEN, "-.")):
        exact = theory.heavy_ball_moments(n, curvature=-1.0, lr=0.1 / n, momentum=momentum, gradient_variance=1.0).var
        axes.loglog(
            n,
            theory.theorem3(0.1, eigenvalue=-1.0, lr=0.1 / n, momentum=momentum) / exact,
            line,
            color=colour,
            label=f"momentum {momentum:g}",
        )
    axes.axhline(1, color=draw.GREY, linewidth=0.8)
    axes.set(title="K9  Theorem 3 at $|\\lambda|t=0.1$", xlabel="updates", ylabel="Theorem 3 / exact MSD")


def _k13(axes: Axes, e: Entry) -> None:
    g = np.linspace(0, 0.9, 91)
    for step, colour, line in ((-0.01, draw.BLUE, "-"), (0.5, draw.GREEN, "-."), (1.5, draw.RED, "--")):
        msd = theory.heavy_ball_moments(100, curvature=step, lr=1.0, momentum=g, gradient_variance=1.0).var
        axes.semilogy(g, msd / msd[0], line, color=colour, label=f"$\\eta\\kappa$ = ${step:g}$")
    tied = theory.heavy_ball_moments(100, curvature=-0.01, lr=1.0, momentum=g, dampening=g, gradient_variance=1.0).var
    axes.plot(g, tied / tied[0], ":", color=draw.BLACK, linewidth=1.8, label="$\\eta\\kappa$ = $-0.01$, dampening = momentum")
    axes.set(title="K13  MSD after 100 updates", xlabel="momentum", ylabel="MSD / MSD without momentum")


def _k14(axes: Axes, e: Entry) -> None:
    size, msd, loss = (np.asarray(e.numbers[k]) for k in ("batch_size", "msd", "toy_loss"))
    axes.plot(size, msd, "o-", color=draw.BLUE, markerfacecolor="white", label="MSD at a saddle (left)")
    other = axes.twinx()  # the two quantities belong to two problems, so each has an axis of its own
    other.plot(size, loss, "s--", color=draw.RED, markerfacecolor="white")
    axes.plot([], [], "s--", color=draw.RED, markerfacecolor="white", label="loss of the toy network (right)")
    other.set_ylabel("mean loss, 2.5 on the ridge", color=draw.RED)
    other.set_ylim(2.24, 2.56)
    other.grid(False)
    axes.set(title="K14  batch size", xlabel="batch size", ylim=(msd[-1] / 2, 4 * msd[0]), yscale="log")
    axes.set_ylabel("mean squared displacement (length²)", color=draw.BLUE)
    axes.set_xscale("log", base=2)
    axes.set_xticks(size, [str(x) for x in size])


def _k15(axes: Axes, e: Entry) -> None:
    r = np.linspace(0, 2, 200)
    axes.plot(r, theory.noise_factor(-1.0, rho=r, noise="same"), color=draw.BLUE, label="one minibatch in both gradients")
    axes.axhline(1, color=draw.GREY, linestyle="--", label="assumed in the paper")
    axes.errorbar(
        e.numbers["rho"],
        e.numbers["factor"],
        5 * e.numbers["error"],
        fmt="o",
        color=draw.RED,
        capsize=3,
        markerfacecolor="white",
        label="simulated, 5 standard errors",
    )
    axes.set(
        title="K15  noise of SAM at a saddle", xlabel="$\\rho|\\lambda|$", ylabel="variance / ($|\\lambda|/B$)", ylim=(0, 1.45)
    )
