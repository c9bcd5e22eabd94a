"""Confidence bands cover what they promise, and a sweep in pieces is the sweep.

Of 1000 bands of level 95 % the number that covers is binomial with a standard deviation of 0.69 %: 92.9 to 97.1 % holds for
99.8 % of all seeds (the seeds here are fixed). A band too narrow or too wide by 15 % is found in nine of ten cases.
"""

from functools import partial

import numpy as np
import pytest
from tolerance import relative

import samfast as sf
from samfast import theory

msd = partial(sf.msd, lr=0.01)

STUDIES, LEVEL = 1000, 0.95
LOW, HIGH = 0.929, 0.971
TIMES = [2, 20, 100]
LR, RHO, BATCH = 0.05, 0.2, 16
KAPPA, D = theory.curvature(-1.0, rho=RHO), theory.diffusion_coefficient(-1.0, lr=LR, batch_size=BATCH)
EXACT = theory.em_variance(TIMES, curvature=KAPPA, diffusion=D, dt=LR)


def studies(paths):
    """Mean squared displacements of 1000 replicates of one setting on numbers of their own, (study, time)."""
    rule = sf.diffusion(sf.sam(lr=LR, rho=np.full(STUDIES, RHO)), batch_size=BATCH)
    run = sf.simulate(
        sf.losses.quadratic([-1.0]),
        rule,
        [0.0],
        record=TIMES,
        paths=paths,
        seed=12,
        state=False,
        observe=sf.observe.msd(),
        shared_noise=False,
    )
    return run.mean[..., 0]


def coverage(mean, paths):
    low, high = theory.msd_interval(mean, paths=paths, confidence=LEVEL)
    return ((low < EXACT) & (EXACT < high)).mean(0)


@pytest.mark.parametrize("paths", [10, 50])
def test_a_thousand_small_studies(paths):
    """The chi-square band is exact for Gaussian paths, however few."""
    mean = studies(paths)
    share = coverage(mean, paths)
    assert ((LOW < share) & (share < HIGH)).all(), share
    # and the means are those of independent chi-squares
    assert mean.var(0, ddof=1) == relative(2 * EXACT**2 / paths, 5 * np.sqrt((2 + 12 / paths) / STUDIES))
    neighbours = np.corrcoef(mean[1:, -1], mean[:-1, -1])[0, 1]
    assert abs(neighbours) < 5 / np.sqrt(STUDIES)


def test_bands_that_do_not_cover_are_found():
    """Planted: paths counted twice, or half of them; variances wrong by a third, as with the noise of another batch size."""
    mean = studies(50)
    assert (coverage(mean, 100) < LOW).all() and (coverage(mean, 25) > HIGH).all()
    assert (coverage(mean * 4 / 3, 50) < LOW).all()


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"momentum": 0.5}, {"method": "algorithm", "noise": "same"}])
def test_the_bands_of_a_thousand_studies(options):
    """The column ci of 1000 calls of msd."""
    bands = [
        msd(rho=RHO, lr=LR, batch_size=BATCH, times=[0.1, 1.0, 5.0], paths=20, seed=seed, **options).dataset
        for seed in range(STUDIES)
    ]
    share = np.mean([(b["ci"][:, 0] < b["exact"]) & (b["exact"] < b["ci"][:, 1]) for b in bands], 0)
    assert ((LOW < share) & (share < HIGH)).all(), share


# a sweep in pieces ---------------------------------------------------------------------------------------------------
GRID = {"eigenvalue": [-1.0, 0.5, 2.0], "rho": [0.0, 0.1, 0.3], "momentum": [0.0, 0.5, 0.8]}


def same(a, b):
    for name in ("msd", "se", "ci", "exact", "theorem", "z", "ratio", "valid", "count", "steps"):
        assert np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f"), name


@pytest.mark.parametrize("dimension", list(GRID))
def test_a_sweep_in_pieces_is_the_whole(dimension):
    """Cut along any dimension into unequal pieces, each a study of its own, at another number of threads' shards."""
    whole = msd(**GRID, times=[0.05, 0.5], paths=3000, seed=2).dataset
    cut = 1 if dimension != "momentum" else 2  # the momentum 0 alone is another program
    for piece in (GRID[dimension][:cut], GRID[dimension][cut:]):
        part = msd(**{**GRID, dimension: piece}, times=[0.05, 0.5], paths=3000, seed=2).dataset
        same(part, whole.sel({dimension: piece}))


def test_times_in_pieces_are_the_whole():
    """More recorded times do not change what is seen at the others."""
    whole = msd(**GRID, times=[0.05, 0.2, 0.5], paths=1000, seed=2).dataset
    same(msd(**GRID, times=[0.05, 0.5], paths=1000, seed=2).dataset, whole.sel(time=[0.05, 0.5]))
