"""Compiled code and the same text run by plain Python agree bit for bit: states, sums, stored values."""

from dataclasses import replace

import numpy as np
import pytest
from programs import CASES, Case, quadratic, shard_of

import samfast as sf
from samfast.backends import cpu


def same(a, b, what):
    assert np.isfinite(a).all(), f"{what}: the test needs finite values"
    np.testing.assert_array_equal(a, b, what)


def compare(name, block=False, paths=5, **options):
    """`block`: the program for many paths, which other tests compile too."""
    shard = replace(shard_of(CASES[name], paths=280 if block else paths, **options)[0], paths=paths)
    compiled = cpu.run_shard(shard)
    options["paths"] = paths
    plain = cpu.run_shard(shard_of(CASES[name], device="plain", **options)[0])
    for field in ("state", "values", "moments", "count"):
        same(getattr(compiled, field), getattr(plain, field), f"{name} {field}")
    return compiled


OTHERS = [(name, mode) for mode in ("float32", "float64") for name in ("linear", "linear-sign", "functions", "wide12")]
SLOW = [("quadratic7", "mixed"), ("wide13-chain", "mixed")]  # what they have the others have too
MODES = [
    case if case not in SLOW else pytest.param(*case, marks=pytest.mark.slow)
    for case in [*((name, "mixed") for name in CASES), *OTHERS]
]
BLOCK = ("linear", "linear-sign", "beale", "beale-noise", "labels-normal", "functions", "wide12")  # needed elsewhere
RECORD = {"linear": (0, 3, 6, 9), "linear-sign": (0, 3, 37), "labels": (0, 37)}


@pytest.mark.parametrize("name, mode", MODES)
def test_compiled_equals_plain_python(name, mode):
    """Two settings, recorded inside a draw; in one case 280 paths across path number 2**32."""
    paths = 280 if name == "linear" else 5
    part = compare(name, name in BLOCK and mode == "mixed", paths, mode=mode, record=RECORD.get(name, (0, 3, 5)))
    assert part.state.std(-1).max() > 0 or not CASES[name].rule.draws


@pytest.mark.parametrize("name", ["linear", "wide12"])
def test_parameters_and_starts_of_each_path(name):
    compare(name, sweep=False, per_path=True, paths=5, record=(0, 3, 5))


@pytest.mark.parametrize("name", ["linear", *(pytest.param(n, marks=pytest.mark.slow) for n in ("beale-noise", "wide12"))])
def test_few_paths_use_fewer_lanes_and_give_the_same_bits(name):
    few = cpu.run_shard(shard_of(CASES[name], paths=5, record=(0, 17))[0])
    many = cpu.run_shard(shard_of(CASES[name], paths=280, record=(0, 17))[0])
    same(few.values, many.values[..., :5], name)


@pytest.mark.parametrize(
    "name, device",
    [
        ("linear", "cpu"),
        ("linear-sign", "cpu"),
        ("beale-noise", "cpu"),
        ("wide12", "plain"),
        pytest.param("wide12", "cpu", marks=pytest.mark.slow),
    ],
)
def test_a_sweep_equals_its_settings_apart(name, device):
    """Configurations share numbers, not results: each equals its own run. Plain Python has the bits of compiled code."""
    case, options = CASES[name], dict(device=device, record=(0, 5, 33), paths=280 if device == "cpu" else 5)
    both = cpu.run_shard(shard_of(case, **options)[0])
    for c, lr in enumerate(case.sweep["lr"]):
        one = type(case)(case.loss, case.rule.replace(lr=lr), case.observer, {})
        apart = cpu.run_shard(shard_of(one, **options)[0])
        same(both.state[c], apart.state[0], f"{name} {c}")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
def test_any_number_of_settings(count, monkeypatch):
    """Groups of settings and what is left over, as on wide vector units."""
    monkeypatch.setattr("samfast.codegen.cpu.GROUP", {256: 96, 512: 96})
    monkeypatch.setattr("samfast.codegen.pipeline._programs", {})
    case = CASES["linear"]
    lr = np.linspace(0.01, 0.05, count).tolist()
    shard, job = shard_of(type(case)(case.loss, case.rule, case.observer, {"lr": lr}))
    assert count == 1 or "UNROLL, GROUP = np.float64, 4, 4" in job.program.text
    many = cpu.run_shard(shard)
    one = type(case)(case.loss, case.rule.replace(lr=lr[-1]), case.observer, {})
    same(many.state[-1], cpu.run_shard(shard_of(one)[0]).state[0], "last setting")


@pytest.mark.parametrize("dim", [5, pytest.param(8, marks=pytest.mark.slow)])
def test_wide_layout_equals_unrolled_text(dim, monkeypatch):
    """The two layouts of a program of a few coordinates give the same bits."""
    results = []
    for limit in (dim, dim - 1):
        monkeypatch.setattr("samfast.codegen.pipeline.WIDE_ABOVE", limit)
        rule = sf.noisy(sf.sam(lr=0.01, rho=0.1, normalize=True, momentum=0.9), sigma=0.1, minibatch="same")
        case = Case(quadratic(dim), rule, sf.observe.several(sf.observe.msd(), sf.observe.position()))
        shard, job = shard_of(case, paths=1000)
        assert job.program.wide == (limit == dim - 1)
        results.append(cpu.run_shard(shard))
    same(results[0].values, results[1].values, "layouts")
    same(results[0].moments, results[1].moments, "layouts")


@pytest.mark.parametrize("cut", [1, 5, 33])
@pytest.mark.parametrize("name", ["linear", "linear-sign", "beale-noise", "wide12"])
def test_stopping_anywhere_and_going_on(name, cut):
    """A cut inside a draw, and going on, gives the bits of the whole run."""
    shard, _ = shard_of(CASES[name], record=(70,))
    whole = cpu.run_shard(shard)
    first = cpu.run_shard(replace(shard, record=np.array([cut])))
    second = cpu.run_shard(replace(shard, start=cut, state=first.state))
    same(whole.state, second.state, name)
