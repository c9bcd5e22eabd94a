"""Laws on a grid beside closed forms, beside each other, and beside simulated paths of the double well."""

import math
import traceback

import numpy as np
import pytest
from scipy.sparse import eye_array
from scipy.sparse.linalg import splu
from scipy.special import erf
from scipy.stats import norm

import samfast as sf
from samfast import theory
from samfast.law.evolve import GAMMA, evolve, tr_bdf2
from samfast.law.generator import generator
from samfast.law.grid import make, spread
from samfast.law.step import one_step
from samfast.model.rule import Rule

WELL = sf.loss(dim=1)(lambda w, p: w[0] ** 4 / 4 - w[0] ** 2 / 2)
CORRELATED = np.array([[1.0, 0.0], [0.6, 0.8]])


def within(law, name, exact, times=1.0):
    """The values agree with exact ones within so many stated errors, and the rounding of a sum."""
    off = np.abs(np.asarray(law.dataset[name]) - exact)
    assert (off <= times * np.asarray(law.dataset[f"{name}_error"]) + 1e-13).all(), (off, law.dataset[f"{name}_error"].values)


def gaussian(law, mean, variance):
    z = (law.edges[0] - mean) / np.sqrt(variance)
    return np.diff(norm.cdf(z))


# --- the Fokker-Planck equation ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("scheme", ["uniformization", "tr-bdf2"])
@pytest.mark.parametrize("eigenvalue, end", [(1.0, 1.2), (-1.0, 2.9)])
def test_theorem_2(eigenvalue, end, scheme):
    """SAM's chain drift on a quadratic: Gaussians with the variance of Theorem 2, to the stated error of 200 cells."""
    setting = {"eigenvalue": eigenvalue, "lr": 0.2, "rho": 0.3, "batch_size": 4}
    rule = sf.diffusion(sf.sam(lr=0.2, rho=0.3, drift="chain"), batch_size=4)
    law = sf.density(sf.losses.quadratic([eigenvalue]), rule, 0.2, grid=(-end, end, 200), times=[0.0, 0.5, 1.5], scheme=scheme)
    k = theory.curvature(eigenvalue, rho=0.3, drift="chain")
    variance, mean = theory.theorem2(law.times, **setting), 0.2 * np.exp(-k * law.times)
    within(law, "covariance", variance[:, None, None])
    within(law, "mean", mean[:, None])
    within(law, "msd", variance + (mean - 0.2) ** 2)
    assert law.covariance[1:, 0, 0] == pytest.approx(variance[1:], rel=3e-4, abs=0)
    assert law.mass == pytest.approx(np.ones(3), rel=1e-6, abs=0) and law.mass.max() <= 1
    for i in (1, 2):
        off = np.abs(law.probability[i] - gaussian(law, mean[i], variance[i])).sum()
        assert off < 1.5 * float(law.dataset["density_error"][i].sum()) * end / 100 < 0.01


def test_order_of_convergence():
    """Halving the cells divides the error of the density by 4 and, after the extrapolation, that of the variance by 16."""
    off, extrapolated = [], []
    for cells in (50, 100, 200):
        law = sf.density(
            sf.losses.quadratic([1.0]), sf.diffusion(sf.gd(lr=0.1), sigma=1.0), 0.31, grid=(-2, 2, cells), times=0.7
        )
        variance = theory.sde_variance(0.7, curvature=1.0, diffusion=0.05)
        off.append(np.abs(law.probability[0] - gaussian(law, 0.31 * np.exp(-0.7), variance)).sum())
        extrapolated.append(abs(law.covariance[0, 0, 0] - variance))
    assert np.array(off[:2]) / off[1:] == pytest.approx([4, 4], rel=0.15, abs=0)
    assert np.array(extrapolated[:2]) / extrapolated[1:] == pytest.approx([16, 16], rel=0.3, abs=0)


