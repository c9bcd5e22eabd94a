"""Pictures of studies and comparisons read as data: each curve, under its label and in its colour, against the dataset."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.lines import Line2D
from pictures import caption, legend, panels, shade

import samfast as sf
from samfast import plotting, theory
from samfast.study.plan import PARAMETERS
from samfast.study.two_point import squares

equal, close = np.testing.assert_array_equal, np.testing.assert_allclose
LOG = ("log", "log")


@pytest.fixture(scope="module")
def study():
    """Eigenvalue -1 with the drift of the theorems: SAM is slower than SGD at rho 0.5 and faster at 2.5."""
    return sf.msd(lr=0.01, rho=[0.0, 0.5, 2.5], batch_size=[16, 64], drift="chain", times=[0.02, 0.1, 0.5], paths=400)


@pytest.fixture(scope="module")
def plain():
    """With SAM's own drift the published theorems have other lines than the matched ones."""
    return sf.msd(lr=0.01, rho=[0.0, 0.5], momentum=[0.0, 0.5], times=[0.02, 0.1, 0.5], paths=400)


def each(study):
    """(i, setting, its rows, its colour, the words that the legend has for it)."""
    settings = list(study.settings())
    rhos = sorted({v["rho"] for v, _ in settings})
    for i, (v, part) in enumerate(settings):
        words = (f"SAM rho={v['rho']:g}" if v["rho"] else "SGD") + (f" + momentum {v['momentum']:g}" if v["momentum"] else "")
        words += f", batch {v['batch_size']:g}" if "batch_size" in study.varied else ""
        colour = plotting.colour(rhos.index(v["rho"]), len(rhos)) if len(settings) > 4 else plotting.colour(i, len(settings))
        yield i, v, part, shade(colour), words


def ends(curve, low, high):
    close([curve.low, curve.high], [low, high], rtol=1e-9)


@pytest.mark.parametrize("which", ["study", "plain"])
def test_over_time(which, request):
    made = request.getfixturevalue(which)
    figure = made.plot()
    top, z, ratio = panels(figure)
    assert top.scales == LOG and z.scales == ("log", "linear") and z.title.startswith("z = (simulated")
    assert top.title == "Mean squared displacement from the saddle" and ratio.xlabel == plotting.TIME
    how = [
        w for w in ("lr 0.01", "400 paths", "Euler-Maruyama", f"{made.dataset.attrs['drift']} drift") if w not in top.texts[0]
    ]
    assert not how and ("batch size 64" in top.texts[0]) == (which == "plain")
    begin = [*(n for n, c in enumerate(top.curves) if c.style == "-"), None]  # each setting begins with its exact line
    marks = {}
    for i, v, part, colour, words in each(made):
        own = replace(top, curves=top.curves[begin[i] : begin[i + 1]])
        points = top.curve(label=words, colour=colour, style="None")
        assert marks.setdefault((colour, points.mark), words) == words and points in own.curves
        equal([points.x, points.y], [part["time"], part["msd"]])
        ends(points, part["ci"].sel(bound="low"), part["ci"].sel(bound="high"))
        model, line = made.model(v), own.curve(colour=colour, style="-")
        close(line.y, model.exact(v, np.rint(line.x / 0.01)), rtol=1e-12)
        values = {p: np.reshape(v[p], 1) for p in PARAMETERS if p in v}
        wide = 2 * np.sqrt(squares(model, values, np.rint(line.x / 0.01), "normal").variance / 400) * line.y
        edges = top.bands[i][top.bands[i][:, 0] == line.x[-1]][:, 1]
        close(np.ptp(edges), 2 * wide[-1], rtol=1e-9)
        shown = {"--": "published"} | ({":": "matched"} if which == "plain" and v["rho"] else {})
        for style, name in shown.items():
            xy = np.concatenate([c.finite for c in own.curves if c.style == style and c.colour in (colour, pale(colour))], 1)
            close(xy[1], model.theorem(v, xy[0], name), rtol=1e-12)
            assert xy[0].max() == line.x[-1]
            good = np.concatenate([c.finite for c in own.all(style=style, colour=colour)], 1)[:, 1:-1]
            valid = model.valid(v, good[0], good[1] / model.exact(v, np.rint(good[0] / 0.01)))
            assert valid.all() or not valid.any()  # its ends meet the pale part
        assert bool(own.all(colour=colour, style=":")) == (":" in shown)
        dots = {tuple(xy) for c in ratio.all(colour=colour, style="None") for xy in c.finite.T.tolist()}
        assert {(float(t), float(r)) for t, r in zip(part["time"], part["ratio"], strict=True)} <= dots
        under = z.curve(colour=colour, style="None", mark=points.mark)
        equal(under.y, part["z"])
        assert np.abs(np.log10(under.x / part["time"].values)).max() < 0.031
    names = legend(figure)
    assert [w for *_, w in each(made)] == [n for n in names if n.startswith(("SGD", "SAM"))]
    formula = "Theorem 2" if which == "study" else "Theorem 2 (3 with momentum) as published"
    assert formula in names and ("the same with this drift" in names) == (which == "plain")


