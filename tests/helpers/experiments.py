"""What the picture of each experiment shows, against its tables and numbers, the walks, or theory: `shows(name, outcome)`."""

from functools import cache

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.quiver import Quiver
from pictures import Panel, caption, legend, panels, shade

import samfast as sf
from samfast import theory
from samfast.reproduce import draw
from samfast.reproduce.bartlett import fig5 as noise
from samfast.reproduce.bartlett import ravine, theorem1, theorem3, theorem21
from samfast.reproduce.kim import beale, corollary1, fig1, fig2, fig3, fig4, fig7, theorem2
from samfast.reproduce.kim import density as leaving
from samfast.reproduce.kim import theorem1 as attractors
from samfast.reproduce.kim import theorem3 as momentum
from samfast.reproduce.kim.beale import CONSTANT, FINE, NORMALIZED, RELEASED, SADDLE

walk = cache(beale.walk)
equal, close = np.testing.assert_array_equal, np.testing.assert_allclose
LOG, LINEAR = ("log", "log"), ("linear", "linear")


def shows(name, outcome):
    """Compare the picture of an experiment with what it is about, its caption with its settings."""
    (figure,) = outcome.figures.values()
    parts = panels(figure)
    for words in CAPTIONS[name]:
        assert words in caption(figure), (name, words)
    assert all(len(set(p.names)) == len(p.names) for p in parts), "two curves have one name"
    PICTURES[name](parts, outcome, figure)


CAPTIONS = {  # settings that a reader needs and a picture does not show
    "kim-fig1": ["start (1, 2), lr 1.25e-5, 87683 steps", "100000 steps. Right: distances from (0, 1)"],
    "kim-fig2": ["x^4/4 - x^2/2 + y^2/2", "lr 0.01, 60000 steps", "sqrt(1 - 1/rho)"],
    "kim-fig3": ["normalised rho 0.5), from step 5000 on", "magnified 1000 times"],
    "kim-fig4": ["start (1, 2), lr 1.25e-5", "constant 0.05 from (-0.75, 0.25)"],
    "kim-fig5": ["lr 0.01 and 500 steps", "constant rho"],
    "kim-fig6": ["smaller (above) and the larger (below)"],
    "kim-fig7": ["1000 seeds", "Bars in (c): 2 standard errors"],
    "kim-theorem1": ["lr 0.15, 400 updates", "Solid: rho = -1/lambda"],
    "kim-theorem2": ["lr 0.01, batch size 64", "drift lambda*(1 + rho*lambda)^2"],
    "kim-theorem3": ["rho 0.1, lr 0.001, batch size 64", "dashed Theorem 3 (C2 = t/lr)"],
    "kim-corollary1": ["Eigenvalue -1, batch size 64, lr 0.001", "filled where negative"],
    "kim-density": ["x^4/4 - x^2/2 + y^2/2", "lr 0.05, so D = 0.1", "steps of 0.005", "2 standard errors from 10000 paths"],
    "bartlett-fig1": ["learning rate 1/5, normalised rho 1, 30 updates from (2, 2)"],
    "bartlett-fig2": ["learning rate 1/5, normalised rho 1, 25 updates from (0.244, 0.0224)"],
    "bartlett-fig3": ["learning rate 0.2, normalised rho 1, 30 updates from (0.1, 0.1)"],
    "bartlett-fig4": ["learning rate 0.2, normalised rho 1, 30 updates from (1, 1)"],
    "bartlett-fig5": ["of one path on the left"],
    "bartlett-theorem1": ["6000 updates", "shaded where theory says that it holds"],
    "bartlett-theorem3": ["Left: curvatures 1 and ½; right: 1 and 0.2"],
    "bartlett-lemmas": ["curvatures 1 and ½, learning rate 0.2, radius 1", "within 0.01 of the two-cycle"],
    "bartlett-theorem21": ["x²/2 + x²y/2 (cubic)"],
    "discrepancies": [],  # its panels are named by their settings
}


def marks(panel: Panel, **look):
    """All points of the curves with this look, as a set."""
    return {tuple(xy) for c in panel.all(**look) for xy in c.finite.T.tolist()}


