"""Speed of the compiled kernels: ratios to a C++ yardstick, interleaved in one process, each beside its correctness check.

    python bench/engine.py                 prints the table
    python bench/engine.py --json FILE     also writes it, with the machine's name

A ratio is yardstick time / samfast time, so 1 is as fast as hand-written intrinsics. Times are CPU time of one thread.
"""
from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import yardstick

import samfast as sf
from samfast import engine
from samfast.backends import cpu

LR, RHO, SIGMA, SEED = 0.01, 0.05, 0.1, 12345
CURVATURE = 1.0 * (1 + RHO)


@dataclass
class Row:
    name: str
    nanoseconds: float      # samfast, per path-step (and setting)
    reference: float        # what it is compared with
    ratio: float            # reference / samfast
    goal: float | None
    check: str


class Kernel:
    """One compiled program on fixed inputs, timed without the scheduler around it."""

    def __init__(self, loss, rule, start, record, paths, observe=None, dtype="mixed"):
        job = engine.prepare(loss, rule, start, paths=paths, observe=observe, seed=SEED, dtype=dtype)
        self.shard = cpu.Shard(job.program, 0, paths, 0, SEED, 0, job.params, job.shift, np.asarray(record, np.int64),
                               dict(job.rows), None, True, False, True, cpu.toolchain())

    def __call__(self):
        self.part = cpu.run_shard(self.shard)
        return self.part


def interleave(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, np.ndarray]:
    """Seconds of CPU time, A B A B ..., after one call that is not counted."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            before = time.thread_time()
            call()
            times[name].append(time.thread_time() - before)
    return {name: np.array(t) for name, t in times.items()}


def row(name: str, ours: Callable[[], object], reference: Callable[[], object], units: float, goal: float | None,
        check: str, repeats: int, reference_units: float | None = None) -> Row:
    t = interleave({"ours": ours, "reference": reference}, repeats)
    scale = units / (reference_units or units)
    return Row(name, float(np.median(t["ours"])) / units * 1e9, float(np.median(t["reference"])) / units * scale * 1e9,
               float(np.median(t["reference"] * scale / t["ours"])), goal, check)


def agree(got: np.ndarray, want: np.ndarray, tolerance: float) -> str:
    worst = float(np.max(np.abs(got - want) / np.max(np.abs(want))))
    if not worst <= tolerance:
        raise AssertionError(f"results differ by {worst:.1e}, more than {tolerance:.1e}")
    return f"sums within {worst:.0e}"


def linear_rows(yard: yardstick.Yardstick, paths: int, steps: int, repeats: int) -> list[Row]:
    record = np.arange(1, 5) * (steps // 4)
    quadratic, msd = sf.losses.quadratic([1.0]), sf.observe.msd()
    a, s = 1 - LR * CURVATURE, LR * SIGMA
    rows = []
    for mode, kind, goal in (("mixed", "normal", 0.92), ("float32", "normal", 0.82), ("float64", "normal", 0.85),
                             ("float64", "sign", 0.75), ("float32", "sign", None)):
        rule = sf.diffusion(sf.sam(lr=LR, rho=RHO), sigma=SIGMA, kind=kind)
        ours = Kernel(quadratic, rule, [0.0], record, paths, msd, mode)
        call = yard.linear if kind == "normal" else yard.two_point

        def reference(call=call, mode=mode):
            return call(mode, a, s, 0.0, record, paths, seed=SEED)
        check = agree(ours().sums[0, :, 0, 0], reference()[1], 1e-5 if mode == "float32" else 1e-9)
        name = f"linear {mode}" if kind == "normal" else f"two-point {mode}"
        rows.append(row(name, ours, reference, paths * steps, goal, check, repeats))
    rule = sf.diffusion(sf.sam(lr=LR, rho=RHO), sigma=SIGMA)
    every = Kernel(quadratic, rule, [0.0], np.arange(1, steps + 1), paths, msd)
    once = Kernel(quadratic, rule, [0.0], [steps], paths, msd)
    check = agree(every().sums[0, -1:, 0, 0], once().sums[0, :, 0, 0], 0.0)
    rows.append(row("recording every step, against once", every, once, paths * steps, 1 / 1.4, check, repeats))
    return rows


def settings_row(yard: yardstick.Yardstick, paths: int, steps: int, repeats: int) -> Row:
    record, count = np.arange(1, 5) * (steps // 4), 32
    lr, rho = LR + np.arange(count) * 1e-4, RHO + np.arange(count) * 1e-3
    ours = Kernel(sf.losses.quadratic([1.0]), sf.diffusion(sf.sam(lr=lr, rho=rho), sigma=SIGMA), [0.0], record, paths,
                  sf.observe.msd())
    a, s = 1 - lr * (1 + rho), lr * SIGMA
    second = np.asarray(yard.settings(a, s, 0.0, record, paths, seed=SEED)[1])
    got = ours().sums[:, :, 0, 0]
    check = agree(got, second if second.shape == got.shape else second.T, 1e-9)
    return row("32 settings on shared noise, each", ours, lambda: yard.settings(a, s, 0.0, record, paths, seed=SEED),
               paths * steps * count, None, check, repeats)


def beale_rows(yard: yardstick.Yardstick, paths: int, steps: int, repeats: int) -> list[Row]:
    rng = np.random.default_rng(0)
    start = np.stack([rng.uniform(.5, 1.5, paths), rng.uniform(-.3, .3, paths)], 1)
    rows = []
    for name, rule, goal in (("gd", sf.gd(lr=1e-3), 0.95), ("sam", sf.sam(lr=1e-3, rho=1e-3), 0.95),
                             ("normalised", sf.sam(lr=1e-3, rho=1e-3, normalize=True), 0.88)):
        ours = Kernel(sf.losses.beale(), rule, start, [steps], paths, dtype="float64")

        def reference(name=name):
            x, y = start[:, 0].copy(), start[:, 1].copy()
            got = yard.beale(name, x, y, steps, 1e-3, 1e-3)
            return np.stack(got if isinstance(got, tuple) else (x, y))
        check = agree(ours().state[0, :2], reference(), 1e-11)
        rows.append(row(f"Beale {name} float64", ours, reference, paths * steps, goal, check, repeats))
    return rows


def threads_row(paths: int, steps: int, repeats: int) -> Row:
    rule = sf.diffusion(sf.sam(lr=LR, rho=RHO), sigma=SIGMA)

    def run(count: int):
        with ThreadPoolExecutor(count) as pool:
            before = time.perf_counter()
            result = sf.simulate(sf.losses.quadratic([1.0]), rule, [0.0], record=[steps], paths=paths,
                                 observe=sf.observe.msd(), executor=pool)
            return time.perf_counter() - before, result.sums
    run(2)
    one, two = zip(*[(run(1), run(2)) for _ in range(repeats)], strict=True)
    check = agree(two[0][1], one[0][1], 0.0)
    a, b = np.array([t for t, _ in one]), np.array([t for t, _ in two])
    return Row("two threads, against one (wall)", float(np.median(b)) / paths / steps * 1e9,
               float(np.median(a)) / paths / steps * 1e9, float(np.median(a / b)), 1.8, check)


def small_row(repeats: int) -> Row:
    """One path: the compiled call by itself, and `simulate` as a user calls it."""
    rule, loss = sf.diffusion(sf.sam(lr=LR, rho=RHO), sigma=SIGMA), sf.losses.quadratic([1.0])
    kernel = Kernel(loss, rule, [0.0], [1000], 1)
    many = Kernel(loss, rule, [0.0], [1000], 128)
    check = agree(kernel().state[0, 0, :1], many().state[0, 0, :1], 0.0)
    t = interleave({"kernel": kernel, "simulate": lambda: sf.simulate(loss, rule, [0.0], record=[1000])}, 20 * repeats)
    micro = {k: float(np.median(v)) * 1e6 for k, v in t.items()}
    return Row("one path x 1000 steps, microseconds (and of simulate())", micro["kernel"], micro["simulate"],
               30 / micro["kernel"], 1.0, check)


_PROCESS = """
import time; a = time.perf_counter()
import numpy; b = time.perf_counter()
import samfast as sf; c = time.perf_counter()
sf.simulate(sf.losses.quadratic([-1.0]), sf.diffusion(sf.sam(lr=.01, rho=.1), batch_size=64), [0.0], record=[10, 100],
            paths=128, observe=sf.observe.msd())
