"""Comparison to a stated relative error, and nothing else."""

from typing import Any

import pytest


def relative(expected: Any, error: float) -> Any:
    """Equal to expected within error*abs(expected).

    pytest.approx(x, rel=r) takes the larger of r*abs(x) and 1e-12, so for small x it accepts anything, 0 too.
    """
    return pytest.approx(expected, rel=error, abs=0)
