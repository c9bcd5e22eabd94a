"""The checked build finds no broken promise in the programs, and gives their bits.

One program for each way through the drivers: a block of paths, 32 and 8 lanes, one path, wide layouts. `pytest -m slow` runs
all of them.
"""

import pytest
from programs import CASES, shard_of

from samfast import cache
from samfast.backends import cpu

EVERY = [(name, mode, paths) for name in CASES for mode in ("mixed", "float32", "float64") for paths in (1, 5, 280)]
SHORT = [
    ("functions", "mixed", 280),
    ("labels-normal", "mixed", 5),
    ("linear-sign", "float32", 5),
    ("beale-noise", "mixed", 1),
    ("wide12", "float64", 280),
    ("wide40-sign", "mixed", 5),
]


@pytest.mark.parametrize(
    "name, mode, paths", [*SHORT, *(pytest.param(*c, marks=pytest.mark.slow) for c in EVERY if c not in SHORT)]
)
def test_the_checked_build_finds_nothing_and_gives_the_same_bits(name, mode, paths, monkeypatch):
    shard = shard_of(CASES[name], mode, paths=paths, record=(0, 3, 37))[0]
    found = []
    for compiler in ("llvm", "checked"):
        monkeypatch.setenv("SAMFAST_COMPILER", compiler)
        assert cache.load(shard.program).compiler == compiler
        found.append(cpu.run_shard(shard))
    for field in ("moments", "count", "values", "state"):
        assert getattr(found[0], field).tobytes() == getattr(found[1], field).tobytes(), field
