"""msd: how fast SGD, SAM and their heavy-ball versions leave a saddle; simulated, exact and as published."""

from __future__ import annotations

import time as clock
from collections.abc import Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from ..model.noise import Minibatches
from ..model.parameters import Drift, NoiseKind, Numbers
from ..simulation.arguments import Device, DType
from ..simulation.progress import Progress
from .batches import Batches
from .measured import finish, source
from .plan import MsdArguments, planned
from .result import Study, StudyInterrupted


def msd(
    *,
    eigenvalue: Numbers = -1.0,
    lr: Numbers = 1e-3,
    rho: Numbers = 0.0,
    momentum: Numbers = 0.0,
    dampening: Numbers = 0.0,
    batch_size: Numbers = 64,
    times: Numbers | None = None,
    paths: int | None = None,
    until: float | None = None,
    drift: Drift | Sequence[Drift] = "plain",
    noise: Minibatches | Sequence[Minibatches] = "unit",
    method: Literal["em", "exact", "algorithm"] = "em",
    theorem: Literal["both", "published", "printed", "matched"] = "both",
    dt: Numbers | None = None,
    kind: NoiseKind = "normal",
    seed: int | None = 0,
    dtype: DType = "mixed",
    device: Device = "cpu",
    confidence: float = 0.95,
    executor: Executor | None = None,
    progress: Progress = None,
) -> Study:
    """Mean squared displacement <(w(t) - w(0))^2> along one eigenvector of a saddle or minimum, started at its centre.

    eigenvalue, lr, rho, momentum, dampening, batch_size, dt: a number, or a sequence for a dimension of the grid. All
    settings run in one compiled pass over the same noise. rho=0 is SGD. drift and noise may be sequences too; each
    combination is a program of its own, on the same numbers. times: in units of lr per update (t = lr*updates),
    multiples of the step; default: about 12 up to 1000 updates.

    paths: default 1,000,000. until: a relative standard error; paths are then added in batches until se/msd is below it
    at every time and setting (about 2/until^2 paths), at most `paths` if that is given. Ctrl-C raises StudyInterrupted,
    whose .study holds the paths that were finished, and whose .resume() goes on.

    method: "em" takes Euler-Maruyama steps of size dt (default lr) of dw = -kappa w dt + sqrt(2D) dW, with momentum of
    M dv = -phi M v dt - kappa w dt + sqrt(2D) dW (Kim, Park, Choi, Lee, "Stability Analysis of Sharpness-Aware
    Minimization", eq. 11 and Theorems 2, 3), where 2D = s^2 lr |eigenvalue|/batch_size; "exact" draws that SDE from its
    law at the times, any times; "algorithm" runs SGD or SAM on minibatch gradients. drift: "plain", kappa = eigenvalue
    (1 + rho eigenvalue), is what SAM does; "chain", kappa = eigenvalue (1 + rho eigenvalue)^2, is the drift of the
    published formulas. noise: "unit" (s^2 = 1, as published), or on which gradients the minibatch acts: "descent",
    "same" for both, "independent" (see theory.noise_factor).

    theorem: the formula to compare with. "published": Theorem 2 or 3 of the paper, with its drift ("chain") and unit noise
    whatever is simulated, and C2 = t/lr where Theorem 3 prints C2 = lr/t; "printed": with that misprint; "matched": the
    same formulas with the drift and noise of the simulation; "both" (default): "published", and beside it "matched".
    kind, seed, dtype, device, executor, progress: as in `simulate`. confidence: level of the interval ci.
    Raises ValueError or TypeError for what is out of its domain, also for times that are not multiples of the step.
    """
    given = MsdArguments(
        eigenvalue=eigenvalue,
        lr=lr,
        rho=rho,
        momentum=momentum,
        dampening=dampening,
        batch_size=batch_size,
        times=times,
        paths=paths,
        until=until,
        drift=drift,
        noise=noise,
        method=method,
        theorem=theorem,
        dt=dt,
        kind=kind,
        seed=int(np.random.default_rng().integers(2**63)) if seed is None else seed,
        dtype=dtype,
        confidence=confidence,
    )
    todo = planned(given)
    started, begun = clock.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    work = [Batches(todo, *source(todo, model, device, executor), executor, progress) for model in todo.models]
    return finish(todo, work, {"started": begun}, started, Study, StudyInterrupted)
