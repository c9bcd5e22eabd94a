"""A simulation as ordinary Python, which compiles nothing and gives the bits of compiled code (test_bits)."""

import numpy as np

from samfast.backends import cpu
from samfast.simulation.prepare import prepared_job


def values(loss, rule, start, record, *, observe=None, seed=0, paths=None):
    """(time, path, feature) of one setting, in float64."""
    job = prepared_job(
        loss,
        rule,
        np.asarray(start, float),
        paths=paths,
        observe=observe,
        seed=seed,
        dtype="float64",
        device="plain",
        values=True,
        on_divergence="keep",
    )
    [shard] = job.shards(0, np.asarray(record), None)
    with np.errstate(all="ignore"):
        return np.moveaxis(cpu.run_shard(shard).values[0], 1, 2)