def test_a_correlated_diffusion_in_the_plane():
    """dw = -K w dt + S dW: the covariance is C_ij (1 - exp(-(k_i + k_j)t))/(k_i + k_j) with C = lr S S^T."""
    k = np.array([1.0, 0.5])
    rule = sf.diffusion(sf.gd(lr=0.1), sigma=sf.matrix(CORRELATED))
    law = sf.density(sf.losses.quadratic(k), rule, [-0.3, 0.2], grid=[(-1.4, 1.4, 56), (-1.4, 1.4, 56)], times=[1.0])
    rate, c = k[:, None] + k, 0.1 * CORRELATED @ CORRELATED.T
    within(law, "covariance", c * (1 - np.exp(-rate)) / rate)
    within(law, "mean", [-0.3, 0.2] * np.exp(-k))
    assert law.covariance[0] == pytest.approx(c * (1 - np.exp(-rate)) / rate, rel=2e-3, abs=0)
    assert law.marginal(1).sum() * 0.05 == pytest.approx(1, rel=1e-5, abs=0)
    assert law.marginal(1)[0] == pytest.approx(law.density[0].sum(0) * 0.05, rel=1e-12, abs=0)


@pytest.mark.parametrize("scheme", ["uniformization", "tr-bdf2"])
@pytest.mark.parametrize("walls", ["absorbing", ["reflecting", ("absorbing", "reflecting")]], ids=["open", "mixed"])
def test_mass_and_sign(scheme, walls):
    """No mass is negative, and what is gone was killed; in the plane with correlated noise and a start beside the walls."""
    rule = sf.diffusion(sf.sam(lr=0.2, rho=0.5), sigma=sf.matrix(CORRELATED))
    box = [(-1.5, 1.5, 16), (-1.0, 1.0, 16)]
    law = sf.density(sf.losses.double_well(), rule, [1.0, -0.6], grid=box, times=[0.01, 0.5, 4.0], walls=walls, scheme=scheme)
    assert (law.density >= 0).all() and (np.diff(law.probability.sum((1, 2))) < 0).all()
    closed = sf.density(sf.losses.double_well(), rule, [1.0, -0.6], grid=box, times=[4.0], walls="reflecting", scheme=scheme)
    assert closed.probability.sum() == pytest.approx(1, rel=1e-13 if scheme == "uniformization" else 1e-11, abs=0)
    assert closed.exit_time().value == np.inf
    columns = np.asarray(law._solved[0].operator.matrix.sum(0)).ravel() + law._solved[0].operator.killed
    assert np.abs(columns).max() < 1e-12 * np.abs(law._solved[0].operator.matrix.diagonal()).max()


def test_the_implicit_steps_are_of_second_order():
    box = make((-2, 2, 60), "absorbing", 1)
    matrix = generator(one_step(WELL, sf.diffusion(sf.gd(lr=0.1), sigma=1.0)), box).matrix
    [start], _ = evolve(matrix, spread(np.array([0.4]), box), np.array([0.2]), "uniformization")
    [exact], _ = evolve(matrix, start, np.array([1.0]), "uniformization")
    off, estimates = [], []
    for steps in (16, 32, 64):
        solve = splu((eye_array(60, format="csc") - GAMMA / 2 / steps * matrix).tocsc()).solve
        mass, estimated = start, 0.0
        for _ in range(steps):
            mass, error = tr_bdf2(matrix, solve, mass, 1 / steps)
            estimated += error
        off.append(np.abs(mass - exact).sum())
        estimates.append(estimated)
    assert np.array(off[:2]) / off[1:] == pytest.approx([4, 4], rel=0.1, abs=0)
    assert all(e / 20 < o < e for o, e in zip(off, estimates, strict=True)), "the sum of the estimates is a bound"
    stiff = splu((eye_array(60, format="csc") - GAMMA / 2 * 1e9 * matrix).tocsc()).solve
    made, _ = tr_bdf2(matrix, stiff, start, 1e9)
    assert np.abs(made - made[::-1]).sum() < 1e-5, (
        "L-stable: what decays is gone after one long step, of which symmetry is left"
    )