# --- Kim et al. -------------------------------------------------------------------------------------------------------------
def kim_fig1(parts, outcome, figure):
    left, middle, right = (p for p in parts if p.names)
    released, at = walk(RELEASED), draw.thin(len(walk(RELEASED).position), 3000)
    for i, (name, colour) in enumerate(zip(RELEASED.names, fig1.COLOURS, strict=True)):
        equal(left.curve(label=name, colour=colour).finite.T, released.position[at, i])
        found = right.curve(label=name, colour=colour)
        equal(found.finite, [at, released.distance[at, i]])
    settled = right.curve(label=CONSTANT.names[0] + " (middle)")
    equal(settled.y, walk(CONSTANT).distance[settled.x.astype(int), 0])
    for setting, colour in ((CONSTANT, draw.BLACK), (NORMALIZED, draw.RED)):
        equal(middle.curve(label=setting.names[0], colour=colour).finite.T, walk(setting).position[:, 0])
    ends = [c.finite[:, -1] for c in middle.all(colour=draw.BLUE)]
    close(sorted(np.linalg.norm(e - [3, 0.5]) for e in ends), sorted(outcome.numbers["descent_distance_from_minimum"]))
    starts = {tuple(c.finite[:, 0]) for c in middle.curves if c.mark == "o"}
    assert starts == {CONSTANT.starts[0], NORMALIZED.starts[0]} and right.scales == ("linear", "log")
    close(list(marks(middle, label="minimum", mark="*")), [(3.0, 0.5)], rtol=1e-9)


def kim_fig2(parts, outcome, figure):
    ends = outcome.tables["ends"]
    for panel, letter, i in zip(parts, "abc", (0, 2, 3), strict=False):
        radius = fig2.RHO[i]
        assert panel.title == f"({letter}) " + (f"SAM, constant rho = {radius:g}" if i else "Gradient descent")
        path = panel.curve(style="-", colour=draw.RED if i else draw.BLUE)
        flow = sf.Flow(sf.losses.double_well(), sf.sam(lr=0.01, rho=radius))
        equal(path.finite.T, flow.trajectory(fig2.START, 40.0)[1])
        np.testing.assert_allclose(np.abs(path.x[-1]), 1.0 if i == 0 else 0.0, atol=1e-3)
        edge = np.sqrt(1 - 1 / radius) if i else 0.0
        stable, unstable = panel.all(style="--"), [c for c in panel.all(style="-", colour=draw.BLACK) if len(c.x) > 1]
        places = sorted(float(c.x[0]) for c in stable)
        np.testing.assert_allclose(places, [-edge, -edge, edge, edge] if i else [0, 0], atol=1e-9)
        assert all(np.ptp(c.x) < 1e-9 and np.ptp(c.y) > 0.9 for c in stable)
        assert all(np.abs(c.y).max() < 1e-9 for c in unstable) and len(unstable) == (4 if i else 2)
        held = ends["x"][np.abs(ends[f"end_x_rho_{radius:g}"]) < 0.5]
        shaded = [v for v in _spans(figure.axes[parts.index(panel)])]
        equal(shaded, [[held.min(), held.max()]] if i else [])
    for panel, axes, (case, rho, w), title in zip(parts[3:], figure.axes[3:], fig2.CASES, "def", strict=True):
        assert panel.title == f"({title}) Case {'I' * case}, rho = {rho:g}"
        ahead = np.array(w) * [1 + rho * (w[0] ** 2 - 1), 1 + rho]  # w + rho*(x^3 - x, y)
        assert marks(panel, label="w", mark="o") == {w}
        close(list(marks(panel, label="perturbed point", mark="s")), [ahead], rtol=1e-12)
        arrows = [a for a in axes.collections if isinstance(a, Quiver)]
        seen = [(*a.XY[0], a.U[0], a.V[0]) for a in arrows]
        slope = [np.array([x - x**3, -y]) for x, y in (w, ahead)]
        close(seen, [(*w, *slope[0]), (*ahead, *slope[1]), (*w, *slope[1])], rtol=1e-12)
        assert sf.cases(np.array(w), ahead, lambda v: v[0], (0.0, 0.0), near=fig2.NEAR) == case
    words = {"gradient descent", "SAM", "ends at the saddle", "start", "saddle", "minimum", "w", "perturbed point"}
    assert words | {"stable manifold", "unstable manifold"} == set(legend(figure))


def _spans(axes):
    """Ends of the shaded intervals along x."""
    return [[p.get_x(), p.get_x() + p.get_width()] for p in axes.patches if isinstance(p, Rectangle)]


