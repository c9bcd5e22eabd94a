"""z is a standard normal number and bands hold their level, whatever is simulated: the algorithm, the exact law, pairs.

Each test has 1000 studies of 50 or 200 paths on numbers of their own, in one sweep. The mean square of their z has the
standard deviation sqrt((2 + 12/paths)/1000) = 0.047 or 0.046 and must be within five of them from 1; z that are off by a fifth
are then seen in nine of ten cases. The share of bands of 95 % that cover has a standard deviation of 0.69 %, and 92.9 to 97.1 %
holds for 99.8 % of all seeds. The seeds are fixed. Euler-Maruyama steps are in test_two_point.py.
"""

import numpy as np
import pytest

import samfast as sf
from samfast.simulation.gaussian_chain import gaussian_chain
from samfast.study import exact_sampling, sgd_minus_sam
from samfast.study.batches import Estimate
from samfast.study.measured import _judged
from samfast.study.plan import MsdArguments, planned

STUDIES, LOW, HIGH = 1000, 0.929, 0.971
SETTING = {"eigenvalue": -1.0, "lr": 0.05, "rho": 0.2, "batch_size": 16}


def standard(z, paths, inside):
    """Mean square 1, level 95 %; and both would be seen to be wrong if z were larger or smaller by a fifth."""
    room = 5 * np.sqrt((2 + 12 / paths) / STUDIES)
    square, share = (z**2).mean(0), inside.mean(0)
    np.testing.assert_allclose(square, 1, atol=room)
    assert (1.44 * square > 1 + room).all() and (square / 1.44 < 1 - room).all()
    assert ((LOW < share) & (share < HIGH)).all(), share


def own(todo):
    """The values of the plan, for 1000 settings that are one and the same."""
    return {**todo.values, "rho": np.full(STUDIES, SETTING["rho"])}


@pytest.mark.parametrize("kind", ["normal", "sign"])
@pytest.mark.parametrize("noise", ["same", "independent"])
def test_the_algorithm_on_minibatches(noise, kind):
    todo = planned(MsdArguments(**SETTING, noise=noise, method="algorithm", kind=kind, times=[0.3, 1.0, 5.0], paths=50))
    (model,) = todo.models
    options = {"state": False, "shared_noise": False, "observe": sf.observe.msd()}
    run = sf.simulate(
        sf.losses.quadratic([-1.0]), model.rule(own(todo), kind), [0.0], record=todo.steps.ravel(), paths=50, seed=3, **options
    )
    judge(todo, model, run, 50)


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_jumps_of_the_exact_law(momentum):
    todo = planned(MsdArguments(**SETTING, momentum=momentum, method="exact", times=[0.07, 1.0, 5.0], paths=50))
    (model,) = todo.models
    square = sf.Observer("msd", lambda seen: [seen.w[0] * seen.w[0]], ("msd",))
    a, s = exact_sampling.transitions(model, own(todo), todo.times, law="sde")
    judge(todo, model, gaussian_chain(a, s, paths=50, observe=square, seed=4, shared_noise=False), 50)


def judge(todo, model, run, paths):
    """As msd judges a study."""
    seen = Estimate(run.mean[..., 0], run.std_error[..., 0], run.count, np.zeros(STUDIES), paths)
    exact = model.exact(todo.with_time, model.steps_at(todo.with_time, todo.times))
    low, high, z = _judged(todo, model, seen, exact)
    standard(z, paths, (low < exact) & (exact < high))


@pytest.mark.parametrize("noise", ["unit", "same"])
def test_pairs_and_differences(noise):
    """On common noise: z by the error of the sample, as in paired_msd, and by that of theory, as in Study.difference."""
    todo = planned(MsdArguments(**SETTING, noise=noise, times=[1.0, 5.0], paths=200))
    (model,) = todo.models
    both = sf.paired(*(model.rule({**todo.values, "rho": np.full(STUDIES, r)}) for r in (SETTING["rho"], 0.0)))
    options = {"state": False, "shared_noise": False, "observe": sf.observe.paired_msd()}
    run = sf.simulate(sf.losses.quadratic([-1.0]), both, [0.0], record=todo.steps.ravel(), paths=200, seed=5, **options)
    exact = model.difference(todo.with_time, todo.steps)
    theory = sgd_minus_sam.spread(model, {k: float(x) for k, x in todo.values.items()}, todo.times) / np.sqrt(200)
    for error in (run.std_error[..., 2], theory):
        z = (run["difference"] - exact) / error
        standard(z, 200, np.abs(z) < 1.96)
    assert not np.allclose(run.std_error[..., 2], run.std_error[..., 0], rtol=0.5)  # it is the error of pairs


def test_the_columns_of_paired_msd():
    """Its error is that of pairs, known to 4 % from 2000 of them; bounds are there for unit noise only."""
    times = [1.0, 5.0]
    for how in ({}, {"method": "algorithm", "noise": "same"}):
        ds = sf.paired_msd(**SETTING, times=times, paths=2000, **how).dataset
        model = planned(MsdArguments(**SETTING, times=times, **how)).models[0]
        exact = sgd_minus_sam.spread(model, {**SETTING, "momentum": 0.0, "dampening": 0.0}, np.array(times)) / np.sqrt(2000)
        np.testing.assert_allclose(ds["se"], exact, rtol=0.21)
        assert np.isfinite(ds["low"]).all() == np.isfinite(ds["high"]).all() == (how == {}) and np.isfinite(ds["sde"]).all()
