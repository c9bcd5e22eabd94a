"""Stream v1: which (seed, path, step, number) gives which noise. Plain scalar functions, the same text on every target.

Words.    Philox4x32-10 (Salmon et al., SC 2011), key (seed low, seed high), counter (call, tag, path low, path high):
          call c of a path gives its words 4c .. 4c+3.
Normals.  Words 2i and 2i+1, called a and b, give normals 2i and 2i+1 by Box-Muller:
          u = ((a mod 2^31) + 1/2) 2^-31,  r = sqrt(-2 log u) with the sign of bit 31 of a (set means minus),
          t = (b as a signed number) 2^-31,  normals r cos(pi t/2) and r sin(pi t/2); |normal| <= 6.67.
          float32 and float64 normals come from the same words (error of the transform 5e-7 and 4e-11 of the
          radius; float32 also rounds u to 24 bits, which moves a small radius r by up to 2^-23/r).
Signs.    Bit 31-j of word w is sign 32w+j; set means minus.
Steps.    A step that draws n numbers owns the numbers stride*k .. stride*k + n-1 of its path, with stride = n rounded
          up so that calls serve whole steps (normals: 1, 2 or a multiple of 4; signs: a power of two up to 128, or a
          multiple of 128).

The stream is frozen: a change gets a new name. The radius takes 31 bits and a sign, so that the conversion to floating
point is the signed one, a single instruction on every vector unit (AVX2 has no unsigned conversion).
"""

import numpy as np
from samfast.kernels.target_python import (
    device,
    fma,
    root,
    product64,
)  # linked: everything above this line is replaced at render time

u32, u64, i32, i64, f32, f64 = np.uint32, np.uint64, np.int32, np.int64, np.float32, np.float64
M0, M1, S32, LO = u64(0xD2511F53), u64(0xCD9E8D57), u64(32), u64(0xFFFFFFFF)
W0, W1 = u64(0x9E3779B9), u64(0xBB67AE85)
ROUNDS = 10

# 32-bit words live in 64-bit variables. A vector unit multiplies the low halves of 64-bit lanes, so & LO costs nothing there.


@device
def rounds_of_path(path, tag, k0):
    """The parts of rounds 1 and 2 that depend on the path alone: computed once for each path."""
    p = product64(M1, path)
    q = product64(M0, (p >> S32) ^ tag ^ k0)
    return p & LO, q >> S32, q & LO


@device
def rounds_of_call(call, high, k0, k1):
    """The parts of rounds 1 and 2 that depend on the call alone: the same for all paths of a block."""
    p = product64(M0, call)
    q = product64(M1, (p >> S32) ^ high ^ k1)
    return (q >> S32) ^ ((k0 + W0) & LO), (p & LO) ^ ((k1 + W1) & LO), q & LO


@device
def philox_round(c0, c1, c2, c3, k0, k1):
    """One round of Philox4x32 on the counter c0 .. c3 with the round key k0, k1."""
    p, q = product64(M0, c0), product64(M1, c2)
    return (q >> S32) ^ c1 ^ k0, q & LO, (p >> S32) ^ c3 ^ k1, p & LO


@device
def last_rounds_of_two(a, b, c, a_, b_, c_, d, e, f, k0, k1):
    """Rounds 3 to 10 of two paths; a, b, c and a_, b_, c_ from rounds_of_path, d, e, f from rounds_of_call.

    Returns the four words of both paths, the second path's in the upper 32 bits. The two take turns round by round, so that
    the multiplications of one fill the time in which the other waits for its own.
    """
    c0, c1, c2, c3 = a ^ d, f, b ^ e, c
    d0, d1, d2, d3 = a_ ^ d, f, b_ ^ e, c_
    k0, k1 = (k0 + W0) & LO, (k1 + W1) & LO
    for _ in range(ROUNDS - 2):
        k0, k1 = (k0 + W0) & LO, (k1 + W1) & LO
        c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, k0, k1)
        d0, d1, d2, d3 = philox_round(d0, d1, d2, d3, k0, k1)
    return (c0 & LO) | (d0 << S32), c1 | (d1 << S32), (c2 & LO) | (d2 << S32), c3 | (d3 << S32)


@device
def last_rounds(a, b, c, d, e, f, keys):
    """Rounds 3 to 10 of one path. keys: the round keys of these rounds, two numbers for each."""
    c0, c1, c2, c3 = a ^ d, f, b ^ e, c
    for i in range(ROUNDS - 2):
        c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, u64(keys[2 * i]), u64(keys[2 * i + 1]))
    return u32(c0 & LO), u32(c1), u32(c2 & LO), u32(c3)


