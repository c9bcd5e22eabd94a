"""The workloads under pytest-benchmark: python -m pytest bench, then --benchmark-compare at another commit.

Answers are checked before they are timed. Select with -k, e.g. -k "linear and samfast".
"""

from __future__ import annotations

import pytest

pytest.importorskip("pytest_benchmark", reason='pytest-benchmark is not installed: pip install "samfast[bench]"')

from samfast.bench import timing
from samfast.bench.measure import fetch, installed
from samfast.bench.work import MissingError
from samfast.bench.workloads import every

CASES = [
    pytest.param(w, b, id=f"{w.name}-{b.name}")
    for w in every().values()
    for b in w.backends
    if installed(b) and not b.late and not w.slow
]


@pytest.mark.parametrize("workload, backend", CASES)
def test_speed(benchmark, workload, backend):
    work = workload.make(backend.share / 4)
    with timing.one_thread(), timing.processors(backend.threads):
        try:
            run = backend.prepare(work)
            workload.check(work, fetch(run()))
        except (MissingError, ImportError, ValueError) as error:
            pytest.skip(str(error))
        benchmark.extra_info["path_steps"] = work.units
        benchmark.pedantic(run, rounds=5, warmup_rounds=1)