def test_the_two_schemes_agree():
    made = {}
    for scheme in ("uniformization", "tr-bdf2"):
        rule = sf.diffusion(sf.gd(lr=0.1), sigma=2.0)
        made[scheme] = sf.density(WELL, rule, 0.4, grid=(-2, 2, 40), times=[0.3, 2.0], scheme=scheme)
    a, b = made["uniformization"], made["tr-bdf2"]
    off = np.abs(a.probability - b.probability).sum(1)
    bound = b._solved[0].late
    assert (off < bound).all() and (bound < 1e-4).all()
    assert a.mass == pytest.approx(b.mass, rel=1e-4, abs=0)


@pytest.mark.parametrize("eigenvalue, rel", [(0.0, 1e-9), (-1.0, 1e-5), (1.0, 1e-5)])
def test_exit_times_and_rates(eigenvalue, rel):
    """Absorbing walls: mean exit time and rate of survival of the closed forms."""
    rule = sf.diffusion(sf.gd(lr=0.5), sigma=1.0)
    law = sf.density(sf.losses.quadratic([eigenvalue]), rule, 0.3, grid=(-1, 1, 200), times=[1.0])
    setting = {"curvature": eigenvalue, "diffusion": 0.25}
    left = law.exit_time()
    assert left.value == pytest.approx(theory.mean_exit_time(1.0, start=0.3, **setting), rel=rel, abs=0)
    assert abs(left.value - theory.mean_exit_time(1.0, start=0.3, **setting)) <= left.error + 1e-12
    slow = law.stationary()
    assert slow.rate == pytest.approx(theory.survival_rate(1.0, **setting), rel=1e-5, abs=0)
    late = sf.density(sf.losses.quadratic([eigenvalue]), rule, 0.3, grid=(-1, 1, 60), times=[5.0, 6.0])
    assert np.log(late.mass[0] / late.mass[1]) == pytest.approx(slow.rate, rel=1e-4, abs=0)
    assert late.density[1] / late.mass[1] == pytest.approx(late.stationary().density, rel=1e-3, abs=0)


def scaled_noise():
    """w' = w - lr*grad + lr*(1 + w^2/4)*z: noise that depends on the state, in the sense of Ito."""

    def step(w, v, grad, p, z):
        return w - p.lr * grad(w) + p.lr * (1 + 0.25 * w * w) * z[0], v

    return Rule("scaled", step, {"lr": 0.2}, draws=1)


@pytest.mark.parametrize("cells", [100, 200])
def test_stationary_density_with_noise_that_depends_on_the_state(cells):
    """Without a flux P is proportional to exp(-int l'/D)/D with D = lr*(1 + w^2/4)^2/2."""
    law = sf.density(
        WELL, scaled_noise(), 0.0, grid=(-2.5, 2.5, cells), times=[1.0], walls="reflecting", method="fokker-planck"
    )
    x = np.linspace(-2.5, 2.5, 100 * cells + 1)
    d = 0.1 * (1 + x * x / 4) ** 2
    slope = (x**3 - x) / d
    log = -np.concatenate([[0], np.cumsum((slope[1:] + slope[:-1]) / 2 * (x[1] - x[0]))]) - np.log(d)
    p = np.exp(log - log.max())
    exact = p[50::100] / (p[50::100].sum() * 5 / cells)  # at the centres of the cells
    found = law.stationary()
    assert found.rate == 0 and np.abs(found.density - exact).max() < 4e-6 * (200 / cells) ** 4
    assert np.abs(found.density - exact).max() < found.density_error


