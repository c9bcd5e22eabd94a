"""What a compilation needs of the process: Python's collector out of the way, and no signal lost."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from ..signals import interrupts_kept


@contextmanager
def compilation() -> Iterator[None]:
    """Every compilation runs in this context, which is that of `collector_off` and of `interrupts_kept`."""
    with interrupts_kept(), collector_off():
        yield


@contextmanager
def collector_off() -> Iterator[None]:
    """Python's garbage collector is off: it would walk through all of Numba's objects again and again, 6 % of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
