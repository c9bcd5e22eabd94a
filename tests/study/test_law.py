"""The law-exact sampler: one jump per recorded time, however many steps lie between.

Exact layer: transitions compose, roots are roots, the same bits under every schedule. Statistical layer: |z| < 5 over some
300 standard normal scores of fixed seeds, a false alarm in 2e-4 of all seeds; 2^15 paths find a variance wrong by 6 % (8
standard deviations).
"""

import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pytest

import samfast as sf
from samfast import theory
from samfast.simulation import gaussian_chain as chains
from samfast.simulation import job as jobs
from samfast.simulation import run as runs
from samfast.simulation import schedule
from samfast.study import exact_sampling
from samfast.study.batches import added, next_paths
from samfast.study.process import LinearProcess

PATHS = 2**15
TIMES = np.array([0, 1, 2, 7, 30, 31, 100])


def values(*, momentum=0.0, dampening=0.0, **others):
    """A saddle direction and a minimum, SGD and SAM, each on its own axis of the grid."""
    return {
        k: np.asarray(v, float)
        for k, v in {
            "eigenvalue": [[[-1.0]], [[1.5]]],
            "lr": 0.1,
            "rho": [[0.0], [0.2]],
            "momentum": momentum,
            "dampening": dampening,
            "batch_size": 8.0,
            **others,
        }.items()
    }


LIGHT, HEAVY = values(), values(momentum=[0.0, 0.6], dampening=0.25)
MODELS = {False: LinearProcess("plain", "unit", "em", False), True: LinearProcess("plain", "same", "em", True)}
KINDS = [(kind, heavy) for kind in exact_sampling.LAWS for heavy in (False, True)]


def setting(kind, heavy):
    """(model, values, times, exact mean square) of shape (*grid, time)."""
    v = HEAVY if heavy else LIGHT
    model = replace(MODELS[heavy], method="algorithm" if kind == "algorithm" else "em")
    if kind == "em":
        v = {**v, "dt": np.asarray(0.05)}
    along = {k: x[..., None] for k, x in v.items()}
    if kind != "sde":
        return model, v, TIMES, model.exact(along, TIMES)
    times, kappa, d = TIMES * 0.1, model.curvature(along), model.diffusion(along)
    if not heavy:
        return model, v, times, theory.sde_variance(times, curvature=kappa, diffusion=d)
    inert = theory.momentum_sde_moments(
        times, curvature=kappa, diffusion=d, lr=0.1, momentum=along["momentum"], dampening=0.25
    ).var
    light = theory.sde_variance(times, curvature=0.75 * kappa, diffusion=0.75**2 * d)
    return model, v, times, np.where(along["momentum"] == 0, light, inert)


def scores(run, exact):
    """N mean/exact is chi-square with N degrees of freedom."""
    return (run.mean[..., 1:, 0] / exact[..., 1:] - 1) / np.sqrt(2 / run.paths)


def digest(run):
    return [np.ascontiguousarray(x).tobytes() for x in (run.sums, run.count, run.shift, run.record, run.diverged)]


# the law -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("kind", "heavy"), KINDS)
def test_the_mean_square_is_exact(kind, heavy):
    model, v, times, exact = setting(kind, heavy)
    run = exact_sampling.sample(model, v, times, law=kind, paths=PATHS, seed=3)
    assert run.mean.shape == (*exact.shape, 1) and run.sweep == exact.shape[:-1] and run.labels == ("msd",)
    assert np.array_equal(run.record, np.arange(len(times)) + 1) and (run.count == PATHS).all()
    assert (run.mean[..., 0, 0] == 0).all() and np.abs(scores(run, exact)).max() < 5