print(c - b)
"""


def process_rows(repeats: int) -> list[Row]:
    """Whole processes with an empty and a filled cache (wall), and the import beyond NumPy."""
    import os
    fresh, cached, imported = [], [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            env = {**os.environ, "SAMFAST_CACHE_DIR": folder}
            for times in (fresh, cached):
                before = time.perf_counter()
                out = subprocess.run([sys.executable, "-c", _PROCESS], env=env, check=True, capture_output=True, text=True)
                times.append(time.perf_counter() - before)
                imported.append(float(out.stdout))
    rows = [Row(f"{name}, seconds", float(np.median(t)), goal, goal / float(np.median(t)), 1.0, "ran")
            for name, t, goal in (("whole process, empty cache", fresh, 2.5), ("whole process, cached", cached, 1.0),
                                  ("import samfast beyond NumPy", imported, 0.15))]
    return rows


def measure(paths: int = 16384, steps: int = 512, repeats: int = 9, processes: int = 3) -> list[Row]:
    yard = yardstick.load()
    rows = linear_rows(yard, paths - paths % 128, steps, repeats)
    rows += [settings_row(yard, paths // 4, steps, repeats), *beale_rows(yard, paths // 2, steps // 2, repeats)]
    rows += [threads_row(32 * paths, steps, max(1, repeats // 2)), small_row(repeats)]
    return rows + (process_rows(processes) if processes else [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args()
    rows = measure()
    print(f"{'':56} {'samfast':>9} {'compared':>9} {'ratio':>6} {'goal':>6}  check   (ns per path-step unless named)")
    for r in rows:
        goal = "" if r.goal is None else f"{r.goal:.2f}"
        print(f"{r.name:56} {r.nanoseconds:9.3f} {r.reference:9.3f} {r.ratio:6.2f} {goal:>6}  {r.check}")
    if options.json:
        host = {**cpu.host(), "machine": platform.machine(), "python": platform.python_version(),
                "toolchain": dict(cpu.toolchain())}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"host": host, "rows": [asdict(r) for r in rows]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