def kim_fig3(parts, outcome, figure):
    left, right = (p for p in parts if p.names)
    seen, late = walk(RELEASED), slice(5000, 5040)
    equal(left.curve(label="w, steps 0 to 5000").finite.T, seen.position[:5000, fig3.SHOWN])
    equal(left.curve(label="perturbed point").finite.T, seen.perturbed[5000:5200, fig3.SHOWN])
    for label, path, scale, colour in (
        ("perturbed point", seen.perturbed, 1, draw.RED),
        ("w, times 1000", seen.position, 1000, draw.BLUE),
    ):
        found = right.curve(label=label, colour=colour)
        equal(found.x, np.arange(5000, 5040))
        close(found.y, scale * np.subtract(path[late, fig3.SHOWN], SADDLE) @ [1, -1] / np.sqrt(2), rtol=1e-9, atol=1e-12)
    assert right.xlabel == "step" and left.title == "w and the perturbed point"


def kim_fig4(parts, outcome, figure):
    settings = {"released 0.5": (RELEASED, 2), "normalised 0.5": (NORMALIZED, 0), "constant 0.05": (CONSTANT, 0)}
    settings |= {"normalised 0.001": (FINE, 0)}
    titles = ["Released setting, normalised rho 0.5", "Normalised rho 0.5, lr 1e-4", "Constant rho 0.05, lr 1e-4"]
    assert [p.title for p in parts[::2]] == [*titles, "Normalised rho 0.001, lr 1e-4"]
    colours = [c.colour for p in parts for c in p.curves if len(c.x) > 2]
    assert len(set(colours)) == 4 and colours[::2] == colours[1::2]
    for whole, zoomed, (setting, i) in zip(parts[::2], parts[1::2], settings.values(), strict=True):
        cosine = walk(setting).cosine[:, i]
        (points,), (line,) = ([c for c in p.curves if len(c.x) > 2] for p in (whole, zoomed))
        equal(points.y, cosine[: len(points.y)])
        assert len(points.y) == 20_001 and zoomed.scales == whole.scales == LINEAR
        equal([line.x, line.y], [np.arange(fig4.LATE, fig4.LATE + 1000), cosine[fig4.LATE : fig4.LATE + 1000]])


def kim_fig5(parts, outcome, figure):
    table = outcome.tables["trajectories"]
    titles = ["Gradient descent", "SAM, rho = 1/2 (threshold)", "SAM, rho = 1"]
    assert [p.title for p in parts] == [*titles, "Surface"]
    surface = figure.axes[-1]
    assert surface.get_zlabel() == "loss"
    for line, name in zip(surface.lines, ("gd", "sam"), strict=False):
        x, y, z = (np.asarray(v) for v in line.get_data_3d())
        close(z, x**2 - y**2, rtol=1e-12, atol=1e-15)
        equal([x, y], [table[f"{name}_{c}"][: len(x)] for c in "xy"])
    for panel, name in zip(parts[:3], ("gd", "half", "sam"), strict=True):
        path = panel.curve(style="-", colour=draw.BLUE if name == "gd" else draw.RED)
        equal([path.x, path.y], [table[f"{name}_x"], table[f"{name}_y"]])
        assert marks(panel, label="saddle") == {(0.0, 0.0)}
        assert (panel.xlabel, panel.ylabel) == ("x", "y")


def kim_fig6(parts, outcome, figure):
    for k, panel in enumerate(parts[:6]):
        mode, rho = divmod(k, 3)
        radius = (0.0, 0.05, 0.5)[rho]
        assert panel.title == f"{('smaller', 'larger')[mode]} eigenvalue, rho = {radius:g}"
        ((values, extent),) = panel.images
        assert tuple(extent) == (-4.5, 4.5, -4.5, 4.5)
        x = np.linspace(-4.5, 4.5, values.shape[0])
        for i, j in ((7, 11), (60, 20)):
            e = np.linalg.eigvalsh(sf.losses.beale().hessian([x[j], x[i]]))[mode]
            close(values[i, j], e + radius * e**2, rtol=1e-9)
    assert parts[6].ylabel == "lambda + rho*lambda²  (1/length²)"


