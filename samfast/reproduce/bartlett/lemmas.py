"""Bartlett, Long, Bousquet, sections 3 to 5: the lemmas behind Theorems 1 to 3, zero eigenvalues, and the minimax problem (1).

Each lemma is checked in the form in which its step stands in the bound of Theorem 3, on random quadratics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ... import theory
from .. import draw
from ..experiments import FAILS, ONLY, SUFFICIENT, Claim, Outcome, Progress, experiment, verdict
from .paths import BOX, PAPER, bounce

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CASES, STARTS, SEED = 2000, 20_000, 7
FIG_1: dict[str, Any] = {"lr": 0.2, "rho": 1.0}
EIGENVALUES, RADIUS = (1.0, 0.5), float(np.hypot(2, 2))
CLOSE = 10.0 ** -np.arange(1.0, 4.5, 0.5)  # distances from the sphere on which v_1 becomes 0
STEPS = 3 / 2.0 ** np.arange(3, 8)  # learning rates, from 0.375 to 0.023
FINE = 10.0 ** -np.arange(2, 9)  # distances from the two-cycle
LONG = 4000  # updates that suffice for the smallest of STEPS and of FINE
ALIKE = (1.0, 0.9999, 0.5)  # the second direction is nearly as steep as the first
SLACK = 1e-9  # relative, for rounding
CAPTION = (
    "Settings of this library: curvatures 1 and ½, learning rate 0.2, radius 1, starts uniform in a disc of radius 2.83. Left: "
    "share of the paths that come so close to the sphere |v| = gamma_1 before |v| is below b. Middle: updates after which "
    "99 % of the starts stay within 0.01 of the two-cycle, and the bound. Right: the largest loss within the radius, along w_1."
)


@experiment("bartlett-lemmas", "The lemmas behind Theorem 3, zero eigenvalues, and the minimax problem")
def run(size: float = 1.0, progress: Progress = None, executor: Any = None) -> Outcome:
    """Violations of each lemma on random quadratics, the scaling of the updates, and what SAM does not minimise."""
    cases, starts = max(400, int(size * CASES)), max(1000, int(size * STARTS))
    numbers: dict[str, Any] = {
        "cases": cases,
        "starts": starts,
        "lemma_6": _lemma_6(cases),
        "lemma_7": _lemma_7(starts),
        "growth": _growth(10 * cases),
        "settling": _settling(cases // 4),
        "scaling": _scaling(max(100, starts // 100)),
        "flat": _flat(),
        "minimax": _minimax(),
    }
    seven, scaling, most = numbers["lemma_7"], numbers["scaling"], numbers["minimax"]
    tables = {
        "lemma-7": {"distance": CLOSE, "share": seven["share"]},
        "updates": {k: scaling[k] for k in ("lr", "updates", "bound")},
        "worst-loss": {"w_1": most["w"], "worst_loss": most["worst"]},
    }
    return Outcome(_claims(numbers), numbers, tables, {"lemmas": _picture(numbers)})


def _quadratics(rng: np.random.Generator, cases: int, flattest: float = 0.05) -> dict[str, Any]:
    """Returns random eigenvalues (case, 3) with the largest one first, lr*lambda_1 below 1/2, and radii."""
    scale = 10 ** rng.uniform(-1, 1, cases)
    e = np.sort(rng.uniform(flattest, 0.98, (cases, 3)), -1)[:, ::-1].copy()
    e[:, 0] = 1.0
    return {
        "eigenvalues": e * scale[:, None],
        "lr": rng.uniform(0.05, 0.49, cases) / scale,
        "rho": 10 ** rng.uniform(-1, 1, cases),
    }


def _least_growth(e: np.ndarray, lr: Any) -> np.ndarray:
    """Returns m = min(lr*lambda_d, lambda_1^2/lambda_2^2 - 1) of Theorem 3."""
    return np.minimum(lr * e[..., -1], (e[..., 0] / e[..., 1]) ** 2 - 1)


def _directions(rng: np.random.Generator, cases: int) -> np.ndarray:
    v = rng.standard_normal((cases, 3))
    return np.asarray(v / np.linalg.norm(v, axis=-1, keepdims=True))


def _lemma_6(cases: int) -> dict[str, Any]:
    """Counts the updates until |v| <= b from |v_0| up to 100 b, beside ln(|v_0|/b)/(lr*lambda_d)."""
    rng = np.random.default_rng(SEED)
    about = _quadratics(rng, cases, 0.2)
    e, b = about["eigenvalues"], about["lr"] * about["rho"] * about["eigenvalues"][:, 0] ** 2
    v, ratio = _directions(rng, cases), 10 ** rng.uniform(0, 2, cases)
    w, needed = v * (ratio * b)[:, None] / e, np.zeros(cases, int)
    allowed = np.ceil(np.log(ratio) / (about["lr"] * e[:, 2]))
    for _ in range(int(allowed.max()) + 1):
        outside = np.linalg.norm(e * w, axis=-1) > b * (1 + SLACK)
        needed += outside
        w = np.where(outside[:, None], theory.normalized_sam_step(w, **about), w)
    return {"violations": int((needed > allowed).sum()), "largest_share": float((needed / np.maximum(allowed, 1)).max())}


def _lemma_7(starts: int) -> dict[str, Any]:
    """Shares of paths that come close to |v| = gamma_1, where v_1 becomes 0, and the logarithm of the lemma's bound on them."""
    rng, e = np.random.default_rng(SEED + 1), np.array(EIGENVALUES)
    c = theory.bounce_constants(e, **FIG_1)
    b, first = float(c.absorbing), float(c.gamma[0])
    angle, r = 2 * np.pi * rng.random(starts), RADIUS * np.sqrt(rng.random(starts))
    w, closest = r[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1), np.full(starts, np.inf)
    until = int(np.ceil(np.log(RADIUS / (FIG_1["lr"] * FIG_1["rho"])) / (FIG_1["lr"] * e[1])))
    for _ in range(until):
        length = np.linalg.norm(e * w, axis=-1)
        closest = np.minimum(closest, np.where(length > b, np.abs(length - first), np.inf))
        w = np.where((length > b)[:, None], theory.normalized_sam_step(w, eigenvalues=e, **FIG_1), w)
    share = (closest < CLOSE[:, None]).mean(-1)
    density, d = e.prod() ** -1 / (np.pi * RADIUS**2), len(e)  # of v_0 = Lambda w_0
    log_bound = np.log(until * density * 4 * np.pi * 4 * b * CLOSE) + d * until * np.log(6 / (FIG_1["lr"] * e[1]))
    return {
        "share": share,
        "log10_bound": log_bound / np.log(10),
        "slope": float(np.polyfit(np.log(CLOSE[:5]), np.log(share[:5]), 1)[0]),
    }


