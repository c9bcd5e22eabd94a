"""The order of the packages, and the face that type checkers see."""

import ast
import tomllib
from pathlib import Path

import pytest

import samfast as sf

ROOT = Path(sf.__file__).parent
LAYERS = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
    "contracts"
][0]["layers"]  # from the top down; import-linter holds the same, and more
LEVELS = [set(layer.split(" | ")) for layer in reversed(LAYERS)]
FILES = sorted(ROOT.rglob("*.py"))


def imported(tree, package):
    """Absolute names of samfast's own modules that a file imports, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, *(node.module or "").split(".")] if node.module else base
            yield from ([*base, a.name] for a in node.names) if base[:1] == ["samfast"] else ()
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".") for a in node.names if a.name.startswith("samfast."))


def level(name):
    return next((i for i, names in enumerate(LEVELS) if name in names), None)


@pytest.mark.parametrize("file", FILES, ids=[str(f.relative_to(ROOT)) for f in FILES])
def test_imports_run_one_way(file):
    """In functions and under TYPE_CHECKING too; what stands beside the package in a checkout is left out."""
    place = file.relative_to(ROOT).with_suffix("").parts
    if place[0] in ("__init__", "kernels", "bench"):
        return
    here = level(place[0])
    assert here is not None, f"{place[0]}: give it a layer in pyproject.toml"
    for name in imported(ast.parse(file.read_text(encoding="utf-8")), ["samfast", *place[:-1]]):
        there = level(name[1])
        if name[1] != place[0] and there is not None:
            assert there < here, f"{'/'.join(place)} imports {'.'.join(name)}, which is not below it"


def test_the_face_is_what_is_public():
    """The imports of samfast/__init__.pyi name every public thing, each from where it is loaded."""
    found = [n for n in ast.parse((ROOT / "__init__.pyi").read_text(encoding="utf-8")).body if isinstance(n, ast.ImportFrom)]
    seen = {(f"{node.module}.{a.name}" if node.module else a.name) for node in found for a in node.names}
    assert seen == {f"{module}.{name}" for name, module in sf._PUBLIC.items()} | set(sf._MODULES.values())
    assert all(a.name == a.asname for node in found for a in node.names)


def test_the_face_of_theory_is_what_it_loads():
    """The same of samfast/theory/__init__.pyi."""
    tree = ast.parse((ROOT / "theory" / "__init__.pyi").read_text(encoding="utf-8"))
    found = [n for n in tree.body if isinstance(n, ast.ImportFrom)]
    seen = {a.name: node.module for node in found for a in node.names}
    assert seen == sf.theory._HOME and list(seen) == list(dict.fromkeys(a.asname for n in found for a in n.names))
