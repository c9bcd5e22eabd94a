"""No exception throws finished work away, and finished work lies in memory once."""

import multiprocessing
import os
import pickle
import signal
import sys
import tracemalloc
import warnings
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
from subject import bowl, digest, far_out, simulate

import samfast as sf
from samfast.backends import dispatch
from samfast.simulation.job import Job

PATHS, SIZE = 256 * 9 + 37, 256


@pytest.fixture
def shards(monkeypatch):
    monkeypatch.setattr(Job, "chunk", lambda self, steps, records: SIZE)


@pytest.fixture(scope="module")
def whole():
    return digest(simulate(paths=PATHS))


def kept(error, kind, paths=None):
    """The finished part of an exception that left a simulation."""
    assert type(error) is kind and error.run.paths % SIZE in (0, 37) and 0 < error.run.paths < PATHS
    assert error.run.paths == (paths or error.run.paths) and (error.run.count == error.run.paths).all()
    assert len(error.run.missing) == 10 - -(-error.run.paths // SIZE)
    assert any(f"{error.run.paths:,} paths were finished" in note for note in error.__notes__)
    return error.run


def test_one_failing_shard_throws_no_other_away(shards, whole, monkeypatch):
    """The exception is the one that the shard raised; its .resume() runs what is missing."""

    def fails(shard, *stop):
        if shard.first == 5 * SIZE:
            raise ZeroDivisionError("a worker's own fault")
        return dispatch.run_for_worker(shard, *stop)

    with monkeypatch.context() as patch:
        patch.setattr("samfast.simulation.schedule.run_for_worker", fails)
        patch.setattr("samfast.simulation.schedule.threads", lambda: 1)
        with pytest.raises(ZeroDivisionError, match="a worker's own fault") as caught:
            simulate(paths=PATHS)
    run = kept(caught.value, ZeroDivisionError, 5 * SIZE)
    assert run.missing[0] == (0, 5 * SIZE)
    again = pickle.loads(pickle.dumps(caught.value))
    assert digest(caught.value.resume()) == digest(sf.resume(run)) == digest(again.resume()) == whole


def dies_at_the_sixth(shard):
    if shard.first == 5 * SIZE:
        os._exit(1)
    return dispatch.run_for_worker(shard)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="a child takes the planted fault by forking")
def test_a_killed_worker_throws_no_shard_away(shards, whole, monkeypatch):
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)
        patch.setattr("samfast.simulation.schedule.run_for_worker", dies_at_the_sixth)
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            with pytest.raises(BrokenProcessPool) as caught:
                simulate(paths=PATHS, options={"executor": pool})
    assert digest(sf.resume(kept(caught.value, BrokenProcessPool))) == whole


def test_a_failing_progress_function(shards, whole):
    def progress(done, total):
        if done > 700:
            raise LookupError("no terminal")

    with pytest.raises(LookupError) as caught:
        simulate(paths=PATHS, options={"progress": progress})
    assert digest(caught.value.resume()) == digest(sf.resume(kept(caught.value, LookupError))) == whole


def test_ctrl_c_after_the_last_shard(shards, whole):
    """Nothing is missing then; the run can be finished all the same, and so can a run that was being continued."""

    def stop(done, of):
        if done == of:
            raise KeyboardInterrupt

    with pytest.raises(sf.Interrupted) as caught:
        simulate(paths=PATHS, options={"progress": stop})
    assert not caught.value.run.missing and caught.value.run.paths == PATHS
    assert digest(caught.value.resume()) == digest(sf.resume(caught.value.run)) == whole
    first = simulate(paths=PATHS)
    last = int(first.record[-1])
    with pytest.raises(sf.Interrupted) as caught:
        sf.resume(first, record=[last + 1], progress=stop)
    assert digest(sf.resume(caught.value.run)) == digest(caught.value.resume()) == digest(sf.resume(first, record=[last + 1]))


def test_a_failing_continuation(shards, whole, monkeypatch):
    """The records before it are in the result of resume()."""
    first = simulate(paths=PATHS, record=(0, 3))

    def progress(done, total):
        if done > 700:
            raise LookupError

    with pytest.raises(LookupError) as caught:
        sf.resume(first, record=[40], progress=progress)
    assert kept(caught.value, LookupError).record.tolist() == [40]
    assert digest(caught.value.resume()) == whole


