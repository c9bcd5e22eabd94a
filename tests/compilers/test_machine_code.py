"""The main kernels' machine code: full-width vectors, fused multiply-adds, and no call to the C mathematics library."""

import re

import pytest
from programs import CASES, shard_of

from samfast import machine
from samfast.compilers import native
from samfast.compilers.language import typed_tree
from samfast.compilers.llvm import llvm_text

LIBM = re.compile(r"\b(exp|log|sin|cos|tanh|fma|sqrt|pow)f?(@PLT|\b)", re.I)
WIDE = {512: "zmm", 256: "ymm", 128: "xmm"}


def machine_code(name, mode):
    shard, _ = shard_of(CASES[name], mode=mode, sweep=False, moments=2)
    return native.assembly(llvm_text(typed_tree(shard.program.text)))


def called(assembly):
    """Names of the functions that are called."""
    return [line.split()[-1] for line in assembly.splitlines() if re.match(r"\s*call", line)]


@pytest.mark.skipif(not machine.processor()["fma"], reason="this processor has no fused multiply-add")
@pytest.mark.parametrize(
    "name, mode",
    [
        ("linear", "mixed"),
        ("linear", "float64"),
        ("beale", "float64"),
        ("functions", "mixed"),
        ("wide12", "mixed"),
    ],
)
def test_loops_use_whole_vectors_and_no_libm(name, mode):
    code = machine_code(name, mode)
    register = WIDE[machine.processor()["vector_bits"]]
    fused = re.findall(rf"vf\w*m(?:add|sub)\w*p[sd]\s.*%{register}", code)
    products = re.findall(rf"v(?:mul|pmulu)\w*\s.*%{register}", code)
    assert len(fused) >= 4, "fused multiply-adds on whole vectors"
    assert len(products) >= 4, "products on whole vectors"
    assert not [f for f in called(code) if LIBM.search(f)], "no call into the mathematics library"