def kim_fig7(parts, outcome, figure):
    by = {p.title[:3]: p for p in parts if p.title}
    weights, n = outcome.tables["final-weights"], outcome.numbers
    for label, name, colour in (("start", "start", draw.GREY), ("SGD", "sgd", draw.BLUE), ("SAM, rho = 0.1", "sam", draw.RED)):
        dots = by["(a)"].curve(label=label, colour=colour)
        equal([dots.x, dots.y], [weights[f"{name}_w1"], weights[f"{name}_w2"]])
    names = {
        "normalized": ("normalised rho, batch size 1", draw.RED),
        "constant": ("constant rho, batch size 1", draw.BLUE),
        "full batch": ("normalised rho, full batch", draw.GREEN),
    }
    for kind, (label, colour) in names.items():
        found = by["(c)"].curve(label=label, colour=colour)
        equal([found.x, found.y], [fig7.RHO, n[kind]["loss"]])
        close(found.high - found.low, 4 * np.asarray(n[kind]["error"]), rtol=1e-6, atol=1e-15)
    law = by["(c)"].curve(label="law of the full batch")
    close(np.interp([0.01, 0.1], law.x, law.y), theory.toy_network_trapped_loss(rho=np.array([0.01, 0.1])), rtol=1e-4)
    for i, panel in enumerate(p for p in parts if "at the end" in p.xlabel and "seeds" in p.ylabel):
        heights = [p.get_height() for p in figure.axes[parts.index(panel)].patches if hasattr(p, "get_height")]
        edges = np.linspace(*fig7.BOX[i], 65)
        counted = [np.histogram(weights[f"{w}_w{i + 1}"], edges)[0] for w in ("sgd", "sam")]
        equal(heights, np.concatenate(counted))
        assert panel.scales == ("linear", "log") and panel.xlabel == f"$w_{i + 1}$ at the end"


def kim_theorem1(parts, outcome, figure):
    left, middle, right = (p for p in parts if p.xlabel)
    table, at = outcome.tables["rates"], {"left": 0, "middle": 2}
    e, rho = np.unique(table["eigenvalue"]), np.unique(table["rho"])
    for panel, i in zip((left, middle), at.values(), strict=True):
        g = attractors.MOMENTUM[i]
        assert panel.title == f"Momentum {g:g}"
        ((values, _),) = panel.meshes
        rate = table[f"rate_momentum_{g:g}"].reshape(len(e), len(rho))
        equal(values.reshape(len(rho), len(e)), np.maximum(rate.T, -1.0))
        boundary = panel.curve(label="rho = -1/lambda, Theorem 1")
        close(boundary.x * boundary.y, -1, rtol=1e-12)
        top = panel.curve(label="upper end of the window")
        close(top.y, theory.rho_window(top.x, lr=0.15, momentum=g)[1], rtol=1e-12)
    column = e[np.argmin(np.abs(e + 1))]
    for g, colour in zip(attractors.MOMENTUM, (draw.BLUE, draw.GREEN, draw.RED), strict=True):
        dots = right.curve(label=f"momentum {g:g}", colour=colour)
        rate = table[f"rate_momentum_{g:g}"][table["eigenvalue"] == column]
        equal([dots.x, dots.y], [rho[::4], rate[::4]])
        line = right.curve(colour=colour, style="-")
        roots = theory.multipliers(theory.curvature(column, rho=line.x), lr=0.15, momentum=g)[:, 0]
        close(line.y, np.log(np.abs(roots)), rtol=1e-9, atol=1e-12)
    assert right.title == f"Eigenvalue {column:g}: measured and theory"


def kim_theorem2(parts, outcome, figure):
    table = outcome.tables["msd"]
    for panel, drift in zip(parts, ("plain", "chain"), strict=True):
        assert panel.scales == LOG and ("What SAM does" in panel.title) == (drift == "plain")
        for e, mark in zip(theorem2.EIGENVALUES, "os", strict=True):
            for r, colour in zip(theorem2.RHO, (draw.BLUE, draw.RED, draw.GREEN), strict=True):
                at = (table["drift"] == drift) & (table["eigenvalue"] == e) & (table["rho"] == r)
                name = f"{f'SAM, rho {r:g}' if r else 'SGD'}, eigenvalue {e:g}"
                found = panel.curve(label=name, colour=colour, mark=mark)
                equal([found.x, found.y], [table["time"][at], table["msd"][at]])
                close(found.high - found.y, 2 * table["se"][at], rtol=1e-9)
                how = {"eigenvalue": e, "lr": 0.01, "rho": r, "batch_size": 64}
                lines = [c for c in panel.all(colour=colour, mark="None")]
                for kind in {drift, "chain"} if r else {drift}:
                    expected = theory.theorem2(lines[0].x, drift=kind, **how)
                    assert any(np.array_equal(c.y, expected) for c in lines), (drift, e, r, kind)
    assert not parts[1].all(style="--") and "mean squared displacement" in parts[0].ylabel


