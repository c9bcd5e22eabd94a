"""Settings of the whole suite, and its order on demand: pytest --shuffle 1."""

import os
import random
import sys
from itertools import groupby
from pathlib import Path

for folder in ("stats", "helpers"):  # tests on a GPU take the cases of stats/test_stats_device.py
    sys.path.insert(0, str(Path(__file__).parent / folder))


os.environ.setdefault("SAMFAST_STRICT", "1")  # a program that the front end refuses is an error, and not left to Numba unseen


def pytest_addoption(parser):
    parser.addoption("--shuffle", metavar="SEED", help="run files, and the tests of each file, in an order drawn from SEED")


def pytest_collection_modifyitems(config, items):
    """A file stays together, since its fixtures are costly; all workers of xdist draw the same order."""
    if (seed := config.getoption("--shuffle")) is not None:
        files = [list(group) for _, group in groupby(items, key=lambda item: item.path)]
        draw = random.Random(seed)
        draw.shuffle(files)
        for tests in files:
            draw.shuffle(tests)
        items[:] = [test for tests in files for test in tests]
