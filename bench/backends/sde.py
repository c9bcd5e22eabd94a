"""diffrax and torchsde on dw = -curvature w dt + deviation dW, by Euler-Maruyama in float32 with their fastest settings."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..work import Answer, Backend, Run, Work


def diffrax(work: Work) -> Run:
    """Solves all paths as one vector, with a Brownian path that stores nothing and without the checkpoints of a gradient."""
    import diffrax as library
    import jax
    import jax.numpy as jnp
    import lineax

    kappa, deviation, dt = (work.about[k] for k in ("curvature", "deviation", "dt"))
    at = jnp.asarray(work.record * dt, jnp.float32)
    end = float(work.steps * dt)

    @jax.jit
    def go(key: Any) -> Answer:
        noise = library.UnsafeBrownianPath(jax.ShapeDtypeStruct((work.paths,), jnp.float32), key)
        terms = library.MultiTerm(
            library.ODETerm(lambda t, w, args: -kappa * w),
            library.ControlTerm(lambda t, w, args: lineax.DiagonalLinearOperator(jnp.full_like(w, deviation)), noise),
        )
        w = library.diffeqsolve(
            terms,
            library.Euler(),
            0.0,
            end,
            None,
            jnp.zeros(work.paths, jnp.float32),
            stepsize_controller=library.StepTo(jnp.asarray(np.arange(work.steps + 1) * dt, jnp.float32)),
            saveat=library.SaveAt(ts=at),
            adjoint=library.ForwardMode(),
            max_steps=work.steps + 1,
            throw=False,
        ).ys
        return {"first": w.mean(-1), "second": (w * w).mean(-1)}

    key = jax.random.key(0)
    return lambda: jax.block_until_ready(go(key))


def torchsde(work: Work) -> Run:
    """Solves all paths with diagonal noise, drawn from a tree of intervals that are halved down to dt.

    The tree is the fastest of torchsde's Brownian motions here. Its law is the exact one because the number of steps is a
    power of 2.
    """
    import torch
    import torchsde as library

    torch.set_num_threads(1)
    kappa, deviation, dt = (work.about[k] for k in ("curvature", "deviation", "dt"))

    class Linear(torch.nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t: Any, w: Any) -> Any:
            return -kappa * w

        def g(self, t: Any, w: Any) -> Any:
            return torch.full_like(w, deviation)

    at = torch.tensor(np.append(0, work.record) * dt, dtype=torch.float64)
    start = torch.zeros(work.paths, 1)

    @torch.no_grad()
    def run() -> Answer:
        noise = library.BrownianInterval(
            0.0, float(at[-1]), size=(work.paths, 1), dtype=torch.float32, tol=dt / 2, halfway_tree=True
        )
        w = library.sdeint(Linear(), start, at, bm=noise, method="euler", dt=dt)[1:, :, 0]
        return {"first": w.mean(-1), "second": (w * w).mean(-1)}

    return run


BACKENDS = (
    Backend("diffrax", diffrax, needs="diffrax", share=1 / 8),
    Backend("torchsde", torchsde, needs="torchsde", share=1 / 8),
)
