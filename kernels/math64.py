"""float64 exp, log, sin, cos, tanh without libm: branch-free, one text and the same bits on every target.

Largest error in units in the last place (ulp) against extended precision, on 10^7 and more arguments each:

| function | error | domain |
|---|---|---|
| exp | 0.63 | all; overflows to inf, underflows gradually (subnormal results: 0.76) to 0 |
| log | 0.75 | all; subnormal arguments too; 0 -> -inf, negative -> nan |
| sin, cos | 0.74 | abs(x) < 2^45; nan beyond: no argument is reduced there; results stay within +-1 |
| tanh | 0.80 | all; small arguments keep their relative accuracy, large ones give +-1 |

nan -> nan; exp(-inf) = 0, exp(inf) = log(inf) = inf, sin and cos of +-inf are nan, tanh(+-inf) = +-1;
sin(-0) = tanh(-0) = -0.
"""

import numpy as np
from samfast.kernels.target_python import device, fma  # linked: everything above this line is replaced at render time

# No product feeds a sum except through `fma`, so that a compiler has nothing left to contract and the bits agree.
# Integers stay in the low bits of a float64 near 2^52, because AVX2 converts no 64-bit integers.
# Polynomials: fitted with mpmath for the least largest error, coefficients rounded one after another.

X64_ZERO, X64_HALF, X64_ONE, X64_TWO = np.float64(0.0), np.float64(0.5), np.float64(1.0), np.float64(2.0)
X64_BIT, X64_SIGN = np.uint64(1), np.uint64(0x8000000000000000)
X64_FIELD, X64_FRACTION = np.uint64(0x7FF0000000000000), np.uint64(0xFFFFFFFFFFFFF)
X64_S51, X64_S52, X64_S62 = np.uint64(51), np.uint64(52), np.uint64(62)

# exp and tanh. log(2) in two parts; n*LN2 - x is exact with the first, a full float64.
X64_LOG2E = np.float64(1.4426950408889634)
X64_LN2, X64_LN2_LOW = np.float64(0.6931471805599453), np.float64(2.3190468138462996e-17)
# Adding 1.5*2^52 rounds to an integer. 2046 more: half the low bits is the biased exponent of 2^(n/2).
X64_EXP_SHIFT = np.float64(6755399441055744.0 + 2046.0)
X64_EXP_TOP, X64_EXP_END = np.float64(710.0), np.float64(-746.0)  # inf above, 0 below
# 1023 more: the low bits are the biased exponent of 2^n.
X64_TANH_SHIFT = np.float64(6755399441055744.0 + 1023.0)
X64_TANH_TOP = np.float64(20.0)  # 1 above
# (exp(r) - 1 - r - r^2/2)/r^3 on abs(r) <= 0.3467; relative to r the error is 2^-61.7.
(X64_E0, X64_E1, X64_E2, X64_E3, X64_E4, X64_E5, X64_E6, X64_E7, X64_E8, X64_E9) = (
    np.float64(v)
    for v in (
        0.16666666666666677,
        0.04166666666666668,
        0.00833333333332144,
        0.0013888888888877113,
        0.00019841269886573118,
        2.4801587341761237e-05,
        2.755724378575917e-06,
        2.7557257937114454e-07,
        2.5109177585821728e-08,
        2.091995657970427e-09,
    )
)

# log. log(2) = the first 42 bits (exact times any exponent) + the rest.
X64_LOG_LN2, X64_LOG_LN2_LOW = np.float64(0.6931471805598903), np.float64(5.497923018708371e-14)
# The bits of sqrt(1/2), those of 1 less these, and those of 2^52.
X64_LOG_ROOT, X64_LOG_LIFT = np.uint64(0x3FE6A09E667F3BCD), np.uint64(0x95F619980C433)
X64_LOG_INT, X64_LOG_BIAS = np.uint64(0x4330000000000000), np.float64(2.0**52 + 1023.0)
X64_LOG_TINY, X64_LOG_SCALE = np.float64(2.0**-1022), np.float64(2.0**54)
X64_LOG_TINY_BIAS = np.float64(2.0**52 + 1023.0 + 54.0)
X64_MAX, X64_INF, X64_NAN = np.float64(1.7976931348623157e308), np.float64(np.inf), np.float64(np.nan)
# (2 atanh(s)/s - 2)/s^2 in s^2 on abs(s) <= 0.1717; relative to s the error is 2^-58.5.
(X64_L0, X64_L1, X64_L2, X64_L3, X64_L4, X64_L5, X64_L6) = (
    np.float64(v)
    for v in (
        0.6666666666666735,
        0.3999999999940944,
        0.28571428743650984,
        0.22222198433921972,
        0.18183572041444976,
        0.15313841434876826,
        0.14798154966663188,
    )
)

