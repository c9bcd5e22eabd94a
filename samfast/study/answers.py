"""The answer first: one sentence for each theorem that a study is about, before its rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import theory
from ..theory.momentum import ENOUGH_UPDATES, MOST_ESCAPE, MOST_INERTIA
from .process import WITHIN
from .table import Table, name, number

ALL = {"attractor": "attracts every setting", "unstable": "attracts no setting", "neutral": "is neutral in every setting"}
SOME = {"attractor": "attracts", "unstable": "does not attract", "neutral": "is neutral for"}
RANGE = (
    f"Theorem 3 is in its range where (1 - momentum)*updates >= {ENOUGH_UPDATES:g}, lr*|kappa|/(1 - momentum)^2 <= "
    f"{MOST_INERTIA:g} and, at a saddle, (kappa*t)^2/(updates*(1 - momentum)^3) <= {MOST_ESCAPE:g}, with kappa the "
    "curvature of the drift"
)


def answers(study: Table) -> list[str]:
    """One sentence for each theorem, with this study's numbers."""
    if study.dataset["eigenvalue"].size == 0:
        return []
    return [*_stability(study), *_formula(study, 2), *_formula(study, 3)]


def _stability(study: Table) -> Iterator[str]:
    """Theorem 1, for what is simulated with its step size."""
    found: dict[str, list[str]] = {}
    for setting, _ in study.settings():
        v = {k: setting[k] for k in ("rho", "lr", "momentum", "dampening", "drift")}
        verdict = str(theory.theorem1([setting["eigenvalue"]], **v).verdict)
        found.setdefault(verdict, []).append(name(setting, study.varied))
    if len(found) == 1:
        ((verdict, _),) = found.items()
        yield f"Theorem 1: the point {ALL.get(verdict, verdict)}"
        return
    total = sum(map(len, found.values()))
    said = [
        f"{SOME[k]} {x[0] if len(x) == 1 else f'{len(x)} of {total} settings, e.g. {x[0]}'}"
        for k, x in found.items()
        if k in SOME
    ]
    yield "Theorem 1: the point " + "; it ".join(said)


def _formula(study: Table, number_of_theorem: int) -> Iterator[str]:
    """Theorem 2 or 3: in how many rows it holds, where it is worst, and for Theorem 3 why it is out of its range."""
    rows, good, worst, reasons = 0, 0, (0.0, "", 0.0, 1.0), {}
    for setting, part in study.settings():
        if (setting["momentum"] > 0) != (number_of_theorem == 3):
            continue
        t, ratio = np.asarray(part["time"], float), np.asarray(part["ratio"], float)
        some = (t > 0) & np.isfinite(ratio) & (ratio > 0)
        rows += int((t > 0).sum())
        good += int(np.asarray(part["valid"])[t > 0].sum())
        for time, q in zip(t[some], ratio[some], strict=True):
            if abs(np.log(q)) > worst[0]:
                worst = (abs(np.log(q)), name(setting, study.varied), time, q)
        if number_of_theorem == 3:
            kappa = float(np.asarray(study.model(setting).curvature(setting))) * (1 - setting["dampening"])
            inertia = setting["lr"] * abs(kappa) / (1 - setting["momentum"]) ** 2
            if inertia > MOST_INERTIA:
                reasons[inertia] = f"lr*|kappa|/(1 - momentum)^2 = {number(f'{inertia:.2g}')}, it needs <= {MOST_INERTIA:g}"
    if not rows:
        return
    where = "everywhere here" if good == rows else "nowhere here" if not good else f"in {good} of {rows} rows"
    text = f"Theorem {number_of_theorem} is {WITHIN} of the exact MSD {where}"
    if good < rows and worst[0] > 0:
        text += f"; farthest off for {worst[1]} at t = {number(worst[2])}, {worst[3]:.3g} times the exact value"
    if reasons and good < rows:
        text += f" ({'' if len(reasons) == 1 else 'up to '}{reasons[max(reasons)]})"
    yield text


__all__ = ["RANGE", "answers"]
