"""Ctrl-C and SIGTERM at awkward moments: inside an import, in a destructor, while another thread imports."""

import importlib
import os
import signal
import sys
import threading
import time

import pytest

from samfast.signals import Terminated, interrupts_outside_imports, termination_raises

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")
SENT = "import os, signal\nfor _ in range(2):\n    os.kill(os.getpid(), signal.{0})\n    for _ in range(1000):\n        pass\n"
SWALLOWED = f"""
try:
    {SENT.replace(chr(10), chr(10) + "    ")}
    outcome = "whole"
except:
    outcome = "swallowed"
"""


@pytest.fixture(autouse=True)
def handlers():
    """Those of a program in the foreground; a suite in the background ignores Ctrl-C."""
    old = [(s, signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGTERM)]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    for number, handler in old:
        signal.signal(number, handler)


def module(folder, monkeypatch, name, text):
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)


def work():
    """Where an interrupt belongs."""
    for _ in range(1000):
        time.sleep(0.01)
    raise AssertionError("the interrupt was lost")


@pytest.mark.parametrize("name, kind", [("SIGINT", KeyboardInterrupt), ("SIGTERM", Terminated)])
@pytest.mark.parametrize("then", [work, lambda: None], ids=["in the work after it", "at the end"])
def test_a_signal_waits_for_the_end_of_an_import(name, kind, then, tmp_path, monkeypatch):
    """Once, though it was sent twice, and the module is whole; without the guard the module swallows it."""
    module(tmp_path, monkeypatch, f"awkward_{name}", SWALLOWED.format(name))
    sys.modules.pop(f"awkward_{name}", None)
    with termination_raises():
        with pytest.raises(kind), interrupts_outside_imports():
            assert importlib.import_module(f"awkward_{name}").outcome == "whole"
            then()
        time.sleep(0.05)
        del sys.modules[f"awkward_{name}"]
        assert importlib.import_module(f"awkward_{name}").outcome == "swallowed"


def test_an_interrupt_in_a_destructor_comes_again():
    """Python reports the exception and drops it."""

    class Fragile:
        def __del__(self):
            exec(SENT.format("SIGINT"))

    with pytest.raises(KeyboardInterrupt), interrupts_outside_imports():
        Fragile()
        work()


def test_imports_of_other_threads_do_not_delay(tmp_path, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(sys, "awkward", (begun, go_on), raising=False)
    module(tmp_path, monkeypatch, "awkward_slow", "import sys\nsys.awkward[0].set()\nsys.awkward[1].wait()\n")
    thread = threading.Thread(target=importlib.import_module, args=("awkward_slow",))
    thread.start()
    assert begun.wait(20)
    try:
        with pytest.raises(KeyboardInterrupt), interrupts_outside_imports():
            os.kill(os.getpid(), signal.SIGINT)
            work()
        assert not go_on.is_set()
    finally:
        go_on.set()
        thread.join()


def test_an_import_around_the_command_does_not_count(tmp_path, monkeypatch):
    """A module that runs the command while it is imported can be interrupted."""
    text = "import test_signals as t, os, signal\nwith t.interrupts_outside_imports():\n"
    module(tmp_path, monkeypatch, "awkward_script", text + "    os.kill(os.getpid(), signal.SIGINT)\n    t.work()\n")
    monkeypatch.setitem(sys.modules, "test_signals", sys.modules[__name__])
    with pytest.raises(KeyboardInterrupt):
        importlib.import_module("awkward_script")