def _growth(cases: int) -> dict[str, Any]:
    """How much |v_1/v_i| grows in a step, relative to 1 + m for small |v|, and to lr*lambda_1/4 for |v| <= b.

    Small is |v| <= (1 + lambda_d^2/lambda_1^2)*beta_1, the excess at which Theorem 3 takes Lemma 11.
    """
    rng = np.random.default_rng(SEED + 2)
    about = _quadratics(rng, cases)
    e, lr = about["eigenvalues"], about["lr"]
    c = theory.bounce_constants(**about)
    small = (1 + (e[:, 2] / e[:, 0]) ** 2) * c.beta[:, 0]

    def factor(length: np.ndarray) -> np.ndarray:
        v = _directions(rng, cases) * (length * (1 - SLACK))[:, None]
        after = e * theory.normalized_sam_step(v / e, **about)
        return np.asarray(np.abs(after[:, :1] / after[:, 1:] * v[:, 1:] / v[:, :1]).min(-1))

    inside = np.sqrt(rng.random(cases))
    below = factor(inside * small) / (1 + _least_growth(e, lr))
    anywhere = factor(inside * c.absorbing) / (lr * e[:, 0])
    return {"cases": cases, "least_below": float(below.min()), "least_anywhere": float(anywhere.min())}


def _settling(cases: int) -> dict[str, Any]:
    """Updates to the two-cycle once v_1 dominates, as a share of the fourth term of Theorem 3.

    Starts have sum_(i>=2) v_i^2 = v_1^2*lambda_d^2*epsilon^2/(4*(1 + b)^2) and any |v| <= b.
    """
    rng = np.random.default_rng(SEED + 3)
    about = _quadratics(rng, cases)
    e, lr, rho = about["eigenvalues"], about["lr"], about["rho"]
    b, most = lr * rho * e[:, 0] ** 2, np.minimum(np.minimum(np.sqrt(lr * e[:, 0] / 2), 0.5 / (rho * e[:, 0])), 1.0)
    distance = np.minimum(most, b / 2) * 10 ** rng.uniform(-3, -0.01, cases)
    across = _directions(rng, cases)
    across[:, 0] = 0
    across *= (e[:, 2] * distance / (2 * (1 + b)) / np.linalg.norm(across, axis=-1))[:, None]
    v = np.concatenate([np.ones((cases, 1)), across[:, 1:]], -1)
    v *= (b * (0.02 + 0.98 * rng.random(cases)) / np.linalg.norm(v, axis=-1))[:, None]
    allowed = 6 / (lr * e[:, 0]) * np.log(2 * (1 + b) / (e[:, 2] * distance))
    w, last, sign = v / e, np.zeros(cases), np.sign(v[:, 0])
    amplitude, flips = theory.two_cycle_amplitude(e[:, 0], lr=lr, rho=rho), True
    for t in range(int(allowed.max()) + 1):
        away = np.linalg.norm(w - np.stack([sign * amplitude, 0 * sign, 0 * sign], -1), axis=-1) > distance
        last[away] = t + 1
        w, sign = theory.normalized_sam_step(w, **about), -sign
        flips &= bool((np.sign(w[:, 0]) == sign).all())
    return {"violations": int((last > allowed).sum()), "largest_share": float((last / allowed).max()), "flips": flips}


