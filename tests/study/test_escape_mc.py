"""Monte Carlo exit times of the Euler-Maruyama chain against the exact ones of the same chain.

Every score is about a standard normal; |z| < 5 over some 60 of them, a false alarm in 4e-5 of all seeds. With 2^14 paths
and a relative deviation of 0.5 to 1 a mean wrong by 5 % (6 standard deviations or more) is found.
"""

from functools import partial

import numpy as np
import pytest
from tolerance import relative

import samfast as sf
from samfast import theory
from samfast.study.exits import _left, _theory, held
from samfast.study.process import LinearProcess

exit_times = partial(sf.exit_times, lr=0.01)

PATHS = 2**14
# kappa = -1, -0.5, 0, 0.2: free of the saddle, damped, free diffusion, trapped
SETTINGS = {"limit": [0.05, 0.1], "rho": [0.0, 0.5, 1.0, 1.2], "lr": 0.1, "batch_size": 16}


@pytest.fixture(scope="module")
def grid():
    return exit_times(**SETTINGS, paths=PATHS, seed=3).dataset


def test_mean_exit_times(grid):
    assert grid["time"].dims == ("limit", "rho") and np.abs(grid["z"]).max() < 5
    kappa = theory.curvature(-1.0, rho=grid["rho"].values)
    assert np.allclose(kappa, [-1, -0.5, 0, 0.2])
    chain = theory.em_exit_time(grid["limit"].values[:, None], curvature=kappa, diffusion=0.1 / 32, dt=0.1)
    assert np.array_equal(grid["exact"], chain) and np.array_equal(grid["steps"] * 0.1, grid["time"])
    sde = theory.mean_exit_time(grid["limit"].values[:, None], curvature=kappa, diffusion=0.1 / 32)
    assert np.array_equal(grid["sde"], sde)
    assert (np.diff(grid["time"], axis=0) > 0).all() and (np.diff(grid["time"], axis=1) > 0).all()


def test_the_standard_error(grid):
    """The spread of the means of 64 groups of 256 paths; its relative standard deviation is 1/sqrt(126) = 9 %."""
    ds = exit_times(limit=0.1, lr=0.1, batch_size=16, rho=[0.0, 1.2], paths=256, seed=1).dataset
    means = [exit_times(limit=0.1, lr=0.1, batch_size=16, rho=[0.0, 1.2], paths=256, seed=s).dataset["time"] for s in range(64)]
    assert np.std(means, axis=0, ddof=1) == relative(ds["se"].values, 5 * 0.1)
    assert grid["se"].values[1, [0, 3]] == relative(ds["se"].values / 8, 0.25)


def test_the_published_example():
    """kappa = -1, D = 0.1, L = 1, dt = 0.1 in other units of length: 1.956110, and 1.724138 for the diffusion."""
    ds = exit_times(limit=[0.25, 0.3], lr=0.1, batch_size=8, paths=PATHS).dataset.isel(limit=0)
    assert float(ds["exact"]) == pytest.approx(1.956110, abs=5e-7) and float(ds["sde"]) == pytest.approx(1.724138, abs=5e-7)
    assert abs(float(ds["z"])) < 5
    assert float((ds["time"] - ds["sde"]) / ds["se"]) > 6  # planted: the diffusion in place of the chain
    late = float((ds["time"] + 0.1 - ds["exact"]) / ds["se"])  # planted: one step too many
    assert late > 6


def test_the_wider_limit():
    """The estimate's error is of first order in dt: a quarter for a quarter of the step."""
    ds = exit_times(limit=0.2, lr=0.02, batch_size=64, dt=[0.02, 0.005], paths=PATHS, seed=9).dataset
    assert np.abs(ds["z"]).max() < 5
    late = (ds["estimate"] / ds["exact"] - 1).values
    assert abs(late[0]) < 3e-3 and late[0] / late[1] == relative(4, 0.1)
    assert (np.abs(late) < np.abs(ds["sde"] / ds["exact"] - 1) / 5).all()


def test_very_narrow_steps():
    """Where the chain's own value is out of reach the estimate is compared with, and z says so by `exact`."""
    model, v = LinearProcess("plain", "unit", "em", False), {"eigenvalue": -1.0, "rho": 0.0, "lr": 1e-4, "batch_size": 1e5}
    known = _theory(model, {k: np.asarray(x) for k, x in {**v, "limit": 1.0}.items()})
    assert np.isnan(known["exact"]) and known["best"] == known["estimate"] > known["sde"]


def test_smaller_steps_with_momentum_free_noise_models():
    ds = exit_times(limit=0.1, lr=0.1, batch_size=16, rho=0.5, dt=[0.1, 0.02], noise="same", paths=PATHS).dataset
    assert ds["time"].dims == ("dt",) and np.abs(ds["z"]).max() < 5
    d = theory.diffusion_coefficient(-1.0, lr=0.1, rho=0.5, batch_size=16, noise="same")
    assert np.array_equal(ds["exact"], theory.em_exit_time(0.1, curvature=-0.5, diffusion=d, dt=ds["dt"].values))
    assert ds["steps"].values == relative(ds["time"].values / ds["dt"].values, 1e-12)


