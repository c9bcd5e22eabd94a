"""Critical points, basins, curvature maps, flows, manifolds and cases, on losses where they are known."""

import numpy as np
import plain
import pytest
from pictures import panels, shade
from tolerance import relative

import samfast as sf
from samfast.plotting import GREY, colour

BEALE, WELL, SADDLE = sf.losses.beale(), sf.losses.double_well(), sf.losses.saddle()
SQUARE = [(-4.5, 4.5), (-4.5, 4.5)]


# --- critical points -----------------------------------------------------------------------------------------------------
def test_beale_has_one_minimum_and_two_saddles():
    low, second, first = sf.critical_points(BEALE, SQUARE)
    assert [c.kind for c in (low, second, first)] == ["minimum", "saddle", "saddle"]
    np.testing.assert_allclose(low.position, [3, 0.5], atol=1e-12)
    np.testing.assert_allclose(low.eigenvalues, [0.301464, 48.979786], atol=5e-7)
    np.testing.assert_allclose(first.position, [0, 1], atol=1e-12)
    np.testing.assert_allclose(first.eigenvalues, [-27.75, 27.75], rtol=1e-12)
    assert first.value == pytest.approx(14.203125, abs=1e-12) and first.index == 1
    np.testing.assert_allclose(np.abs(first.eigenvectors), np.full((2, 2), np.sqrt(0.5)), rtol=1e-9)
    assert np.sign(first.eigenvectors).prod(0).tolist() == [-1, 1]  # (1, -1) for -27.75, (1, 1) for 27.75
    np.testing.assert_allclose(second.position, [0.1005379, -2.6445136], atol=5e-8)
    np.testing.assert_allclose(second.eigenvalues, [-0.781027, 867.752], rtol=1e-6)
    thresholds = [-1 / c.eigenvalues[0] for c in (first, second)]
    np.testing.assert_allclose(thresholds, [0.036036, 1.28], rtol=1e-3)


def test_points_of_a_box_and_from_a_start():
    assert [c.kind for c in sf.critical_points(WELL, [(-2, 2), (-1, 1)])] == ["minimum", "minimum", "saddle"]
    [only] = WELL.critical_points([(0.5, 2), (-1, 1)], starts=20)
    np.testing.assert_allclose(only.position, [1, 0], atol=1e-12)
    assert only.value == -0.25 and np.allclose(only.eigenvalues, [1, 2])
    assert WELL.critical_point([0.1, 0.2]).index == 1
    upside = sf.losses.quadratic([-1.0, -2.0, -3.0]).critical_point([1.0, 1, 1])
    assert upside.kind == "maximum" and upside.index == 3 and "maximum of index 3" in repr(upside)
    given = sf.critical_points(WELL, [(-2, 2), (-1, 1)], starts=[[0.9, 0.1], [1.1, 0.0], [-1.2, 0.0]])
    assert [round(c.position[0]) for c in given] == [-1, 1]


def test_degenerate_points():
    """The minima of the toy network are a line, its ridge too."""
    found = sf.critical_points(sf.losses.toy_network(), [(0.2, 1), (0.2, 1)], starts=10)
    assert len(found) > 3 and all(c.kind == "degenerate" and c.index == 0 for c in found)
    for c in found:
        assert c.position[1] * c.position[0] ** 2 == pytest.approx(0.5, abs=1e-9)
    ridge = sf.losses.toy_network().critical_point([0.0, 0.6])
    assert ridge.degenerate and ridge.index == 1 and ridge.value == 2.5
    assert sf.losses.quadratic([1.0, 0.0]).critical_point([0.0, 0.3]).kind == "degenerate"
    for small, kind in ((0.99e-6, "degenerate"), (1.01e-6, "minimum"), (-0.99e-6, "degenerate"), (-1.01e-6, "saddle")):
        edge = sf.losses.quadratic([1.0, small]).critical_point([0.1, 0.1])  # 1e-6 of the largest counts as zero
        assert edge.kind == kind and edge.index == (kind == "saddle")


# --- maps -----------------------------------------------------------------------------------------------------------------
def test_fractions_of_positive_curvature():
    """Kim et al., Fig. 6, on a 181 x 181 grid."""
    rho = [0.0, 0.03, 0.04, 0.05, 0.1, 0.5]
    both = (sf.eigenvalue_map(BEALE, SQUARE, rho=rho) > 0).all("mode").mean(("w0", "w1"))
    assert both.dims == ("rho",)
    np.testing.assert_allclose(both, [0.110, 0.804, 0.829, 0.847, 0.892, 0.961], atol=5e-4)
    at = sf.eigenvalue_map(BEALE, [(-1, 1), (0, 2)], rho=0.1, shape=(3, 3)).sel(w0=0, w1=1)
    np.testing.assert_allclose(at, [-27.75 + 77.00625, 27.75 + 77.00625], rtol=1e-12)


