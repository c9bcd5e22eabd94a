"""What a program supplies to the CUDA drivers, so that they can be imported and linted; the program is that of `stubs`."""

from samfast.kernels.target_emulator import *
from samfast.kernels.stubs import *

COLUMNS = 2


@device
def one_step(state, params, k, o, n, q, h, high, seed, keys):
    pass


@device
def look(state, params, k, o, n, q, G, g):
    pass


@device
def moments(g, live, mask, k, c, r, R, C, x, n, block, shift, sums, count, bad, values, keep):
    pass


@device
def begin(state, c, C, n, x):
    return ((state[c * n + x],),)


@device
def finish(state, c, C, n, x, s):
    state[c * n + x] = s[0][0]


@device
def settings(params, q, c, C):
    return ((params[(q * C + c) * 2], params[(q * C + c) * 2 + 1]),)


@device
def blank():
    return (N(0), N(0), N(0), N(0))


@device
def draw(h, call, high, seed, keys):
    return blank()


@device
def one(d, j):
    return (T(d[j]),)


@device
def many(d, m):
    return d


@device
def advance_all(s, d, k, p):
    return (advance(s[0], d, k, p[0]),)


@device
def unrolled_all(s, d, k, p):
    for q in range(UNROLL):
        s = advance_all(s, d[q:], k + q, p)
    return s


@device
def stopped(s):
    return s[0][STOP] >= T(0)


@device
def noted(s, k, p):
    return s


@device
def pick(g, f):
    return g[f]


@device
def moments_of_all(s, live, mask, k, c, r, R, C, x, n, block, p, shift, sums, count, bad, values, keep):
    pass