# --- the transfer operator -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("minibatch", ["descent", "same", "unit"])
@pytest.mark.parametrize("eigenvalue, low", [(1.0, -1.5), (-1.0, -3.0)])
def test_moments_of_the_algorithm(eigenvalue, low, minibatch):
    """On a quadratic the algorithm is w' = (1 - lr*kappa) w + lr*s*sigma*z, and its moments are known to 13 digits."""
    rule = sf.noisy(sf.sam(lr=0.1, rho=0.4), sigma=0.5, minibatch=minibatch)
    law = sf.density(sf.losses.quadratic([eigenvalue]), rule, 0.2, grid=(low, -low, 40), times=[0.0, 0.1, 0.5, 1.2])
    n = np.rint(law.times / 0.1)
    x = 0.1 * eigenvalue * (1 + 0.4 * eigenvalue)
    s = 1 + 0.4 * eigenvalue if minibatch == "same" else 1.0
    variance = np.array([0.0025 * s**2 * sum((1 - x) ** (2 * k) for k in range(int(m))) for m in n])
    assert law.mean[:, 0] == pytest.approx(0.2 * (1 - x) ** n, rel=1e-12, abs=0)
    assert law.covariance[:, 0, 0] == pytest.approx(variance, rel=1e-12, abs=0)
    assert law.mass == pytest.approx(np.ones(4), rel=1e-12, abs=0)
    assert law.probability[3] == pytest.approx(gaussian(law, law.mean[3, 0], variance[3]), rel=0, abs=1e-13)
    assert (law.density >= 0).all() and law.probability[0].max() == 1


def test_moments_in_the_plane():
    k, lr = np.array([0.8, 0.6]), 1.0
    for sigma, c in ((1.0, np.eye(2)), (sf.matrix(CORRELATED), CORRELATED @ CORRELATED.T)):
        box = [(-6.5, 6.5, 16), (-6.5, 6.5, 16)]
        law = sf.density(sf.losses.quadratic(k), sf.noisy(sf.gd(lr=lr), sigma=sigma), [0.3, 0.1], grid=box, times=[2 * lr])
        q = 1 - lr * k
        exact = lr**2 * c * sum(np.multiply.outer(q, q) ** n for n in range(2))
        assert law.covariance[0] == pytest.approx(exact, rel=1e-6, abs=1e-15)
        assert law.mean[0] == pytest.approx([0.3, 0.1] * q**2, rel=1e-6, abs=0)
        assert law.probability.sum() == pytest.approx(1, rel=1e-6, abs=0)


def test_the_exit_time_of_the_algorithm():
    """Watched after every update: the exact value of theory.em_exit_time, from two starts."""
    rule = sf.noisy(sf.gd(lr=0.1), sigma=np.sqrt(2.0))
    for start in (0.0, 0.4):
        law = sf.density(sf.losses.quadratic([-1.0]), rule, start, grid=(-1, 1, 40), times=[0.1, 0.2])
        exact = theory.em_exit_time(1.0, curvature=-1.0, diffusion=0.1, dt=0.1, start=start)
        assert law.exit_time().value == pytest.approx(exact, rel=1e-12, abs=0)
    rate = law.stationary().rate
    late = sf.density(sf.losses.quadratic([-1.0]), rule, 0.0, grid=(-1, 1, 40), times=[16.0, 16.1])
    assert np.log(late.mass[0] / late.mass[1]) / 0.1 == pytest.approx(rate, rel=1e-9, abs=0)


def test_one_update_of_sam_and_the_next():
    """From a point the law is one normal; two updates are one update of the law after one."""
    rule = sf.noisy(sf.sam(lr=0.2, rho=0.5), sigma=1.0)
    law = sf.density(WELL, rule, 0.3, grid=(-3, 3, 120), times=[0.2, 0.4])
    up = 0.3 + 0.5 * (0.3**3 - 0.3)
    mean = 0.3 - 0.2 * (up**3 - up)
    assert law.probability[0] == pytest.approx(gaussian(law, mean, 0.04), rel=0, abs=1e-14)
    second = sf.density(WELL, rule, lambda w: norm.pdf(w[0], mean, 0.2), grid=(-3, 3, 120), times=[0.2])
    assert second.probability[0] == pytest.approx(law.probability[1], rel=0, abs=1e-13)


