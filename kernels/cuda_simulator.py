"""Target "simulator": numba-cuda's own simulator (NUMBA_ENABLE_CUDASIM=1), a second opinion on the CUDA text; for tests."""
import numpy as np
from numba import cuda

# --- target

device = stage = cuda.jit(device=True)
driver = cuda.jit


@device
def fma(a, b, c):
    """a*b + c with one rounding."""
    from samfast.kernels.plain import fma
    return fma(a, b, c)


@device
def root(x):
    """Square root in the type of x."""
    return type(x)(np.sqrt(x)) if x >= 0 else type(x)(np.nan)


@device
def wide(a, b):
    """The product of two 32-bit words, in 64 bits; a < 2**32, of b the lower half counts."""
    return a * (b & np.uint64(0xFFFFFFFF))
