"""What an array means where a parameter is given: a sweep, unless a word says otherwise."""

import numpy as np
import plain
import pytest

import samfast as sf

DIM, LR, STEPS = 3, 0.1, 7
START = np.array([1.0, -2.0, 0.5])
ROWS = np.random.default_rng(0).uniform(0.2, 2.0, (5, DIM))


def bowl(w, p):
    return 0.5 * sf.total(p.a * w * w)


def shrunk(a):
    return START * (1 - LR * np.asarray(a)) ** STEPS


def test_vectors_of_a_loss():
    """One vector, a sweep of vectors, by loss and by replace; one for each path."""
    one = sf.loss(DIM, a=sf.vector(ROWS[0]))(bowl)
    swept = sf.loss(DIM, a=sf.vector(ROWS))(bowl)
    assert one.vectors == {"a"} and one.value(START) == pytest.approx(0.5 * (ROWS[0] * START**2).sum(), rel=1e-14, abs=0)
    run = sf.simulate(one, sf.gd(lr=LR), START, record=[STEPS], dtype="float64")
    np.testing.assert_allclose(run.final(), shrunk(ROWS[:1]), rtol=1e-13)
    for loss in (
        swept,
        one.replace(a=ROWS),
        one.replace(a=sf.vector(ROWS)),
        sf.loss(DIM, a=1.0)(bowl).replace(a=sf.vector(ROWS)),
    ):
        run = sf.simulate(loss, sf.gd(lr=LR), START, record=[STEPS], dtype="float64")
        assert run.sweep == (5,)
        np.testing.assert_allclose(run.final()[:, 0], shrunk(ROWS), rtol=1e-13)
    own = sf.simulate(sf.loss(DIM, a=sf.per_path(ROWS))(bowl), sf.gd(lr=LR), START, record=[STEPS], dtype="float64")
    assert own.paths == 5 and own.sweep == ()
    np.testing.assert_allclose(own.final(), shrunk(ROWS), rtol=1e-13)
    np.testing.assert_array_equal(own.replay(3, [STEPS]).values[0, 0], own.final()[3])


@pytest.mark.parametrize("k", [[0.3, 0.6], [0.3, 0.6, 1.2], [0.3, 0.6, 1.2, 1.5]], ids=len)
def test_an_array_for_a_number_is_a_sweep(k):
    """Three settings on three coordinates too, where the loss has said that it is a number."""
    run = sf.simulate(sf.loss(DIM, a=1.0)(bowl).replace(a=k), sf.gd(lr=LR), START, record=[STEPS], dtype="float64")
    assert run.sweep == (len(k),)
    np.testing.assert_allclose(run.final()[:, 0], shrunk(np.array(k)[:, None]), rtol=1e-13)


def test_a_learning_rate_for_each_coordinate():
    rates = np.array([0.1, 0.2, 0.3])
    run = sf.simulate(sf.losses.quadratic([1.0] * 3), sf.gd(lr=sf.vector(rates)), START, record=[STEPS], dtype="float64")
    np.testing.assert_allclose(run.final()[0], START * (1 - rates) ** STEPS, rtol=1e-13)


