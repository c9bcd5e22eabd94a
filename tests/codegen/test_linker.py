"""Kernel files are cut by their syntax, and every name that a function reads is defined in its module."""

import ast
import re

import pytest

from samfast.codegen import linker

FILE = '''"""A kernel file."""
import numpy as np
from samfast.kernels.target_python import (
    device,
    fma,
)

# --- target
ONE = np.float64(1.0)

TWO = np.float64(2.0)
# belongs to `twice`
@device
def twice(x):

    # a formatter may leave two empty lines here


    return TWO * x

@device
def four_times(x):
    """See unused(x)."""
    return twice(twice(x))
THREE = np.float64(3.0)


@device
def unused(x):
    return x
'''


class Folder:
    """A package of one kernel file."""

    def __init__(self, text):
        self.text, self.name = text, "own.py"

    def joinpath(self, name):
        assert name == self.name
        return self

    def iterdir(self):
        return [self]

    def read_text(self, encoding):
        return self.text


@pytest.fixture
def own(monkeypatch):
    def put(text):
        monkeypatch.setattr("samfast.codegen.linker.files", lambda package: Folder(text))
        linker.kernel.cache_clear()
        linker.library.cache_clear()

    yield put
    linker.kernel.cache_clear()
    linker.library.cache_clear()


def test_a_file_is_cut_by_its_syntax(own):
    """One empty line, none, or two inside a function: the blocks are the same, and nothing is lost."""
    own(FILE)
    imports, blocks = linker.kernel("own")
    assert imports == "import numpy as np\nfrom samfast.kernels.target_python import (\n    device,\n    fma,\n)"
    assert [b.name for b in blocks] == [None, "twice", "four_times", None, "unused"]
    assert blocks[0].text == "ONE = np.float64(1.0)\n\nTWO = np.float64(2.0)"
    assert blocks[1].text.startswith("# belongs to `twice`\n@device\ndef twice(x):") and blocks[1].text.endswith("TWO * x")
    below = FILE.partition("# --- target\n")[2]
    assert re.sub(r"\s", "", below) == re.sub(r"\s", "", "".join(b.text for b in blocks))
    assert [linker.defines(b.text) for b in blocks] == [b.name for b in blocks]


def test_a_library_holds_what_is_read_and_not_what_is_mentioned(own):
    own(FILE)
    taken = linker.library("own", frozenset({"four_times"}))
    assert [linker.defines(b) for b in taken] == [None, "twice", "four_times", None]
    assert linker.library("own", frozenset({"elsewhere"})) == ()


def test_a_file_without_a_mark_is_refused(own):
    own("import numpy as np\n")
    with pytest.raises(ValueError, match=r"kernels/own\.py: there is no line with '# --- target' or '# linked:'"):
        linker.kernel("own")


@pytest.mark.parametrize("read", ["missing", "missing(x)", "[missing for _ in x]", "(lambda: missing)()"])
def test_an_undefined_name_is_refused_with_file_and_function(own, read):
    own(FILE.replace("twice(twice(x))", f"twice(x) + {read}"))
    imports, blocks = linker.blocks_of("own")
    with pytest.raises(NameError, match=r"kernels/own\.py: function 'four_times' reads 'missing', which nothing in its module"):
        linker.linked([imports, *blocks])
    assert "missing" in linker.linked([imports, *blocks, "missing = 1.0"])


def test_an_undefined_name_in_generated_text_is_refused():
    with pytest.raises(NameError, match=r"generated text: function 'f' reads 'y'"):
        linker.linked(["@device\ndef f(x):\n    return x + y", "device = abs"])


@pytest.mark.parametrize("name", ["stream", "math32", "math64", "cpu", "cpu_single", "cuda", "cuda_wide"])
def test_nothing_of_a_kernel_file_is_lost(name):
    """Every statement below the mark is in one block, once and in order."""
    _, blocks = linker.kernel(name)
    text = linker.files("samfast.kernels").joinpath(f"{name}.py").read_text()
    below = linker._parted(text, name)[1]
    whole, cut = (ast.dump(ast.parse(t)) for t in (below, "\n".join(b.text for b in blocks)))
    assert whole == cut
