"""Register of discrepancies, Kim et al.: diffusion (K5 to K8), momentum (K7 to K13, K23), batch size and noise (K14, K15)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import theory
from ...model.losses import quadratic
from ...model.noise import Minibatches, noisy
from ...model.observe import msd
from ...model.rules import sam
from ...simulation.simulate import simulate
from ..experiments import UNSTATED, verdict
from .entry import KIM, SLIDES, Entry, Means, Show, row, weaker
from .stability import network_loss

SADDLE: dict[str, Any] = {"eigenvalue": -1.0, "lr": 1e-3}
ERRORS = 5.0  # standard errors; chance of a false alarm 6e-7


def k5(means: Means) -> Entry:
    rho, time = np.array([0.01, 0.5, 1.0, 2.5]), 0.01
    ratio = {
        drift: theory.corollary1(time, rho=rho, **SADDLE) / theory.corollary1_exact(time, rho=rho, drift=drift, **SADDLE)
        for drift in ("chain", "plain")
    }
    near = abs(ratio["chain"][0] - 1) < 0.01
    apart = ratio["chain"][-1] < 0 and abs(ratio["plain"][0] - 2) < 0.05
    return Entry(
        "K5",
        f"{KIM}, Corollary 1, eq. 13",
        "the difference of the MSDs is 2*lr*t^2*|lambda|^3*rho/B > 0",
        "the leading order only; twice too much for SAM itself; the published drift changes sign at rho*|lambda| = 2",
        f"eq. 13/exact at |lambda|*t = 0.01, rho*|lambda| = 0.01, 0.5, 1, 2.5: {row(ratio['chain'], '.3f')} for the "
        f"published drift, {row(ratio['plain'], '.3f')} for SAM",
        verdict(near, "|lambda|*t and rho*|lambda| are small, with the published drift" if apart else None),
        "theory.corollary1_exact",
        {"rho": rho, **ratio},
    )


def k6(means: Means) -> Entry:
    rho, time = 0.1, np.array([1e-2, 1e-3, 1e-4])
    rest = theory.corollary1_remainder(time, rho=rho, **SADDLE)
    claimed, more = rest / (SADDLE["lr"] * time**3), rest / (SADDLE["lr"] * time**2 * rho**2)
    return Entry(
        "K6",
        f"{SLIDES}, Corollary 1",
        "the remainder of eq. 13 is O(lr*t^3*lambda^4/B)",
        "there is also lr*t^2*rho^2*lambda^4/B, the larger one for t < rho^2",
        f"rho*|lambda| = 0.1, |lambda|*t = 0.01, 0.001, 0.0001: |remainder| is {row(np.abs(claimed), '.3g')} times "
        f"the first, {row(np.abs(more), '.3g')} times the second",
        weaker(abs(claimed[-1]) < 20, abs(more[-1]) < 2, "rho^2 is at most of the order of t"),
        "theory.corollary1_remainder",
        {"over_printed": claimed, "over_second": more},
    )


def k7(means: Means) -> Entry:
    lr, momentum, time = 1e-3, 0.9, 1e-2
    flight = theory.momentum_sde_moments(time, curvature=0.0, diffusion=0.0, lr=lr, momentum=momentum, velocity=1.0).mean
    seen = float(flight) * (1 - momentum) / lr
    factor = {k: float(-np.expm1(-(1 - momentum) * c)) for k, c in (("printed", lr / time), ("correct", time / lr))}
    return Entry(
        "K7",
        f"{KIM}, Theorem 3",
        "C2 = lr/t",
        "C2 = t/lr",
        f"share of its range that an initial velocity has flown after 10 updates at momentum 0.9: {seen:.6f} exactly, "
        f"1 - exp(-(1 - momentum)*C2) = {factor['printed']:.6f} as printed, {factor['correct']:.6f} corrected",
        verdict(abs(factor["printed"] - seen) < 1e-9),
        "theory.theorem3(as_printed=True)",
        {"exact": seen, **factor},
    )


def k8(means: Means) -> Entry:
    kappa = float(theory.curvature(SADDLE["eigenvalue"], rho=0.1, drift="chain"))
    c3, c4 = SADDLE["lr"] / (2 * kappa), 2 * kappa * 1.0
    value = float(theory.theorem3(1.0, rho=0.1, momentum=0.5, **SADDLE))
    return Entry(
        "K8",
        f"{KIM}, Theorem 3",
        "C1 to C4 are positive",
        "C3 and C4 are negative where lambda < 0, the MSD is positive",
        f"lambda = -1, rho = 0.1, t = 1: C3 = {c3:.3e}, C4 = {c4:.3f}, MSD {value:.4e}",
        verdict(min(c3, c4) > 0),
        "theory.theorem3",
        {"C3": c3, "C4": c4, "msd": value},
    )


def _ratio(kt: float, n: int, momentum: float) -> float:
    """Returns Theorem 3 / the exact variance of the algorithm after n updates at curvature -1, where kt = -t."""
    lr = -kt / n
    exact = theory.heavy_ball_moments(n, curvature=-1.0, lr=lr, momentum=momentum, gradient_variance=1.0).var
    return float(theory.theorem3(-kt, eigenvalue=-1.0, lr=lr, momentum=momentum) / exact)


def k9(means: Means) -> Entry:
    cases = {"kt -0.01, 10 updates": (-0.01, 10), "kt -0.01, 1000": (-0.01, 1000), "kt -1, 100": (-1.0, 100)}
    ratio = {k: _ratio(*v, 0.9) for k, v in cases.items()}
    best = _ratio(-0.01, 10_000, 0.5)
    return Entry(
        "K9",
        f"{KIM}, Theorem 3",
        "the MSD with momentum is given by this formula",
        "a thermal velocity plus overdamped diffusion: good for many updates and slow curvature",
        "Theorem 3/exact at momentum 0.9: "
        + ", ".join(f"{v:.3g} ({k})" for k, v in ratio.items())
        + f"; at 0.5 and 10000 updates {best:.4f}",
        weaker(
            max(ratio.values()) < 1.01, abs(best - 1) < 0.01, "(1 - momentum)*n is large and lr*|kappa|/(1 - momentum)^2 small"
        ),
        "theory.theorem3_validity",
        {"ratios": ratio, "best": best},
    )


def k10(means: Means) -> Entry:
    momentum, n = np.array([0.9, 0.99, 0.999, 0.9999]), 1000
    exact = theory.heavy_ball_moments(n, curvature=-1.0, lr=1e-3, momentum=momentum, gradient_variance=1.0).var
    formula = float(theory.theorem3(1.0, momentum=0.99, **SADDLE))
    still = theory.heavy_ball_stationary(curvature=1.0, lr=1e-3, momentum=momentum, gradient_variance=1.0).var * (1 - momentum)
    growth, spread = exact[-1] / exact[-2], float(still.max() / still.min() - 1)
    return Entry(
        "K10",
        f"{KIM}, eq. 15",
        "the MSD is proportional to 1/((1 - momentum)*B) as (1 - momentum)*B -> 0",
        "in B always, in 1 - momentum for the stationary spread at lambda > 0; at a saddle the MSD stays finite",
        f"lambda = -1, t = 1: from momentum 0.999 to 0.9999 the exact MSD grows by {growth:.4f}; Theorem 3 is 1e"
        f"{np.log10(formula):.0f} at 0.99; stationary MSD*(1 - momentum) at lambda = 1 constant within {spread:.0e}",
        weaker(growth > 9, spread < 0.05, "lambda > 0 and the MSD is stationary"),
        "theory.heavy_ball_moments",
        {"growth": growth, "log10_theorem3": np.log10(formula), "stationary": still},
    )


def k11(means: Means) -> Entry:
    lr, momentum = 1e-4, 0.9
    slow = float(-np.log(theory.multipliers(1.0, lr=lr, momentum=momentum)[0].real) / lr)
    mass, friction = lr, (1 - momentum) / lr
    printed, correct = 1 / friction, 1 / (friction * mass)
    return Entry(
        "K11",
        f"{KIM}, equation of motion of Theorem 3",
        "friction -phi*dw, momentum phi*m, force grad l(w)",
        "friction -phi*M*dw/dt*dt, phi times the velocity, force grad l(w^p)",
        f"relaxation rate of the heavy ball at lambda = 1: {slow:.4f}; from the printed friction {printed:.4f}, from "
        f"the corrected {correct:.4f}",
        verdict(abs(printed / slow - 1) < 0.05),
        "theory.multipliers",
        {"heavy_ball": slow, "printed": printed, "correct": correct},
    )


def k12(means: Means) -> Entry:
    time = np.array([1e-3, 1e-2, 1.0])
    second: np.ndarray = theory.theorem2(time, rho=0.1, **SADDLE)
    gap = np.asarray(theory.theorem3(time, rho=0.1, momentum=0.0, **SADDLE)) - second
    expected = SADDLE["lr"] ** 2 / 2 * np.expm1(-time / SADDLE["lr"]) ** 2
    share = gap / second
    return Entry(
        "K12",
        f"{KIM}, Theorems 2 and 3",
        "one expects that Theorem 3 at momentum 0 is Theorem 2",
        "at momentum 0 it exceeds Theorem 2 by lr^2*|lambda|/(2B)*(1 - exp(-t/lr))^2",
        f"excess over Theorem 2 after 1, 10, 1000 updates: {row(share, '.2%')}; the expression within "
        f"{np.abs(gap / expected - 1).max():.0e}",
        verdict(np.abs(share).max() < 1e-6, otherwise=UNSTATED),
        "theory.theorem3, theory.theorem2",
        {"share": share, "gap": gap, "expected": expected},
    )


def k13(means: Means) -> Entry:
    momentum, n = np.array([0.0, 0.1, 0.2, 0.5, 0.9]), 100
    about: dict[str, Any] = {"lr": 1.0, "momentum": momentum, "gradient_variance": 1.0}
    flat, steep = (theory.heavy_ball_moments(n, curvature=k, **about).var for k in (-0.01, 1.5))
    tied = theory.heavy_ball_moments(n, curvature=-0.01, dampening=momentum, **about).var
    signs = [str(np.sign(np.diff(x)).astype(int).tolist()) for x in (flat, steep, tied)]
    up, conditional = bool((np.diff(flat) > 0).all()), bool((np.diff(steep) < 0).any() and (np.diff(tied) < 0).all())
    return Entry(
        "K13",
        f"{KIM}, Theorem 3 (1)",
        "the MSD increases with momentum",
        "for dampening 0 and lr*kappa <= 1, by the larger effective learning rate; it falls if dampening = momentum",
        f"momentum 0, 0.1, 0.2, 0.5, 0.9: signs of the changes {signs[0]} at lr*kappa = -0.01, {signs[1]} at 1.5 (MSD "
        f"{row(steep, '.3f')}), {signs[2]} at -0.01 with dampening = momentum",
        verdict(up, "dampening = 0 and lr*kappa <= 1" if conditional else None),
        "theory.heavy_ball_moments",
        {"momentum": momentum, "saddle": flat, "steep": steep, "dampening_as_momentum": tied},
    )


def k14(means: Means) -> Entry:
    sizes = np.array([1, 4, 16])
    spread = theory.em_variance(
        100, curvature=-1.0, dt=1e-2, diffusion=theory.diffusion_coefficient(-1.0, lr=1e-2, batch_size=sizes)
    )
    loss = np.array([network_loss([0.1, 0.0] if b == 1 else [0.1], False, int(b), means)[0] for b in sizes])
    return Entry(
        "K14",
        f'{SLIDES} ("Use higher batch-size!"); news summaries of the paper',
        "a larger batch helps SAM to leave the saddle",
        "MSD proportional to 1/B with additive noise; larger batches help the toy network (multiplicative noise)",
        f"B = 1, 4, 16: MSD at a saddle {row(spread, '.2e')}; loss of the toy network with constant rho = 0.1 "
        f"{row(loss, '.3f')}, 2.5 on the ridge",
        weaker(
            (np.diff(spread) > 0).all(), (np.diff(loss) < 0).all(), "the noise is multiplicative and shared by both gradients"
        ),
        "theory.em_variance, theory.toy_network_threshold",
        {"batch_size": sizes, "msd": spread, "toy_loss": loss},
    )


def k15(means: Means) -> Entry:
    lr, rho = 0.01, np.array([0.0, 0.5, 1.5, 1.8])
    paths = max(20_000, int(200_000 * means.size))
    factor, error, off = {}, {}, {}
    cases: tuple[tuple[Minibatches, str], ...] = (("same", "same"), ("descent", "exact"))
    for kind, noise in cases:
        run = simulate(
            quadratic(-1.0),
            noisy(sam(lr=lr, rho=rho), batch_size=1, minibatch=kind),
            (0.0,),
            record=[1],
            paths=paths,
            observe=msd(),
            seed=15,
            **means.how,
        )
        factor[kind], error[kind] = run["msd"][:, 0] / lr**2, run.std_error[:, 0, 0] / lr**2
        off[kind] = float(np.max(np.abs(factor[kind] - theory.noise_factor(-1.0, rho=rho, noise=noise)) / error[kind]))
    one = (np.abs(factor["same"] - 1) < ERRORS * error["same"]).all()
    return Entry(
        "K15",
        f"{KIM}, eq. 11 and 23",
        "the noise of SAM is that of SGD, |lambda|/B",
        "with one minibatch in both gradients it is (1 + rho*lambda)^2 times that",
        f"lambda = -1, one update, {paths:,} paths: {row(factor['same'], '.4f')} times that for rho = 0, 0.5, 1.5, "
        f"1.8, (1 + rho*lambda)^2 within {off['same']:.1f} standard errors; with an exact ascent "
        f"{row(factor['descent'], '.4f')}",
        weaker(one, max(off.values()) < ERRORS, "the ascent gradient is exact"),
        "theory.noise_factor",
        {"rho": rho, "factor": factor["same"], "error": error["same"], "exact_ascent": factor["descent"], "off": off},
    )


def k23(means: Means) -> Entry:
    momentum = np.array([0.0, 0.5, 0.9, 0.99])
    low = np.array([theory.rho_window(-2.0, lr=1e-3, momentum=g)[0] for g in momentum])
    rate = np.log(np.abs(theory.multipliers(-1.0, lr=1e-5, momentum=momentum)[:, 0]))
    gain = rate / rate[0] * (1 - momentum)
    trapped = theory.theorem1([-2.0], rho=0.6, lr=1e-3, momentum=0.99).verdict
    return Entry(
        "K23",
        f"{KIM}, section 4.4",
        "momentum helps to escape from the saddle",
        "it speeds up an escape by about 1/(1 - momentum), but the saddle attracts for rho > 1/|lambda| all the same",
        f"escape rate*(1 - momentum), relative: {row(gain, '.4f')} for momentum 0, 0.5, 0.9, 0.99; threshold at "
        f"lambda = -2 {row(low, 'g')}; at rho = 0.6 and momentum 0.99: {trapped}",
        verdict(np.abs(gain - 1).max() < 0.2, "rho < 1/|lambda|" if np.ptp(low) == 0 and trapped == "attractor" else None),
        "theory.rho_window, theory.multipliers",
        {"momentum": momentum, "gain": gain, "threshold": low},
    )


ENTRIES: dict[str, Show] = {
    "K5": k5,
    "K6": k6,
    "K7": k7,
    "K8": k8,
    "K9": k9,
    "K10": k10,
    "K11": k11,
    "K12": k12,
    "K13": k13,
    "K14": k14,
    "K15": k15,
    "K23": k23,
}
