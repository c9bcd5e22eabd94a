"""Random programs: losses, rules, noises, observers, precisions and numbers of paths that nobody put together before.

Each is compiled by the front end, refused by nothing, and gives the bits of the same text run by plain Python; in the
acceptance tier, 300 drawn by Hypothesis have the bits of Numba's code.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import Case, bits, labels, quadratic, shard_of, wells

import samfast as sf
from samfast import cache
from samfast.backends import cpu


@sf.loss(dim=2)
def branches(w, p):
    """Conditions of which several wait from one pass of a long step to the next."""
    near = sf.where(sf.norm(w) < 0.3, w[0] ** 1.5 * w[0], sf.tanh(w[1]) ** 2)
    far = sf.where(abs(w[1]) > 0.2, sf.log(1 + w[0] ** 2), sf.exp(-w[1]) * near)
    return near + far * sf.minimum(w[0], w[1] ** 2) + sf.maximum(w[0] * w[1], 0.05) ** 3 + sf.norm(w) ** 3


def observers(rng, dim, random):
    some = [
        sf.observe.position(),
        sf.observe.msd(),
        sf.observe.exit_time(radius=0.05),
        sf.observe.running_min(sf.observe.distance([0.3] * dim)),
        sf.observe.loss_value(),
        sf.observe.gradient_norm(),
        sf.observe.escape(level=0.1),
        sf.observe.running_max(sf.observe.loss_value()),
    ]
    some = some[:4] if random else some  # a loss with random samples has no one value
    return sf.observe.several(*(some[i] for i in rng.permutation(len(some))[: rng.integers(1, 7)]))


def rule(rng, noise):
    momentum = {"momentum": 0.9, "dampening": 0.5, "dampen_first": bool(rng.integers(2))} if rng.integers(2) else {}
    base = [
        lambda: sf.gd(lr=0.01, **momentum),
        lambda: sf.sam(lr=0.01, rho=0.1, **momentum),
        lambda: sf.sam(lr=0.01, rho=0.1, normalize=True, **momentum),
        lambda: sf.sam(lr=0.01, rho=0.1, normalize=True, drift="chain", **momentum),
    ][rng.integers(4)]()
    if not noise or rng.integers(4) == 0:
        return base
    return sf.noisy(
        base, sigma=0.1, kind=rng.choice(["normal", "sign"]), minibatch=rng.choice(["same", "descent", "independent"])
    )


def program(seed):
    rng = np.random.default_rng(seed)
    loss = [branches, wells, sf.losses.beale(), labels, bits, quadratic(1), quadratic(3), quadratic(11)][rng.integers(8)]
    case = Case(loss, rule(rng, not loss.samples), observers(rng, loss.dim, loss.samples))
    return case, {
        "mode": str(rng.choice(["mixed", "float32", "float64"])),
        "paths": int(rng.choice([1, 3, 5])),
        "sweep": bool(rng.integers(2)),
        "moments": int(rng.choice([2, 4])),
        "record": [(0, 3, 6), (5,), (0, 1, 9)][rng.integers(3)],
    }


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(s, marks=pytest.mark.slow) for s in range(12, 300))])
def test_a_random_program_is_refused_by_nothing_and_has_the_bits_of_plain_python(seed, monkeypatch):
    case, options = program(seed)
    monkeypatch.setenv("SAMFAST_COMPILER", "llvm")
    monkeypatch.setenv("SAMFAST_STRICT", "1")
    made = cpu.run_shard(shard_of(case, **options)[0])
    plain = cpu.run_shard(shard_of(case, device="plain", **options)[0])
    for field in ("state", "values", "moments", "count"):
        np.testing.assert_array_equal(getattr(made, field), getattr(plain, field), f"{case}: {field}")


@pytest.mark.acceptance
@settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_a_random_program_has_the_bits_of_numba(seed):
    case, options = program(seed)
    shard = shard_of(case, **options)[0]
    found = []
    for compiler in ("llvm", "numba"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SAMFAST_COMPILER", compiler)
            patch.setenv("SAMFAST_STRICT", "1")
            found.append(cpu.run_shard(shard))
            assert cache.load(shard.program).compiler == compiler
            cache._modules.clear()
    for field in ("state", "values", "moments", "count"):
        assert getattr(found[0], field).tobytes() == getattr(found[1], field).tobytes(), f"{case}: {field}"
