"""What a GPU has to show, as functions of CuPy: test_gpu.py calls them on a device, test_gpu_checks.py on a stand-in."""

import os
import warnings
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from programs import CASES, shard_of

import samfast as sf
from samfast import arrays
from samfast.backends import cpu, cuda
from samfast.simulation import prepare

FIELDS = ("state", "values", "moments", "count", "diverged", "alarms")
LO = 0xFFFFFFFF
SEED, TAG = 0xA4093822299F31D0, 7
LOSS = sf.losses.double_well()
RULE = sf.noisy(sf.sam(lr=0.05, rho=0.1), sigma=0.1)


def device():
    """CuPy. Without a GPU the test is skipped, under SAMFAST_REQUIRE_GPU=1 it fails: a skip could pass for a success."""
    reason = cuda.missing()
    if reason:
        (pytest.fail if os.environ.get("SAMFAST_REQUIRE_GPU") == "1" else pytest.skip)(reason)
    return import_module("cupy")


def library(name):
    """A package that is not samfast's, or a skip; what it has to warn of on import is its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, exc_type=ImportError)


def host(x):
    return np.asarray(arrays.to_host(x))


def order(x):
    """Numbers as integers in the same order: neighbours differ by 1, and -0 from 0 too."""
    size = x.dtype.itemsize
    n = np.ascontiguousarray(x).view(f"i{size}").astype(object if size == 8 else np.int64)
    return np.where(n < 0, -(2 ** (8 * size - 1)) - n - 1, n)


def ulp(a, b):
    """The distance of two arrays entry by entry, in units in the last place; 0 for two that are no numbers."""
    distance = np.abs(order(a) - order(b))
    return np.where(np.isnan(a) & np.isnan(b), 0, distance)


def same_bits(what, got, want):
    """Every bit; where they differ, the message says how many and by how much."""
    got, want = host(got), host(want)
    assert got.shape == want.shape and got.dtype == want.dtype, f"{what}: {got.dtype}{got.shape}, {want.dtype}{want.shape}"
    if want.dtype.kind != "f":
        assert np.array_equal(got, want), f"{what}: {np.count_nonzero(got != want)} of {want.size} differ"
        return
    off = ulp(got, want)
    differ = np.count_nonzero(off)
    assert differ == 0, (
        f"{what}: {differ} of {want.size} numbers differ, by up to {max(off.ravel())} ulp; the first: "
        f"{got[off > 0][0]!r} for {want[off > 0][0]!r}"
    )


def same_parts(what, got, want):
    for field in FIELDS:
        same_bits(f"{what}, {field}", getattr(got, field), getattr(want, field))


def same_runs(what, got, want):
    for field in ("sums", "count", "shift", "diverged", "record"):
        same_bits(f"{what}, {field}", getattr(got, field), getattr(want, field))
    for field in ("values", "state"):
        if getattr(want, field) is not None:
            same_bits(f"{what}, {field}", getattr(got, field), getattr(want, field))


# programs ---------------------------------------------------------------------------------------------------------------
def program(cp, name, mode, reference="cpu", **options):
    """Two configurations on shared noise, recorded inside a draw, on both sides of path 2**32: all that a shard gives."""
    want, job = shard_of(CASES[name], device=reference, mode=mode, **options)
    got, ours = shard_of(CASES[name], device="cuda", mode=mode, **options)
    same_bits(f"{name} {mode}, shift", ours.shift, job.shift)
    part = cuda.run_shard(got)
    assert isinstance(part.state, cp.ndarray) and isinstance(part.values, cp.ndarray)
    same_parts(f"{name} {mode}", part, cpu.run_shard(want))


def philox(call, tag, path, seed):
    """Philox4x32-10 (Salmon et al., SC 2011) with counter (call, tag, path) and key seed: four words."""
    path = np.asarray(path, np.uint64)
    c = [np.uint64(call), np.uint64(tag), path & np.uint64(LO), path >> np.uint64(32)]
    for r in range(10):
        k0, k1 = (seed + r * 0x9E3779B9) & LO, ((seed >> 32) + r * 0xBB67AE85) & LO
        p, q = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [
            q >> np.uint64(32) ^ c[1] ^ np.uint64(k0),
            q & np.uint64(LO),
            p >> np.uint64(32) ^ c[3] ^ np.uint64(k1),
            p & np.uint64(LO),
        ]
    return np.broadcast_arrays(*(x.astype(np.uint32) for x in c))


def numbers(kind, mode, dim, device, *, steps, paths, first):
    """The numbers z themselves, (step, coordinate, path): the state of a rule whose step is w' = z."""
    rule = sf.Rule("noise", step=lambda w, v, grad, p, z: (z[0], v), draws=1, kind=kind)
    job = prepare.prepared_job(
        sf.losses.quadratic(np.ones(dim)), rule, np.zeros(dim), paths=paths, seed=SEED, dtype=mode, device=device, values=True
    )
    (shard,) = replace(job, first_path=first).shards(0, np.arange(1, steps + 1), None)
    return host(prepare.run_shard(replace(shard, tag=TAG)).values[0])


