"""Names that Numba, llvmlite and numba-cuda do not promise: which one went missing, and that there are no others."""

import ast
import re
import sys
from pathlib import Path

import gpu_compiler
import pytest

import samfast as sf
from samfast.compilers import numba_private
from samfast.compilers.numba_cpu import SETTINGS

ROOT = Path(sf.__file__).parent
KERNELS = Path(__import__("samfast.kernels", fromlist=["x"]).__file__).parent
PUBLIC = {  # documented
    "numba": {"njit", "types", "cuda", "extending"},
    "numba.extending": {"intrinsic"},
    "llvmlite": {"ir", "binding"},
}


@pytest.mark.parametrize("package", ["numba", "llvmlite"])
def test_they_are_there(package):
    assert numba_private.missing(package) == []


def test_they_are_there_in_numba_cuda():
    gpu_compiler.require()
    assert numba_private.missing("numba-cuda") == []


def test_the_settings_of_the_cache_key_are_there():
    import numba

    assert [s for s in SETTINGS if not hasattr(numba.config, s)] == []


@pytest.mark.parametrize(
    "place, said",
    [
        ("numba.core.caching.IndexDataCacheFile.flush", "numba.core.caching:IndexDataCacheFile.flush: "),
        ("numba.core.caching.IndexDataCacheFile._dump", "numba.core.caching:IndexDataCacheFile._dump: "),
        ("numba.np.arrayobj.populate_array", "numba.np.arrayobj.populate_array: "),
    ],
)
def test_one_that_went_missing_is_named(place, said, monkeypatch):
    monkeypatch.delattr(place)
    (found,) = numba_private.missing("numba")
    assert found.startswith(said)


def test_an_attribute_that_is_set_no_more_is_named(monkeypatch):
    """_cache is no attribute of the class: Numba sets it on each function."""
    from numba.core import dispatcher

    source = numba_private.inspect.getsource
    monkeypatch.setattr(
        "samfast.compilers.numba_private.inspect.getsource",
        lambda of: source(of).replace("self._cache = ", "self._store = ") if of is dispatcher.Dispatcher else source(of),
    )
    (found,) = numba_private.missing("numba")
    assert found.startswith("numba.core.dispatcher:Dispatcher._cache: ")


def test_a_module_that_went_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba.core.caching", None)
    found = numba_private.missing("numba")
    assert [f.partition(" ")[0] for f in found] == ["numba.core.caching:FunctionCache", "numba.core.caching:IndexDataCacheFile"]


def imports(file):
    """(module, name) of all that a file imports from the three packages."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module.split(".")[0] in ("numba", "llvmlite"):
            yield from ((node.module, a.name) for a in node.names)
        elif isinstance(node, ast.Import):
            yield from ((a.name, "") for a in node.names if re.match(r"(numba|llvmlite)\.", a.name))


def test_nothing_else_imports_private_names():
    listed = {(u.where, name) for u in numba_private.USED for name in u.names}
    files = sorted({*ROOT.rglob("*.py"), *KERNELS.rglob("*.py")} - {Path(numba_private.__file__)})
    assert len(files) > 100
    unknown = [(f.name, *x) for f in files for x in imports(f) if x[1] not in PUBLIC.get(x[0], ()) and x not in listed]
    assert unknown == [], "list them in samfast/compilers/numba_private.py"
