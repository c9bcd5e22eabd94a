"""Around a compilation: the collector is off, and Ctrl-C is neither lost nor printed."""

import gc
import os
import signal
import sys
import threading

import pytest

from samfast.compilers import compiling

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


@pytest.fixture(autouse=True)
def usual(monkeypatch):
    """Ctrl-C raises KeyboardInterrupt here, wherever the suite was started from; what Python would drop is an error."""
    dropped = []
    monkeypatch.setattr(sys, "unraisablehook", dropped.append)
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, old) is signal.default_int_handler
    assert not dropped


def press():
    os.kill(os.getpid(), signal.SIGINT)


def in_llvm(called):
    """Have LLVM call this back while it makes machine code."""
    import numba.core.registry
    from llvmlite import binding

    assert numba.core.registry.cpu_target.target_context  # LLVM is initialised
    module = binding.parse_assembly("define i32 @one() { ret i32 1 }")
    engine = binding.create_mcjit_compiler(module, binding.Target.from_default_triple().create_target_machine())
    engine.set_object_cache(lambda *_: called(), None)
    engine.finalize_object()
    assert engine.get_function_address("one")


def test_collector_is_off_for_a_while():
    with pytest.raises(KeyError), compiling.compilation():
        assert not gc.isenabled()
        with compiling.compilation():
            pass
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()


def test_ctrl_c_stops_at_once():
    reached = []
    with pytest.raises(KeyboardInterrupt), compiling.compilation():
        press()
        reached.append(1)
    assert not reached


def test_ctrl_c_in_llvm_waits_for_the_end():
    reached = []
    with pytest.raises(KeyboardInterrupt), compiling.compilation():
        in_llvm(press)
        reached.append(1)
    assert reached


def test_ctrl_c_that_something_swallowed_comes_again():
    with pytest.raises(KeyboardInterrupt), compiling.compilation():
        try:
            press()
        except KeyboardInterrupt:
            pass


def test_other_threads_and_other_handlers_are_left_alone():
    seen = []

    def work():
        with compiling.compilation():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with compiling.compilation():
        press()
        seen.append(signal.getsignal(signal.SIGINT))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert seen == [signal.default_int_handler, signal.SIG_IGN]
