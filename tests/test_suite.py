"""What the tests themselves must keep to: tolerances that are meant, and patches that take effect."""

import ast
import importlib
from pathlib import Path

import pytest

import samfast as sf

TESTS, ROOT = Path(__file__).parent, Path(sf.__file__).parent
FILES = {str(f.relative_to(TESTS)): ast.parse(f.read_text(encoding="utf-8")) for f in sorted(TESTS.rglob("*.py"))}


def calls(tree):
    """Yield (name of the function as it is written, call)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def silent_tolerances(tree):
    """Lines on which approx is called without abs=."""
    for name, call in calls(tree):
        if name.rpartition(".")[2] == "approx" and "abs" not in {k.arg for k in call.keywords}:
            yield call.lineno


@pytest.mark.parametrize("file", FILES)
def test_every_tolerance_is_stated(file):
    """Without abs=, pytest.approx accepts any difference below 1e-12, so a small number is not tested at all."""
    lines = list(silent_tolerances(FILES[file]))
    assert not lines, f"{file}: lines {lines}: use relative(x, error) of helpers/tolerance.py, or state abs="


def test_a_silent_tolerance_is_found():
    tree = ast.parse("x == pytest.approx(1e-13, rel=0.1)\nx == approx(2)\nx == approx(2, abs=0, rel=1e-3)")
    assert list(silent_tolerances(tree)) == [1, 2]


# --- patches ----------------------------------------------------------------------------------------------------------
def absolute(node, package):
    """The module that `from ... import` names."""
    base = list(package[: len(package) - node.level + 1]) if node.level else []
    return ".".join([*base, *(node.module or "").split(".")] if node.module else base)


def imported(tree, package=()):
    """{name in the file: what it stands for}, wherever the import stands."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {a.asname or a.name: f"{absolute(node, package)}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            found |= {
                a.asname or a.name.partition(".")[0]: a.name if a.asname else a.name.partition(".")[0] for a in node.names
            }
    return found


def tree_of_modules():
    """{full name: syntax tree} of the package, the benchmarks inside it, with the package that each belongs to."""
    places = [(f, ("samfast", *f.relative_to(ROOT).with_suffix("").parts)) for f in ROOT.rglob("*.py")]
    bench = importlib.import_module("samfast.bench")
    top = Path(bench.__file__).parent
    places += [(f, ("samfast", "bench", *f.relative_to(top).with_suffix("").parts)) for f in top.rglob("*.py")]
    for file, parts in places:
        name = parts[:-1] if parts[-1] == "__init__" else parts
        tree = ast.parse(file.read_text(encoding="utf-8"))
        yield ".".join(name), (tree, parts[:-1])


MODULES = dict(tree_of_modules())
ALIASES = {name: imported(tree, package) for name, (tree, package) in MODULES.items()}


def loads(module, name):
    """Whether something reads `name` of the module while it runs, so that a patch of it changes what happens."""
    if any(isinstance(x, ast.Name) and x.id == name and isinstance(x.ctx, ast.Load) for x in ast.walk(MODULES[module][0])):
        return True
    for other, (tree, package) in MODULES.items():
        for x in ast.walk(tree):
            if isinstance(x, ast.Attribute) and x.attr == name and isinstance(x.value, ast.Name):
                if ALIASES[other].get(x.value.id) == module:
                    return True
            if isinstance(x, ast.FunctionDef):  # imported when the function is called
                late = (i for i in ast.walk(x) if isinstance(i, ast.ImportFrom) and absolute(i, package) == module)
                if any(a.name == name for i in late for a in i.names):
                    return True
    return False


def takes_effect(path):
    """Of a name in a module whether it is looked up there, of one in a class whether any module reads an attribute of it."""
    module = max((m for m in MODULES if path.startswith(m + ".")), key=len)
    first, *rest = path.removeprefix(module + ".").split(".")
    if not rest:
        return loads(module, first)
    return any(isinstance(x, ast.Attribute) and x.attr == rest[-1] for tree, _ in MODULES.values() for x in ast.walk(tree))


def patches(tree):
    """Yield (line, target, full paths) of each setattr and delattr of a monkeypatch, names of a loop included."""
    loops = {
        node.target.id: [x.value for x in ast.walk(node.iter) if isinstance(x, ast.Constant) and isinstance(x.value, str)]
        for node in ast.walk(tree)
        if isinstance(node, ast.For) and isinstance(node.target, ast.Name)
    }
    for name, call in calls(tree):
        if name in ("monkeypatch.setattr", "monkeypatch.delattr"):
            target = call.args[0]
            paths = [target.value] if isinstance(target, ast.Constant) else []
            if isinstance(target, ast.Name):
                paths = loops.get(target.id, [])
            yield call.lineno, target, [p for p in paths if p.startswith("samfast.")]


def by_object(tree):
    """Lines that patch a thing of samfast by the thing and a name, which nothing checks when the name moves elsewhere."""
    known = imported(tree)
    for line, target, _ in patches(tree):
        root = ast.unparse(target).partition(".")[0]
        if not isinstance(target, (ast.Constant, ast.JoinedStr)) and known.get(root, "").startswith("samfast"):
            yield line


@pytest.mark.parametrize("file", FILES)
def test_patches_are_full_paths(file):
    lines = list(by_object(FILES[file]))
    assert not lines, f'{file}: lines {lines}: write monkeypatch.setattr("samfast.package.module.name", value)'


@pytest.mark.parametrize("file", FILES)
def test_patches_take_effect(file):
    """A patch of a module that only defines or hands on a name, while another module reads its own copy, does nothing."""
    idle = [(line, path) for line, _, paths in patches(FILES[file]) for path in paths if not takes_effect(path)]
    assert not idle, f"{file}: {idle}"


def test_idle_patches_are_found():
    assert takes_effect("samfast.simulation.prepare.render") and takes_effect("samfast.simulation.job.Job.chunk")
    assert not takes_effect("samfast.codegen.pipeline.render")  # prepare has a name of its own for it
    tree = ast.parse(
        'from samfast.backends import cuda\nmonkeypatch.setattr(cuda, "LAUNCH", 1)\nmonkeypatch.setattr(os, "x", 1)'
    )
    assert list(by_object(tree)) == [2]