# sin and cos. pi/2 in three parts of 53 bits.
X64_TRIG_TOP, X64_TRIG_SHIFT = np.float64(2.0**45), np.float64(6755399441055744.0)
X64_TRIG_INV = np.float64(0.6366197723675814)
(X64_PI0, X64_PI1, X64_PI2) = (np.float64(v) for v in (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33))
# (r - sin(r))/r^3 in r^2 on abs(r) <= 0.787; relative to sin(r) the error is 2^-57.9.
(X64_S0, X64_S1, X64_S2, X64_S3, X64_S4, X64_S5) = (
    np.float64(v)
    for v in (
        0.1666666666666663,
        -0.008333333333321853,
        0.00019841269829374474,
        -2.7557313545606157e-06,
        2.50507356894704e-08,
        -1.5895517630288598e-10,
    )
)
# (cos(r) - 1 + r^2/2)/r^4 in r^2 on abs(r) <= 0.787; relative to cos(r) the error is 2^-63.8.
(X64_C0, X64_C1, X64_C2, X64_C3, X64_C4, X64_C5) = (
    np.float64(v)
    for v in (
        0.04166666666666659,
        -0.0013888888888872238,
        2.4801587288357836e-05,
        -2.755731404085352e-07,
        2.0875682506009367e-09,
        -1.1357608004568904e-11,
    )
)


@device
def expm1_core(x, n):
    """(r, w) with r + w = exp(x - n log 2) - 1 and w small beside r, for the integer n next to x/log 2."""
    a = fma(n, -X64_LN2, x)
    r = fma(n, -X64_LN2_LOW, a)
    low = fma(n, -X64_LN2_LOW, a - r)
    # Estrin's tree rather than Horner's chain: the chain's latency would be a sixth of the time.
    z = r * r
    y = z * z
    q0, q1, q2 = fma(X64_E1, r, X64_E0), fma(X64_E3, r, X64_E2), fma(X64_E5, r, X64_E4)
    q3, q4 = fma(X64_E7, r, X64_E6), fma(X64_E9, r, X64_E8)
    q = fma(fma(q4, y, fma(q3, z, q2)), y, fma(q1, z, q0))
    return r, fma(r * X64_HALF, r, fma(r * z, q, low))


@device
def exp(x):
    """e^x."""
    x = X64_EXP_TOP if x > X64_EXP_TOP else x
    x = X64_EXP_END if x < X64_EXP_END else x
    t = fma(x, X64_LOG2E, X64_EXP_SHIFT)
    r, w = expm1_core(x, t - X64_EXP_SHIFT)
    h = X64_ONE + r
    p = h + ((r - (h - X64_ONE)) + w)
    # 2^n in two factors: either alone is a normal number, and only the second product can round or overflow.
    b = np.float64(t).view(np.uint64)
    c = np.uint64(np.uint64(b << X64_S51) & X64_FIELD).view(np.float64)
    d = np.uint64(np.uint64(np.uint64(b + X64_BIT) << X64_S51) & X64_FIELD).view(np.float64)
    return (p * c) * d


