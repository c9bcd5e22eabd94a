"""CUDA driver of programs of many coordinates: one thread per path, the state in the device's memory.

A program supplies `one_step`, `look` and `pick`, and the constants of cuda.py.
"""

from samfast.kernels.stubs_cuda import *  # linked: everything above this line is replaced at render time


@driver
def run(
    first,
    start,
    end,
    n,
    C,
    R,
    r0,
    r1,
    tables,
    seed,
    tag,
    keys,
    mask,
    keep,
    state,
    params,
    shift,
    record,
    sums,
    count,
    bad,
    values,
    G,
):
    """Arguments as in cuda.py; G (C, NF, n) is scratch for the features."""
    block = i64(cuda.blockIdx.x)
    while block * W < n:
        x = block * W + i64(cuda.threadIdx.x)
        live = x < n
        path = u64(first + (x if live else n - 1))
        high, h = path >> S32, rounds_of_path(path, tag, seed & LO)
        c = i64(cuda.blockIdx.y)
        while c < C:
            k, o, g = start, c * NS * n + x, c * NF * n + x
            for r in range(r0, r1 + 1):
                until = record[r] if r < r1 else end
                q = (((r if r < R else R - 1) if tables > 1 else 0) * C + c) * COLUMNS
                while k < until:
                    if live:
                        one_step(state, params, k, o, n, q, h, high, seed, keys)
                    k += 1
                    if not live or state[o + STOP * n] >= T(0):  # with stop=
                        k = until  # with stop=
                if r < r1:
                    if live:
                        look(state, params, k, o, n, q, G, g)
                    moments((G, g, n), live, mask, k, c, r, R, C, x, n, block, shift, sums, count, bad, values, keep)
            c += i64(cuda.gridDim.y)
        block += i64(cuda.gridDim.x)
