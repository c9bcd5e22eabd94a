"""Speed of the experiments of the papers, each row beside its correctness check; seconds of wall time, goal / measured.

python bench/reproduce.py                 prints the table
python bench/reproduce.py --all           also `samfast reproduce all` with what is compiled, experiment by experiment
python bench/reproduce.py --json FILE     also writes it, with the machine's name
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

import samfast as sf
from samfast import machine
from samfast.backends import cpu
from samfast.reproduce.kim import beale
from samfast.reproduce.kim import fig7 as kim_fig7
from samfast.simulation.prepare import prepared_job

GOALS = {"released": 0.05, "fig7": 2.0, "basins": 30.0, "all": 120.0}
LOOP = 5000  # steps of the plain loop
LOSSES = {0.0: 2.291, 0.01: 2.366, 0.02: 2.441, 0.05: 2.500, 0.1: 2.500}  # mean losses of Fig. 7, normalised rho


@dataclass
class Row:
    name: str
    seconds: float
    goal: float
    check: str

    def __str__(self) -> str:
        return f"{self.name:<66} {self.seconds:>8.3f} {self.goal:>8.3f} {self.goal / self.seconds:>7.2f}   {self.check}"


def best(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Returns (seconds of the fastest of `repeats` calls, result of the last one); a first call is not counted."""
    result, times = call(), []
    for _ in range(repeats):
        begun = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - begun)
    return min(times), result


def released(repeats: int = 5, steps: int = beale.RELEASED.steps) -> Row:
    """Times the kernel of the released setting on one thread, with position, perturbed point and cosine at every step."""
    s = beale.RELEASED
    rule = sf.sam(lr=sf.per_path(np.full(len(s.rho), s.lr)), rho=sf.per_path(s.rho), normalize=True)
    seen = sf.observe.several(sf.observe.position(), sf.observe.perturbed(rule), sf.observe.cosine(rule))
    job = prepared_job(sf.losses.beale(), rule, s.starts, observe=seen, seed=0, dtype="float64", values=True, state=False)
    [shard] = job.shards(0, np.arange(steps + 1), None)
    seconds, part = best(lambda: cpu.run_shard(shard), repeats)
    free = part.values[0, :, :2, :2]  # (time, feature, path) of gradient descent and rho = 0.1
    slow = np.moveaxis(plain(s, min(steps, LOOP))[:, :2], 1, 2)
    error = float(np.abs(free[: len(slow)] - slow).max())
    assert error < 1e-10, f"the kernel and a plain loop differ by {error:.1e}"
    return Row(
        f"released setting of Fig. 1: 4 radii x {steps:,} steps, all recorded",
        seconds,
        GOALS["released"],
        f"plain loop within {error:.0e}",
    )


def plain(s: beale.Setting, steps: int) -> np.ndarray:
    """Returns the positions (steps + 1, walk, 2) of the same walks, computed by a plain NumPy loop."""
    loss, w = sf.losses.beale(), np.array(s.starts)
    out = [w]
    for _ in range(steps):
        g = loss.gradient(w)
        w = w - s.lr * loss.gradient(w + np.array(s.rho)[:, None] * g / np.linalg.norm(g, axis=-1, keepdims=True))
        out.append(w)
    return np.stack(out)


def fig7(repeats: int = 3, seeds: int = kim_fig7.SEEDS) -> Row:
    """Times Fig. 7 of Kim et al. on all processors: 12 normalised radii at batch size 1."""
    starts = kim_fig7._starts(seeds)
    seconds, end = best(lambda: kim_fig7._end(starts, kim_fig7.RHO, True, 1), repeats)
    loss = kim_fig7._summary(end)["loss"]
    allowed = 0.012 * max(1.0, (1000 / seeds) ** 0.5)
    off = max(abs(loss[kim_fig7.RHO.index(rho)] - x) for rho, x in LOSSES.items())
    assert off < allowed, f"mean losses differ by {off:.3f}"
    return Row(
        f"Fig. 7: {seeds} seeds x {kim_fig7.STEPS:,} steps x {len(kim_fig7.RHO)} radii",
        seconds,
        GOALS["fig7"],
        f"mean losses within {off:.3f}",
    )


def basins(side: int = 1000) -> Row:
    """Times one basin map: the ends of SAM with constant rho 0.05 from a square of starts on Beale's function."""

    def go(shape: tuple[int, int], steps: int) -> sf.Basins:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*end near no attractor")  # at this lr many are still on their way
            return sf.basins(
                sf.losses.beale(),
                sf.sam(lr=1e-4, rho=0.05),
                [(-1.5, 1.5), (-0.5, 2.5)],
                shape=shape,
                steps=steps,
                attractors=[beale.SADDLE, beale.MINIMUM],
                within=beale.NEAR,
            )

    go((20, 20), 10)
    begun = time.perf_counter()
    found = go((side, side), 10_000)
    seconds = time.perf_counter() - begun
    row, column = (int(np.abs(axis - x).argmin()) for axis, x in zip(found.axes, beale.CONSTANT.starts[0], strict=True))
    assert found.index[row, column] == 0, "the start of Fig. 1 does not reach the saddle"
    return Row(
        f"basins on Beale's function: {side}x{side} starts x 10,000 steps",
        seconds,
        GOALS["basins"],
        f"share of the saddle {found.fractions[0]:.4f}",
    )


def everything(size: float = 1.0, names: tuple[str, ...] | None = None) -> list[Row]:
    """Times every experiment with its files; a claim without a verdict fails."""
    rows = []
    for name in names or sf.reproduce.names():
        sf.reproduce.run(name, size=size)  # compiles the programs that are not in the cache
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            outcome = sf.reproduce.run(name, folder, size=size)
            seconds = time.perf_counter() - begun
            assert sf.reproduce.done(name, folder, size=size) is not None
        rows.append(Row(name, seconds, GOALS["all"], sf.reproduce.total(outcome.claims)))
    rows.append(Row("all of them", sum(r.seconds for r in rows), GOALS["all"], f"{len(rows)} experiments"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--json")
    args = parser.parse_args()
    print(f"{'':<66} {'seconds':>8} {'goal':>8} {'goal/s':>7}   check")
    rows = []
    for make in (released, fig7, basins, *([everything] if args.all else [])):
        made = make()
        for row in made if isinstance(made, list) else [made]:
            print(row, flush=True)
            rows.append(row)
    if args.json:
        about = {"processor": machine.processor()["name"], "processors": os.cpu_count(), "system": platform.system()}
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"machine": about, "rows": [asdict(r) for r in rows]}, file, indent=1)


if __name__ == "__main__":
    main()