def settled_too_early() -> dict[str, Any]:
    """Distance from the two-cycle after the fourth term's updates, where the sum leaves out i = 2, as printed, and where not.

    Both starts meet the condition of the settling phase for their sum; the second direction is nearly as steep as the first.
    """
    e, distance = np.array(ALIKE), 0.01
    b = FIG_1["lr"] * FIG_1["rho"]
    limit = e[2] * distance / (2 * (1 + b))
    v = np.array([[0.6, 0.8, 0.6 * limit], [1.0, limit / np.sqrt(2), limit / np.sqrt(2)]]) * b / 2
    steps = int(np.ceil(6 / FIG_1["lr"] * np.log(2 * (1 + b) / (e[2] * distance))))
    w = bounce(e, v / e, [steps], **FIG_1)[0]
    amplitude = float(theory.two_cycle_amplitude(1.0, **FIG_1))
    return {
        "epsilon": distance,
        "updates": steps,
        "distance": np.linalg.norm(np.abs(w) - [amplitude, 0, 0], axis=-1),
        "sum_over_v1": [float((v[0, 2:] ** 2).sum() / v[0, 0] ** 2), float((v[1, 1:] ** 2).sum() / v[1, 0] ** 2)],
        "allowed": limit**2,
        "largest_epsilon": float(np.sqrt((5 - np.sqrt(13)) / 6)),
        "at_largest": float(_gain(np.sqrt((5 - np.sqrt(13)) / 6))),
        "at_1": float(_gain(1.0)),
        "at_half": float(_gain(0.5)),
        "at_0.4": float(_gain(0.4)),
    }


def _gain(epsilon: float) -> float:
    """Returns (1 + 3*eps^2)*(1 - eps^2)^2, which is at least 1 for eps^2 <= (5 - sqrt(13))/6 and small eps only."""
    return (1 + 3 * epsilon**2) * (1 - epsilon**2) ** 2


def _scaling(starts: int) -> dict[str, Any]:
    """Updates after which 99 % of the starts stay close to the two-cycle, over lr and over the distance; and the bound."""
    rng, e = np.random.default_rng(SEED + 4), np.array(EIGENVALUES)
    angle, r = 2 * np.pi * rng.random(starts), RADIUS * np.sqrt(rng.random(starts))
    w = np.broadcast_to(r[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1), (len(STEPS), starts, 2))
    about: dict[str, Any] = {"lr": STEPS[:, None], "rho": 1.0}
    amplitude = theory.two_cycle_amplitude(1.0, **about)
    last = np.zeros((len(FINE), len(STEPS), starts))
    for t in range(LONG):
        away = np.hypot(np.abs(w[..., 0]) - amplitude, w[..., 1])
        if (away < FINE[-1] / 10).all():
            break
        last = np.where(away > FINE[:, None, None], t + 1, last)
        w = theory.normalized_sam_step(w, eigenvalues=e, **about)
    needed = np.quantile(last, 0.99, axis=-1)
    about = {"radius": RADIUS, "density": 1 / (np.pi * RADIUS**2), "first_squared": (np.pi * RADIUS / 400) ** 2, "delta": 0.01}
    small = float(min(0.01, 0.2 * STEPS[-1]))
    bound = {
        v: np.asarray(theory.bartlett_theorem3_bound(small, eigenvalues=e, lr=STEPS, rho=1.0, version=v, **about))
        for v in ("as_printed", "corrected")
    }
    rate = np.abs(theory.two_cycle_multipliers(e, lr=STEPS)).max(-1)
    return {
        "lr": STEPS,
        "epsilon": FINE,
        "updates": needed[0],
        "bound": bound["corrected"],
        "as_printed": bound["as_printed"],
        "per_e_fold": -np.polyfit(np.log(FINE), needed, 1)[0],
        "per_e_fold_theory": -1 / np.log(rate),
        "power": float(-np.polyfit(np.log(STEPS), np.log(needed[0]), 1)[0]),
        "power_of_bound": float(-np.polyfit(np.log(STEPS), np.log(bound["corrected"]), 1)[0]),
    }