def words(cp, paths=600, first=2**32 - 256, steps=2):
    """128 signs of a step are the words of one Philox call."""
    signs = numbers("sign", "float32", 128, "cuda", steps=steps, paths=paths, first=first)
    for step in range(steps):
        want = philox(step, TAG, first + np.arange(paths), SEED)
        for w in range(4):
            bits = np.signbit(signs[step, 32 * w : 32 * w + 32]).astype(np.uint64)
            got = (bits << np.arange(31, -1, -1, dtype=np.uint64)[:, None]).sum(0)
            same_bits(f"word {w} of call {step}", got.astype(np.uint32), want[w])


def normals(cp, mode, reference="cpu", paths=600, steps=6, first=2**32 - 256):
    options = dict(steps=steps, paths=paths, first=first)
    got, want = (numbers("normal", mode, 1, where, **options) for where in ("cuda", reference))
    assert np.abs(want).max() > 1
    same_bits(f"normals {mode}", got, want)


# runs -------------------------------------------------------------------------------------------------------------------
def both(start=(0.1, 0.2), loss=LOSS, rule=RULE, **options):
    """The same call on the GPU and on the CPU."""
    options = dict(record=[0, 2, 5], values=True) | options
    return sf.simulate(loss, rule, start, device="cuda", **options), sf.simulate(loss, rule, start, **options)


def sizes(cp, counts=(1, 255, 257, 700)):
    for paths in counts:
        same_runs(f"{paths} paths", *both(paths=paths, moments=4))


def settings(cp, paths=300):
    """Three settings on shared noise fill no group of four; apart, and as parameters of each path."""
    rule = sf.noisy(sf.sam(lr=[0.05, 0.1, 0.2], rho=0.1), sigma=0.1)
    same_runs("shared", *both(rule=rule, paths=paths))
    same_runs("apart", *both(rule=rule, paths=paths, shared_noise=False))
    start = np.linspace(0, 1, 2 * paths).reshape(paths, 2)
    same_runs("per path", *both(start, rule=sf.gd(lr=sf.per_path(np.linspace(0.01, 0.1, paths))), observe=sf.observe.msd()))


def launches(cp, monkeypatch, names=("linear", "linear-sign", "wide12"), paths=280):
    """Launches that end at any step: counted, and the same bits as one launch."""
    for name in names:
        shard, _ = shard_of(CASES[name], device="cuda", record=(0, 2, 7, 11), paths=paths)
        whole, seen, launch, p = cuda.run_shard(shard), [], cuda._launch, shard.program
        step = 2 * paths * p.statements * (p.dim if p.wide else 1)  # statements of a step of two settings
        with monkeypatch.context() as m:
            m.setattr(cuda, "_launch", lambda *args, launch=launch, seen=seen: seen.append(args) or launch(*args))
            m.setattr(cuda, "LAUNCH", 1e-12)
            for first, count in ((1, 11), (4 * step, 8)):
                seen.clear()
                m.setattr(cuda, "FIRST", first)
                same_parts(f"{name} in {count} launches", cuda.run_shard(shard), whole)
                assert len(seen) == count