def test_mean_and_covariance_of_a_system_of_ones_own():
    """Two settings; nonzero start, rotating and singular jumps, correlation between times."""
    a = np.array([[[1.0, 0.3], [-0.2, 0.8]], [[0.0, -1.0], [1.0, 0.0]], [[0.5, 0.0], [0.1, 1.1]]]) * [[[[1.0]]], [[[0.9]]]]
    s = np.array([[[1.0, 0.9], [0.9, 2.0]], [[1.0, -2.0], [-2.0, 4.0]], [[0.0, 0.0], [0.0, 0.3]]])
    run = sf.gaussian_chain(a, s, start=[1.0, -2.0], paths=PATHS, values=True, seed=8)
    for which in range(2):
        mean, cov = np.array([1.0, -2.0]), np.zeros((2, 2))
        for i in range(3):
            old, before, jump, x = mean, cov, a[which, i], run.values[which, i]
            mean, cov = jump @ mean, jump @ cov @ jump.T + s[i]
            assert (np.abs(x.mean(0) - mean) <= 5 * np.sqrt(np.diag(cov) / PATHS)).all()
            spread = np.sqrt((np.outer(np.diag(cov), np.diag(cov)) + cov**2) / PATHS)
            assert (np.abs(np.cov(x.T) - cov) <= 5 * spread).all()
            if i:
                cross = jump @ before
                spread = np.sqrt((np.outer(np.diag(cov), np.diag(before)) + cross**2) / PATHS)
                found = (x - mean).T @ (run.values[which, i - 1] - old) / PATHS
                assert (np.abs(found - cross) <= 5 * spread).all()


EXTREME = {
    "saddle": {"eigenvalue": -1.0},
    "minimum": {"eigenvalue": 40.0},
    "flat": {"eigenvalue": 1e-9},
    "critical": {"eigenvalue": 0.05**2 / 4 / 0.1 * (1 + 1e-12), "momentum": 0.95},
    "turning": {"eigenvalue": 3.0},
    "no inertia": {"momentum": 1e-3},
    "almost no friction": {"momentum": 1 - 1e-9},
}


UNITS = [("sde", 1e-12), ("sde", 1.0), ("em", 1), ("algorithm", 1)]


@pytest.mark.parametrize(
    ("kind", "unit", "name"),
    [(*unit, name) for unit in UNITS for name in EXTREME] + [("em", 10**6, name) for name in ("flat", "critical", "turning")],
)
def test_jumps_compose(kind, unit, name):
    """Two jumps, with the roots that the program uses, give the moments of one jump over both to 1e-12."""
    model = LinearProcess("plain", "unit", "em", True)
    v = {
        k: np.asarray(x, float)
        for k, x in {
            "eigenvalue": -1.0,
            "lr": 0.1,
            "rho": 0.1,
            "momentum": 0.9,
            "dampening": 0.0,
            "batch_size": 8.0,
            **EXTREME[name],
        }.items()
    }
    first, last = (3.0, 40.0) if kind == "sde" else (3, 40)
    a, s = exact_sampling.transitions(model, v, unit * np.array([first, last]), law=kind)
    one, whole = exact_sampling.transitions(model, v, unit * np.array([last]), law=kind)
    roots = exact_sampling.root(s)
    composed = a[1] @ roots[0] @ roots[0].T @ a[1].T + roots[1] @ roots[1].T
    sd = np.sqrt(np.diag(whole[0]))
    # the powers of a growing or turning matrix are known to rounding times their condition
    assert (np.abs(composed - whole[0]) <= 1e-12 * np.outer(sd, sd)).all()
    size = np.abs(a[1]) @ np.abs(a[0])
    assert (np.abs(a[1] @ a[0] - one[0]) <= 1e-12 * np.maximum(size, np.abs(one[0]))).all()


def test_roots_of_singular_matrices():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((500, 2, 2)) * 10.0 ** rng.uniform(-100, 100, (500, 2, 1))
    x[::3, :, 1] = 0.0
    s = x @ np.swapaxes(x, -1, -2)
    s[1::7, 0] = s[1::7, :, 0] = 0.0
    roots = exact_sampling.root(s)
    sd = np.sqrt(np.diagonal(s, axis1=-2, axis2=-1))
    assert (np.abs(roots @ np.swapaxes(roots, -1, -2) - s) <= 1e-15 * sd[..., :, None] * sd[..., None, :]).all()
    assert (roots[:, 0, 1] == 0).all() and (np.diagonal(roots, axis1=-2, axis2=-1) >= 0).all()


