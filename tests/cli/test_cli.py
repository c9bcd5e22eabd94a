"""The command line: what it prints, writes and returns."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import samfast as sf
from samfast.cli import cache
from samfast.cli import msd as msd_module
from samfast.cli.main import main
from samfast.info import info
from samfast.signals import interrupts_outside_imports
from samfast.study import displacement, measured
from samfast.study.plan import MsdArguments, planned

FILES = ["study.csv", "study.json", "study.nc", "study.png"]
SMALL = ["msd", "--paths", "500", "--times", "0.01,0.1", "--lr", "1e-2"]


@pytest.fixture(autouse=True)
def in_a_fresh_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def plan(**given):
    """The checked call of msd with these arguments, nothing computed."""
    return planned(MsdArguments(**{k: v for k, v in given.items() if k != "device"}))


def one_line(text):
    assert text.endswith("\n") and text.count("\n") == 1, text
    return text


def test_msd_prints_the_table_writes_files_and_names_the_call(capsys, tmp_path):
    assert main(SMALL) == 0
    out = capsys.readouterr().out
    for part in ("SGD ", "SGD + momentum 0.9", "SAM rho=0.5 + momentum 0.9", "values agree", "samfast-msd/"):
        assert part in out
    assert sorted(p.name for p in (tmp_path / "samfast-msd").iterdir()) == FILES
    call = re.search(r"the same in Python: (.*)", out)[1]
    again = eval(call, {"sf": sf}).dataset
    np.testing.assert_array_equal(again["msd"], sf.Study.load("samfast-msd").dataset["msd"])
    assert main([*SMALL, "--save-format", "csv"]) == 0 and "study.csv in samfast-msd-2/" in capsys.readouterr().out


def test_msd_alone_is_the_study_of_the_readme(monkeypatch, capsys):
    """A million paths of SGD and SAM, without and with momentum, to 1000 updates."""
    asked, msd = [], displacement.msd
    monkeypatch.setattr("samfast.study.displacement.msd", lambda **k: asked.append(k) or msd(**{**k, "paths": 50}))
    assert main(["msd", "--save-format", "nc"]) == 0
    assert asked == [{"rho": [0.0, 0.5], "momentum": [0.0, 0.9]}]
    ds = sf.Study.load("samfast-msd").dataset
    assert int(ds["steps"].max()) == 1000 and displacement.msd.__code__ is not msd.__code__
    assert plan(**asked[0]).paths == 10**6


def test_every_option_reaches_the_study(monkeypatch, capsys, tmp_path):
    asked, msd = [], displacement.msd
    monkeypatch.setattr(
        "samfast.study.displacement.msd", lambda **k: asked.append(k) or msd(times=[0.1], paths=50, batch_size=[16, 64])
    )
    words = (
        "msd --eigenvalue -1,-2 --eigenvalue 3 --rho 0 --momentum 0.5 --lr .1 --batch-size 32,64 --dampening 0.1,0.2 "
        "--times 0.1 --paths 1e2 --drift chain --noise same,unit --method algorithm --dt 0.1 --kind sign --seed 7 "
        "--dtype float64 --device cpu --confidence 0.9 --threads 1 --progress --out here/there --until 0.01 "
        "--theorem printed --save-format nc,png --plot batch_size --plot time --overwrite"
    )
    assert main(words.split()) == 0
    (given,) = asked
    assert given.pop("executor")._max_workers == 1 and callable(given.pop("progress"))
    assert given == {
        "eigenvalue": [-1, -2, 3],
        "rho": 0,
        "momentum": 0.5,
        "lr": 0.1,
        "batch_size": [32, 64],
        "dampening": [0.1, 0.2],
        "times": [0.1],
        "paths": 100,
        "drift": "chain",
        "noise": ["same", "unit"],
        "method": "algorithm",
        "dt": 0.1,
        "kind": "sign",
        "seed": 7,
        "dtype": "float64",
        "device": "cpu",
        "confidence": 0.9,
        "until": 0.01,
        "theorem": "printed",
    }
    assert set(given) | {"executor", "progress"} == set(msd.__kwdefaults__)
    written = sorted(p.name for p in (tmp_path / "here/there").iterdir())
    assert written == ["study-batch_size.png", "study.nc", "study.png"]


def test_a_batch_size_may_be_a_fraction(monkeypatch):
    """1.5 reaches the study as it is, whole ones as integers."""
    asked = []
    monkeypatch.setattr("samfast.study.displacement.msd", lambda **k: asked.append(k) or sf.Study.load("nowhere"))
    assert main("msd --batch-size 1.5".split()) == main("msd --batch-size 16,2.5".split()) == 2
    assert [k["batch_size"] for k in asked] == [1.5, [16, 2.5]]


def test_lists_that_begin_with_a_minus(monkeypatch):
    """argparse takes such a word for an option; a point may follow the minus."""
    asked = []
    monkeypatch.setattr("samfast.study.displacement.msd", lambda **k: asked.append(k) or sf.Study.load("nowhere"))
    for word, values in (("-1,-2", [-1.0, -2.0]), ("-.5,-1", [-0.5, -1.0]), ("-.5", -0.5), ("-2e-1", -0.2)):
        assert main(["msd", "--eigenvalue", word]) == 2
        assert asked[-1]["eigenvalue"] == values


def test_until_that_is_not_reached_has_a_status(capsys):
    """3, and a line of its own under the verdict."""
    assert main([*SMALL, "--until", "0.001", "--rho", "0", "--momentum", "0", "--save-format", "csv"]) == 3
    out = capsys.readouterr().out.splitlines()
    (at,) = (i for i, line in enumerate(out) if line.startswith("UNTIL NOT REACHED: the largest se/MSD is 0.0"))
    assert "values agree (500 paths" in out[at - 1]
    assert main([*SMALL, "--until", "0.2", "--rho", "0", "--momentum", "0", "--save-format", "csv"]) == 0


def test_results_of_other_parameters_stay(capsys, tmp_path):
    """Found out before anything is simulated; --overwrite says that one means it."""
    here = [*SMALL, "--rho", "0", "--momentum", "0", "--out", "a", "--save-format", "csv,nc"]
    assert main(here) == 0
    before = (tmp_path / "a/study.csv").read_bytes()
    assert main(here) == 0  # the same study again
    capsys.readouterr()
    assert main([*here, "--seed", "1"]) == 2
    message = one_line(capsys.readouterr().err)
    assert "--out a: it holds another study, sf.msd(eigenvalue=-1.0, lr=0.01, rho=0.0," in message
    assert message.endswith("give another folder, or --overwrite\n")
    assert (tmp_path / "a/study.csv").read_bytes() == before
    assert main([*here, "--seed", "1", "--overwrite"]) == 0 and (tmp_path / "a/study.csv").read_bytes() != before
    assert main([*here[:-3], "b", "--save-format", "csv"]) == 0
    assert main(["show", "a", "--plot", "time", "--out", "b"]) == 2  # nor do pictures of one go among files of another
    assert main(["show", "a", "--plot", "time", "--out", "b", "--overwrite"]) == 0


def test_more_paths_are_added_to_a_folder_and_verified(capsys, tmp_path):
    """The same as in one call, within rounding; what decides the numbers cannot be changed on the way."""
    here = [*SMALL, "--rho", "0", "--momentum", "0", "--save-format", "csv,nc"]
    assert main([*here, "--out", "a"]) == main(["msd", "--more", "a", "--paths", "200", "--save-format", "nc"]) == 0
    assert "(700 paths, em" in capsys.readouterr().out
    assert main(["verify", "a"]) == 0 and capsys.readouterr().out.startswith("verified: the same numbers, ")
    ds = sf.load("a").dataset
    sf.Study(ds.assign(msd=ds["msd"] * 2)).save("b")
    assert main(["verify", "b"]) == 1 and "they differ in msd by 0.5" in capsys.readouterr().out
    assert main(["msd", "--more", "a", "--rho", "0.1", "--paths", "200"]) == 2
    assert "--more a: --rho is that of the study; leave it out" in one_line(capsys.readouterr().err)
    assert main(["msd", "--more", "a"]) == 2 and "give paths=" in one_line(capsys.readouterr().err)


def test_the_same_in_python_names_every_parameter(capsys):
    assert main([*SMALL, "--rho", "0", "--momentum", "0", "--save-format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "the same in Python: sf.msd(eigenvalue=-1.0, lr=0.01, rho=0.0, momentum=0.0, dampening=0.0, batch_size=64, "
        "times=[0.01, 0.1], paths=500, drift='plain', noise='unit', method='em', theorem='both', kind='normal', seed=0, "
        "dtype='mixed', confidence=0.95)"
    )


def test_show_prints_a_saved_study_and_draws(capsys, tmp_path):
    assert main([*SMALL, "--out", "a", "--save-format", "json"]) == 0
    table = capsys.readouterr().out.partition("written")[0]
    assert main(["show", "a"]) == 0 and capsys.readouterr().out == table
    assert main(["show", "a/study.json", "--plot", "momentum"]) == 0
    assert "written: study-momentum.png in a/" in capsys.readouterr().out
    assert main(["show", "a", "--plot", "time", "--out", "b"]) == 0
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["study.png"]


def test_the_options_are_those_of_msd():
    """No argument of msd without an option, no word that it does not take."""
    options = {*msd_module.LISTS, *msd_module.WORDS, *msd_module.CHOICES, "paths", "until", "seed", "confidence"}
    assert options | {"executor", "progress"} == set(displacement.msd.__kwdefaults__)
    for name, (words, _) in {**msd_module.WORDS, **msd_module.CHOICES}.items():
        for word in words:
            assert plan(**{name: word, "times": [0.1]}).paths == 10**6
    from samfast.study.figures import KINDS
    from samfast.study.saved import FORMATS

    assert set(msd_module.PLOTS) == set(KINDS) and msd_module.FORMATS == FORMATS


@pytest.mark.parametrize(
    "words, message",
    [
        ("msd --rho -1", "rho=-1.0: give values of at least 0"),
        ("msd --times 0.0123456", "the nearest are 0.012 and 0.013"),
        ("msd --paths 0", "paths=0: give at least 2"),
        ("msd --threads 0", "--threads 0: give at least 1"),
        ("msd --method sde", "invalid choice: 'sde'"),
        ("msd --drift sgd", "'sgd': choose from plain, chain"),
        ("msd --save-format xls", "'xls': choose from csv, json, nc, png"),
        ("msd --until 2", "until=2.0: give values below 1"),
        ("msd --plot dampening", "--plot dampening: it needs several values; give --dampening a list"),
        ("msd --plot difference --rho 0.1", "--plot difference: it needs SGD and SAM, here rho=0.1; give e.g. --rho 0,0.5"),
        ("show nowhere", "there is no such file or folder"),
        ("show file", "is not a saved study"),
        ("msd --rho a", "'a': give numbers, e.g. 0,0.1"),
        ("msd --paths 1.5", "'1.5': give a whole number"),
        ("msd --paths inf", "'inf': give a whole number"),
        ("msd --out file", "--out file: this is a file"),
        ("msd --out file/a", "--out file/a: it cannot be created (Not a directory); give another folder"),
        ("cache prune --max-age-days -1", "max_age_days=-1.0: give at least 0"),
        ("nothing", "invalid choice: 'nothing'"),
        ("", "arguments are required: command"),
        ("msd --speed 3", "--speed"),
    ],
)
def test_errors_are_one_line_and_status_2(words, message, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    try:
        status = main(words.split())
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    captured = capsys.readouterr()
    assert message in one_line(captured.err) and not captured.out and captured.err.startswith("samfast")
    assert not (tmp_path / "samfast-msd").exists()


def test_a_folder_that_cannot_be_written_is_refused_before_the_simulation(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("samfast.cli.session.os.access", lambda path, mode: False)
    monkeypatch.setattr("samfast.study.displacement.msd", None)
    assert main([*SMALL, "--out", "a"]) == 2
    assert one_line(capsys.readouterr().err) == "samfast: error: --out a: it cannot be written; give another folder\n"


def test_a_warning_is_one_line(capsys):
    assert (
        main("msd --eigenvalue -80,-90 --lr 0.1 --momentum 0,0.1 --times 0.1,50 --paths 50 --rho 0 --save-format csv".split())
        == 0
    )
    assert one_line(capsys.readouterr().err).startswith("samfast: warning: 200 of 200 paths diverged")


def test_interrupted_is_130_and_leaves_no_folder(monkeypatch, capsys, tmp_path):
    def stop(**_):
        raise sf.Interrupted(None)

    monkeypatch.setattr("samfast.study.displacement.msd", stop)
    assert main([*SMALL, "--progress"]) == 130
    assert capsys.readouterr().err.strip("\r\n ").endswith("samfast: interrupted")
    assert not list(tmp_path.iterdir())


def test_interrupted_keeps_what_was_finished(monkeypatch, capsys, tmp_path):
    """The table and the files of the paths that were done, and still status 130."""

    def stop(done, total):
        if done >= 9000:
            raise KeyboardInterrupt

    msd = displacement.msd
    monkeypatch.setattr("samfast.study.displacement.msd", lambda **k: msd(**{**k, "progress": stop}))
    assert main([*SMALL, "--paths", "30000", "--progress", "--save-format", "csv,nc"]) == 130
    out, err = capsys.readouterr()
    done = int(re.search(r"interrupted; ([\d,]+) paths were finished", err)[1].replace(",", ""))
    assert "INTERRUPTED" in out and "written: study.csv" in out
    ds = sf.Study.load("samfast-msd").dataset
    assert 0 < done == int(ds["count"].max()) < 30_000 and ds.attrs["status"] == "interrupted"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_signal_inside_llvmlite_is_raised_when_it_is_left():
    """There it left strings that were freed twice, and the process aborted."""
    inside = {"__name__": "llvmlite.stand_in", "reached": []}
    exec("import os, signal\ndef interrupted():\n    os.kill(os.getpid(), signal.SIGINT)\n    reached.append(1)", inside)
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), interrupts_outside_imports():
            inside["interrupted"]()
            time.sleep(5)
            inside["reached"].append(2)
    finally:
        signal.signal(signal.SIGINT, usual)
    assert inside["reached"] == [1]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("name, status", [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_stops_a_long_run(tmp_path, name, status):
    old = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child of a suite in the background would ignore it
    with subprocess.Popen(
        [sys.executable, "-m", "samfast", "msd", "--paths", "1e8"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
        env=environment(),
    ) as run:
        try:
            while not (tmp_path / "samfast-msd").exists():
                time.sleep(0.05)
                assert run.poll() is None
            time.sleep(2)
            run.send_signal(getattr(signal, name))
            _, err = run.communicate(timeout=120)  # of a slow machine that is still compiling
        finally:
            signal.signal(signal.SIGINT, old)
            run.kill()
    assert run.returncode == status
    assert one_line(err).startswith("samfast: interrupted")
    if "paths were finished" in err:
        assert sf.Study.load(tmp_path / "samfast-msd").dataset.attrs["status"] == "interrupted"
    else:  # it was still compiling
        assert not list(tmp_path.iterdir())


AT_AN_IMPORT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
where, number = sys.argv.pop(1), getattr(signal, sys.argv.pop(1))

class Hook:
    def find_spec(self, name, path=None, target=None):
        if name == where:
            try:
                os.kill(os.getpid(), number)
                for _ in range(1000):
                    pass
            except BaseException:
                raise SyntaxError("what CPython makes of an interrupt in here")

sys.meta_path.insert(0, Hook())
from samfast.__main__ import main
sys.exit(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    "where, name, status",
    [
        ("samfast.cli.main", "SIGINT", 130),
        ("samfast.study.displacement", "SIGINT", 130),
        ("xarray", "SIGTERM", 143),
        ("matplotlib.figure", "SIGINT", 130),
    ],
)
def test_a_signal_inside_an_import(tmp_path, name, status, where):
    """From the first module of the command to the picture of a finished study: the status of the signal, and one line."""
    command = [sys.executable, "-c", AT_AN_IMPORT, where, name, *SMALL, "--save-format", "png"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment(), timeout=120)
    assert (done.returncode, done.stderr) == (status, "samfast: interrupted\n") and not list(tmp_path.iterdir())


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
    code = (
        "import sys; sys.argv = ['samfast', '--help']\nfrom samfast.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print({'numpy', 'numba', 'matplotlib', 'xarray', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert done.stdout.endswith("set()\n") and "msd" in done.stdout


def test_info(capsys):
    assert main(["info"]) == 0
    out, fma = capsys.readouterr().out, "with" if info()["fma"] else "without"
    for part in (
        f"samfast    {sf.__version__}",
        "numba ",
        "llvmlite ",
        f"bits, {fma} fused",
        "threads",
        "MB)",
        "gpu        none: ",
    ):
        assert part in out


def test_cache_commands(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("SAMFAST_CACHE_DIR", str(tmp_path / "cache"))
    assert main(["cache", "list"]) == 0
    assert f"0 programs, 0.0 MB in {tmp_path / 'cache'}" in capsys.readouterr().out
    (tmp_path / "cache" / f"samfast_cpu_{'0' * 24}.py").write_text("x" * 1000)
    (tmp_path / "cache" / "other.txt").write_text("")
    assert main(["cache", "list"]) == 0 and "1.0 kB" in capsys.readouterr().out
    large = tmp_path / "cache" / f"samfast_cpu_{'1' * 24}.py"
    large.write_bytes(b"x" * 2_000_000)
    assert main(["cache", "list"]) == 0
    out = capsys.readouterr().out
    assert f"2 programs, 2.0 MB in {tmp_path / 'cache'}" in out
    week = time.time() - 7 * 86400
    os.utime(large, (week, week))
    assert main(["cache", "prune", "--max-age-days", "8"]) == 0 and "removed 0 programs" in capsys.readouterr().out
    assert main(["cache", "prune", "--max-age-days", "5"]) == 0
    assert "removed 1 programs, 2.0 MB; 1 left" in capsys.readouterr().out and not large.exists()
    assert main(["cache", "prune"]) == 0 and "removed 0 programs, 0.0 MB; 1 left" in capsys.readouterr().out
    assert main(["cache", "prune", "--max-bytes", "10"]) == 0 and "removed 1 programs" in capsys.readouterr().out
    assert main(["cache", "clear"]) == 0 and "removed 0 programs" in capsys.readouterr().out
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["other.txt"]


def test_warm_compiles_what_the_study_runs(monkeypatch, capsys):
    """Of each method; the seconds that it prints are those of the study."""
    runs, seconds, simulate, msd = [], [], measured.simulate, displacement.msd

    def timed(**given):
        study = msd(**given)
        seconds.append(study.dataset.attrs["wall_seconds"])
        return study

    monkeypatch.setattr("samfast.study.measured.simulate", lambda *a, **k: runs.append(simulate(*a, **k)) or runs[-1])
    monkeypatch.setattr("samfast.study.displacement.msd", timed)
    monkeypatch.setattr("samfast.cli.cache.CHOICES", {**cache.CHOICES, "method": (("em", "algorithm"), "")})
    assert main(["cache", "warm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition("  ")[0].strip() for line in lines] == [
        f"{method}, {what}" for method in ("em", "algorithm") for what in ("grid", "one setting", "one setting, momentum")
    ]
    assert [line.split()[-2:] for line in lines] == [[f"{s:.1f}", "s"] for s in seconds]
    warmed = {run.job.program.text for run in runs}
    for method in ("em", "algorithm"):
        main([*SMALL, "--method", method, "--save-format", "csv"])
        assert runs[-1].job.program.text in warmed


def test_the_compiler_is_chosen_for_a_command(monkeypatch, capsys):
    monkeypatch.setenv("SAMFAST_COMPILER", "llvm")
    assert main(["--compiler", "numba", "info"]) == 0
    assert re.search(r"^compiler +numba", capsys.readouterr().out, re.M) and os.environ["SAMFAST_COMPILER"] == "numba"
    assert main(["--compiler", "gcc", "info"]) == 2
    assert "compiler='gcc': choose one of 'llvm', 'numba', 'checked'" in one_line(capsys.readouterr().err)
