"""The script that measures the time to the first result, on a process that does next to nothing."""

import pytest
from samfast.bench import startup

PUT = """
import os, pathlib
cache = pathlib.Path(os.environ["SAMFAST_CACHE_DIR"])
cache.mkdir(exist_ok=True)
for ending in ("o", "label"):
    (cache / f"samfast_cpu_{os.environ['SAMFAST_COMPILER']}.{ending}").write_bytes(bytes(500))
"""


def test_every_row_is_measured_and_shown(monkeypatch):
    monkeypatch.setattr("samfast.bench.startup.WORK", {"samfast msd": ["-c", PUT]})
    times, sizes = startup.measure(2)
    assert list(times) == [("samfast msd", state, c) for c in ("llvm", "numba") for state in ("empty", "full")]
    assert all(len(found) == 2 and all(clock > 0 < cpu for clock, cpu in found) for found in times.values())
    text = startup.table({key: [(2.0, 3.0), (1.0, 4.0), (9.0, 5.0)] for key in times}, sizes).splitlines()
    assert text[1].split() == ["samfast", "msd", "empty", "llvm", "1.00", "2.00", "3.00", "4.00", "3.20"]
    assert text[-2:] == ["llvm: 1.0 kB for a program", "numba: 1.0 kB for a program"]


def test_a_process_that_fails_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        startup.run(["-c", "1/0"], "llvm", tmp_path)
