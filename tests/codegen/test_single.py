"""One path alone, whose numbers are drawn ahead, has the bits of the same path in a block: states, sums, values, divergence."""

from dataclasses import replace

import numpy as np
import pytest
from programs import CASES, Case, quadratic, shard_of

import samfast as sf
from samfast.backends import cpu

NARROW = [name for name in CASES if not name.startswith("wide")]
FIELDS = ("state", "values", "moments", "count", "diverged", "alarms")


def both(case, **options):
    """The part of the program for one path, and that of the program for blocks, of the same path."""
    single, job = shard_of(case, paths=1, **options)
    block, _ = shard_of(case, paths=280, **options)
    assert (job.program.lanes, block.program.lanes) == (1, 256)
    return cpu.run_shard(single), cpu.run_shard(replace(block, paths=1))


def same(a, b):
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field), field)


SIX = Case(quadratic(6), sf.noisy(sf.gd(lr=0.01), sigma=0.1), sf.observe.position())


def test_one_path_with_several_calls_a_step():
    """Six normals a step need two Philox calls; in plain Python, beyond the numbers of one draw ahead."""
    alone, few = (cpu.run_shard(shard_of(SIX, device="plain", paths=paths, record=(0, 3, 70))[0]) for paths in (1, 5))
    np.testing.assert_array_equal(alone.values, few.values[..., :1])
    np.testing.assert_array_equal(alone.state, few.state[..., :1])


OFTEN = ("linear", "beale", "linear-sign", "labels-normal", "functions")


@pytest.mark.parametrize("name", [name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow) for name in NARROW])
def test_one_path_has_the_bits_of_its_block_and_of_plain_python(name):
    """Two settings on shared noise, beyond the first numbers drawn ahead; path 2**32 - 256."""
    alone, block = both(CASES[name], record=(0, 3, 40, 300))
    same(alone, block)
    assert np.isfinite(alone.state).all() and alone.state[:, 0].std() > 0
    plain, compiled = (
        cpu.run_shard(shard_of(CASES[name], device=device, paths=1, record=(0, 3, 5))[0]) for device in ("plain", "cpu")
    )
    same(compiled, plain)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, mode",
    [
        ("linear", "float32"),
        ("linear", "float64"),
        ("linear-sign", "float32"),
        ("linear-sign", "mixed"),
        ("functions", "float64"),
    ],
)
@pytest.mark.parametrize("moments", [2, 3])
def test_other_precisions_and_long_runs(name, mode, moments):
    """8200 steps are more than the 64 calls of 128 signs that are drawn at once."""
    same(*both(CASES[name], mode=mode, record=(8200,), moments=moments))


@pytest.mark.parametrize("mask", [True, False])
def test_divergence(mask):
    """By step 400 one setting is beyond the limit; by step 2000 it is not a number."""
    case = Case(
        sf.losses.quadratic([1.0, 2.0]), sf.diffusion(sf.gd(lr=0.1), sigma=0.1), sf.observe.position(), {"lr": [0.1, 5]}
    )
    single, _ = shard_of(case, paths=1, record=(0, 400, 2000, 2001))
    block, _ = shard_of(case, paths=280, record=(0, 400, 2000, 2001))
    alone, whole = cpu.run_shard(replace(single, mask=mask)), cpu.run_shard(replace(block, paths=1, mask=mask))
    same(alone, whole)
    assert alone.diverged[:, [0, 2]].tolist() == ([[1, 400]] if mask else [])
    assert np.isnan(alone.values[1, -1]).any()


@pytest.mark.parametrize("cut", [1, 5, 255, 257])
def test_stopping_anywhere_and_going_on(cut):
    shard, _ = shard_of(CASES["beale-noise"], paths=1, record=(600,))
    whole, first = cpu.run_shard(shard), cpu.run_shard(replace(shard, record=np.array([cut])))
    np.testing.assert_array_equal(whole.state, cpu.run_shard(replace(shard, start=cut, state=first.state)).state)


def test_simulate_uses_it_for_one_path_and_resumes():
    rule, loss = sf.diffusion(sf.sam(lr=0.01, rho=0.05), sigma=0.1), sf.losses.quadratic([1.0, 2.0])
    one = sf.simulate(loss, rule, [0.1, 0.2], record=[0, 5, 700], seed=3, values=True)
    many = sf.simulate(loss, rule, [0.1, 0.2], record=[0, 5, 700], seed=3, values=True, paths=70)
    assert one.job.program.lanes == 1
    np.testing.assert_array_equal(one.values[:, 0], many.values[:, 0])
    again = sf.resume(sf.simulate(loss, rule, [0.1, 0.2], record=[0, 5], seed=3, values=True), record=[700])
    np.testing.assert_array_equal(again.values, one.values)
    np.testing.assert_array_equal(again.sums, one.sums)