@pytest.mark.parametrize("low, high", [(-1.5, 1.5), (-1.4, 1.55)], ids=["edge", "inside"])
def test_normalised_sam_whose_step_jumps(low, high):
    """w' = w - lr*(w + rho*sign(w)) + noise: two updates from 0.1 have the mean (1-lr)*m - lr*rho*erf(m/(s*sqrt(2)))."""
    sam = sf.sam(lr=0.1, rho=0.3, normalize=True)
    law = sf.density(sf.losses.quadratic([1.0]), sf.noisy(sam, sigma=1.0), 0.1, grid=(low, high, 40), times=[0.1, 0.2, 3.0])
    m = 0.1 - 0.1 * 0.4
    assert law.mean[:2, 0] == pytest.approx([m, 0.9 * m - 0.03 * erf(m / 0.1 / np.sqrt(2))], rel=1e-12, abs=0)
    assert law.dataset["msd_error"].values.max() < 1e-12 and law.mass.min() > 1 - 1e-9
    # by the equation: the stationary variance of theory, for which the force at 0 must be the mean of both sides
    closed = sf.density(sf.losses.quadratic([1.0]), sf.diffusion(sam, sigma=1.0), 0.1, grid=(-1.5, 1.5, 160), times=0.1,
                        walls="reflecting")  # fmt: skip
    x = (closed.edges[0][1:] + closed.edges[0][:-1]) / 2
    exact = theory.normalized_stationary_variance(lr=0.1, rho=0.3, batch_size=1.0)
    assert closed.stationary().density @ x**2 * (3 / 160) == pytest.approx(exact, rel=1e-3, abs=0)


def test_the_chain_of_a_diffusion_tends_to_its_equation():
    """Euler-Maruyama steps: the law of the chain is off the equation's by an amount that halves with dt."""
    off = []
    equation = sf.density(WELL, sf.diffusion(sf.gd(lr=0.5), sigma=1.0), 0.5, grid=(-2.5, 2.5, 200), times=1.0)
    for dt in (0.1, 0.05):
        rule = sf.diffusion(sf.gd(lr=0.5), sigma=1.0, dt=dt)
        law = sf.density(WELL, rule, 0.5, grid=(-2.5, 2.5, 200), times=1.0, method="transfer")
        off.append(law.msd[0] - equation.msd[0])
    assert off[0] / off[1] == pytest.approx(2, rel=0.1, abs=0)


# --- simulated paths -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("which", ["algorithm", "equation", "scaled", "function"])
def test_histograms_of_paths(which):
    """10^5 paths of SAM in the double well, |z| < 5 in every bin of more than 1000: some 10 bins, a false alarm in 1e5 runs.

    An error of 10 % of the noise is seen at 12 deviations. The equation is compared with steps of dt = 0.005, whose bias is a
    tenth of a standard error.
    """
    sam = sf.sam(lr=0.1, rho=0.3)
    rules = {
        "algorithm": sf.noisy(sam, sigma=1.0),
        "equation": sf.diffusion(sam, sigma=1.0, dt=0.005),
        "scaled": scaled_noise(),
        "function": sf.diffusion(sam, sigma=lambda w, p: 1 + 0.25 * w[0] ** 2, dt=0.005),
    }
    law = sf.density(WELL, rules[which], -0.6, grid=(-3, 3, 120), times=2.0)
    steps = {"algorithm": 20, "equation": 400, "scaled": 10, "function": 400}[which]
    run = sf.simulate(WELL, rules[which], [-0.6], paths=100_000, record=[steps], values=True, observe=sf.observe.position())
    z = law.z(run.values[0, :, 0], together=2)
    assert np.isfinite(z).sum() >= 10 and np.nanmax(np.abs(z)) < 5
    assert np.nanmax(np.abs(law.z(run.values[0, :, 0] * 1.05, together=2))) > 8, "a scale that is 5 % off is seen"


def test_paths_that_left_count_as_outside():
    """The walls absorb: a bin is compared with the share of all paths, those included that are nan since they left."""
    law = sf.density(sf.losses.quadratic([-1.0]), sf.noisy(sf.gd(lr=0.1), sigma=2.0), 0.0, grid=(-1, 1, 16), times=1.0)
    assert 0.4 < law.mass[0] < 0.8
    centres = (law.edges[0][1:] + law.edges[0][:-1]) / 2
    counts = np.rint(100_000 * law.probability[0]).astype(int)
    values = np.full(100_000, np.nan)
    values[: counts.sum()] = np.repeat(centres, counts)
    assert np.abs(law.z(values)).max() < 0.01


