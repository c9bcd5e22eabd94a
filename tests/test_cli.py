"""The command line: what it prints, writes and returns."""
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import samfast as sf
from samfast import cli, displacement

SMALL = ["msd", "--paths", "500", "--times", "0.01,0.1", "--lr", "1e-2"]


@pytest.fixture(autouse=True)
def in_a_fresh_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def one_line(text):
    assert text.endswith("\n") and text.count("\n") == 1, text
    return text


def test_msd_prints_the_table_writes_files_and_names_the_call(capsys, tmp_path):
    assert cli.main(SMALL) == 0
    out = capsys.readouterr().out
    for part in ("SGD ", "SGD + momentum 0.9", "SAM rho=0.5 + momentum 0.9", "values agree", "samfast-msd/"):
        assert part in out
    assert sorted(p.name for p in (tmp_path / "samfast-msd").iterdir()) == ["study.csv", "study.json", "study.png"]
    call = re.search(r"the same in Python: (.*)", out)[1]
    again = eval(call, {"sf": sf}).dataset
    np.testing.assert_array_equal(again["msd"], sf.Study.load("samfast-msd").dataset["msd"])
    assert cli.main(SMALL) == 0 and "samfast-msd-2/" in capsys.readouterr().out


def test_msd_alone_is_the_study_of_the_readme(monkeypatch, capsys):
    """A million paths of SGD and SAM, without and with momentum, to 1000 updates."""
    asked, msd = [], displacement.msd
    monkeypatch.setattr(displacement, "msd", lambda **k: asked.append(k) or msd(**{**k, "paths": 50}))
    assert cli.main(["msd"]) == 0
    assert asked == [{"lr": 1e-3, "rho": [0.0, 0.5], "momentum": [0.0, 0.9]}]
    ds = sf.Study.load("samfast-msd").dataset
    assert int(ds["steps"].max()) == 1000 and displacement.msd.__code__ is not msd.__code__
    assert msd.__kwdefaults__["paths"] == 10 ** 6


def test_every_option_reaches_the_study(monkeypatch, capsys, tmp_path):
    asked, msd = [], displacement.msd
    monkeypatch.setattr(displacement, "msd", lambda **k: asked.append(k) or msd(times=[0.1], paths=50, rho=[0.0, 0.5],
                                                                              momentum=[0.0, 0.9]))
    words = ("msd --eigenvalue -1,-2 --eigenvalue 3 --rho 0 --momentum 0.5 --lr .1 --batch-size 32,64 --dampening 0.1 "
             "--times 0.1 --paths 1e2 --drift chain --noise same --method algorithm --dt 0.1 --kind sign --seed 7 "
             "--dtype float64 --confidence 0.9 --threads 1 --progress --out here/there")
    assert cli.main(words.split()) == 0
    (given,) = asked
    assert given.pop("executor")._max_workers == 1 and callable(given.pop("progress"))
    assert given == {"eigenvalue": [-1, -2, 3], "rho": 0, "momentum": 0.5, "lr": 0.1, "batch_size": [32, 64], "dampening": 0.1,
                     "times": [0.1], "paths": 100, "drift": "chain", "noise": "same", "method": "algorithm", "dt": 0.1,
                     "kind": "sign", "seed": 7, "dtype": "float64", "confidence": 0.9}
    assert set(given) | {"executor", "progress"} == set(msd.__kwdefaults__)
    assert (tmp_path / "here/there/study.csv").exists()


@pytest.mark.parametrize("words, message", [
    ("msd --rho -1", "rho=-1.0: give values of at least 0"), ("msd --times 0.0123456", "the nearest are 0.012 and 0.013"),
    ("msd --paths 0", "paths=0: give at least 2"), ("msd --threads 0", "--threads 0: give at least 1"),
    ("msd --method exact", "invalid choice: 'exact'"), ("msd --rho a", "'a': give numbers, e.g. 0,0.1"),
    ("msd --paths 1.5", "'1.5': give a whole number"), ("msd --paths inf", "'inf': give a whole number"),
    ("msd --out file", "--out file: this is a file"), ("cache prune --max-age-days -1", "max_age_days=-1.0: give at least 0"),
    ("nothing", "invalid choice: 'nothing'"), ("", "arguments are required: command"), ("cache", "required: action"),
    ("msd --speed 3", "--speed")])