# Minimax polynomials: log(1+f) on sqrt(1/2)-1 <= f < sqrt(2)-1 as f*L(f) times -2, sin(pi t/2) as t*P(t^2) and
# cos(pi t/2) as (1-t^2)*Q(t^2) on |t| <= 1.
A1, A2, A3 = f32(2.0**-31), f32(2.0**-32), f32(-1.3862943611198906)
A0, A4, A5, A6, A7, A8 = i32(0), i32(0x3F3504F3), i32(23), i32(0x7FFFFF), i32(-2147483648), i32(0x7FFFFFFF)
L0, L1, L2, L3, L4, L5, L6, L7 = (
    f32(v)
    for v in (
        0.20213528628053548,
        -0.324450489306088,
        0.3450169633846033,
        -0.39800346387693714,
        0.49939816553920879,
        -0.66670117357308745,
        1.0000073026642764,
        -1.9999998906458434,
    )
)
P0, P1, P2, P3, P4 = (
    f32(v)
    for v in (0.00015148512897354376, -0.0046737666087941941, 0.07968967894545817, -0.64596371059933533, 1.5707963184476774)
)
Q0, Q1, Q2, Q3 = (f32(v) for v in (-0.00084564689871526521, 0.019938066009270557, -0.23369421095892251, 0.9999997921734991))


@device
def radius32(a):
    """The signed radius of a pair of float32 normals, from its word a."""
    w = i32(a)
    u = fma(f32(i32(w & A8)), A1, A2)
    n = i32(f32(u).view(i32) - A4)
    e = f32(i32(n >> A5))
    f = f32(i32(i32(n & A6) + A4).view(f32) - f32(1))
    q = fma(fma(fma(fma(fma(fma(fma(L0, f, L1), f, L2), f, L3), f, L4), f, L5), f, L6), f, L7)
    r = f32(root(f32(fma(q, f, e * A3))))
    return i32(f32(r).view(i32) ^ i32(w & A7)).view(f32)


@device
def turned32(r, b):
    """The two normals of a radius and a word b."""
    t = f32(i32(b)) * A1
    v = t * t
    s = fma(fma(fma(fma(P0, v, P1), v, P2), v, P3), v, P4)
    c = fma(fma(fma(Q0, v, Q1), v, Q2), v, Q3)
    return fma(-r, v, r) * c, r * t * s


# AVX2 converts no 64-bit integers. Instead n < 2^52 is put into the low bits of the float64 2^52, which then reads 2^52 + n.
B0, B1, B2, B3 = i64(0x4330000000000000), i64(0x4330000080000000), i64(0x3FE6A09E667F3BCD), i64(0xFFFFFFFFFFFFF)
B4, B5, B6, B7 = u64(52), i64(0x7FFFFFFF), i64(-9223372036854775808), i64(32)
B8, B9, U1, U0 = i64(0x3FF0000000000000), f64(2.0**52 + 1023), f64(2.0**-31), f64(2.0**-32 - 2.0**21)
B10, T0 = i64(0), f64(-(2.0**21) - 1.0)


@device
def radius64(a):
    """The signed radius of a pair of float64 normals, from its word a."""
    w = i64(a)
    u = fma(i64(i64(w & B5) | B0).view(f64), U1, U0)
    n = i64(f64(u).view(i64) - B2)
    e = i64(i64(u64(i64(n + B8)) >> B4) | B0).view(f64) - B9
    f = i64(i64(n & B3) + B2).view(f64) - 1.0
    q = fma(
        fma(fma(fma(-0.10725671961328216, f, 0.19801632612901668), f, -0.20066412702536812), f, 0.19845723739858076),
        f,
        -0.22010168537879682,
    )
    q = fma(fma(fma(fma(q, f, 0.24994968557706065), f, -0.28581973695967366), f, 0.33333886841236943), f, -0.39999762296062641)
    q = fma(fma(fma(fma(q, f, 0.4999998816046225), f, -0.66666668667382334), f, 1.0000000005882301), f, -1.9999999999719145)
    r = root(fma(q, f, e * -1.3862943611198906))
    return i64(f64(r).view(i64) ^ i64(i64(w << B7) & B6)).view(f64)


@device
def turned64(r, b):
    """The two float64 normals of a radius and a word b."""
    t = fma(i64(i64(b) ^ B1).view(f64), U1, T0)
    v = t * t
    s = fma(
        fma(
            fma(
                fma(fma(-3.4287904613701501e-06, v, 0.00016024702815792702), v, -0.0046816510157511454), v, 0.079692601259675158
            ),
            v,
            -0.64596409526444243,
        ),
        v,
        1.5707963267616722,
    )
    c = fma(
        fma(
            fma(
                fma(fma(-4.4598728773202942e-07, v, 2.4716036597684209e-05), v, -0.00089451185648342234),
                v,
                0.019968955108215114,
            ),
            v,
            -0.23370054990287362,
        ),
        v,
        0.99999999999664457,
    )
    return fma(-r, v, r) * c, r * t * s


@device
def bits32(w):
    """A word as an integer whose leading bit is the sign bit of a float32."""
    return i32(w)


@device
def bits64(w):
    """A word as an integer whose leading bit is the sign bit of a float64."""
    return i64(i64(w) << B7)


@device
def flip32(x, b):
    """x times the random sign in the leading bit of b; a choice by a sign bit is one vector instruction."""
    return -x if i32(b) < A0 else x


@device
def flip64(x, b):
    """x times the random sign in the leading bit of b."""
    return -x if i64(b) < B10 else x