# --- what is returned and refused ----------------------------------------------------------------------------------------
def test_the_result(tmp_path):
    law = sf.density(sf.losses.quadratic([1.0, 2.0]), sf.diffusion(sf.gd(lr=0.2), sigma=1.0), [0.1, 0.0],
                     grid=[(-2, 2, 20), (-2, 2, 16)], times=[0.0, 0.5])  # fmt: skip
    assert repr(law).startswith("Density(fokker-planck of gd_diffusion, 20 x 16 cells, 2 times to 0.5; mass 1 +- ")
    assert law.density.shape == (2, 20, 16) and law.covariance.shape == (2, 2, 2)
    assert law.probability.sum((1, 2)) == pytest.approx(law.density.sum((1, 2)) * 0.2 * 0.25, rel=1e-12, abs=0)
    assert law.dataset["density"].dims == ("time", "w0", "w1") and law.dataset["msd_error"].attrs["long_name"]
    again = sf.Density.load(law.save(tmp_path / "law.nc"))
    assert again.dataset.identical(law.dataset) and repr(again) == repr(law)
    with pytest.raises(ValueError, match="was loaded from a file"):
        again.exit_time()
    assert sf.load(tmp_path / "law.nc").dataset.identical(law.dataset)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        law.save(tmp_path / "law.nc")
    (tmp_path / "other.nc").write_bytes(b"no")
    with pytest.raises(ValueError, match="this is not a saved density"):
        sf.Density.load(tmp_path / "other.nc")
    points = np.random.default_rng(0).normal(0, 0.3, (500, 2))
    assert len(law.plot(tmp_path / "a.png", values=points, time=0.5).axes) == 3 and (tmp_path / "a.png").stat().st_size > 5000
    line = sf.density(WELL, sf.diffusion(sf.gd(lr=0.2), sigma=1.0), 0.1, grid=(-2, 2, 40), times=1.0)
    assert [t.get_text() for t in line.plot(values=points[:, 0]).axes[0].get_legend().get_texts()] == ["500 paths", "density"]
    with pytest.raises(ValueError, match=r"time=0\.3: choose one of"):
        law.plot(time=0.3)


