"""What the pages show is run: every block of Python of a page in one namespace, every samfast command through the parser.

By default the programs run on few paths (SMALL), and on pages of many small programs (PLAIN) as plain Python, which compiles
nothing: this shows that the code of a page is right, not that its numbers are. `pytest -m slow tests/docs` runs the pages as
they are written.
"""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from pages import DOCS, ROOT, anchors, blocks, commands, links, name, pages, python_blocks

RUN = [p for p in pages() if python_blocks(p)]
TASKS = ("command", "own-loss", "escape-times", "stability", "pandas", "resume", "own-rule", "figure")
PLAIN = {f"docs/reference/{page}.md" for page in ("observers", "rules", "simulation", "losses", "statistics", "functions")}
UPDATES = 30  # of a study whose times are not given, instead of 1000
MOST_LINES = 15  # of the program with which a page of a task begins


def tenth(found):
    """A tenth of the updates to record: ten times less work, and what comes after is still after."""
    return "record=[" + re.sub(r"\d+", lambda n: str(int(n[0]) // 10), found[1]) + "]"


SMALL = (
    (re.compile(r"\bpaths=[\d_*]+"), "paths=16"),
    (re.compile(r"\bshape=\(\d+, \d+\)"), "shape=(4, 4)"),
    (re.compile(r"\bsteps=[\d_]+"), "steps=20"),
    (re.compile(r"\brecord=\[((?:\d+0|0)(?:, \d+0)*)\]"), tenth),
)


def small(text):
    for pattern, by in SMALL:
        text = pattern.sub(by, text)
    return text


def run(page, change=lambda text: text):
    """All blocks of a page, one after the other; an error names the page and its line."""
    space = {"__name__": "page"}
    for block in python_blocks(page):
        code = compile("\n" * (block.line - 1) + change(block.text), str(page), "exec")
        exec(code, space)
    return space


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A page may write files."""
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    yield tmp_path
    plt.close("all")


@pytest.mark.filterwarnings("ignore::samfast.checks.DivergenceWarning")
@pytest.mark.filterwarnings("ignore:.*end near no attractor:RuntimeWarning")  # after 20 steps
@pytest.mark.parametrize("page", RUN, ids=map(name, RUN))
def test_the_code_of_a_page_runs(page, folder, monkeypatch):
    asked = []

    def here(device, there):
        asked.append(device)
        return "plain" if name(page) in PLAIN else "cpu"

    monkeypatch.setattr("samfast.simulation.arguments.device", here)
    monkeypatch.setattr("samfast.study.plan.UPDATES", UPDATES)
    space = run(page, small)
    assert len(space) > 2, f"{name(page)} defines nothing"
    if any("sf.simulate(" in b.text or "sf.msd(" in b.text for b in python_blocks(page)):
        assert asked, "simulation.arguments.device is no longer where the device is chosen"


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=map(name, RUN))
def test_the_code_of_a_page_runs_as_it_is_written(page, folder):
    run(page)


@pytest.mark.parametrize("page", pages(), ids=map(name, pages()))
def test_the_commands_of_a_page_parse(page):
    from samfast.cli.main import _joined, parser

    for words in commands(page):
        if not {"--help", "--version"} & set(words):
            args = parser().parse_args(_joined(words))
            assert callable(args.run)


@pytest.mark.parametrize("page", pages(), ids=map(name, pages()))
def test_links_lead_somewhere(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)}: {link}"
        assert not anchor or anchor in set(anchors(target)), f"{name(page)}: {link} has no such heading"


def test_every_page_is_in_a_table_of_contents():
    listed = {DOCS / "index.md"}
    for page in pages():
        for block in blocks(page):
            if block.language.startswith("{toctree}"):
                names = [line for line in block.text.splitlines() if line and not line.startswith(":")]
                listed |= {(page.parent / f"{n}.md").resolve() for n in names}
    assert {p for p in pages() if DOCS in p.parents} == listed


@pytest.mark.parametrize("task", TASKS)
def test_a_task_needs_few_lines(task):
    """The program that a page begins with is complete: it runs by itself, and is short."""
    first = python_blocks(DOCS / "how-to" / f"{task}.md")[0].text
    lines = [line for line in first.splitlines() if line.strip()]
    assert "import samfast as sf" in first and len(lines) <= MOST_LINES


def test_the_readme_is_a_front_door():
    """Its first commands need Python and nothing else."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = next(b for b in blocks(ROOT / "README.md"))
    assert first.text.startswith("python -m venv .venv") and "pip install ." in first.text and "samfast msd" in first.text
    assert len(text.splitlines()) < 200
