"""The checks of test_gpu.py as far as a stand-in carries them, so that they are right on the day there is a GPU."""

import json
import tracemalloc
import types

import gpu_checks
import gpu_device
import gpu_standin
import numpy as np
import pytest
import standin
import test_stats_device
from gpu_checks import same_bits, ulp
from samfast.bench.gpu_kernel import machine_code

from samfast.backends import cuda
from samfast.simulation import prepare


class Stream:
    """A stream that does all at once."""

    def __init__(self, **options):
        assert options == {"non_blocking": True}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def synchronize(self):
        pass


class Event:
    done = False

    def record(self):
        self.done = True


BLOCK = 16  # threads of a block of the emulator, where a device has 256: each is a thread of Python


@pytest.fixture
def cp(monkeypatch):
    gpu_standin.install(monkeypatch)
    for name in ("samfast.simulation.job.BLOCK", "samfast.simulation.prepare.BLOCK", "samfast.simulation.prepare.WITH_NORMALS"):
        monkeypatch.setattr(name, BLOCK)
    render = prepare.render  # runs on the CPU in plain Python, which compiles nothing and gives the same bits
    monkeypatch.setattr(
        "samfast.simulation.prepare.render",
        lambda *args, device, **options: render(*args, device="plain" if device == "cpu" else device, **options),
    )
    cupy = gpu_checks.device()
    one = types.SimpleNamespace(**vars(cupy.cuda.Device()), use=lambda: None)
    cupy.cuda.Stream, cupy.cuda.Event, cupy.cuda.get_elapsed_time = Stream, Event, lambda a, b: 1.0
    cupy.cuda.Device = lambda number=0: one
    return cupy


@pytest.mark.parametrize(
    "name, mode", [("linear", "mixed"), ("linear-sign", "float32"), ("beale-noise", "float64"), ("wide12", "mixed")]
)
def test_programs(cp, name, mode):
    gpu_checks.program(cp, name, mode, "plain", paths=5, record=(0, 3, 5))


def test_a_wrong_program_is_found(cp, monkeypatch):
    """Planted: the second key of the third round is off by one."""
    keys = cuda.round_keys
    monkeypatch.setattr(cuda, "round_keys", lambda seed: (keys(seed)[0], keys(seed)[1] ^ np.uint32(1), *keys(seed)[2:]))
    with pytest.raises(AssertionError, match=r"linear mixed, state: 10 of 10 numbers differ, by up to \d+ ulp; the first"):
        gpu_checks.program(cp, "linear", "mixed", "plain", paths=5, record=(0, 3, 5))
    with pytest.raises(AssertionError, match="word 0 of call 0: 2 of 2 differ"):
        gpu_checks.words(cp, paths=2, first=2**32 - 1, steps=1)
    with pytest.raises(AssertionError, match="normals mixed: 18 of 18 numbers differ"):
        gpu_checks.normals(cp, "mixed", "plain", paths=3, first=2**32 - BLOCK)


def test_words_and_normals(cp):
    gpu_checks.words(cp, paths=2, first=2**32 - 1, steps=2)
    for mode in ("mixed", "float32", "float64"):
        gpu_checks.normals(cp, mode, "plain", paths=BLOCK + 2, first=2**32 - BLOCK)


def test_philox_by_known_answers():
    """Of Random123: counter and key all 0 and all 1."""
    for bits, want in ((0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"), (2**64 - 1, "408f276d 41c83b0e a20bc7c6 6d5451fd")):
        got = gpu_checks.philox(bits & 0xFFFFFFFF, bits & 0xFFFFFFFF, bits, bits)
        assert " ".join(f"{int(x):08x}" for x in got) == want


def test_runs(cp):
    gpu_checks.sizes(cp, (1, BLOCK + 1))
    gpu_checks.settings(cp, paths=5)
    gpu_checks.going_on(cp, paths=5)
    gpu_checks.divergence(cp)
    gpu_checks.critical(cp)
    gpu_checks.workers(cp, paths=5)
    gpu_checks.from_cupy(cp)


def test_runs_that_are_watched(cp, monkeypatch):
    gpu_checks.launches(cp, monkeypatch, paths=5)
    gpu_checks.too_large(cp, monkeypatch)


def test_exact_moments(cp):
    gpu_checks.exact_moments(cp, paths=40, times=(0.05,))


def test_streams(cp, monkeypatch):
    monkeypatch.setattr(gpu_device.short, "__defaults__", (3,))
    gpu_device.streams(cp)


def test_a_skip_is_no_success(monkeypatch):
    monkeypatch.setattr(cuda, "missing", lambda: "no driver")
    monkeypatch.delenv("SAMFAST_REQUIRE_GPU", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no driver"):
        gpu_checks.device()
    monkeypatch.setenv("SAMFAST_REQUIRE_GPU", "1")
    with pytest.raises(pytest.fail.Exception, match="no driver"):
        gpu_checks.device()


def test_units_in_the_last_place():
    x = np.array([1.0, -1.0, 0.0, np.nan, np.inf, 1e-320])
    y = np.array([np.nextafter(1, 2), np.nextafter(-1, 0), -0.0, np.nan, np.finfo(float).max, 1e-320])
    assert ulp(x, y).tolist() == [1, 1, 1, 0, 1, 0] == ulp(y, x).tolist()
    assert ulp(x[:3].astype("f4"), np.array([1, -1, 0], "f4")).tolist() == [0, 0, 0]
    with pytest.raises(AssertionError, match=r"sums: 2 of 3 numbers differ, by up to 1 ulp; the first: np\.float64"):
        same_bits("sums", x[:3], np.array([1.0, *y[1:3]]))
    with pytest.raises(AssertionError, match="count: 1 of 2 differ"):
        same_bits("count", np.array([1, 2]), np.array([1, 3]))


def test_another_library_gets_the_same_memory(cp, monkeypatch):
    """A library that is CuPy under another name; and one that copies."""
    want = gpu_checks.sf.simulate(gpu_checks.LOSS, gpu_checks.RULE, [0.1, 0.2], record=[0, 3], values=True)
    start, pointer = gpu_standin.on_device(np.array([0.1, 0.2])), lambda x: x.data.ptr
    gpu_device.foreign("cupy", start, want, pointer, monkeypatch)
    with pytest.raises(AssertionError, match="a result was copied"):
        gpu_device.foreign("cupy", start, want, lambda x: pointer(gpu_standin.on_device(x.get())), monkeypatch)


@pytest.mark.parametrize("case", test_stats_device.CASES)
def test_statistics(case, monkeypatch):
    module = standin.device()
    monkeypatch.setitem(__import__("sys").modules, "cupy", module)
    monkeypatch.setattr(gpu_device, "host", test_stats_device.host)
    gpu_device.statistics(test_stats_device.CASES[case], standin.Array)


def test_statistics_in_parts():
    """The bound on the device's memory, by NumPy's."""
    steps = gpu_device.in_parts(np, 2**22)
    next(steps)
    tracemalloc.start()
    assert next(steps, None) is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**28 / 2


def test_the_code_of_a_second_process(cp, capsys):
    exec(gpu_device.PROCESS, {})
    count, digest = json.loads(capsys.readouterr().out)
    assert count == 0 and len(digest) == 64


def test_the_pause_compiles():
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="cuda.bindings is not installed")
    try:
        nvrtc.nvrtcVersion()
    except Exception as error:  # of its loader: the library of NVRTC is another package
        pytest.skip(f"NVRTC is not installed: {error}"[:100])
    assert machine_code(gpu_device.PAUSE)[:4] == b"\x7fELF"
