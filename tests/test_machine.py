"""How many threads a simulation takes: counted, here and in a worker, and read from control groups made of files."""

import os
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from subject import bowl, far_out, simulate

from samfast import machine
from samfast.simulation import schedule
from samfast.simulation.job import Job

SHARDS = 12


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    """No setting of the machine on which the suite runs, and a control group without a quota."""
    for name in ("SAMFAST_NUM_THREADS", *machine.MPI_SIZES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("samfast.machine._quota", lambda: machine.MANY)
    if hasattr(os, "process_cpu_count"):
        monkeypatch.setattr("os.process_cpu_count", lambda: 4)
    else:
        monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(4)))


def counted(said=None):
    """The number of threads that the shards of one run are computed in; each shard waits until the others have begun."""
    if said is not None:
        os.environ["SAMFAST_NUM_THREADS"] = said
    seen, real = set(), schedule.run_for_worker

    def run(*arguments):
        seen.add(threading.get_ident())
        time.sleep(0.02)
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr("samfast.simulation.schedule.run_for_worker", run)
        patch.setattr(Job, "chunk", lambda self, steps, times: 256)
        run_of_all = simulate(bowl.replace(a=1.0), far_out(256 * SHARDS), record=[1], paths=256 * SHARDS)
    assert run_of_all.paths == 256 * SHARDS
    return len(seen)


def test_the_threads_of_a_run_are_counted(monkeypatch):
    assert counted() == 4
    monkeypatch.setenv("SAMFAST_NUM_THREADS", "3")
    assert counted() == 3


def test_a_worker_of_a_pool_takes_one_thread_unless_it_is_told():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)
        with ProcessPoolExecutor(1, get_context("fork")) as pool:
            assert pool.submit(counted).result() == 1
            assert pool.submit(counted, "2").result() == 2


@pytest.mark.parametrize("name", machine.MPI_SIZES)
def test_a_process_of_mpi_takes_one_thread(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    assert machine.threads() == 4
    monkeypatch.setenv(name, "8")
    assert machine.threads() == 1
    monkeypatch.setenv("SAMFAST_NUM_THREADS", "2")
    assert machine.threads() == 2


@pytest.mark.parametrize("said", ["0", "-1", "two", "1.5"])
def test_a_number_of_threads_that_is_none_is_refused(monkeypatch, said):
    monkeypatch.setenv("SAMFAST_NUM_THREADS", said)
    with pytest.raises(ValueError, match=f"SAMFAST_NUM_THREADS='{said}': give a whole number of at least 1, e.g. 4"):
        machine.threads()


def test_the_quota_counts(monkeypatch):
    monkeypatch.setattr("samfast.machine._quota", lambda: 2)
    assert machine.threads() == 2


# --- control groups -----------------------------------------------------------------------------------------------------
quota = machine._quota.__wrapped__


def group(root, own, **files):
    """/proc and /sys below `root`: this process is in the groups `own`, and these files exist."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(own)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return quota(str(root))


def test_no_control_group(tmp_path):
    assert quota(str(tmp_path)) == machine.MANY


@pytest.mark.parametrize(("files", "processors"), [
    ({"a/b/cpu.max": "max 100000\n"}, machine.MANY),
    ({"a/b/cpu.max": "250000 100000\n"}, 3),
    ({"a/b/cpu.max": "50000 100000\n"}, 1),
    ({"a/b/cpu.max": "max 100000\n", "a/cpu.max": "200000 100000\n", "cpu.max": "800000 100000\n"}, 2),
    ({"a/b/cpu.max": "?"}, machine.MANY),
])  # fmt: skip
def test_version_2(tmp_path, files, processors):
    """The tightest quota of the group and of those around it, rounded up."""
    assert group(tmp_path, "0::/a/b\n", **files) == processors


def test_version_1(tmp_path):
    own = "9:memory:/x\n4:cpu,cpuacct:/job\n0::/\n"
    files = {"cpu/job/cpu.cfs_quota_us": "300000\n", "cpu/job/cpu.cfs_period_us": "100000\n"}
    unlimited = {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}
    assert group(tmp_path, own, **files, **unlimited) == 3
