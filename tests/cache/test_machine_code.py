"""The main kernels' machine code: full-width vectors, fused multiply-adds, and no call to the C mathematics library."""

import importlib.util
import re
import sys

import pytest
from programs import CASES, shard_of

from samfast import cache, machine
from samfast.backends import cpu

LIBM = re.compile(r"\b(exp|log|sin|cos|tanh|fma|sqrt|pow)f?(@PLT|\b)", re.I)
WIDE = {512: "zmm", 256: "ymm", 128: "xmm"}


def machine_code(name, mode, folder, monkeypatch):
    """Compiled anew, once: code from the cache comes without its assembly."""
    modules = {}

    def load(program):
        if program.text not in modules:
            path = folder / f"{name}_{mode}_{len(modules)}_{id(folder)}.py".replace("-", "_")
            path.write_text(program.text.replace(", cache=True", ""))
            spec = importlib.util.spec_from_file_location(path.stem, path)
            module = modules[program.text] = importlib.util.module_from_spec(spec)
            monkeypatch.setitem(sys.modules, path.stem, module)
            spec.loader.exec_module(module)
        return modules[program.text]

    monkeypatch.setattr(cache, "load", load)
    shard, _ = shard_of(CASES[name], mode=mode, sweep=False, moments=2)
    cpu.run_shard(shard)
    (module,) = modules.values()
    return module.run.inspect_asm(module.run.signatures[0])


def called(assembly):
    """Names of the functions that are called."""
    return [line.split()[-1] for line in assembly.splitlines() if re.match(r"\s*call", line)]


@pytest.mark.skipif(not machine.processor()["fma"], reason="this processor has no fused multiply-add")
@pytest.mark.parametrize(
    "name, mode",
    [
        ("linear", "mixed"),
        pytest.param("linear", "float64", marks=pytest.mark.slow),
        ("beale", "float64"),
        ("functions", "mixed"),
        ("wide12", "mixed"),
    ],
)
def test_loops_use_whole_vectors_and_no_libm(name, mode, tmp_path, monkeypatch):
    code = machine_code(name, mode, tmp_path, monkeypatch)
    register = WIDE[machine.processor()["vector_bits"]]
    fused = re.findall(rf"vf\w*m(?:add|sub)\w*p[sd]\s.*%{register}", code)
    products = re.findall(rf"v(?:mul|pmulu)\w*\s.*%{register}", code)
    assert len(fused) >= 4, "fused multiply-adds on whole vectors"
    assert len(products) >= 4, "products on whole vectors"
    assert not [f for f in called(code) if LIBM.search(f)], "no call into the mathematics library"
