"""Monte Carlo against the exact moments of the discretised recursion, so that no time-step bias hides a fault.

Every z-score is about a standard normal; the limit 5 over some 900 of them is a false alarm in 5e-4 of all seeds (the
settings of one run share their noise, so fewer are independent). With 2^17 paths a variance wrong by 3.1 % (8 standard
deviations of 0.39 %) is found in 99.9 % of all seeds, a mean wrong by 0.022 standard deviations of a path, a kurtosis
of 3 wrong by 0.11, a correlation of 0.022 between neighbouring paths.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from tolerance import relative

import samfast as sf
from samfast import theory
from samfast.simulation import prepare

PATHS, SEED = 2**17, 5
TIMES = np.array([1, 2, 7, 30])
LR, BATCH, START, DAMPENING = 0.1, 8, 0.4, 0.25
# a grid: a saddle direction and a minimum, SGD and SAM, without momentum and with
EIGENVALUE = np.array([-1.0, 1.5])[:, None, None]
RHO = np.array([0.0, 0.2])[:, None]
MOMENTUM = np.array([0.0, 0.6])
LOSS = sf.losses.quadratic(EIGENVALUE[..., None])
ALGORITHMS = [("plain", "descent"), ("plain", "same"), ("plain", "independent"), ("chain", "same")]
NOISE = {"descent": "exact"}  # the theory's name of it


def simulate(rule, times=TIMES, loss=LOSS, start=START, seed=SEED, paths=PATHS):
    return sf.simulate(loss, rule, [start], record=times, paths=paths, seed=seed, moments=4)


def neighbours(run):
    """z-scores of the correlation between the last positions of paths that follow each other."""
    w = run.final()[..., 0]
    w = (w - w.mean(-1, keepdims=True)) / w.std(-1, keepdims=True)
    return (w[..., 1:] * w[..., :-1]).sum(-1) / np.sqrt(w.shape[-1])


def scores(run, mean, var, cumulant=0.0):
    """z-scores by name of arrays (*sweep, time); `cumulant` is the fourth over var^2, 0 for a Gaussian."""
    n, seen = run.paths, run.var[..., 0]
    kurtosis = run.central(4)[..., 0] / run.central(2)[..., 0] ** 2
    found = {
        "mean": (run.mean[..., 0] - mean) / np.sqrt(var / n),
        "neighbours": neighbours(run),
        "variance": (seen / var - 1) / np.sqrt((2 + cumulant) / n),
    }
    if np.ndim(cumulant) == 0:
        found["skewness"] = run.central(3)[..., 0] / run.central(2)[..., 0] ** 1.5 / np.sqrt(6 / n)
        found["kurtosis"] = (kurtosis - 3) / np.sqrt(24 / n)
    return found


def worst(found):
    return max(float(np.abs(z).max()) for z in found.values())


def assert_agree(found):
    assert worst(found) < 5, {k: float(np.abs(z).max()) for k, z in found.items()}


def heavy(drift):
    return sf.sam(lr=LR, rho=RHO, momentum=MOMENTUM, dampening=DAMPENING, drift=drift)


@cache
def algorithm(drift, minibatch):
    return simulate(sf.noisy(heavy(drift), batch_size=BATCH, minibatch=minibatch))


def algorithm_moments(drift, noise, rho=RHO):
    """(curvature, moments (*sweep, time)) of the heavy ball, exact; momentum 0 is plain SGD or SAM."""
    kappa = theory.curvature(EIGENVALUE, rho=rho, drift=drift)[..., None]
    factor = theory.noise_factor(EIGENVALUE, rho=rho, drift=drift, noise=noise)[..., None]
    size = factor * np.abs(EIGENVALUE[..., None]) / BATCH
    m = theory.heavy_ball_moments(
        TIMES, curvature=kappa, lr=LR, momentum=MOMENTUM[:, None], dampening=DAMPENING, gradient_variance=size, start=START
    )
    return kappa, size, m


@pytest.mark.parametrize(("drift", "minibatch"), ALGORITHMS)
def test_algorithm(drift, minibatch):
    """SGD, SAM and their heavy balls on minibatch gradients: four moments of w at four times."""
    run = algorithm(drift, minibatch)
    kappa, size, m = algorithm_moments(drift, NOISE.get(minibatch, minibatch))
    assert_agree(scores(run, m.mean, m.var))
    # without momentum these are the closed forms of the simple recursion
    lr = LR * (1 - DAMPENING)
    first = np.s_[..., 0, :]
    simple = theory.em_variance(TIMES, curvature=kappa, diffusion=lr * size / 2, dt=lr)
    np.testing.assert_allclose(m.var[first], simple[first], rtol=1e-12)
    simple = theory.em_mean(TIMES, curvature=kappa, dt=lr, start=START)
    np.testing.assert_allclose(m.mean[first], simple[first], rtol=1e-12)


@pytest.mark.parametrize(("drift", "minibatch"), ALGORITHMS)
def test_momentum_of_the_algorithm(drift, minibatch):
    """Mean, variance and covariance of the momentum buffer with w, at the end."""
    run = algorithm(drift, minibatch)
    w, v = run.final()[..., 0], run.final("v")[..., 0]
    m = [x[..., -1] for x in algorithm_moments(drift, NOISE.get(minibatch, minibatch))[2]]
    mean, mean_v, var, cov, var_v = m
    seen = ((w - mean[..., None]) * (v - mean_v[..., None])).mean(-1)
    assert_agree(
        {
            "mean": (v.mean(-1) - mean_v) / np.sqrt(var_v / PATHS),
            "variance": (v.var(-1) / var_v - 1) / np.sqrt(2 / PATHS),
            "covariance": (seen - cov) / np.sqrt((var * var_v + cov * cov) / PATHS),
        }
    )


# diffusion at a step of its own --------------------------------------------------------------------------------------
DT = 0.04


def diffusion_rule(kind="normal", rho=RHO[:, 0], batch_size=BATCH):
    return sf.diffusion(sf.sam(lr=LR, rho=rho), batch_size=batch_size, dt=DT, kind=kind)


FLAT = sf.losses.quadratic(EIGENVALUE[..., 0, None])


@cache
def diffusion(kind="normal"):
    return simulate(diffusion_rule(kind), loss=FLAT)


def diffusion_moments():
    """(mean, variance) of shape (eigenvalue, rho, time)."""
    kappa = theory.curvature(EIGENVALUE, rho=RHO)
    d = theory.diffusion_coefficient(EIGENVALUE, lr=LR, batch_size=BATCH)
    return (
        theory.em_mean(TIMES, curvature=kappa, dt=DT, start=START),
        theory.em_variance(TIMES, curvature=kappa, diffusion=d, dt=DT),
    )


def test_diffusion():
    mean, var = diffusion_moments()
    assert_agree(scores(simulate(diffusion_rule(), loss=FLAT), mean, var))


def test_diffusion_of_two_point_noise():
    """The same mean and variance; the fourth cumulant of a sum of signs c_k is -2 sum c_k^4."""
    mean, var = (x[..., 1:] for x in diffusion_moments())  # after one step the squares are no random numbers
    q = 1 - DT * theory.curvature(EIGENVALUE, rho=RHO)
    power = [(q[..., None] ** (4 * np.arange(n))).sum(-1) for n in TIMES[1:]]
    one = 2 * DT * theory.diffusion_coefficient(EIGENVALUE, lr=LR, batch_size=BATCH)
    cumulant = -2 * one**2 * np.concatenate(power, -1) / var**2
    run = simulate(diffusion_rule("sign"), TIMES[1:], FLAT)
    assert_agree(scores(run, mean, var, cumulant))
    kurtosis = run.central(4)[..., 0] / run.central(2)[..., 0] ** 2
    assert np.abs(kurtosis - 3 - cumulant).max() < 5 * np.sqrt(24 / PATHS)
    assert np.abs(cumulant[..., 0]).min() > 20 * np.sqrt(24 / PATHS)


def test_explicit_diffusion_with_momentum():
    """Euler-Maruyama of the momentum SDE (Kim et al., Theorem 3, with the chain drift), exact at any dt."""
    rule = sf.diffusion(heavy("chain"), batch_size=BATCH, dt=DT, scheme="explicit")
    times = TIMES[1:]  # in the first step the position does not move at random
    run = simulate(rule, times)
    kappa = theory.curvature(EIGENVALUE, rho=RHO, drift="chain")[..., None]
    d = theory.diffusion_coefficient(EIGENVALUE, lr=LR, batch_size=BATCH)[..., None]
    m = theory.momentum_em_moments(
        times,
        curvature=kappa,
        diffusion=d,
        lr=LR,
        momentum=MOMENTUM[:, None],
        dampening=DAMPENING,
        dt=DT,
        scheme="explicit",
        start=START,
    )
    assert_agree(scores(run, m.mean, m.var))
    v = run.final("v")[..., 0]
    assert_agree(
        {
            "mean": (v.mean(-1) - m.mean_velocity[..., -1]) / np.sqrt(m.var_velocity[..., -1] / PATHS),
            "variance": (v.var(-1) / m.var_velocity[..., -1] - 1) / np.sqrt(2 / PATHS),
        }
    )


# common noise --------------------------------------------------------------------------------------------------------
def test_paired_difference_of_sgd_and_sam():
    """X^2 - Y^2 of SGD and SAM on the same noise: its mean within 5 standard errors, its variance within 5 %.

    The sample variance has a standard deviation of about 1 % here; independent streams would have a variance more than
    ten times larger.
    """
    lr, steps, value, rho = 0.004, 250, -1.0, 0.2
    rule = diffusion_rule(rho=[0.0, rho]).replace(lr=lr, dt=lr)
    run = simulate(rule, [steps], loss=FLAT.replace(eigenvalue=np.array([[[value]]])), start=0.0)
    x, y = run.final()[0, :, :, 0]
    kappa, d = value * (1 + rho * value), theory.diffusion_coefficient(value, lr=lr, batch_size=BATCH)
    sx, sy = (theory.em_variance(steps, curvature=k, diffusion=d, dt=lr) for k in (value, kappa))
    c = theory.em_crn_covariance(steps, curvature=value, other_curvature=kappa, diffusion=d, dt=lr)
    assert np.var(x * x - y * y) == relative(2 * (sx * sx + sy * sy - 2 * c * c), 0.05)
    assert abs(np.mean(x * x - y * y) - (sx - sy)) < 5 * np.std(x * x - y * y) / np.sqrt(PATHS)
    assert np.var(x * x - y * y) == relative(
        theory.paired_difference_variance(steps * lr, eigenvalue=value, lr=lr, rho=rho, batch_size=BATCH), 0.05
    )
    assert np.var(x * x - y[::-1] ** 2) > 10 * np.var(x * x - y * y)
    assert abs(np.mean(x * y) - c) < 5 * np.sqrt((sx * sy + c * c) / PATHS)


# planted defects: each must lie beyond 6 standard deviations ---------------------------------------------------------
def test_noise_of_dt_instead_of_its_root_is_found():
    """sqrt(2D) dt in place of sqrt(2D dt): the variance is dt times what it should be."""
    mean, var = diffusion_moments()
    found = scores(simulate(diffusion_rule(batch_size=BATCH / DT), loss=FLAT), mean, var)
    assert np.abs(found["variance"]).min() > 6


def test_the_wrong_sign_of_rho_is_found():
    mean, var = diffusion_moments()
    rule = diffusion_rule()
    wrong = replace(rule, params={**rule.params, "rho": -RHO[:, 0]}, bounded=rule.bounded - {"rho"})
    found = scores(simulate(wrong, loss=FLAT), mean, var)
    last = np.s_[..., 1, -1]  # SAM at the last time
    assert min(np.abs(found[k][last]).min() for k in ("mean", "variance")) > 6
    assert_agree({k: z[..., 0, :] for k, z in found.items() if k != "neighbours"})  # SGD is as it should be


@pytest.mark.parametrize(
    ("drift", "minibatch", "other"),
    [
        ("plain", "same", "independent"),
        ("plain", "independent", "same"),
        ("plain", "descent", "same"),
        ("chain", "same", "unit"),
    ],
)
def test_one_minibatch_for_another_is_found(drift, minibatch, other):
    """A normal used for both gradients in place of two, and the reverse."""
    m = algorithm_moments(drift, NOISE.get(other, other))[2]
    found = scores(algorithm(drift, minibatch), m.mean, m.var)
    assert np.abs(found["variance"][:, 1]).min() > 6


@pytest.mark.parametrize(
    ("right", "wrong", "name"),
    [
        ("draw(H, D, k // SERVED * CALLS,", "draw(H, D, k // (2 * SERVED) * CALLS,", "variance"),
        ("rounds_of_path(u64(first + base + 2 * l + odd),", "rounds_of_path(u64(first + base + 2 * l),", "neighbours"),
    ],
    ids=["normals of a call used twice", "two paths of one number"],
)
def test_a_fault_in_the_program_is_found(right, wrong, name, monkeypatch):
    """In the driver's own text: the simulation takes a changed program for the right one."""
    render = prepare.render

    def changed(*args, **options):
        program = render(*args, **options)
        assert program.text.count(right) == 1
        return replace(program, text=program.text.replace(right, wrong))

    monkeypatch.setattr("samfast.simulation.prepare.render", changed)
    mean, var = diffusion_moments()
    found = scores(simulate(diffusion_rule(), loss=FLAT), mean, var)[name]
    assert np.abs(found[..., -1]).min() > 6
