"""The same bits under every schedule; and what an interrupt leaves."""

import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import replace
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path

import numpy as np
import pytest
from subject import bowl, digest, far_out, simulate

import samfast as sf
from samfast.backends.central import about_the_mean
from samfast.simulation import prepare
from samfast.simulation.job import SHARD_NS, Job, versions
from samfast.simulation.run import execute

PATHS, RECORD, LR = 256 * 9 + 37, (0, 7, 40), [0.05, 0.1]


@pytest.fixture
def chunk(monkeypatch):
    """Cut shards of a given number of paths."""

    def cut(size):
        monkeypatch.setattr(Job, "chunk", lambda self, steps, times: size)

    return cut


@pytest.fixture
def interruptible():
    """Ctrl-C raises KeyboardInterrupt here, wherever the suite was started from."""
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, old)


def whole(record=RECORD, **options):
    """A sweep of two settings, of which some paths diverge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.DivergenceWarning)
        return simulate(bowl.replace(a=1.0), far_out(PATHS), record=record, paths=PATHS, lr=LR, options=options)


def go_on(run, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.DivergenceWarning)
        return sf.resume(run, **options)


@pytest.fixture(scope="module")
def expected():
    run = whole()
    assert len(run.diverged) == 2 * 47 and run.count[0].tolist() == [PATHS, PATHS - 47, PATHS - 47]
    return digest(run)


@pytest.mark.parametrize("size", [256, 512, 1024, 2048])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_threads_and_chunks(chunk, expected, threads, size):
    chunk(size)
    with ThreadPoolExecutor(threads) as pool:
        assert digest(whole(executor=pool)) == expected


@pytest.mark.parametrize("method", sorted(set(get_all_start_methods()) & {"spawn", "forkserver", "fork"}))
def test_processes(chunk, expected, method):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)
        with ProcessPoolExecutor(1 if method == "fork" else 2, get_context(method)) as pool:
            for size in (256, 1024):
                chunk(size)
                assert digest(whole(executor=pool)) == expected


@pytest.mark.parametrize("cut", [1, 3, 7, 39])
def test_resuming(chunk, expected, cut):
    """A cut inside a draw, at a record and next to the end; other shards on each side of it."""
    chunk(256)
    first = whole(record=sorted({0, min(cut, 7), cut}))
    chunk(1024)
    run = go_on(first, record=[t for t in RECORD if t > cut])
    keep = [i for i, t in enumerate(run.record) if t in RECORD]
    full = whole(record=sorted({*run.record.tolist()}))
    assert digest(run) == digest(full)
    assert keep and run.record[-1] == 40
    if run.record.tolist() == list(RECORD):
        assert digest(run) == expected


def test_the_order_of_the_shards_does_not_matter(chunk, expected, monkeypatch):
    real = execute
    monkeypatch.setattr("samfast.simulation.run.execute", lambda shards, *args: real(shards[::-1], *args))
    chunk(256)
    assert digest(whole()) == expected


@pytest.mark.parametrize("c", range(3))
def test_noise_of_its_own_for_each_setting(c):
    """shared_noise=False: setting c is the run whose noise has the tag c."""
    lr = [0.05, 0.1, 0.2]
    apart = simulate(record=RECORD, paths=300, lr=lr, options={"shared_noise": False})
    shared = simulate(record=RECORD, paths=300, lr=lr)
    alone = simulate(record=RECORD, paths=300, lr=lr[c])
    assert (digest_values(apart, c) == digest_values(alone)) == (c == 0)
    assert digest_values(shared, c) == digest_values(alone)
    (shard,) = alone.job.shards(0, alone.record, None)
    part = prepare.run_shard(replace(shard, tag=c))
    assert np.array_equal(np.moveaxis(part.values[0], 1, 2), apart.values[c])
    sums, shift = about_the_mean(part.moments[0], part.count[0], part.values.dtype)
    assert np.array_equal(sums, apart.sums[c]) and np.array_equal(shift, apart.shift[c])
    assert np.array_equal(part.state[0], apart.state[c])


def digest_values(run, c=...):
    return run.values[c].tobytes()


def interrupted(after, run):
    """The exception of a run in which Ctrl-C comes when `after` shards have finished."""
    seen = []

    def progress(done, total):
        seen.append(done)
        if len(seen) == after:
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000):
                pass  # where Python looks at its signals

    with pytest.raises(sf.Interrupted) as caught:
        run(progress)
    return caught.value


def test_an_interrupt_keeps_what_was_finished(chunk, expected, interruptible):
    chunk(256)
    stopped = interrupted(3, lambda f: whole(progress=f)).run
    assert 1 <= len(stopped.missing) <= 7  # of ten, of which the last has 37 paths
    assert stopped.paths == PATHS - sum(256 if first < 256 * 9 else 37 for _, first in stopped.missing)
    assert stopped.count[:, 0].tolist() == [stopped.paths] * 2
    assert f"{len(stopped.missing)} shards missing" in repr(stopped)
    assert stopped.values is None and stopped.state is None
    with pytest.raises(ValueError, match=r"record: this run was interrupted; finish it first by resume"):
        sf.resume(stopped, record=[100])
    seen = []
    run = go_on(stopped, progress=lambda done, total: seen.append((done, total)))
    assert digest(run) == expected
    assert not run.missing and not run.parts and run.paths == PATHS
    assert seen[0][0] > stopped.paths and seen[-1] == (PATHS, PATHS)


def test_an_interrupted_run_can_be_stored_and_cut_otherwise(chunk, expected, interruptible):
    """Another machine may cut other shards: what does not fit is computed again."""
    chunk(256)
    error = pickle.loads(pickle.dumps(interrupted(4, lambda f: whole(progress=f))))
    chunk(512)
    assert digest(go_on(error.run)) == expected


def test_an_interrupt_of_a_continuation_keeps_the_old_records(chunk, expected, interruptible):
    first = whole(record=[0, 7])
    chunk(256)
    stopped = interrupted(2, lambda f: go_on(first, record=[40], progress=f)).run
    assert stopped.record.tolist() == [40]
    again = interrupted(1, lambda f: go_on(stopped, progress=f)).run
    run = go_on(again)
    assert run.record.tolist() == list(RECORD) and run.before is None
    assert digest(run) == expected


@pytest.mark.parametrize("shared", [True, False])
def test_an_interrupt_before_anything_was_finished(monkeypatch, shared):
    def stop(*args):
        raise KeyboardInterrupt

    options = {"shared_noise": shared}
    plain = simulate(lr=LR, options=options)
    monkeypatch.setattr("samfast.simulation.run.execute", stop)
    with pytest.raises(sf.Interrupted, match=r"samfast\.resume") as caught:
        simulate(lr=LR, options=options)
    run = caught.value.run
    assert run.paths == 0 and not run.count.any() and run.sums.shape == plain.sums.shape
    assert np.isnan(run.mean).all() and "missing" in repr(run)
    with pytest.raises(ValueError, match="state: this run has none"):
        run.final()
    monkeypatch.undo()
    assert digest(sf.resume(run)) == digest(plain)


def test_settings_that_an_interrupt_left_out(chunk, monkeypatch):
    """With noise of its own for each setting, the first may be finished and the last not begun."""

    def three(shards, executor, report, parts, estimate):
        parts.update({(s.tag, s.first): prepare.run_shard(s) for s in shards[:3]})
        raise KeyboardInterrupt

    chunk(256)
    options = {"shared_noise": False}
    plain = simulate(paths=300, lr=[0.05, 0.1, 0.2], options=options)
    with monkeypatch.context() as patch:
        patch.setattr("samfast.simulation.run.execute", three)
        with pytest.raises(sf.Interrupted) as caught:
            simulate(paths=300, lr=[0.05, 0.1, 0.2], options=options)
    run = caught.value.run
    assert run.count[:, 0].tolist() == [300, 256, 0] and run.paths == 300
    assert np.array_equal(run.mean[0], plain.mean[0]) and np.isnan(run.mean[-1]).all()
    assert digest(sf.resume(run)) == digest(plain)


CTRL_C = """
    import json, os, signal, threading, time
    import samfast as sf
    from samfast.simulation import job as jobs
    from subject import digest, simulate
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def run(**options):
        return simulate(paths=256 * 60, record=[0, 60_000], options=options)

    def stop(seconds):
        threading.Timer(seconds, stopped).start()

    def stopped():
        at.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    at, found = [], {}
    simulate()                                  # the machine code is loaded
    try:                                        # one shard that would take hours
        stop(.3)
        simulate(paths=100, record=[0, 10**10 // 4])
    except sf.Interrupted as error:
        found["hours"] = [time.perf_counter() - at[-1], error.run.paths, len(error.run.missing)]
    jobs.Job.chunk = lambda self, steps, times: 256
    try:
        run(progress=lambda done, total: at and len(at) == 1 and (at.append(0), stop(.02)))
    except sf.Interrupted as error:
        found["many"] = [time.perf_counter() - at[-1], error.run.paths, len(error.run.missing)]
        print(json.dumps({**found, "same": digest(sf.resume(error.run)) == digest(run())}))
"""


def test_ctrl_c_in_a_long_run(tmp_path):
    """A real signal, while the main thread waits: soon (2 s are promised, 20 allowed to a busy machine), nothing is lost."""
    simulate()  # the program is compiled
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "tests" / "helpers"), str(root)])}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CTRL_C)], env=env, capture_output=True, text=True, timeout=120, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    seconds, paths, missing = found["hours"]
    assert seconds < 20 and paths == 0 and missing == 1
    seconds, paths, missing = found["many"]
    assert seconds < 20 and 0 < paths < 256 * 60 and paths % 256 == 0 and missing == 60 - paths // 256
    assert found["same"]


def test_a_worker_of_other_versions_refuses(monkeypatch):
    simulate()
    other = (("samfast", "0.0.0"), *versions()[1:])
    monkeypatch.setattr("samfast.simulation.job.versions", lambda: other)
    with pytest.raises(RuntimeError) as caught:
        simulate()
    assert f"'samfast': '{sf.__version__}'" in str(caught.value) and "'samfast': '0.0.0'" in str(caught.value)
    assert "install the same versions" in str(caught.value)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("options", [{}, {"shared_noise": False}], ids=["shared", "apart"])
def test_progress(chunk, options, own):
    chunk(256)
    seen, threads = [], set()

    def progress(done, total):
        seen.append((done, total))
        threads.add(threading.current_thread())

    with ThreadPoolExecutor(2) as pool:
        simulate(paths=1000, lr=LR, options={"progress": progress, "executor": pool if own else None, **options})
    total = 1000 * (1 if not options else len(LR))
    assert [t for _, t in seen] == [total] * len(seen) and len(seen) == 4 * total // 1000
    assert (np.diff([d for d, _ in seen]) > 0).all() and seen[-1][0] == total
    assert threads == {threading.current_thread()}


def test_an_error_in_a_progress_function_ends_the_run(chunk):
    chunk(256)

    def progress(done, total):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        simulate(paths=2000, options={"progress": progress})


def test_the_bar_shows_paths(chunk, capsys):
    chunk(256)
    simulate(paths=500, options={"progress": True})
    assert "path" in capsys.readouterr().err


def test_shards_are_aligned_blocks():
    """The rule for the size of shards: 256*2^m paths, no more than about SHARD_NS of work, enough for all processors."""
    job = simulate(paths=5000).job
    for steps, times in ((1, 1), (100, 3), (10_000, 3), (10**6, 1000)):
        size = job.chunk(steps, times)
        assert size % 256 == 0 and (size // 256).bit_count() == 1
        assert size == 256 or job.nanoseconds(size, steps, 1) < SHARD_NS
    big = replace(job, paths=10**8)
    assert big.chunk(1, 1) > job.chunk(1, 1) > 0
    assert replace(job, paths=10**6).chunk(100, 10**5) * 10**5 * 2 * 4 * 8 / 256 < 2**26  # partial sums
    assert replace(job, paths=10**6).chunk(100, 1000) * (4 + 1000 * 2) * 8 < 2**28  # values


@pytest.mark.parametrize("paths, cut", [(255, [255]), (256, [256]), (257, [256, 1]), (512, [256, 256]), (513, [256, 256, 1])])
def test_where_the_paths_are_cut(chunk, paths, cut):
    """Each shard begins where the one before it ends, in the job's numbers, and the last one has what is left."""
    chunk(256)
    job = replace(simulate(paths=300).job, paths=paths, first_path=1000)
    shards = job.shards(0, np.array([3]), None)
    assert [s.paths for s in shards] == cut and [s.first for s in shards] == (1000 + np.cumsum([0, *cut[:-1]])).tolist()


def test_an_alarm_in_a_late_shard_names_its_path(chunk):
    """Paths 600 and 650 of 700, in the third shard, begin where the gradient is 0."""
    chunk(256)
    start = np.ones((700, 2))
    start[[600, 650]] = 0.0
    rule = sf.sam(lr=0.1, rho=0.1, normalize=True, at_critical="raise")
    with pytest.raises(sf.CriticalPointError, match=r"^2 paths met an exactly zero gradient.*the first is path 600"):
        sf.simulate(bowl, rule, start, record=[3])


@pytest.mark.parametrize("own, most", [(False, 64), (True, 4)])
def test_no_more_shards_are_on_their_way_than_said(chunk, monkeypatch, own, most):
    """64 to an executor of the caller, and two for each thread of ours: more would wait in memory, finished."""
    waiting = []

    def some(futures, timeout, return_when):
        waiting.append(len(futures))
        return wait(futures, return_when=FIRST_COMPLETED)

    chunk(256)
    monkeypatch.setattr("samfast.simulation.schedule.threads", lambda: 2)
    monkeypatch.setattr("samfast.simulation.schedule.wait", some)
    with ThreadPoolExecutor(1) as pool:
        simulate(paths=256 * 80, record=[3], options={"values": False, "executor": None if own else pool})
    assert waiting[0] == max(waiting) == most
