"""Odd arguments at the public face: a clear error in one line, or a result; never a hang, never an error from the depths."""

import inspect
import linecache
import math
import time
import typing
import warnings
from fractions import Fraction
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import samfast as sf
from samfast import observe, stats, theory
from samfast.simulation.job import check_size
from samfast.simulation.prepare import prepared_job
from samfast.simulation.run import complete

BOWL, GD, X = sf.losses.quadratic([1.0, 2.0]), sf.gd(lr=0.1), np.arange(12.0).reshape(3, 4)
CLEAR = (ValueError, TypeError, KeyError, MemoryError, OSError, sf.TraceError, sf.NoGpuError)

HANGS = {
    "dim": lambda: sf.loss(dim=10**30)(lambda w, p: 0.0),
    "dim of a million": lambda: sf.loss(dim=10**6)(lambda w, p: 0.0),
    "samples": lambda: sf.loss(dim=2, samples=2**63)(lambda w, p, y: 0.0),
    "batch_size": lambda: sf.losses.toy_network(batch_size=1e300),
    "order": lambda: stats.moments([1.0, 2.0], order=10**9),
    "order of chunks": lambda: stats.accumulate([[1.0]], order=2**62),
    "starts": lambda: BOWL.critical_points([(-1, 1), (-1, 1)], starts=10**12),
    "shape": lambda: sf.eigenvalue_map(BOWL, [(-1, 1), (-1, 1)], shape=(10**6, 10**6)),
    "points": lambda: sf.Flow(BOWL, GD).trajectory([1.0, 0.0], 1.0, points=10**12),
    "dim of an extreme": lambda: observe.running_max(observe.position(), dim=2**63),
}


@pytest.mark.parametrize("name", HANGS)
def test_what_would_take_for_ever_is_refused(name):
    begun = time.perf_counter()
    with pytest.raises(ValueError, match=r"give at most|at most [0-9,]+ in all"):
        HANGS[name]()
    assert time.perf_counter() - begun < 20, "far less: the clock of a busy machine"


WRONG = {
    "ragged": [[1.0, 2.0], [3.0]],
    "masked": np.ma.masked_array([1.0, 2.0], [True, False]),
    "string": "1.5",
    "strings": ["1", "2"],
    "truth": True,
    "truths": [True, False],
    "complex": 1j,
    "date": np.datetime64("2020-01-01"),
    "objects": np.array([object(), None], object),
    "dict": {"a": 1},
    "none": None,
    "set": {1.0},
    "class": float,
}
NUMBERS = {
    "lr": lambda x: sf.gd(lr=x),
    "rho": lambda x: sf.sam(lr=0.1, rho=x),
    "momentum": lambda x: sf.heavy_ball(GD, momentum=x),
    "sigma": lambda x: sf.noisy(GD, sigma=x) if x is not None else sf.vector(x),
    "parameter": lambda x: sf.loss(2, a=x)(lambda w, p: p.a * w[0]),
    "replace": lambda x: GD.replace(lr=x),
    "vector": lambda x: sf.vector(x),
    "per_path": lambda x: sf.per_path(x),
    "eigenvalue": lambda x: sf.losses.quadratic(x),
    "value": lambda x: BOWL.value(x),
    "gradient": lambda x: BOWL.gradient(x),
    "start": lambda x: sf.simulate(BOWL, GD, x, record=[1]),
    "start of a search": lambda x: BOWL.critical_point(x),
    "box": lambda x: BOWL.critical_points(x),
    "flow": lambda x: sf.Flow(BOWL, GD)(x),
    "radius": lambda x: observe.exit_time(radius=x),
    "point": lambda x: observe.distance(x),
    "saddle": lambda x: sf.cases([[1.0, 2.0]], [[1.0, 2.0]], lambda w: w[0], x, near=0.1),
    "values": lambda x: stats.moments(x),
    "edges": lambda x: stats.histogram(X, x),
}


@pytest.mark.parametrize("argument", NUMBERS)
def test_what_is_no_number_is_refused(argument):
    for kind, value in WRONG.items():
        if argument == "values" and kind == "truths":
            continue  # an array of truth values is a share
        with pytest.raises((ValueError, TypeError)) as caught:
            NUMBERS[argument](value)
        text = str(caught.value)
        assert "\n" not in text and len(text) < 400 and ("give" in text or "fill" in text), (kind, text)


