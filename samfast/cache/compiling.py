"""What a compilation needs of the process: Python's collector out of the way, and no Ctrl-C lost."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def compilation() -> Iterator[None]:
    """Around all that compiles: `collector_off` and `interrupts_kept`."""
    with interrupts_kept(), collector_off():
        yield


@contextmanager
def collector_off() -> Iterator[None]:
    """Python's collector would look at all of Numba's objects again and again, 6 % of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def interrupts_kept() -> Iterator[None]:
    """Ctrl-C raises as ever, but not in LLVM's callbacks, where Python prints an exception and drops it: then at the end.

    Most of the time LLVM is at work, and a signal is seen when it calls back next: there, as a rule.
    """
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield
        return
    came: list[tuple[int, FrameType | None]] = []

    def handle(number: int, frame: FrameType | None) -> None:
        came.append((number, frame))
        if not _in_llvm(frame):
            usual(number, frame)

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if came:
        usual(*came[0])


def _in_llvm(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("llvmlite."):
            return True
        frame = frame.f_back
    return False
