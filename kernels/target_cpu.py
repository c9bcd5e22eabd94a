"""Target "cpu": Numba on the host's processor.

A target defines what kernel text takes for granted: the decorators `device` (arithmetic), `inline` and `outline` (loops over
lanes) and `driver` (what is called from outside); `fma`, `root`, `product64`; on a CPU also `scratch`, `rest`, `take`, `put`,
`paired`. Which of the decorators a function has decides whether LLVM vectorises its loops.
"""

import math

import numpy as np

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

# --- target

_inner = dict(_nrt=False, error_model="numpy", nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
device = njit(**_inner, forceinline=True)  # no loops: they would be vectorised before the caller is known
inline = njit(**_inner, inline="always")  # part of its caller from the start
outline = njit(**_inner)  # a real call, so that its loops have the registers to themselves
driver = njit(_nrt=False, error_model="numpy", nogil=True, no_cfunc_wrapper=True, cache=True)


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
        return _array(target, builder, kind, builder.bitcast(memory, element.as_pointer()), target.get_constant(types.intp, n))

    return kind(rows, dtype), code


def _array(target, builder, kind, data, size):
    """A contiguous array of `size` elements at `data`."""
    step = target.get_constant(types.intp, target.get_abi_sizeof(target.get_data_type(kind.dtype)))
    array = make_array(kind)(target, builder)
    populate_array(array, data=data, shape=[size], strides=[step], itemsize=step, meminfo=None)
    return array._getvalue()


@intrinsic
def rest(context, a, first):
    """a[first:], first at least 0: a slice without its checks, which take long to compile."""

    def code(target, builder, signature, args):
        array = make_array(a)(target, builder, args[0])
        at = target.cast(builder, args[1], signature.args[1], types.intp)
        return _array(target, builder, a, builder.gep(array.data, [at]), builder.sub(array.nitems, at))

    return a(a, first), code


@intrinsic(prefer_literal=True)
def take(context, a, first, step, count):
    """(a[first], a[first + step], ...), `count` numbers of a contiguous array, without the checks of an index."""
    n, by, kind = count.literal_value, step.literal_value, types.UniTuple(a.dtype, count.literal_value)

    def code(target, builder, signature, args):
        data = make_array(a)(target, builder, args[0]).data
        at = target.cast(builder, args[1], signature.args[1], types.intp)
        places = [builder.gep(data, [builder.add(at, target.get_constant(types.intp, i * by))]) for i in range(n)]
        return target.make_tuple(builder, kind, [builder.load(place) for place in places])

    return kind(a, types.intp, step, count), code


@intrinsic
def put(context, a, at, x):
    """a[at] = x"""

    def code(target, builder, signature, args):
        place = builder.gep(make_array(a)(target, builder, args[0]).data, [args[1]])
        builder.store(target.cast(builder, args[2], x, a.dtype), place)
        return target.get_dummy_value()

    return types.none(a, types.intp, x), code


@intrinsic
def paired(context, a):
    """32-bit words, two by two, as 64-bit words."""
    kind = types.Array(types.uint64, 1, "C")

    def code(target, builder, signature, args):
        array = make_array(a)(target, builder, args[0])
        data = builder.bitcast(array.data, target.get_data_type(types.uint64).as_pointer())
        return _array(target, builder, kind, data, builder.lshr(array.nitems, target.get_constant(types.intp, 1)))

    return kind(a), code


@device
def root(x):
    """Square root in the type of x."""
    return math.sqrt(x)


@device
def product64(a, b):
    """a times the lower 32 bits of b, in 64 bits; a < 2**32."""
    return a * (b & np.uint64(0xFFFFFFFF))