@device
def tanh(x):
    """E/(E + 2) with E = exp(2 abs(x)) - 1; E, E + 2 and the quotient carry their rounding errors along."""
    a = abs(x)
    a = X64_TANH_TOP if a > X64_TANH_TOP else a
    y = a + a
    t = fma(y, X64_LOG2E, X64_TANH_SHIFT)
    r, w = expm1_core(y, t - X64_TANH_SHIFT)
    u = r + w
    v = (r - u) + w
    s = np.uint64(np.float64(t).view(np.uint64) << X64_S52).view(np.float64)
    h = s - X64_ONE
    e = fma(s, u, h)
    e_low = fma(s, v, fma(s, u, h - e))
    small = e < X64_TWO
    d = e + X64_TWO
    d_low = ((e if small else X64_TWO) - (d - (X64_TWO if small else e))) + e_low
    i = X64_ONE / d
    q = e * i
    q = fma(fma(-q, d_low, fma(-q, d, e) + e_low), i, q)
    sign = np.uint64(np.float64(x).view(np.uint64) & X64_SIGN)
    return np.uint64(np.float64(q).view(np.uint64) | sign).view(np.float64)


@device
def log(x):
    """log(x) = e log 2 + log(m) with sqrt(1/2) <= m < sqrt(2); log(m) by f = m - 1 and s = f/(f + 2)."""
    tiny = x < X64_LOG_TINY
    y = x * X64_LOG_SCALE if tiny else x
    bias = X64_LOG_TINY_BIAS if tiny else X64_LOG_BIAS
    b = np.uint64(np.float64(y).view(np.uint64) + X64_LOG_LIFT)
    e = np.uint64(np.uint64(b >> X64_S52) | X64_LOG_INT).view(np.float64) - bias
    f = np.uint64(np.uint64(b & X64_FRACTION) + X64_LOG_ROOT).view(np.float64) - X64_ONE
    s = f / (f + X64_TWO)
    z = s * s
    q = fma(fma(fma(fma(fma(fma(X64_L6, z, X64_L5), z, X64_L4), z, X64_L3), z, X64_L2), z, X64_L1), z, X64_L0)
    g = f * X64_HALF
    w = fma(s, fma(g, f, z * q), e * X64_LOG_LN2_LOW)
    w = fma(-g, f, w)
    h = fma(e, X64_LOG_LN2, f)
    y = h + ((f - fma(e, -X64_LOG_LN2, h)) + w)
    y = y if x > X64_ZERO else (-X64_INF if x == X64_ZERO else X64_NAN)
    return x if x > X64_MAX else y


@device
def quarter_turns(x):
    """(b, s, c): the low bits of b are the integer n next to x/(pi/2); s and c are sine and cosine of x - n pi/2."""
    x = x if abs(x) < X64_TRIG_TOP else X64_NAN
    t = fma(x, X64_TRIG_INV, X64_TRIG_SHIFT)
    n = t - X64_TRIG_SHIFT
    # a is exact, p + p_low = n PI1 exactly, r - r_low = x - n pi/2. The added zero keeps p a rounded product.
    a = fma(n, -X64_PI0, x)
    p = fma(n, X64_PI1, X64_ZERO)
    p_low = fma(n, X64_PI1, -p)
    r = a - p
    r_low = fma(n, X64_PI2, p_low - ((a - r) - p))
    z = r * r
    q = fma(fma(fma(fma(fma(X64_S5, z, X64_S4), z, X64_S3), z, X64_S2), z, X64_S1), z, X64_S0)
    k = fma(fma(fma(fma(fma(X64_C5, z, X64_C4), z, X64_C3), z, X64_C2), z, X64_C1), z, X64_C0)
    g = r * -X64_HALF
    h = fma(g, r, X64_ONE)
    s = r - fma(r * z, q, r_low * h)  # a difference, so that -0 stays -0
    c = h + fma(r, r_low, fma(z * z, k, fma(g, r, X64_ONE - h)))
    return np.float64(t).view(np.uint64), s, c


@device
def sin(x):
    """sin(x)."""
    b, s, c = quarter_turns(x)
    y = c if np.uint64(b & X64_BIT) == X64_BIT else s
    sign = np.uint64(np.uint64(b << X64_S62) & X64_SIGN)
    return np.uint64(np.float64(y).view(np.uint64) ^ sign).view(np.float64)


@device
def cos(x):
    """cos(x)."""
    b, s, c = quarter_turns(x)
    y = s if np.uint64(b & X64_BIT) == X64_BIT else c
    sign = np.uint64(np.uint64(np.uint64(b + X64_BIT) << X64_S62) & X64_SIGN)
    return np.uint64(np.float64(y).view(np.uint64) ^ sign).view(np.float64)
