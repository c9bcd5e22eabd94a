"""float32 floor without libm, for counting: branch-free, one text and the same bits on every target."""

import numpy as np
from samfast.kernels.target_python import device  # linked: everything above this line is replaced at render time

# 1.5*2^23 leaves no bits for a fraction. From 2^22 on the sum would round to even numbers.
X32_WHOLE_SHIFT, X32_WHOLE_TOP, X32_WHOLE_ONE = np.float32(12582912.0), np.float32(2.0**22), np.float32(1.0)


@device
def floor(x):
    """The largest whole number not above x. From 2^22 on, x itself; inf and nan stay."""
    near = (x + X32_WHOLE_SHIFT) - X32_WHOLE_SHIFT
    below = near - X32_WHOLE_ONE if near > x else near
    return below if abs(x) < X32_WHOLE_TOP else x
