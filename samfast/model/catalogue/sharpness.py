"""The SAM family: each changes the gradient that a base rule sees. Give a base rule first, or lr for gradient descent.

g(w) is the gradient at w. Where g = 0 nothing is perturbed, as in `sf.sam`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ... import tracing as T
from ...checks import integer
from ..change import changed
from ..parameters import Sweep, parameter
from ..rule import Oracle, Rule
from ..rules import sam
from .base import base_or_gd

MOST = 100  # ascent steps or parts of a batch: each is unrolled
RHO = frozenset({"rho"})


def _sizes(**given: Sweep) -> None:
    for name, value in given.items():
        parameter(name, value, low=0.0, example=0.05)


def usam(base: Rule | None = None, *, rho: Sweep, lr: Sweep | None = None) -> Rule:
    """Unnormalised SAM: the gradient becomes g(w + rho*g(w)); rho in length^2.

    Andriushchenko and Flammarion (2022), section 2; the same as sf.sam(normalize=False).
    """
    return sam(base_or_gd("usam", base, lr), rho=rho)


def asam(base: Rule | None = None, *, rho: Sweep, eta: Sweep = 0.01, lr: Sweep | None = None) -> Rule:
    """Adaptive SAM: the gradient becomes g(w + rho*T^2 g/|T g|) with g = g(w) and T = |w| + eta by coordinate.

    Kwon et al. (2021), eq. 8 and Algorithm 1, with elementwise normalisation. rho is relative to |w|.
    """
    _sizes(eta=eta)

    def ascend(w: Any, grad: Oracle, p: Any) -> Any:
        scale = abs(w) + p.eta
        g = scale * grad(w)
        return w + (p.rho / T.length(g)) * (scale * g)

    made = changed(
        "asam",
        base_or_gd("asam", base, lr),
        lambda w, s, grad, p: (grad(ascend(w, grad, p)), {}),
        {"rho": rho, "eta": eta},
        bounded=RHO,
    )
    return replace(made, perturbed=ascend)


def gsam(base: Rule | None = None, *, rho: Sweep, alpha: Sweep, lr: Sweep | None = None) -> Rule:
    """Surrogate gap minimisation: the gradient becomes h - alpha*(g - (g.h) h/|h|^2), g = g(w), h = g(w + rho*g/|g|).

    The part of g at a right angle to h is ascended, which lowers the gap between the perturbed loss and the loss.
    Zhuang et al. (2022), Algorithm 1.
    """
    _sizes(alpha=alpha)

    def change(w: Any, s: Any, grad: Oracle, p: Any) -> Any:
        g = grad(w)
        h = grad(w + (p.rho / T.length(g)) * g)
        n = T.normalized(h)
        return h - p.alpha * (g - T.dot(g, n) * n), {}

    return changed("gsam", base_or_gd("gsam", base, lr), change, {"rho": rho, "alpha": alpha}, bounded=RHO)


def looksam(base: Rule | None = None, *, rho: Sweep, every: int = 5, alpha: Sweep = 0.7, lr: Sweep | None = None) -> Rule:
    """LookSAM: SAM at every so many steps, and in between its direction from the last of them.

    At steps n = 0, every, 2*every, ... the gradient becomes h = g(w + rho*g/|g|), and u = h - (g.h) g/|g|^2 is kept; at the
    others it becomes g + alpha*|g| u/|u|. Liu et al. (2022), Algorithm 1. State: u. With alpha=0 it is SAM at every so many
    steps. Both gradients are computed at each step here, so it saves no time.
    """
    integer("every", every, 1, 5)
    _sizes(alpha=alpha)

    def change(w: Any, s: Any, grad: Oracle, p: Any) -> Any:
        g = grad(w)
        h = grad(w + (p.rho / T.length(g)) * g)
        n = T.normalized(g)
        own = p.step_count % int(every) < 1
        u = T.where(own, h - T.dot(h, n) * n, s.u)
        return T.where(own, h, g + p.alpha * T.norm(g) * T.normalized(u)), {"u": u}

    made = base_or_gd("looksam", base, lr)
    return changed(f"looksam{every}", made, change, {"rho": rho, "alpha": alpha}, state={"u": 0.0}, bounded=RHO)


def fsam(base: Rule | None = None, *, rho: Sweep, share: Sweep = 1.0, mean_decay: Sweep = 0.9, lr: Sweep | None = None) -> Rule:
    """Friendly SAM: the gradient becomes g(w + rho*d/|d|) with d = g - share*m', from m = 0.

    The running mean m' = mean_decay*m + (1 - mean_decay)*g stands for the full gradient, so that the perturbation follows the
    noise of the minibatch.
    Li et al. (2024), Algorithm 1, where share is sigma and mean_decay is lambda. State: mean.
    """
    _sizes(share=share)
    parameter("mean_decay", mean_decay, low=0.0, below=1.0, example=0.9)

    def change(w: Any, s: Any, grad: Oracle, p: Any) -> Any:
        g = grad(w)
        mean = p.mean_decay * s.mean + (1 - p.mean_decay) * g
        d = g - p.share * mean
        return grad(w + (p.rho / T.length(d)) * d), {"mean": mean}

    made = base_or_gd("fsam", base, lr)
    return changed(
        "fsam", made, change, {"rho": rho, "share": share, "mean_decay": mean_decay}, state={"mean": 0.0}, bounded=RHO
    )


def multistep_sam(base: Rule | None = None, *, rho: Sweep, steps: int, lr: Sweep | None = None) -> Rule:
    """SAM with several ascent steps: the gradient becomes g(w_k), k = steps, with w_0 = w, w_i = w_(i-1) + rho/k g/|g|.

    g is the gradient at w_(i-1), so that the whole radius is at most rho. Foret et al. (2021), section 2, take the maximum over
    the ball by one step; Kim et al. (2023), "Exploring the effect of multi-step ascent in SAM", by several.
    """
    k = integer("steps", steps, 1, 3, most=MOST)

    def ascend(w: Any, grad: Oracle, p: Any) -> Any:
        for _ in range(k):
            g = grad(w)
            w = w + (p.rho / k / T.length(g)) * g
        return w

    base = base_or_gd("multistep_sam", base, lr)
    made = changed(f"multistep{k}_sam", base, lambda w, s, grad, p: (grad(ascend(w, grad, p)), {}), {"rho": rho}, bounded=RHO)
    return replace(made, perturbed=ascend)


def m_sam(base: Rule | None = None, *, rho: Sweep, parts: int, lr: Sweep | None = None) -> Rule:
    """m-SAM: the gradient becomes the mean over the parts of a batch of g_j(w + rho*g_j/|g_j|), g_j = g_j(w).

    Each part has a minibatch gradient g_j of its own, the same one in ascent and descent: give noise by
    noisy(..., minibatch="same") or samples by `sampled`, whose sigma or batch_size is then that of a part. Foret et al. (2021),
    section 4.1; Andriushchenko and Flammarion (2022). Without noise all parts are alike, and it is SAM.
    """
    m = integer("parts", parts, 1, 4, most=MOST)

    def change(w: Any, s: Any, grad: Oracle, p: Any) -> Any:
        total = 0.0
        for _ in range(m):
            g = grad(w)
            total = total + grad(w + (p.rho / T.length(g)) * g)
        return total * (1.0 / m), {}

    made = changed(f"m{m}_sam", base_or_gd("m_sam", base, lr), change, {"rho": rho}, bounded=RHO)
    return replace(made, batches=tuple(j for j in range(m) for _ in range(2)))
