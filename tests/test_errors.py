"""What a user may get wrong: the error names the argument and the remedy, and comes before anything is compiled."""

import math
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from subject import simulate as subject

import samfast as sf
from samfast import TraceError, observe
from samfast.checks import instance, real_array

BAD: dict[str, list] = {}


def bad(group, name, error, pattern, call):
    """One bad input: (type of the error, pattern that names argument and remedy, the call)."""
    BAD.setdefault(group, []).append(pytest.param(error, pattern, call, id=name))


def cases(group):
    return pytest.mark.parametrize("error, pattern, call", BAD[group])


def fails(error, pattern, call):
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error, f"{type(caught.value).__name__}: {caught.value}"
    message = str(caught.value)
    assert re.search(pattern, message, re.S), message
    assert len(message) < 400, "a message is read, not scrolled"


# --- losses: the mistake is reported where the loss is defined ----------------------------------------------------------
def traced(name, error, pattern, function, dim=2, **params):
    bad("loss", name, error, pattern, lambda: sf.loss(dim, **params)(function))


def named(w, p):
    return p.depth * w[0]


traced("if", TraceError, r"'if'.*cannot look at a value: use samfast\.where", lambda w, p: w[0] if w[0] > 0 else w[1])
traced("and", TraceError, r"'and'.*use samfast\.where\(condition, a, b\)", lambda w, p: w[0] and w[1])
traced("while", TraceError, r"'while'.*use samfast\.where", lambda w, p: next(x for x in w if x > 1))
traced("math", TraceError, r"math\.\* .*need a number.*use samfast\.exp", lambda w, p: math.exp(w[0]))
traced("float", TraceError, r"float\(\) need.*a number.*NumPy's", lambda w, p: float(w[0]))
traced("coordinate", TraceError, r"w\[2\]: the vector has 2 coordinates.*larger dim or a smaller index", lambda w, p: w[2])
traced("item", TraceError, r"no item \[1\]: index the vector \(w\[0\]\)", lambda w, p: w[0][1])
traced("unknown", TraceError, r"p\.depth: loss 'named' has no parameter 'depth' \(it has a\); declare it", named, a=1.0)
traced("vector", TraceError, r"returned a vector, not one number: sum it, e\.g\. samfast\.total", lambda w, p: w * w)
traced("tuple", TraceError, r"returned a vector, not one number: sum it", lambda w, p: (w[0], w[1]))
traced("none", TraceError, r"returned None: end the function with 'return", lambda w, p: None)
traced("text", TraceError, r"cannot use 'x' as one real number.*give a number or a symbol", lambda w, p: "x")
traced("ufunc", TraceError, r"np\.arctan cannot be traced: use one of .*tanh", lambda w, p: np.arctan(w[0]))
traced("function", TraceError, r"np\.cumsum cannot be traced: use .*samfast\.total", lambda w, p: np.cumsum(w))
traced("equal", TraceError, r"'==' .*use samfast\.where with <", lambda w, p: sf.where(w[0] == 0, 1.0, 2.0))
traced("unequal", TraceError, r"'!=' .*use samfast\.where with <", lambda w, p: sf.where(w[0] != 0, 1.0, 2.0))
traced("complex", TraceError, r"1j as one real number.*give a number", lambda w, p: 1j * w[0])
traced("exponent", TraceError, r"2\*\*w has a traced exponent: write exp\(w\*0\.693", lambda w, p: 2 ** w[0])
traced("power", TraceError, r"x\*\*p_a .*exponent must be an integer or a half.*write exp", lambda w, p: w[0] ** p.a, a=2.0)
traced("odd-power", TraceError, r"x\*\*0\.3 .*must be an integer or a half.*write exp", lambda w, p: w[0] ** 0.3)
traced("zero", TraceError, r"division by the constant 0.*guard it with where", lambda w, p: w[0] / 0)
traced("lengths", TraceError, r"lengths 2 and 3 do not combine: give both one length", lambda w, p: sf.dot(w, [1, 2, 3]))
traced("arity-3", TraceError, r"takes 3 arguments: define it as f\(w, p\); .*needs samples=1", lambda w, p, y: w[0])
traced("arity-0", TraceError, r"takes 0 arguments: define it as f\(w, p\)", lambda: 1.0)
traced("arity-4", TraceError, r"takes 4 arguments: define it as f\(w, p\) or f\(w, p, y\)", lambda w, p, y, z: w[0], samples=1)
traced("name-private", ValueError, r"parameter name '_a': use a plain Python name", named, _a=1.0)
traced("name-keyword", ValueError, r"parameter name 'lambda': use a plain Python name", named, **{"lambda": 1.0})
traced("value-nan", ValueError, r"depth=nan: every value must be a finite number, e\.g\.", named, depth=np.nan)
traced("value-text", TypeError, r"depth='x': give a number or a sequence of numbers, e\.g\.", named, depth="x")
traced("dim-0", ValueError, r"dim=0: give the number of coordinates.*e\.g\. dim=2", named, 0)
traced("dim-half", ValueError, r"dim=2\.5: give the number of coordinates", named, 2.5)
traced("samples", ValueError, r"samples=-1: give an integer of at least 0", named, samples=-1)
traced("kind", ValueError, r"kind='cauchy': choose one of 'normal', 'sign', 'bit'", named, kind="cauchy")
traced("no-function", TypeError, r"function=3: give a function of \(w, p\)", 3)
bad(
    "loss",
    "no-call",
    TypeError,
    r"dim=<function.*: give the number of coordinates, e\.g\. @sf\.loss\(dim=2\)",
    lambda: sf.loss(named),
)