def _flat() -> dict[str, Any]:
    """A quadratic with an eigenvalue of 0: the shift along it, and the distance from the two-cycle across."""
    rng = np.random.default_rng(SEED + 5)
    starts = rng.standard_normal((8, 3))
    w = bounce((1.0, 0.5, 0.0), starts, [400], **FIG_1)[0]
    away = np.abs(np.abs(w[:, :2]) - [float(theory.two_cycle_amplitude(1.0, **FIG_1)), 0.0]).max()
    factor = theory.two_cycle_multipliers((1.0, 0.5, 0.0), lr=FIG_1["lr"])[2:]
    return {"moved": float(np.abs(w[:, 2:] - starts[:, 2:]).max()), "away": float(away), "multipliers": factor}


def _minimax() -> dict[str, Any]:
    """The minimax problem (1) on the quadratic of Fig. 1: its solution by descent, and its value on the two-cycle of SAM."""
    from scipy.optimize import minimize

    def worst(w: np.ndarray) -> Any:
        return theory.worst_loss(w, eigenvalues=EIGENVALUES, rho=FIG_1["rho"])

    amplitude = float(theory.two_cycle_amplitude(EIGENVALUES[0], **FIG_1))
    found = minimize(worst, (2.0, 2.0), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9})
    w = np.linspace(-3, 3, 241) * amplitude
    return {
        "solution": float(np.linalg.norm(found.x)),
        "least": float(found.fun),
        "least_theory": EIGENVALUES[0] * FIG_1["rho"] ** 2 / 2,
        "on_two_cycle": float(worst(np.array([amplitude, 0.0]))),
        "amplitude": amplitude,
        "w": w,
        "worst": np.asarray(worst(np.stack([w, 0 * w], -1))),
    }


def _claims(n: dict[str, Any]) -> tuple[Claim, ...]:
    six, seven, grow, near = (n[k] for k in ("lemma_6", "lemma_7", "growth", "settling"))
    scale, flat, most = n["scaling"], n["flat"], n["minimax"]
    under = bool((np.log10(seven["share"]) <= seven["log10_bound"]).all())
    slowest = scale["per_e_fold"] / scale["per_e_fold_theory"]
    return (
        Claim(
            "Lemma 6: |v| = |Lambda w| is at most b after ln(|v_0|/b)/(lr*lambda_d) updates",
            f"{six['violations']} of {n['cases']:,} random quadratics need more, {six['largest_share']:.2f} of it at most",
            verdict(six["violations"] == 0),
            f"{PAPER}, Lemma 6, as the third term of Theorem 3 uses it; theory.bartlett_theorem3_terms",
        ),
        Claim(
            "Lemma 7: with probability 1 - delta no path comes closer to |v| = gamma_1, where v_1 becomes 0, than delta allows",
            f"share of {n['starts']:,} paths closer than {CLOSE[0]:g}, {CLOSE[2]:g}, {CLOSE[4]:g}: {seven['share'][0]:.2g}, "
            f"{seven['share'][2]:.2g}, {seven['share'][4]:.2g}, as the distance to the power {seven['slope']:.2f}; bound "
            f"1e{seven['log10_bound'].max():.0f}",
            verdict(under and abs(seven["slope"] - 1) < 0.15),
            f"{PAPER}, Lemma 7, as the third term of Theorem 3 uses it; theory.bartlett_theorem3_terms",
        ),
        Claim(
            "Lemmas 13, 14: |v_1/v_i| grows by 1 + min(lr*lambda_d, lambda_1^2/lambda_2^2 - 1) where |v| is at most (1 + "
            "lambda_d^2/lambda_1^2)*beta_1, and falls by 4/(lr*lambda_1) at most elsewhere",
            f"{grow['cases']:,} random steps: growth at least {grow['least_below']:.4f} of it below, and at least "
            f"{grow['least_anywhere']:.2f}*lr*lambda_1 for |v| <= b",
            verdict(grow["least_below"] > 1 - SLACK and grow["least_anywhere"] > 0.25),
            f"{PAPER}, Lemmas 13 and 14, as the first two terms of Theorem 3 use them; theory.bounce_constants",
        ),
        Claim(
            "Lemmas 17 to 20: once sum_(i>=2) v_i^2 <= v_1^2*(lambda_d*eps/(2 + 2b))^2, SAM is within eps of the two-cycle "
            "after 6/(lr*lambda_1)*ln(2(1 + b)/(lambda_d*eps)) updates",
            f"{near['violations']} of {n['cases'] // 4:,} random starts need more, {near['largest_share']:.3f} of it at most; "
            f"v_1 changes its sign in every update: {near['flips']}",
            verdict(near["violations"] == 0 and near["flips"]),
            f"{PAPER}, Lemmas 17 to 20, as the last two terms of Theorem 3 use them; theory.bartlett_theorem3_terms",
        ),
        Claim(
            "Theorem 1: for a fixed quadratic the number of updates is polynomial in 1/lr and logarithmic in 1/eps",
            f"from lr = {scale['lr'][0]:g} to {scale['lr'][-1]:.2g} as lr^-{scale['power']:.2f} (the bound as "
            f"lr^-{scale['power_of_bound']:.2f}); an e-fold of 1/eps costs {scale['per_e_fold'][0]:.2f} to "
            f"{scale['per_e_fold'][-1]:.2f} updates, {slowest.min():.3f} to {slowest.max():.3f} of -1/ln(largest multiplier)",
            verdict(np.abs(slowest - 1).max() < 0.05 and 0.7 < scale["power"] < scale["power_of_bound"]),
            f"{PAPER}, Theorem 1; theory.two_cycle_multipliers, theory.bartlett_theorem3_bound",
        ),
        Claim(
            "it is assumed that all eigenvalues are positive (section 5 lets them be 0)",
            f"eigenvalues 1, 1/2, 0: in 400 updates w moves by {flat['moved']:g} along the flat direction and comes within "
            f"{flat['away']:.0e} of the two-cycle across it",
            _zero(flat),
            f"{PAPER}, Theorems 1 to 3 and section 5; theory.two_cycle_multipliers",
        ),
        Claim(
            "SAM does not come to the minimax solution of (1), which it was made for",
            f"the solution is w = 0 (within {most['solution']:.0e}) with the value {most['least']:.6f}, lambda_1*rho^2/2 = "
            f"{most['least_theory']:g}; on SAM's two-cycle it is {most['on_two_cycle']:.6f}",
            verdict(most["solution"] < 1e-4 and most["on_two_cycle"] > most["least"] * (1 + 1e-6)),
            f"{PAPER}, section 1 and eq. 1; theory.worst_loss",
        ),
    )


