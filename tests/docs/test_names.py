"""Files and names that the pages for developers speak of are where they say."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from pages import DOCS, ROOT, blocks, name, prose

PAGES = [ROOT / "CONTRIBUTING.md", DOCS / "architecture.md", DOCS / "compatibility.md", DOCS / "releasing.md", DOCS / "cuda.md"]
SPAN = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"[\w./]+\.(?:py|pyi|toml|cff|md|cpp|yml)|(?:samfast|kernels|tests|bench|docs)/[\w./]*|\.ci/run")


def files(text):
    """(path, the names in code that follow it on its line) of every path; a bare file name lies in the last folder."""
    last = ROOT
    for line in text.splitlines():
        path, names = None, []
        for span in SPAN.findall(line):
            if FILE.fullmatch(span):
                if path:
                    yield path, names
                tried = [ROOT / span, ROOT / "samfast" / span, last / span, DOCS / span]
                path, names = next((p for p in tried if p.exists()), ROOT / span), []
                last = path.parent if path.is_file() else path
            elif path and re.fullmatch(r"_?[a-z]\w+|[A-Z][A-Z_]+", span):
                names.append(span)
        if path:
            yield path, names


@pytest.mark.parametrize("page", PAGES, ids=map(name, PAGES))
def test_files_are_there(page):
    found = list(files(prose(page)))
    assert found
    for path, _ in found:
        assert path.exists(), f"{name(page)} speaks of {path.relative_to(ROOT)}"


@pytest.mark.parametrize("page", [ROOT / "CONTRIBUTING.md", DOCS / "architecture.md"], ids=["contributing", "architecture"])
def test_what_is_to_be_edited_is_in_its_file(page):
    """The tables "Where do I edit for ...": constants and functions beside a file are defined in it."""
    checked = 0
    table = prose(page).split("## Where do I edit for ...")[1].split("\n## ")[0]
    for path, names in files(table):
        for one in names:
            defined = rf"^(?:\s*(?:def|class) {one}\b|[A-Z_, ]*\b{one}\b[A-Z_, ]* = )"
            assert re.search(defined, path.read_text(encoding="utf-8"), re.M), f"{one} is not defined in {path.name}"
            checked += 1
    assert checked >= 5


def test_the_tree_is_whole():
    """Every package and file of samfast/ stands in the tree of the architecture page, and nothing else."""
    tree = next(b.text for b in blocks(DOCS / "architecture.md"))
    shown = {
        x.rstrip("/") for line in tree.splitlines() if line.startswith("  ") for x in re.split(r"  +", line.strip())[0].split()
    }
    shown |= {x for line in tree.splitlines() for x in re.findall(r"__\w+__\.pyi?", line)}
    there = {p.name for p in (ROOT / "samfast").iterdir() if p.suffix in (".py", ".pyi") or (p / "__init__.py").exists()}
    assert shown == there