quadratic = sf.losses.quadratic([1.0, 2.0])
bad(
    "loss",
    "replace",
    ValueError,
    r"depth: loss 'quadratic' has no such parameter; it has eigenvalue",
    lambda: quadratic.replace(depth=1),
)
bad(
    "loss",
    "replace-length",
    ValueError,
    r"eigenvalue has shape \(3,\): its last axis must have length dim=2",
    lambda: quadratic.replace(eigenvalue=[1, 2, 3]),
)
bad(
    "loss",
    "eigenvalue-per-path",
    TypeError,
    r"eigenvalue: .*one value per coordinate, per_path gives one per path; give",
    lambda: sf.losses.quadratic(sf.per_path([1.0, 2.0])),
)
bad(
    "loss", "per-path-2d", ValueError, r"per_path of shape \(1, 1, 1\): give one value per path", lambda: sf.per_path([[[1.0]]])
)
bad(
    "loss",
    "gradient",
    ValueError,
    r"w has shape \(3,\): the last axis must have length dim=2",
    lambda: quadratic.gradient([1, 2, 3]),
)
bad(
    "loss",
    "no-sample",
    ValueError,
    r"y has shape \(\): loss .* needs its sample, shape \(\.\.\., 1\)",
    lambda: sf.loss(2, samples=1)(lambda w, p, y: w[0] * y[0]).value([1.0, 2.0]),
)
swept = sf.loss(2, a=[1.0, 2.0, 3.0])(lambda w, p: p.a * w[0] + w[1])
tilted = sf.loss(2, a=sf.vector([1.0, 2.0]))(lambda w, p: sf.dot(p.a, w))
for name, pattern, call in [
    ("sweep-at-a-point", r"a has shape \(3,\): .* broadcasts to \(\), that of the points w", lambda: swept.value([1.0, 2.0])),
    (
        "sweep-at-two",
        r"a has shape \(3,\): .* broadcasts to \(2,\), that of the points w",
        lambda: swept.hessian(np.ones((2, 2))),
    ),
    (
        "vectors-and-points",
        r"a has shape \(3, 2\): .* broadcasts to \(4, 2\), that of w",
        lambda: tilted.gradient(np.ones((4, 2)), a=np.ones((3, 2))),
    ),
    (
        "samples-and-points",
        r"y has shape \(3, 1\): .* broadcasts to \(4, 1\), that of the points w",
        lambda: sf.losses.toy_network(batch_size=1).value(np.ones((4, 2)), y=np.ones((3, 1))),
    ),
]:
    bad("loss", name, ValueError, pattern, call)


