"""The benchmarks at a tiny size: every answer is right, a wrong one is found, and times are taken as stated."""

import importlib.util
import itertools
import os
import shutil
import sys
import time
import types
from dataclasses import replace

import numpy as np
import pytest
from samfast.bench import driver_call, measure, scaling, timing
from samfast.bench.backends import arrays, ours
from samfast.bench.check import gaussian
from samfast.bench.work import Backend, Goal, MissingError, Work, Workload, WrongError
from samfast.bench.workloads import every, linear
from tolerance import relative

from samfast.backends import cuda

QUICK = ("linear", "beale-sam", "law", "recording", "statistics", "new-loss")  # the others compile for long
PLAIN = [name for name, w in every().items() if any(b.name == "NumPy" for b in w.backends)]


def rows_of(name, keep):
    workload = every()[name]
    return measure.measure(workload, scale=workload.tiny, repeats=1, full=True, only=keep)


def right(rows):
    assert rows and all(r.correct and r.value > 0 and r.ratio > 0 for r in rows), [(r.backend, r.check) for r in rows]


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in every()])
def test_samfast_is_right(name):
    late = name not in QUICK
    right(rows_of(name, lambda b: b.name.startswith(("samfast", "import")) and "CUDA" not in b.name and (late or not b.late)))


@pytest.mark.parametrize("name", PLAIN)
def test_numpy_is_right(name):
    workload = every()[name]
    (numpy,) = (b for b in workload.backends if b.name == "NumPy")
    work = workload.make(workload.tiny)
    assert workload.check(work, numpy.prepare(work)())


@pytest.mark.skipif(shutil.which("g++") is None, reason="the C++ kernel needs g++")
@pytest.mark.parametrize("name", [n for n, w in every().items() if any(b.name == "C++" for b in w.backends)])
def test_cpp_is_right(name):
    workload = every()[name]
    for backend in workload.backends:
        if backend.name.startswith("C++"):
            work = workload.make(workload.tiny)
            assert workload.check(work, backend.prepare(work)())


PEERS = [(n, b) for n, w in every().items() for b in w.backends if b.needs and not w.slow]


@pytest.mark.filterwarnings("ignore")  # of the libraries themselves
@pytest.mark.parametrize(
    "name, backend",
    [
        pytest.param(n, b, id=f"{n}-{b.name}", marks=() if n in ("linear", "flow") and not b.late else pytest.mark.slow)
        for n, b in PEERS
    ],
)
def test_a_peer_is_right(name, backend):
    pytest.importorskip(backend.needs)
    workload = every()[name]
    work = workload.make(workload.tiny)
    try:
        run = backend.prepare(work)
    except MissingError as missing:
        pytest.skip(str(missing))
    run()
    assert workload.check(work, measure.fetch(run()))


@pytest.mark.parametrize("name", PLAIN)
def test_every_check_can_fail(name):
    """An answer is found wrong if its numbers are a tenth off, or twice as large if they are random."""
    workload = every()[name]
    (numpy,) = (b for b in workload.backends if b.name == "NumPy")
    work = workload.make(workload.tiny)
    answer = numpy.prepare(work)()
    wrong = {
        "second": lambda x: 2 * x,
        "moments": lambda x: 2 * x,
        "values": lambda x: 1.1 * x,
        "w": {"one-path": lambda x: x + 1, "basins": lambda x: 0 * x + [[0], [1]]}.get(name, lambda x: 1.1 * x),
    }
    for key in set(answer) & set(wrong):
        with pytest.raises(WrongError, match=r"off by|another attractor"):
            workload.check(work, {**answer, key: wrong[key](answer[key])})


@pytest.mark.parametrize("sign", [1, -1])
def test_a_check_turns_at_five_standard_errors(sign):
    """Of the mean, and of the mean square, whose cube root is nearly normal with the variance 2/(9 paths)."""
    v, paths = 0.3, 1000
    narrow = 2 / (9 * paths)

    def found(one, two):
        square = v * (1 - narrow + sign * two * np.sqrt(narrow)) ** 3
        return gaussian({"first": np.array(sign * one * np.sqrt(v / paths)), "second": np.array(square)}, v, paths)

    assert (found(4.9, 0.0), found(0.0, 4.9)) == ("|z| 4.9", "|z| 4.9")
    with pytest.raises(WrongError, match=r"^mean off by 5\.1 standard errors"):
        found(5.1, 0.0)
    with pytest.raises(WrongError, match=r"^mean square off by 5\.1 standard errors"):
        found(0.0, 5.1)


