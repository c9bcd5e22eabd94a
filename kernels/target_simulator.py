"""Target "simulator": numba-cuda's own simulator (NUMBA_ENABLE_CUDASIM=1), for tests: a second opinion on the CUDA text."""

import numpy as np
from numba import cuda
from samfast.kernels.target_python import fma, root, product64

# --- target

device = inline = cuda.jit(device=True)
driver = cuda.jit