def _zero(flat: dict[str, Any]) -> str:
    """Returns the verdict on the condition that no eigenvalue is 0; it is needed if a flat direction moves."""
    if flat["moved"] == 0 and flat["away"] < 1e-9:
        return SUFFICIENT
    return FAILS if flat["away"] > 1e-9 else ONLY + "no direction is flat"


@draw.styled
def _picture(n: dict[str, Any]) -> Figure:
    figure, ((left, middle, right),) = draw.panels(1, 3, (13.2, 4.7), CAPTION)
    seven, scale, most = n["lemma_7"], n["scaling"], n["minimax"]
    left.loglog(CLOSE, seven["share"], "o", color=draw.BLUE, markerfacecolor="white", label="share of the paths")
    left.plot(
        CLOSE, seven["share"][0] * CLOSE / CLOSE[0], color=draw.GREY, linestyle="--", label="proportional to the distance"
    )
    left.set(title="Lemma 7: $v_1$ nearly lost", xlabel="distance from $|v|=\\gamma_1$ (1/length)", ylabel="share")
    left.legend(loc="upper left")
    middle.loglog(scale["lr"], scale["updates"], "o-", color=draw.BLUE, markerfacecolor="white", label="99 % of the starts")
    middle.plot(scale["lr"], scale["bound"], "s--", color=draw.RED, markerfacecolor="white", label="Theorem 3, corrected")
    middle.set(title="updates and the bound", xlabel="learning rate (length²)", ylabel="updates")
    middle.set_xticks(scale["lr"], [f"{x:.2g}" for x in scale["lr"]])
    middle.minorticks_off()
    middle.legend(loc="center right", **BOX)
    a = most["amplitude"]
    right.plot(most["w"], most["worst"], color=draw.BLACK, label="largest loss within $\\rho$")
    right.plot(0, most["least_theory"], "*", color=draw.GREEN, markersize=13, label="minimax solution")
    right.plot([-a, a], [most["on_two_cycle"]] * 2, "D", color=draw.RED, markerfacecolor="white", label="SAM's two-cycle")
    right.set(title="what SAM does not minimise", xlabel="$w_1$ (length)", ylabel="max of the loss within $\\rho$")
    right.legend(loc="upper center")
    return figure