@cases("loss")
def test_losses(error, pattern, call):
    fails(error, pattern, call)


# --- rules and noise ----------------------------------------------------------------------------------------------------
gd = sf.gd(lr=0.1)
noisy = sf.noisy(gd, sigma=0.1)
for name, error, pattern, call in [
    ("lr-0", ValueError, r"lr=0: give values above 0.*e\.g\. lr=0\.01", lambda: sf.gd(lr=0)),
    ("lr-negative", ValueError, r"lr=-1: give values above 0", lambda: sf.sam(lr=-1, rho=0.1)),
    ("lr-nan", ValueError, r"lr=nan: every value must be a finite number", lambda: sf.gd(lr=np.nan)),
    ("lr-text", TypeError, r"lr='small': give a number or a sequence of numbers, e\.g\. lr=", lambda: sf.gd(lr="small")),
    ("lr-none", TypeError, r"lr=None: give a number or a sequence of numbers", lambda: sf.gd(lr=None)),
    ("lr-one-of", ValueError, r"lr=\[0\.1, 0\]: give values above 0", lambda: sf.gd(lr=[0.1, 0])),
    ("lr-empty", ValueError, r"lr=\[\]: give at least one number", lambda: sf.gd(lr=[])),
    ("rho-negative", ValueError, r"rho=-0\.1: give values of at least 0.*e\.g\. rho=0\.05", lambda: sf.sam(lr=0.1, rho=-0.1)),
    ("rho-infinite", ValueError, r"rho=inf: every value must be a finite number", lambda: sf.sam(lr=0.1, rho=np.inf)),
    ("momentum-1", ValueError, r"momentum=1: give values below 1.*e\.g\. momentum=0\.9", lambda: sf.gd(lr=0.1, momentum=1)),
    ("dampening-1", ValueError, r"dampening=1: give values below 1", lambda: sf.gd(lr=0.1, momentum=0.9, dampening=1)),
    (
        "dampening-alone",
        ValueError,
        r"dampening=0\.5: it belongs to momentum; give momentum=",
        lambda: sf.gd(lr=0.1, dampening=0.5),
    ),
    ("drift", ValueError, r"drift='none': choose one of 'plain', 'chain'", lambda: sf.sam(lr=0.1, rho=0.1, drift="none")),
    ("epsilon", ValueError, r"epsilon=1e-12: it belongs to normalize=True", lambda: sf.sam(lr=0.1, rho=0.1, epsilon=1e-12)),
    ("epsilon-0", ValueError, r"epsilon=0: give values above 0", lambda: sf.sam(lr=0.1, rho=0.1, normalize=True, epsilon=0)),
    (
        "critical",
        ValueError,
        r"at_critical='raise' belongs to normalize=True",
        lambda: sf.sam(lr=0.1, rho=0.1, at_critical="raise"),
    ),
    (
        "critical-chain",
        ValueError,
        r"at_critical='raise' needs drift='plain'; leave one",
        lambda: sf.sam(lr=0.1, rho=0.1, normalize=True, drift="chain", at_critical="raise"),
    ),
    (
        "momentum-twice",
        ValueError,
        r"heavy_ball of rule 'gd_heavy': it needs a rule .*without momentum.*make one by sf\.gd",
        lambda: sf.heavy_ball(sf.gd(lr=0.1, momentum=0.5), momentum=0.5),
    ),
    (
        "momentum-after-noise",
        ValueError,
        r"heavy_ball of .*and add noise afterwards",
        lambda: sf.heavy_ball(noisy, momentum=0.5),
    ),
    (
        "noise-twice",
        ValueError,
        r"noisy of .*it has noise already; start from a rule without",
        lambda: sf.noisy(noisy, sigma=1),
    ),
    ("diffusion-noise", ValueError, r"diffusion of .*it needs a rule without noise", lambda: sf.diffusion(noisy, sigma=1)),
    ("direction", TypeError, r"direction=3: give a function direction\(w, grad, p\)", lambda: sf.rule("mine", 3, lr=0.1)),
    (
        "direction-number",
        TraceError,
        r"direction: it returned .*not a vector; follow grad\(w\)",
        lambda: sf.rule("mine", lambda w, grad, p: grad.value(w), lr=0.1),
    ),
    (
        "direction-parameter",
        TraceError,
        r"p\.ahead: the rule has no parameter 'ahead' \(it has lr, step_count\).*sf\.rule\(\.\.\., ahead",
        lambda: sf.rule("mine", lambda w, grad, p: p.ahead * grad(w), lr=0.1),
    ),
    ("replace", ValueError, r"rho: rule 'gd' has no such parameter; it has lr", lambda: gd.replace(rho=1)),
    (
        "both",
        ValueError,
        r"sigma=1, batch_size=2: give one of them, e\.g\. sigma=0\.1",
        lambda: sf.noisy(gd, sigma=1, batch_size=2),
    ),
    ("neither", ValueError, r"sigma=None, batch_size=None: give one of them", lambda: sf.diffusion(gd)),
    ("sigma-negative", ValueError, r"sigma=-1: give values of at least 0", lambda: sf.noisy(gd, sigma=-1)),
    ("batch-0", ValueError, r"batch_size=0: give values above 0.*e\.g\. batch_size=64", lambda: sf.noisy(gd, batch_size=0)),
    ("noise-kind", ValueError, r"kind='bit': choose one of 'normal', 'sign'", lambda: sf.noisy(gd, sigma=1, kind="bit")),
    (
        "minibatch",
        ValueError,
        r"minibatch='both': choose one of 'descent', 'same'",
        lambda: sf.noisy(gd, sigma=1, minibatch="both"),
    ),
    (
        "scheme",
        ValueError,
        r"scheme='midpoint': choose one of 'explicit', 'symplectic'",
        lambda: sf.diffusion(gd, sigma=1, scheme="midpoint"),
    ),
    ("dt", ValueError, r"dt=0: give values above 0.*e\.g\. dt=0\.001", lambda: sf.diffusion(gd, sigma=1, dt=0)),
    (
        "several-twice",
        ValueError,
        r"several\(\): two observers record the same name in msd, msd; leave one of them out",
        lambda: observe.several(observe.msd(), observe.msd()),
    ),
    ("several-none", ValueError, r"several\(\): give at least one observer, e\.g\.", lambda: observe.several()),
    ("several-function", TypeError, r"several\(\): give observers, e\.g\.", lambda: observe.several(observe.msd)),
    (
        "several-disagree",
        ValueError,
        r"several\(\): observers disagree about parameter 'level'; rename it",
        lambda: observe.several(
            observe.escape(level=1.0), observe.Observer("mine", lambda s: [s.w], ("x",), params={"level": 2.0})
        ),
    ),
    ("radius", ValueError, r"radius=0: give values above 0.*e\.g\. radius=1", lambda: observe.exit_time(radius=0)),
    ("level", TypeError, r"level='high': give a number", lambda: observe.escape(level="high")),
]:
    bad("rule", name, error, pattern, call)


