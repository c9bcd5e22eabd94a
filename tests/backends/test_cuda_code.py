"""The machine code for GPUs: compiled and assembled here, without a GPU."""

import re

import gpu_compiler
import pytest
from programs import CASES

from samfast import cache
from samfast.backends import cuda
from samfast.codegen.pipeline import render
from samfast.compilers import numba_cuda

gpu_compiler.require()

DOUBLE = r"\.f64\b|%fd\d"
HOPPER, AMPERE = (9, 0), (8, 0)
# (program, mode, settings on shared noise) -> registers per thread, at most
CEILINGS = {
    ("linear", "mixed", False): 80,
    ("linear", "float32", False): 80,
    ("linear", "float64", False): 128,
    ("linear", "mixed", True): 160,
    ("linear-sign", "mixed", False): 64,
    ("beale", "float64", False): 128,
    ("beale", "float32", False): 80,
    ("beale-noise", "mixed", False): 128,
    ("labels", "float32", False): 64,
    ("functions", "float32", False): 128,
    ("quadratic7", "mixed", False): 128,
    ("wide12", "mixed", False): 255,
    ("wide40-sign", "float32", False): 80,
}


def program(name, mode="mixed", shared=False):
    case = CASES[name]
    return render(case.loss, case.rule, case.observer, mode=mode, device="cuda", shared=shared)


def compiled(name, mode="mixed", shared=False, cc=HOPPER):
    rendered = program(name, mode, shared)
    return numba_cuda.compile(rendered, cache.load(rendered), cc)


def hot_loop(ptx):
    """The longest loop without a barrier: the steps."""
    lines = ptx.splitlines()
    labels = {m[1]: i for i, line in enumerate(lines) if (m := re.match(r"(\$L__BB\w+):", line))}
    loops = [
        "\n".join(lines[labels[m[1]] : i])
        for i, line in enumerate(lines)
        if (m := re.search(r"bra(?:\.uni)?\s+(\$L__BB\w+);", line)) and labels.get(m[1], i) < i
    ]
    return max((loop for loop in loops if "bar.sync" not in loop), key=len)


def fits(code, name, registers):
    assert 0 < code.registers <= registers, f"{name}: {code.registers} registers"
    assert 0 <= code.spills <= numba_cuda.SPILLS and code.stack <= numba_cuda.SPILLS, f"{name}: {code.spills} bytes of spills"
    assert not re.search(r"\bcall\b", code.ptx), f"{name}: a function was not inlined"
    assert code.cubin[:4] == b"\x7fELF" and ".visible .entry run(" in code.ptx


@pytest.mark.parametrize("name, mode, shared", [("linear", "mixed", True), ("beale-noise", "mixed", False)])
def test_programs_fit_into_registers(name, mode, shared):
    fits(compiled(name, mode, shared), name, CEILINGS.get((name, mode, shared), 128))


@pytest.mark.slow
@pytest.mark.parametrize("cc", [AMPERE, HOPPER])
@pytest.mark.parametrize("name, mode, shared", CEILINGS)
def test_all_programs_fit_into_registers(name, mode, shared, cc):
    fits(compiled(name, mode, shared, cc), name, CEILINGS[name, mode, shared])


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mode", ["mixed", "float32", "float64"])
def test_every_program_compiles(name, mode):
    fits(compiled(name, mode, True), name, 255)


def test_steps_in_float32_have_no_double_arithmetic():
    single, mixed = (
        numba_cuda.assembly(p, cache.load(p), HOPPER) for p in (program("functions", m) for m in ("float32", "mixed"))
    )
    assert "fma.rn.f32" in hot_loop(single) and not re.search(DOUBLE, hot_loop(single))
    assert re.search(DOUBLE, hot_loop(mixed))


def test_nothing_is_left_that_a_compiler_may_fuse():
    """The assembler gives the same code whether it may contract products and sums or not."""
    rendered = program("functions")
    ptx = numba_cuda.assembly(rendered, cache.load(rendered), HOPPER)
    assert numba_cuda.link(ptx, HOPPER, 255, "-fma=0")[0] == numba_cuda.link(ptx, HOPPER, 255, "-fma=1")[0]


def test_a_compiler_that_fuses_is_refused(monkeypatch):
    from numba.cuda.cudadrv import nvvm

    right = nvvm.compile_ir
    monkeypatch.setattr(nvvm, "compile_ir", lambda irs, **options: right(irs, **{**options, "fma": True}))
    rendered = program("beale", "float32")
    with pytest.raises(RuntimeError, match=r"without \.rn, .* install the version of numba-cuda"):
        numba_cuda.assembly(rendered, cache.load(rendered), HOPPER)


def test_machine_code_is_compiled_once_and_repaired(monkeypatch, tmp_path):
    monkeypatch.setenv("SAMFAST_CACHE_DIR", str(tmp_path))
    compiles, rendered = [], program("linear", "float32")
    made = numba_cuda.compile(rendered, cache.load(rendered), HOPPER)  # once: this is about what is kept
    monkeypatch.setattr("samfast.compilers.numba_cuda.compile", lambda *args: compiles.append(args) or made)
    first = cuda.machine_code(rendered, HOPPER)
    assert first[:4] == b"\x7fELF" and cuda.machine_code(rendered, HOPPER) == first and len(compiles) == 1
    (file,) = tmp_path.glob("*.sm_90.nbc")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert len(cuda.machine_code(rendered, HOPPER)) == len(first) and len(compiles) == 2
    cuda.machine_code(rendered, AMPERE)
    assert len(compiles) == 3
    assert [e.device for e in cache.clear()] == ["cuda"] and not list(tmp_path.glob("*.nbc"))
