"""Programs that between them use every part of the text: dims, noises, momentum, observers, layouts."""

from dataclasses import dataclass, field

import numpy as np

import samfast as sf
from samfast import machine, observe
from samfast.backends.shard import Shard
from samfast.model.observer import stopping
from samfast.simulation.prepare import prepared_job


@sf.loss(dim=2, samples=1, kind="sign")
def labels(w, p, y):
    """A network of two weights fitted to a random label, -1 or 2."""
    return 0.5 * (w[0] * w[1] - (0.5 + 1.5 * y[0])) ** 2


@sf.loss(dim=2, samples=2, kind="bit")
def bits(w, p, y):
    return 0.5 * (w[0] * w[1] - y[0] + y[1]) ** 2


@sf.loss(dim=2, a=0.7)
def wells(w, p):
    """Uses every function of the lane mathematics."""
    return p.a * sf.tanh(w[0]) ** 2 + sf.log(1 + w[1] ** 2) - 0.1 * sf.sin(w[0] * w[1]) + sf.exp(-(w[0] ** 2)) * sf.cos(w[1])


def counting(w, s, grad, p):
    """State of every kind, with a counter that chooses."""
    m = 0.9 * s.m + grad(w)
    size = 0.5 * s.size + sf.norm(m)
    return w - p.lr * sf.where(s.k % 3 < 1, 1.0, 0.5) / size * m, {"m": m, "k": s.k + 1, "size": size}


def quadratic(dim):
    return sf.losses.quadratic(np.linspace(-1, 2, dim) if dim > 1 else [1.0])


@dataclass
class Case:
    loss: object
    rule: object
    observer: object
    sweep: dict = field(default_factory=lambda: {"lr": [0.01, 0.02]})


