"""The CUDA text, run by an emulator and by numba-cuda's simulator, gives the bits of the CPU's text."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gpu_compiler
import numpy as np
import pytest
from programs import CASES, Case, quadratic, shard_of

import samfast as sf
from samfast import arrays
from samfast.backends import cpu, cuda
from samfast.backends.shard import StoppedError
from samfast.codegen.cuda import SHORT

FIELDS = ("state", "values", "moments", "count", "diverged", "alarms")
RECORD = {
    "linear-sign": (0, 3, 37),
    "labels": (0, 3, 37),
    "bits": (0, 130),
    "wide40-sign": (0, 3, 6),
    "linear-stop": (0, 3, 26),
}


def same(a, b, what):
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field), f"{what} {field}")


def both(case, **options):
    """The shard on the CPU, in plain Python, and by the emulator."""
    plain = cpu.run_shard(shard_of(case, device="plain", **options)[0])
    shard, job = shard_of(case, device="emulator", **options)
    return plain, cuda.run_shard(shard), job.program


MODES = [(name, "mixed") for name in CASES] + [
    (name, mode) for mode in ("float32", "float64") for name in ("linear", "linear-sign", "functions", "wide12", "wide40-sign")
]


@pytest.mark.parametrize("name, mode", MODES)
def test_the_emulated_text_gives_the_bits_of_the_cpu(name, mode):
    """Two settings on shared noise, recorded inside a draw."""
    plain, emulated, _ = both(CASES[name], mode=mode, record=RECORD.get(name, (0, 3, 5)), paths=5)
    same(plain, emulated, name)
    assert np.isfinite(emulated.moments).all()


def test_a_block_of_256_threads_and_one_that_is_not_full():
    """Paths on both sides of number 2**32."""
    options = dict(record=(0, 5), paths=300)
    compiled = cpu.run_shard(shard_of(CASES["linear"], **options)[0])
    same(compiled, cuda.run_shard(shard_of(CASES["linear"], device="emulator", **options)[0]), "linear")


@pytest.mark.parametrize("count, group", [(1, 1), (2, 4), (3, 4), (5, 4)])
def test_settings_of_one_thread(count, group):
    """Groups of settings, also where the last group is not full."""
    case = Case(
        quadratic(1),
        sf.diffusion(sf.sam(lr=0.01, rho=0.1), sigma=0.3),
        sf.observe.msd(),
        {"lr": np.linspace(0.01, 0.05, count).tolist()},
    )
    plain, emulated, program = both(case, record=(0, 6), paths=5)
    same(plain, emulated, count)
    assert program.group == group


def test_parameters_and_starts_of_each_path():
    for name in ("linear", "wide12"):
        plain, emulated, _ = both(CASES[name], sweep=False, per_path=True, paths=5, record=(0, 3, 5))
        same(plain, emulated, name)


def test_diverged_paths_are_masked_alike():
    """Starts from harmless to hopeless: some paths overflow before the first look, some, the first too, between two looks."""
    loss = sf.losses.double_well()
    rule = sf.noisy(sf.gd(lr=0.4), sigma=0.01)
    start = np.array([[x, 0.1] for x in (3.0, 0.1, 40.0, 1e30, 0.5, 1e80, 2.0)])
    lost = {}
    for mask in ("mask", "keep"):
        parts = []
        for device, run in (("plain", cpu.run_shard), ("emulator", cuda.run_shard)):
            job = sf.simulation.prepare.prepared_job(
                loss, rule, start, device=device, values=True, moments=4, on_divergence=mask
            )
            parts.append(run(job.shards(0, np.array([0, 3, 9, 40]), None)[0]))
        same(*parts, mask)
        lost[mask] = parts[1]
    assert len(set(lost["mask"].diverged[:, 2])) > 1 and np.isfinite(lost["mask"].moments).all()
    assert len(lost["keep"].diverged) == 0 and not np.isfinite(lost["keep"].moments).all()


@pytest.mark.parametrize("name", ["linear", "linear-sign", "beale", "wide12", "wide40-sign"])
def test_launches_may_end_at_any_step(name, monkeypatch):
    """A run in launches of one step each, of about a third, and in one: the same bits."""
    shard, _ = shard_of(CASES[name], device="emulator", record=(0, 2, 7, 11), paths=5)
    whole = cuda.run_shard(shard)
    launches = []
    launch = cuda._launch
    monkeypatch.setattr(cuda, "_launch", lambda *args: launches.append(args) or launch(*args))
    monkeypatch.setattr(cuda, "LAUNCH", 1e-12)
    p = shard.program
    step = 10 * p.statements * (p.dim if p.wide else 1)  # work of a step: 5 paths of two settings
    for first, count in ((1, 11), (4 * step, 8)):
        launches.clear()
        monkeypatch.setattr(cuda, "FIRST", first)
        same(whole, cuda.run_shard(shard), name)
        assert len(launches) == count


@pytest.mark.parametrize("grid", [(2, 1), (1, 2)])
@pytest.mark.parametrize("name", ["linear", "wide12"])
def test_more_blocks_than_the_grid_has(name, grid, monkeypatch):
    """Three blocks of paths and as many groups of settings, on a grid that must go over them several times."""
    for module in ("prepare", "job"):
        monkeypatch.setattr(f"samfast.simulation.{module}.BLOCK", 8)
    case = replace(CASES[name], sweep={"lr": np.linspace(0.01, 0.05, 9 if name == "linear" else 3).tolist()})
    plain, whole, program = both(case, record=(0, 3, 5), paths=20)
    assert program.lanes == 8 and -(-len(case.sweep["lr"]) // program.group) == 3
    monkeypatch.setattr(cuda, "GRID", grid)
    part = both(case, record=(0, 3, 5), paths=20)[1]
    same(plain, whole, name)
    same(plain, part, name)


def test_going_on_from_a_state():
    shard, _ = shard_of(CASES["linear"], device="emulator", record=(13,), paths=5)
    first = cuda.run_shard(replace(shard, record=np.array([6])))
    second = cuda.run_shard(replace(shard, start=6, state=first.state))
    np.testing.assert_array_equal(second.state, cuda.run_shard(shard).state)


def test_a_stop_is_obeyed_before_the_next_launch():
    shard, _ = shard_of(CASES["linear"], device="emulator", record=(13,), paths=5)
    with pytest.raises(StoppedError):
        cuda.run_shard(shard, np.ones(1, np.int64))


def test_coefficients_of_their_own_for_each_time():
    """Tables of parameters, as law-exact sampling uses them."""
    shard, _ = shard_of(CASES["linear"], device="emulator", record=(1, 2, 3), paths=5)
    tables = np.concatenate([shard.params * f for f in (1, 2, 3)])
    plain, _ = shard_of(CASES["linear"], device="plain", record=(1, 2, 3), paths=5)
    same(cpu.run_shard(replace(plain, params=tables)), cuda.run_shard(replace(shard, params=tables)), "tables")


@pytest.mark.parametrize("blocks", [1, 2, 3, 5, 8, 13])
def test_the_tree_over_blocks(blocks):
    parts = np.random.default_rng(1).standard_normal((blocks, 2, 3)) * 10.0 ** np.arange(3)
    level = list(parts)
    while len(level) > 1:
        level = [sum(level[i : i + 2][1:], level[i]) for i in range(0, len(level), 2)]
    np.testing.assert_array_equal(arrays.tree(parts, np), level[0])


def test_round_keys():
    """By the definition of the key schedule: round r has key + r * (0x9E3779B9, 0xBB67AE85)."""
    keys = cuda.round_keys(0x1234567_89ABCDEF)
    assert keys[0] == (0x89ABCDEF + 2 * 0x9E3779B9) % 2**32
    assert keys[15] == (0x1234567 + 9 * 0xBB67AE85) % 2**32


def test_long_steps_have_no_groups():
    """A thread takes several settings only where the noise is a good part of the work."""
    program = shard_of(CASES["beale-noise"], device="emulator", paths=5)[1].program
    assert program.group == 1 and program.statements > SHORT


SIMULATE = """
import json, sys
import numpy as np
from programs import CASES, shard_of
from samfast.backends import cpu, cuda
for name in sys.argv[1:]:
    options = dict(record=(0, 3, 5), paths=5)
    a = cpu.run_shard(shard_of(CASES[name], device="plain", **options)[0])
    b = cuda.run_shard(shard_of(CASES[name], device="simulator", **options)[0])
    print(json.dumps([name, *(bool(np.array_equal(getattr(a, f), getattr(b, f))) for f in ("state", "values", "moments"))]))
"""


def test_the_simulator_of_numba_cuda_agrees():
    gpu_compiler.require()
    names = ["linear", "linear-sign", "beale-noise", "wide12"]
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root / "tests" / "helpers"), str(root), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", SIMULATE, *names],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [json.loads(line) for line in done.stdout.splitlines()] == [[n, True, True, True] for n in names]