def kim_density(parts, outcome, figure):
    n, colours = outcome.numbers, (draw.BLUE, draw.RED)
    maps, (share, times) = parts[:2] + parts[3:5], (parts[2], parts[5])
    for i, rho in enumerate(leaving.SHOWN):
        law = leaving._law(rho)
        for panel in maps[2 * i : 2 * i + 2]:
            assert panel.title.startswith("SAM, rho 0.5" if rho else "SGD") and "density" in panel.title + "density"
            assert panel.meshes[0][1].norm.vmax == law.density[-1].max()
        equal(maps[2 * i].meshes[0][0], law.density[-1].T)
        coarse = law.probability[-1].reshape(40, 2, 36, 2).sum((1, 3))
        error = np.sqrt(coarse / n["paths"])
        drawn = maps[2 * i + 1].meshes[0][0].T * 0.01
        assert (np.abs(drawn - coarse) < 6 * error + 3 / n["paths"]).all(), "the histogram beside is that of the same law"
        name = f"SAM, rho {rho:g}" if rho else "SGD"
        equal(share.curve(label=name, colour=colours[i]).y, n["right"][i])
        equal(share.curve(mark="o", colour=colours[i]).y, n["share"][i])
    for label, key, style in (
        ("from the minimum to the saddle", "well", "-"),
        ("the same, algorithm", "algorithm", "--"),
        ("from the saddle to |x| = 0.5", "saddle", "-"),
    ):
        equal(times.curve(label=label, style=style).finite, [leaving.RADII, n[key]])
    bars = times.curve(mark="o")
    equal([bars.x, bars.y], [leaving.MARKED, n["left"]])
    close(bars.high - bars.y, 2 * np.asarray(n["left_error"]), rtol=1e-9)


def kim_theorem3(parts, outcome, figure):
    left, right = parts
    table, kappa = outcome.tables["msd"], float(theory.curvature(-1.0, rho=0.1, drift="chain"))
    colours = (draw.BLUE, draw.GREEN, draw.RED, draw.PINK, draw.ORANGE)
    how = {"eigenvalue": -1.0, "lr": 0.001, "rho": 0.1, "batch_size": 64}
    for g, colour in zip((*momentum.MOMENTUM, 0.99), colours, strict=True):
        n = np.unique(np.geomspace(1, 2000, 200).astype(int))
        exact = theory.heavy_ball_moments(n, curvature=kappa, lr=0.001, momentum=g, gradient_variance=1 / 64).var
        formula = theory.theorem3(n * 0.001, momentum=g, **how)
        dotted, thick = right.curve(colour=colour, style=":"), right.curve(label=f"momentum {g:g}", colour=colour)
        close(dotted.y, formula / exact, rtol=1e-9)
        good = np.isfinite(theory.theorem3_validity(n * 0.001, curvature=kappa, lr=0.001, momentum=g))
        close(thick.y, np.where(good, formula / exact, np.nan), rtol=1e-9)
        if g == 0.99:
            continue
        close(left.curve(colour=colour, style="-").y, exact, rtol=1e-9)
        close(left.curve(colour=colour, style="--").y, formula, rtol=1e-9)
        at = (table["batch_size"] == 64) & (table["momentum"] == g)
        dots = left.curve(label=f"momentum {g:g}", colour=colour)
        equal([dots.x, dots.y], [table["time"][at], table["msd"][at]])
        close(dots.high - dots.low, 4 * table["se"][at], rtol=1e-9)
    assert left.scales == right.scales == LOG


def kim_corollary1(parts, outcome, figure):
    left, right = parts
    table, how = outcome.tables["differences"], {"eigenvalue": -1.0, "lr": 0.001, "batch_size": 64}
    for i, colour in ((1, draw.BLUE), (3, draw.GREEN), (5, draw.RED)):
        r = corollary1.RHO[i]
        for drift, mark in (("chain", "o"), ("plain", "s")):
            at = (table["run"] == drift) & (table["rho"] == r)
            dots = left.curve(label=f"rho {r:g}, {drift} drift", colour=colour, mark=mark)
            equal([dots.x, dots.y], [table["time"][at], np.abs(table["difference"][at])])
            close(dots.high - dots.low, 4 * table["se"][at], rtol=1e-6)
            assert dots.face == (shade(colour) if table["difference"][at][0] < 0 else "#ffffff")
            exact = np.abs(theory.corollary1_exact(FINE_TIMES, rho=r, drift=drift, **how))
            assert any(np.array_equal(c.y, exact) for c in left.all(colour=colour, style="-"))
        equal(left.curve(colour=colour, style="--").y, theory.corollary1(FINE_TIMES, rho=r, **how))
    for t, colour in zip(corollary1.TIMES, (draw.BLUE, draw.GREEN, draw.RED), strict=True):
        for drift, style in (("chain", "-"), ("plain", ":")):
            line = right.curve(label=f"t = {t:g}, {drift} drift", colour=colour, style=style)
            ratio = theory.corollary1(t, rho=line.x, **how) / theory.corollary1_exact(t, rho=line.x, drift=drift, **how)
            close(line.finite[1], ratio[np.isfinite(line.y)], rtol=1e-12)


