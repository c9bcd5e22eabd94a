"""One program that the tests of the engine share, in few variants: each costs a compilation."""

import hashlib

import numpy as np

import samfast as sf


@sf.loss(dim=2, k=sf.vector([1.0, 0.5]), a=0.0)
def bowl(w, p):
    """A quadratic; with a > 0 a quartic, on which paths that start far out run away."""
    return 0.5 * sf.total(p.k * w * w) + 0.25 * p.a * w[0] ** 4


RULE = sf.noisy(sf.gd(lr=0.1, momentum=0.5), sigma=0.3)


def simulate(loss=bowl, start=(1.0, -1.0), *, record=(0, 3, 40), paths=200, moments=4, rule=None, options=None, **params):
    """A run of the program, with its values; `params` replace those of the rule."""
    return sf.simulate(
        loss,
        rule or RULE.replace(**params),
        start,
        record=record,
        paths=paths,
        moments=moments,
        **{"values": True, **(options or {})},
    )


def far_out(paths, *, every=50, first=3):
    """Starts of which one in `every` runs away under a=1."""
    start = np.tile([1.0, -1.0], (paths, 1))
    start[first::every, 0] = 10.0
    return start


def digest(run):
    """One hash of all that a run computed."""
    h = hashlib.sha256()
    for a in (run.record, run.sums, run.count, run.shift, run.diverged, run.values, run.state):
        h.update(repr((a.dtype, a.shape)).encode() + np.ascontiguousarray(a).tobytes())
    return h.hexdigest()
