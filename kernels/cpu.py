"""CPU driver: W paths are the W lanes of each loop, and three short loops follow each other: words, normals, steps.

Every loop over lanes has a constant number of turns, constant strides between rows, no branch and one width of its elements (64
bits for Philox and float64 states, 32 bits for float32 normals), so that LLVM makes full-width vector code of each.

A program supplies the constants W (lanes), HALF = W/2, NS (rows of the state), NF (features), NM (moments); of its noise
STRIDE (numbers that a step owns), PACK (numbers in a word), CALLS (Philox calls of one draw), ROWS (words of one draw) and
SERVED (steps that one draw serves); UNROLL (steps of one pass) and GROUP (settings of one pass). It supplies the functions
`advance`, `observe`, `load`, `store`, `keep`, `one`, `many`, `parameters`, `unrolled`, `rows_of_noise`, `rows_of_features`,
or the loops `one_step`, `many_steps` and `look` themselves. `samfast.kernels.stubs` has an example of each.
"""

from samfast.kernels.stubs import *  # linked: everything above this line is replaced at render time


@outline
def words(H, D, call, high, k0, k1):
    """Rows 0 .. 3 of D become the words of one Philox call. Paths 2l and 2l+1 go together, as one 64-bit store of two words."""
    P = paired(D)
    d, e, f = rounds_of_call(u64(call), high, k0, k1)
    for l in range(HALF):
        P[l], P[HALF + l], P[W + l], P[W + HALF + l] = last_rounds_of_two(
            H[l], H[W + l], H[2 * W + l], H[HALF + l], H[W + HALF + l], H[2 * W + HALF + l], d, e, f, k0, k1
        )


@inline
def signs(H, D, call, high, k0, k1):
    """Rows 4m .. 4m+3 of D become the words of Philox call call+m. H: what `rounds_of_path` gave for each lane."""
    for m in range(CALLS):
        words(H, rest(D, 4 * m * W), call + m, high, k0, k1)


@outline
def normals(H, D, call, high, k0, k1):
    """The rows that `signs` fills, as normals. Radius and angle have a loop each, as AVX2 cannot hold their 22 constants."""
    X, R = scratch(4, u32), scratch(1, B)
    for m in range(CALLS):
        words(H, X, call + m, high, k0, k1)
        for pair in range(2):
            Xp, Dp = rest(X, 2 * pair * W), rest(D, (4 * m + 2 * pair) * W)
            for l in range(W):
                R[l] = radius(Xp[l])
            for l in range(W):
                Dp[l], Dp[W + l] = turned(R[l], Xp[W + l])


@outline
def as_float64(H, D, call, high, k0, k1):
    """The rows of `normals`, converted to float64 once for all settings."""
    Y = scratch(ROWS, f32)
    normals(H, Y, call, high, k0, k1)
    for l in range(ROWS * W):
        D[l] = Y[l]


@inline
def silent(H, D, call, high, k0, k1):
    """Draws nothing, for a program without noise."""


