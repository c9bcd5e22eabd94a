"""The package as a whole: what an import costs, the public names, their docstrings, and where the kernels are found."""

import importlib
import inspect
import json
import os
import pkgutil
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import samfast as sf

ROOT = Path(__file__).parent.parent
HEAVY = ("numba", "llvmlite", "matplotlib", "xarray", "pandas", "scipy", "cupy", "tqdm", "jax")


def python(code, cwd, *path, arguments=(), **env):
    """The output of a fresh interpreter, as JSON, with `path` in front of its modules."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), **env}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "use",
    [
        "",
        "sf.losses.beale().hessian([3., .5])",
        "sf.noisy(sf.sam(lr=.1, rho=.1), sigma=.1)",
        "[getattr(sf, n) for n in ('simulate', 'Run', 'Interrupted', 'observe', 'cache')]",
        "sf.stats.moments([1., 2.]).std_error",
    ],
    ids=["import", "loss", "rule", "engine", "moments"],
)
def test_an_import_is_light(use, tmp_path):
    """NumPy only: no compiler, no plots, no tables until they are used."""
    code = f"import json, sys, samfast as sf\n{use}\nprint(json.dumps(sorted(sys.modules)))"
    loaded = python(code, tmp_path, ROOT)
    assert not [m for m in HEAVY if m in loaded]
    if not use:
        assert [m for m in loaded if m.startswith("samfast")] == ["samfast"] and "numpy" not in loaded


LOADED = """
import json, sys
before = set(sys.modules)
import samfast
if sys.argv[1:]:
    from samfast.cli.main import main
    try:
        sys.stdout, out = open(sys.argv[1], "w"), sys.stdout
        main(["--help"])
    except SystemExit:
        sys.stdout = out
new = {m for m in set(sys.modules) - before if m.partition(".")[0] not in sys.stdlib_module_names}
print(json.dumps(sorted(new)))
"""
HELP = {  # a page of help waits for these; no array library, no compiler
    "samfast",
    "samfast.ahead",
    "samfast.signals",
    "samfast.simulation",
    "samfast.simulation.progress",
    *(f"samfast.cli{m}" for m in ("", ".bench", ".cache", ".main", ".msd", ".options", ".reproduce", ".session")),
}


def test_what_an_import_and_a_page_of_help_load(tmp_path):
    """The whole list, so that a new import in these places is a decision."""
    assert python(LOADED, tmp_path, ROOT) == ["samfast"]
    found = set(python(LOADED, tmp_path, ROOT, arguments=[str(tmp_path / "help")]))
    assert found <= HELP, sorted(found - HELP)
    assert "usage: samfast" in (tmp_path / "help").read_text()


STUDY = """
import json, sys, samfast as sf
from samfast.simulation import run

def paths(*_):
    print(json.dumps(sorted(sys.modules)))
    raise SystemExit

