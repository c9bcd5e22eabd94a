"""Rules of the literature, each from the equations of its paper: `sf.rules.adam(lr=0.001)`, `sf.rules.asam(base, rho=0.5)`."""

from .adaptive import adagrad, adam, adamw, lion, nesterov, rmsprop, signum
from .sharpness import asam, fsam, gsam, looksam, m_sam, multistep_sam, usam
from .wrappers import clipped, decayed

__all__ = [
    "adagrad",
    "adam",
    "adamw",
    "asam",
    "clipped",
    "decayed",
    "fsam",
    "gsam",
    "lion",
    "looksam",
    "m_sam",
    "multistep_sam",
    "nesterov",
    "rmsprop",
    "signum",
    "usam",
]


def __dir__() -> list[str]:
    return __all__
