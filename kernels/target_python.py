"""Target "plain": the CPU's text as ordinary Python on NumPy scalars, for tests and for reading."""

import ctypes
import ctypes.util
import math

import numpy as np

# --- target


def device(function):
    return function


inline = outline = device


def driver(function):
    """A driver as ordinary Python. Integers wrap around and numbers overflow on purpose, so NumPy must not warn of it."""

    def quiet(*args):
        with np.errstate(all="ignore"):
            return function(*args)

    return quiet


def scratch(rows, dtype):
    """`rows` rows of W lanes."""
    return np.empty(max(1, rows) * W, dtype)  # noqa: F821 - W is defined by the program


def rest(a, first):
    """a[first:]"""
    return a[first:]


def take(a, first, step, count):
    """(a[first], a[first + step], ...), `count` numbers of a contiguous array."""
    return tuple(a.reshape(-1)[first : first + step * count : step])


def put(a, at, x):
    """a[at] = x"""
    a[at] = x


def paired(a):
    """32-bit words, two by two, as 64-bit words."""
    return a.view(np.uint64)


_libm = ctypes.CDLL(ctypes.util.find_library("m") or "libm.so.6")
_libm.fma.argtypes, _libm.fma.restype = [ctypes.c_double] * 3, ctypes.c_double
_libm.fmaf.argtypes, _libm.fmaf.restype = [ctypes.c_float] * 3, ctypes.c_float


def fma(a, b, c):
    """a*b + c with one rounding."""
    if isinstance(a, np.float32):
        return np.float32(_libm.fmaf(a, b, c))
    return np.float64(_libm.fma(a, b, c))


def root(x):
    """Square root in the type of x."""
    return type(x)(np.sqrt(x)) if x >= 0 else type(x)(math.nan)


def product64(a, b):
    """a times the lower 32 bits of b, in 64 bits; a < 2**32."""
    return a * (b & np.uint64(0xFFFFFFFF))
