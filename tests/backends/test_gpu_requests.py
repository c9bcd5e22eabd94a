"""Requests for a GPU: refused with the reason where there is none; arrays from anywhere."""

import builtins
import sys
import types

import numpy as np
import pytest

import samfast as sf
from samfast import arrays
from samfast.backends import cuda

RULE, LOSS = sf.gd(lr=0.1), sf.losses.double_well()


def without(monkeypatch, *names):
    """As if packages were not installed."""
    real = builtins.__import__

    def look(name, *args, **kwargs):
        if name.split(".")[0] in names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    for loaded in [m for m in sys.modules if m.split(".")[0] in names]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setattr(builtins, "__import__", look)


def test_a_missing_package_is_named_with_the_extra(monkeypatch):
    without(monkeypatch, "cupy")
    with pytest.raises(sf.NoGpuError, match=r"device='cuda': No module named 'cupy': pip install \"samfast\[cuda13\]\""):
        sf.simulate(LOSS, RULE, [0.1, 0.1], record=[1], device="cuda")


class FakeRuntime(types.ModuleType):
    class CUDARuntimeError(RuntimeError):
        pass

    def __init__(self, count):
        super().__init__("runtime")
        self.count = count

    def getDeviceCount(self):
        if isinstance(self.count, str):
            raise self.CUDARuntimeError(self.count)
        return self.count


@pytest.fixture
def driver(monkeypatch):
    """CuPy and numba-cuda as if they were installed, on a driver that shows so many GPUs."""

    def install(count):
        cupy, bindings, numba_part = (types.ModuleType(n) for n in ("cupy", "cuda.bindings", "numba.cuda.np.arrayobj"))
        cupy.cuda = types.SimpleNamespace(runtime=FakeRuntime(count))
        bindings.nvjitlink = None
        empty = {n: types.ModuleType(n) for n in ("cuda", "numba.cuda", "numba.cuda.np")}
        for name, module in {**empty, "cupy": cupy, "cuda.bindings": bindings, "numba.cuda.np.arrayobj": numba_part}.items():
            monkeypatch.setitem(sys.modules, name, module)

    return install


@pytest.mark.parametrize(
    "count, reason",
    [
        (0, "the driver shows no GPU .*CUDA_VISIBLE_DEVICES"),
        ("cudaErrorNoDriver", "cudaErrorNoDriver: install NVIDIA's driver"),
        (
            "cudaErrorInsufficientDriver: CUDA driver version is insufficient",
            r"cudaErrorInsufficientDriver: .*: pip install \"samfast\[cuda12\]\", which an older driver can run",
        ),
    ],
)
def test_no_gpu_is_an_error_and_never_the_cpu(driver, count, reason):
    driver(count)
    with pytest.raises(sf.NoGpuError, match="device='cuda': " + reason):
        sf.simulate(LOSS, RULE, [0.1, 0.1], record=[1], device="cuda")
    with pytest.raises(sf.NoGpuError, match=reason):
        sf.msd(eigenvalue=-1.0, lr=0.01, rho=0.1, times=[1], paths=10, device="cuda")


def test_a_gpu_that_is_there_is_accepted(driver):
    driver(1)
    assert cuda.missing() is None


def test_unknown_devices_are_refused():
    with pytest.raises(ValueError, match="device='gpu': choose one of 'cpu', 'cuda', 'auto'"):
        sf.simulate(LOSS, RULE, [0.1, 0.1], record=[1], device="gpu")


class OnGpu:
    """An array of another library, in the memory of a GPU."""

    def __init__(self, device=2):
        self.device = device

    def __dlpack__(self):
        raise AssertionError("the memory was looked at")

    def __dlpack_device__(self):
        return self.device, 0