FLAGS = {
    "normalize": lambda x: sf.sam(lr=0.1, rho=0.1, normalize=x),
    "dampen_first": lambda x: sf.gd(lr=0.1, momentum=0.9, dampen_first=x),
    "values": lambda x: sf.simulate(BOWL, GD, [1.0, 0.0], record=[1], values=x),
    "state": lambda x: sf.simulate(BOWL, GD, [1.0, 0.0], record=[1], state=x),
    "shared_noise": lambda x: sf.simulate(BOWL, GD, [1.0, 0.0], record=[1], shared_noise=x),
}


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("value", ["no", np.array([True, False]), 3, None, [], math.nan], ids=str)
def test_a_flag_is_true_or_false(name, value):
    with pytest.raises(TypeError, match=f"{name}=.*: give True or False"):
        FLAGS[name](value)


RULES = {
    "heavy_ball": lambda x: sf.heavy_ball(x, momentum=0.9),
    "noisy": lambda x: sf.noisy(x, sigma=0.1),
    "diffusion": lambda x: sf.diffusion(x, sigma=0.1),
    "sampled": lambda x: sf.sampled(x, sf.losses.toy_network(batch_size=1)),
    "basins": lambda x: sf.basins(BOWL, x, [(-1, 1), (-1, 1)], shape=(2, 2)),
    "paired": lambda x: sf.paired(GD, x),
    "simulate": lambda x: sf.simulate(BOWL, x, [0.0, 0.0], record=[1]),
    "Flow": lambda x: sf.Flow(BOWL, x),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("value", [None, 3, "sam", sf.gd, BOWL, [GD]], ids=["None", "3", "word", "factory", "loss", "list"])
def test_a_rule_is_a_rule(name, value):
    with pytest.raises(TypeError, match=r"(base|rule|second)=.*give (a|one|Rule)|it has no direction; give one"):
        RULES[name](value)


@pytest.mark.parametrize("name", ["order", "axis", "minibatch", "kind", "of"])
@pytest.mark.parametrize("value", [math.nan, None, [1], "9", np.array(["a"]), True], ids=str)
def test_whole_numbers_and_words(name, value):
    calls = {
        "order": lambda: stats.moments(X, value),
        "axis": lambda: stats.moments(X, axis=value),
        "minibatch": lambda: sf.noisy(GD, sigma=0.1, minibatch=value),
        "kind": lambda: sf.noisy(GD, sigma=0.1, kind=value),
        "of": lambda: stats.standard_error(X, of=value),
    }
    if name == "axis" and value is True:
        pytest.skip("Python's own axis True is 1")
    with pytest.raises((ValueError, TypeError), match=f"{name}=.*: (give an integer|choose one of)"):
        calls[name]()


def test_numbers_of_every_kind_are_numbers():
    """What is accepted: integers of any size that float64 holds, fractions, NumPy's numbers, negative zero."""
    for value in (1, 10**20, Fraction(1, 3), np.float32(0.5), np.int8(3), np.array(2.0), [1, Fraction(1, 2)]):
        assert np.isfinite(np.asarray(sf.gd(lr=value).params["lr"], float)).all()
    assert sf.sam(lr=0.1, rho=-0.0).params["rho"] == 0.0


# --- whatever a signature asks for, something else ------------------------------------------------------------------------
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=4), st.complex_numbers(),
    st.lists(st.one_of(st.floats(), st.text(max_size=2), st.lists(st.floats(), max_size=2)), max_size=3),
    st.sampled_from([*WRONG.values(), np.zeros((2, 0)), np.inf, -0.0, object(), print, GD, BOWL, b"x", range(3)]),
)  # fmt: skip
GOOD = {
    "loss": (2,), "rule": ("mine", lambda w, grad, p: grad(w)), "heavy_ball": (GD,), "noisy": (GD,), "diffusion": (GD,),
    "sampled": (GD, sf.losses.toy_network(batch_size=1)), "paired": (GD, GD), "critical_point": (BOWL, [0.5, 0.5]),
    "sharpness": (BOWL, [0.5, 0.5]), "eigenvalue_map": (BOWL, [(-1, 1), (-1, 1)]), "per_path": ([1.0],), "vector": ([1.0],),
    "matrix": ([[1.0]],), "cases": ([[1.0, 2.0]], [[1.0, 2.0]], lambda w: w[0], [0.0, 0.0]),
}  # fmt: skip
NAMED = {
    "rule": {"lr": 0.1}, "heavy_ball": {"momentum": 0.9}, "gd": {"lr": 0.1}, "sam": {"lr": 0.1, "rho": 0.1},
    "noisy": {"sigma": 0.1}, "diffusion": {"sigma": 0.1}, "eigenvalue_map": {"shape": (3, 3)}, "cases": {"near": 0.1},
}  # fmt: skip
FUNCTIONS = {
    **{name: getattr(sf, name) for name in (*GOOD, "gd", "sam")},
    **{f"losses.{n}": getattr(sf.losses, n) for n in ("quadratic", "toy_network")},
    **{f"observe.{n}": getattr(observe, n) for n in ("distance", "escape", "exit_time", "running_max", "first", "side")},
    **{f"stats.{n}": getattr(stats, n) for n in ("moments", "msd", "covariance", "quantiles", "histogram", "survival")},
}
GOOD |= {
    "losses.quadratic": ([1.0],), "observe.distance": ([1.0],), "observe.running_max": (observe.loss_value(),),
    "observe.first": (lambda s: s.w[0] > 0,), "observe.side": (lambda w: w[0],), "stats.moments": (X,), "stats.msd": (X,),
    "stats.covariance": (X,), "stats.quantiles": (X, [0.5]), "stats.histogram": (X, [0.0, 1.0]), "stats.survival": (X, [1.0]),
}  # fmt: skip
NAMED |= {"observe.escape": {"level": 1.0}, "observe.exit_time": {"radius": 1.0}, "stats.survival": {"last": 5.0}}