beale = sf.losses.beale()
CASES = {
    "linear": Case(quadratic(1), sf.diffusion(sf.sam(lr=0.01, rho=0.1), sigma=0.3), observe.msd()),
    "linear-sign": Case(quadratic(1), sf.diffusion(sf.sam(lr=0.01, rho=0.1), sigma=0.3, kind="sign"), observe.msd()),
    "heavy": Case(quadratic(1), sf.noisy(sf.gd(lr=0.01, momentum=0.9), batch_size=8), observe.position()),
    "underdamped": Case(
        quadratic(1),
        sf.diffusion(sf.gd(lr=0.01, momentum=0.9, dampening=0.5), sigma=0.1, dt=0.003, scheme="explicit"),
        observe.position(),
    ),
    "beale": Case(
        beale, sf.sam(lr=1e-3, rho=1e-3, normalize=True), observe.several(observe.loss_value(), observe.escape(level=2.0))
    ),
    "beale-chain": Case(beale, sf.sam(lr=1e-3, rho=1e-3, drift="chain", momentum=0.5), observe.gradient_norm()),
    "beale-noise": Case(
        beale, sf.noisy(sf.sam(lr=1e-3, rho=1e-3, normalize=True), sigma=0.1, minibatch="same"), observe.position()
    ),
    "beale-raise": Case(
        beale,
        sf.noisy(sf.sam(lr=1e-3, rho=1e-3, normalize=True, at_critical="raise"), sigma=0.1),
        observe.exit_time(radius=0.001),
    ),
    "independent-sign": Case(
        beale,
        sf.noisy(sf.sam(lr=1e-3, rho=1e-3), sigma=sf.vector([0.1, 0.2]), kind="sign", minibatch="independent"),
        observe.displacement(),
    ),
    "labels": Case(labels, sf.sam(lr=0.05, rho=0.05), observe.position()),
    "labels-normal": Case(labels, sf.noisy(sf.sam(lr=0.05, rho=0.05), sigma=0.1), observe.position()),
    "bits": Case(bits, sf.sam(lr=0.05, rho=0.05, normalize=True), observe.position()),
    "functions": Case(
        wells, sf.noisy(sf.gd(lr=0.05, momentum=0.5, dampening=0.5, dampen_first=False), sigma=0.1), observe.loss_value()
    ),
    "quadratic3": Case(quadratic(3), sf.diffusion(sf.sam(lr=0.01, rho=0.1), sigma=0.1), observe.msd()),
    "quadratic7": Case(quadratic(7), sf.noisy(sf.gd(lr=0.01, momentum=0.9), sigma=0.1), observe.loss_value()),
    "wide12": Case(
        quadratic(12),
        sf.noisy(sf.sam(lr=0.01, rho=0.1, normalize=True, momentum=0.9), sigma=0.1, minibatch="same"),
        observe.several(observe.msd(), observe.loss_value()),
    ),
    "wide13-chain": Case(
        quadratic(13),
        sf.noisy(sf.sam(lr=0.01, rho=0.1, normalize=True, drift="chain"), batch_size=8, minibatch="independent"),
        observe.position(),
    ),
    "wide40-sign": Case(
        quadratic(40),
        sf.diffusion(sf.gd(lr=0.01), sigma=0.1, kind="sign"),
        observe.several(observe.exit_time(radius=0.5), observe.loss_value()),
    ),
    "state": Case(
        beale,
        sf.noisy(sf.rule("counting", counting, lr=1e-3, state={"m": 0.0, "k": 0, "size": sf.scalar(1.0)}), sigma=0.1),
        observe.several(observe.position(), observe.Observer("state", lambda s: [s.v.k, s.v.size], ("k", "size"))),
    ),
    "wide10-state": Case(
        quadratic(10),
        sf.noisy(sf.rule("counting", counting, lr=1e-3, state={"m": "start", "k": 0, "size": sf.scalar(1.0)}), sigma=0.1),
        observe.Observer("state", lambda s: [s.v.m, s.v.size, s.v.k], ("m", "size", "k")),
    ),
    "linear-stop": Case(
        quadratic(1),
        sf.diffusion(sf.sam(lr=0.01, rho=0.1), sigma=0.3),
        stopping(observe.several(observe.msd(), observe.stop_time()), observe.exit_time(radius=0.04)),
    ),
    "wide10-stop": Case(
        quadratic(10),
        sf.noisy(sf.sam(lr=0.01, rho=0.1, normalize=True, momentum=0.5), sigma=0.3),
        stopping(observe.exit_time(radius=0.02), lambda s: (sf.norm(s.v) > 2.5) & (s.t >= 2)),
    ),
    "wide10-raise": Case(
        quadratic(10),
        sf.noisy(sf.sam(lr=0.01, rho=0.1, normalize=True, at_critical="raise"), sigma=0.1),
        observe.gradient_norm(),
    ),
}


def shard_of(
    case,
    mode="mixed",
    device="cpu",
    record=(0, 3, 40),
    paths=280,
    seed=2**40 + 7,
    first=2**32 - 256,
    moments=4,
    sweep=True,
    per_path=False,
    **options,
):
    """(shard, job) of a case; `device` may be "plain"."""
    rule = case.rule.replace(**case.sweep) if sweep else case.rule
    start = np.full(case.loss.dim, 0.3)
    if per_path:
        start = start + np.linspace(0, 0.1, paths)[:, None]
        rule = rule.replace(lr=sf.per_path(np.linspace(0.01, 0.02, paths)))
    job = prepared_job(
        case.loss,
        rule,
        start,
        paths=paths,
        observe=case.observer,
        seed=seed,
        dtype=mode,
        device=device,
        moments=moments,
        values=True,
        **options,
    )
    shard = Shard(
        program=job.program,
        first=first,
        paths=paths,
        start=0,
        seed=seed,
        tag=0,
        params=job.params,
        shift=job.shift,
        record=np.asarray(record, np.int64),
        rows=dict(job.rows),
        state=None,
        mask=True,
        keep_values=True,
        keep_state=True,
        versions=machine.versions(),
    )
    return shard, job
