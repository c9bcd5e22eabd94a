"""The frame of the experiments: names, files, table of verdicts, the command; experiments that cost nothing."""

import base64
import csv
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import samfast as sf
from samfast import reproduce
from samfast.checks import choice
from samfast.cli.main import main
from samfast.reproduce import page, verdicts
from samfast.reproduce.experiments import Claim, Experiment, Outcome, verdict

CLAIMS = (
    Claim("One is one.", "1", "holds", "theory.phi1"),
    Claim("Two is one.", "2 " * 60, "does not hold", "nowhere"),
    Claim("Three is one.", "1", "holds only if 3 = 1", "somewhere"),
    Claim("Four?", "nothing", "open", "later"),
    Claim("Five needs six.", "5", "sufficient, not necessary", "there"),
    Claim("Seven is eight.", "7", "not stated", "nowhere"),
)
CALLS = []


def cheap(size, progress, executor):
    CALLS.append(size)
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    return Outcome(
        CLAIMS,
        {"a": np.array([1.5, np.inf]), "b": {"c": np.int64(3), "d": (True, None, "x")}},
        {"data": {"x": np.array([0.1, 1 / 3]), "name": ["p", "q"]}},
        {"picture": figure},
        {"picture": moving},
    )


def moving():
    from matplotlib.animation import FuncAnimation

    figure = Figure(figsize=(1, 1))
    (line,) = figure.subplots().plot([], [])
    return FuncAnimation(figure, lambda k: line.set_data([0, k], [0, 1]), range(2))


def stopped(size, progress, executor):
    raise KeyboardInterrupt


MADE = {"cheap": Experiment("cheap", "Costs nothing", cheap), "stopped": Experiment("stopped", "Ctrl-C", stopped)}


@pytest.fixture
def made(monkeypatch, tmp_path):
    """The experiments above instead of the real ones, in a fresh folder."""
    monkeypatch.setattr(reproduce, "names", lambda: tuple(MADE))
    monkeypatch.setattr(reproduce, "get", lambda name: MADE[choice("experiment", name, MADE)])
    monkeypatch.chdir(tmp_path)
    CALLS.clear()
    return tmp_path


