"""Whether numba-cuda, which tests of the code for GPUs need, can be imported."""

import warnings

import numpy as np
import pytest

BROKEN_SINCE = "2.5"  # NumPy without row_stack, which numba-cuda 0.30 asks for


def require():
    """Skip the module or test where numba-cuda is not installed, or meets a NumPy that it is known to fail with."""
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    pytest.importorskip("cuda.bindings", reason="cuda-bindings is not installed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy 2.5 deprecates more of what it uses
            import numba.cuda.np.arrayobj  # noqa: F401
            from cuda.bindings import nvjitlink  # noqa: F401
    except AttributeError as fault:
        if np.lib.NumpyVersion(np.__version__) < f"{BROKEN_SINCE}.0":
            raise
        pytest.skip(f"numba-cuda does not work with NumPy {np.__version__}: {fault}", allow_module_level=True)
