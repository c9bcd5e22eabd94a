"""Kim et al., slides: the Fokker-Planck equation of SAM, solved on the double well, and how SAM and SGD leave it."""

from __future__ import annotations

from typing import Any

import numpy as np

import samfast as sf

from ...law.figure import share, surface
from ...study.table import FAULT
from .. import draw
from ..experiments import UNSTATED, Claim, Outcome, experiment, verdict

LR, SIGMA = 0.05, 2.0  # D = lr*sigma^2/2 = 0.1
SHOWN = (0.0, 0.5)  # radii of the maps
RADII = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
MARKED = (0.0, 0.3, 0.6)  # radii at which paths are simulated until they leave
DT, TIMES = 0.005, (0.5, 1.0, 2.0, 3.0, 4.0, 5.0)
BOX = ((-2.0, 2.0, 80), (-1.8, 1.8, 72))
WELL, SADDLE = (-1.9, 0.0, 200), (-0.5, 0.5, 200)  # where a path is until it has left the well, or the saddle
TOGETHER, FEWEST = 4, 1000  # cells in a bin along each coordinate; paths in a bin that is looked at
PATHS, LEAVING, LAST = 100_000, 10_000, 16  # LAST: mean exit times after which no path should be left
POWER = 0.4  # of the density, by which colours are chosen: a few percent of the paths stay visible
CAPTION = (
    "Double well x^4/4 - x^2/2 + y^2/2, gradient noise of deviation 2, lr 0.05, so D = 0.1; start at the minimum (-1, 0). "
    "Maps at t = 5 (colours by the density to the power 0.4): the solution of the equation, and 100000 paths of "
    "Euler-Maruyama steps of 0.005. Right, above: lines from the equation, marks from the paths. Right, below: solid from the "
    "equation, dashed from the transfer operator of the algorithm, marks with bars of 2 standard errors from 10000 paths of "
    "the algorithm."
)
LAW = "dP/dt = div(P grad l(w^p)) + div div(D P)"


@sf.loss(dim=1)
def along(w: Any, p: Any) -> Any:
    """The double well along x: plain SAM with a constant radius does not mix x and y there."""
    return w[0] ** 4 / 4 - w[0] ** 2 / 2