def test_a_divergence_that_is_an_error_keeps_the_run():
    """on_divergence="raise", and warnings that are errors: the work is done, and the exception has it."""
    model = dict(loss=bowl.replace(a=1.0), start=far_out(200), paths=200, lr=0.1)
    with pytest.raises(FloatingPointError, match="4 of 200 paths diverged") as caught:
        simulate(**model, options={"on_divergence": "raise"})
    with pytest.raises(sf.DivergenceWarning) as warned, warnings.catch_warnings():
        warnings.simplefilter("error")
        simulate(**model)
    with pytest.warns(sf.DivergenceWarning):
        run = simulate(**model)
    for error in (caught.value, warned.value):
        assert not error.run.missing and digest(error.run) == digest(run)
        assert ["The simulation was finished: its result is the exception's .run."] == error.__notes__


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_sigterm_is_as_ctrl_c(shards, whole):
    """Handlers of the caller's own stay what they are."""
    seen = []

    def progress(done, total):
        if done > 700 and len(seen) == 0:
            seen.append(signal.getsignal(signal.SIGTERM))
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(1000):
                pass  # where Python looks at its signals

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(sf.Interrupted) as caught:
            simulate(paths=PATHS, options={"progress": progress})
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert digest(caught.value.resume()) == whole
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        seen.clear()
        assert digest(simulate(paths=PATHS, options={"progress": progress})) == whole and seen == [signal.SIG_IGN]
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("shared", [True, False])
def test_values_and_states_are_in_memory_once(monkeypatch, shared):
    """What a run takes at its peak, beyond its result: a few shards. It was as much again."""
    monkeypatch.setattr(Job, "chunk", lambda self, steps, records: 1024)
    call = dict(record=range(12), paths=2**15, lr=[0.05, 0.1], options={"shared_noise": shared})
    simulate(**{**call, "paths": 2048})
    tracemalloc.start()
    try:
        run = simulate(**call)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert run.values is not None and run.state is not None
    assert peak < 1.4 * (run.values.nbytes + run.state.nbytes)


def test_states_alone_are_in_memory_once(monkeypatch):
    """The default of simulate; the finished parts hold views of the result, and no copies."""
    monkeypatch.setattr(Job, "chunk", lambda self, steps, records: 1024)
    call = dict(record=[12], paths=2**16, lr=[0.05, 0.1], options={"values": False})
    simulate(**{**call, "paths": 2048})
    tracemalloc.start()
    try:
        run = simulate(**call)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert run.values is None and peak < 1.4 * run.state.nbytes


def test_what_fits_once_is_not_refused(monkeypatch):
    """The check asks for the result and the shards on their way, and names what takes most, with the remedy."""
    monkeypatch.setattr("samfast.machine.threads", lambda: 2)
    call = dict(record=[0, 1], paths=2**17, options={"state": False})
    size = 2**17 * 2 * 2 * 8
    monkeypatch.setattr("samfast.arrays.free_memory", lambda: 1.6 * size)
    assert simulate(**call).values.nbytes == size
    monkeypatch.setattr("samfast.arrays.free_memory", lambda: 1.1 * size)
    with pytest.raises(MemoryError, match=r"needs 0\.00419 GB for values, .* and 0\.00461 GB are free: .*give values=False"):
        simulate(**call)


def test_parts_on_a_host_and_on_a_gpu_make_one_result(monkeypatch):
    """Interrupted under gpus(), whose parts come to the host, and finished without: the stand-in is in place of a GPU."""
    import gpu_standin

    from samfast.simulation.merge import _put

    gpu_standin.install(monkeypatch)
    cupy = sys.modules["cupy"]
    ours, there = np.zeros((2, 3)), cupy.zeros((2, 3))
    _put(there[:, 1:], np.ones((2, 2)))
    _put(ours[:, 1:], cupy.full((2, 2), 2.0))
    assert ours.tolist() == [[0, 2, 2]] * 2 and there.get().tolist() == [[0, 1, 1]] * 2