@inline
def one_step(S, D, j, k, params, c):
    """Step k of setting c, on the numbers of step j of the last draw."""
    R, Sc, p, shift = rest(D, j * STRIDE // PACK * W), rest(S, c * NS * W), parameters(params, c), u32(j * STRIDE % PACK)
    for l in range(W):
        store(Sc, 0, l, advance(load(Sc, 0, l), one(R, l, shift), k, p))


@inline
def many_steps(S, D, j, k, params, c):
    """Steps k .. k+UNROLL-1 of setting c; the state stays in registers between them."""
    R, Sc, p, shift = rest(D, j * STRIDE // PACK * W), rest(S, c * NS * W), parameters(params, c), u32(j * STRIDE % PACK)
    for l in range(W):
        store(Sc, 0, l, unrolled(load(Sc, 0, l), many(R, l, shift), k, p))


@inline
def look(S, G, k, params, c):
    """G becomes the features of setting c after k steps."""
    Sc, p = rest(S, c * NS * W), parameters(params, c)
    for l in range(W):
        keep(G, l, observe(load(Sc, 0, l), k, p))


@inline
def look_and_stop(S, G, k, params, c):
    """As `look`; and paths for which the condition of stop= holds by now are marked in the state."""
    Sc, p = rest(S, c * NS * W), parameters(params, c)
    for l in range(W):
        g = observe(load(Sc, 0, l), k, p)
        keep(G, l, g)
        put(Sc, STOP * W + l, g[NF])


@inline
def running(S, a, live, C):
    """The first place from a on whose path goes on, C*live if all are stopped. Place c*live + l is lane l of setting c."""
    while a < C * live and S[a // live * NS * W + STOP * W + a % live] >= T(0):
        a += 1
    return a


@inline
def steps_alone(S, D, j, k, params, C):
    """UNROLL steps of every setting, one setting after the other."""
    for c in range(C):
        many_steps(S, D, j, k, params, c)


@inline
def steps_grouped(S, D, j, k, params, C):
    """UNROLL steps of every setting; GROUP settings at a time share each load of the numbers."""
    c = 0
    while c + GROUP <= C:
        many_steps_of_group(S, D, j, k, params, c)
        c += GROUP
    while c < C:
        many_steps(S, D, j, k, params, c)
        c += 1


@inline
def first_two(G, about, l):
    """Sums over the lanes l and HALF + l of the feature less `about`, and of its square."""
    x, y = f64(G[l]) - about, f64(G[HALF + l]) - about
    return x + y, x * x + y * y


@inline
def next_two(G, about, l):
    """Sums over the lanes l and HALF + l of the third and the fourth power of the feature less `about`."""
    x, y = f64(G[l]) - about, f64(G[HALF + l]) - about
    xx, yy = x * x, y * y
    return x * xx + y * yy, xx * xx + yy * yy


@inline
def first_levels(two, G, about, A):
    """The first level of the trees of two sums, into rows 0 and 1 of A; if HALF = 128 the first three, which leave 32."""
    if HALF == 128:
        for l in range(32):
            p, pp = two(G, about, l)
            q, qq = two(G, about, 32 + l)
            r, rr = two(G, about, 64 + l)
            s, ss = two(G, about, 96 + l)
            A[l], A[HALF + l] = (p + r) + (q + s), (pp + rr) + (qq + ss)
    else:
        for l in range(HALF):
            A[l], A[HALF + l] = two(G, about, l)


@inline
def tree_sum(a, b):
    """The rest of the tree over row a, HALF numbers or the 32 that are left of 128. b is scratch."""
    if HALF == 128:  # two levels at a time and into another row, so that vectors stay full
        for l in range(8):
            b[l] = (a[l] + a[16 + l]) + (a[8 + l] + a[24 + l])
        return ((b[0] + b[4]) + (b[2] + b[6])) + ((b[1] + b[5]) + (b[3] + b[7]))
    if HALF > 16:
        for l in range(16):
            a[l] += a[16 + l]
    if HALF > 8:
        for l in range(8):
            a[l] += a[8 + l]
    if HALF > 4:
        for l in range(4):
            a[l] += a[4 + l]
    return (a[0] + a[2]) + (a[1] + a[3])


@outline
def moments(G, shift, c, live, sums, at):
    """sums[at + f*(NM+1)] = c, feature f of lane 0; the next NM: sums over the live lanes of (feature f - c)^m, m = 1 .. NM.

    The reference c is one of the numbers themselves: its distance from their mean is at most sqrt(live) standard deviations,
    which bounds what their central moments lose by cancellation, wherever the paths are. False if a feature may be beyond
    LIMIT.
    """
    A, B = scratch(2, f64), scratch(1, f64)
    within = True
    for f in range(NF):
        Gf, o = rest(G, f * W), at + f * (NM + 1)
        about = f64(Gf[0])
        for l in range(live, W):
            Gf[l] = Gf[0]
        first_levels(first_two, Gf, about, A)
        sums[o], sums[o + 1], sums[o + 2] = about, tree_sum(A, B), tree_sum(rest(A, HALF), B)
        if NM > 2:
            first_levels(next_two, Gf, about, A)
            sums[o + 3] = tree_sum(A, B)
            if NM > 3:
                sums[o + 4] = tree_sum(rest(A, HALF), B)
        within = within and abs(about - shift[c * NF + f]) <= LIMIT / 2 and sums[o + 2] <= LIMIT / 2 * (LIMIT / 2)
    return within


@inline
def alive(G, shift, c, l):
    """Whether all features of lane l are within LIMIT of the shift."""
    ok = True
    for f in range(NF):
        ok = ok and abs(f64(G[f * W + l]) - shift[c * NF + f]) <= LIMIT
    return ok


@outline
def clean(G, shift, c, live, bad, at, k):
    """Gives paths beyond LIMIT the features of the first within it, or the shift if there is none, so that they add nothing.

    Notes k in `bad` the first time.

    Returns the number of paths within LIMIT.
    """
    first = 0
    while first < live and not alive(G, shift, c, first):
        first += 1
    left = live
    for l in range(live):
        if not alive(G, shift, c, l):
            left -= 1
            if bad[at + l] < 0:
                bad[at + l] = k
            for f in range(NF):
                G[f * W + l] = G[f * W + first] if first < live else T(shift[c * NF + f])
    return left


@driver
def run(first, start, n, seed, tag, state, params, shift, mask, record, sums, count, bad, values, S, Z, G, stop):
    """Advance paths first .. first+n-1 from step `start` to record[-1], for every setting, on shared noise.

    All arrays but params are flat. C is the number of settings, R that of records, `blocks` that of blocks of W paths.

    first: a multiple of W, or n = 1, since a block shares the high half of its path numbers
    state (C, NS, n): read and updated
    params (1 or R, C, columns): one table, or one for the steps up to each record
    shift (C, NF) float64: what LIMIT is measured from
    mask: paths beyond LIMIT are left out of the sums
    record (R,): numbers of steps, ascending
    sums (blocks, C, R, NF, NM + 1) float64: of each block a reference and the sums of powers, see `moments`
    count (blocks, C, R) int64: paths in these sums
    bad (C, n) int64: -1, or the record at which mask first left the path out
    values (C, R, NF, n), or of size 0: the features themselves
    S (C, NS, W), Z, G: scratch
    stop (1,): another thread sets it to 1, and the run ends before its next draw

    Holds no GIL and starts no threads. Returns the number of the step that it reached.
    """
    C, R = params.shape[1], record.shape[0]
    # H: Philox rounds 1-2 of the path; D: random numbers; F: features
    H, D, F = scratch(3, u64), rows_of_noise(Z), rows_of_features(G)
    s0, s1 = seed & LO, seed >> S32
    k = start
    for base in range(0, n, W):
        live = W if n - base > W else n - base
        high = u64(first + base) >> S32
        for l in range(HALF):
            for odd in range(2):
                i = l + odd * HALF
                H[i], H[W + i], H[2 * W + i] = rounds_of_path(u64(first + base + 2 * l + odd), tag, s0)
        for i in range(C * NS):
            row, Si = rest(state, i * n + base), rest(S, i * W)
            for l in range(W):
                Si[l] = row[l if l < live else 0]
        k = start
        at_work = 0  # with stop=
        for r in range(R):
            now = params[r if params.shape[0] > 1 else 0]
            while k < record[r]:
                j = k % SERVED  # steps that the last draw has served
                if j == 0 or k == start:
                    if stop[0] != 0:
                        return k
                    draw(H, D, k // SERVED * CALLS, high, s0, s1)
                if j % UNROLL == 0 and k + UNROLL <= record[r]:
                    steps(S, D, j, k, now, C)
                    k += UNROLL
                else:
                    for c in range(C):
                        one_step(S, D, j, k, now, c)
                    k += 1
                at_work = running(S, at_work, live, C)  # with stop=
                if at_work == C * live:  # with stop=
                    k = record[r]  # with stop=
            for c in range(C):
                look(S, F, k, now, c)
                at = (base // W * C + c) * R + r
                if values.size > 0:
                    for f in range(NF):
                        row, Ff = rest(values, ((c * R + r) * NF + f) * n + base), rest(F, f * W)
                        for l in range(live):
                            row[l] = Ff[l]
                count[at] = live
                if not moments(F, shift, c, live, sums, at * NF * (NM + 1)) and mask:
                    count[at] = clean(F, shift, c, live, bad, c * n + base, k)
                    moments(F, shift, c, live, sums, at * NF * (NM + 1))
        for i in range(C * NS):
            row, Si = rest(state, i * n + base), rest(S, i * W)
            for l in range(live):
                row[l] = Si[l]
    return k