@experiment("kim-density", "SAM and SGD leave a double well")
def run(size: float = 1.0, progress: Any = None, executor: Any = None) -> Outcome:
    """Densities and exit times from the equation and from the algorithm's operator, beside paths."""
    how = {"progress": progress, "executor": executor}
    paths = max(int(PATHS * size), 2000)
    sam = sf.sam(lr=LR, rho=list(SHOWN))
    run = sf.simulate(
        sf.losses.double_well(),
        sf.diffusion(sam, sigma=SIGMA, dt=DT),
        [-1.0, 0.0],
        record=[round(t / DT) for t in TIMES],
        paths=paths,
        values=True,
        state=False,
        shared_noise=False,
        **how,
    )
    seen = np.asarray(run.values)  # (radius, time, path, coordinate)
    laws = [_law(rho) for rho in SHOWN]
    z = np.array([law.z(x[-1], together=TOGETHER, least=FEWEST * size) for law, x in zip(laws, seen, strict=True)])
    right = np.array([law.probability[:, BOX[0][2] // 2 :].sum((1, 2)) for law in laws])
    beyond = (seen[..., 0] > 0).mean(-1)
    exits = {k: np.array(v) for k, v in _exits().items()}
    leaving = _leaving(max(int(LEAVING * size), 500), exits["algorithm"], how)
    numbers = {
        "rho": SHOWN,
        "time": TIMES,
        "paths": paths,
        "bins": np.isfinite(z).sum((1, 2)),
        "worst_z": np.nanmax(np.abs(z), (1, 2)),
        "mass": [float(law.mass[-1]) for law in laws],
        "mass_error": [float(law.dataset["mass_error"][-1]) for law in laws],
        "right": right,
        "share": beyond,
        "share_z": (beyond - right) / np.sqrt(right * (1 - right) / paths),
        "radii": RADII,
        **exits,
        **leaving,
    }
    tables = {
        "exit_times": {k: np.asarray(numbers[k]) for k in ("radii", "well", "saddle", "algorithm")},
        "right": {"time": np.tile(TIMES, 2), "rho": np.repeat(SHOWN, len(TIMES)), "equation": right.ravel(),
                                "paths": beyond.ravel()},
    }  # fmt: skip
    return Outcome(_claims(numbers), numbers, tables, {"kim-density": _figure(laws, seen[:, -1], numbers)})


def _law(rho: float) -> Any:
    return sf.density(
        sf.losses.double_well(), sf.diffusion(sf.sam(lr=LR, rho=rho), sigma=SIGMA), [-1.0, 0.0], grid=BOX, times=TIMES
    )


def _exits() -> dict[str, list[float]]:
    """Mean times: from the minimum to the saddle, by the equation and by the algorithm, and from the saddle to |x| = 0.5."""
    out: dict[str, list[float]] = {"well": [], "saddle": [], "algorithm": [], "exit_error": []}
    for rho in RADII:
        sam = sf.sam(lr=LR, rho=rho)
        for name, start, grid in (("well", -1.0, WELL), ("saddle", 0.0, SADDLE)):
            left = sf.density(along, sf.diffusion(sam, sigma=SIGMA), start, grid=grid, times=LR).exit_time()
            out[name].append(left.value)
            out["exit_error"].append(left.error)
        left = sf.density(along, sf.noisy(sam, sigma=SIGMA), -1.0, grid=WELL, times=LR).exit_time()
        out["algorithm"].append(left.value)
    return out


def _leaving(paths: int, exact: np.ndarray, how: dict[str, Any]) -> dict[str, Any]:
    """Mean times from the minimum to the saddle of paths of the algorithm, with errors; nan where a path is left."""
    at = [RADII.index(r) for r in MARKED]
    watch = sf.observe.first(lambda s: s.w[0] > 0)
    run = sf.simulate(
        along,
        sf.noisy(sf.sam(lr=LR, rho=list(MARKED)), sigma=SIGMA),
        [-1.0],
        record=[int(LAST * exact.max() / LR)],
        paths=paths,
        observe=watch,
        stop=watch,
        values=True,
        state=False,
        **how,
    )
    updates = np.asarray(run.values)[:, 0, :, 0]
    time = np.where((updates >= 0).all(-1), updates.mean(-1), np.nan) * LR
    error = updates.std(-1, ddof=1) / np.sqrt(paths) * LR
    return {"marked": MARKED, "left": time, "left_error": error, "left_z": (time - exact[at]) / error}


def _claims(n: dict[str, Any]) -> tuple[Claim, ...]:
    well, saddle = np.asarray(n["well"]), np.asarray(n["saddle"])
    bins, worst, beyond = np.asarray(n["bins"]), np.asarray(n["worst_z"]), np.abs(n["share_z"]).max()
    half = RADII.index(0.5)
    ratio = np.asarray(n["algorithm"]) / well
    leaving = np.abs(n["left_z"]).max()
    return (
        Claim(
            f"The density of the diffusion of SAM solves {LAW}.",
            f"{bins[0]} and {bins[1]} bins of more than {FEWEST} of {n['paths']} paths, SGD and rho 0.5: largest |z| "
            f"{worst[0]:.2f} and {worst[1]:.2f}; share right of the saddle at {len(TIMES)} times: largest |z| {beyond:.2f}",
            verdict(max(worst.max(), beyond) < FAULT and bins.min() > 0),
            "Kim et al., slides, Fokker-Planck equation; sf.density",
        ),
        Claim(
            "SAM leaves a saddle more slowly than SGD (Corollary 1, here beyond the quadratic).",
            f"mean time from the saddle to |x| = 0.5: {saddle[0]:.4f} for SGD, {saddle[half]:.4f} for rho 0.5",
            verdict((np.diff(saddle) > 0).all()),
            "Kim et al., Corollary 1; sf.density",
        ),
        Claim(
            "So a path of SAM is longer in a well as well.",
            f"mean time from the minimum to the saddle: {well[0]:.3f} for SGD, {well[half]:.3f} for rho 0.5; between the two "
            "the force of SAM is the weaker one",
            verdict((np.diff(well) > 0).all(), otherwise=UNSTATED),
            "a reading of Kim et al., Corollary 1; sf.density",
        ),
        Claim(
            "The diffusion of eq. 11 leaves as the algorithm does.",
            f"mean time of the algorithm over that of its diffusion, lr {LR:g}: {ratio[0]:.3f} for SGD, {ratio[half]:.3f} for "
            f"rho 0.5; paths of the algorithm beside its operator: largest |z| {leaving:.2f}",
            verdict(leaving < FAULT and np.abs(ratio - 1).max() < 0.25, "lr is small"),
            "Kim et al., eq. 11; sf.density",
        ),
    )


@draw.styled
def _figure(laws: Any, ends: np.ndarray, n: dict[str, Any]) -> Any:
    figure, axes = draw.panels(2, 3, (13.6, 7.4), CAPTION)
    for row, law, paths, name in zip(axes, laws, ends, ("SGD", f"SAM, rho {SHOWN[1]:g}"), strict=True):
        edges = [e[::2] for e in law.edges]
        most = float(law.density[-1].max())
        shades = surface(row[0], law.edges, law.density[-1], most, power=POWER)
        surface(row[1], edges, share(paths, edges), most, power=POWER)
        row[0].set_title(f"{name}: density")
        row[1].set_title(f"{name}: paths")
        figure.colorbar(shades, ax=row[1], label="density  (1/length²)")
        for panel in row[:2]:
            panel.set(xlabel="x  (length)", ylabel="y  (length)", ylim=(-1.2, 1.2))
            panel.plot([-1, 1], [0, 0], "*", color=draw.BLACK, markeredgecolor="white", markersize=12)
            panel.plot(0, 0, "X", color=draw.BLACK, markeredgecolor="white", markersize=9)
    above, below = axes[:, 2]
    for i, (rho, c) in enumerate(zip(SHOWN, (draw.BLUE, draw.RED), strict=True)):
        above.plot(TIMES, n["right"][i], color=c, label=f"SAM, rho {rho:g}" if rho else "SGD")
        above.plot(TIMES, n["share"][i], "o", color=c, markerfacecolor="white")
    above.set(xlabel=draw.CLOCK, title="Share of the paths right of the saddle", ylim=(0, None))
    above.legend()
    below.plot(RADII, n["well"], color=draw.BLUE, label="from the minimum to the saddle")
    below.plot(RADII, n["algorithm"], "--", color=draw.BLUE, label="the same, algorithm")
    below.errorbar(
        MARKED,
        n["left"],
        2 * np.asarray(n["left_error"]),
        color=draw.BLUE,
        linestyle="none",
        marker="o",
        markerfacecolor="white",
    )
    below.plot(RADII, n["saddle"], color=draw.GREEN, label="from the saddle to |x| = 0.5")
    below.set(xlabel="rho  (length²)", ylabel="time", title="Mean time until a path leaves", yscale="log")
    below.legend(loc="center right")
    return figure
