"""What the tests themselves must keep to: tolerances that are meant, and a list of faults that can be planted."""

import ast
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FILES = {str(f.relative_to(TESTS)): ast.parse(f.read_text(encoding="utf-8")) for f in sorted(TESTS.rglob("*.py"))}


def calls(tree):
    """Yield (name of the function as it is written, call)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def silent_tolerances(tree):
    """Lines on which approx is called without abs=."""
    for name, call in calls(tree):
        if name.rpartition(".")[2] == "approx" and "abs" not in {k.arg for k in call.keywords}:
            yield call.lineno


@pytest.mark.parametrize("file", FILES)
def test_every_tolerance_is_stated(file):
    """Without abs=, pytest.approx accepts any difference below 1e-12, so a small number is not tested at all."""
    lines = list(silent_tolerances(FILES[file]))
    assert not lines, f"{file}: lines {lines}: use relative(x, error) of helpers/tolerance.py, or state abs="


def test_a_silent_tolerance_is_found():
    tree = ast.parse("x == pytest.approx(1e-13, rel=0.1)\nx == approx(2)\nx == approx(2, abs=0, rel=1e-3)")
    assert list(silent_tolerances(tree)) == [1, 2]


def mutate():
    """The tool, which lies where no import finds it: tests/ on the path would hide the package bench."""
    spec = importlib.util.spec_from_file_location("mutate", TESTS / "mutate.py")
    sys.modules["mutate"] = tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


@pytest.mark.slow
def test_every_fault_can_be_planted():
    """The list of tests/faults.toml follows the tree: each text stands where the list says, once, and the tests are there."""
    tool = mutate()
    chosen = tool.faults()
    assert len(chosen) > 150 and len({(f.file, f.new, f.old) for f in chosen}) == len(chosen)
    assert [f"{f.area}: {f.why}: {reason}" for f in chosen if (reason := tool.cannot_be_planted(f))] == []


def test_a_fault_that_cannot_be_planted_is_told():
    """A text that is not there or stands there twice, a change that is none or no Python, and a test that is gone."""
    tool, text = mutate(), "def silent_tolerances" + "(tree):"
    test = ("tests/test_suite.py::test_a_silent_tolerance_is_found",)
    good = tool.Fault("tests", "", "tests/test_suite.py", text, text.replace("silent", "loud"), test)
    assert (
        tool.cannot_be_planted(good) == "" and good.planted(f"{text}\n    pass\n") == "def loud_tolerances(tree):\n    pass\n"
    )
    for change, words in (
        ({"old": "def calling" + "(tree):"}, "stands there 0 times"),
        ({"old": "import"}, " times"),
        ({"new": text}, "stands there"),
        ({"new": "def loud(tree"}, "SyntaxError"),
        ({"file": "tests/nowhere.py"}, "FileNotFoundError"),
        ({"tests": ("tests/test_suite.py::test_nothing",)}, "no such tests: tests/test_suite.py::test_nothing"),
    ):
        assert words in tool.cannot_be_planted(replace(good, **change)), change
