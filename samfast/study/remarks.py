"""Where the published statements differ from what a study shows: one sentence each, with this study's numbers.

The text that is meant: Kim, Park, Choi, Lee, "Stability Analysis of Sharpness-Aware Minimization".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .. import theory
from .sgd_minus_sam import difference
from .table import Table, number

MATTERS = 0.02  # a relative difference below it is not worth a sentence
EDGE = 1e-12  # how close to 1 rho*|eigenvalue| is on the boundary of Theorem 1


def discrepancies(study: Table) -> list[str]:
    """The sentences that apply to the settings of this study, the largest subjects first."""
    return [
        *_drift(study),
        *_noise(study),
        *_corollary(study),
        *_theorem3(study),
        *_momentum(study),
        *_batch(study),
        *_boundary(study),
    ]


def _over(study: Table, quotient: Any, choose: Any = None) -> str:
    """The range of a quotient over the settings that `choose` wants and all times, such as '0.31 to 1.2'; '' near 1."""
    found = []
    for setting, part in study.settings():
        if choose is None or choose(setting):
            times = np.asarray(part["time"], float)
            with np.errstate(all="ignore"):
                model, t = study.model(setting), times[times > 0]
                q = np.asarray(quotient(model, setting, t, model.steps_at(setting, t)))
            found += q[np.isfinite(q) & (q != 0)].tolist()
    return _range(found)


def _range(values: list[float]) -> str:
    if not values or max(abs(v - 1) for v in values) < MATTERS:
        return ""
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low} to {high}"


def _sam(setting: Mapping[str, Any]) -> bool:
    return bool(setting["rho"] > 0)


def _drift(study: Table) -> Iterator[str]:
    """The theorems' kappa is not that of the SAM whose stability Theorem 1 describes."""

    def quotient(model: Any, v: Any, times: Any, steps: Any) -> Any:
        return model.published.exact(v, steps) / model.exact(v, steps)

    text = _over(study, quotient, lambda s: _sam(s) and s["drift"] == "plain" and s["noise"] == "unit")
    if text:
        yield (
            f"Theorems 2 and 3 take the drift eigenvalue*(1 + rho*eigenvalue)^2; SAM, and Theorem 1, have "
            f"eigenvalue*(1 + rho*eigenvalue): with the former the exact MSD would be {text} times as large "
            "(drift='chain'); column 'theorem' has the former, 'with this drift' the latter"
        )


def _noise(study: Table) -> Iterator[str]:
    def quotient(model: Any, v: Any, times: Any, steps: Any) -> Any:
        return replace(model, noise="same").exact(v, steps) / model.exact(v, steps)

    text = _over(study, quotient, lambda s: _sam(s) and s["noise"] == "unit")
    if text:
        yield (
            f"the published noise does not depend on rho; with one minibatch for both gradients of SAM, the usual code, "
            f"the exact MSD would be {text} times as large (noise='same')"
        )


def _corollary(study: Table) -> Iterator[str]:
    radii = np.atleast_1d(study.dataset["rho"].values)
    if not ((radii == 0).any() and (radii > 0).any()):
        return
    d = difference(study)
    ratio = d["ratio"].values[np.isfinite(d["ratio"].values) & (d["time"].values > 0)].tolist()
    if text := _range(ratio):
        signs = " (a negative ratio: SAM spreads faster than SGD)" if min(ratio) < 0 else ""
        yield (
            f"Corollary 1, MSD of SGD - MSD of SAM = 2 lr t^2 |eigenvalue|^3 rho/batch_size, is a leading term: it is "
            f"{text} times the exact difference{signs} (plot kind 'difference')"
        )
    t = d["time"].values[d["time"].values > 0]
    if len(t) and (most := 3 * float(radii.max()) / (8 * float(t[0]))) > MATTERS:
        yield (
            "the remainder of Corollary 1 on the authors' slides, of order lr t^3 eigenvalue^4/batch_size, leaves out "
            f"lr t^2 rho^2 eigenvalue^4/batch_size, here up to {most:.3g} times its leading term "
            "(theory.corollary1_remainder)"
        )