THEORY = {n: f for n in theory.__all__ if callable(f := getattr(theory, n)) and not isinstance(f, type)}
ANY = {
    "eigenvalue": 1.0, "eigenvalues": [1.0, 0.5], "rho": 0.1, "lr": 0.1, "batch_size": 4, "time": 1.0, "steps": 3, "paths": 100,
    "w": [1.0, 0.5], "u": [1.0, 0.5], "v": [1.0, 0.5], "hessian": [[1.0, 0.0], [0.0, 2.0]], "variances": [1.0, 2.0],
    "eigenvectors": [[1.0, 0.0], [0.0, 1.0]],
}  # fmt: skip
FUNCTIONS |= {f"theory.{n}": f for n, f in THEORY.items()}
for name, function in THEORY.items():
    need = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty and p.kind != p.VAR_KEYWORD]
    GOOD[f"theory.{name}"] = tuple(ANY.get(p.name, 0.5) for p in need if p.kind == p.POSITIONAL_OR_KEYWORD)
    NAMED[f"theory.{name}"] = {p.name: ANY.get(p.name, 0.5) for p in need if p.kind == p.KEYWORD_ONLY}

# what simulates: each call ends, at the latest, where the first path would begin
RUN = complete(
    prepared_job(BOWL, GD, np.array([1.0, 0.5]), device="plain", values=True), np.array([0, 2]), None, None, None, {}
)
SIMULATE = {
    **{name: getattr(sf, name) for name in ("simulate", "resume", "msd", "paired_msd", "exit_times", "gaussian_chain")},
    **{f"run.{name}": getattr(RUN, name) for name in ("final", "index", "central", "replay", "merge")},
    "cache.prune": sf.cache.prune,
    "Study.load": sf.Study.load,
    "Comparison.load": sf.Comparison.load,
}
FUNCTIONS |= SIMULATE
GOOD |= {
    "simulate": (BOWL, GD, [1.0, 0.5]), "resume": (RUN,), "gaussian_chain": (np.full((2, 1, 1), 0.5), np.full((2, 1, 1), 0.5)),
    "run.index": ("w0",), "run.central": (2,), "run.replay": (0,), "run.merge": (RUN,), "Study.load": ("no/where",),
    "Comparison.load": ("no/where",),
}  # fmt: skip
NAMED |= {"simulate": {"record": [2]}, "resume": {"record": [5]}, "exit_times": {"limit": 0.01}, "gaussian_chain": {"paths": 2}}

