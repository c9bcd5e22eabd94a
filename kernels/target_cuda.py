"""Target "cuda": numba-cuda on a GPU. It defines `device`, `inline`, `driver`, `fma`, `root` and `product64`."""

import math

import numpy as np

from llvmlite import ir
from numba import cuda, types
from numba.cuda.extending import intrinsic

# --- target

device = inline = cuda.jit(device=True, forceinline=True)
driver = cuda.jit


@device
def fma(a, b, c):
    """a*b + c with one rounding."""
    return cuda.fma(a, b, c)


@device
def root(x):
    """Square root in the type of x."""
    return math.sqrt(x)


@intrinsic
def product64(context, a, b):
    """The product of the lower halves of a and b, in 64 bits. Written in PTX, since NVVM would multiply 64 bits by 64."""

    def code(target, builder, signature, args):
        word = ir.IntType(32)
        text = ir.InlineAsm(ir.FunctionType(ir.IntType(64), [word, word]), "mul.wide.u32 $0, $1, $2;", "=l,r,r")
        return builder.call(text, [builder.trunc(x, word) for x in args])

    return types.uint64(types.uint64, types.uint64), code
