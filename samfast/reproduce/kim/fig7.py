"""Kim et al., Fig. 7: a network of two weights with random labels; SAM stays on the ridge where the output is 0."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

import samfast as sf

from ... import theory
from .. import draw
from ..experiments import Claim, Outcome, experiment, verdict

LR, STEPS, SEEDS, SPREAD = 0.01, 10_000, 1000, 0.1
RHO = (0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.07, 0.1, 0.2, 0.5)
SHOWN = 0.1  # the radius of Fig. 7a and b
BATCHES = (1, 4, 16, None)  # None: full batch
BEST, RIDGE = 2.25, 2.5  # mean loss in the minima and on the ridge
STUCK = 1e-3  # a walk whose loss is this close to that of the ridge counts as stuck
SATURATED = 0.01  # a mean loss above RIDGE - SATURATED counts as the loss of the ridge
TRAPPED = 0.1  # a walk that ends with |w1| below this has not left the ridge, where all began
ERRORS = 5  # standard errors that a difference needs to count
BOX = [(-1.6, 1.6), (-0.4, 1.9)]
CAPTION = (
    "1000 seeds, w1 uniform in [-0.1, 0.1], w2 in [0, 1], labels -1 and 2, rho 0.1, as published. The paper leaves open "
    "lr, steps, batch size and, but for (c), the kind of rho; here lr 0.01, 10000 steps, batch size 1, one sample for "
    "both gradients, normalised rho in (a) and (b). Bars in (c): 2 standard errors. (w1, w2 are w[0], w[1] of "
    "losses.toy_network.)"
)


@experiment("kim-fig7", "Toy network: SAM ends on the ridge, at a higher loss than SGD")
def run(size: float = 1.0, progress: Any = None, executor: Any = None) -> Outcome:
    """Final weights for 12 radii, both kinds of rho; the full batch; larger batches."""
    starts, how = _starts(max(int(SEEDS * size), 40)), {"progress": progress, "executor": executor}
    end = {kind: _end(starts, RHO, kind == "normalized", 1, **how) for kind in ("normalized", "constant")}
    end["full batch"] = _end(starts, RHO, True, None, **how)
    batches = BATCHES if size == 1 else BATCHES[:2]
    numbers: dict[str, Any] = {"rho": RHO, "seeds": len(starts), **{kind: _summary(w) for kind, w in end.items()}}
    numbers["law"] = theory.toy_network_trapped_loss(rho=np.array(RHO), spread=SPREAD)
    numbers["batches"] = {"batch_size": [b or np.inf for b in batches], **_batches(starts, batches, **how)}
    numbers["ridge"] = _ridge()
    table = {
        "rho": np.array(RHO),
        **{f"{kind.replace(' ', '_')}_{k}": numbers[kind][k] for kind in end for k in ("loss", "error", "stuck", "diverged")},
        "full_batch_law": numbers["law"],
    }
    sgd, sam = (end["normalized"][RHO.index(r)] for r in (0.0, SHOWN))
    final = {f"{name}_w{i + 1}": w[:, i] for name, w in (("start", starts), ("sgd", sgd), ("sam", sam)) for i in (0, 1)}
    return Outcome(
        _claims(numbers), numbers, {"losses": table, "final-weights": final}, {"kim-fig7": _figure(numbers, starts, sgd, sam)}
    )


def _starts(seeds: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([rng.uniform(-SPREAD, SPREAD, seeds), rng.uniform(0, 1, seeds)], -1)


def _end(starts: np.ndarray, rho: Any, normalize: bool, batch: int | None, **how: Any) -> np.ndarray:
    """Returns the final weights (rho, seed, 2), not finite if a run diverged; all radii see the same labels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.DivergenceWarning)
        return sf.simulate(
            sf.losses.toy_network(batch_size=batch),
            sf.sam(lr=LR, rho=rho, normalize=normalize),
            starts,
            record=[STEPS],
            dtype="float64",
            **how,
        ).final("w")


def _batches(starts: np.ndarray, sizes: Sequence[int | None], **how: Any) -> dict[str, Any]:
    """Returns the share of seeds that end at |w1| < TRAPPED and the mean loss, for each batch size.

    Both are computed for SGD and SAM, on both kinds of minibatch.
    """
    found: dict[str, Any] = {}
    mean = sf.losses.toy_network()
    for kind in ("same", "independent"):
        ends = []
        for size in sizes:
            rule = sf.sam(lr=LR, rho=(0.0, SHOWN))
            if size is not None:
                rule = sf.sampled(rule, sf.losses.toy_network(batch_size=size), minibatch=kind)
            ends.append(sf.simulate(mean, rule, starts, record=[STEPS], dtype="float64", **how).final("w"))
        w = np.moveaxis(np.stack(ends), 1, 0)  # (SGD and SAM, batch size, seed, coordinate)
        trapped, summary = (np.abs(w[..., 0]) < TRAPPED).mean(-1), _summary(w)
        found |= {f"sgd_trapped_{kind}": trapped[0], f"trapped_{kind}": trapped[1]}
        found |= {f"sgd_loss_{kind}": summary["loss"][0], f"loss_{kind}": summary["loss"][1]}
    return found


