"""samfast bench: the command, its files, and the documents made from them."""

import json
import tomllib
from pathlib import Path

import pytest
from pictures import panels, shade
from samfast.bench import charts, page, report, scaling
from samfast.bench.work import Row
from samfast.bench.workloads import every
from tolerance import relative

from samfast.cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tiny(monkeypatch):
    """The command at a thousandth of its size."""
    run = report.run
    monkeypatch.setattr(report, "run", lambda names, **how: run(names, scale=0.002, repeats=1, **how))


def sample():
    machine = {
        "processor": "P",
        "processors": 2,
        "compiled_for": "p4",
        "vector_bits": 256,
        "fma": True,
        "system": "Linux",
        "gpu": "none",
        "load": 0.1,
        "date": "2026-01-01T00:00:00+00:00",
        "commit": "abc",
        "versions": {"samfast": "0"},
    }
    times = {"wall": 0.1, "cpu": 0.1, "clock": "cpu", "prepare": 0.2, "compile": 1.5, "fetch": 0.0, "memory": 3.0, "repeats": 3}
    rows = [
        Row("linear", "samfast", "correct", "|z| 1.0", 1.25, "ns per path-step", ratio=1.0, low=1.0, high=1.0, **times),
        Row(
            "linear",
            "JAX float32",
            "correct",
            "|z| 2.0",
            12.5,
            "ns per path-step",
            ratio=10.0,
            low=9.0,
            high=11.0,
            goal=">= 8.5",
            met=True,
            against="samfast",
            **times,
        ),
        Row("linear", "torchsde", "wrong: mean off by 9.0 standard errors", unit="ns per path-step"),
    ]
    points = [scaling.Point("paths", "samfast", n, 2.0 / n + 1, "cpu") for n in (1, 1000)]
    return report.Report(machine, True, True, rows, points, ["cupy"], ["basins"], {"linear": ["a parabola", "normal"]}, 12.0)


def test_the_command_prints_tables_and_writes_files(tiny, capsys, tmp_path):
    out = tmp_path / "made" / "b.json"
    assert main(["bench", "--only", "statistics", "--json", str(out), "--plot", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "statistics: Four moments" in text and "correct (moments within" in text and "written: " in text
    found = report.Report.load(out)
    assert [r.workload for r in found.rows] == ["statistics"] * len(found.rows) and found.rows[0].correct
    assert found.machine["versions"]["numpy"] and found.machine["processors"] >= 1
    assert {p.name for p in tmp_path.glob("*.png")} == {"bench-ratios.png"}


def test_the_command_lists_and_refuses(capsys, tmp_path):
    assert main(["bench", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(every())
    assert main(["bench", "--only", "liner"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("samfast: error: --only liner: choose one of linear, ") and error.count("\n") == 1
    assert main(["bench", "--json", str(tmp_path)]) == 2 and "it is a folder; give a file" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["bench", "--plot", str(tmp_path / "file")]) == 2 and "give a folder" in capsys.readouterr().err


def test_a_wrong_answer_is_the_exit_status(monkeypatch, capsys):
    monkeypatch.setattr(report, "run", lambda names, **how: sample())
    assert main(["bench", "--only", "linear"]) == 1
    assert "2 rows correct, 1 wrong; 1 of 1 goals met" in capsys.readouterr().out


def test_a_report_is_read_as_it_was_written(tmp_path):
    sample().save(tmp_path / "r.json")
    assert report.Report.load(tmp_path / "r.json") == sample()
    (tmp_path / "r.json").write_text(json.dumps({"format": 0}))
    with pytest.raises(ValueError, match="measure again with --json"):
        report.Report.load(tmp_path / "r.json")


def test_tables_show_goal_figure_and_reason():
    text = report.table(every()["linear"], sample().rows)
    assert ">= 8.5 met" in text and "9 - 11" in text and "wrong: mean off by 9.0 standard errors" in text
    assert "no time was left for basins" in report.summary(sample()) and "not compared: cupy" in report.summary(sample())


def test_pictures_are_drawn(tmp_path):
    made = charts.draw(sample(), tmp_path / "new")
    assert [p.name for p in made] == ["bench-ratios.png", "bench-scaling.png"] and all(p.stat().st_size > 5000 for p in made)


def test_the_pictures_show_the_rows():
    """Bars from 1 to the ratio with its quartiles, in the colour of the library; the points of each backend as one curve."""
    made = sample()
    made.points += [scaling.Point("paths", "JAX float32", n, 30.0 / n + 2, "cpu") for n in (1, 1000)]
    made.points += [scaling.Point("threads", "samfast", n, 3.0 / n, "wall") for n in (1, 2)]
    (axes,) = charts._ratios(made).axes
    right = [r for r in made.rows if r.correct]
    for bar, ends, row in zip(axes.patches, axes.containers[1::2], right, strict=True):
        assert (bar.get_x(), bar.get_x() + bar.get_width()) == relative((1.0, row.ratio), 1e-12)
        assert shade(bar.get_facecolor()) == shade(charts.colour(row.backend)) and axes.get_xscale() == "log"
        (segment,) = ends.lines[2][0].get_segments()
        assert segment[:, 0].tolist() == relative([row.low, row.high], 1e-12)
    words = [t.get_text() for t in axes.texts]
    assert {"linear", "samfast", "JAX float32", "10   12.5 ns per path-step"} <= set(words) and "torchsde" not in words
    paths, threads = panels(charts._scaling(made))
    for name in ("samfast", "JAX float32"):
        curve = paths.curve(label=name, colour=charts.colour(name))
        points = [(p.x, p.value) for p in made.points if (p.axis, p.backend) == ("paths", name)]
        assert curve.finite.T.tolist() == [list(p) for p in points]
    assert paths.scales == ("log", "log") and threads.scales == ("linear", "linear") and threads.xlabel == "threads"
    assert threads.curve(label="samfast").y.tolist() == [3.0, 1.5] and paths.ylabel == "ns per path-step"


def test_the_page_holds_every_figure_and_a_changed_one_is_found(tmp_path, monkeypatch, capsys):
    for name, value in (("RESULTS", tmp_path), ("PAGE", tmp_path / "page.md"), ("README", tmp_path / "readme.md")):
        monkeypatch.setattr(page, name, value)
    with pytest.raises(ValueError, match="make one with samfast bench"):
        page.main([])
    sample().save(tmp_path / "bench-p.json")
    page.README.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    assert page.main(["--check"]) == 1 and "page.md: its figures" in capsys.readouterr().err
    assert page.main([]) == 0 and page.main(["--check"]) == 0
    text = page.README.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n")
    assert "| JAX float32 | 12.5 ns per path-step | 10 | >= 8.5 |" in text
    for where in (page.PAGE, page.README):
        good = where.read_text()
        assert "12.5" in good
        where.write_text(good.replace("12.5", "12.6"))
        assert page.main(["--check"]) == 1 and where.name in capsys.readouterr().err
        where.write_text(good)


def test_the_documents_are_made_from_the_kept_results():
    for path, text in page.made().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python -m samfast.bench.page"


def test_an_installation_has_the_benchmarks():
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert {"samfast.bench", "samfast.bench.backends", "samfast.bench.workloads"} <= set(setup["packages"])
    assert setup["package-dir"]["samfast.bench"] == "bench" and setup["package-data"]["samfast.bench"] == ["yardstick.cpp"]
