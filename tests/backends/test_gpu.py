"""On a real GPU: pytest -m gpu -n 8 tests/test_gpu.py. What is checked is in gpu_checks.py and gpu_device.py.

Without a GPU everything here is skipped, with the reason; under SAMFAST_REQUIRE_GPU=1 it fails. The first run compiles each
program twice, for the GPU and for the CPU: with 8 workers on 16 processors it takes some two minutes.
"""

import os

import gpu_checks
import gpu_device
import pytest
import test_stats_device
from programs import CASES

import samfast as sf
from samfast import stats

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX would take three quarters of the memory
pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]  # of other libraries: here they are no errors


@pytest.fixture(scope="module")
def cp():
    return gpu_checks.device()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mode", ["mixed", "float32", "float64"])
def test_a_program_gives_the_bits_of_the_cpu(cp, name, mode):
    gpu_checks.program(cp, name, mode)


def test_words_are_philox(cp):
    gpu_checks.words(cp)


@pytest.mark.parametrize("mode", ["mixed", "float32", "float64"])
def test_normals_are_the_cpus(cp, mode):
    gpu_checks.normals(cp, mode)


@pytest.mark.parametrize(
    "check",
    [
        gpu_checks.sizes,
        gpu_checks.settings,
        gpu_checks.going_on,
        gpu_checks.divergence,
        gpu_checks.critical,
        gpu_checks.exact_moments,
        gpu_checks.workers,
        gpu_checks.from_cupy,
    ],
    ids=lambda check: check.__name__,
)
def test_runs(cp, check):
    check(cp)


@pytest.mark.parametrize(
    "check",
    [gpu_checks.launches, gpu_checks.too_large, gpu_device.from_torch, gpu_device.from_jax],
    ids=lambda check: check.__name__,
)
def test_runs_that_are_watched(cp, check, monkeypatch):
    check(cp, monkeypatch)


def test_several_gpus_give_the_bits_of_one(cp):
    if cp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one GPU")
    gpu_checks.workers(cp, paths=300_000)


def test_streams(cp):
    gpu_device.streams(cp)
    gpu_device.order_of_streams(cp)


@pytest.mark.parametrize("name", [name for name in test_stats_device.CASES if name != "ks"])
def test_statistics_on_the_device(cp, name):
    gpu_device.statistics(test_stats_device.CASES[name], cp.asarray)


def test_kolmogorov_smirnov_on_the_device(cp):
    ndtr = gpu_checks.library("cupyx.scipy.special").ndtr
    phi = {cp.ndarray: ndtr}
    gpu_device.statistics(
        lambda on: stats.ks(x := on(test_stats_device.sample()), phi.get(type(x), test_stats_device.ndtr)), cp.asarray
    )


def test_statistics_in_bounded_memory(cp):
    gpu_device.bounded(cp)


def test_memory_comes_back(cp):
    gpu_device.no_leak(cp)


def test_a_second_process_compiles_nothing(cp, tmp_path):
    (first, one), (second, other) = gpu_device.second_process(tmp_path)
    assert first > 0 and second == 0 and one == other


def test_the_gpu_is_named(cp):
    name = cp.cuda.runtime.getDeviceProperties(cp.cuda.Device().id)["name"].decode()
    assert name in gpu_checks.import_module("samfast.backends.cuda").gpu()
    assert name in sf.msd(eigenvalue=1.0, lr=0.01, rho=0.1, times=[0.02], paths=300, device="cuda").dataset.attrs["gpu"]
