"""What people install: a checkout becomes an sdist, the sdist a wheel, the wheel an environment in which the command runs."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

import samfast as sf

ROOT = Path(__file__).parent.parent
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def run(command, cwd, **env):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, env={**os.environ, **env})
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    return done.stdout


def build(kind, source, out):
    """Call setuptools as pip does, without a network."""
    if not (source / "pyproject.toml").exists():
        pytest.skip("the suite does not run in a checkout")
    pytest.importorskip("setuptools", minversion="77")
    run([sys.executable, "-c", BUILD, f"build_{kind}", str(out)], source)
    (made,) = out.glob("*.tar.gz" if kind == "sdist" else "*.whl")
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    tmp = tmp_path_factory.mktemp("sdist")
    hidden = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")
    shutil.copytree(ROOT, tmp / "checkout", ignore=hidden)
    return build("sdist", tmp / "checkout", tmp)


@pytest.fixture(scope="module")
def wheel(sdist):
    with tarfile.open(sdist) as file:
        file.extractall(sdist.parent, filter="data")
    return build("wheel", sdist.parent / sdist.name.removesuffix(".tar.gz"), sdist.parent)


def files(folder):
    kept = (p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts and p.suffix not in (".nbi", ".nbc"))
    return {str(p.relative_to(folder)) for p in kept}


def test_the_sdist_holds_the_tests_and_documents(sdist):
    """So that whoever packs it for a distribution can run the suite."""
    with tarfile.open(sdist) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CITATION.cff"} <= names
    for folder in ("samfast", "kernels", "bench", "tests", "docs"):
        assert {f"{folder}/{name}" for name in files(ROOT / folder)} <= names
    assert not [n for n in names if n.endswith((".pyc", ".so"))]


def test_the_wheel_holds_the_packages(wheel):
    """Every file of the package, the kernels and bench inside it, and no tests."""
    with zipfile.ZipFile(wheel) as file:
        names = {n for n in file.namelist() if ".dist-info/" not in n}
    code = {f"samfast/{n}" for n in files(ROOT / "samfast")} | {f"samfast/kernels/{n}" for n in files(ROOT / "kernels")}
    code |= {f"samfast/bench/{n}" for n in files(ROOT / "bench") if n.endswith((".py", ".cpp"))}
    assert {n for n in code if n.endswith((".py", ".pyi", ".cpp", "py.typed"))} == names


def test_the_command_of_a_fresh_environment(wheel, tmp_path):
    """A new environment with the wheel alone; what it depends on is lent by the environment of the suite."""
    venv = tmp_path / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", str(venv)], tmp_path)
    scripts = venv / ("Scripts" if sys.platform == "win32" else "bin")
    python = scripts / ("python.exe" if sys.platform == "win32" else "python")
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run([str(python), "-c", where], tmp_path, PYTHONPATH="").strip())
    run([sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)], tmp_path)
    lent = dict.fromkeys([sysconfig.get_path("purelib"), str(distribution("numba").locate_file(""))])
    (site / "lent.pth").write_text("\n".join(lent) + "\n")
    found = run([str(python), "-c", "import samfast; print(samfast.__file__)"], tmp_path, PYTHONPATH="").strip()
    assert Path(found) == site / "samfast" / "__init__.py"
    command = str(scripts / "samfast")
    assert run([command, "--version"], tmp_path, PYTHONPATH="").split() == ["samfast", sf.__version__]
    out = run([command, "msd", "--paths", "1e4", "--out", str(tmp_path / "study")], tmp_path, PYTHONPATH="")
    assert "10,000 paths" in out and (tmp_path / "study" / "study.csv").exists()
