"""Settings of the whole suite; its order on demand, pytest --shuffle 1; what its folders cost, pytest --budget."""

import os
import random
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest

for folder in ("stats", "helpers"):  # tests on a GPU take the cases of stats/test_stats_device.py
    sys.path.insert(0, str(Path(__file__).parent / folder))


os.environ.setdefault("SAMFAST_STRICT", "1")  # a program that the front end refuses is an error, and not left to Numba unseen


def pytest_addoption(parser):
    parser.addoption("--shuffle", metavar="SEED", help="run files, and the tests of each file, in an order drawn from SEED")
    parser.addoption(
        "--budget", action="store_true", help="show the seconds of processor time of each folder and of the dearest tests"
    )


def pytest_collection_modifyitems(config, items):
    """A file stays together, since its fixtures are costly; all workers of xdist draw the same order."""
    if (seed := config.getoption("--shuffle")) is not None:
        files = [list(group) for _, group in groupby(items, key=lambda item: item.path)]
        draw = random.Random(seed)
        draw.shuffle(files)
        for tests in files:
            draw.shuffle(tests)
        items[:] = [test for tests in files for test in tests]


SECONDS, DEAREST = Counter(), 40  # of processor time by test, those of its processes included; tests that are listed
_before = 0.0


def pytest_collection_finish():
    global _before
    _before = sum(os.times()[:4])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Processor time since the last report of this process; xdist carries it to where it is added."""
    global _before
    report, now = (yield), sum(os.times()[:4])
    report.processor_seconds, _before = now - _before, now
    return report


def pytest_runtest_logreport(report):
    SECONDS[report.nodeid] += getattr(report, "processor_seconds", 0.0)


def pytest_terminal_summary(terminalreporter, config):
    if not config.getoption("--budget"):
        return
    folders = Counter()
    for test, seconds in SECONDS.items():
        folders[test.split("::")[0].removeprefix("tests/").split("/")[0]] += seconds
    terminalreporter.section("processor time")
    terminalreporter.write_line(f"{sum(SECONDS.values()):8.1f} s in all")
    for counted in (folders.most_common(), SECONDS.most_common(DEAREST)):
        terminalreporter.write_line("")
        for name, seconds in counted:
            terminalreporter.write_line(f"{seconds:8.1f} s  {name}")
