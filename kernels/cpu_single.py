"""CPU driver for one path: the lanes are groups of SERVED steps, whose numbers one vector loop draws for W groups ahead.

The steps themselves follow one another with the state in registers. All numbers and all sums have the bits of cpu.py. A program
supplies what it supplies to cpu.py, but for the loops over lanes; W is the number of groups that are drawn ahead, not of paths.
"""

from samfast.kernels.stubs import *  # linked: everything above this line is replaced at render time


@outline
def words(H, D, call, high, k0, k1):
    """Rows 0 .. 3 of D become the words of the calls call, call + CALLS, ... of one path, a call in each lane."""
    a, b, c = H[0], H[1], H[2]
    for l in range(W):
        d, e, f = rounds_of_call(u64(call + l * CALLS), high, k0, k1)
        w0, w1, w2, w3 = last_rounds_of_two(a, b, c, a, b, c, d, e, f, k0, k1)  # twice the same path: computed once
        D[l], D[W + l], D[2 * W + l], D[3 * W + l] = u32(w0), u32(w1), u32(w2), u32(w3)


@inline
def walk(state, D, base, k, to, params, c):
    """Steps k .. to-1 of setting c, on numbers that begin with those of step `base`."""
    s, p = load(state, c * NS), parameters(params, c)
    while k < to:
        j = (k - base) % SERVED * STRIDE
        s = advance(s, one(rest(D, j // PACK * W), (k - base) // SERVED, u32(j % PACK)), k, p)
        k += 1
    store(state, c * NS, s)


@inline
def running(state, C):
    """The first setting whose path goes on, C if all are stopped."""
    c = 0
    while c < C and state[c * NS + STOP] >= T(0):
        c += 1
    return c


@inline
def moments(F, shift, c, sums, at):
    """As in cpu.py: the path is its own reference, so all sums are 0, or nan if the feature is not a finite number."""
    within = True
    for f in range(NF):
        o, about = at + f * (NM + 1), f64(F[f])
        sums[o] = about
        for m in range(NM):
            sums[o + 1 + m] = about - about
        within = within and abs(about - shift[c * NF + f]) <= LIMIT
    return within


@inline
def left(F, shift, c):
    """Whether the path is within LIMIT; if not, its features become the shift."""
    ok = True
    for f in range(NF):
        ok = ok and abs(f64(F[f]) - shift[c * NF + f]) <= LIMIT
    if not ok:
        for f in range(NF):
            F[f] = T(shift[c * NF + f])
    return ok


@driver
def run(first, start, n, seed, tag, state, params, shift, mask, record, sums, count, bad, values, S, Z, G, stop):
    """Advance path `first` from step `start` to record[-1], for every setting, on shared noise.

    Arrays as in cpu.py, with n = 1; S, Z and G are not used. Returns the steps done.
    """
    C, R = params.shape[1], record.shape[0]
    H, D, F = scratch(3, u64), scratch(ROWS, N), scratch(NF, T)
    s0, s1, high = seed & LO, seed >> S32, u64(first) >> S32
    H[0], H[1], H[2] = rounds_of_path(u64(first), tag, s0)
    k = start
    base = end = start  # the numbers of steps base .. end-1 are drawn
    for r in range(R):
        now = params[r if params.shape[0] > 1 else 0]
        while k < record[r]:
            if k >= end:
                if stop[0] != 0:
                    return k
                draw(H, D, k // SERVED * CALLS, high, s0, s1)
                base = k // SERVED * SERVED
                end = base + W * SERVED
            to = record[r] if record[r] < end else end
            for c in range(C):
                walk(state, D, base, k, to, now, c)
            k = to
            if running(state, C) == C:  # with stop=
                k = record[r]  # with stop=
        for c in range(C):
            at = c * R + r
            keep(F, observe(load(state, c * NS), k, parameters(now, c)))
            g = observe(load(state, c * NS), k, parameters(now, c))  # with stop=
            put(state, c * NS + STOP, g[NF])  # with stop=
            if values.size > 0:
                for f in range(NF):
                    values[at * NF + f] = F[f]
            count[at] = 1
            if not moments(F, shift, c, sums, at * NF * (NM + 1)) and mask and not left(F, shift, c):
                count[at] = 0
                if bad[c] < 0:
                    bad[c] = k
                moments(F, shift, c, sums, at * NF * (NM + 1))
    return k