@cases("rule")
def test_rules_noise_and_observers(error, pattern, call):
    fails(error, pattern, call)


# --- simulate -----------------------------------------------------------------------------------------------------------
def loss_with(name):
    return sf.loss(dim=2, **{name: 1.0})(lambda w, p: getattr(p, name) * w[0] ** 2)


def simulated(name, error, pattern, loss=quadratic, rule=gd, start=(1.0, 1.0), record=(10,), **options):
    bad("simulate", name, error, pattern, lambda: sf.simulate(loss, rule, start, record=record, **options))


Observer = observe.Observer
simulated("record-descends", ValueError, r"record=\[3, 2\]: .*must ascend without repeats", record=[3, 2])
simulated("record-repeats", ValueError, r"record=\[1, 1\]: .*must ascend without repeats", record=[1, 1])
simulated("record-negative", ValueError, r"record=\[-1, 5\]: the first update count must be at least 0", record=[-1, 5])
simulated("record-half", ValueError, r"record=\[1\.5\]: give update counts, whole numbers", record=[1.5])
simulated("record-nan", ValueError, r"record=\[nan\]: give update counts, whole numbers", record=[math.nan])
simulated("record-empty", ValueError, r"record=\[\]: give update counts.*e\.g\. record=\[0, 100, 1000\]", record=[])
simulated("record-text", ValueError, r"record=\['1', '2'\]: give update counts", record=["1", "2"])
simulated("record-none", ValueError, r"record=None: give update counts", record=None)
simulated("record-2d", ValueError, r"record=\[\[1, 2\]\]: give update counts", record=[[1, 2]])
simulated("record-huge-list", ValueError, r"record=\[999, 998.*must ascend", record=list(range(1000))[::-1])
simulated(
    "record-far",
    ValueError,
    r"record=1099511627776: one path draws at most .* steps; use another seed",
    rule=noisy,
    record=[2**40],
)
simulated("paths-0", ValueError, r"paths=0: give at least 1, e\.g\. paths=10_000", paths=0)
simulated("paths-half", TypeError, r"paths=2\.5: give an integer, e\.g\. paths=10_000", paths=2.5)
simulated("paths-text", TypeError, r"paths='9': give an integer", paths="9")
simulated(
    "start-length", ValueError, r"start has shape \(3,\): the loss has dimension 2, so give shape \(2,\)", start=[1, 2, 3]
)
simulated(
    "start-3d", ValueError, r"start has shape \(1, 2, 2\): .*give shape \(2,\), or \(paths, 2\)", start=np.zeros((1, 2, 2))
)
simulated("start-no-path", ValueError, r"start has shape \(0, 2\): .*give shape", start=np.zeros((0, 2)))
simulated("start-nan", ValueError, r"start holds a value that is not a finite number: remove it", start=[1.0, math.nan])
simulated("start-text", TypeError, r"start='origin': give numbers of shape", start="origin")
simulated("start-complex", TypeError, r"start=\[1j, 0\]: give numbers of shape", start=[1j, 0])
simulated(
    "start-paths",
    ValueError,
    r"paths=5: .*start has 3; give them 5 entries, or leave paths out",
    start=np.zeros((3, 2)),
    paths=5,
)
simulated("seed-negative", ValueError, r"seed=-1: give at least 0, e\.g\. seed=42", seed=-1)
simulated("seed-half", TypeError, r"seed=1\.5: give an integer, e\.g\. seed=42", seed=1.5)
simulated("seed-large", ValueError, r"seed=18446744073709551616: give an integer below 2\*\*64", seed=2**64)
simulated("dtype", ValueError, r"dtype='float16': choose one of 'mixed', 'float32', 'float64'", dtype="float16")
simulated("device", ValueError, r"device='tpu': choose one of 'cpu', 'cuda', 'auto'", device="tpu")
simulated("moments-7", ValueError, r"moments=7: give at most 4", moments=7)
simulated("moments-0", ValueError, r"moments=0: give at least 1, e\.g\. moments=2", moments=0)
simulated("policy", ValueError, r"on_divergence='ignore': choose one of 'mask', 'raise', 'keep'", on_divergence="ignore")
simulated("clash", ValueError, r"parameter 'lr' belongs to loss .* and to rule 'gd': rename one", loss=loss_with("lr"))
simulated(
    "clash-observer",
    ValueError,
    r"parameter 'level' belongs to loss .* and to observer 'escape': rename one",
    loss=loss_with("level"),
    observe=observe.escape(level=1.0),
)
simulated("reserved-origin", ValueError, r"parameter name 'origin' is samfast's own: rename it", loss=loss_with("origin"))
simulated("reserved-count", ValueError, r"parameter name 'step_count' is samfast's own: rename", loss=loss_with("step_count"))
simulated(
    "sweep",
    ValueError,
    r"sweep: the shapes do not fit together: lr \(2,\), rho \(3,\); give numbers, arrays of one shape, or a grid",
    rule=sf.sam(lr=[0.1, 0.2], rho=[0.1, 0.2, 0.3]),
)
simulated(
    "sigma-length",
    ValueError,
    r"sigma has shape \(3,\): .*so give it length dim=2",
    rule=sf.noisy(gd, sigma=sf.vector([1, 2, 3])),
)
simulated(
    "per-path",
    ValueError,
    r"paths=3: .*lr has 2; give them 3 entries, or leave paths out",
    rule=sf.gd(lr=sf.per_path([0.1, 0.2])),
    paths=3,
)
simulated(
    "per-path-two",
    ValueError,
    r"paths: .*lr has 2, rho has 3; give them one length",
    rule=sf.sam(lr=sf.per_path([0.1, 0.2]), rho=sf.per_path([0.1, 0.2, 0.3])),
)
simulated(
    "per-path-observer",
    ValueError,
    r"level: a parameter of observer 'escape' is the same for all paths; give a number",
    observe=observe.escape(level=sf.per_path([1.0])),
)
simulated(
    "per-path-vector",
    ValueError,
    r"eigenvalue: it has one value per coordinate, per_path gives one per path; give per_path",
    loss=quadratic.replace(eigenvalue=sf.per_path([1.0, 2.0])),
)
bad("simulate", "replaced-nan", ValueError, r"lr=nan: every value must be a finite number", lambda: gd.replace(lr=math.nan))
bad("simulate", "replaced-text", TypeError, r"lr='small': give a number", lambda: gd.replace(lr="small"))
bad("simulate", "replaced-bound", ValueError, r"lr=-1: give values above 0", lambda: gd.replace(lr=-1))
simulated("loss", TypeError, r"loss=<function .*: give a Loss, e\.g\. sf\.losses\.beale\(\)", loss=lambda w, p: w[0])
simulated("rule", TypeError, r"rule=<function gd.*: give a Rule, e\.g\. sf\.sam", rule=sf.gd)
simulated("observer", TypeError, r"observe=<function msd.*: give an Observer, e\.g\. sf\.observe\.msd\(\)", observe=observe.msd)
simulated("executor", TypeError, r"executor=4: give a concurrent\.futures executor, e\.g\. ThreadPoolExecutor", executor=4)
simulated("executor-class", TypeError, r"executor=<class .*: give a concurrent\.futures executor", executor=ThreadPoolExecutor)
simulated("progress", TypeError, r"progress='yes': give True for a bar, or a function", progress="yes")
simulated(
    "batch-on-beale",
    ValueError,
    r"batch_size=64: .*needs a loss with a parameter 'eigenvalue'.*give sigma= instead",
    loss=sf.losses.beale(),
    rule=sf.noisy(gd, batch_size=64),
)
simulated(
    "labels",
    TraceError,
    r"observer 'mine': features returned 1 values for 2 labels; give one label for each",
    observe=Observer("mine", lambda s: [s.w[0]], ("a", "b")),
)
simulated(
    "watch",
    TraceError,
    r"observer 'mine': watch returned a vector where one number is needed",
    observe=Observer("mine", lambda s: [s.m[0]], ("a",), (0.0,), lambda s: [s.w]),
)
simulated(
    "watch-count",
    TraceError,
    r"observer 'mine': watch must return 1 numbers, one for each of memory",
    observe=Observer("mine", lambda s: [s.m[0]], ("a",), (0.0,), lambda s: []),
)
simulated(
    "random-loss",
    TraceError,
    r"observer 'loss' looks at the loss .*random samples: observe the mean loss",
    loss=sf.loss(2, samples=1)(lambda w, p, y: w[0] * y[0]),
    observe=observe.loss_value(),
)


