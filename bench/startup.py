"""Time to the first result, in fresh processes: a script with a loss of its own, and the command `samfast msd`.

python -m bench.startup [REPEATS] runs each with an empty and with a full cache, by our own front end and by Numba, all of them
in turns, so that a machine that slows down slows every row. It prints seconds on the clock and of the processors, the best and
the median, and the bytes that a program takes in the cache. It is for a quiet machine, and for an environment with the run-time
dependencies alone: those of the tests have files that cost 30 ms at every start.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

SCRIPT = """
import samfast as sf
loss = sf.loss(dim=2)(lambda w, p: (w[0]**2 - 1)**2 + 0.5*w[1]**2 + 0.1*sf.sin(3*w[0])*w[1])
rule = sf.noisy(sf.sam(lr=0.01, rho=0.05), sigma=0.1)
print(sf.simulate(loss, rule, [0.5, 0.5], record=[0, 100], paths=1000, seed=1).mean)
"""
WORK = {"script with its own loss": ["-c", SCRIPT], "samfast msd": ["-m", "samfast", "msd", "--no-progress", "--out", "{out}"]}
COMPILERS = ("llvm", "numba")
REPEATS = 7
GOALS = {  # seconds on the clock with our own front end, on 2 cores of AMD Zen 3
    ("script with its own loss", "empty"): 0.6,
    ("script with its own loss", "full"): 0.35,
    ("samfast msd", "empty"): 3.2,
    ("samfast msd", "full"): 2.7,
}


def run(words: list[str], compiler: str, cache: Path) -> tuple[float, float]:
    """Seconds on the clock and of the processors, of one process."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, *(w.format(out=out) if w == "{out}" else w for w in words)]
        env = {**os.environ, "SAMFAST_CACHE_DIR": str(cache), "SAMFAST_COMPILER": compiler, "MPLBACKEND": "Agg"}
        before, begun = os.times(), time.perf_counter()
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        seconds, after = time.perf_counter() - begun, os.times()
    if done.returncode:
        raise RuntimeError(done.stderr)
    return seconds, after[2] + after[3] - before[2] - before[3]


def measure(repeats: int) -> tuple[dict[tuple[str, str, str], list[tuple[float, float]]], dict[str, float]]:
    """The times of each row, (work, cache, compiler), and bytes of a program by compiler."""
    times: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    sizes = {}
    for _ in range(repeats):
        for what, words in WORK.items():
            for compiler in COMPILERS:
                with tempfile.TemporaryDirectory() as folder:
                    cache = Path(folder) / "cache"
                    for state in ("empty", "full"):
                        times.setdefault((what, state, compiler), []).append(run(words, compiler, cache))
                    kept = [f for f in cache.rglob("*") if f.is_file()]
                    sizes[compiler] = sum(f.stat().st_size for f in kept) / len({f.name.split(".")[0] for f in kept})
    return times, sizes


def table(times: dict[tuple[str, str, str], list[tuple[float, float]]], sizes: dict[str, float]) -> str:
    """The rows as text."""
    head = f"{'':<26}{'cache':<7}{'compiler':<10}{'s best':>8}{'median':>8}{'CPU s':>8}{'median':>8}{'goal':>7}"
    rows = [head]
    for (what, state, compiler), found in times.items():
        clock, processors = zip(*found, strict=True)
        numbers = "".join(f"{x:8.2f}" for x in (min(clock), median(clock), min(processors), median(processors)))
        goal = f"{GOALS[what, state]:7.2f}" if compiler == COMPILERS[0] else ""
        rows.append(f"{what:<26}{state:<7}{compiler:<10}{numbers}{goal}")
    rows += [f"{compiler}: {size / 1000:.1f} kB for a program" for compiler, size in sizes.items()]
    return "\n".join(rows)


if __name__ == "__main__":
    print(table(*measure(int(sys.argv[1]) if sys.argv[1:] else REPEATS)))