def going_on(cp, paths=300):
    """resume and replay; a path alone is the path among others."""
    one, other = both(paths=paths)
    same_runs("resumed", sf.resume(one, record=[7, 9]), sf.resume(other, record=[7, 9]))
    same_bits("replayed", one.replay(3).values, other.replay(3).values)
    same_bits("replayed, among others", host(one.replay(3, [0, 2, 5]).values)[:, 0], host(one.values)[:, 3])


def divergence(cp):
    """Starts from harmless to hopeless: some paths overflow before the first look, some between two looks."""
    start = np.array([[x, 0.1] for x in (0.1, 3.0, 40.0, 1e30, 0.5, 1e80, 2.0)])
    rule = sf.noisy(sf.gd(lr=0.4), sigma=0.01)
    for how in ("mask", "keep"):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            runs = both(start, rule=rule, record=[0, 3, 9, 40], moments=4, on_divergence=how)
        same_runs(how, *runs)
        assert len(seen) == (2 if how == "mask" else 0) and (len(runs[0].diverged) > 1) == (how == "mask")
    with pytest.raises(FloatingPointError, match="paths diverged"):
        sf.simulate(LOSS, rule, start, record=[40], device="cuda", on_divergence="raise")


def critical(cp):
    rule = sf.sam(lr=0.1, rho=0.1, normalize=True, at_critical="raise")
    with pytest.raises(sf.CriticalPointError, match="2 paths met an exactly zero gradient"):
        sf.simulate(LOSS, rule, [0.0, 0.0], record=[1], paths=2, device="cuda")


def exact_moments(cp, paths=2**18, times=(0.1, 1.0)):
    """Every |z| below 5: a chance of 6e-7 for each of the comparisons to fail."""
    for options in ({"drift": "plain"}, {"momentum": 0.9}, {"dtype": "float32"}):
        study = sf.msd(eigenvalue=[-1.0, 1.0, 5.0], lr=0.01, rho=0.1, times=list(times), paths=paths, device="cuda", **options)
        z = np.asarray(study.dataset.z)
        assert z.size == 3 * len(times) and np.isfinite(z).all() and np.abs(z).max() < 5, (options, z)


def too_large(cp, monkeypatch):
    """Refused before anything is launched or allocated."""
    launched = []
    for options in ({"state": True}, {"state": False, "values": True}):
        with monkeypatch.context() as m:
            m.setattr(cuda, "_launch", lambda *args: launched.append(args))
            with pytest.raises(MemoryError, match=r"on the GPU, where .* are free: run fewer paths at once"):
                sf.simulate(LOSS, RULE, [0.1, 0.2], record=[1], paths=2**40, device="cuda", **options)
    assert not launched


def workers(cp, devices=None, paths=3000):
    """A worker of an executor on each GPU; shards by turns, results on the host."""
    with sf.gpus(devices) as pool:
        runs = both(paths=paths, executor=pool, rule=sf.noisy(sf.sam(lr=[0.05, 0.1], rho=0.1), sigma=0.1), shared_noise=False)
    assert type(runs[0].values) is np.ndarray and type(runs[0].state) is np.ndarray
    same_runs("workers", *runs)


# arrays of others ---------------------------------------------------------------------------------------------------------
def starts(cp, dtype):
    """The same starts as they may lie: in a row, every other one, transposed."""
    plain = np.linspace(0, 1, 20).reshape(10, 2).astype(dtype)
    spread = np.zeros((20, 4), dtype)
    spread[::2, ::2] = plain
    return plain, {
        "contiguous": cp.asarray(plain),
        "non-contiguous": cp.asarray(spread)[::2, ::2],
        "transposed": cp.asarray(np.ascontiguousarray(plain.T)).T,
    }


def from_cupy(cp):
    for dtype in (np.float64, np.float32):
        plain, there = starts(cp, dtype)
        want = sf.simulate(LOSS, RULE, plain, record=[0, 3], values=True)
        for what, start in there.items():
            run = sf.simulate(LOSS, RULE, start, record=[0, 3], values=True)
            assert all(isinstance(x, cp.ndarray) for x in (run.values, run.state, run.final()))
            same_runs(f"{what} {np.dtype(dtype)}", run, want)
            same_bits("final", run.final(), want.final())