@cases("simulate")
def test_simulate(error, pattern, call, tmp_path, monkeypatch):
    """Nothing is compiled or written first: the cache directory is not even made."""
    monkeypatch.setenv("SAMFAST_CACHE_DIR", str(tmp_path / "cache"))
    fails(error, pattern, call)
    assert not list(tmp_path.iterdir())


def test_memory_is_refused_before_compiling(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMFAST_CACHE_DIR", str(tmp_path / "cache"))
    fails(
        MemoryError,
        r"memory: this run needs .* GB for values.*record fewer times or paths, or give values=False",
        lambda: sf.simulate(quadratic, gd, [1.0, 1.0], record=range(10**6), paths=10**9, values=True),
    )
    assert not list(tmp_path.iterdir())


# --- resume and replay --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "error, pattern, call",
    [
        (
            ValueError,
            r"state: this run kept none and cannot be resumed; give state=True",
            lambda: sf.resume(subject(options={"state": False}), record=[50]),
        ),
        (
            ValueError,
            r"record=\[20\]: the first update count must be above 40, where the run ended",
            lambda: sf.resume(subject(), record=[20]),
        ),
        (ValueError, r"record=\[40, 50\]: the first .*above 40", lambda: sf.resume(subject(), record=[40, 50])),
        (ValueError, r"record: give update counts beyond 40, e\.g\. record=\[80\]", lambda: sf.resume(subject())),
        (ValueError, r"record: give update counts beyond 0, e\.g\. record=\[2\]", lambda: sf.resume(subject(record=0))),
        (TypeError, r"run=3: give the result of simulate", lambda: sf.resume(3, record=[1])),
        (TypeError, r"executor=4: give a concurrent", lambda: sf.resume(subject(), record=[50], executor=4)),
        (ValueError, r"path=200: choose one of this run's paths, 0 to 199", lambda: subject().replay(200)),
        (ValueError, r"path=-1: give at least 0", lambda: subject().replay(-1)),
        (TypeError, r"path=1\.5: give an integer", lambda: subject().replay(1.5)),
        (ValueError, r"record=\[-3\]: the first update count must be at least 0", lambda: subject().replay(0, [-3])),
    ],
    ids=[
        "no-state",
        "backwards",
        "overlap",
        "no-record",
        "no-record-0",
        "no-run",
        "executor",
        "path-beyond",
        "path-negative",
        "path-half",
        "replay-record",
    ],
)
def test_resume_and_replay(error, pattern, call):
    fails(error, pattern, call)


def test_whole_numbers_may_be_floats():
    assert subject(paths=200.0, options={"seed": 0.0}).paths == 200
    assert subject().replay(np.float64(7), [40]).values.shape == (1, 1, 2)
    assert subject(moments=4.0).sums.shape == (3, 2, 4)


def test_there_are_many():
    assert sum(map(len, BAD.values())) > 100


PRINTED = []


class Printed(np.ndarray):
    def __repr__(self):
        PRINTED.append(self)
        return "an array"


def test_good_values_are_not_printed():
    """A message is written for a bad value only; printing an array takes longer than most closed forms."""
    value = np.linspace(0.1, 0.4, 9).view(Printed)
    assert real_array("lr", value).shape == instance("lr", value, np.ndarray, "give an array").shape == (9,)
    assert sf.theory.theorem2(value, eigenvalue=-1.0, lr=value).shape == (9,)
    assert not PRINTED