def _theorem3(study: Table) -> Iterator[str]:
    moving = [s for s, _ in study.settings() if s["momentum"] > 0]

    def printed(model: Any, v: Any, times: Any, steps: Any) -> Any:
        return model.theorem(v, times, "printed") / model.theorem(v, times)

    def approximate(model: Any, v: Any, times: Any, steps: Any) -> Any:
        return model.theorem(v, times, "matched") / model.exact(v, steps)

    def limit(model: Any, v: Any, times: Any, steps: Any) -> Any:
        third = theory.theorem3_variance(
            times,
            curvature=model.curvature(v),
            diffusion=model.diffusion(v),
            lr=v["lr"],
            momentum=0.0,
            dampening=v["dampening"],
        )
        return third / model.theorem(v, times, "matched")

    if not moving:
        return
    if text := _over(study, printed, lambda s: s["momentum"] > 0):
        yield (
            f"Theorem 3 prints C2 = lr/t where t/lr is meant: as printed it is {text} times the corrected value "
            "(theorem='printed')"
        )
    if text := _over(study, approximate, lambda s: s["momentum"] > 0):
        yield (
            f"Theorem 3, also corrected and with the drift that was simulated, is an approximation: it is {text} times the "
            "exact MSD"
        )
    if any(s["eigenvalue"] < 0 for s in moving):
        yield "Theorem 3 calls C1 to C4 positive: C3 and C4 are negative for a negative eigenvalue (its conclusion holds)"
    if text := _over(study, limit, lambda s: s["momentum"] == 0):
        yield f"Theorem 3 at momentum 0 is not Theorem 2: it is {text} times as large"


def _momentum(study: Table) -> Iterator[str]:
    ds = study.dataset
    if "momentum" not in study.varied:
        return
    gain = (ds["exact"] * (1 - ds["momentum"])).isel(time=-1)
    with np.errstate(all="ignore"):
        relative = (gain / gain.isel(momentum=0)).isel(momentum=slice(1, None)).values.ravel()
    if text := _range(relative[np.isfinite(relative)].tolist()):
        yield (
            f"the MSD is not proportional to 1/(1 - momentum) (eq. 15): (1 - momentum)*MSD at the last time is {text} "
            f"times that of momentum {number(ds['momentum'].values[0])}"
        )
    least = 0.0 if ds.attrs["method"] == "exact" else -1.0  # there momentum 0 has no inertia: another limit
    order = ds["exact"].sel(momentum=ds["momentum"] > least).sortby("momentum").where(ds["time"] > 0)
    if bool((order.diff("momentum") < -1e-9 * order.isel(momentum=0, drop=True)).any()):
        yield "momentum does not always increase the MSD: here it falls with momentum in some settings"
    both = [m for m in np.sort(ds["momentum"].values) if m in np.atleast_1d(ds["dampening"].values)]
    ends = [ds["exact"].sel(momentum=m, dampening=m).isel(time=-1) for m in (both[0], both[-1])] if len(both) > 1 else []
    if ends and bool((ends[1] < ends[0] * (1 - MATTERS)).all()):
        yield (
            "the gain of momentum is that of the effective learning rate: with dampening = momentum, which keeps the "
            f"effective learning rate, the MSD falls from momentum {number(both[0])} to {number(both[-1])}"
        )


def _batch(study: Table) -> Iterator[str]:
    if "batch_size" in study.varied:
        yield (
            "the MSD is exactly proportional to 1/batch_size: smaller batches leave the saddle faster (the authors' slides "
            "and summaries of them advise larger ones)"
        )


def _boundary(study: Table) -> Iterator[str]:
    edge = {
        number(s["rho"])
        for s, _ in study.settings()
        if s["eigenvalue"] < 0 and s["drift"] == "plain" and abs(s["rho"] * s["eigenvalue"] + 1) < EDGE
    }
    if edge:
        yield (
            f"rho = {', '.join(sorted(edge))} is 1/|eigenvalue|, where Theorem 1 counts the saddle as an attractor: it is "
            "neutral there, and the paths diffuse freely"
        )
