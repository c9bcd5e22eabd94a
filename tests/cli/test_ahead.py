"""Imports beside the work: which thread does them, that the command waits for them, and that nobody else sees any of it."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import samfast as sf
from samfast import ahead

COMMAND = """
import gc, json, sys, threading
who, samfast_in_thread = {}, []

class Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        who.setdefault(name, threading.current_thread().name)
        if name.startswith("samfast") and threading.current_thread() is not threading.main_thread():
            samfast_in_thread.append(name)

sys.meta_path.insert(0, Watch)
sys.argv = ["samfast", "msd", "--paths", "1e3", "--out", sys.argv[1]]
from samfast.cli.main import main
status = main()
alive = [t.name for t in threading.enumerate()]
print(json.dumps([status, who, samfast_in_thread, alive, gc.isenabled(), gc.get_freeze_count()]))
"""


def test_the_command_loads_what_its_end_needs_in_a_thread_and_turns_the_collector_off(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(Path(sf.__file__).parent.parent), "SAMFAST_COMPILER": "llvm"}
    command = [sys.executable, "-c", COMMAND, str(tmp_path / "study")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    status, who, in_thread, alive, collects, frozen = json.loads(done.stdout.splitlines()[-1])
    assert status == 0 and done.stderr == "" and (tmp_path / "study" / "study.png").exists()
    for module in ("scipy.special", "xarray", "pandas", "h5netcdf", "matplotlib.figure", "matplotlib.backends.backend_agg"):
        assert who[module] == "samfast-imports", module
    assert in_thread == [] and "samfast-imports" not in alive
    assert not collects and frozen > 100_000


@pytest.fixture
def thread(monkeypatch):
    """How many threads are begun."""
    begun, start = [], threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda self: begun.append(self.name) or start(self))
    return begun


def test_a_program_that_uses_the_library_imports_as_ever(thread):
    ahead.begin()
    ahead.ready()
    ahead.drop()
    assert thread == []


def test_what_is_missing_is_left_to_whoever_needs_it(thread, tmp_path, monkeypatch):
    (tmp_path / "samfast_test_broken.py").write_text("1/0")
    (tmp_path / "samfast_test_sound.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    ahead.wanted("samfast_test_missing", "samfast_test_broken", "samfast_test_sound")
    ahead.begin()
    ahead.ready()
    assert thread == ["samfast-imports"] and "samfast_test_sound" in sys.modules
    ahead.begin()
    assert thread == ["samfast-imports"]


def test_a_command_that_ends_early_begins_no_import(tmp_path, monkeypatch):
    """What is under way is waited for, since Python must not end in the midst of it."""
    (tmp_path / "samfast_test_slow.py").write_text("import time; time.sleep(0.2)")
    (tmp_path / "samfast_test_next.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    ahead.wanted("samfast_test_slow", "samfast_test_next")
    ahead.begin()
    ahead.drop()
    assert "samfast_test_slow" in sys.modules and "samfast_test_next" not in sys.modules
    ahead.wanted("samfast_test_next")
    ahead.drop()
    ahead.begin()
    assert "samfast_test_next" not in sys.modules


def test_an_interrupt_while_the_thread_is_started(monkeypatch):
    """It leaves no thread to wait for that never began; the command said that it cannot join it, with exit status 2."""

    def interrupted(self):
        raise KeyboardInterrupt

    ahead.wanted("math")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ahead.begin()
    ahead.drop()
