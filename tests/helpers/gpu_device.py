"""What only a device can show: streams, arrays of other libraries, statistics on it, memory, a second process."""

import gc
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from gpu_checks import LOSS, RULE, host, library, same_bits, same_runs, starts

import samfast as sf
from samfast import arrays, stats
from samfast.compilers import numba_cuda

ROUNDING = 1e-10  # sums of 301 numbers in another order, of which subtraction may cancel three digits
PAUSE = r"""
extern "C" __global__ void pause(long long nanoseconds) {
    long long begun, now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(begun));
    do { asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now)); } while (now - begun < nanoseconds);
}
"""
LONG = 4_000_000_000  # nanoseconds of a pause, far beyond a short run


# streams ----------------------------------------------------------------------------------------------------------------
def short(paths=1000):
    return sf.simulate(LOSS, RULE, [0.1, 0.2], record=[0, 5], paths=paths, values=True, device="cuda")


def streams(cp):
    """The bits do not depend on the stream."""
    want = sf.simulate(LOSS, RULE, [0.1, 0.2], record=[0, 5], paths=short().paths, values=True)
    with cp.cuda.Stream(non_blocking=True) as stream:
        before = cp.cuda.Event()
        before.record()
        got = short()
        after = cp.cuda.Event()
        after.record()
        stream.synchronize()
    assert before.done and after.done and cp.cuda.get_elapsed_time(before, after) > 0
    same_runs("on a stream", got, want)