@pytest.mark.parametrize(
    "fault",
    [
        lambda z: z * 0.1,  # dt for sqrt(dt)
        lambda z: np.sqrt(3) * np.clip(z, -1, 1),  # another distribution
        lambda z: z + 0.05,  # a bias
        lambda z: np.repeat(z[:, :1], z.shape[1], 1),
    ],
)  # one draw for all paths
def test_planted_noise_is_reported_and_not_timed(fault):
    work = every()["linear"].make(1 / 16)
    rng = np.random.default_rng(1)

    def wrong(work):
        def run():
            s = arrays.begin(work, np, 0, work.paths, float)
            return arrays.joined(work, np, [arrays.walk(work, np, s, lambda: fault(rng.standard_normal((1, work.paths))))])

        return run

    workload = replace(every()["linear"], backends=(Backend("NumPy", arrays.numpy), Backend("wrong", wrong)), goals={})
    good, bad = measure.measure(workload, scale=1 / 16, repeats=1)
    assert good.correct and good.ratio == 1 and good.value > 0
    assert bad.check.startswith("wrong: mean") and bad.value is None and bad.ratio is None and bad.repeats == 0
    assert linear.right(work, arrays.numpy(work)())


def step(xp, s, z, gradient):
    return s


def toy(*backends, goals=None):
    def make(scale):
        return Work(max(1, int(100 * scale)), 10, 1, step, (np.zeros(1),))

    return Workload("toy", "nothing", "zero", make, lambda work, answer: "exactly", backends, goals or {})


NOW = [0.0]


@pytest.fixture
def clock(monkeypatch):
    """Time passes in `sleeper` only: a busy machine changes nothing."""
    NOW[0] = 0.0
    for module in (measure, timing):
        monkeypatch.setattr(module, "time", types.SimpleNamespace(perf_counter=lambda: NOW[0], process_time=lambda: NOW[0]))


def sleep(seconds):
    NOW[0] += seconds


def sleeper(name, seconds, log=None, fetched=None, **options):
    """A backend whose calls last `seconds`, or one after another those of a list."""
    calls = itertools.repeat(seconds) if np.ndim(seconds) == 0 else iter(seconds)

    def prepare(work):
        def run():
            if log is not None:
                log.append(name)
            sleep(next(calls))
            return {} if fetched is None else {"x": fetched}

        return run

    return Backend(name, prepare, clock="wall", threads=0, **options)


def test_a_call_is_timed():
    _, wall, cpu = timing.timed(lambda: time.sleep(0.02))
    assert wall >= 0.02 and 0 <= cpu < wall


def test_backends_take_turns_and_are_compared_round_by_round(clock):
    log = []
    rows = measure.measure(toy(sleeper("a", 0.002, log), sleeper("b", 0.006, log)), repeats=4)
    # called twice and checked, then in turns
    assert log == ["a", "a", "b", "b"] + ["a", "b"] * 4
    assert [rows[1].low, rows[1].ratio, rows[1].high] == relative([3.0] * 3, 1e-12)
    assert rows[0].repeats == rows[1].repeats == 4 and rows[0].wall == relative(0.002, 1e-12)
    times = {"a": timing.Times([1.0, 2.0, 4.0], [0.0] * 3, [0, 1, 2]), "b": timing.Times([3.0, 8.0], [0.0] * 2, [0, 2])}
    np.testing.assert_array_equal(timing.ratios(times["b"], times["a"], "wall"), [3.0, 2.0])


class Slow:
    """An array on a device, which takes two seconds to fetch."""

    def get(self):
        sleep(2.0)
        return np.zeros(1)


def test_calls_of_unequal_length(clock):
    """The first two calls are compilation and warm-up; medians and quartiles are those of the rounds, in pairs."""
    uneven = sleeper("b", [7.0, 3.0, 1.0, 2.0, 9.0, 4.0], fetched=Slow())
    a, b = measure.measure(toy(sleeper("a", [1.0, 1.0, 1.0, 4.0, 2.0, 1.0]), uneven), seconds=1e6, repeats=4)
    assert b.compile == 4.0 and b.fetch == 2.0 and b.repeats == 4
    assert (a.wall, b.wall, b.cpu) == (1.5, 3.0, 3.0)
    # round by round 1, 1/2, 9/2, 4: neither the ratio of the medians (2) nor of the means
    assert (b.low, b.ratio, b.high) == (0.875, 2.5, 4.125)
    assert b.value == relative(3.0 / 1000 * 1e9, 1e-12)
    assert (a.low, a.ratio, a.high) == (1.0, 1.0, 1.0)


def test_work_that_times_itself(clock):
    """A result with "seconds" has been timed by whoever made it, and both clocks are that."""

    def process():
        sleep(50.0)
        return {"seconds": 0.25}

    assert timing.timed(process)[1:] == (0.25, 0.25)
    assert timing.timed(lambda: sleep(3.0))[1:] == (3.0, 3.0)


def test_the_longer_backend_stops_when_its_share_of_the_time_is_used_up(clock):
    """Of ten seconds each has five: three rounds of 2 s, and no fourth; the one compared with goes on."""
    times = timing.interleave({"a": lambda: sleep(0.1), "slow": lambda: sleep(2.0)}, 8, 10.0, always={"a"})
    assert times["slow"].rounds == [0, 1, 2] and times["a"].rounds == list(range(8))
    later = timing.interleave({"a": lambda: sleep(1.0)}, 50, 7.0)
    assert len(later["a"].wall) == 7  # an eighth would end after 8 s


