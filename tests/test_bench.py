"""The benchmarks run, at a tiny size: each row's own correctness check must hold. Times are not looked at."""
import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parent.parent / "bench"


@pytest.mark.skipif(shutil.which("g++") is None, reason="the yardstick needs g++")
def test_engine_benchmark_checks_itself(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    spec = importlib.util.spec_from_file_location("bench_engine", BENCH / "engine.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench_engine", module)
    spec.loader.exec_module(module)
    rows = module.measure(paths=768, steps=512, repeats=1, processes=0)
    assert len(rows) == 12
    assert all(r.check.startswith("sums within") and r.nanoseconds > 0 for r in rows)
    with pytest.raises(AssertionError, match="differ"):
        module.agree(module.np.ones(3), module.np.full(3, 1.1), 0.05)