NOISY = sf.noisy(sf.gd(lr=0.1), sigma=1.0)
REFUSED = {
    "three coordinates": ((sf.losses.quadratic([1.0, 1, 1]), NOISY), {}, "has 3 coordinates: a grid is for one or two"),
    "per path": ((WELL, sf.noisy(sf.sam(lr=0.1, rho=sf.per_path([0.1, 0.2])), sigma=1.0)), {}, "rho: rule .* several values"),
    "schedule": ((WELL, sf.noisy(sf.gd(lr=sf.schedule.cosine(0.1, steps=100)), sigma=1.0)), {}, "lr: .* or a schedule"),
    "samples": ((sf.losses.toy_network(batch_size=1), NOISY), {}, "random samples"),
    "sweep": ((WELL, sf.noisy(sf.gd(lr=[0.1, 0.2]), sigma=1.0)), {}, "lr: rule .* several values"),
    "momentum": ((WELL, sf.noisy(sf.gd(lr=0.1, momentum=0.9), sigma=1.0)), {}, "leave momentum out"),
    "no noise": ((WELL, sf.gd(lr=0.1)), {}, "it has no noise"),
    "signs": ((WELL, sf.noisy(sf.gd(lr=0.1), sigma=1.0, kind="sign")), {}, "give kind='normal'"),
    "not linear": ((WELL, sf.noisy(sf.sam(lr=0.1, rho=0.1), sigma=1.0, minibatch="same")), {}, "no linear function"),
    "sigma 0": ((WELL, sf.noisy(sf.gd(lr=0.1), sigma=0.0)), {}, "sigma: the noise of a step vanishes"),
    "sigma 0 of a diffusion": ((WELL, sf.diffusion(sf.gd(lr=0.1), sigma=0.0)), {}, "so the equation is degenerate"),
    "start outside": ((WELL, NOISY), {"start": 3.0}, "start=.*: it lies outside the grid"),
    "start at a wall": ((WELL, sf.diffusion(sf.gd(lr=0.1), sigma=1.0)), {"start": 1.99}, "lies in a cell at a wall"),
    "negative start": ((WELL, NOISY), {"start": lambda w: w[0]}, "start: it is negative"),
    "few cells": ((WELL, NOISY), {"grid": (-2, 2, 8)}, "give at least 16"),
    "odd cells": ((WELL, NOISY), {"grid": (-2, 2, 41)}, "give an even number"),
    "wrong ends": ((WELL, NOISY), {"grid": (2, -2, 40)}, "low end below the high end"),
    "wrong shape": ((WELL, NOISY), {"grid": [(-2, 2), (3, 4)]}, r"grid has shape \(2, 2\)"),
    "many cells": ((WELL, NOISY), {"grid": (-2, 2, 10**6)}, "give at most"),
    "narrow noise": ((WELL, sf.noisy(sf.gd(lr=1e-4), sigma=1.0)), {}, "give a smaller box, or more noise"),
    "between updates": ((WELL, NOISY), {"times": 0.15}, "whole multiples of 0.1"),
    "times": ((WELL, NOISY), {"times": [0.2, 0.1]}, "ascending times"),
    "walls": ((WELL, NOISY), {"walls": "open"}, "walls='open': choose one of"),
    "walls of an algorithm": ((WELL, NOISY), {"walls": "reflecting"}, "know no walls"),
    "scheme of an algorithm": ((WELL, NOISY), {"scheme": "tr-bdf2"}, "belongs to the Fokker-Planck"),
    "method": ((WELL, NOISY), {"method": "exact"}, "method='exact': choose one of"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    (loss, rule), changed, words = REFUSED[name]
    settings = {"start": 0.5, "grid": (-2, 2, 40), "times": 0.2} | changed
    start = settings.pop("start")
    with pytest.raises(ValueError, match=words) as caught:
        sf.density(loss, rule, start, **settings)
    assert "\n" not in str(caught.value)


ODD = [
    *(None, True, "1.5", 1j, math.nan, math.inf, -1.0, 0, 10**30, 1e300, [], [[]], [1.0, [2.0]], {"a": 1}, {1.0}, object()),
    float,
    *(np.zeros((2, 0)), np.ones((1, 2, 3)), np.ma.masked_array([1.0, 2.0], [True, False]), WELL, NOISY, print, b"x"),
]  # fmt: skip


@pytest.mark.parametrize("name", ["loss", "rule", "start", "grid", "times", "walls", "method", "scheme"])
@pytest.mark.parametrize("rule", ["noisy", "diffusion"])
def test_odd_arguments(name, rule):
    """A clear error in one line, raised by samfast, or a result."""
    good = {"loss": WELL, "rule": getattr(sf, rule)(sf.gd(lr=0.1), sigma=1.0), "start": 0.5, "grid": (-2, 2, 16), "times": 0.1}
    for value in ODD:
        given = good | {name: value}
        try:
            sf.density(given.pop("loss"), given.pop("rule"), given.pop("start"), **given)
        except (ValueError, TypeError) as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            assert "samfast" in frame.filename and "raise" in frame.line, (value, frame, error)
            assert "\n" not in str(error) and len(str(error)) < 400, value


def test_correlation_that_the_cells_cannot_carry():
    factor = sf.matrix([[1.0, 0.0], [3.9, 0.2]])
    rule, box = sf.diffusion(sf.gd(lr=0.1), sigma=factor), [(-2, 2, 40), (-2, 2, 40)]
    with pytest.raises(ValueError, match=r"widths have a ratio near 0\.256"):
        sf.density(sf.losses.double_well(), rule, [0.0, 0.0], grid=box, times=1.0)