def pale(colour):
    return shade(plotting.pale(colour))


def test_the_difference(study):
    """Corollary 1: values and bars of the pairs, dotted and filled where SAM is faster, z and printed/exact of the dataset."""
    figure, d = study.plot(kind="difference"), study.difference()
    top, z, ratio = panels(figure)
    assert top.title.startswith("Corollary 1: MSD of SGD") and top.scales == LOG and top.ylabel == "difference  (length²)"
    settings = [(r, b) for r in (0.5, 2.5) for b in (16, 64)]
    for i, (r, b) in enumerate(settings):
        part, colour = d.sel(rho=r, batch_size=b), shade(plotting.colour(i, 4))
        sign = np.sign(float(part["exact"][-1]))
        assert sign == (1 if r == 0.5 else -1)
        found = top.all(colour=colour, style="None", face="white" if sign > 0 else colour)
        (points,) = (c for c in found if c.x.size)
        equal([points.x, points.y], [part["time"], sign * part["difference"]])
        ends(points, sign * part["difference"] - 2 * part["se"], sign * part["difference"] + 2 * part["se"])
        line = top.curve(colour=colour, style="-" if sign > 0 else ":")
        setting = next(v for v, _ in study.settings() if (v["rho"], v["batch_size"]) == (r, b))
        n = np.rint(line.finite[0] / 0.01)
        exact = study.model(setting).exact({**setting, "rho": 0.0}, n) - study.model(setting).exact(setting, n)
        close(line.finite[1], sign * exact, rtol=1e-9)
        for style_of in (colour, pale(colour)):
            for c in top.all(colour=style_of, style="--"):
                close(c.finite[1], theory.corollary1(c.finite[0], eigenvalue=-1.0, lr=0.01, rho=r, batch_size=b), rtol=1e-12)
        equal(z.curve(colour=colour, style="None").y, part["z"])
        equal(ratio.curve(colour=colour, style="None").y, np.where(part["ratio"] > 0, part["ratio"], np.nan))
    names = legend(figure)
    assert "negative (filled marks): SAM is faster" in names and "printed leading term" in names
    assert [n for n in names if n.startswith("SAM rho")] == [f"SAM rho={r:g}, batch {b}" for r, b in settings]


@pytest.mark.parametrize("time", [None, 0.1])
def test_against_a_parameter(study, time):
    """The MSD at one time: points, the exact curve and the theorem, a curve for each combination of the others."""
    figure = study.plot(kind="batch_size", time=time)
    (panel,) = panels(figure)
    at = time or 0.5
    assert panel.title == f"Mean squared displacement at t = {at:g} against batch size" and panel.xlabel == "batch size"
    assert panel.scales == LOG and "batch" not in panel.texts[0]
    for i, (r, words) in enumerate(zip((0.0, 0.5, 2.5), ("SGD", "SAM rho=0.5", "SAM rho=2.5"), strict=True)):
        part, colour = study.dataset.sel(rho=r, time=at), shade(plotting.COLOURS[i])
        points, line = panel.curve(label=words, colour=colour), panel.curve(colour=colour, style="-")
        equal([points.x, points.y], [[16, 64], part["msd"]])
        ends(points, part["ci"].sel(bound="low"), part["ci"].sel(bound="high"))
        close(line.y * line.x, float(part["exact"][0]) * 16, rtol=1e-9)
        assert (line.x[0], line.x[-1]) == pytest.approx((16, 64), rel=1e-12, abs=0)
        dashed = [c for c in panel.curves if c.style == "--" and c.colour in (colour, pale(colour)) and c.finite.size]
        close([c.finite[1, 0] * c.finite[0, 0] for c in dashed], float(part["theorem"][0]) * 16, rtol=1e-9)
    (linear,) = panels(study.plot(kind="rho", time=time))
    assert linear.scales == ("linear", "log") and linear.xlabel.startswith("radius rho")
    found = linear.curve(label="SAM, batch 16", colour=plotting.COLOURS[0])
    equal([found.x, found.y], [[0, 0.5, 2.5], study.dataset["msd"].sel(batch_size=16, time=at)])


@pytest.mark.parametrize("kind", ["lr", "dt"])
def test_against_a_step_size(kind):
    """A log axis; the exact curve has only the step sizes that reach the time by whole steps."""
    made = sf.msd(**{"lr": 0.02, kind: [0.005, 0.02]}, times=[0.1], paths=50)
    (panel,) = panels(made.plot(kind=kind))
    assert panel.scales == LOG and panel.title.startswith("Mean squared displacement at t = 0.1 against")
    points, line = panel.curve(style="None"), panel.curve(style="-")
    equal([points.x, points.y], [[0.005, 0.02], made.dataset["msd"].isel(time=0)])
    steps = 0.1 / line.x
    close(steps, np.rint(steps), rtol=1e-12)
    close([line.y[0], line.y[-1]], made.dataset["exact"].isel(time=0), rtol=1e-12)