def saturates(loss: np.ndarray) -> tuple[bool, int]:
    """Tells whether the mean loss rises along RHO up to that of the ridge and stays there, and from which index on."""
    end = int(np.argmax(loss > RIDGE - SATURATED))
    return bool(end > 0 and (np.diff(loss[: end + 1]) > 0).all() and (loss[end:] > RIDGE - SATURATED).all()), end


def _summary(w: np.ndarray) -> dict[str, np.ndarray]:
    """Returns, for each row of w, the mean loss with its standard error, and the shares on the ridge and diverged."""
    with np.errstate(all="ignore"):
        loss = sf.losses.toy_network().value(w)
        alive = np.isfinite(loss) & (loss < 100)
        n, x = alive.sum(-1), np.where(alive, loss, 0.0)
        mean = x.sum(-1) / n
        error = np.sqrt(np.where(alive, (loss - mean[..., None]) ** 2, 0.0).sum(-1) / (n * (n - 1)))
        stuck = (alive & (np.abs(loss - RIDGE) < STUCK)).mean(-1)
    return {"loss": mean, "error": error, "stuck": stuck, "diverged": 1 - alive.mean(-1)}


def _claims(n: dict[str, Any]) -> tuple[Claim, ...]:
    a, b, full, law, at = n["normalized"], n["constant"], n["full batch"], n["law"], RHO.index(SHOWN)
    sizes = n["batches"]
    worse = (a["loss"][at] - a["loss"][0]) / np.hypot(a["error"][at], a["error"][0])
    rises, full_up = saturates(a["loss"])
    off = float(np.abs(full["loss"] - law).max())
    return (
        Claim(
            "SAM stays at the saddles w1 = 0 where SGD finds the minima.",
            f"rho 0.1, normalised: {a['stuck'][at]:.1%} of the seeds on the ridge, mean loss {a['loss'][at]:.3f}; SGD: "
            f"{a['stuck'][0]:.1%}, {a['loss'][0]:.3f} ({worse:.0f} standard errors)",
            verdict(a["stuck"][at] > 0.9 and worse > ERRORS and a["stuck"][0] < 0.05),
            "Kim et al., Fig. 7a, b; theory.toy_network_exponent",
        ),
        Claim(
            "The loss increases with rho (normalised).",
            "mean loss " + ", ".join(f"{x:.3f}" for x in a["loss"]) + " for rho " + ", ".join(f"{r:g}" for r in RHO),
            verdict(rises, f"rho is below {RHO[full_up]:g}, from where on the loss is 2.5"),
            "Kim et al., Fig. 7c; theory.toy_network_trapped_loss",
        ),
        Claim(
            "With constant rho it increases too.",
            "mean loss " + ", ".join(f"{x:.3f}" for x in b["loss"]),
            verdict((np.diff(b["loss"]) > -ERRORS * b["error"][1:]).all() and b["loss"][-1] > b["loss"][0]),
            "Kim et al., Fig. 7c, eq. 5; theory.toy_network_threshold",
        ),
        Claim(
            "Full batch, normalised (derived here): mean loss 9/4 + min(1, rho/0.1)/4.",
            f"largest difference {off:.4f} (mean over {n['seeds']} starts)",
            verdict(off < 0.3 / np.sqrt(n["seeds"])),
            "theory.toy_network_trapped_loss",
        ),
        Claim(
            "On this network too a smaller batch helps to escape, as Theorem 3 (2) has it for additive noise.",
            f"at |w1| < {TRAPPED} in the end, constant rho 0.1, B = {', '.join(f'{s:g}' for s in sizes['batch_size'])}: "
            f"{_percent(sizes['trapped_same'])} with one minibatch for both gradients, "
            f"{_percent(sizes['trapped_independent'])} with independent ones, {_percent(sizes['sgd_trapped_same'])} of SGD",
            verdict(all(x[0] < x[-1] for x in (sizes["trapped_same"], sizes["trapped_independent"]))),
            "Kim et al., Fig. 7, Theorem 3 (2); theory.toy_network_threshold",
        ),
        Claim(
            "The points w1 = 0 with w2 >= 0 are saddles.",
            f"eigenvalues of the Hessian for {len(n['ridge']['height'])} values of w2 from 0 to 1: -2 w2 across within "
            f"{np.abs(n['ridge']['lower'] + 2 * n['ridge']['height']).max():.0e}, and at most {n['ridge']['upper'].max():g} "
            "along: a degenerate ridge",
            verdict((n["ridge"]["lower"] < 0).all() and (n["ridge"]["upper"] > 0).all()),
            "Kim et al., section 4.3; losses.toy_network",
        ),
    )