GD, SADDLE3 = sf.gd(lr=LR), sf.losses.quadratic([1.0, 2.0, -1.0])
AMBIGUOUS = {
    "loss": (
        lambda: sf.loss(DIM, a=ROWS),
        r"a has shape \(5, 3\) on 3 coord.*a=sf\.vector\(\.\.\.\); .*loss\.replace\(a=",
    ),
    "loss of three": (lambda: sf.loss(DIM, a=[1, 2, 3]), r"a has shape \(3,\).*sf\.vector"),
    "sigma": (lambda: sf.noisy(GD, sigma=[1, 2, 3]), r"sigma has shape \(3,\) on 3 .*sf\.vector.*shape \(3, 1\)"),
    "sigma by replace": (lambda: sf.noisy(GD, sigma=1.0).replace(sigma=[1, 2, 3]), r"sigma has shape \(3,\).*sf\.vector"),
    "a vector replaced": (lambda: sf.noisy(GD, sigma=sf.vector([1, 2, 3])).replace(sigma=[1, 2, 3]), r"sigma has shape \(3,\)"),
    "matrix": (lambda: sf.noisy(GD, sigma=np.eye(3)), r"sigma has shape \(3, 3\).*sf\.vector.*sigma=sf\.matrix.*\(3, 3, 1\)"),
    "diffusion": (lambda: sf.diffusion(GD, sigma=np.eye(3)), r"sigma has shape \(3, 3\).*sigma=sf\.matrix"),
    "pair": (lambda: sf.paired(GD, sf.noisy(GD, sigma=np.eye(3))), r"sigma_second has shape \(3, 3\)"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_an_array_that_could_mean_two_things_is_refused(name):
    make, pattern = AMBIGUOUS[name]
    with pytest.raises(ValueError, match=pattern) as caught:
        made = make()
        if name.startswith("loss"):
            made(bowl)
        sf.simulate(SADDLE3, made, START, record=[1])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error, pattern, call",
    [
        (ValueError, r"vector\(1\.0\): give one value per coordinate", lambda: sf.vector(1.0)),
        (ValueError, r"matrix has shape \(3,\): give a factor of shape \(dim, k\)", lambda: sf.matrix([1, 2, 3])),
        (ValueError, r"matrix has shape \(2, 3\): .*k at most dim", lambda: sf.matrix(np.ones((2, 3)))),
        (ValueError, r"lr: sf\.matrix is the factor of a covariance, for sigma", lambda: sf.gd(lr=sf.matrix(np.eye(2)))),
        (ValueError, r"a: sf\.matrix is the factor", lambda: sf.loss(2, a=sf.matrix(np.eye(2)))(bowl)),
        (
            ValueError,
            r"a has shape \(2,\): its last axis must have length dim=3",
            lambda: sf.loss(3, a=sf.vector([1, 2]))(bowl),
        ),
        (TypeError, r"matrix='x': give a number", lambda: sf.matrix("x")),
        (
            ValueError,
            r"sigma_0 has shape \(2,\): .*length dim=3",
            lambda: sf.simulate(SADDLE3, sf.noisy(GD, sigma=sf.matrix(np.eye(2))), START, record=[1]),
        ),
        (ValueError, r"per_path of shape \(2, 2, 2\)", lambda: sf.per_path(np.ones((2, 2, 2)))),
        (
            ValueError,
            r"lr: per_path of shape \(5, 2\); give one value per path, or vectors of shape \(paths, 3\)",
            lambda: sf.simulate(SADDLE3, sf.gd(lr=sf.per_path(ROWS[:, :2])), START, record=[1]),
        ),
    ],
)
def test_mistakes(error, pattern, call):
    with pytest.raises(error, match=pattern):
        call()


# --- covariance factors -------------------------------------------------------------------------------------------------
FACTOR = np.array([[0.5, 0.0, 0.0], [0.3, -0.2, 0.0], [-0.4, 0.1, 0.6]])
FLAT = sf.loss(DIM)(lambda w, p: 0.0 * w[0])


def noise_of(make, sigma, kind="normal"):
    """The noise of the first steps of many paths, drawn on a flat loss: -xi for lr=1, (step, path, dim)."""
    rule = make(sf.gd(lr=1.0), sigma=sigma, kind=kind)
    w = plain.values(FLAT, rule, np.zeros((20, DIM)), range(4))
    return np.diff(w, axis=0)


@pytest.mark.parametrize("kind", ["normal", "sign"])
@pytest.mark.parametrize("make", [sf.noisy, sf.diffusion], ids=["noisy", "diffusion"])
def test_a_factor_acts_on_the_same_numbers(make, kind):
    """xi = S z, number by number: with the numbers of sigma=1 known, nothing random is left."""
    z = noise_of(make, 1.0, kind)
    np.testing.assert_allclose(noise_of(make, sf.matrix(FACTOR), kind), z @ FACTOR.T, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        noise_of(make, sf.matrix(FACTOR[:, :2]), kind), z[..., :2] @ FACTOR[:, :2].T, rtol=1e-12, atol=1e-14
    )
    np.testing.assert_allclose(noise_of(make, sf.vector([1.0, 2.0, 3.0]), kind), z * [1, 2, 3], rtol=1e-12, atol=1e-14)


def test_the_covariance_of_the_heavy_ball_with_a_factor():
    """After two updates from rest: w_2 = -lr (xi_2 + (1 + momentum) xi_1), of which every moment is known.

    Six entries of a sample covariance of 20,000 paths, |z| < 5 each: false alarms 4e-6; a wrong sign or a transposed factor
    is off by more than 30.
    """
    n, lr, momentum = 20_000, 0.1, 0.5
    rule = sf.noisy(sf.gd(lr=lr, momentum=momentum), sigma=sf.matrix([FACTOR, 2 * FACTOR]))
    run = sf.simulate(FLAT, rule, np.zeros(DIM), record=[2], paths=n, seed=11)
    assert run.sweep == (2,)
    np.testing.assert_allclose(run.final()[1], 2 * run.final()[0], rtol=1e-12)
    exact = lr**2 * (1 + (1 + momentum) ** 2) * FACTOR @ FACTOR.T
    sd = np.sqrt((np.outer(np.diag(exact), np.diag(exact)) + exact**2) / n)
    assert (np.abs(np.cov(run.final()[0].T) - exact) < 5 * sd).all()


def test_a_factor_may_be_replaced_and_is_unrolled_beyond_a_few_coordinates():
    rule = sf.noisy(sf.gd(lr=1.0), sigma=sf.matrix(FACTOR))
    other = rule.replace(sigma=sf.matrix(2 * FACTOR))
    assert all(np.array_equal(other.params[f"sigma_{j}"], 2 * FACTOR[:, j]) for j in range(3))
    s = np.tril(np.random.default_rng(1).normal(size=(12, 12)))
    flat = sf.losses.quadratic(np.zeros(12))
    one, many = (plain.values(flat, sf.noisy(sf.gd(lr=1.0), sigma=x), np.zeros((3, 12)), [1])[0] for x in (1.0, sf.matrix(s)))
    np.testing.assert_allclose(many, one @ s.T, rtol=1e-11, atol=1e-13)
