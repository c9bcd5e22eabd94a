"""Texts of the kernel language for tests: a head, a driver around some lines, its arguments, and the compiled function."""

import numpy as np

from samfast.compilers import native
from samfast.compilers.language import ARGUMENTS, typed_tree
from samfast.compilers.llvm import llvm_text

TYPES = {"T": np.dtype(np.float64), "N": np.dtype(np.uint32)}
HEAD = """
import numpy as np
u32, u64, i32, i64, f32, f64 = np.uint32, np.uint64, np.int32, np.int64, np.float32, np.float64
T, N, W = np.float64, np.uint32, 8
"""


def text(body, before="", result="start"):
    lines = "\n".join("    " + line for line in body.strip("\n").split("\n"))
    return f"{HEAD}\n{before}\n@driver\ndef run({', '.join(ARGUMENTS)}):\n{lines}\n    return {result}\n"


def arguments():
    rng = np.random.default_rng(5)
    floats = lambda n: rng.normal(size=n)  # noqa: E731
    return dict(
        first=16, start=3, n=9, seed=np.uint64(2**63 + 5), tag=np.uint64(7), state=floats(32), params=floats((2, 3, 4)),
        shift=floats(8), mask=True, record=np.arange(5, 12), sums=floats(24), count=np.arange(12), bad=np.arange(12),
        values=floats(16), S=floats(64), Z=rng.integers(0, 2**32, 32, dtype=np.uint32), G=floats(32),
        stop=np.zeros(1, np.int64),
    )  # fmt: skip


def compiled(source, checked=False):
    code = native.object_file(
        llvm_text(typed_tree(source, "it.py", checked), checked), level=native.CHECKED if checked else native.LEVEL
    )
    return native.Kernel(code, TYPES, "it.py", checked)