def test_a_share_of_the_paths_is_scaled_and_a_slow_one_stops_early(clock):
    rows = measure.measure(toy(sleeper("a", 0.004), sleeper("half", 0.004, share=0.5)), repeats=3)
    assert rows[1].share == 0.5 and rows[1].ratio == relative(2.0, 1e-12)
    assert rows[1].value == relative(rows[1].wall / 500 * 1e9, 1e-12)
    times = timing.interleave({"a": lambda: sleep(0.001), "slow": lambda: sleep(0.05)}, 20, 0.2, always={"a"})
    assert len(times["a"].wall) > len(times["slow"].wall) >= 3


def test_what_does_not_fit_into_the_time_is_said(clock):
    later = [sleeper("b", 0.0), sleeper("c", 0.0, late=True)]
    assert [r.check for r in measure.measure(toy(sleeper("a", 0.001), *later), seconds=-1.0, repeats=1)] == [
        "correct",
        *2 * ["left out to save time: --full runs it"],
    ]
    assert all(r.correct for r in measure.measure(toy(sleeper("a", 0.001), *later), seconds=-1.0, repeats=1, full=True))


def test_goals(clock):
    rows = measure.measure(
        toy(
            sleeper("a", 0.001),
            sleeper("b", 0.004),
            sleeper("c", 0.004),
            goals={"a": Goal(most=1e-3, of="value"), "b": Goal(least=2), "c": Goal(most=2)},
        ),
        repeats=3,
    )
    assert [r.met for r in rows] == [False, True, False] and [r.goal for r in rows] == ["value <= 0.001", ">= 2", "<= 2"]


def test_a_backend_that_cannot_run_says_why():
    def missing(work):
        raise ImportError("no such\nlibrary")

    absent = Backend("c", missing, needs="no_such_library")
    rows = measure.measure(toy(sleeper("a", 0.0), Backend("b", missing), absent), repeats=1)
    assert [r.check for r in rows] == ["correct", "did not run: no such library"]


def test_cuda_says_why_it_is_not_there():
    """The reason is that of the library, not whatever fault the row may have."""
    (row,) = rows_of("linear", lambda b: b.name == "samfast CUDA")
    reason = cuda.missing()
    if reason is None:
        assert row.correct
    else:
        assert row.check == " ".join(f"did not run: device='cuda': {reason}".split())[:300]


def test_a_device_is_waited_for():
    class OnDevice:
        waited = 0
        device = property(lambda self: self)

        def synchronize(self):
            self.waited += 1

    x = OnDevice()
    assert ours.done({"a": x, "b": np.ones(2)})["a"] is x and x.waited == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system does not hold processes on processors")
def test_one_thread_holds_the_process_on_one_processor_and_lets_go():
    before, names = os.sched_getaffinity(0), {k: os.environ.get(k) for k in timing.THREADS}
    with timing.one_thread() as held:
        assert held and len(os.sched_getaffinity(0)) == 1 and os.environ["OMP_NUM_THREADS"] == "1"
        with timing.processors(0):
            assert os.sched_getaffinity(0) == timing.ALL
    assert os.sched_getaffinity(0) == before and {k: os.environ.get(k) for k in timing.THREADS} == names


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_peak_memory():
    assert 60 < timing.peak_memory(lambda: np.ones(10**7)) < 120  # 80 MB
    assert timing.peak_memory(lambda: None) < 20


@pytest.mark.slow
def test_scaling_is_measured():
    points = scaling.measure(scale=1e-3)
    assert {p.axis for p in points} == {"paths", "recorded times", "threads", "chunk size"} and all(p.value > 0 for p in points)


def test_crossings_are_found():
    line = [scaling.Point("paths", "a", n, 4.0, "cpu") for n in (1, 100, 10000)]
    falls = [scaling.Point("paths", "b", n, v, "cpu") for n, v in ((1, 400.0), (100, 40.0), (10000, 0.04))]
    # log10 of the ratio falls from 1 at 10^2 to -2 at 10^4: a third of the way
    assert scaling.crossovers(line + falls) == [("a", "b", relative(10 ** (2 + 2 / 3), 1e-12))]
    assert scaling.sentences(line + falls) == ["b overtakes a at about 460 paths of 100 steps"]


def test_the_first_result_of_a_process_is_checked():
    workload = every()["first-result"]
    v = 1e-6 * (1 - linear.A**200) / (1 - linear.A**2)
    assert workload.check(workload.make(1.0), {"mean": np.array(0.0), "var": np.array(v), "seconds": 1.0}) == "|z| 0.0"
    with pytest.raises(WrongError, match="variance off"):
        workload.check(workload.make(1.0), {"mean": np.array(0.0), "var": np.array(2 * v)})


def test_every_workload_states_its_work():
    for name, w in every().items():
        assert w.name == name and w.title and w.law and set(w.goals) <= {b.name for b in w.backends}
        assert len({b.name for b in w.backends}) == len(w.backends)
        assert all(b.against in {"", *(c.name for c in w.backends)} for b in w.backends)
    assert importlib.util.find_spec("samfast.bench").origin.endswith("__init__.py")


def test_the_call_of_a_driver_is_timed_without_its_steps():
    assert 1e-7 < driver_call.call(20) < 1
