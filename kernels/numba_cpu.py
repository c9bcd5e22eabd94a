"""Target "cpu": Numba on the host's processor. Three kinds of helper decide whether LLVM vectorises."""
import math

import numpy as np

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

# --- target

_inner = dict(error_model="numpy", nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
device = njit(**_inner, forceinline=True)  # arithmetic; no loops, they would be vectorised before the caller is known
stage = njit(**_inner, inline="always")    # part of its caller from the start
block = njit(**_inner)                     # a real call: its loops have the registers to themselves
driver = njit(error_model="numpy", nogil=True, no_cfunc_wrapper=True, cache=True)


@intrinsic
def fma(context, a, b, c):
    """a*b + c with one rounding, never left to a compiler's choice."""
    def code(target, builder, signature, args):
        t = target.get_value_type(a)
        call = builder.module.declare_intrinsic("llvm.fma", [t], ir.FunctionType(t, [t, t, t]))
        return builder.call(call, args)
    return a(a, a, a), code


@intrinsic(prefer_literal=True)
def scratch(context, rows, dtype):
    """`rows` rows of W lanes on the stack: known to overlap nothing, so loops over them need no alias check."""
    n = max(1, rows.literal_value) * W  # noqa: F821 - W is defined by the program
    kind = types.Array(dtype.dtype, 1, "C")

    def code(target, builder, signature, args):
        element = target.get_data_type(dtype.dtype)
        with builder.goto_entry_block():
            memory = builder.alloca(ir.ArrayType(element, n))
            memory.align = 64
        size, step = (target.get_constant(types.intp, v) for v in (n, target.get_abi_sizeof(element)))
        array = make_array(kind)(target, builder)
        data = builder.bitcast(memory, element.as_pointer())
        populate_array(array, data=data, shape=[size], strides=[step], itemsize=step, meminfo=None)
        return array._getvalue()
    return kind(rows, dtype), code


@device
def root(x):
    """Square root in the type of x."""
    return math.sqrt(x)


@device
def wide(a, b):
    """The product of two 32-bit words, in 64 bits; a < 2**32, of b the lower half counts."""
    return a * (b & np.uint64(0xFFFFFFFF))
