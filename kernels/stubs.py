"""What a program supplies to the CPU drivers, for x' = a x + s z with normal z, so that they can be imported and linted."""

from samfast.kernels.target_python import *
from samfast.kernels.stream import *

T, N, B, W, HALF, NS, NF, NM = np.float64, np.float32, np.float32, 256, 128, 1, 1, 2
STRIDE, PACK, CALLS, ROWS, SERVED, UNROLL, GROUP, LIMIT, STOP = 1, 1, 1, 4, 4, 4, 1, 1e75, 0


@device
def radius(a):
    return radius32(a)


@device
def turned(r, b):
    return turned32(r, b)


@device
def advance(s, d, k, p):
    return (fma(p[0], s[0], p[1] * d[0]),)


@inline
def unrolled(s, d, k, p):
    for q in range(UNROLL):
        s = advance(s, d[q:], k + q, p)
    return s


@device
def observe(s, k, p):
    return (s[0],)


@inline
def parameters(params, c):
    return (params[c, 0], params[c, 1])


@inline
def load(S, o, l):
    return (S[o + l],)


@inline
def store(S, o, l, s):
    S[o + l] = s[0]


@inline
def keep(G, l, g):
    G[l] = g[0]


@inline
def one(D, l, shift):
    return (T(D[l]),)


@inline
def many(D, l, shift):
    return (T(D[l]), T(D[W + l]), T(D[2 * W + l]), T(D[3 * W + l]))


@inline
def draw(H, D, call, high, k0, k1):
    pass


@inline
def rows_of_noise(Z):
    return Z


@inline
def rows_of_features(G):
    return G


@inline
def one_step(S, D, j, k, params, c):
    pass


@inline
def many_steps(S, D, j, k, params, c):
    pass


@inline
def many_steps_of_group(S, D, j, k, params, c):
    pass


@inline
def steps(S, D, j, k, params, C):
    pass


@inline
def look(S, G, k, params, c):
    pass