def order_of_streams(cp):
    """A run waits for what its own stream was given before, and for no other stream."""
    kernel, stream = cp.RawKernel(PAUSE, "pause"), cp.cuda.Stream(non_blocking=True)

    def pause(nanoseconds):
        kernel((1,), (1,), (np.int64(nanoseconds),))
        event = cp.cuda.Event()
        event.record()
        return event

    pause(1000).synchronize()
    with stream:
        for _ in range(2):  # code is loaded and the stream has its memory
            short()
        mine = pause(LONG // 8)
        short()
        assert mine.done, "the run did not wait for its own stream: some of its work is on another one"
    other, begun = pause(LONG), time.perf_counter()
    with stream:
        short()
    seconds = time.perf_counter() - begun
    try:
        assert not other.done, f"the run waited for the default stream, {seconds:.2f} s"
    finally:
        other.synchronize()


# arrays of others ---------------------------------------------------------------------------------------------------------
def seen_pointers(monkeypatch):
    """Where the arrays lie that are handed to another library."""
    seen, like = [], arrays.like
    monkeypatch.setattr("samfast.arrays.like", lambda x, kind: seen.append(int(x.data.ptr)) or like(x, kind))
    return seen


def foreign(kind, start, want, pointer, monkeypatch, **options):
    """A run from a start of another library: results of that library, at the same place, with the same bits."""
    with monkeypatch.context() as m:
        seen = seen_pointers(m)
        run = sf.simulate(LOSS, RULE, start, record=[0, 3], values=True, **options)
        final = run.final()
    for what, x in (("values", run.values), ("final", final)):
        assert arrays.kind_of(x) == kind and arrays.on_gpu(x), (what, type(x))
    assert seen == [pointer(run.values), pointer(final)], "a result was copied"
    same_bits(f"values from {kind}", run.values, want.values)
    same_bits(f"final from {kind}", final, want.final())


def from_torch(cp, monkeypatch):
    torch = library("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    for dtype in (np.float64, np.float32):
        plain, _ = starts(np, dtype)
        want = sf.simulate(LOSS, RULE, plain, record=[0, 3], values=True)
        there = torch.from_numpy(plain).cuda()
        wide = torch.zeros(20, 4, dtype=there.dtype, device="cuda")
        wide[::2, ::2] = there
        for start in (there, wide[::2, ::2], there.T.contiguous().T, there.clone().requires_grad_()):
            foreign("torch", start, want, lambda x: x.data_ptr(), monkeypatch)


def from_jax(cp, monkeypatch):
    """float64 where JAX allows it; else float32 programs, whose results JAX takes as they are."""
    jax = library("jax")
    try:
        gpu = jax.devices("gpu")[0]
    except RuntimeError as error:
        pytest.skip(f"this JAX has no GPU: {error}")
    for x64, dtype, mode in ((True, np.float64, "mixed"), (False, np.float32, "float32")):
        plain, _ = starts(np, dtype)
        want = sf.simulate(LOSS, RULE, plain, record=[0, 3], values=True, dtype=mode)
        with (jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64)(x64):
            foreign("jax", jax.device_put(plain, gpu), want, lambda x: x.unsafe_buffer_pointer(), monkeypatch, dtype=mode)


# statistics -------------------------------------------------------------------------------------------------------------
def plainly(x):
    """What a result holds, as NumPy arrays."""
    if isinstance(x, stats.Moments):
        return plainly((x.sums, x.count, x.shift, x.mean, x.var, x.std_error))
    if isinstance(x, stats.Histogram):
        return plainly((x.counts, x.outside, x.density, x.std_error))
    if isinstance(x, stats.Goodness):
        return plainly((x.statistic, x.pvalue))
    return [y for part in x for y in plainly(part)] if isinstance(x, tuple) else [host(x)]


def statistics(case, on):
    """The same numbers on the host and on the device, to rounding."""
    here, there = plainly(case(np.asarray)), plainly(case(on))
    assert len(here) == len(there)
    for want, got in zip(here, there, strict=True):
        np.testing.assert_allclose(got, want, rtol=ROUNDING, atol=ROUNDING)


def in_parts(xp, count):
    """Statistics of many numbers in [-1, 1], and what they are."""
    x = xp.arange(count, dtype=np.float64)
    x *= 2 / (count - 1)
    x -= 1
    yield x
    found = stats.moments(x, 4)
    assert abs(float(found.mean)) < 1e-9 and abs(float(found.var) - 1 / 3) < 1e-6
    assert abs(float(stats.msd(x[:, None]).mean) - 1 / 3) < 1e-6
    counts = host(stats.histogram(x, [-2.0, -0.5, 0.5, 2.0]).counts)
    assert counts.sum() == count and abs(counts[1] - count / 2) <= 1
    assert stats.covariance(x.reshape(-1, 2)).shape == (2, 2)
    assert abs(float(stats.paired_difference(x, x[::-1]).mean)) < 1e-9


def bounded(cp, count=2**26, room=2**28):
    """The temporaries of statistics take a quarter of a gigabyte at most, beside an array of half a gigabyte."""
    pool = cp.get_default_memory_pool()
    pool.free_all_blocks()
    steps = in_parts(cp, count)
    x = next(steps)
    pool.free_all_blocks()
    before = pool.get_limit()
    pool.set_limit(size=pool.total_bytes() + room)
    try:
        assert x.nbytes == 8 * count and next(steps, None) is None
    finally:
        pool.set_limit(size=before)


# memory and code ----------------------------------------------------------------------------------------------------------
def no_leak(cp, runs=4):
    """What a run took from CuPy's pool is back when its result is gone, and the pool does not grow from run to run."""
    pool, sizes = cp.get_default_memory_pool(), []
    short(200_000)
    gc.collect()
    pool.free_all_blocks()
    used = pool.used_bytes()
    for _ in range(runs):
        run = short(200_000)
        assert pool.used_bytes() >= used + run.values.nbytes + run.state.nbytes
        del run
        gc.collect()
        assert pool.used_bytes() == used
        sizes.append(pool.total_bytes())
    assert len(set(sizes)) == 1, sizes
    pool.free_all_blocks()


PROCESS = """
import hashlib, json
from gpu_device import compiled, short
with compiled() as count:
    values = short(3).values
print(json.dumps([len(count), hashlib.sha256(values.get().tobytes()).hexdigest()]))
"""


@contextmanager
def compiled():
    """The names of the programs that are compiled for a GPU inside."""
    compile, seen = numba_cuda.compile, []
    numba_cuda.compile = lambda program, *more: seen.append(program.name) or compile(program, *more)
    try:
        yield seen
    finally:
        numba_cuda.compile = compile


def second_process(tmp_path):
    """[programs compiled, hash of the values] of two processes that share a cache."""
    root = Path(__file__).parents[2]
    env = {
        **os.environ,
        "SAMFAST_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(root / "tests" / "helpers"), str(root), os.environ.get("PYTHONPATH", "")]),
    }
    found = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True, timeout=300, env=env)
        assert done.returncode == 0, done.stderr[-2000:]
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return found
