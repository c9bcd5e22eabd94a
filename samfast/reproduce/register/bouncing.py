"""Register of discrepancies, Bartlett et al.: SAM on quadratics (B1 to B8, B10, B13 to B16) and its drift (B9, B11, B12)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import theory
from ...landscape.curvature import sharpness
from ...model.losses import ravine
from ..bartlett.lemmas import settled_too_early
from ..bartlett.paths import PAPER, ROUNDING, bounce
from ..bartlett.ravine import LR, RHO, reached
from ..bartlett.theorem3 import DISC, EPSILON, FIG_1, FINER, overshoots, theorem_3
from ..bartlett.theorem21 import CASE, LOSSES, step
from ..experiments import FAILS, SUFFICIENT, verdict
from .entry import Entry, Means, Show, row, weaker

FLAT: dict[str, Any] = {"eigenvalues": (1.0, 0.2), "lr": 0.2, "rho": 1.0}
SEED = 16


def b1(means: Means) -> Entry:
    about: dict[str, Any] = {"eigenvalues": (3.0, 1.0), "lr": 0.1, "rho": 1.0}
    norms, _ = theory.bouncing_stationary(about["eigenvalues"], lr=about["lr"], rho=about["rho"])
    least = float(np.linalg.eigvalsh(theory.bouncing_hessian([0.0, norms[1]], **about))[0])
    printed, correct = (float(theory.escape_curvature_bound(version=v, **about)) for v in ("as_printed", "corrected"))
    return Entry(
        "B1",
        f"{PAPER}, Remark 9",
        "most negative curvature of J off its minimum: at most 1/beta_1 - 1/beta_2",
        "lambda_1^2 times that (units of 1/length)",
        f"eigenvalues 3 and 1: {least:.6f} at the saddle of J; printed {printed:.6f}, corrected {correct:.6f}",
        verdict(abs(least / printed - 1) < 1e-9),
        "theory.escape_curvature_bound",
        {"least": least, "printed": printed, "correct": correct},
    )


def b2(means: Means) -> Entry:
    counts = overshoots(max(200, int(1000 * means.size)), np.array([0.1]))
    about = {"bracket": 0.0, "as_printed": 0.0, "corrected": 0.0}
    for version in about:
        about[version] = float(theory.overshoot_bound(0.1, version=version, **FLAT))
    beta: np.ndarray = theory.bounce_constants(FLAT["eigenvalues"], lr=0.2, rho=1.0).beta
    left, right = 2 * beta[0] ** 2 / beta[1] + beta[0] / 2, 3 * beta[0] ** 2 / (2 * beta[1])
    return Entry(
        "B2",
        f"{PAPER}, Lemma 11",
        "at most 3*beta_1/(lr*eps^2*lambda_1*beta_d), by 2*beta_1^2/beta_d + beta_1/2 <= 3*beta_1^2/(2*beta_d)",
        "4 in place of 3",
        f"eigenvalues 1 and 0.2: the inequality reads {left:.4f} <= {right:.4f}; the proof's bracket is "
        f"{about['bracket'] / about['as_printed']:.4f} times the printed bound; largest count {int(counts[0])} of "
        f"{about['as_printed']:.3g}",
        verdict(left <= right),
        "theory.overshoot_bound",
        {"left": left, "right": right, "count": int(counts[0]), **about},
    )


def b3(means: Means) -> Entry:
    about: dict[str, Any] = DISC | FIG_1 | {"distance": EPSILON}
    top = np.array([0.1, 0.25, 0.4999])
    first = {
        v: np.array(
            [
                theory.bartlett_theorem3_terms(**about | {"lr": x, "distance": x / 100}, eigenvalues=(1.0, 1e-4), version=v)[0]
                for x in top
            ]
        )
        for v in ("as_printed", "corrected")
    }
    factor = first["corrected"] / first["as_printed"] * 3 / 4  # 3/4, as the corrected term has Lemma 11's 4 for 3 too
    return Entry(
        "B3",
        f"{PAPER}, Theorem 3, first term",
        "6*lambda_1^5/(lr*lambda_d^6*m)*ln(4/(lr*lambda_1)), which takes (2 - lr*lambda_d)/(2 - lr*lambda_1) for at most 1",
        "times that factor, which is up to 4/3 for lr*lambda_1 < 1/2",
        f"the factor at lr*lambda_1 = 0.1, 0.25, 0.4999 and lambda_d = lambda_1/10000: {row(factor, '.4f')}; the "
        f"bound's first term is {row(first['as_printed'], '.3g')} as printed, "
        f"{row(first['corrected'], '.3g')} with this and 4 for 3",
        verdict(factor.max() < 1 + 1e-9),
        "theory.bartlett_theorem3_terms",
        {"lr_top": top, "factor": factor, **first},
    )


def b4(means: Means) -> Entry:
    rng, n, e, radius, side = np.random.default_rng(SEED), 200_000, np.array([1.0, 0.5]), 2.0, 0.4
    w = _disc(rng, radius, n)
    density = [float((np.abs(x) < side / 2).all(-1).mean()) / side**2 for x in (w, e * w)]
    error = np.sqrt(density[1] / n) / side
    return Entry(
        "B4",
        f"{PAPER}, Lemma 7 in Theorem 3",
        "the density of v_0 = Lambda w_0 is at most A if that of w_0 is",
        "at most A/prod(lambda_i)",
        f"w_0 uniform in a disc, eigenvalues 1 and 0.5, {n:,} points: density {density[0]:.4f} of w_0 at 0, "
        f"{density[1]:.4f} +- {error:.4f} of v_0",
        verdict(density[1] <= density[0] + 5 * error),
        "",
        {"w": density[0], "v": density[1], "error": error},
    )


def _disc(rng: np.random.Generator, radius: float, n: int) -> np.ndarray:
    angle = 2 * np.pi * rng.random(n)
    return radius * np.sqrt(rng.random(n))[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)


def b5(means: Means) -> Entry:
    e, lr, rho, h = np.array([1.0, 0.6]), 0.2, 1.0, 1e-6
    v = np.array([0.3, 0.2])

    def after(x: np.ndarray) -> np.ndarray:
        return np.asarray(e * theory.normalized_sam_step(x / e, eigenvalues=e, lr=lr, rho=rho))

    g, pull, size = 1 - lr * e, lr * rho * e**2, float(np.linalg.norm(v))
    plus, minus = (float(np.abs(after(v) - (g * v + s * pull * v / size)).max()) for s in (1, -1))
    slopes = np.stack([(after(v + h * d) - after(v - h * d)) / (2 * h) for d in np.eye(2)], -1)
    seen, correct = float(np.linalg.det(slopes)), float(theory.step_determinant(v, eigenvalues=e, lr=lr, rho=rho))
    inner = g - pull / size
    flipped = float(np.prod(inner) * (1 - (v**2 / size**2 * pull / inner).sum() / size))
    return Entry(
        "B5",
        f"{PAPER}, proof of Lemma 7, eq. 6",
        "f(v) = Gv + Hv/|v|; the sum in the determinant with the other sign (and a factor 4)",
        "f(v) = Gv - Hv/|v|; prod(g_i - h_i/r)(1 + sum(v_i^2 h_i/(g_i - h_i/r))/r^3)",
        f"one step of SAM differs from the printed f by {plus:.3f}, from the other by {minus:.0e}; determinant by "
        f"differences {seen:.6f}, corrected {correct:.6f}, other sign {flipped:.6f}",
        verdict(plus < ROUNDING),
        "theory.step_determinant",
        {"printed_f": plus, "correct_f": minus, "determinant": seen, "correct": correct, "flipped": flipped},
    )


def b6(means: Means) -> Entry:
    rng, n = np.random.default_rng(SEED), max(2000, int(20_000 * means.size))
    e = np.sort(rng.uniform(0.05, 1.0, (n, 3)))[:, ::-1]
    lr, rho = rng.uniform(0.01, 0.499, n) / e[:, 0], 10 ** rng.uniform(-2, 2, n)
    c = theory.bounce_constants(e, lr=lr, rho=rho)
    v = rng.standard_normal((n, 3))
    v *= (c.absorbing * rng.random(n) / np.linalg.norm(v, axis=-1))[:, None]
    after = theory.normalized_sam_step(v / e, eigenvalues=e, lr=lr, rho=rho)
    flips, below = int((np.sign(after[:, 0]) == -np.sign(v[:, 0])).sum()), bool((c.absorbing < c.gamma[:, 0]).all())
    return Entry(
        "B6",
        f"{PAPER}, Lemma 16",
        "v_1 changes its sign in each step, for delta_t <= lr*lambda_1*beta_1/2",
        "the condition is not needed, and of the wrong dimension: |v| <= b < gamma_1 is enough",
        f"{flips:,} of {n:,} random steps from |v| <= b change the sign of v_1; b < gamma_1 in all: {below}",
        verdict(flips < n or not below, otherwise=SUFFICIENT),
        "theory.bounce_constants",
        {"flips": flips, "cases": n},
    )


def b7(means: Means) -> Entry:
    found = settled_too_early()
    near, far = found["largest_epsilon"], found["distance"]
    return Entry(
        "B7",
        f"{PAPER}, Lemma 18",
        "for 0 < eps <= 1, with the sum of v_i^2 over i > 2",
        "for eps^2 <= (5 - sqrt(13))/6, with the sum over i >= 2",
        f"(1 + 3*eps^2)(1 - eps^2)^2, which is 1 at (5 - sqrt(13))/6, is {found['at_0.4']:.3f} for eps = 0.4, "
        f"{found['at_largest']:.3f} for {near:.4f}, {found['at_half']:.3f} for 0.5, {found['at_1']:g} for 1; "
        f"eigenvalues 1, 0.9999, 0.5, eps = {found['epsilon']:g}: after {found['updates']} updates a start with a small sum "
        f"over i > 2 is {far[0]:.3f} away from the two-cycle, one with a small sum over i >= 2 {far[1]:.1e}",
        verdict(far[0] < found["epsilon"] and found["at_1"] >= 1),
        "theory.bartlett_theorem3_terms",
        found,
    )


def b8(means: Means) -> Entry:
    e, lr, rho = np.array([1.0, 0.5]), 0.2, 1.0
    beta: np.ndarray = theory.bounce_constants(e, lr=lr, rho=rho).beta
    v, beside = np.array([2 * beta[0], 0.0]), np.array([2 * beta[0], 1e-3 * beta[0]])
    after, then = (e * theory.normalized_sam_step(x / e, eigenvalues=e, lr=lr, rho=rho) for x in (v, beside))
    with np.errstate(invalid="ignore"):
        undefined = bool(np.isnan(np.zeros(2) / np.linalg.norm(np.zeros(2))).all())
    falls, good = abs(after[1]) < abs(v[1]), abs(then[1]) < abs(beside[1])
    return Entry(
        "B8",
        f"{PAPER}, Lemma 5 (1), (2)",
        "for every v and every i: |v_i| falls if and only if |v| > beta_i",
        "v = 0 lies outside the domain; v_i must not be 0",
        f"v = (2*beta_1, 0): |v| > beta_2, yet |v_2| goes from 0 to {abs(after[1]):g}; from v_2 = beta_1/1000 it goes to "
        f"{abs(then[1]) / beside[1]:.3f} of that; v/|v| at v = 0 is {'not a number' if undefined else 'a number'}",
        weaker(falls, undefined and good, "v and v_i are not 0"),
        "theory.bounce_constants",
        {"v2_after": abs(after[1]), "undefined_at_0": undefined},
    )


def b9(means: Means) -> Entry:
    loss, bound = LOSSES["cubic"]
    one = step(loss, bound, np.array([CASE["lr"]]), np.array([CASE["rho"]]), np.ones(1))
    points = np.random.default_rng(SEED).normal(size=(50, 2))
    change, rest = float(np.ptp(loss.third(points), axis=0).max()), float(one["remainder"][0])
    return Entry(
        "B9",
        f"{PAPER}, Theorem 21",
        "D3 of the loss is B-Lipschitz",
        "D2 and D3 are",
        f"x^2/2 + x^2*y/2: D3 changes by {change:g}, so B = 0 and the bound is 0; remainder {rest:.2e} at lr = rho = "
        f"0.1, {one['theorem'][0]:.1e} allowed with B = 2",
        verdict(rest <= ROUNDING),
        "theory.wide_minima_remainder",
        {"remainder": rest, "bound_B_2": one["theorem"][0]},
    )


def b10(means: Means) -> Entry:
    e, lr, rho = np.array([2.0, 0.5]), 0.1, 1.0
    w = {"w": np.array([1.0, 0.3]), "gradient": np.array([1.0, 0.3])}
    for _ in range(2000):
        w = {k: x - lr * e * (x + rho * e * x / np.linalg.norm(x if k == "w" else e * x)) for k, x in w.items()}
    seen = {k: float(abs(x[0])) for k, x in w.items()}
    expected = float(theory.two_cycle_amplitude(2.0, lr=lr, rho=rho))
    return Entry(
        "B10",
        f"{PAPER}, section 3",
        "the update is normalised by |w_t|",
        "by |Lambda w_t|, the gradient's length",
        f"eigenvalues 2 and 0.5: amplitude {seen['w']:.6f} with |w_t|, {seen['gradient']:.6f} with |Lambda w_t|; "
        f"Theorem 2 says {expected:.6f}",
        verdict(abs(seen["w"] - expected) < 1e-9),
        "theory.normalized_sam_step",
        {**seen, "theorem": expected},
    )


def b11(means: Means) -> Entry:
    top = float(sharpness(ravine(), [0.0, 0.0])[0])
    amplitude, one = (float(theory.two_cycle_amplitude(x, lr=LR, rho=RHO)) for x in (top, 1.0))
    kick = LR * RHO / (2 - LR)
    return Entry(
        "B11",
        f"{PAPER}, Fig. 5",
        "noise sigma = rho/(2 - lr) has the size of the two-cycle",
        "that is the formula for lambda_1 = 1; here lambda_1 = 2 and sigma = rho/(1 - lr)",
        f"lr*sigma = {kick:.6f}; amplitude {one:.6f} for lambda_1 = 1, {amplitude:.6f} for the ravine's {top:g}",
        weaker(abs(kick / amplitude - 1) < 1e-9, abs(kick / one - 1) < 1e-9, "lambda_1 = 1"),
        "theory.two_cycle_amplitude",
        {"kick": kick, "amplitude": amplitude, "amplitude_1": one},
    )


def b12(means: Means) -> Entry:
    radii = np.array([0.7, 0.79, 0.81, 1.0])
    height = reached(radii, (0.1, 0.1))[:, -1]
    floor: np.ndarray = sharpness(ravine(), np.stack([np.zeros(4), height], -1))[0]
    return Entry(
        "B12",
        f"{PAPER}, Figs. 3, 4",
        "SAM drifts to less sharp minima",
        "on this ravine only for rho > 1 - lr",
        f"rho = 0.7, 0.79, 0.81, 1 with lr = 0.2: |y| = {row(height, '.4f')}, sharpness {row(floor, '.4f')}",
        verdict((height > 1e-3)[2:], "rho > 1 - lr" if (height < 1e-3)[:2].all() else None),
        "theory.ravine_multiplier",
        {"rho": radii, "height": height, "sharpness": floor},
    )


def b13(means: Means) -> Entry:
    h = np.array([1e-2, 1e-4, 1e-6])
    second = np.array([2 * float(theory.bouncing_objective([x, 0.0], **FLAT)) / x**2 for x in h])
    c1 = (2 - FLAT["lr"]) / (FLAT["lr"] * FLAT["rho"])
    u = np.random.default_rng(SEED).normal(size=(max(1000, int(20_000 * means.size)), 2)) * [0.2, 0.5]
    u[::2, 1] = 0  # half of them cross the kink exactly
    after = u - 0.2 * theory.bouncing_gradient(u, **FLAT)
    fall = theory.bouncing_objective(after, **FLAT) - np.asarray(theory.bouncing_objective(u, **FLAT))
    bound = np.asarray(theory.bouncing_descent_bound(u, **FLAT))
    crossed, worst = int((after[::2, 0] * u[::2, 0] < 0).sum()), float(np.max(fall - bound))
    return Entry(
        "B13",
        f"{PAPER}, proof of Lemma 10",
        "the Hessian of J is at most C along the whole segment of a step",
        "J has a kink at 0; the bound of the lemma holds all the same, -|Lambda u| being concave",
        f"second difference of J at 0 over 1e-2, 1e-4, 1e-6: {row(second, '.3g')} (C: {c1:g}); of {len(u):,} steps "
        f"{crossed:,} cross the kink, the largest J(u') - J(u) - bound is {worst:.0e}",
        weaker(np.ptp(second) < 1, worst < ROUNDING, "the segment misses 0"),
        "theory.bouncing_descent_bound",
        {"second_difference": second, "crossed": crossed, "worst": worst},
    )


def b14(means: Means) -> Entry:
    top = np.array([0.4, 0.6, 1.0, 1.5, 1.95])
    w = bounce((1.0, 0.5), (0.7, -1.3), [6000], lr=top, rho=1.0)[:, 0, 0]
    expected: np.ndarray = theory.two_cycle_amplitude(1.0, lr=top, rho=1.0)
    off = np.abs(np.abs(w) / expected[:, None] - [1.0, 0.0]).max(-1)
    grow = float(np.max(np.abs(theory.two_cycle_multipliers((1.0, 0.5), lr=np.array([1.0, 1.5, 1.95, 1.999])))))
    return Entry(
        "B14",
        f"{PAPER}, Theorems 1 to 3",
        "SAM ends in the two-cycle, for lr < 1/(2*lambda_1)",
        "the two-cycle attracts for lr*lambda_1 < 2",
        f"lr*lambda_1 = 0.4, 0.6, 1, 1.5, 1.95: relative distance from the two-cycle {row(off, '.0e')}; largest "
        f"multiplier up to 1.999: {grow:.3f}",
        verdict(off[1:].max() > 1e-9, otherwise=SUFFICIENT),
        "theory.two_cycle_multipliers",
        {"lr_top": top, "off": off, "largest_multiplier": grow},
    )


def b15(means: Means) -> Entry:
    eps = np.array([0.1, 0.01, 0.001])
    counts = overshoots(max(200, int(1000 * means.size)), eps)
    loose = np.asarray(theory.overshoot_bound(eps, **FLAT)) / counts
    needed = max(
        1.0, float(theory.bartlett_theorem3_bound(EPSILON, eigenvalues=(1.0, 0.5), version="as_printed", **DISC | FIG_1))
    )
    path = bounce((1.0, 0.5), (2.0, 2.0), range(101), **FIG_1)[:, 0]
    away = np.hypot(np.abs(path[:, 0]) - float(theory.two_cycle_amplitude(1.0, **FIG_1)), path[:, 1])
    single = int(np.flatnonzero(away > EPSILON)[-1]) + 1
    unit = {v: float(over_another_unit(v)) for v in ("as_printed", "corrected")}
    return Entry(
        "B15",
        f"{PAPER}, Theorem 3",
        "an explicit bound on the number of updates",
        "sufficient and loose by many decades; it changes with the unit of length, which the path does not",
        f"Fig. 1, eps = {EPSILON:g}: {needed:.3g} against {single} updates from (2, 2), {needed / single:.1e} times as many; "
        f"with a ten times shorter unit of length {unit['as_printed']:.4f} times that (corrected {unit['corrected']:.4f}); "
        f"eps = 0.1, 0.01, 0.001: Lemma 11 allows {row(loose, '.1e')} times the largest count ({row(counts, 'g')})",
        FAILS if needed < single else verdict(needed < 10 * single, otherwise=SUFFICIENT),
        "theory.bartlett_theorem3_bound, theory.overshoot_bound",
        {"epsilon": eps, "counts": counts, "bound_over_count": loose, "bound": needed, "updates": single, "unit": unit},
    )


def over_another_unit(version: str) -> float:
    """Returns the bound of Theorem 3 with lengths in a unit that is ten times shorter, over that in the first unit."""
    fine = FINER[4:5]  # small enough to be allowed in both units
    return float((theorem_3(fine, version=version, unit=10.0) / theorem_3(fine, version=version))[0])


def b16(means: Means) -> Entry:
    e, about = np.array([1.0, 0.5]), {"lr": 0.2, "rho": 1.0}
    first = float(theory.bounce_constants(e, **about).gamma[0])
    v = first * np.stack([np.full(4, 1e-9), 1 + 10.0 ** -np.arange(1, 5)], -1)
    inverse, allowed = 1 / np.abs(theory.step_determinant(v, eigenvalues=e, **about)), (6 / (0.2 * e[-1])) ** 2
    return Entry(
        "B16",
        f"{PAPER}, proof of Lemma 7",
        "one update multiplies the density of v_t by (6/(lr*lambda_d))^d at most",
        "it grows without bound near |v| = gamma_1, v_1 = 0, where the determinant is 0",
        f"eigenvalues 1, 1/2: 1/|determinant| at gamma_1*(0, 1 + 10^-k), k = 1, ..., 4: {row(inverse, '.3g')}; "
        f"allowed {allowed:g}",
        weaker((inverse <= allowed).all(), inverse[0] < allowed, "v keeps away from gamma_1*(0, 1)"),
        "theory.step_determinant",
        {"inverse": inverse, "allowed": allowed},
    )


ENTRIES: dict[str, Show] = {
    "B1": b1,
    "B2": b2,
    "B3": b3,
    "B4": b4,
    "B5": b5,
    "B6": b6,
    "B7": b7,
    "B8": b8,
    "B9": b9,
    "B10": b10,
    "B11": b11,
    "B12": b12,
    "B13": b13,
    "B14": b14,
    "B15": b15,
    "B16": b16,
}