# whatever else is public: by its name, with arguments that are good
LOSS = sf.loss(2, a=1.0)(lambda w, p: p.a * w[0] ** 2 + w[1] ** 2)
TIMES, NOISY = np.array([0.1, 0.5]), sf.noisy(GD, sigma=0.1)
SMALL = {"lr": 0.1, "times": TIMES, "paths": 4}
MADE = {
    "Run": RUN, "Study": sf.msd(rho=[0.0, 0.5], **SMALL), "Comparison": sf.paired_msd(rho=[0.1, 0.5], **SMALL), "Loss": LOSS,
    "Rule": GD, "Flow": sf.Flow(BOWL, GD), "Moments": stats.moments(X, 4), "Histogram": stats.histogram(X, [0.0, 5.0, 12.0]),
}  # fmt: skip
BOX = [(-1.0, 1.0), (-1.0, 1.0)]
REST: dict[str, tuple[tuple, dict]] = {
    "Run.to_pandas": ((), {}), "Run.plot": ((), {}), "Run.save": (("a.nc",), {"overwrite": True}), "Run.load": (("no.nc",), {}),
    "Run.more": ((), {"paths": 5}),
    "Study.plot": ((), {}), "Study.save": (("a",), {"overwrite": True}), "Study.to_pandas": ((), {}),
    "Study.more": ((), {"paths": 9}),
    "Comparison.plot": ((), {}), "Comparison.save": (("b",), {"overwrite": True}), "Comparison.to_pandas": ((), {}),
    "Loss.value": (([1.0, 0.5],), {}), "Loss.gradient": (([1.0, 0.5],), {}), "Loss.hessian": (([1.0, 0.5],), {}),
    "Loss.third": (([1.0, 0.5],), {}), "Loss.replace": ((), {"a": 2.0}), "Loss.critical_point": (([1.0, 0.5],), {}),
    "Loss.critical_points": ((BOX,), {"starts": 2}), "Rule.replace": ((), {"lr": 0.2}),
    "Flow.jacobian": (([1.0, 0.5],), {}), "Flow.field": ((BOX,), {"shape": (2, 2)}), "Flow.trajectory": (([1.0, 0.5], 0.1), {}),
    "Flow.manifold": (([0.0, 0.0], "stable"), {"box": BOX}), "Flow.plot": ((BOX,), {"shape": (2, 2), "starts": 2}),
    "Moments.central": ((2,), {}), "Moments.about": ((np.zeros((3, 1)),), {}),
    "Flow": ((BOWL, GD), {}), "load": (("no.nc",), {}), "basins": ((BOWL, GD, BOX), {"shape": (2, 2), "steps": 3}),
    "critical_points": ((BOWL, BOX), {"starts": 2}), "derivative": ((lambda w: w[0],), {}), "gpus": ((), {}),
    "scalar": ((1.0,), {}), "density": ((LOSS, NOISY, [0.5, 0.5]), {"times": [0.1], "grid": [(-1.0, 1.0, 8), (-1.0, 1.0, 8)]}),
    "outcomes": ((BOWL, GD, [1.0, 0.5]), {"steps": 3, "paths": 4, "box": BOX}),
    "theory.theorem1": (([1.0, -1.0],), {"rho": 0.1}),
    "stats.accumulate": (([X, X],), {}),
    "stats.chi_square": ((stats.histogram(X, [-1.0, 5.5, 12.0]), lambda e: (e + 1) / 13), {}),
    "stats.fits": ((10.0,), {}), "stats.ks": ((X, lambda x: x / 12), {}), "stats.mean_interval": ((X,), {}),
    "stats.merge": (([MADE["Moments"], MADE["Moments"]],), {}), "stats.paired_difference": ((X, X + 1), {}),
    "stats.standard_error": ((X,), {}), "stats.variance_interval": ((X,), {}), "stats.z_score": ((1.0, 0.1, 1.1), {}),
    **{f"losses.{n}": ((), {}) for n in ("saddle", "beale", "ravine", "double_well")},
    **{f"observe.{n}": ((), {}) for n in ("position", "displacement", "msd", "loss_value", "gradient_norm", "paired_msd")},
    "observe.perturbed": ((sf.sam(lr=0.1, rho=0.1),), {}), "observe.cosine": ((sf.sam(lr=0.1, rho=0.1),), {}),
    "observe.running_min": ((observe.loss_value(),), {}), "observe.several": ((observe.loss_value(), observe.position()), {}),
    "cache.clear": ((), {}), "cache.directory": ((), {}), "cache.entries": ((), {}),
    "reproduce.get": (("kim-fig1",), {}), "reproduce.done": (("kim-fig1", "no"), {}), "reproduce.index": (("no",), {}),
    "reproduce.names": ((), {}),
}  # fmt: skip
for name, (places, named) in REST.items():
    owner, _, method = name.rpartition(".")
    FUNCTIONS[name] = getattr(MADE.get(owner) or getattr(sf, owner, sf) if owner else sf, method)
    GOOD[name], NAMED[name] = places, named