FINE_TIMES = np.geomspace(0.01, 1.0, 200)


# --- Bartlett et al. --------------------------------------------------------------------------------------------------------
def bartlett_fig1(parts, outcome, figure):
    whole, near, time = (p for p in parts if p.title)
    table, n = outcome.tables["path"], outcome.numbers
    for panel in (whole, near):
        path = panel.curve(label="SAM")
        equal([path.x, path.y], [table["w_1"], table["w_2"]])
        assert marks(panel, label="two-cycle") == {(-n["amplitude"], 0.0), (n["amplitude"], 0.0)}
        assert marks(panel, label="minimum") == {(0.0, 0.0)}
    close(time.curve(label="$|w_t|$").y, table["distance"], rtol=1e-12)
    assert set(time.curve(style="--").y) == {n["amplitude"]} and time.scales == ("linear", "log")


def bartlett_fig2(parts, outcome, figure):
    left, right = (p for p in parts if p.title)
    table, norms = outcome.tables["path"], outcome.numbers["norms"]
    path = left.curve(label="$u_t=(-1)^tw_t$")
    equal([path.x, path.y], [table["u_1"], table["u_2"]])
    assert marks(left, label="minima of J: the two-cycle") == {(-norms[0], 0.0), (norms[0], 0.0)}
    assert marks(left, label="saddles of J") == {(0.0, -norms[1]), (0.0, norms[1])}
    equal(right.curve(label="$J(u_t)-J(u_{t+1})$").y, -np.diff(table["J"]))
    equal(right.curve(label="at least (Lemma 10)").y, -table["bound"][1:])
    assert right.scales == ("linear", "log")


def of_the_ravine(parts, outcome, figure):
    plane, time, radius = (p for p in parts if p.title)
    table, n = outcome.tables["paths"], outcome.numbers
    for label, colour, name in (("SAM, $\\rho$ = 1", draw.BLUE, "sam"), ("gradient descent", draw.RED, "gd")):
        path, height = plane.curve(label=label, colour=colour), time.curve(label=label, colour=colour)
        equal([path.x, path.y], [table[f"{name}_x"], table[f"{name}_y"]])
        equal([height.x, height.y], [table["update"], table[f"{name}_y"]])
    assert marks(plane, label="two-cycle") == {tuple(p) for p in np.asarray(n["two_cycle"]).tolist()}
    close(time.curve(label="two-cycle").y, n["two_cycle"][-1][1], rtol=1e-9)
    dots, line = radius.curve(label="SAM, last 64 updates"), radius.curve(label="two-cycle, theory")
    equal([dots.x, dots.y], [outcome.tables["radii"]["rho"], outcome.tables["radii"]["height"]])
    close(line.y[::50], [theory.ravine_two_cycle(lr=0.2, rho=r)[1] for r in line.x[::50]], rtol=1e-12)
    assert set(radius.curve(style=":").x) == {0.8} and set(radius.curve(style="-.").x) == {ravine.largest_radius()}


def bartlett_fig5(parts, outcome, figure):
    plane, across, along = (p for p in parts if p.title)
    table, n = outcome.tables["densities"], outcome.numbers
    for panel, name in ((across, "x"), (along, "y")):
        steps = [p for p in figure.axes[parts.index(panel)].patches if hasattr(p, "get_data")]
        for sigma, colour, one in zip(noise.SIGMA, (draw.RED, draw.ORANGE), steps, strict=True):
            heights, edges, _ = one.get_data()
            close(edges, np.linspace(-1, 1, 81), rtol=1e-12, atol=1e-12)
            inner = np.abs(table[name]) < 1
            close(heights, table[f"density_{name}_sigma_{sigma:.4f}"][inner], rtol=1e-9, atol=1e-12)
            assert shade(one.get_edgecolor()) == shade(colour) and one.get_label() == f"noise, $\\sigma$ = {sigma:.3f}"
    close({c.x[0] for c in along.all(colour=draw.BLUE)}.pop(), n["sam_y"], rtol=1e-12)
    assert plane.curve(label="SAM, $\\rho$ = 1").colour == shade(draw.BLUE)
    assert len(plane.curve(label=f"noise, $\\sigma$ = {noise.SIGMA[0]:.3f}").x) == noise.SHOWN + 1