def kernel(limit, kappa, d, dt, nodes=120):
    """The chain inside (-limit, limit) on Gauss-Legendre nodes: (nodes, matrix of the probabilities to go on inside)."""
    x, weights = np.polynomial.legendre.leggauss(nodes)
    x, weights, variance = limit * x, limit * weights, 2 * d * dt

    def row(at):
        return weights * np.exp(-((x - (1 - kappa * dt) * at[:, None]) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)

    return row(np.zeros(1)), row(x)


@pytest.mark.parametrize("rho", [0.0, 1.2])
def test_survival(rho):
    """The share of paths inside at recorded times, and its rate of decay, against the chain's kernel."""
    limit, dt, d, kappa = 0.1, 0.02, 0.1 / 32, theory.curvature(-1.0, rho=rho)
    rule = held(sf.diffusion(sf.sam(lr=0.1, rho=[0.0, 1.2]), sigma=[0.25], dt=dt), limit=limit)
    times = np.array([1, 10, 50, 100, 150, 200])
    run = sf.simulate(sf.losses.quadratic([-1.0]), rule, [0.0], record=times, paths=PATHS, seed=5, observe=_left(limit))
    inside = run["inside"][0 if rho == 0 else 1]
    first, inner = kernel(limit, kappa, d, dt)
    exact = np.array([(first @ np.linalg.matrix_power(inner, n - 1)).sum() for n in times])
    assert (np.abs(inside - exact) <= 5 * np.sqrt(exact * (1 - exact) / PATHS) + 1 / PATHS).all()
    assert exact[0] > 0.999 and 1e-3 < exact[-1] < 0.8
    rate = -np.log(np.abs(np.linalg.eigvals(inner)).max()) / dt
    wider = limit + 0.58259716 * np.sqrt(2 * d * dt)
    assert theory.survival_rate(wider, curvature=kappa, diffusion=d) == relative(rate, 0.03)
    assert -np.log(exact[-1] / exact[-2]) / (50 * dt) == relative(rate, 1e-2)


def test_pieces_of_a_sweep_are_the_whole(grid):
    """Other settings do not change a bit, nor how long they make the simulation go on."""
    pieces = [exit_times(**{**SETTINGS, "rho": rho}, paths=PATHS, seed=3).dataset for rho in ([0.0, 0.5], [1.0, 1.2])]
    for name in ("time", "se", "exact"):
        assert np.array_equal(np.concatenate([p[name] for p in pieces], 1), grid[name])


def test_a_fast_setting_waits_for_a_slow_one():
    """Paths that left are held: free of the saddle they would be beyond float64 after 7,500 of more than 20,000 steps."""
    settings = {"limit": 0.4, "lr": 0.1, "batch_size": 16, "paths": 300, "seed": 3}
    both = exit_times(rho=[0.0, 1.2], **settings).dataset
    assert both["steps"][1] > 4000 and np.abs(both["z"]).max() < 5
    assert np.array_equal(both["time"][:1], exit_times(rho=[0.0], **settings).dataset["time"])


def test_the_table(grid):
    result = sf.Comparison(grid)
    assert str(result).splitlines()[0].split() == ["limit", "rho", "time", "se", "exact", "z", "estimate", "sde", "steps"]
    assert len(str(result).splitlines()) == 10
    assert "mean exit time: largest |z|" in result.summary() and "of 8: simulation and exact values agree" in result.summary()
    assert all(grid[k].attrs["long_name"] for k in grid.data_vars)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0.0}, "limit=0.0: give values above 0"),
        ({"limit": [[1.0]]}, r"limit has shape \(1, 1\): give a number"),
        ({"limit": [1.0, 1.0]}, "limit=.*: a value occurs twice"),
        ({"drift": "x"}, "drift='x': choose one of"),
        ({"noise": "x"}, "noise='x': choose one of"),
        ({"paths": 1}, "paths=1: give at least 2"),
        ({"eigenvalue": [0.0, 1.0]}, "eigenvalue=.*: give values above 0"),
        ({"limit": 1.0, "rho": 1.5}, "limit=1.0: a path needs inf steps on average to leave; give a smaller limit"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        exit_times(**{"limit": 0.1, **options})


def test_float32_is_refused_where_the_slowest_path_may_outlast_its_counts(monkeypatch):
    """Of settings whose slowest path needs some 2.8e6 and 2.7e7 updates, where float32 tells 1.7e7 from the next."""
    asked = []

    def begun(model, values, steps, **options):
        asked.append((options["dtype"], steps))
        raise InterruptedError

    monkeypatch.setattr("samfast.study.exits._until_all_left", begun)
    for limit, dtype in ((0.035, "float32"), (0.04, "mixed")):
        with pytest.raises(InterruptedError):
            exit_times(limit=limit, eigenvalue=1.0, lr=0.01, paths=100, dtype=dtype)
    with pytest.raises(ValueError, match=r"dtype='float32': a path needs 1.11e\+06 steps on average .*; use dtype='mixed'"):
        exit_times(limit=0.04, eigenvalue=1.0, lr=0.01, paths=100, dtype="float32")
    assert [d for d, _ in asked] == ["float32", "mixed"] and asked[0][1] < 2**24
