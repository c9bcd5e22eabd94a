"""device="cuda" from the call to the result, on a stand-in for CuPy whose launches go to the emulator."""

import gpu_standin
import numpy as np
import pytest
from gpu_standin import Gpu

import samfast as sf
from samfast.backends import cuda
from samfast.simulation import prepare

LOSS = sf.losses.double_well()
RULE = sf.noisy(sf.sam(lr=0.05, rho=0.1), sigma=0.1)


@pytest.fixture
def gpu(monkeypatch):
    return gpu_standin.install(monkeypatch)


@pytest.fixture
def plain(monkeypatch):
    """Runs on the CPU in plain Python, which compiles nothing and gives the same bits."""
    render = prepare.render
    monkeypatch.setattr(
        "samfast.simulation.prepare.render",
        lambda *args, device, **options: render(*args, device="plain" if device == "cpu" else device, **options),
    )


def host(x):
    assert isinstance(x, Gpu)
    return x.get()


def compare(gpu_run, cpu_run):
    np.testing.assert_array_equal(gpu_run.sums, cpu_run.sums)
    np.testing.assert_array_equal(gpu_run.count, cpu_run.count)
    np.testing.assert_array_equal(gpu_run.shift, cpu_run.shift)
    np.testing.assert_array_equal(gpu_run.diverged, cpu_run.diverged)
    if cpu_run.state is not None:
        np.testing.assert_array_equal(host(gpu_run.state), cpu_run.state)
        np.testing.assert_array_equal(host(gpu_run.final()), cpu_run.final())
    if cpu_run.values is not None:
        np.testing.assert_array_equal(host(gpu_run.values), cpu_run.values)


def both(start=(0.1, 0.2), loss=LOSS, rule=RULE, **options):
    options = dict(record=[0, 2, 5], values=True, **options)
    return sf.simulate(loss, rule, start, device="cuda", **options), sf.simulate(loss, rule, start, **options)


def test_a_run(gpu):
    compare(*both(paths=260))
    assert gpu.launched[-1] == ((2, 1, 1), (256, 1, 1))


def test_a_sweep_shares_a_launch_and_apart_it_does_not(gpu, plain):
    rule = sf.noisy(sf.sam(lr=[0.05, 0.1, 0.2], rho=0.1), sigma=0.1)
    compare(*both(rule=rule, paths=3))
    shared = len(gpu.launched)
    compare(*both(rule=rule, paths=3, shared_noise=False))
    assert len(gpu.launched) - shared == shared + 2  # one to find the shift, and one, or one for each setting


def test_starts_of_each_path_and_their_parameters(gpu, plain):
    start = np.linspace(0, 1, 10).reshape(5, 2)
    rule = sf.gd(lr=sf.per_path(np.linspace(0.01, 0.1, 5)))
    compare(*both(start, rule=rule, observe=sf.observe.msd()))


def test_a_start_on_the_gpu_needs_no_word(gpu):
    start = np.linspace(0, 1, 10).reshape(5, 2)
    run = sf.simulate(LOSS, RULE, gpu_standin.on_device(start), record=[3], values=True)
    compare(run, sf.simulate(LOSS, RULE, start, record=[3], values=True))


def test_results_come_in_the_library_of_the_start(gpu, monkeypatch):
    made = []
    monkeypatch.setattr("samfast.arrays.kind_of", lambda x: "torch")
    monkeypatch.setattr("samfast.arrays.like", lambda x, kind: made.append((kind, type(x))) or x)
    run = sf.simulate(LOSS, RULE, gpu_standin.on_device(np.zeros(2)), record=[3], paths=2, values=True)
    assert made == [("torch", Gpu)] and run.job.array_library == "torch"
    sf.resume(run, record=[4])
    assert made == [("torch", Gpu)] * 3


def test_going_on_and_looking_again(gpu):
    one, other = both(paths=4)
    compare(sf.resume(one, record=[7, 9]), sf.resume(other, record=[7, 9]))
    np.testing.assert_array_equal(host(one.replay(3).values), other.replay(3).values)


def test_shards_by_memory_and_the_same_bits(monkeypatch):
    """A GPU with little memory takes the paths in turns."""
    small = gpu_standin.install(monkeypatch, free=40_000)
    options = dict(record=[0, 2], paths=513, state=False)
    run = sf.simulate(LOSS, RULE, [0.1, 0.2], device="cuda", **options)
    assert len(small.launched) == 1 + 3 and len(run.job.shards(0, run.record, None)) == 3
    compare(run, sf.simulate(LOSS, RULE, [0.1, 0.2], **options))


def test_what_does_not_fit_is_refused_before_a_launch(monkeypatch):
    small = gpu_standin.install(monkeypatch, free=1_000)
    with pytest.raises(MemoryError, match=r"GB for state on the GPU, where 1e-06 GB are free: run fewer paths at once"):
        sf.simulate(LOSS, RULE, [0.1, 0.2], record=[1], paths=1000, device="cuda")
    assert not small.launched