def test_errors_are_one_line_and_status_2(words, message, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    try:
        status = cli.main(words.split())
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    captured = capsys.readouterr()
    assert message in one_line(captured.err) and not captured.out and captured.err.startswith("samfast")
    assert not (tmp_path / "samfast-msd").exists()


def test_a_warning_is_one_line(capsys):
    assert cli.main("msd --eigenvalue -80,-90 --lr 0.1 --momentum 0,0.1 --times 0.1,50 --paths 20 --rho 0".split()) == 0
    assert one_line(capsys.readouterr().err).startswith("samfast: warning: 80 of 80 paths diverged")


def test_interrupted_is_130_and_leaves_no_folder(monkeypatch, capsys, tmp_path):
    def stop(**_):
        raise sf.Interrupted(None)
    monkeypatch.setattr(displacement, "msd", stop)
    assert cli.main([*SMALL, "--progress"]) == 130
    assert capsys.readouterr().err.strip("\r\n ").endswith("samfast: interrupted")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_stops_a_long_run(tmp_path):
    run = subprocess.Popen([sys.executable, "-m", "samfast", "msd", "--paths", "1e8"], stderr=subprocess.PIPE, text=True,
                           cwd=tmp_path, env=environment())
    while not (tmp_path / "samfast-msd").exists():
        time.sleep(0.05)
        assert run.poll() is None
    time.sleep(2)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=30)
    assert run.returncode == 130 and one_line(err) == "samfast: interrupted\n" and not list(tmp_path.iterdir())


def environment():
    import os
    from pathlib import Path
    return {**os.environ, "PYTHONPATH": str(Path(sf.__file__).parent.parent)}


def test_module_and_version_and_a_closed_pipe(tmp_path):
    command = f'"{sys.executable}" -m samfast '
    done = subprocess.run(command + "--version", shell=True, capture_output=True, text=True, env=environment())
    assert done.stdout == f"samfast {sf.__version__}\n" and done.returncode == 0
    done = subprocess.run(command + "info | true", shell=True, capture_output=True, text=True, env=environment())
    assert "Traceback" not in done.stderr


def test_help_loads_nothing_heavy():
    code = ("import sys; sys.argv = ['samfast', '--help']\nfrom samfast.cli import main\ntry: main()\nexcept SystemExit: pass\n"
            "print({'numpy', 'numba', 'matplotlib', 'xarray', 'scipy'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert done.stdout.endswith("set()\n") and "msd" in done.stdout


def test_info(capsys):
    assert cli.main(["info"]) == 0
    out = capsys.readouterr().out
    for part in (f"samfast    {sf.__version__}", "numba ", "llvmlite ", "bits, with", "threads", "MB)", "no CUDA backend"):
        assert part in out


def test_cache_commands(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("SAMFAST_CACHE_DIR", str(tmp_path / "cache"))
    assert cli.main(["cache", "list"]) == 0
    assert f"0 programs, 0.0 MB in {tmp_path / 'cache'}" in capsys.readouterr().out
    (tmp_path / "cache" / f"samfast_cpu_{'0' * 24}.py").write_text("x" * 1000)
    (tmp_path / "cache" / "other.txt").write_text("")
    assert cli.main(["cache", "list"]) == 0 and "1.0 kB" in capsys.readouterr().out
    assert cli.main(["cache", "prune"]) == 0 and "removed 0 programs, 0.0 MB; 1 left" in capsys.readouterr().out
    assert cli.main(["cache", "prune", "--max-bytes", "10"]) == 0 and "removed 1 programs" in capsys.readouterr().out
    assert cli.main(["cache", "clear"]) == 0 and "removed 0 programs" in capsys.readouterr().out
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["other.txt"]


def test_warm_compiles_what_the_study_runs(monkeypatch, capsys):
    runs, simulate = [], displacement.simulate
    monkeypatch.setattr(displacement, "simulate", lambda *a, **k: runs.append(simulate(*a, **k)) or runs[-1])
    monkeypatch.setattr(cli, "CHOICES", {**cli.CHOICES, "method": ("em",)})
    assert cli.main(["cache", "warm"]) == 0
    assert "em, grid" in capsys.readouterr().out
    warmed = {run.job.program.text for run in runs}
    cli.main([*SMALL])
    assert runs[-1].job.program.text in warmed