def test_names_are_found_without_drawing_or_compiling():
    code = (
        "import sys, samfast as sf; print(*sf.reproduce.names()); "
        "assert all(sf.reproduce.get(n).title for n in sf.reproduce.names()); "
        "assert not {'numba', 'matplotlib'} & set(sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert out[:11] == [*(f"kim-fig{i}" for i in range(1, 8)), "kim-theorem1", "kim-theorem2", "kim-theorem3", "kim-corollary1"]
    assert len(set(out)) == len(out) and all(reproduce.get(name).name == name for name in out)


def test_errors_name_the_remedy():
    with pytest.raises(ValueError, match="experiment 'kim-fig9': choose one of kim-fig1, "):
        sf.reproduce.run("kim-fig9")
    for size, text in ((0, "above 0"), (2.0, "at most 1"), ("x", "give a number")):
        with pytest.raises((ValueError, TypeError), match=f"size={size!r}: .*{text}"):
            MADE["cheap"](size)
    with pytest.raises(ValueError, match="verdict='yes': choose 'holds', "):
        Claim("", "", "yes", "")


def test_a_verdict_follows_from_what_was_measured():
    assert [
        verdict(True),
        verdict(np.array([True, True]), "x > 0"),
        verdict(np.array([True, False]), "x > 0"),
        verdict(False, otherwise="open"),
    ] == ["holds", "holds only if x > 0", "does not hold", "open"]


def test_files_are_exact_and_complete(made):
    outcome = sf.reproduce.run("cheap", made, animate=True)
    folder = made / "cheap"
    assert sorted(p.name for p in folder.iterdir()) == ["data.csv", "outcome.json", "picture.gif", "picture.pdf", "picture.png"]
    assert [(folder / f"picture.{k}").read_bytes()[:4] for k in ("gif", "pdf", "png")] == [b"GIF8", b"%PDF", b"\x89PNG"]
    rows = list(csv.DictReader((folder / "data.csv").read_text().splitlines()))
    assert [float(r["x"]) for r in rows] == [0.1, 1 / 3] and [r["name"] for r in rows] == ["p", "q"]
    record = json.loads((folder / "outcome.json").read_text())
    assert record["numbers"] == {"a": [1.5, "inf"], "b": {"c": 3, "d": [True, None, "x"]}}
    assert np.asarray(record["numbers"]["a"], float)[1] == np.inf
    assert record["title"] == "Costs nothing" and set(record["versions"]) >= {"samfast", "source", "numpy", "numba"}
    assert sf.reproduce.done("cheap", made)["claims"] == outcome.claims
    for missing in ("picture.pdf", "outcome.json"):
        (folder / missing).unlink()
        assert sf.reproduce.done("cheap", made) is None


def test_only_the_same_is_done_already(made, monkeypatch):
    sf.reproduce.run("cheap", made, size=0.5)
    assert sf.reproduce.done("cheap", made, size=0.5) and not sf.reproduce.done("cheap", made)
    assert not sf.reproduce.done("cheap", made, size=0.5, animate=True)
    monkeypatch.setattr("samfast.reproduce.storage.versions", lambda: {"samfast": "another"})
    assert not sf.reproduce.done("cheap", made, size=0.5)


def test_a_failure_while_writing_is_not_taken_for_an_outcome(made, monkeypatch):
    sf.reproduce.run("cheap", made)
    monkeypatch.setattr("samfast.reproduce.storage._csv", lambda table: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sf.reproduce.run("cheap", made)
    assert sf.reproduce.done("cheap", made) is None


def test_the_table_says_everything():
    text = sf.reproduce.table("cheap", CLAIMS, "Costs nothing")
    words = " ".join(text.split())
    for claim in CLAIMS:
        assert claim.text in words and f"[{claim.source}]" in words
    assert max(map(len, text.splitlines())) <= sum(verdicts.COLUMNS) + 4
    assert text.count("\n2 2 2") == 0 and sum(line.count(" 2 2") > 0 for line in text.splitlines()) > 1
    assert sf.reproduce.total(CLAIMS) == (
        "6 claims: 1 holds, 1 holds under a condition, 1 is sufficient, not necessary, 1 is not stated, 1 does not hold, "
        "1 is open"
    )
    assert sf.reproduce.total(2 * CLAIMS[:4]) == "8 claims: 2 hold, 2 hold under a condition, 2 do not hold, 2 are open"
    assert sf.reproduce.total(CLAIMS[:1]) == "1 claim: 1 holds" and sf.reproduce.total(2 * CLAIMS[:1]) == "2 claims: 2 hold"


def test_the_command_lists_runs_and_resumes(made, capsys):
    assert main(["reproduce"]) == 0
    assert capsys.readouterr().out.splitlines() == ["cheap                Costs nothing", "stopped              Ctrl-C"]
    for again, calls, text in (([], 1, " s)"), ([], 1, "written before)"), (["--again"], 2, " s)"), (["--animate"], 3, " s)")):
        assert main(["reproduce", "cheap", "--no-progress", *again]) == 0
        out = capsys.readouterr().out
        assert len(CALLS) == calls and text in out.splitlines()[0] and "written: samfast-reproduce/" in out
    assert (made / "samfast-reproduce" / "cheap" / "picture.gif").exists()


def test_ctrl_c_leaves_what_is_finished(made, capsys):
    assert main(["reproduce", "all", "--out", "here", "--size", "0.5", "--threads", "1"]) == 130
    out = capsys.readouterr()
    assert "6 claims" in out.out and "samfast: interrupted" in out.err and CALLS == [0.5]
    assert sorted(p.name for p in (made / "here").iterdir()) == ["cheap", "index.html"] and sf.reproduce.done(
        "cheap", "here", size=0.5
    )
    assert main(["reproduce", "stopped", "--out", "there"]) == 130 and not (made / "there").exists()


class Page(HTMLParser):
    """What stands in a page: the text of each cell of the table of claims, the images, and everything that it asks for."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.images, self.asked, self.inside = [], [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.asked += [v for k, v in attributes if k in ("src", "href") and not v.startswith(("#", "data:"))]
        self.images += [found["src"]] if tag == "img" else []
        self.inside = self.inside or found.get("id") == "claims"
        if tag == "td" and self.inside:
            self.cells.append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "table"

    def handle_data(self, data):
        if self.inside and self.cells:
            self.cells[-1] += data


def test_one_page_with_everything(made, capsys):
    """Each claim with its value, verdict and source, each picture to its last byte, and nothing from elsewhere."""
    assert sf.reproduce.index(made) is None
    assert main(["reproduce", "cheap", "--no-progress", "--out", "out"]) == 0
    assert f"all on one page: {Path('out') / 'index.html'}" in capsys.readouterr().out
    text = (made / "out" / "index.html").read_text()
    page = Page(text)
    rows = [page.cells[i : i + 4] for i in range(0, len(page.cells), 4)]
    assert [r[0] for r in rows] == ["cheap"] * len(CLAIMS)
    assert [[x.strip() for x in r[1:]] for r in rows] == [[c.text + c.source, c.measured.strip(), c.verdict] for c in CLAIMS]
    picture = base64.b64decode(page.images[0].removeprefix("data:image/png;base64,"))
    assert len(page.images) == 1 and picture == (made / "out" / "cheap" / "picture.png").read_bytes()
    assert page.asked and all((made / "out" / place).exists() for place in page.asked) and "://" not in text
    assert all(f">{k}</th>" in text for k in ("holds", "holds only if …", "does not hold", "open", "not stated"))


def test_the_page_counts_the_claims_of_each_paper():
    """An entry of the register belongs to the paper that its first letter names."""
    entries = [("discrepancies", "K1. a"), ("discrepancies", "B2. b"), ("kim-fig1", "c"), ("bartlett-fig1", "d"), ("x", "e")]
    claims = [(name, Claim(text, "1", "holds" if i else "open", "there")) for i, (name, text) in enumerate(entries)]
    rows = re.findall(r"<tr>(.*?)</tr>", page._summary(claims))
    cells = [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in rows]
    assert cells[0] == ["paper", "holds", "open", "all"]
    assert [(c[0][:4], c[1:]) for c in cells[1:]] == [
        ("Kim,", ["1", "1", "2"]),
        ("Bart", ["2", "0", "2"]),
        ("othe", ["1", "0", "1"]),
    ]


@pytest.mark.parametrize(
    "words, text",
    [
        (["nothing"], "choose one of"),
        (["cheap", "--threads", "0"], "at least 1"),
        (["cheap", "--out", "file"], "give a folder"),
        (["cheap", "--size", "0"], "size=0"),
    ],
)
def test_the_command_reports_errors_in_one_line(made, capsys, words, text):
    (made / "file").write_text("")
    assert main(["reproduce", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and text in error
    assert [p.name for p in made.iterdir()] == ["file"]