def bartlett_theorem1(parts, outcome, figure):
    size, rate, window = parts
    cycles, saddles = outcome.tables["cycles"], outcome.tables["saddles"]
    dots, line = size.curve(label="simulated"), size.curve(style="-")
    equal([dots.x, dots.y], [cycles["lr_top"], cycles["amplitude_over_rho"]])
    close(line.y, line.x / (2 - line.x), rtol=1e-12)
    assert set(size.curve(style=":").x) == {theorem1.CONDITION}
    held = np.asarray(saddles["captured"], bool)
    for label, at in (("held by the two-cycle", held), ("escapes", ~held)):
        found = window.curve(label=label)
        equal([found.x, found.y], [saddles["lr"][at], saddles["m"][at]])
    for second, mark in ((0.2, "o"), (0.5, "s"), (0.8, "^")):
        (found,) = (c for c in rate.curves if c.mark == mark)
        (guide,) = rate.all(colour=found.colour, style="-", mark="None")
        factor = abs(float(theory.two_cycle_multipliers((1.0, second), lr=0.2)[1]))
        close(guide.y[1:] / guide.y[:-1], factor, rtol=1e-9)
        close(found.y[40:] / found.y[39:-1], factor, rtol=1e-2)
        assert f"= {second:g}, factor {factor:.3f}" in found.label


def bartlett_theorem3(parts, outcome, figure):
    left, right = parts
    needed, over = outcome.tables["needed"], outcome.tables["overshoots"]
    for label, name in (("99 % of the starts", "quantile_99"), ("median", "median"), ("from (2, 2)", "from_2_2")):
        found = left.curve(label=label)
        equal([found.x, found.y], [needed["epsilon"], needed[name]])
    names = {"Lemma 11 with 4": "corrected", "Lemma 11 as printed, 3": "as_printed", "bracket in its proof": "bracket"}
    for label, name in names.items():
        found = right.curve(label=label)
        equal([found.x, found.y], [over["epsilon"], over[name]])
    equal(right.curve(label="largest count").y, np.maximum(over["largest_count"], 0.5))
    for label, name in (("Theorem 3, corrected", "theorem_3_corrected"), ("Theorem 3 as printed", "theorem_3_as_printed")):
        found = left.curve(label=label)
        equal([found.x, found.y], [needed["epsilon"], needed[name]])
    assert left.scales == right.scales == LOG and theorem3.RADIUS


def bartlett_lemmas(parts, outcome, figure):
    left, middle, right = parts
    seen, updates, worst = (outcome.tables[k] for k in ("lemma-7", "updates", "worst-loss"))
    dots = left.curve(label="share of the paths")
    equal([dots.x, dots.y], [seen["distance"], seen["share"]])
    line = left.curve(label="proportional to the distance")
    close(line.y, dots.y[0] * line.x / 0.1, rtol=1e-12)
    for label, name in (("99 % of the starts", "updates"), ("Theorem 3, corrected", "bound")):
        found = middle.curve(label=label)
        equal([found.x, found.y], [updates["lr"], updates[name]])
    curve = right.curve(label="largest loss within $\\rho$")
    close(curve.y, (np.abs(curve.x) + 1) ** 2 / 2, rtol=1e-12)
    equal([curve.x, curve.y], [worst["w_1"], worst["worst_loss"]])
    assert marks(right, label="minimax solution") == {(0.0, 0.5)}
    close(sorted(marks(right, label="SAM's two-cycle")), [(-1 / 9, 50 / 81), (1 / 9, 50 / 81)], rtol=1e-12)
    assert left.scales == middle.scales == LOG and right.scales == LINEAR


