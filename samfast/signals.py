"""Ctrl-C and SIGTERM: both raise, and neither is lost while LLVM is at work."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a batch system or `kill` sends it."""


_terminated = threading.Event()


def terminated() -> bool:
    """Whether SIGTERM has come to this process while `termination_raises` was in force."""
    return _terminated.is_set()


@contextmanager
def termination_raises() -> Iterator[None]:
    """SIGTERM raises Terminated in the main thread, as Ctrl-C raises KeyboardInterrupt.

    A handler of the caller's own stays, and outside the main thread nothing is changed. A child that was forked meanwhile
    ends at once, as it would without this.
    """
    if not _main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    process = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        _terminated.set()
        raise Terminated

    with _handled(signal.SIGTERM, handle):
        yield


@contextmanager
def interrupts_kept() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise as usual, except inside LLVM's callbacks, where Python would print and drop the exception.

    There the exception is raised at the end of this context. Most of a compilation is spent in LLVM, and Python sees a signal
    at the next callback.
    """
    with _kept(signal.SIGINT, _in_llvm), _kept(signal.SIGTERM, _in_llvm):
        yield


@contextmanager
def interrupts_after_imports() -> Iterator[None]:
    """Ctrl-C and SIGTERM are raised at the end of this context, which is for imports only.

    Inside an import CPython may turn them into another error, or drop them.
    """
    with _kept(signal.SIGINT, lambda frame: True), _kept(signal.SIGTERM, lambda frame: True):
        yield


@contextmanager
def _kept(number: int, later: Callable[[FrameType | None], bool]) -> Iterator[None]:
    usual: Any = signal.getsignal(number)
    if not _main_thread() or not callable(usual):
        yield
        return
    came: list[tuple[int, FrameType | None]] = []

    def handle(number: int, frame: FrameType | None) -> None:
        came.append((number, frame))
        if not later(frame):
            usual(number, frame)

    with _handled(number, handle):
        yield
    if came:
        usual(*came[0])


@contextmanager
def _handled(number: int, handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    usual = signal.signal(number, handle)
    try:
        yield
    finally:
        signal.signal(number, usual)


def _main_thread() -> bool:
    """Only the main thread may set handlers."""
    return threading.current_thread() is threading.main_thread()


def _in_llvm(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("llvmlite."):
            return True
        frame = frame.f_back
    return False
