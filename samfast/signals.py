"""Ctrl-C and SIGTERM: both raise, and neither is lost while LLVM or an import is at work."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

AGAIN = 0.01  # seconds after which a signal that came at a bad moment is sent again
IMPORT = "<frozen importlib._bootstrap>"  # the file of the frames of an import


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a batch system or `kill` sends it."""


_terminated = threading.Event()


def terminated() -> bool:
    """Whether SIGTERM has come while `termination_raises` was in force the last time."""
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
    _terminated.clear()  # of an earlier command in this process

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
def interrupts_outside_imports() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise as usual, but not inside an import and not where Python would drop the exception.

    This is for a command, which imports much while it runs. Inside an import CPython and libraries turn an interrupt into
    another error or swallow it, so it is sent again until it meets the main thread outside of one. So it is where the
    exception came up in a destructor or a callback, which Python reports and drops. Imports of other threads do not count,
    nor does an import that calls this function. Inside llvmlite an interrupt would leave two objects that free the same memory.
    """
    if not _main_thread():
        yield
        return
    again = _Again()
    outer, report = _imports(sys._getframe()), sys.unraisablehook

    def dropped(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            again.send(signal.SIGTERM if issubclass(unraisable.exc_type, Terminated) else signal.SIGINT)
        else:
            report(unraisable)

    with _postponed(signal.SIGINT, outer, again), _postponed(signal.SIGTERM, outer, again):
        sys.unraisablehook = dropped
        try:
            yield
        finally:
            sys.unraisablehook = report
            again.wait()


class _Again:
    """Sends a signal to the main thread once more, a little later.

    The thread is started without the module `threading`, whose locks the main thread may hold when a handler is called.
    """

    def __init__(self) -> None:
        self.ahead: dict[int, object] = {}  # signal -> what marks the thread that will send it

    def send(self, number: int) -> None:
        mark = self.ahead[number] = object()
        _thread.start_new_thread(self._send, (number, mark))

    def _send(self, number: int, mark: object) -> None:
        time.sleep(AGAIN)
        if self.ahead.get(number) is not mark:
            return
        if hasattr(signal, "pthread_kill"):
            signal.pthread_kill(threading.main_thread().ident or 0, number)  # it ends a system call that waits
        else:
            _thread.interrupt_main(signal.Signals(number))

    def wait(self) -> None:
        """Return once nothing is ahead; a signal that is raises here, where no import is under way."""
        while self.ahead:
            time.sleep(AGAIN)


@contextmanager
def _postponed(number: int, outer: int, again: _Again) -> Iterator[None]:
    """The usual handler, but the signal comes again where more imports are under way than the `outer` ones, and in llvmlite."""
    usual: Any = signal.getsignal(number)
    if not callable(usual):
        yield
        return
    process = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() == process and (_imports(frame) > outer or _in_llvm(frame)):
            again.send(number)
        else:
            again.ahead.pop(number, None)
            usual(number, frame)

    with _handled(number, handle):
        yield


def _imports(frame: FrameType | None) -> int:
    """How many imports are under way in a thread at this frame."""
    count = 0
    while frame is not None:
        count += frame.f_code.co_filename == IMPORT
        frame = frame.f_back
    return count


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
