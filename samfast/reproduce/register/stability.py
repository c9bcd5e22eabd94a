"""Register, Kim et al.: stability (K1 to K4), Fisher information at the saddle (K22), examples (K16 to K21), networks (K24)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import quad

from ... import theory
from ...landscape.flow import Flow
from ...model.critical_points import critical_points
from ...model.losses import beale, saddle, toy_network
from ...model.rules import sam
from ...simulation.simulate import simulate
from ..experiments import OPEN, verdict
from ..kim import beale as walks
from ..kim import fig7
from .entry import KIM, Entry, Means, Show, row

SADDLE = (0.0, 1.0)  # the saddle of Beale's function, with eigenvalues -27.75 and 27.75
RHO = 0.05


def k1(means: Means) -> Entry:
    at, above = (theory.theorem1([-1.0], rho=r).verdict for r in (1.0, 1.001))
    end = {}
    for a in (0.5, -0.5):  # l = -w^2/2 + a*w^4/4 with eigenvalue -1 at 0
        w = 0.3
        for _ in range(20_000):
            p = w + (-w + a * w**3)
            w -= 0.05 * (-p + a * p**3)
        end[a] = abs(w)
    return Entry(
        "K1",
        f"{KIM}, Theorem 1, eq. 10",
        "a saddle attracts if rho >= -1/lambda_1",
        "strictly above; at equality the linearisation decides nothing",
        f"at equality {at}, above {above}; -w^2/2 + a*w^4/4 at equality from 0.3: |w| = {end[0.5]:.3f} for a = 0.5, "
        f"{end[-0.5]:.3f} for a = -0.5",
        verdict(at == "neutral" and above == "attractor" and end[-0.5] < 0.3 < end[0.5], "rho > -1/lambda_1"),
        "theory.theorem1",
        {"at": at, "above": above, "end_repelling": end[0.5], "end_attracting": end[-0.5]},
    )


def k2(means: Means) -> Entry:
    flow, h, w = Flow(beale(), sam(lr=1.0, rho=RHO)), 1e-6, np.array(SADDLE)
    slopes = np.stack([(flow(w + h * e) - flow(w - h * e)) / (2 * h) for e in np.eye(2)], -1)
    hessian = beale().hessian(w)
    off = float(np.abs(slopes + hessian + RHO * hessian @ hessian).max())
    second = float(np.abs(slopes @ flow(w)).max())
    return Entry(
        "K2",
        f"{KIM}, eq. 17 to 19",
        "-(H + rho*H^2) is d2w/dt2",
        "it is the Jacobian of dw/dt in w; d2w/dt2 is the vector Jacobian times dw/dt",
        f"at Beale's saddle differences of dw/dt give -(H + rho*H^2) within {off:.0e}; d2w/dt2 there is {second:g}",
        verdict(second > 1e-9 or off > 1e-3),
        "Flow.jacobian",
        {"jacobian_error": off, "second_derivative": second},
    )


def k3(means: Means) -> Entry:
    rates = {
        drift: float(np.linalg.eigvalsh(Flow(beale(), sam(lr=1.0, rho=RHO, drift=drift)).jacobian(SADDLE)).max())
        for drift in ("plain", "chain")
    }
    most = max(float(theory.curvature(-1.0, rho=r, drift="chain")) for r in np.linspace(0, 10, 1001)) + 0.0
    return Entry(
        "K3",
        f"{KIM}, Theorems 1 and 2",
        "one SAM has the drift H(I + rho*H) and H(I + rho*H)^2",
        "two different algorithms: the gradient at w^p, and the gradient of w -> l(w^p)",
        f"at Beale's saddle with rho = {RHO} the fastest rate is {rates['plain']:.3f} (attracts) and "
        f"{rates['chain']:.3f} (repels); for lambda = -1 the second drift's curvature never exceeds {most:g}",
        verdict(abs(rates["plain"] - rates["chain"]) < 1e-9),
        "theory.curvature",
        {**rates, "most": most},
    )


def k4(means: Means) -> Entry:
    s = 0.1

    def moment(k: int, density: Any) -> float:
        return 2 * float(quad(lambda x: x**k * density(x), 0, 20 / s, points=[s, 1 / s], limit=200)[0])

    def printed(x: float) -> float:
        return float(np.exp(-x * x * s * s / 2) / np.sqrt(2 * np.pi * s))

    def correct(x: float) -> float:
        return float(np.exp(-x * x / (2 * s * s)) / np.sqrt(2 * np.pi * s * s))

    m0, m2, c0, c2 = moment(0, printed), moment(2, printed), moment(0, correct), moment(2, correct)
    return Entry(
        "K4",
        f"{KIM}, eq. 22",
        "density with exponent w.diag(sigma^2).w/2, factor prod(2*pi*sigma_j)^(-1/2)",
        "diag(sigma^-2) and prod(2*pi*sigma_j^2); w is the deviation from the saddle",
        f"sigma = {s}: total mass {m0:.2f}, mean square {m2 / m0:.4g}; corrected {c0:.6f} and {c2:.4g}",
        verdict(abs(m0 - 1) < 1e-6),
        "theory.theorem2_covariance",
        {"mass": m0, "second": m2 / m0, "mass_correct": c0, "second_correct": c2},
    )


def k16(means: Means) -> Entry:
    points = critical_points(beale(), walks.BOX)
    kinds = [p.kind for p in points]
    far = [float(beale().value([x, 1 - 0.991 / x])) for x in (-10.0, -100.0, -1e4)]
    other = points[int(np.argmin([p.position[1] for p in points]))]
    return Entry(
        "K16",
        f"{KIM}, section 4.1",
        "Beale's function: one saddle between two basins with minima",
        "two saddles and one minimum; in the other basin the loss falls to 0.452 at infinity",
        f"{kinds.count('saddle')} saddles, {kinds.count('minimum')} minimum; second saddle at "
        f"({row(other.position, '.6f')}) with eigenvalues {row(other.eigenvalues, '.6g')}; loss at x = -10, -100, "
        f"-10000: {row(far, '.4f')}",
        verdict(kinds.count("saddle") == 1 and kinds.count("minimum") == 2),
        "critical_points",
        {
            "saddles": kinds.count("saddle"),
            "minima": kinds.count("minimum"),
            "second": other.position,
            "eigenvalues": other.eigenvalues,
            "loss_far_away": far,
        },
    )


def k17(means: Means) -> Entry:
    ends = {}
    for name, setting in (("normalised", walks.NORMALIZED), ("constant", walks.CONSTANT)):
        cosine = walks.walk(setting, **means.how).cosine[walks.LATE :, 0]
        ends[name] = (float(cosine.min()), float(cosine.max()))
    (a, b), (c, d) = ends["normalised"], ends["constant"]
    return Entry(
        "K17",
        f"{KIM}, Fig. 4 with eq. 5",
        "at the saddle the cosine of the two gradients oscillates in [-1, 1]",
        "only with normalised rho; with the constant rho of eq. 5 it tends to -1",
        f"from step {walks.LATE} on between {a:.4f} and {b:.4f} with normalised rho = 0.5, between {c:.6f} and "
        f"{d:.6f} with constant rho = 0.05",
        verdict(a < -0.9 and b > 0.9, "rho is normalised" if d < 0 else None),
        "observe.cosine",
        {"normalised": ends["normalised"], "constant": ends["constant"]},
    )


def k18(means: Means) -> Entry:
    w = np.array([[-3.0, -0.01], [-3.0, 0.01]])
    for _ in range(500):
        w = w - 0.01 * saddle().gradient(w + 1.0 * saddle().gradient(w))
    apart = float(np.abs(w[0] - w[1] * [1, -1]).max())
    return Entry(
        "K18",
        f"{KIM}, Fig. 5",
        "the starts (-3, -e) and (-3, e), which stand in two places, give one figure",
        "they give mirror images",
        f"after 500 updates the two paths mirror each other within {apart:g}",
        verdict(apart < 1e-15),
        "",
        {"apart": apart},
    )


def k19(means: Means) -> Entry:
    net, w1 = toy_network(), np.array([0.25, 0.5, 1.0])
    ridge = net.hessian(np.stack([np.zeros(3), w1], -1))
    kind = net.critical_point((0.0, 0.5)).kind
    loss = {
        name: net.value(np.stack([np.sqrt(square), w1], -1))
        for name, square in (("correct", 1 / (2 * w1)), ("as read", w1 / 2))
    }
    flat = float(np.abs(ridge[:, 1, 1]).max())
    return Entry(
        "K19",
        f"{KIM}, Fig. 7",
        "the saddles are w_1 = 0, w_2 >= 0; minima at w_1^2 = 1/2 w_2",
        "a degenerate ridge, flat along w_2, of local maxima in w_1; minima at w_1^2 = 1/(2 w_2)",
        f"curvature along the ridge {flat:g}, across it {ridge[1, 0, 0]:g} at w_2 = 0.5: {kind}; loss at 1/(2 w_2) "
        f"{loss['correct'].max():.4f}, at w_2/2 up to {loss['as read'].max():.4f}",
        verdict(flat > 0 and kind == "saddle"),
        "losses.toy_network",
        {"along": flat, "across": ridge[:, 0, 0], "loss_correct": loss["correct"], "loss_as_read": loss["as read"]},
    )


def network_starts(n: int) -> np.ndarray:
    """Returns the starts as published, w_1 uniform in [-0.1, 0.1] and w_2 in [0, 1]."""
    rng = np.random.default_rng(0)
    return np.stack([rng.uniform(-0.1, 0.1, n), rng.uniform(0, 1, n)], 1)


def network_loss(rho: Any, normalize: bool, batch: int, means: Means) -> np.ndarray:
    """Returns the mean loss of the toy network for each radius after 10 000 updates with lr 0.01."""
    starts = network_starts(max(100, int(1000 * means.size)))
    w = simulate(
        toy_network(batch_size=batch),
        sam(lr=0.01, rho=rho, normalize=normalize),
        starts,
        record=[10_000],
        dtype="float64",
        **means.how,
    ).final("w")
    return np.asarray(toy_network().value(w)).mean(-1)


def k20(means: Means) -> Entry:
    rho = np.array(fig7.RHO)
    loss = network_loss(rho, True, 1, means)
    rises, end = fig7.saturates(loss)
    return Entry(
        "K20",
        f"{KIM}, Fig. 7c",
        "the loss of SAM increases with rho",
        "it does, until it is that of the ridge, 2.5",
        f"mean loss {row(loss, '.3f')} for rho = {row(rho, 'g')}",
        verdict(rises, f"rho is below {rho[end]:g}, from where on the loss is 2.5"),
        "theory.toy_network_trapped_loss",
        {"rho": rho, "loss": loss},
    )


def k21(means: Means) -> Entry:
    w = np.array([1.0, 2.0])
    ahead = w + RHO * beale().gradient(w)
    printed, moving = np.shape(beale().value(ahead)), np.shape(Flow(beale(), sam(lr=1.0, rho=RHO))(w))
    return Entry(
        "K21",
        f"{KIM}, section 4.1, Case III",
        "SAM moves along -l(w^p)",
        "along -grad l(w^p)",
        f"Beale's function at (1, 2): l(w^p) has the shape {printed}, the velocity of SAM {moving}",
        verdict(printed == moving),
        "Flow",
        {"loss": list(printed), "velocity": list(moving)},
    )


def k24(means: Means) -> Entry:
    return Entry(
        "K24",
        f"{KIM}, Figs. 8, 9 and Table 1",
        "on CIFAR-10 and CIFAR-100 momentum, batch size and radius decide how well SAM generalises",
        "not known from here",
        "not computed: each setting needs 300 epochs of training a deep network on images",
        OPEN,
    )


def k22(means: Means) -> Entry:
    net, labels = toy_network(batch_size=1), np.array([[0.0], [1.0]])  # random bits, which stand for the labels -1 and 2

    def fisher(w: np.ndarray) -> np.ndarray:
        g = net.gradient(np.stack([w, w]), labels)
        return g.T @ g / 2

    low, ridge = np.array([1.0, 0.5]), np.array([0.0, 0.5])
    h_low, h_ridge = (toy_network().hessian(w) for w in (low, ridge))
    ratio = fisher(low) / h_low
    values = np.linalg.eigvalsh(h_ridge)
    return Entry(
        "K22",
        f"{KIM}, eq. 23",
        "at a saddle the Fisher information is about [H]+, the Hessian's absolute value",
        "it is positive semidefinite and follows the Hessian near a minimum only: [H]+ is a modelling choice",
        f"toy network: at a minimum second moment of the gradient = {ratio[0, 0]:.4g} H in all entries; on the ridge "
        f"it is {np.abs(fisher(ridge)).max():g}, with eigenvalues {values[0]:g} and {values[1]:g} of H",
        verdict(np.allclose(ratio, ratio[0, 0]), "near a minimum" if np.abs(fisher(ridge)).max() < 0.1 else None),
        "theory.diffusion_coefficient",
        {"ratio_at_minimum": ratio, "ridge": fisher(ridge), "hessian_ridge": values},
    )


ENTRIES: dict[str, Show] = {
    "K1": k1,
    "K2": k2,
    "K3": k3,
    "K4": k4,
    "K16": k16,
    "K17": k17,
    "K18": k18,
    "K19": k19,
    "K20": k20,
    "K21": k21,
    "K22": k22,
    "K24": k24,
}