def test_a_start_on_a_gpu_asks_for_the_gpu(monkeypatch):
    assert arrays.on_gpu(OnGpu()) and not arrays.on_gpu(OnGpu(1)) and not arrays.on_gpu([1.0]) and not arrays.on_gpu(np.ones(2))
    with pytest.raises(ValueError, match="device='cpu': the start lies on a GPU; leave device out"):
        sf.simulate(LOSS, RULE, OnGpu(), record=[1], device="cpu")
    without(monkeypatch, "cupy")
    with pytest.raises(sf.NoGpuError, match="No module named 'cupy'"):
        sf.simulate(LOSS, RULE, OnGpu(), record=[1])


def test_arrays_of_other_libraries_on_the_host():
    """JAX's arrays are read where they lie; results come as NumPy arrays."""
    jnp = pytest.importorskip("jax.numpy")
    start = jnp.asarray(np.array([[0.1, 0.2], [0.3, 0.4]]))
    assert arrays.kind_of(start) == "jax" and not arrays.on_gpu(start)
    run = sf.simulate(LOSS, RULE, start, record=[3], values=True)
    again = sf.simulate(LOSS, RULE, np.asarray(start, float), record=[3], values=True)
    assert isinstance(run.values, np.ndarray)
    np.testing.assert_array_equal(run.values, again.values)
    given = arrays.like(np.ones(2), "jax")
    assert "jax" in type(given).__module__ and given.dtype == np.float64  # also where JAX is not told to use it


def test_a_linker_that_is_too_old_says_so(monkeypatch):
    """Its log and the versions of NVVM and nvJitLink are in the message, and both decide the name in the cache."""
    from samfast.compilers import numba_cuda

    said = b"ptxas fatal : Unsupported .version 9.9; current version is '9.0'\0"

    class Linker(types.ModuleType):
        InputType = types.SimpleNamespace(PTX=1)

        def create(self, many, options):
            return 1

        def add_data(self, *_):
            raise RuntimeError("ERROR_PTX_COMPILE (4)")

        def get_error_log_size(self, handle):
            return len(said)

        def get_error_log(self, handle, into):
            into[:] = said

        def destroy(self, handle):
            destroyed.append(handle)

    destroyed, versions = [], {"nvidia-nvvm": "13.9", "nvidia-nvjitlink": "13.0"}

    def version(package):
        if package not in versions:
            raise numba_cuda.PackageNotFoundError(package)
        return versions[package]

    bindings = types.ModuleType("cuda.bindings")
    bindings.nvjitlink = Linker("nvjitlink")
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
    monkeypatch.setattr(numba_cuda, "version", version)
    with pytest.raises(RuntimeError) as caught:
        numba_cuda.link("", (9, 0), 64)
    text = str(caught.value)
    for part in ("ERROR_PTX_COMPILE", "Unsupported .version 9.9", "nvidia-nvvm 13.9", "nvidia-nvjitlink 13.0", "--upgrade"):
        assert part in text
    assert destroyed == [1] and "\0" not in text and "\n" not in text
    keys = set()
    for package in versions:
        for versions[package] in ("1", "2"):
            numba_cuda.inputs.cache_clear()
            keys.add(numba_cuda.inputs())
    numba_cuda.inputs.cache_clear()
    assert len(keys) == 4


@pytest.mark.parametrize(
    "wide, dim, statements, work, steps",
    [
        (False, 2, 20, 1, 2**18),  # short paths are cheap, but nothing says how cheap
        (False, 2, 20, 10**6, 10**4),
        (False, 2, 2000, 10**6, 100),
        (True, 4096, 20, 10**6, 2),
        (True, 10**6, 200, 10**6, 1),
    ],
)
def test_the_first_launch_is_sized_by_the_work_of_a_step(wide, dim, statements, work, steps):
    """Statements count for each coordinate of a program that loops over them; it took 44 s for 4096 coordinates."""
    program = types.SimpleNamespace(statements=statements, wide=wide, dim=dim)
    shard = types.SimpleNamespace(start=0, record=np.array([10**9]), program=program)
    ends = []

    def launch(start, end, r0, r1):
        ends.append(end)
        raise StopIteration

    with pytest.raises(StopIteration):
        cuda._steps(shard, launch, np.zeros(1), work, np)
    assert ends == [steps]