run.execute = paths
sf.msd(paths=10)
"""


def test_the_paths_of_a_study_do_not_wait_for_scipy(tmp_path):
    """Nor for a table or a picture. LLVM is there, since the program is named after the processor that it is compiled for."""
    loaded = python(STUDY, tmp_path, ROOT, SAMFAST_COMPILER="llvm")
    assert "samfast.study.displacement" in loaded and [m for m in HEAVY if m in loaded] == ["llvmlite"]


def test_the_public_names():
    assert len(set(sf.__all__)) == len(sf.__all__)
    for name in sf.__all__:
        assert getattr(sf, name) is not None
    assert dir(sf) == sorted(sf.__all__)
    for name, module in sf._PUBLIC.items():
        assert getattr(sf, name).__module__.startswith(f"samfast.{module}")
    with pytest.raises(AttributeError, match="module 'samfast' has no attribute 'sma'"):
        _ = sf.sma


def modules():
    found = [m.name for m in pkgutil.walk_packages(sf.__path__[:1], "samfast.")]
    return [importlib.import_module(m) for m in found if ".kernels" not in m and not m.endswith("__main__")]


def undocumented(thing, name):
    """The function or class, and what a user can reach on it, if it has no docstring of its own."""
    if not (thing.__doc__ or "").strip():
        yield name
    protocol = getattr(thing, "_is_protocol", False)
    if inspect.isclass(thing) and not protocol and "tracing" not in thing.__module__:
        for key, f in vars(thing).items():
            if not key.startswith("_") and (inspect.isfunction(f) or isinstance(f, property)) and not f.__doc__:
                yield f"{name}.{key}"


@pytest.mark.parametrize("module", ["samfast", *dict.fromkeys(f"samfast.{m}" for m in sf._MODULES.values())])
def test_public_things_are_documented(module):
    top = importlib.import_module(module)
    names = getattr(top, "__all__", None) or [
        n for n, x in vars(top).items() if not n.startswith("_") and getattr(x, "__module__", None) == module
    ]
    things = {n: getattr(top, n) for n in names}
    assert things and not [m for n, x in things.items() if callable(x) for m in undocumented(x, n)]


def test_every_module_says_what_it_is():
    found = modules()
    assert len(found) > 20
    for module in found:
        assert (module.__doc__ or "").strip(), module.__name__


# --- where the kernels lie ----------------------------------------------------------------------------------------------
WHERE = """
import json, samfast, samfast.kernels
from importlib.resources import files
text = files("samfast.kernels").joinpath("cpu.py").read_text()
from samfast.simulation.prepare import plan
program = plan(samfast.losses.beale(), samfast.gd(lr=.1), [0., 0.], device="plain").program
print(json.dumps([samfast.__file__, samfast.kernels.__file__, "def run(" in text, "def run(" in program.text]))
"""


def installed(folder):
    """The tree that an installation makes: the kernels inside the package."""
    site = folder / "site"
    ignore = shutil.ignore_patterns("__pycache__", "*.nb?")
    shutil.copytree(ROOT / "samfast", site / "samfast", ignore=ignore)
    shutil.copytree(ROOT / "kernels", site / "samfast" / "kernels", ignore=ignore)
    return site


def test_the_kernels_of_a_checkout(tmp_path):
    package, kernels, *rest = python(WHERE, tmp_path, ROOT)
    assert Path(package).parent == ROOT / "samfast" and Path(kernels).parent == ROOT / "kernels" and rest == [True, True]


def test_the_kernels_of_an_installation(tmp_path):
    """Whatever else is called kernels, beside it or in the working directory."""
    site = installed(tmp_path)
    for folder in (site, tmp_path):
        (folder / "kernels").mkdir()
        (folder / "kernels" / "__init__.py").write_text("raise ImportError('not these')")
    package, kernels, *rest = python(WHERE, tmp_path, site)
    assert Path(package).parent == site / "samfast" and Path(kernels).parent == site / "samfast" / "kernels"
    assert rest == [True, True]


def test_an_installation_used_from_a_checkout(tmp_path):
    """python -m pytest in the checkout puts it first: package and kernels then come from one place."""
    package, kernels, *rest = python(WHERE, ROOT, installed(tmp_path))
    assert rest == [True, True]
    assert Path(package).parent == ROOT / "samfast" and Path(kernels).parent == ROOT / "kernels"  # -c: "" comes first


def test_the_suite_runs_on_this_checkout_or_an_installation():
    import samfast.kernels

    assert Path(samfast.kernels.__file__).parent in (ROOT / "kernels", Path(sf.__file__).parent / "kernels")


def test_all_packages_are_installed():
    """A folder that pyproject.toml does not list would be missing from the wheel."""
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "samfast").rglob("__init__.py")}
    packages |= {
        ".".join(("samfast", *p.parent.relative_to(ROOT).parts))
        for f in ("bench", "kernels")
        for p in (ROOT / f).rglob("__init__.py")
    }
    assert set(setup["packages"]) == packages
    assert setup["package-dir"] == {"samfast.bench": "bench", "samfast.kernels": "kernels"}
    assert (ROOT / "samfast" / "py.typed").exists()
    assert setup["dynamic"]["version"] == {"attr": "samfast.__version__"}
