"""samfast.stats on a device: the same numbers as on the host, nothing waits, and CuPy has all that is called."""

import inspect
import sys

import numpy as np
import pytest
import standin
from scipy.special import ndtr

from samfast import stats


def host(x):
    """What a result holds, in NumPy: records and tuples as tuples."""
    if isinstance(x, standin.Array):
        return x.data
    if isinstance(x, stats.Moments):
        return host((x.sums, x.count, x.shift, x.mean, x.var, x.std_error))
    if isinstance(x, stats.Histogram):
        return host((x.counts, x.outside, x.density, x.std_error))
    if isinstance(x, stats.Goodness):
        return host((x.statistic, x.pvalue))
    return tuple(host(y) for y in x) if isinstance(x, tuple) else np.asarray(x)


def sample():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 3, 301))
    x[0, 1, 7], x[1, 2, 300] = np.nan, np.inf
    return x


def exits():
    t = np.random.default_rng(4).integers(1, 40, (2, 301)).astype(float)
    return np.where(t > 30, -1.0, t)


def phi(x):
    return standin.Array(ndtr(x.data)) if isinstance(x, standin.Array) else ndtr(x)


EDGES = [-1.0, 0.0, 0.5, 1.0]
CASES = {
    "moments": lambda on: stats.moments(on(sample()), 4),
    "moments about": lambda on: stats.moments(on(sample()), 2, shift=on(np.full((2, 3), 0.1))),
    "other axis": lambda on: stats.moments(on(sample()), axis=0),
    "merge": lambda on: stats.merge([stats.moments(on(x), shift=0.1) for x in np.split(sample()[..., :300], 3, -1)]),
    "accumulate": lambda on: stats.accumulate(on(x) for x in np.split(sample()[..., :300], 3, -1)),
    "msd": lambda on: stats.msd(on(sample()), on(np.full(301, 0.5)), axis=1),
    "covariance": lambda on: stats.covariance(on(sample().swapaxes(-1, -2))),
    "standard error": lambda on: (stats.standard_error(on(sample())), stats.standard_error(on(sample()), of="variance")),
    "intervals": lambda on: (stats.mean_interval(on(sample())), stats.variance_interval(on(sample()))),
    "paired": lambda on: stats.paired_difference(on(sample()), on(sample() + 0.1 * sample()[::-1])),
    "quantiles": lambda on: stats.quantiles(on(sample()), [0.0, 0.3, 1.0]),
    "histogram": lambda on: stats.histogram(on(sample()), EDGES) + stats.histogram(on(sample()), EDGES),
    "survival": lambda on: stats.survival(on(exits()), on(np.array([0.0, 3.0, 29.0, 31.0])), last=30.0),
    "survival watched": lambda on: stats.survival(on(exits()[0]), [5.0], last=on(np.linspace(1, 30, 301))),
    "z": lambda on: stats.z_score(on(np.array([1.0, 2.0])), on(np.array([0.5, 0.0])), 0.5),
    "chi square": lambda on: stats.chi_square(stats.histogram(on(sample()), EDGES), ndtr),
    "ks": lambda on: stats.ks(on(sample()), phi),
}


@pytest.fixture
def cupy(monkeypatch):
    module = standin.device()
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


def same(a, b):
    if isinstance(a, tuple):
        assert isinstance(b, tuple) and len(a) == len(b)
        for p, q in zip(a, b, strict=True):
            same(p, q)
    else:
        np.testing.assert_array_equal(a, b, strict=True)


@pytest.mark.parametrize("case", CASES)
def test_the_same_on_a_device_without_waiting(case, cupy):
    """Not one operation asks for a value before the documented end."""
    here, there = CASES[case](np.asarray), CASES[case](standin.Array)
    same(host(here), host(there))
    assert cupy.notes and str(here)


def test_a_wait_is_noticed(cupy):
    """Planted: a branch on a value, a mask, an array of the host among those of the device."""
    x = standin.Array([1.0, 2.0])
    with pytest.raises(AssertionError, match="waits for the device"):
        bool((x > 1).any())
    with pytest.raises(AssertionError, match="as its values say"):
        x[x > 1]
    for mixed in (lambda: cupy.stack((x, np.ones(2))), lambda: cupy.where(x > 1, np.ones(2), x)):
        with pytest.raises(TypeError, match="Unsupported type"):
            mixed()
    with pytest.raises(AssertionError, match="CuPy refuses"):
        x + np.ones(2)


def test_results_stay_on_the_device(cupy):
    for case in CASES:
        found = CASES[case](standin.Array)
        parts = [found] if not isinstance(found, tuple) else [y for x in found for y in (x if isinstance(x, tuple) else (x,))]
        for part in parts:
            assert isinstance(part, standin.Array | stats.Moments | stats.Histogram | stats.Goodness)
    assert isinstance(stats.moments(standin.Array([1.0, 2.0])).mean, standin.Array)
    assert isinstance(stats.ks(standin.Array(sample()), phi).statistic, standin.Array)


def test_memory_of_the_device(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", standin.device(free=10_000))
    with pytest.raises(MemoryError, match=r"values: this needs 5.78e-05 GB, and 1e-05 GB are free: give fewer paths"):
        stats.quantiles(standin.Array(sample()), 0.5)


def test_cupy_is_not_imported_for_numpy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # importing it would raise
    for case in CASES:
        CASES[case](np.asarray)


def used(monkeypatch):
    module = standin.device()
    with monkeypatch.context() as m:
        m.setitem(sys.modules, "cupy", module)
        for case in CASES:
            host(CASES[case](standin.Array))
    return module.notes, standin.Array.calls


def test_cupy_has_what_is_called(monkeypatch):
    """Each function under its name, with its number of arguments and its keywords; each method of an array."""
    functions, methods = used(monkeypatch)
    assert len(functions) > 20 and len(methods) > 3
    cupy = pytest.importorskip("cupy")
    for name, arguments, keywords in functions:
        found = cupy
        for part in name.split("."):
            found = getattr(found, part)
        accepts(found, name, arguments, keywords)
    for name, keywords in methods:
        assert callable(getattr(cupy.ndarray, name)) and set(keywords) <= {"axis"}, name
    assert callable(cupy.asnumpy) and callable(cupy.cuda.runtime.memGetInfo)
    assert callable(cupy.get_default_memory_pool) and hasattr(cupy.cuda.MemoryPool, "free_bytes")


def accepts(function, name, arguments, keywords):
    if type(function).__name__ == "ufunc":
        assert arguments == function.nin and not keywords, name
        return
    try:
        signature = inspect.signature(function)
    except ValueError:  # compiled, without one
        assert not keywords, name
        return
    signature.bind(*[None] * arguments, **dict.fromkeys(keywords))
