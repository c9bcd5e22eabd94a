"""The mean square of exactly what a study simulates, beside the published theorem. Arguments broadcast; time comes last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import theory
from ..model import noise as noises
from ..model import rules
from ..model.noise import Minibatches
from ..model.parameters import Drift, NoiseKind, vector
from ..model.rule import Rule
from ..theory.momentum import USEFUL

DRIFTS = ("plain", "chain")  # of what is simulated; theory also knows "sgd", which here is rho = 0
NOISES = {"unit": "unit", "descent": "exact", "same": "same", "independent": "independent"}  # names in theory
THEOREMS = ("published", "printed", "matched")  # formulas to compare with
quiet = np.errstate(all="ignore")  # inf is the answer where a saddle has thrown the paths beyond float64
WITHIN = f"within {100 * USEFUL:.3g} %"
Values = Mapping[str, Any]  # parameter name -> number or array


@dataclass(frozen=True)
class LinearProcess:
    """What the settings of one program share. heavy: it has a momentum (which may be 0 in some settings)."""

    drift: Drift
    noise: Minibatches
    method: str
    heavy: bool

    def factor(self, v: Values) -> np.ndarray:
        """s^2: the variance of one update's gradient noise in units of |eigenvalue|/batch_size."""
        return np.asarray(self._of(theory.noise_factor, v, noise=NOISES[self.noise]))

    def curvature(self, v: Values) -> np.ndarray:
        """The coefficient kappa of the linear drift -kappa w."""
        return np.asarray(self._of(theory.curvature, v))

    def diffusion(self, v: Values) -> np.ndarray:
        """The diffusion coefficient D of dw = -kappa w dt + sqrt(2D) dW, with the noise of this process."""
        return np.asarray(
            self._of(theory.diffusion_coefficient, v, lr=v["lr"], batch_size=v["batch_size"], noise=NOISES[self.noise])
        )

    @staticmethod
    def step(v: Values) -> np.ndarray:
        """The time that one step stands for: dt, or lr where no dt is given."""
        return np.asarray(v.get("dt", v["lr"]))

    def steps_at(self, v: Values, times: np.ndarray) -> np.ndarray:
        """What `exact` wants: the number of steps to each time; method "exact" has no steps, but times."""
        return np.asarray(times if self.method == "exact" else np.rint(times / self.step(v)))

    @quiet
    def exact(self, v: Values, steps: np.ndarray) -> np.ndarray:
        """<w^2> from w = 0 after so many steps (see `steps_at`): no approximation, the step size included."""
        kappa, diffusion = self.curvature(v), self.diffusion(v)
        if self.method == "exact":
            return self._diffused(v, steps)
        if not self.heavy:
            return np.asarray(theory.em_variance(steps, curvature=kappa, diffusion=diffusion, dt=self.step(v)))
        common = {"curvature": kappa, "lr": v["lr"], "momentum": v["momentum"], "dampening": v["dampening"]}
        if self.method == "algorithm":
            return np.asarray(theory.heavy_ball_moments(steps, gradient_variance=2 * diffusion / v["lr"], **common).var)
        return np.asarray(
            theory.momentum_em_moments(steps, diffusion=diffusion, dt=self.step(v), scheme="symplectic", **common).var
        )

    @property
    def published(self) -> LinearProcess:
        """The process of the published theorems: drift of the gradient of w -> loss(w + rho*grad), noise free of rho."""
        return replace(self, drift="chain", noise="unit")

    @quiet
    def theorem(self, v: Values, times: np.ndarray, which: str = "published") -> np.ndarray:
        """Kim et al., Theorem 2 where the momentum is 0 (dampening rescales drift and noise), else Theorem 3.

        which: "published", with the theorems' own drift and noise whatever is simulated, and C2 = t/lr where Theorem 3 prints
        C2 = lr/t; "printed", with that misprint; "matched", the same formulas with the drift and noise of this process.
        """
        process = self if which == "matched" else self.published
        second = process._overdamped(v, times)
        third = theory.theorem3_variance(
            times,
            curvature=process.curvature(v),
            diffusion=process.diffusion(v),
            lr=v["lr"],
            momentum=v["momentum"],
            dampening=v["dampening"],
            as_printed=which == "printed",
        )
        return np.where(np.asarray(v["momentum"]) == 0, second, np.where(times == 0, 0.0, third))

    def _overdamped(self, v: Values, times: np.ndarray) -> np.ndarray:
        """The variance of the SDE without inertia, Theorem 2 with the drift and noise of this process."""
        keep = 1 - np.asarray(v["dampening"])
        return np.asarray(theory.sde_variance(times, curvature=self.curvature(v) * keep, diffusion=self.diffusion(v) * keep**2))

    def _diffused(self, v: Values, times: np.ndarray) -> np.ndarray:
        """<w^2> of the SDE; with momentum 0 that without inertia."""
        without = self._overdamped(v, times)
        if not self.heavy:
            return without
        inert = theory.momentum_sde_moments(
            times,
            curvature=self.curvature(v),
            diffusion=self.diffusion(v),
            lr=v["lr"],
            momentum=v["momentum"],
            dampening=v["dampening"],
        ).var
        return np.where(np.asarray(v["momentum"]) == 0, without, inert)

    def departs(self, v: Values) -> bool:
        """Whether the drift or noise of this setting is not that of the published theorems; without rho they are one."""
        return bool(np.any(np.asarray(v["rho"]) > 0)) and self != self.published

    @quiet
    def valid(self, v: Values, times: np.ndarray, ratio: np.ndarray) -> np.ndarray:
        """Whether a theorem, ratio times the exact value, is within 15 % of it: Theorem 3 inside its range too."""
        early = times == 0
        error = theory.theorem3_validity(
            np.where(early, 1.0, times),
            curvature=self.curvature(v),
            lr=v["lr"],
            momentum=v["momentum"],
            dampening=v["dampening"],
        )
        inside = (np.asarray(v["momentum"]) == 0) | (error <= USEFUL)
        return np.asarray(early | (inside & (np.abs(ratio - 1) <= USEFUL)))

    @quiet
    def difference(self, v: Values, steps: np.ndarray) -> np.ndarray:
        """<X^2> - <Y^2>, SGD (rho = 0) less the setting, after so many steps (see `steps_at`): `exact`, without subtracting.

        nan where the mean squares exceed float64.
        """
        about: dict[str, Any] = {
            "curvature": v["eigenvalue"],
            "diffusion": self._unit(v),
            "shift": self._of(theory.curvature_shift, v),
            "deficit": self._of(theory.noise_deficit, v, noise=NOISES[self.noise]),
        }
        heavy = {"lr": v["lr"], "momentum": v["momentum"], "dampening": v["dampening"]}
        if self.method != "exact" and self.heavy:
            return np.asarray(theory.momentum_em_difference(steps, dt=self.step(v), **about, **heavy))
        if self.method != "exact":
            return np.asarray(theory.em_difference(steps, dt=self.step(v), **about))
        keep = 1 - np.asarray(v["dampening"])  # it slows the clock and the noise
        without = keep * theory.corollary1_exact(
            steps * keep,
            drift=self.drift,
            noise=NOISES[self.noise],
            **{p: v[p] for p in ("eigenvalue", "lr", "rho", "batch_size")},
        )
        if not self.heavy:
            return np.asarray(without)
        return np.where(np.asarray(v["momentum"]) == 0, without, theory.momentum_sde_difference(steps, **about, **heavy))

    @quiet
    def covariance(self, v: Values, steps: np.ndarray) -> np.ndarray:
        """<X Y> of SGD (X) and the setting (Y) on the same noise, after so many steps; method "exact" has none."""
        shared = {
            "curvature": v["eigenvalue"],
            "other_curvature": self.curvature(v),
            "diffusion": self._unit(v),
            "dt": self.step(v),
        }
        found = (
            theory.em_crn_covariance(steps, **shared)
            if not self.heavy
            else theory.momentum_em_crn_covariance(
                steps, lr=v["lr"], momentum=v["momentum"], dampening=v["dampening"], **shared
            )
        )
        return np.asarray(found * self._amplitude(v))

    def _of(self, formula: Callable[..., Any], v: Values, **more: Any) -> Any:
        return formula(v["eigenvalue"], rho=v["rho"], drift=self.drift, **more)

    @staticmethod
    def _unit(v: Values) -> np.ndarray:
        """The diffusion coefficient of SGD, that is of rho = 0."""
        return np.asarray(theory.diffusion_coefficient(v["eigenvalue"], lr=v["lr"], batch_size=v["batch_size"]))

    def _amplitude(self, v: Values) -> np.ndarray:
        """How much of the noise of a step with rho = 0 a step with rho carries (the rest is independent of it)."""
        if self.method == "em" or self.noise == "unit":
            return np.sqrt(self.factor(v))
        gain = 1 + np.asarray(v["rho"]) * v["eigenvalue"]  # the Jacobian of w^p
        return np.asarray(gain ** ((self.drift == "chain") + (self.noise == "same")))

    def rule(self, v: Values, kind: NoiseKind = "normal") -> Rule:
        """What is simulated, method "exact" excepted: SAM (SGD at rho = 0) with this drift, noise and momentum."""
        heavy = {"momentum": v["momentum"], "dampening": v["dampening"]} if self.heavy else {}
        rule = rules.sam(lr=v["lr"], rho=v["rho"], drift=self.drift, **heavy)
        if self.method == "algorithm":
            return noises.noisy(rule, batch_size=v["batch_size"], minibatch=self.noise, kind=kind)
        deviation = np.sqrt(self.factor(v) * np.abs(v["eigenvalue"]) / v["batch_size"])  # coordinates come last
        return noises.diffusion(rule, sigma=vector(np.asarray(deviation)[..., None]), dt=v.get("dt"), kind=kind)
