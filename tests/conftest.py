"""Settings of the whole suite."""

import sys
from pathlib import Path

for folder in ("stats", "helpers"):  # tests on a GPU take the cases of stats/test_stats_device.py
    sys.path.insert(0, str(Path(__file__).parent / folder))