def bartlett_theorem21(parts, outcome, figure):
    left, right = parts
    for value, colour in ((0.02, draw.BLUE), (0.1, draw.RED), (0.4, draw.GREEN)):
        for name in ("cubic", "quartic"):
            t = outcome.tables[name]
            at = (t["lr"] == value) & (t["side"] == 1)
            dots = left.curve(label=f"{name}, $\\eta$ = {value:g}", colour=colour)
            equal([dots.x, dots.y], [t["rho"][at], -t["along"][at]])
        t = outcome.tables["cubic"]
        equal(left.curve(colour=colour, style="-").y, -t["drift"][(t["lr"] == value) & (t["side"] == 1)])
    for name in ("cubic", "quartic"):
        t = outcome.tables[name]
        for bound, words, style in (("theorem", "bound of the theorem", "-"), ("sharp", "sharper bound", "--")):
            worst = [(t["remainder"] / t[bound])[t["rho"] == r].max() for r in theorem21.RHO]
            equal(right.curve(label=f"{name}, {words}", style=style).y, worst)
    assert left.scales == right.scales == LOG


# --- the register -----------------------------------------------------------------------------------------------------------
def register(parts, outcome, figure):
    by, n = {p.title.split()[0]: p for p in parts if p.title}, outcome.numbers
    for drift, colour, mark, label in (("chain", draw.RED, "o", "published drift"), ("plain", draw.BLUE, "s", "SAM")):
        dots, line = by["K5"].curve(colour=colour, mark=mark), by["K5"].curve(label=label, colour=colour)
        equal([dots.x, dots.y], [n["K5"]["rho"], 1 / np.asarray(n["K5"][drift])])
        close(np.interp(dots.x, line.x, line.y), dots.y, rtol=2e-2)
    fast = by["K9"].curve(label="momentum 0.9")
    exact = theory.heavy_ball_moments(
        fast.x.astype(int), curvature=-1.0, lr=0.1 / fast.x, momentum=0.9, gradient_variance=1.0
    ).var
    formula = theory.theorem3(0.1, eigenvalue=-1.0, lr=0.1 / fast.x, momentum=0.9)
    close(fast.y, formula / exact, rtol=1e-12)
    tied = by["K13"].curve(colour=draw.BLACK, style=":")
    assert "dampening = momentum" in tied.label and tied.y[0] == 1 > tied.y[-1]
    for step, colour in ((-0.01, draw.BLUE), (0.5, draw.GREEN), (1.5, draw.RED)):
        line = by["K13"].curve(label=f"$\\eta\\kappa$ = ${step:g}$", colour=colour)
        msd = theory.heavy_ball_moments(100, curvature=step, lr=1.0, momentum=line.x, gradient_variance=1.0).var
        close(line.y, msd / msd[0], rtol=1e-12)
    equal(by["K14"].curve(label="MSD at a saddle (left)").y, n["K14"]["msd"])
    (other,) = (p for p in parts if p.ylabel.startswith("mean loss"))
    equal([other.curves[0].x, other.curves[0].y], [n["K14"]["batch_size"], n["K14"]["toy_loss"]])
    bars = by["K15"].curve(label="simulated, 5 standard errors")
    equal([bars.x, bars.y], [n["K15"]["rho"], n["K15"]["factor"]])
    close(bars.high - bars.low, 10 * np.asarray(n["K15"]["error"]), rtol=1e-9, atol=1e-15)
    law = by["K15"].curve(label="one minibatch in both gradients")
    close(law.y, (1 - law.x) ** 2, rtol=1e-12, atol=1e-12)
    flow = by["K1"].curve(label="$-w^2/2+w^4/8$", colour=draw.RED)
    close(flow.y, 0.5 * flow.x**3 - 0.5**4 * flow.x**9, rtol=1e-12)


PICTURES = {
    "kim-fig1": kim_fig1,
    "kim-fig2": kim_fig2,
    "kim-fig3": kim_fig3,
    "kim-fig4": kim_fig4,
    "kim-fig5": kim_fig5,
    "kim-fig6": kim_fig6,
    "kim-fig7": kim_fig7,
    "kim-theorem1": kim_theorem1,
    "kim-theorem2": kim_theorem2,
    "kim-theorem3": kim_theorem3,
    "kim-corollary1": kim_corollary1,
    "kim-density": kim_density,
    "bartlett-fig1": bartlett_fig1,
    "bartlett-fig2": bartlett_fig2,
    "bartlett-fig3": of_the_ravine,
    "bartlett-fig4": of_the_ravine,
    "bartlett-fig5": bartlett_fig5,
    "bartlett-theorem1": bartlett_theorem1,
    "bartlett-theorem3": bartlett_theorem3,
    "bartlett-lemmas": bartlett_lemmas,
    "bartlett-theorem21": bartlett_theorem21,
    "discrepancies": register,
}