def test_the_same_number_of_jumps_for_any_number_of_steps(monkeypatch):
    """One engine step per time in one program, whether 7 updates lie between the times or 10^15."""
    done, jobs, run_shard = [], [], schedule.run_shard

    def counted(shard, *stop):
        done.append((shard.paths, int(shard.record[-1]) - shard.start))
        jobs.append(shard.program.text)
        return run_shard(shard, *stop)

    monkeypatch.setattr("samfast.simulation.schedule.run_shard", counted)
    v = values(momentum=0.5, eigenvalue=1.5, rho=0.0)
    for unit in (7, 10**15):
        done.clear()
        run = exact_sampling.sample(MODELS[True], v, unit * np.arange(1, 6), law="em", paths=300)
        assert sum(n * steps for n, steps in done) == 300 * 5
        assert (run.mean > 0).all()
    assert len(set(jobs)) == 1


def test_beyond_float64_the_paths_have_diverged():
    with pytest.warns(sf.DivergenceWarning):
        run = exact_sampling.sample(MODELS[True], HEAVY, np.array([5, 10**6]), law="em", paths=100)
    assert (run.count[0, :, :, 1] == 0).all() and (run.count[1] == 100).all() and (run.count[..., 0] == 100).all()


# the same bits -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["threads", "processes", "small shards"])
def test_bits_do_not_depend_on_the_schedule(how, monkeypatch):
    model, v, times, _ = setting("em", True)
    want = digest(exact_sampling.sample(model, v, times, law="em", paths=5000))
    if how == "small shards":
        monkeypatch.setattr("samfast.simulation.job.SHARD_NS", 1.0)
        pool = None
    else:
        pool = ThreadPoolExecutor(3) if how == "threads" else ProcessPoolExecutor(2, get_context("spawn"))
    try:
        assert digest(exact_sampling.sample(model, v, times, law="em", paths=5000, executor=pool)) == want
    finally:
        if pool:
            pool.shutdown()


def test_pieces_of_a_sweep_are_the_whole():
    """Every setting alone gives the bits that it has in the sweep."""
    model, v, times, _ = setting("em", True)
    whole = exact_sampling.sample(model, v, times, law="em", paths=1000)
    for i, j, k in np.ndindex(2, 2, 2):
        alone = {**v, "eigenvalue": v["eigenvalue"][i, 0, 0], "rho": v["rho"][j, 0], "momentum": v["momentum"][k]}
        one = exact_sampling.sample(model, alone, times, law="em", paths=1000)
        assert one.sweep == () and np.array_equal(one.sums, whole.sums[i, j, k])


def chain(**options):
    a, s = exact_sampling.transitions(MODELS[True], HEAVY, TIMES, law="algorithm")
    return sf.gaussian_chain(a, s, **options)


def test_further_paths_and_replay():
    whole = chain(paths=512, values=True, seed=4)
    first = chain(paths=256, values=True, seed=4)
    more = next_paths(first, 256, None, executor=None)
    assert np.array_equal(np.concatenate([first.values, more.values], -2), whole.values)
    both = added(first, more)
    assert (np.abs(both.mean - whole.mean) <= 1e-15 * np.sqrt(whole.var)).all()
    np.testing.assert_allclose(both.var, whole.var, rtol=1e-13)
    assert more.paths == 256 and both.paths == 512 and np.array_equal(both.count, whole.count)
    for run, path in ((whole, 300), (more, 44)):
        again = run.replay(path)
        assert np.array_equal(again.values[..., 0, :], whole.values[..., 300, :])
        assert np.array_equal(again.record, whole.record)
    with pytest.raises(ValueError, match="replayed at all of them; leave record out"):
        whole.replay(0, [1])
    with pytest.raises(ValueError, match="kept none and cannot be resumed"):
        sf.resume(whole, record=[20])
    assert dict(whole.params) == {} and whole.dataset["w_mean"].shape == (2, 2, 2, len(TIMES), 2)


def test_settings_of_their_own_noise():
    square = sf.Observer("msd", lambda seen: [seen.w[0] * seen.w[0]], ("msd",))
    shared, own = (chain(paths=200, values=True, shared_noise=s, observe=square).values for s in (True, False))
    x = own[0, 0, :, 1, :, 0]  # squares of two settings that differ in the momentum only
    assert abs(np.corrcoef(x)[0, 1]) < 5 / np.sqrt(200) and np.corrcoef(shared[0, 0, :, 1, :, 0])[0, 1] > 0.99
    assert np.array_equal(own[0, 0, 0], shared[0, 0, 0])