def test_long_labels():
    """Labels of more than 66 characters stand above what the lines mean, in one column; all of them are there."""
    made = sf.msd(
        eigenvalue=[-1.5, -1.23456], momentum=[0.543216], dampening=[0.0, 0.456789], rho=0.123456, lr=[0.0123456],
        batch_size=[128, 1024], times=[0.123456], paths=50,
    )  # fmt: skip
    figure = made.plot()
    names = legend(figure)
    assert len(names) == 8 + 4 and figure.legends[0]._ncols == 1
    assert names[0] == "SAM rho=0.123456 + momentum 0.543216, eigenvalue -1.5, dampening 0, batch 128"
    assert names[8:10] == ["exact, band of 2 standard deviations", "Theorem 3 as published"]


def test_more_settings_than_the_legend_can_name():
    """25 settings: only the first and the last have names, with the colours of these two."""
    many = sf.msd(lr=0.01, rho=list(np.linspace(0, 1.2, 25)), times=[0.1], paths=50)
    figure = many.plot()
    names = [n for n in legend(figure) if n.startswith(("SGD", "SAM"))]
    assert names == ["SGD  (first of 25)", "SAM rho=1.2  (last)"]
    marks = [x for x in figure.legends[0].findobj(Line2D) if x.get_marker() in ("o", "P", "^", "D", "s", "v", "X")]
    shown = list(dict.fromkeys(shade(x.get_color()) for x in marks))
    assert shown[:2] == [shade(plotting.colour(0, 25)), shade(plotting.colour(24, 25))]


def test_pairs_and_exit_times():
    """Comparison: values with bars of two standard errors, the exact ones, both formulas, z; along the longest dimension."""
    pairs = sf.paired_msd(lr=0.01, rho=[0.5, 0.1], times=[0.01, 0.1, 1.0], paths=500)
    exits = sf.exit_times(limit=[0.1, 0.05, 0.2], lr=0.1, batch_size=16, rho=[0.0, 1.2], paths=300)
    for made, along, words in (
        (pairs, "time", ["rho 0.5", "rho 0.1"]),
        (exits, "limit", ["rho 0", "rho 1.2"]),
    ):
        figure, ds = made.plot(), made.dataset
        top, z = panels(figure)
        value, formulas = ds.attrs["value"], dict(zip(("--", ":"), ds.attrs["curves"].split(), strict=True))
        assert top.title.lower().replace("\N{MINUS SIGN}", "-") == ds.attrs["title"].lower() and value in top.ylabel
        assert z.xlabel == {"time": plotting.TIME, "limit": "limit of |w| (length)"}[along]
        for i, name in enumerate(words):
            part, colour = ds.isel(rho=i).sortby(along), plotting.COLOURS[i]
            points, under = top.curve(label=name, colour=colour), z.curve(colour=colour)
            equal([points.x, points.y], [part[along], part[value]])
            bars = np.nan_to_num(2 * part["se"].values)
            close(points.high - points.low, 2 * bars, rtol=1e-6)
            equal(under.y, part["z"])
            equal(top.curve(colour=colour, style="-").y, part["exact"].where(part["exact"] != 0))
            for style, column in formulas.items():
                equal(top.curve(colour=colour, style=style).y, part[column], err_msg=column)
        assert {"exact; bars of 2 standard errors", *words} <= set(legend(figure))
        assert all(ds[column].attrs["long_name"] in legend(figure) for column in formulas.values())
        assert f"{ds.attrs['paths']:,} paths" in top.texts[0] and not caption(figure)


def test_pairs_that_diverged():
    """A cross without a bar where paths are missing, said below; the mean of the others as it is."""
    ds = sf.paired_msd(lr=0.01, rho=[0.1, 0.5], times=[0.01, 0.1, 1.0], paths=300).dataset
    lost = ds.assign(left_out=ds["left_out"].copy(data=[[0, 0, 7], [0, 0, 0]]))
    lost = lost.assign(se=ds["se"].where(lost["left_out"] == 0), z=ds["z"].where(lost["left_out"] == 0))
    figure = sf.Comparison(lost).plot()
    top, _ = panels(figure)
    for i, name in enumerate(("rho 0.1", "rho 0.5")):
        value, whole = ds["difference"].isel(rho=i).values, lost["left_out"].isel(rho=i).values == 0
        equal(top.curve(label=name).y, np.where(whole, value, np.nan))
        equal(top.curve(colour=plotting.COLOURS[i], mark="x").y, np.where(whole, np.nan, value))
    assert "paths diverged: mean of those that are left" in legend(figure)
    assert "paths diverged: mean of those that are left" not in legend(sf.Comparison(ds).plot())
