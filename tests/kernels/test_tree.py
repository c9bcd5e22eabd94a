"""The tree in which a block's features are summed, level by level, on every device."""

import numpy as np
import pytest

import samfast as sf
from samfast.backends import cpu, cuda
from samfast.backends.central import central
from samfast.simulation.prepare import prepared_job

SPREAD = [0.1, 0.3, 1.0, 2.0, 4.0, 8.0]  # of each feature: sizes of 10^-SPREAD to 10^SPREAD


def tree(x, swapped=False):
    """The sum of a power of two of numbers: the second half is added to the first until one is left.

    swapped: a likely mistake, in which the second and the third quarter have changed places.
    """
    if swapped:
        x = np.concatenate([np.split(x, 4)[i] for i in (0, 2, 1, 3)])
    while len(x) > 1:
        x = x[: len(x) // 2] + x[len(x) // 2 :]
    return x[0]


@pytest.mark.parametrize("lanes", [8, 32, 256])
def test_sums_have_one_order(lanes, monkeypatch):
    """All four powers, on numbers of up to 16 orders of magnitude; in each power the mistake would show."""
    monkeypatch.setattr("samfast.simulation.prepare.FEW", min(lanes, 32))
    rng = np.random.default_rng(lanes)
    w = rng.choice([-1.0, 1.0], (lanes, 6)) * 10.0 ** (rng.uniform(-1, 1, (lanes, 6)) * SPREAD)
    both = ("plain", cpu.run_shard), ("emulator", cuda.run_shard)
    for device, run in both if lanes < 256 else both[:1]:  # on a GPU one text serves any number of lanes
        job = prepared_job(
            sf.losses.quadratic(np.ones(6)),
            sf.gd(lr=0.1),
            w,
            observe=sf.observe.position(),
            dtype="float64",
            device=device,
            moments=4,
        )
        assert job.program.lanes == lanes
        [shard] = job.shards(0, np.array([0]), None)
        seen = []
        monkeypatch.setattr(
            f"{run.__module__}.central", lambda sums, *more, seen=seen: seen.append(sums) or central(sums, *more)
        )
        run(shard)
        sums = seen[0][0]  # of the only block
        x = w - w[0]
        xx = x * x
        for m, powers in enumerate((x, xx, x * xx, xx * xx)):
            got = sums[0, 0, :, m + 1]
            np.testing.assert_array_equal(got, [tree(column) for column in powers.T], f"{device}, power {m + 1}")
            assert (got != [tree(column, swapped=True) for column in powers.T]).any(), m