def _percent(shares: np.ndarray) -> str:
    return ", ".join(f"{x:.1%}" for x in shares)


def _ridge() -> dict[str, np.ndarray]:
    """Returns both eigenvalues of the Hessian on the ridge, at w1 = 0 and w2 from 0 to 1."""
    height = np.linspace(0, 1, 11)
    values = np.linalg.eigvalsh(sf.losses.toy_network().hessian(np.stack([0 * height, height], -1))) + 0.0
    return {"height": height, "lower": values[:, 0], "upper": values[:, 1]}


@draw.styled
def _figure(n: dict[str, Any], starts: np.ndarray, sgd: np.ndarray, sam: np.ndarray) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14.5, 5.6), layout="constrained")
    axes: dict[str, Any] = figure.subplot_mosaic([["a", "b", "c"], ["a", "b2", "c"]], width_ratios=[1.15, 1, 1.1])
    draw.write(figure, CAPTION)
    _plane(axes["a"], starts, sgd, sam)
    for i, key in enumerate(("b", "b2")):
        _marginal(axes[key], i, sgd, sam)
    axes["b"].set_title("(b) Marginal distributions")
    axes["b"].legend(loc="upper right", frameon=True)
    losses = axes["c"]
    for kind, c, mark in (("normalized", draw.RED, "o"), ("constant", draw.BLUE, "s"), ("full batch", draw.GREEN, "^")):
        losses.errorbar(
            RHO,
            n[kind]["loss"],
            2 * n[kind]["error"],
            color=c,
            marker=mark,
            markersize=5,
            capsize=2,
            linewidth=1,
            label={
                "normalized": "normalised rho, batch size 1",
                "constant": "constant rho, batch size 1",
                "full batch": "normalised rho, full batch",
            }[kind],
        )
    fine = np.linspace(0, 0.5, 501)
    losses.plot(
        fine, theory.toy_network_trapped_loss(rho=fine), "--", color=draw.GREEN, linewidth=1, label="law of the full batch"
    )
    losses.axhline(RIDGE, color=draw.GREY, linewidth=0.8, linestyle=":")
    losses.set_xscale("symlog", linthresh=0.01)
    losses.set(
        xlabel="rho",
        ylabel="mean loss at the end",
        title="(c) Loss against rho",
        xlim=(-0.0005, 0.6),
        xticks=[0, 0.01, 0.1, 0.5],
        xticklabels=["0", "0.01", "0.1", "0.5"],
        ylim=(2.24, 2.62),
    )
    losses.legend(loc="upper left", frameon=True)
    return figure


def _plane(axes: Any, starts: np.ndarray, sgd: np.ndarray, sam: np.ndarray) -> None:
    draw.contours(axes, sf.losses.toy_network(), BOX)
    height = np.linspace(0.15, 2, 300)
    for side in (-1, 1):
        axes.plot(side / np.sqrt(2 * height), height, color=draw.BLACK, linewidth=1, label="minima" if side > 0 else None)
    axes.axvline(0, color=draw.BLACK, linewidth=1, linestyle=":", label="ridge")
    for w, c, name in ((starts, draw.GREY, "start"), (sgd, draw.BLUE, "SGD"), (sam, draw.RED, "SAM, rho = 0.1")):
        axes.plot(*w.T, ".", color=c, markersize=3, alpha=0.6, label=name)
    axes.set(xlim=BOX[0], ylim=BOX[1], xlabel="$w_1$", ylabel="$w_2$", title="(a) Final weights")
    axes.grid(False)
    axes.legend(loc="lower right", frameon=True, markerscale=3)


def _marginal(axes: Any, i: int, sgd: np.ndarray, sam: np.ndarray) -> None:
    edges = np.linspace(*BOX[i], 65)
    for w, c, name in ((sgd, draw.BLUE, "SGD"), (sam, draw.RED, "SAM, rho = 0.1")):
        axes.hist(w[:, i], edges, color=c, alpha=0.45, label=name)
        axes.hist(w[:, i], edges, color=c, histtype="step")
    axes.set(yscale="log", xlabel=f"$w_{i + 1}$ at the end", ylabel="seeds", ylim=(0.7, 1500))
