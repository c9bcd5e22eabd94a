"""Observers along a trajectory against the same numbers computed from its positions, and a run as a dataset."""

import numpy as np
import plain
import pytest

import samfast as sf
from samfast import observe as O

BEALE = sf.losses.beale()
CONSTANT, NORMALIZED = sf.sam(lr=1e-4, rho=0.05), sf.sam(lr=1e-3, rho=0.5, normalize=True)
STARTS = np.array([[-0.75, 0.25], [0.5, 1.2], [-1.0, 0.1]])
TIMES = [0, 1, 2, 7, 40]


def perturbed(rule, w):
    g = BEALE.gradient(w)
    return w + rule.params["rho"] * (g / np.linalg.norm(g, axis=-1, keepdims=True) if rule is NORMALIZED else g)


def boundary(w):
    return w[0] + 0.3 * w[1] - 0.1


@pytest.mark.parametrize("rule", [CONSTANT, NORMALIZED], ids=["constant", "normalized"])
def test_what_is_seen_at_one_time(rule):
    point = [0.0, 1.0]
    observe = O.several(
        O.position(),
        O.perturbed(rule),
        O.cosine(rule),
        O.loss_value(),
        O.gradient_norm(),
        O.distance(point),
        O.distance([3, 0.5], name="far"),
        O.side(boundary),
        O.side(boundary, rule=rule, name="side_wp"),
    )
    seen = plain.values(BEALE, rule, STARTS, TIMES, observe=observe)
    w, wp = seen[..., :2], perturbed(rule, seen[..., :2])
    g, h = BEALE.gradient(w), BEALE.gradient(wp)
    cosine = (g * h).sum(-1) / np.linalg.norm(g, axis=-1) / np.linalg.norm(h, axis=-1)
    sides = np.sign(boundary(np.moveaxis(w, -1, 0))), np.sign(boundary(np.moveaxis(wp, -1, 0)))
    expected = [
        cosine,
        BEALE.value(w),
        np.linalg.norm(g, axis=-1),
        np.linalg.norm(w - point, axis=-1),
        np.linalg.norm(w - [3, 0.5], axis=-1),
        *sides,
    ]
    np.testing.assert_allclose(seen[..., 2:4], wp, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(seen[..., 4:], np.stack(expected, -1), rtol=1e-11, atol=1e-12)
    assert {-1.0, 1.0} <= set(sides[0].ravel()) or (sides[0] != sides[1]).any()


def test_cosine_and_side_of_nothing():
    """At a critical point the cosine is 0, and a boundary value of 0 is on no side."""
    flat = sf.losses.saddle()
    observe = O.several(O.cosine(NORMALIZED), O.side(lambda w: w[0]))
    np.testing.assert_array_equal(plain.values(flat, NORMALIZED, [[0.0, 0.0]], [0], observe=observe), 0)


def test_what_is_followed_at_every_step():
    """First times and extremes between the recorded times, from all positions."""
    steps = 60
    path = plain.values(BEALE, NORMALIZED, STARTS, range(steps + 1))
    observe = O.several(
        O.first(lambda s: s.w[0] > s.p.wall, name="crossing", wall=0.05),
        O.running_max(O.loss_value()),
        O.running_min(O.position(), dim=2),
        O.escape(level=25.0),
        O.exit_time(radius=0.4),
    )
    seen = plain.values(BEALE, NORMALIZED, STARTS, [0, 25, steps], observe=observe)
    loss, moved = BEALE.value(path), np.linalg.norm(path - path[0], axis=-1)

    def first(flags, until):
        flags = flags[: until + 1]
        return np.where(flags.any(0), flags.argmax(0), -1)

    for row, until in zip(seen, (0, 25, steps), strict=True):
        np.testing.assert_array_equal(row[:, 0], first(path[..., 0] > 0.05, until))
        np.testing.assert_allclose(row[:, 1], loss[: until + 1].max(0), rtol=1e-13)
        np.testing.assert_array_equal(row[:, 2:4], path[: until + 1].min(0))
        np.testing.assert_array_equal(row[:, 4], first(loss > 25.0, until))
        np.testing.assert_array_equal(row[:, 5], first(moved > 0.4, until))
    assert {-1, 0} < set(seen[2, :, 0]) and len(set(seen[2, :, 5])) > 1
    assert (loss.max(0) > loss[1:].max(0)).any() and (path.min(0) < path[1:].min(0)).any(), "a start that is the extreme"


@pytest.mark.parametrize("sign, observer", [(-1.0, O.running_min), (1.0, O.running_max)])
def test_an_extreme_that_is_infinite_does_not_count(sign, observer):
    """At the start, 0, the logarithm is infinite; after a step of length 1 it is 0, and that is the extreme."""
    feature, slope = O.Observer("far", lambda s: [-sign * sf.log(s.w[0])], ("far",)), sf.loss(dim=1)(lambda w, p: -w[0])
    seen = plain.values(slope, sf.gd(lr=1.0), [[0.0]], [0, 1], observe=observer(feature))
    assert seen[0, 0, 0] == -sign * np.inf and seen[1, 0, 0] == 0


@pytest.mark.parametrize("dim", [3, 12])
def test_exits_within_ten_steps(dim):
    """Of programs in single statements and in loops over coordinates: no step early, none late, and the start is none."""
    loss, rule = sf.losses.quadratic(-np.ones(dim)), sf.noisy(sf.gd(lr=0.1), sigma=0.3)
    start = np.zeros((8, dim))
    path = plain.values(loss, rule, start, range(11))
    moved = np.linalg.norm(path, axis=-1)
    radius = float(np.median(moved[5]))
    observe = O.several(O.exit_time(radius=radius), O.running_max(O.msd()))
    seen = plain.values(loss, rule, start, [0, 4, 10], observe=observe)
    for row, until in zip(seen, (0, 4, 10), strict=True):
        out = moved[: until + 1] > radius
        np.testing.assert_array_equal(row[:, 0], np.where(out.any(0), out.argmax(0), -1))
        np.testing.assert_allclose(row[:, 1], moved[: until + 1].max(0) ** 2, rtol=1e-12)
    assert len(set(seen[-1, :, 0])) > 2 and -1 in seen[1, :, 0]


@pytest.mark.parametrize("record", [[0, 3], [3], [0, 1, 2, 3]])
@pytest.mark.parametrize("dim", [1, 12], ids=["narrow", "wide"])
def test_the_start_counts(record, dim):
    """What holds at time 0 is seen at time 0; the largest value does not fall below the first, whatever is recorded."""
    observe = O.several(
        O.first(lambda s: sf.dot(s.w, s.w) > 0.5, name="out"),
        O.escape(level=0.25),
        O.running_max(O.loss_value()),
        O.running_min(O.loss_value()),
        Counter,
    )
    start = np.zeros((2, dim))
    start[:, 0] = 1.0, 0.5
    seen = plain.values(sf.losses.quadratic(np.ones(dim)), sf.gd(lr=0.5), start, record, observe=observe)
    fall = 0.5 * start[:, 0] ** 2 * 0.25 ** np.array(record)[:, None]
    expected = [np.tile([0, -1], (len(record), 1))] * 2 + [np.tile([0.5, 0.125], (len(record), 1)), fall]
    np.testing.assert_allclose(seen[..., :4], np.stack(expected, -1), rtol=1e-14)
    np.testing.assert_array_equal(seen[..., 4], np.tile(np.array(record)[:, None] + 1.0, (1, 2)))


Counter = O.Observer("counter", lambda s: [s.m[0]], ("times",), (0.0,), lambda s: [s.m[0] + 1])


@pytest.mark.parametrize("momentum, lr, last", [(None, 0.1, 10_000), (0.9, 0.01, 20_000)])
@pytest.mark.parametrize("policy", ["keep", "mask"])
def test_an_exit_that_was_seen_stays(policy, momentum, lr, last):
    """On w'' = w the path overflows long after it has left; what was recorded of it remains, and nothing has diverged."""
    loss, rule = sf.losses.quadratic([-1.0]), sf.gd(lr=lr, momentum=momentum)
    observe = O.several(O.exit_time(radius=0.2), O.first(lambda s: s.w[0] > 1.0, name="beyond"))
    options = {"observe": observe, "on_divergence": policy, "values": True, "seed": 3}
    early, late = (sf.simulate(loss, rule, [1e-3], record=[0, n], **options) for n in (600, last))
    assert np.isinf(sf.simulate(loss, rule, [1e-3], record=[last], on_divergence="keep", values=True).values).all()
    np.testing.assert_array_equal(late.values, early.values)
    np.testing.assert_array_equal(late.mean, early.mean)
    assert (late.mean[-1] > 0).all() and late.count.tolist() == [1, 1] and len(late.diverged) == 0
    if momentum is None:
        assert late.mean[-1].tolist() == [np.ceil(np.log(201) / np.log(1.1)), np.ceil(np.log(1000) / np.log(1.1))]


def test_an_extreme_that_was_seen_stays():
    """The largest loss of a path on -w^2/2 is that of its start; the smallest one is where float64 ended."""
    loss, rule = sf.losses.quadratic([-1.0]), sf.gd(lr=0.5)
    observe = O.several(O.running_max(O.loss_value()), O.running_max(O.side(lambda w: w[0])))
    run = sf.simulate(loss, rule, [1.0], record=[0, 10, 10_000], observe=observe, on_divergence="mask")
    assert run.mean.tolist() == [[-0.5, 1.0]] * 3 and len(run.diverged) == 0
    with pytest.warns(sf.DivergenceWarning, match="1 of 1 paths"):
        run = sf.simulate(loss, rule, [1.0], record=[10_000], observe=O.several(O.loss_value(), O.running_max(O.loss_value())))
    assert run.count.tolist() == [0], "one count serves all features of a time"


@pytest.mark.parametrize(
    "error, pattern, call",
    [
        (ValueError, r"rule=Rule\(gd.*no perturbed point; give a rule made by sf.sam", lambda: O.cosine(sf.gd(lr=1))),
        (ValueError, r"point has shape \(1, 2\): give one number for each", lambda: O.distance([[0, 1]])),
        (TypeError, r"give an observer without memory", lambda: O.running_max(O.escape(level=1.0))),
        (ValueError, r"level=nan: every value must be a finite number", lambda: O.escape(level=np.nan)),
        (
            sf.TraceError,
            r"dim=1: observer 'position' records 2 numbers",
            lambda: plain.values(BEALE, CONSTANT, STARTS, [0], observe=O.running_max(O.position())),
        ),
    ],
)
def test_mistakes(error, pattern, call):
    with pytest.raises(error, match=pattern):
        call()


# --- the settings of Kim et al. --------------------------------------------------------------------------------------------
def loop(w, steps, lr, rho, normalize):
    """SAM on Beale's function by plain numbers."""
    (x, y), path = w, [w]

    def gradient(x, y):
        f = [c - x + x * y**i for i, c in ((1, 1.5), (2, 2.25), (3, 2.625))]
        return (2 * sum(f[i] * (y ** (i + 1) - 1) for i in range(3)), 2 * x * sum((i + 1) * f[i] * y**i for i in range(3)))

    for _ in range(steps):
        g = gradient(x, y)
        r = rho / np.hypot(*g) if normalize else rho
        h = gradient(x + r * g[0], y + r * g[1])
        x, y = x - lr * h[0], y - lr * h[1]
        path.append((x, y))
    return np.array(path)


def seen_of(rule, start, steps):
    observe = O.several(
        O.position(),
        O.cosine(rule),
        O.distance([0.0, 1.0]),
        O.side(boundary_of_beale),
        O.side(boundary_of_beale, rule=rule, name="side_wp"),
    )
    run = sf.simulate(BEALE, rule, start, record=range(steps + 1), observe=observe, values=True, dtype="float64", state=False)
    return run.dataset.isel(path=0)


def boundary_of_beale(w):
    """The stable direction at the saddle (0, 1), which parts the basins beside it."""
    return w[0] - (w[1] - 1)


def test_beale_with_constant_rho():
    """Setting A: captured geometrically, the gradients opposite in the end."""
    seen = seen_of(CONSTANT, [-0.75, 0.25], 15_000)
    np.testing.assert_allclose(seen.w[:5001], loop((-0.75, 0.25), 5000, 1e-4, 0.05, False), atol=1e-10)
    assert int(np.argmax(seen.distance.values < 0.02)) == 4856 and seen.distance[10_000] < 1e-3
    assert float(seen.cosine[5000:].max()) < -0.99
    assert (seen.side[5000:] == -seen.side_wp[5000:]).all() and len(np.unique(seen.side[5000:])) == 1


@pytest.mark.slow
def test_beale_with_normalized_rho():
    """Setting B: captured chaotically; its statistics."""
    seen = seen_of(NORMALIZED.replace(lr=1e-4), [-3.0, -2.0], 20_000)
    np.testing.assert_allclose(seen.w[:401], loop((-3.0, -2.0), 400, 1e-4, 0.5, True), atol=1e-10)
    late = seen.isel(time=slice(5000, None))
    assert int(np.argmax(seen.distance.values < 0.02)) == 1292
    assert float(late.distance.max()) < 3e-3 and 5e-4 < float(late.distance.median()) < 1e-3
    assert float(late.cosine.min()) < -0.9 and float(late.cosine.max()) > 0.9
    assert 0.03 <= float((np.diff(np.sign(late.cosine)) != 0).mean()) <= 0.05
    assert 0.85 <= float((np.diff(late.side_wp) != 0).mean()) <= 0.92


@pytest.mark.parametrize(
    "rule, factors",
    [(sf.gd(lr=0.01), (0.98, 1.02)), (sf.sam(lr=0.01, rho=1.0), (0.94, 0.98)), (sf.sam(lr=0.01, rho=0.5), (0.96, 1.0))],
    ids=["gd", "sam", "threshold"],
)
def test_the_saddle_in_closed_form(rule, factors):
    """Kim et al., Fig. 5; at rho = 1/2 the second coordinate stays."""
    seen = plain.values(sf.losses.saddle(), rule, [[-3.0, -0.01]], [0, 1, 50, 250])[:, 0]
    expected = np.array([-3.0, -0.01]) * np.array(factors) ** np.array([[0], [1], [50], [250]])
    np.testing.assert_allclose(seen, expected, rtol=1e-12)
    if rule.name == "gd":
        assert abs(seen[-1, 1]) == pytest.approx(1.41, abs=0.005)


# --- a run as a dataset ------------------------------------------------------------------------------------------------------
def test_dataset_of_a_run():
    rule = sf.noisy(sf.sam(lr=[[0.1], [0.2]], rho=[0.0, 0.1, 0.3], momentum=[0.5, 0.6, 0.7]), sigma=0.1)
    observe = O.several(O.position(), O.msd(), O.running_max(O.loss_value()), O.escape(level=2.0))
    run = sf.simulate(sf.losses.saddle(), rule, [1.0, -1.0], record=range(0, 13, 4), paths=6, values=True, observe=observe)
    ds = run.dataset
    assert ds.w.dims == ("lr", "sweep_1", "time", "path", "coordinate") and ds.w.shape == (2, 3, 4, 6, 2)
    assert ds.msd.dims == ("lr", "sweep_1", "time", "path") and ds.max_loss_mean.dims == ("lr", "sweep_1", "time")
    assert list(ds.time.values) == [0, 4, 8, 12] and ds.time.attrs["units"] == "updates"
    assert list(ds.lr.values) == [0.1, 0.2] and ds.rho.dims == ds.momentum.dims == ("sweep_1",) and ds.level == 2
    np.testing.assert_array_equal(ds.w.values, run.values[..., :2])
    np.testing.assert_array_equal(ds.escape.values, run.values[..., 4])
    np.testing.assert_array_equal(ds.w_mean.values, run.mean[..., :2])
    np.testing.assert_array_equal(ds.msd_std_error.values, run.std_error[..., 2])
    np.testing.assert_array_equal(ds["count"].values, run.count)
    units = {name: ds[name].attrs.get("units") for name in ("w", "w_var", "msd_mean", "max_loss", "escape")}
    assert units == {"w": "length", "w_var": "(length)^2", "msd_mean": "length^2", "max_loss": "1", "escape": "updates"}
    assert ds.attrs["seed"] == "0" and ds.attrs["paths"] == 6


def test_dataset_without_values_and_of_one_coordinate():
    run = sf.simulate(sf.losses.quadratic([[1.0], [2.0]]), sf.gd(lr=0.1), [1.0], record=[0, 3], dtype="float64")
    ds = run.dataset
    assert ds.w_mean.dims == ("eigenvalue", "time", "coordinate") and "w" not in ds and "path" not in ds.dims
    np.testing.assert_allclose(ds.w_mean.sel(eigenvalue=2.0, time=3).values, [0.8**3])
    assert float(ds.lr) == 0.1