def test_basins_of_the_double_well():
    """Constant rho: the basin of the saddle is |x| < sqrt(1 - 1/rho) exactly, for 1 < rho < 4."""
    rho, shape = 1.5, (41, 5)
    got = sf.basins(WELL, sf.sam(lr=0.05, rho=rho), [(-1.1, 1.1), (-1, 1)], shape=shape, steps=2000)
    kinds = [round(a[0]) for a in got.attractors]
    assert kinds == [-1, 1, 0]
    x = got.axes[0]
    expected = np.where(np.abs(x) < np.sqrt(1 - 1 / rho), 2, np.where(x < 0, 0, 1))
    np.testing.assert_array_equal(got.index, np.repeat(expected[:, None], 5, 1))
    np.testing.assert_allclose(got.fractions, np.bincount(expected, minlength=3) / 41)
    assert got.dataset["index"].dims == ("w0", "w1")
    shares = (f"{f} within 0.01 of {a}" for f, a in (("0.2439", [-1.0, 0.0]), ("0.2439", [1.0, 0.0]), ("0.5122", [0.0, 0.0])))
    assert repr(got) == f"Basins((41, 5) starts, 2,000 steps: {', '.join(shares)}; 0.0000 near none, 0.0000 diverged)"


def test_a_path_that_bounces_about_a_point_is_there():
    """Normalised SAM on w^2/2 ends in the two-cycle +-lr*rho/(2 - lr); `within` knows its size and says it."""
    lr, rho = 0.5, 0.3
    rule, loss, box = sf.sam(lr=lr, rho=rho, normalize=True), sf.losses.quadratic([1.0]), [(-1, 1)]
    end = lr * rho / (2 - lr)
    got = sf.basins(loss, rule, box, shape=(40,), steps=200)
    assert end > 0.05 and 1.0 <= got.within[0] / (lr * rho) <= 1.3 and got.fractions.tolist() == [1.0]
    assert f"1.0000 within {got.within[0]:.3g} of [0.0]" in repr(got)
    with pytest.warns(RuntimeWarning, match=rf"100\.0% of the starts .* half of them within {end:.3g} of one: give within="):
        missed = sf.basins(loss, rule, box, shape=(40,), steps=200, within=0.01)
    assert missed.not_close == 1.0 and (missed.index == -1).all() and missed.diverged == 0.0


@pytest.mark.parametrize("rule", [sf.gd(lr=0.1), sf.sam(lr=0.1, rho=0.5), sf.heavy_ball(sf.gd(lr=0.1), momentum=0.5)])
def test_rules_that_come_to_rest_have_no_bounce(rule):
    from samfast.landscape.basins import bounce

    assert bounce(WELL, rule, np.array([0.0, 0.0])) == 0.0
    normalized = bounce(WELL, sf.sam(lr=0.1, rho=0.5, normalize=True), np.array([1.0, 0.0]))
    assert normalized == pytest.approx(0.1 * np.hypot(1.5**3 - 1.5, 0.5), rel=1e-5, abs=0)  # from (1.5, 0) and (1, 0.5)


def test_diverged_is_not_the_same_as_near_nothing():
    """On x^4/4 - x^2/2 gradient descent with lr = 0.1 runs away from |x| > sqrt(21), and else ends at -1 or 1."""
    got = sf.basins(WELL, sf.gd(lr=0.1), [(-6, 6), (-1, 1)], shape=(60, 3), steps=3000, attractors=[[-1, 0], [1, 0]])
    away = np.abs(got.axes[0]) > np.sqrt(21)
    np.testing.assert_array_equal(got.index == -2, np.repeat(away[:, None], 3, 1))
    assert got.diverged == away.mean() > 0.1 and got.not_close == 0.0
    assert got.fractions.sum() + got.diverged == relative(1.0, 1e-12)  # shares of all starts
    assert f"{away.mean():.4f} diverged" in repr(got)


def test_of_two_attractors_the_nearer_counts():
    """Both are closer than `within` to every end."""
    got = sf.basins(WELL, sf.gd(lr=0.1), [(-2, 2), (-1, 1)], shape=(8, 3), steps=300, attractors=[[-1, 0], [1, 0]], within=3.0)
    np.testing.assert_array_equal(got.index, np.repeat((got.axes[0] > 0)[:, None], 3, 1))


