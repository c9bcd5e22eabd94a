"""The mean square of exactly what a study simulates, beside the published theorem. Arguments broadcast; time comes last."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from . import theory

NOISES = {"unit": "unit", "descent": "exact", "same": "same", "independent": "independent"}    # names in theory
quiet = np.errstate(all="ignore")   # inf is the answer where a saddle has thrown the paths beyond float64
USEFUL = 0.15       # a theorem within this relative error of the algorithm counts as valid


@dataclass(frozen=True)
class Model:
    """What all settings of a study share. heavy: the program has a momentum (it may be 0 in some settings)."""

    drift: str
    noise: str
    method: str
    dampening: float
    dt: float | None
    heavy: bool

    def factor(self, v: Mapping[str, np.ndarray]) -> np.ndarray:
        """s^2: the variance of one update's gradient noise in units of |eigenvalue|/batch_size."""
        return np.asarray(theory.noise_factor(v["eigenvalue"], rho=v["rho"], drift=self.drift, noise=NOISES[self.noise]))

    def _curvature(self, v: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.asarray(theory.curvature(v["eigenvalue"], rho=v["rho"], drift=self.drift))

    def _diffusion(self, v: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.asarray(theory.diffusion_coefficient(v["eigenvalue"], lr=v["lr"], batch_size=v["batch_size"], rho=v["rho"],
                                                       drift=self.drift, noise=NOISES[self.noise]))

    @quiet
    def exact(self, v: Mapping[str, np.ndarray], steps: np.ndarray) -> np.ndarray:
        """<w^2> after so many steps from w = 0: no approximation, the step size included."""
        kappa, diffusion = self._curvature(v), self._diffusion(v)
        h = v["lr"] if self.dt is None else self.dt
        if not self.heavy:
            return np.asarray(theory.em_variance(steps, curvature=kappa, diffusion=diffusion, dt=h))
        if self.method == "algorithm":
            return np.asarray(theory.heavy_ball_moments(
                steps, curvature=kappa, lr=v["lr"], momentum=v["momentum"], dampening=self.dampening,
                gradient_variance=2 * diffusion / v["lr"]).var)
        return np.asarray(theory.momentum_em_moments(
            steps, curvature=kappa, diffusion=diffusion, lr=v["lr"], momentum=v["momentum"], dampening=self.dampening,
            dt=h, scheme="symplectic").var)

    @quiet
    def theorem(self, v: Mapping[str, np.ndarray], instants: np.ndarray) -> np.ndarray:
        """Kim et al., Theorem 2 where the momentum is 0 (dampening rescales drift and noise), else Theorem 3."""
        keep = 1 - self.dampening
        second = theory.sde_variance(instants, curvature=self._curvature(v) * keep, diffusion=self._diffusion(v) * keep ** 2)
        third = theory.theorem3(instants, eigenvalue=v["eigenvalue"], lr=v["lr"], momentum=v["momentum"], rho=v["rho"],
                                batch_size=v["batch_size"], dampening=self.dampening, drift=self.drift,
                                noise=NOISES[self.noise])
        return np.where(v["momentum"] == 0, second, third)

    @quiet
    def valid(self, v: Mapping[str, np.ndarray], instants: np.ndarray) -> np.ndarray:
        """Whether the theorem is useful: Theorem 2 is exact for the diffusion, Theorem 3 has a range."""
        early = instants == 0
        error = theory.theorem3_validity(np.where(early, 1.0, instants), curvature=self._curvature(v), lr=v["lr"],
                                         momentum=v["momentum"], dampening=self.dampening)
        return np.asarray((v["momentum"] == 0) | early | (error <= USEFUL))
