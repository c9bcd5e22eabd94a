"""The counting of instructions in loops, on assembly written for it and on a program's own."""

import pytest
from samfast.bench import loops

from samfast import machine

LLVM = """
run:
	vmovupd	(%rdi), %ymm0
.LBB0_1:
	xorl	%eax, %eax
	.p2align	4
.LBB0_2:
	vmovupd	(%rdi,%rax), %ymm1
	vfmadd213pd	(%rsi), %ymm1, %ymm2    # ymm2 = (ymm1 * ymm2) + mem
	vmovapd	%ymm2, %ymm3
	vaddpd	%ymm3, %ymm3, %ymm3
	vsqrtpd	%ymm3, %ymm3
	vblendvpd	%ymm1, %ymm2, %ymm3, %ymm4
	vpsrlq	$32, %ymm4, %ymm4
	vmovupd	%ymm4, (%rdi,%rax)
	addq	$32, %rax
	jne	.LBB0_2
	jmp	.LBB0_1
"""
OBJDUMP = """
0000000000001000 <steps(double)>:
    1000:	vmulpd %ymm0,%ymm1,%ymm1
    1004:	vmulpd %ymm0,%ymm2,%ymm2
    1008:	vmulpd %ymm0,%ymm3,%ymm3
    100c:	vmulpd %ymm0,%ymm4,%ymm4
    1010:	vmulpd %ymm0,%ymm5,%ymm5
    1014:	jne    1000 <steps(double)>

0000000000002000 <copy>:
    2000:	vmovupd (%rdi),%ymm0
    2004:	jne    2000 <copy>
"""


def test_loops_of_the_compiler():
    """The inner loop only, whose jump goes back to its label."""
    [loop] = loops.loops(loops.from_compiler(LLVM))
    assert len(loop) == 10 and loop[0].startswith("vmovupd") and loop[-1] == "jne\t.LBB0_2"
    assert loops.kinds(loop) == {
        "loads, stores": 2,
        "multiplications": 1,
        "moves between registers": 1,
        "additions": 1,
        "roots, divisions": 1,
        "choices, shuffles, conversions": 1,
        "integer": 1,
        "other": 2,
    }


def test_loops_of_a_library():
    """A loop of few vector instructions is none."""
    functions = loops.from_objdump(OBJDUMP)
    assert list(functions) == ["steps(double)", "copy"] and loops.loops(functions["copy"]) == []
    [loop] = loops.loops(functions["steps(double)"])
    assert loops.kinds(loop) == {"multiplications": 5, "other": 1}


@pytest.mark.skipif(not machine.processor()["fma"], reason="this processor has no fused multiply-add")
def test_loops_of_a_program():
    """Gradient descent on Beale's function: 14 multiplications, with fused ones, or more if several registers take turns."""
    found = [loops.kinds(b)["multiplications"] for b in loops.loops(loops.from_compiler(loops.ours("beale-gd")))]
    assert max(found) >= 14
