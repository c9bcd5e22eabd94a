"""float64 floor without libm, for counting: branch-free, one text and the same bits on every target."""

import numpy as np
from samfast.kernels.target_python import device  # linked: everything above this line is replaced at render time

# 1.5*2^52 leaves no bits for a fraction. From 2^51 on the sum would round to even numbers.
X64_WHOLE_SHIFT, X64_WHOLE_TOP, X64_WHOLE_ONE = np.float64(6755399441055744.0), np.float64(2.0**51), np.float64(1.0)


@device
def floor(x):
    """The largest whole number not above x. From 2^51 on, x itself; inf and nan stay."""
    near = (x + X64_WHOLE_SHIFT) - X64_WHOLE_SHIFT
    below = near - X64_WHOLE_ONE if near > x else near
    return below if abs(x) < X64_WHOLE_TOP else x