def test_a_bounce_far_from_quadratic_is_known():
    """rho reaches half way to the saddle of this well, where the step about the minimum is 0.094, not lr*rho*2 = 0.05."""
    got = sf.basins(WELL, sf.sam(lr=0.05, rho=0.5, normalize=True), [(-2, 2), (-2, 2)], shape=(40, 40), steps=2000)
    assert got.not_close == 0 and got.diverged == 0
    at = {tuple(np.round(a).astype(int).tolist()): f for a, f in zip(got.attractors, got.fractions, strict=True)}
    assert at[-1, 0] == at[1, 0] == pytest.approx(0.4075, rel=1e-12, abs=0) and at[0, 0] == pytest.approx(
        0.185, rel=1e-12, abs=0
    )


def test_pictures_of_basins_and_flows(tmp_path):
    got = sf.basins(WELL, sf.gd(lr=0.1), [(-6, 6), (-1, 1)], shape=(60, 3), steps=3000, attractors=[[-1, 0], [1, 0]])
    [axes] = got.plot(tmp_path / "basins.png").axes
    np.testing.assert_array_equal(np.asarray(axes.collections[0].get_array()).reshape(3, 60), got.index.T)
    labels = [t.get_text() for t in axes.get_legend().get_texts()]
    assert labels == [f"(-1, 0): {got.fractions[0]:.1%}", f"(1, 0): {got.fractions[1]:.1%}", f"diverged: {got.diverged:.1%}"]
    mesh, handles = axes.collections[0], axes.get_legend().legend_handles
    for index, name in enumerate(labels[:2]):  # -2 is white, -1 would be grey
        assert shade(mesh.cmap(mesh.norm(index))) == shade(handles[index].get_color()) == shade(colour(index, 2)), name
    assert shade(mesh.cmap(mesh.norm(-2))) == shade(handles[2].get_color()) == "#ffffff"
    assert shade(mesh.cmap(mesh.norm(-1))) == shade(GREY)
    flow, box = sf.Flow(WELL, sf.sam(lr=0.1, rho=0.2)), [(-1.5, 1.5), (-1, 1)]
    axes, bar = flow.plot(box, tmp_path / "flow.pdf", shape=(7, 5)).axes
    arrows, (points, velocity) = axes.collections[0], flow.field(box, (7, 5))
    speed = np.linalg.norm(velocity, axis=-1, keepdims=True)
    np.testing.assert_allclose(arrows.U, (velocity / np.where(speed > 0, speed, 1.0))[..., 0].ravel(), rtol=1e-12)
    np.testing.assert_allclose(arrows.get_offsets(), points.reshape(-1, 2))
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["minimum", "saddle"] and "speed" in bar.get_ylabel()
    (panel, _) = panels(axes.figure)
    for kind, mark, points in (("minimum", "o", [[-1, 0], [1, 0]]), ("saddle", "X", [[0, 0]])):
        found = panel.curve(label=kind, mark=mark)
        np.testing.assert_allclose(sorted(found.finite.T.tolist()), points, atol=1e-9)
    shown = np.asarray(arrows.get_array())
    np.testing.assert_allclose(shown, np.log10(np.maximum(speed, 1e-300)).ravel(), rtol=1e-12)
    assert (panel.xlabel, panel.ylabel) == ("$w_0$  (length)", "$w_1$  (length)")
    assert (tmp_path / "basins.png").read_bytes()[:4] == b"\x89PNG" and (tmp_path / "flow.pdf").read_bytes()[:4] == b"%PDF"
    with pytest.raises(ValueError, match=r"plot: the loss has 1 coordinates; it draws two"):
        sf.Flow(sf.losses.quadratic([1.0]), sf.gd(lr=0.1)).plot([(-1, 1)])


@pytest.mark.parametrize("rho, end", [(1.01, 1), (1.5, 0), (3.0, 0)])
def test_one_start_of_the_double_well(rho, end):
    """Kim et al., Fig. 2, from (0.1, 0.8): sqrt(1 - 1/rho) is below 0.1 for the first radius only."""
    _, path = sf.Flow(WELL, sf.sam(lr=1.0, rho=rho)).trajectory([0.1, 0.8], 400.0)
    np.testing.assert_allclose(path[-1], [end, 0], atol=1e-6)


@pytest.mark.slow
def test_basins_of_beale():
    """Of a 37 x 37 grid of starts constant rho 0.05 traps 64 at (0, 1); starts that diverge belong to nothing."""
    got = sf.basins(BEALE, sf.sam(lr=1e-4, rho=0.05), SQUARE, shape=(37, 37), steps=20_000, attractors=[[0, 1], [3, 0.5]])
    assert (got.index == 0).sum() == 64 and (got.index == -2).sum() > 1000 and got.index.min() == -2
    assert got.fractions[0] == 64 / 37**2


