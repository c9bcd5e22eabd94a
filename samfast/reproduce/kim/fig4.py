"""Kim et al., Fig. 4: the cosine between the gradients at w and at the perturbed point."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import theory
from .. import draw
from ..experiments import Claim, Outcome, experiment, verdict
from . import beale
from .beale import CONSTANT, FINE, LATE, NORMALIZED, RELEASED, Setting, Walk

SHOWN = 2  # rho = 0.5 in RELEASED
FULL = 0.9  # a cosine that goes beyond -FULL and FULL sweeps the whole range
STEPS = 1000  # steps in a magnified view
CAPTION = (
    "The paper leaves start, rho and its kind open; lr is 1e-4 in its text. Released setting: start (1, 2), lr 1.25e-5. "
    "The others: lr 1e-4; normalised 0.5 from (-3, -2), constant 0.05 from (-0.75, 0.25), normalised 0.001 from "
    "(0.0001, 1.0002). Left: every step up to 20000; right: 1000 steps of it."
)


@experiment("kim-fig4", "Cosine between the gradients at w and at the perturbed point")
def run(size: float = 1.0, progress: Any = None, executor: Any = None) -> Outcome:
    """Range and sign changes of the cosine, from step 5000 on."""
    settings: dict[str, tuple[Setting, int]] = {
        "released 0.5": (RELEASED, SHOWN),
        "normalised 0.5": (NORMALIZED, 0),
        "constant 0.05": (CONSTANT, 0),
        "normalised 0.001": (FINE, 0),
    }
    cosine, numbers = {}, {}
    for name, (setting, i) in settings.items():
        walk = beale.walk(setting, progress, executor)
        cosine[name], numbers[name] = walk.cosine[: CONSTANT.steps + 1, i], _numbers(walk, i)
    numbers["two-cycle"] = {
        "amplitude": _amplitude(walk),
        "expected": float(theory.two_cycle_amplitude(27.75, lr=FINE.lr, rho=FINE.rho[0])),
    }
    table = {"step": np.arange(CONSTANT.steps + 1), **{k.replace(" ", "_"): v for k, v in cosine.items()}}
    return Outcome(_claims(numbers), numbers, {"cosine": table}, {"kim-fig4": _figure(cosine)})


def _numbers(walk: Walk, i: int) -> dict[str, float]:
    late = walk.cosine[LATE:, i]
    return {
        "smallest": float(late.min()),
        "largest": float(late.max()),
        "sign_changes": float(beale.changes(late)),
        "beyond": float((np.abs(late[: CONSTANT.steps + 1 - LATE]) > FULL).mean()),
    }


def _amplitude(walk: Walk) -> float:
    """Returns half the distance between the last two positions, the amplitude of a two-cycle."""
    return float(np.linalg.norm(walk.position[-1, 0] - walk.position[-2, 0]) / 2)


def _claims(n: dict[str, Any]) -> tuple[Claim, ...]:
    def whole(name: str) -> bool:
        return n[name]["smallest"] < -FULL and n[name]["largest"] > FULL

    a, b, c, d = list(n.values())[:4]
    cycle = n["two-cycle"]
    only = "rho is normalised and not tiny" if not whole("constant 0.05") and not whole("normalised 0.001") else None
    return (
        Claim(
            "At the saddle the cosine oscillates between -1 and 1 to the end.",
            f"normalised rho 0.5: from {a['smallest']:.3f} to {a['largest']:.3f}, the sign changes in "
            f"{a['sign_changes']:.1%} (released) and {b['sign_changes']:.1%} (lr 1e-4) of the steps; up to step "
            f"{CONSTANT.steps} its modulus exceeds {FULL} in only {a['beyond']:.1%} and {b['beyond']:.1%} of them",
            verdict(whole("released 0.5") and whole("normalised 0.5"), only),
            "Kim et al., Fig. 4; observe.cosine",
        ),
        Claim(
            "So it does with constant rho, the SAM of eq. 5.",
            f"rho 0.05: between {c['smallest']:.5f} and {c['largest']:.5f} from step {LATE} on",
            verdict(whole("constant 0.05")),
            "Kim et al., Fig. 4, eq. 5; theory.theorem1",
        ),
        Claim(
            "So it does with small normalised rho.",
            f"rho 0.001: between {d['smallest']:.4f} and {d['largest']:.4f}; SAM is in a two-cycle of amplitude "
            f"{cycle['amplitude']:.4e}, theory {cycle['expected']:.4e}",
            verdict(whole("normalised 0.001")),
            "Kim et al., Fig. 4; theory.two_cycle_amplitude",
        ),
    )


@draw.styled
def _figure(cosine: dict[str, np.ndarray]) -> Any:
    figure, axes = draw.panels(len(cosine), 2, (12.4, 8.4), CAPTION, sharex="col", sharey=True, width_ratios=[2, 1])
    steps = np.arange(LATE, LATE + STEPS)
    for (name, c), row, tint in zip(cosine.items(), axes, (draw.RED, draw.PINK, draw.ORANGE, draw.GREEN), strict=True):
        row[0].plot(c, ".", color=tint, markersize=2.2, markeredgewidth=0, rasterized=True)
        row[1].plot(steps, c[steps], color=tint, linewidth=1)
        kind, rho = name.split()
        row[0].set(
            title="Released setting, normalised rho 0.5" if kind == "released" else f"{kind.capitalize()} rho {rho}, lr 1e-4",
            ylabel="cosine",
            ylim=(-1.08, 1.08),
        )
        for a in row:
            a.axhline(0, color=draw.GREY, linewidth=0.7)
    for a in axes[-1]:
        a.set_xlabel("step")
    return figure