def test_an_interrupt_keeps_what_was_finished(monkeypatch):
    gpu_standin.install(monkeypatch, free=40_000)
    launch, launches = cuda._launch, []

    def until_the_third(*args):
        launches.append(args)
        if len(launches) == 4:
            raise KeyboardInterrupt
        launch(*args)

    monkeypatch.setattr(cuda, "_launch", until_the_third)
    options = dict(record=[0, 2], paths=513, state=False)
    with pytest.raises(sf.Interrupted) as stopped:
        sf.simulate(LOSS, RULE, [0.1, 0.2], device="cuda", **options)
    assert stopped.value.run.paths == 512
    compare(sf.resume(stopped.value.run), sf.simulate(LOSS, RULE, [0.1, 0.2], **options))


def test_divergence_is_reported(gpu):
    start = np.array([[0.1, 0.1], [50.0, 0.1], [0.2, 0.1]])
    with pytest.warns(sf.DivergenceWarning, match="1 of 3 paths diverged"):
        run = sf.simulate(LOSS, sf.gd(lr=0.5), start, record=[0, 30], device="cuda")
    assert run.count[-1] == 2 and run.diverged[0, 1] == 1


def test_paths_that_meet_a_critical_point(gpu):
    with pytest.raises(sf.CriticalPointError, match="2 paths met an exactly zero gradient"):
        sf.simulate(
            LOSS, sf.sam(lr=0.1, rho=0.1, normalize=True, at_critical="raise"), [0.0, 0.0], record=[1], paths=2, device="cuda"
        )


def test_workers_give_arrays_of_the_host(gpu):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        run = sf.simulate(LOSS, RULE, [0.1, 0.2], record=[3], paths=4, values=True, device="cuda", executor=pool)
    assert type(run.values) is np.ndarray and type(run.state) is np.ndarray
    np.testing.assert_array_equal(run.values, sf.simulate(LOSS, RULE, [0.1, 0.2], record=[3], paths=4, values=True).values)
    assert sf.resume(run, record=[4]).paths == 4


def test_many_coordinates(gpu, plain):
    loss = sf.losses.quadratic(np.linspace(-1, 1, 20))
    rule = sf.noisy(sf.sam(lr=0.01, rho=0.1, normalize=True), sigma=0.1)
    compare(*both(np.zeros(20), loss=loss, rule=rule, paths=3))


@pytest.mark.parametrize("method", ["em", pytest.param("algorithm", marks=pytest.mark.slow), "exact"])
def test_studies(gpu, method):
    options = dict(eigenvalue=[-1.0, 1.0], lr=0.01, rho=0.1, times=[0.02, 0.05], paths=20, method=method)
    one, other = sf.msd(device="cuda", **options), sf.msd(**options)
    np.testing.assert_array_equal(one.dataset.msd, other.dataset.msd)
    assert one.dataset.attrs["device"] == "cuda" and "stand-in" in one.dataset.attrs["gpu"]


def test_paired_studies_and_exit_times(gpu, plain):
    options = dict(eigenvalue=-1.0, lr=0.01, rho=0.1, times=[0.02, 0.05], paths=20)
    one, other = sf.paired_msd(device="cuda", **options), sf.paired_msd(**options)
    np.testing.assert_array_equal(one.dataset.difference, other.dataset.difference)
    options = dict(limit=0.01, lr=0.01, rho=0.1, batch_size=1, paths=20)
    one, other = sf.exit_times(device="cuda", **options), sf.exit_times(**options)
    np.testing.assert_array_equal(one.dataset.time, other.dataset.time)


def test_one_worker_for_each_gpu(gpu, monkeypatch):
    import sys

    cupy, used = sys.modules["cupy"], []
    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", lambda: 2)
    device = cupy.cuda.Device()
    device.use = lambda: used.append(device)
    monkeypatch.setattr(cupy.cuda, "Device", lambda number=0: device)
    with sf.gpus() as pool:
        assert pool._max_workers == 2
        run = sf.simulate(LOSS, RULE, [0.1, 0.2], record=[1], paths=1025, device="cuda", executor=pool)
    np.testing.assert_array_equal(run.sums, sf.simulate(LOSS, RULE, [0.1, 0.2], record=[1], paths=1025).sums)
    assert used and len(run.job.shards(0, run.record, None)) > 4
    for numbers, words in (([2], r"numbers=\[2\]: there are 2 GPUs, numbered 0 to 1"), ([0, 0], "give each GPU once")):
        with pytest.raises(ValueError, match=words):
            sf.gpus(numbers)


def test_auto_takes_the_gpu_for_long_work_only(gpu, monkeypatch):
    def device(**options):
        return sf.simulate(LOSS, RULE, [0.1, 0.2], device="auto", state=False, **options).job.program.device

    assert device(record=[3], paths=4) == "cpu" and not gpu.launched
    monkeypatch.setattr("samfast.simulation.prepare.AUTO_SECONDS", 1e-9)
    assert device(record=[3], paths=4) == "cuda"
    monkeypatch.setattr(cuda, "missing", lambda: "there is none")
    assert device(record=[3], paths=4) == "cpu"
