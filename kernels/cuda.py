"""CUDA driver: one thread per path, W threads per block; a thread keeps its state, parameters and numbers in registers.

GROUP settings of a sweep share each draw. Features are summed in the tree of the CPU driver, in shared memory,
without atomics, so that the bits are the same on every device.

A program supplies the constants of cpu.py and COLUMNS (parameters of a setting). It supplies the functions `begin` (state of
the thread's settings), `settings` (their parameters), `blank`, `draw`, `one`, `many` (numbers), `advance_all`, `unrolled_all`,
`moments_of_all`, `finish` and `pick`. `samfast.kernels.stubs_cuda` has an example of each.
"""

from samfast.kernels.stubs_cuda import *  # linked: everything above this line is replaced at render time


@device
def words(h, call, high, seed, keys):
    """The four words of one Philox call of one path."""
    d, e, f = rounds_of_call(call, high, seed & LO, seed >> S32)
    return last_rounds(h[0], h[1], h[2], d, e, f, keys)


@device
def normals(h, call, high, seed, keys):
    """The four normals of one Philox call of one path."""
    a, b, c, d = words(h, call, high, seed, keys)
    x, y = turned(radius(a), b)
    z, w = turned(radius(c), d)
    return x, y, z, w


@device
def tree_sums(A, t):
    """The sums over both rows of A (HALF numbers each), in the tree of the CPU driver. A is overwritten."""
    half = HALF // 2
    while half > 2:
        if t < half:
            A[t] += A[half + t]
            A[HALF + t] += A[HALF + half + t]
        cuda.syncthreads()
        half //= 2
    return (A[0] + A[2]) + (A[1] + A[3]), (A[HALF] + A[HALF + 2]) + (A[HALF + 1] + A[HALF + 3])


@device
def moments(g, live, mask, k, c, r, R, C, x, n, block, shift, sums, count, bad, values, keep):
    """The moments of one setting at record r, as the CPU driver's `moments` and `clean` make them."""
    t, at = i64(cuda.threadIdx.x), (block * C + c) * R + r
    X = cuda.shared.array(W, f64)
    A = cuda.shared.array(W, f64)
    V = cuda.shared.array(W, i64)
    ok = live
    if mask != 0:
        for f in range(NF):
            ok = ok and abs(f64(pick(g, f)) - shift[c * NF + f]) <= LIMIT
        if live and not ok and bad[c * n + x] < 0:
            bad[c * n + x] = k
    V[t] = 1 if ok else 0
    left = cuda.syncthreads_count(1 if ok else 0)
    if t == 0:
        count[at] = left
    first = i64(0)  # the path that all others are compared with
    while first < W - 1 and V[first] == 0:
        first += 1
    for f in range(NF):
        if live and keep != 0:
            values[((c * R + r) * NF + f) * n + x] = pick(g, f)
        X[t] = f64(pick(g, f)) if ok else 0.0
        cuda.syncthreads()
        about = X[first] if left > 0 else f64(T(shift[c * NF + f]))
        cuda.syncthreads()
        X[t] = X[t] - about if ok else 0.0
        cuda.syncthreads()
        o = (at * NF + f) * (NM + 1)
        if t == 0:
            sums[o] = about
        for m in range(0, NM, 2):
            if t < HALF:
                a, b = X[t], X[HALF + t]
                aa, bb = a * a, b * b
                if m == 0:
                    A[t], A[HALF + t] = a + b, aa + bb
                else:
                    A[t], A[HALF + t] = a * aa + b * bb, aa * aa + bb * bb
            cuda.syncthreads()
            one, two = tree_sums(A, t)
            if t == 0:
                sums[o + 1 + m] = one
                if m + 1 < NM:
                    sums[o + 2 + m] = two
            cuda.syncthreads()


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
    """Advance paths first .. first+n-1 from step `start` to step `end`, for every setting, on shared noise.

    All arrays are flat: state, shift, record, sums, count, bad and values are those of cpu.py.

    r0, r1: records r0 .. r1-1 lie in these steps
    params (tables, C, COLUMNS): tables is 1, or R with one table for the steps up to each record
    keys: round keys 3 to 10 of the seed, 16 numbers
    keep: whether values is written
    G: not used

    The grid may have any number of blocks of W threads in either direction, (paths, settings).
    """
    block = i64(cuda.blockIdx.x)
    while block * W < n:
        x = block * W + i64(cuda.threadIdx.x)
        live = x < n
        path = u64(first + (x if live else n - 1))
        high, h = path >> S32, rounds_of_path(path, tag, seed & LO)
        c = i64(cuda.blockIdx.y) * GROUP
        while c < C:
            s, d = begin(state, c, C, n, x if live else n - 1), blank()
            k, j, call = start, start % SERVED, u64(start // SERVED * CALLS)  # j: steps that the numbers d have served
            for r in range(r0, r1 + 1):
                until = record[r] if r < r1 else end
                p = settings(params, (r if r < R else R - 1) if tables > 1 else 0, c, C)
                while k < until:
                    while j == 0 and k + SERVED <= until:  # nearly all time is spent in this loop
                        d = draw(h, call, high, seed, keys)
                        for m in range(0, SERVED, UNROLL):
                            s = unrolled_all(s, many(d, m), k + m, p)
                        k += SERVED
                        call += u64(CALLS)
                        if stopped(s):  # with stop=
                            k = until  # with stop=
                    if k < until:
                        if j == 0 or k == start:
                            d = draw(h, call, high, seed, keys)
                            call += u64(CALLS)
                        s = advance_all(s, one(d, j), k, p)
                        k += 1
                        j = j + 1 if j + 1 < SERVED else 0
                if r < r1:
                    s = noted(s, k, p)  # with stop=
                    moments_of_all(s, live, mask, k, c, r, R, C, x, n, block, p, shift, sums, count, bad, values, keep)
            if live:
                finish(state, c, C, n, x, s)
            c += i64(cuda.gridDim.y) * GROUP
        block += i64(cuda.gridDim.x)