def test_progress_counts_paths():
    seen = []
    chain(paths=300, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (300, 300) and [d for d, _ in seen] == sorted(d for d, _ in seen)


def test_an_interrupted_chain_is_finished_later(monkeypatch):
    monkeypatch.setattr(jobs.Job, "chunk", lambda self, steps, times: 256)
    execute, whole = runs.execute, chain(paths=700, values=True)

    def stopped(shards, executor, report, parts, estimate):
        execute(shards[:1], executor, report, parts, estimate)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("samfast.simulation.run.execute", stopped)
        with pytest.raises(sf.Interrupted) as caught:
            chain(paths=700, values=True)
    run = caught.value.run
    assert run.paths == 256 and len(run.missing) == 2
    assert digest(sf.resume(run)) == digest(whole)


# planted faults: each must lie beyond 6 standard deviations ----------------------------------------------------------
def uncorrelated(s):
    return np.sqrt(np.where(np.eye(s.shape[-1], dtype=bool), s, 0.0))


def transposed(s):
    return np.swapaxes(ROOT(s), -1, -2)[..., ::-1, ::-1] * np.tri(2)


ROOT, COEFFICIENTS = chains.root, chains._coefficients


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("root", uncorrelated),
        ("root", transposed),
        ("root", lambda s: s),
        (
            "_coefficients",
            lambda job, names, times: COEFFICIENTS(job, {k: x[..., :1].repeat(times, -1) for k, x in names.items()}, times),
        ),
    ],
    ids=["no correlation", "wrong order", "variance for deviation", "coefficients of the first time throughout"],
)
def test_a_fault_is_found(name, fault, monkeypatch):
    model, v, times, exact = setting("em", True)
    monkeypatch.setattr(chains, name, fault)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.DivergenceWarning)
        found = scores(exact_sampling.sample(model, v, times[1:], law="em", paths=PATHS, seed=3), exact[..., 1:])
    assert np.abs(found[..., 1]).max() > 6


# errors --------------------------------------------------------------------------------------------------------------
EYE = np.eye(2)[None]


@pytest.mark.parametrize(
    ("transition", "covariance", "message"),
    [
        ([1.0], EYE, r"transition has shape \(1,\): give \(time, k, k\)"),
        (np.ones((1, 3, 3)), EYE, r"with k = 1 or 2"),
        (EYE * np.nan, EYE, "transition holds a value that is not a finite number"),
        (np.ones((4, 2, 2)), np.ones((3, 2, 2)), r"transition has shape \(4, 2, 2\) and covariance \(3, 2, 2\): give shapes"),
        (np.eye(2), np.eye(2), r"give one matrix for each time"),
        (EYE, -EYE, "covariance: a matrix of it is not symmetric or has a negative eigenvalue"),
        (EYE, [[[1.0, 0.5], [0.4, 1.0]]], "not symmetric"),
        (EYE, [[[1.0, 2.0], [2.0, 1.0]]], "negative eigenvalue"),
    ],
)
def test_what_is_no_chain(transition, covariance, message):
    with pytest.raises(ValueError, match=message):
        sf.gaussian_chain(transition, covariance, paths=10)


def test_what_has_no_law():
    model, v, times, _ = setting("em", True)
    with pytest.raises(TypeError, match=r"transition='x': give an array"):
        sf.gaussian_chain("x", EYE, paths=10)
    with pytest.raises(ValueError, match="law='exact': choose one of 'sde', 'em', 'algorithm'"):
        exact_sampling.sample(model, v, times, law="exact", paths=10)
    with pytest.raises(ValueError, match=r"kind='sign': the law .* is Gaussian; give kind='normal'"):
        exact_sampling.sample(model, v, times, law="em", kind="sign", paths=10)
    with pytest.raises(ValueError, match="an update has no other step than lr; give law='em'"):
        exact_sampling.sample(model, v, times, law="algorithm", paths=10)
    with pytest.raises(ValueError, match="times: they must ascend from 0"):
        exact_sampling.sample(model, v, np.array([3, 2]), law="em", paths=10)
