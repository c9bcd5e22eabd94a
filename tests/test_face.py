"""The face of samfast: what a type checker, an editor and `dir` see of it."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import samfast as sf

PROGRAM = """
import numpy as np
import samfast as sf


@sf.loss(dim=2, a=1.0)
def bowl(w, p):
    return p.a * sf.dot(w, w)


rule = sf.noisy(sf.sam(lr=0.01, rho=[0.0, 0.1], momentum=0.9), sigma=0.1, minibatch="same")
run: sf.Run = sf.simulate(bowl.replace(a=2.0), rule, np.zeros(2), record=[0, 100], paths=10, device="auto", dtype="float32")
again: sf.Run = sf.resume(run, record=range(200, 300, 50))
mean: np.ndarray = run.mean
points: list[sf.CriticalPoint] = sf.losses.beale().critical_points([(-5, 5), (-5, 5)])
study: sf.Study = sf.msd(eigenvalue=[-1.0, -2.0], drift=["plain", "chain"], noise="unit", paths=100)
seen: sf.Observer = sf.observe.several(sf.observe.msd(), sf.observe.exit_time(radius=1.0))
values = sf.gd(lr=sf.per_path(np.linspace(0.1, 0.2, 5)))
sf.simulate(bowl, rule, [0.0, 0.0], recrod=[0])  # call-arg
sf.sma(lr=0.1, rho=0.1)  # attr-defined
sf.sam(lr="fast", rho=0.1)  # arg-type
sf.sam(lr=0.1, rho=0.1, drift="none")  # arg-type
sf.simulate(bowl, rule, [0.0, 0.0], record=[0], dtype="float16")  # arg-type
sf.simulate(bowl, rule, [0.0, 0.0], record=[0], device="tpu")  # arg-type
sf.simulate(bowl, sf.gd, [0.0, 0.0], record=[0])  # arg-type
sf.noisy(sf.gd(lr=0.1), sigma=0.1, minibatch="both")  # arg-type
sf.losses.beal()  # attr-defined
sf.observe.exit_time(0.1)  # call-arg misc
"""


def test_a_type_checker_sees_mistakes_and_nothing_else(tmp_path):
    """The lines of the program that end in a comment are refused for that reason, all others accepted."""
    pytest.importorskip("mypy")
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    options = ["--follow-imports=silent", "--no-error-summary", "--cache-dir", str(tmp_path / "cache"), "--python-version=3.11"]
    skipped = "[mypy]\n[mypy-numba.*,llvmlite.*,scipy.*,matplotlib.*,xarray.*,cupy.*,jax.*]\nfollow_imports = skip\n"
    (tmp_path / "mypy.ini").write_text(skipped + "ignore_missing_imports = true\n")
    root = Path(sf.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(tmp_path / "mypy.ini"), *options, str(file)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=600,
    )
    found: dict[int, set[str]] = {}
    for line, kind in re.findall(r"program\.py:(\d+): error: .*\[([a-z-]+)\]", done.stdout):
        found.setdefault(int(line), set()).add(kind)
    wanted = {i: set(line.split("# ")[1].split()) for i, line in enumerate(PROGRAM.splitlines(), 1) if "  # " in line}
    assert {i: bool(kinds & wanted.get(i, set())) for i, kinds in found.items()} == dict.fromkeys(wanted, True), done.stdout


PLACES = {"samfast": sf, **{f"samfast.{name}": getattr(sf, name) for name in sf._MODULES}}


@pytest.mark.parametrize("name", PLACES)
def test_dir_shows_public_names_only(name):
    place = PLACES[name]
    shown = dir(place)
    assert sorted(shown) == sorted(place.__all__) and len(set(shown)) == len(shown)
    for key in shown:
        thing = getattr(place, key)
        where = getattr(thing, "__module__", None)
        assert where is None or where.startswith("samfast"), f"{name}.{key} is of {where}"


def public():
    """Every public function and class, by the name that a user writes."""
    for name in sf._PUBLIC:
        yield f"sf.{name}", getattr(sf, name)
    for module in sf._MODULES:
        place = getattr(sf, module)
        for name in place.__all__:
            thing = getattr(place, name)
            if callable(thing):
                yield f"sf.{module}.{name}", thing


@pytest.mark.parametrize("name, thing", [pytest.param(n, t, id=n) for n, t in public()])
def test_an_editor_has_something_to_show(name, thing):
    """A docstring, and a signature of which every parameter and the result have a type."""
    assert (inspect.getdoc(thing) or "").strip()
    if inspect.isclass(thing) and (issubclass(thing, Exception | tuple) or getattr(thing, "_is_protocol", False)):
        return
    signature = inspect.signature(thing)
    for parameter in signature.parameters.values():
        assert parameter.annotation is not parameter.empty, f"{name}: {parameter.name} has no type"
    if not inspect.isclass(thing):
        assert signature.return_annotation is not signature.empty


@pytest.mark.parametrize("name", sorted(sf._PUBLIC))
def test_a_parameter_of_a_public_function_says_what_it_takes(name):
    thing = getattr(sf, name)
    if inspect.isclass(thing) or thing.__module__.startswith("samfast.tracing"):
        return
    vague = [p.name for p in inspect.signature(thing).parameters.values() if p.annotation in ("Any", "object")]
    assert not vague


def test_the_aliases_are_types():
    """What the annotations name can be looked up where they stand."""
    for name in sf._PUBLIC:
        thing = getattr(sf, name)
        if inspect.isfunction(thing):
            namespace = vars(importlib.import_module(thing.__module__))
            for parameter in inspect.signature(thing).parameters.values():
                assert eval(parameter.annotation, {**namespace, "Any": object}) is not None
