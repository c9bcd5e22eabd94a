"""Outcomes: every state is told apart, without noise where it is known, and with noise by the shares."""

import numpy as np
import pytest

import samfast as sf

WELLS, BOX = sf.losses.double_well(), [(-2, 2), (-1.5, 1.5)]


def test_each_state_is_told_apart():
    """Starts whose end is known: both minima, the saddle from its axis, and too few updates to arrive."""
    start = np.array([[-0.5, 0.1], [0.5, 0.1], [0.0, 0.5], [1e-7, 0.0]])
    ends = sf.outcomes(WELLS, sf.gd(lr=0.1), start, steps=100, box=BOX)
    kinds = [ends.names[i] for i in ends.index]
    assert kinds == ["minimum (-1, 0)", "minimum (1, 0)", "saddle (0, 0)", "saddle (0, 0)"]
    assert set(np.array(ends.names)[sf.outcomes(WELLS, sf.gd(lr=0.001), start[:2], steps=20, box=BOX).index]) == {"moving"}
    away = sf.outcomes(sf.losses.saddle(), sf.gd(lr=0.1), [0.1, 0.1], steps=40, box=BOX)
    lost = sf.outcomes(sf.losses.saddle(), sf.gd(lr=0.1), [0.1, 0.1], steps=5000, box=BOX)
    assert away.names[away.index[0]] == "away" and lost.names[lost.index[0]] == "diverged"
    np.testing.assert_array_equal(ends.shares, [0.25, 0.25, 0.5, 0, 0, 0][: len(ends.names)])


def test_normalised_sam_that_bounces_about_the_saddle_is_at_it():
    """`within` is from the bounce: the path comes no closer than lr*rho/(2 + lr) = 0.012, beyond the default of 0.01."""
    ends = sf.outcomes(WELLS, sf.sam(lr=0.05, rho=0.5, normalize=True), [0.01, 0.0], steps=500, box=BOX)
    assert ends.names[ends.index[0]] == "saddle (0, 0)"


def test_shares_over_a_sweep():
    """Below rho = 1/|eigenvalue| the saddle holds nobody, and the wells are alike; above, it holds most."""
    rule = sf.noisy(sf.sam(lr=0.05, rho=[0.5, 1.4]), sigma=0.2)
    ends = sf.outcomes(WELLS, rule, [0.0, 0.0], steps=2000, box=BOX, paths=400)
    ds = ends.dataset
    assert ds["share"].dims == ("rho", "state") and ds["share"].sel(state="saddle (0, 0)")[0] == 0
    one, other = (float(ds["share"].sel(rho=0.5, state=f"minimum ({x}, 0)")) for x in (-1, 1))
    assert abs(one - other) < 5 / np.sqrt(400) and one + other > 0.95  # of a fair coin: 5 standard deviations
    assert ds["share"].sel(rho=1.4, state="saddle (0, 0)") > 0.5
    np.testing.assert_allclose(ds["share"].sum("state"), 1, rtol=1e-14)
    assert "saddle (0, 0)" in str(ends) and ends.plot().axes[0].get_xlabel() == "rho"
    with pytest.raises(ValueError, match="no critical point was found"):
        sf.outcomes(WELLS, rule, [0.0, 0.0], steps=10, box=[(3, 4), (3, 4)])