@pytest.mark.slow
def test_basins_of_beale_with_normalized_rho():
    got = sf.basins(BEALE, sf.sam(lr=1e-4, rho=0.5, normalize=True), SQUARE, shape=(37, 37), steps=20_000, attractors=[[0, 1]])
    assert abs(int((got.index == 0).sum()) - 122) <= 2


# --- flows -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "rule, perturb",
    [
        (sf.gd(lr=0.3), lambda w, g: w),
        (sf.sam(lr=0.3, rho=0.04), lambda w, g: w + 0.04 * g),
        (sf.sam(lr=0.3, rho=0.2, normalize=True), lambda w, g: w + 0.2 * g / np.linalg.norm(g, axis=-1, keepdims=True)),
    ],
    ids=["gd", "sam", "normalized"],
)
def test_field(rule, perturb):
    points, velocity = sf.Flow(BEALE, rule).field([(-1, 2), (-1, 1.5)], (7, 5))
    assert points.shape == velocity.shape == (7, 5, 2)
    np.testing.assert_array_equal(points[3, 0], [0.5, -1])
    np.testing.assert_allclose(velocity, -BEALE.gradient(perturb(points, BEALE.gradient(points))), rtol=1e-10, atol=1e-10)


def test_jacobian_at_critical_points():
    """-(H + rho H^2), and the chain drift's -(H (1 + rho H)^2), on losses with vector parameters too."""
    rho = 0.05
    for point in ([3, 0.5], [0, 1]):
        h = BEALE.hessian(point)
        direct, chain = (sf.Flow(BEALE, sf.sam(lr=1, rho=rho, drift=d)).jacobian(point) for d in ("plain", "chain"))
        np.testing.assert_allclose(direct, -(h + rho * h @ h), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(chain, -h @ (np.eye(2) + rho * h) @ (np.eye(2) + rho * h), rtol=1e-9, atol=1e-9)
    e = np.array([2.0, -1.0, 0.5])
    np.testing.assert_allclose(
        sf.Flow(sf.losses.quadratic(e), sf.sam(lr=1, rho=0.3)).jacobian(np.ones(3)), -np.diag(e * (1 + 0.3 * e))
    )


def test_trajectory_of_a_linear_flow():
    flow = sf.Flow(SADDLE, sf.sam(lr=1, rho=0.2))
    rates = np.array([-2 * 1.4, 2 * 0.6])
    times, path = flow.trajectory([1.0, 0.1], 1.5, points=20)
    np.testing.assert_allclose(path, np.array([1.0, 0.1]) * np.exp(np.outer(times, rates)), rtol=1e-6)
    times, path = flow.trajectory([1.0, 0.1], -50.0, box=[(-3, 3), (-3, 3)])
    assert times[-1] == relative(-np.log(3) / 2.8, 1e-6) and path[-1, 0] == relative(3, 1e-6)


def test_a_flow_that_runs_away(monkeypatch):
    monkeypatch.setattr("samfast.landscape.flow.MOST", 2000)
    with pytest.raises(ValueError, match=r"time=-400.0: the integration needs more than 2,000 .* the flow runs away"):
        sf.Flow(WELL, sf.sam(lr=1, rho=1.5)).trajectory([0.1, 0.8], -400.0)


def test_manifolds_of_the_double_well():
    """Stable: the line x = 0; unstable: y = 0, to both minima."""
    flow = sf.Flow(WELL, sf.gd(lr=1))
    box = [(-2, 2), (-1.5, 1.5)]
    up, down = flow.manifold([0, 0], "stable", box=box)
    assert np.abs(np.concatenate([up, down])[:, 0]).max() < 1e-6
    assert sorted([up[-1, 1], down[-1, 1]]) == relative([-1.5, 1.5], 1e-12)
    ends = sorted(branch[-1, 0] for branch in flow.manifold([0, 0], "unstable", box=box))
    assert ends == pytest.approx([-1, 1], abs=1e-8)
    captured = sf.Flow(WELL, sf.sam(lr=1, rho=1.5))
    assert captured.manifold([0, 0], "unstable", box=box) == [] and len(captured.manifold([0, 0], "stable", box=box)) == 4


def test_manifold_of_beale_parts_the_basins():
    """Starts next to the stable manifold of (0, 1), on its two sides, end at the minimum or in the valley to infinity."""
    flow = sf.Flow(BEALE, sf.gd(lr=1))
    branch = flow.manifold([0, 1], "stable", box=[(-1, 1), (0, 2)])[0]
    middle, along = branch[200], branch[201] - branch[199]
    normal = np.array([-along[1], along[0]]) / np.linalg.norm(along)
    ends = [flow.trajectory(middle + side * 0.01 * normal, 60.0)[1][-1] for side in (1, -1)]
    near = [np.linalg.norm(end - [3, 0.5]) < 0.05 for end in ends]
    assert sorted(near) == [False, True]


# --- cases -----------------------------------------------------------------------------------------------------------------
def test_cases():
    """Far from the boundary, across it, beside the saddle, beside the boundary away from the saddle; any scale of boundary."""
    saddle = np.zeros(2)
    w = np.array([[1.0, 0.0], [0.1, 0.5], [0.1, 0.01], [-0.1, 0.01], [0.01, 0.0], [0.1, 0.9], [-0.19, 3.0], [-0.21, 3.0]])
    p = np.array([[0.5, 0.0], [-0.2, 0.5], [0.05, 0.0], [0.2, 0.0], [-0.02, 0.0], [0.1, 0.7], [-0.1, 3.0], [-0.1, 3.0]])
    for scale in (1.0, 100.0, 0.01):
        assert sf.cases(w, p, lambda w, k=scale: k * w[0], saddle, near=0.2).tolist() == [1, 3, 0, 3, 3, 2, 2, 1]
    assert sf.cases(w, p, lambda w: w[0], saddle, near=2.0).tolist() == [0, 3, 0, 3, 3, 0, 2, 2]


def test_cases_of_a_captured_trajectory():
    """SAM above the threshold: every w^p on the other side; below it none."""
    for rho, expected in ((1.5, {3}), (0.5, {0})):
        rule = sf.sam(lr=0.05, rho=rho)
        seen = plain.values(
            WELL,
            rule,
            [[0.1, 0.0]],
            range(0, 40, 5),
            observe=sf.observe.several(sf.observe.position(), sf.observe.perturbed(rule)),
        )
        found = sf.cases(seen[..., :2], seen[..., 2:], lambda w: w[0], [0, 0], near=1.0)
        assert set(found.ravel().tolist()) == expected


# --- mistakes ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "error, pattern, call",
    [
        (ValueError, r"start has shape \(3,\): give shape \(2,\)", lambda: BEALE.critical_point([1, 2, 3])),
        (
            ValueError,
            r"box=\[\(1, -1\), .*: give \(low, high\) with low < high",
            lambda: BEALE.critical_points([(1, -1), (0, 1)]),
        ),
        (ValueError, r"starts has shape \(1, 3\)", lambda: BEALE.critical_points(SQUARE, starts=[[1, 2, 3]])),
        (
            ValueError,
            r"has random samples: give the mean loss",
            lambda: sf.losses.toy_network(batch_size=1).critical_point([1, 2]),
        ),
        (
            ValueError,
            r"eigenvalue: loss 'quadratic' has several values of it; choose one by loss.replace\(eigenvalue=",
            lambda: sf.losses.quadratic([[1.0], [2.0]]).critical_point([1]),
        ),
        (
            ValueError,
            r"attractors: no critical point was found in the box",
            lambda: sf.basins(WELL, sf.gd(lr=0.1), [(5, 6), (5, 6)], shape=(3, 3), steps=1),
        ),
        (ValueError, r"shape=\(3,\): give one number of points", lambda: sf.eigenvalue_map(WELL, SQUARE, shape=(3,))),
        (ValueError, r"rho=\[0.1, 0.2\]: give one number", lambda: sf.Flow(WELL, sf.sam(lr=0.1, rho=[0.1, 0.2]))),
        (TypeError, r"it has no direction; give one made by", lambda: sf.Flow(WELL, None)),
        (
            ValueError,
            r"kind='strange': choose one of",
            lambda: sf.Flow(WELL, sf.gd(lr=1)).manifold([0, 0], "strange", box=SQUARE),
        ),
        (
            ValueError,
            r"has no derivative there; use gd or SAM with constant rho",
            lambda: sf.Flow(BEALE, sf.sam(lr=1, rho=1, normalize=True)).manifold([0, 1], "stable", box=SQUARE),
        ),
        (
            ValueError,
            r"start=\[1.0\]: the root finder reached no point",
            lambda: sf.Loss("slope", 1, lambda w, p: w[0]).critical_point([1.0]),
        ),
        (ValueError, r"perturbed has shape \(1,\) and w \(2,\)", lambda: sf.cases([1, 2], [1], len, [0, 0], near=1)),
    ],
)
def test_mistakes(error, pattern, call):
    with pytest.raises(error, match=pattern):
        call()