class BegunError(Exception):
    """The arguments were good, and a simulation would begin now."""


@pytest.fixture(autouse=True, scope="module")
def nothing_runs(tmp_path_factory):
    def begin(*_, **__):
        raise BegunError

    def ready(job, record, executor=None):
        check_size(job, record, executor)
        raise BegunError

    with pytest.MonkeyPatch.context() as patch:
        for module in ("simulate", "gaussian_chain"):
            patch.setattr(f"samfast.simulation.{module}.ready", ready)
        for module in ("simulate", "run"):
            patch.setattr(f"samfast.simulation.{module}.complete", begin)
        patch.setattr("samfast.theory.em_exit_time", lambda *_, **__: 1.0)  # of exit_times: seconds for narrow steps
        patch.setattr("samfast.study.exits.NARROW", 1.0)
        patch.setenv("SAMFAST_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.chdir(tmp_path_factory.mktemp("written"))
        yield


def attempt(name, parameter, value):
    """One call with one argument replaced; anything but a clear error in one line, or a result, is raised."""
    function, named = FUNCTIONS[name], dict(NAMED.get(name, {}))
    places = [p.name for p in inspect.signature(function).parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
    positional = list(GOOD.get(name, ()))
    if parameter in places and places.index(parameter) < len(positional):
        positional[places.index(parameter)] = value
    else:
        named[parameter] = value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            made = function(*positional, **named)
            if name == "loss":
                made(lambda w, p, y=0: 0.0 * w[0])
    except BegunError:
        pass
    except CLEAR as error:
        frame = error.__traceback__
        while frame.tb_next is not None:
            frame = frame.tb_next
        file, text = frame.tb_frame.f_code.co_filename, str(error)
        raised = linecache.getline(file, frame.tb_lineno)
        ours = "samfast" in Path(file).parts and ("raise " in raised or raised.strip().startswith("raise"))
        assert ours, f"{name}({parameter}={value!r}) failed in {file}:{frame.tb_lineno}: {error!r}"
        assert "\n" not in text and len(text) < 500, f"{name}({parameter}={value!r}): {text}"


def asked():
    """(function, parameter) of every public signature above; a parameter that takes any name is one too."""
    for name, function in FUNCTIONS.items():
        assert typing.get_origin(function) is None
        for p in inspect.signature(function).parameters.values():
            if p.kind != p.VAR_POSITIONAL:
                yield name, "extra" if p.kind == p.VAR_KEYWORD else p.name


CALLS = list(asked())


@settings(max_examples=2000, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(CALLS), ODD)
def test_odd_arguments(call, value):
    attempt(*call, value)


def test_wrong_kinds_for_every_argument_of_what_simulates():
    """The table of wrong kinds, and sizes without end, for every argument of every function that is no plain formula."""
    odd = [*WRONG.values(), math.nan, 1e300, 10**30, 2**63, [], np.zeros((2, 0)), np.ones((1, 2, 3)), BOWL, GD, print, b"x"]
    for name, parameter in CALLS:
        if name in SIMULATE:
            for value in odd:
                attempt(name, parameter, value)


@pytest.mark.slow
@settings(max_examples=20_000, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(st.sampled_from(CALLS), ODD)
def test_more_odd_arguments(call, value):
    attempt(*call, value)
