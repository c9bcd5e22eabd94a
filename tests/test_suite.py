"""What the tests themselves must keep to: tolerances that are meant, and patches that take effect."""

import ast
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
