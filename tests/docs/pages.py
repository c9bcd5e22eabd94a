"""The pages of the documentation, cut into what can be checked: blocks of code, links, headings."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^(?P<mark>`{3,})(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=mark)\s*$", re.M | re.S)
NOT_RUN = re.compile(r"<!-- not run: .+ -->\s*\Z")
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language ("" for none), its text, the line where the text begins, and whether it is to be run."""

    language: str
    text: str
    line: int
    run: bool


def pages():
    """Every page that people read as prose; docs/benchmarks.md is made from results and has a test of its own."""
    found = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [p for p in found if p.exists()] + sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)


def name(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page):
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        before = text[: found.start()]
        yield Block(
            found["language"].strip(), found["text"], before.count("\n") + 2, run=not NOT_RUN.search(before.rstrip(" \n"))
        )


def python_blocks(page):
    return [b for b in blocks(page) if b.language == "python" and b.run]


def commands(page):
    """The lines of shell blocks that call samfast, as lists of words."""
    for block in blocks(page):
        if block.language in ("", "sh", "bash", "console"):
            for line in block.text.splitlines():
                for part in line.split("  #")[0].split("&&"):
                    words = part.split()
                    if words[:1] == ["samfast"]:
                        yield words[1:]


def prose(page):
    """The text without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page):
    """The anchors of a page's headings, as forges and MyST make them."""
    for line in prose(page).splitlines():
        if heading := re.match(r"#{1,6}\s+(.*)", line):
            plain = re.sub(r"[`*]|\$", "", heading[1].strip().lower())
            yield re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def links(page):
    return [x for x in LINK.findall(prose(page)) if not re.match(r"[a-z]+:", x)]
