"""Every public name stands in the reference, beside an example that the tests of the pages run."""

import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest

import samfast as sf

sys.path.insert(0, str(Path(__file__).parent))
from pages import DOCS, FENCE, blocks, python_blocks

PAGES = [*sorted((DOCS / "reference").glob("*.md")), *sorted((DOCS / "theory").glob("*.md"))]
DIRECTIVE = re.compile(r"^\.\. auto(?:function|class|exception|module|data):: samfast\.([\w.]+)", re.M)
# What builds on these modules is in their docstrings; their pages show what a user needs of them.
PARTLY = {
    "tracing": {"gradient"},
    "cache": {"directory", "layers", "Layer", "entries", "Entry", "prune"},
}


def documented():
    """name -> page, of every directive."""
    found = {}
    for page in PAGES:
        for name in DIRECTIVE.findall(page.read_text(encoding="utf-8")):
            assert name not in found, f"{name} is documented twice: {found.get(name)}, {page}"
            found[name] = page
    return found


def members(module):
    top = importlib.import_module(f"samfast.{sf._MODULES[module]}")
    names = getattr(top, "__all__", None) or [
        n for n, x in vars(top).items() if not n.startswith("_") and getattr(x, "__module__", None) == top.__name__
    ]
    return [n for n in names if inspect.isfunction(getattr(top, n)) or inspect.isclass(getattr(top, n))]


TOP = [n for n in sf.__all__ if n not in sf._MODULES and n != "__version__"]
WANTED = TOP + [
    f"{m}.{n}"
    for m in sf._MODULES
    for n in members(m)
    if (m not in PARTLY or n in PARTLY[m]) and not (n in TOP and getattr(getattr(sf, m), n) is getattr(sf, n))
]


@pytest.mark.parametrize("name", WANTED)
def test_a_public_name_has_its_place_and_an_example(name):
    found = documented()
    assert name in found, f"{name}: give it a heading and an example in docs/reference/ (theory: docs/theory/)"
    page = found[name]
    last = name.rsplit(".", 1)[-1]
    uses = re.compile(rf"(?<![\w.])(?:sf|t|stats|cache|tracing|sf\.\w+)\.{last}\b")
    if page.parent.name == "theory":
        assert any(uses.search(b.text) for b in python_blocks(page)), f"{name} is in no example of {page.name}"
        return
    own = page.read_text(encoding="utf-8").split(f":: samfast.{name}\n", 1)[1].split("\n#", 1)[0]
    example = "".join(m["text"] for m in FENCE.finditer(own.split("```\n", 1)[1]) if m["language"] == "python")
    assert uses.search(example) or (inspect.isclass(_thing(name)) and last in example), f"{name} has no example of its own"


def _thing(name):
    thing = sf
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing


def test_the_reference_names_nothing_else():
    known = {*WANTED, *sf._MODULES}
    assert set(documented()) <= known


def test_the_index_names_every_area():
    listed = "".join(b.text for b in blocks(DOCS / "reference" / "index.md") if b.language.startswith("{toctree}")).split()
    assert {p.stem for p in (DOCS / "reference").glob("*.md")} == {*(x for x in listed if not x.startswith(":")), "index"}
