"""float32 exp, log, sin, cos, tanh without libm: branch-free, one text and the same bits on every target.

Largest error in units in the last place (ulp), over all 2^32 arguments:

| function | error | domain |
|---|---|---|
| exp | 0.62 | all; overflows to inf, underflows gradually (subnormal results: 0.76) to 0 |
| log | 0.73 | all; subnormal arguments too; 0 -> -inf, negative -> nan |
| sin, cos | 0.98 (0.78 below 2^21) | abs(x) < 2^22; nan beyond: no argument is reduced there; results stay within +-1 |
| tanh | 0.65 | all; small arguments keep their relative accuracy, large ones give +-1 |

nan -> nan; exp(-inf) = 0, exp(inf) = log(inf) = inf, sin and cos of +-inf are nan, tanh(+-inf) = +-1;
sin(-0) = tanh(-0) = -0.
"""

import numpy as np
from samfast.kernels.target_python import device, fma  # linked: everything above this line is replaced at render time

# No product feeds a sum except through `fma`, so that a compiler has nothing left to contract and the bits agree.
# Integers are cast back to 32 bits after each operation, because Numba widens them and that would halve the lanes.
# Polynomials: fitted with mpmath for the least largest error, coefficients rounded one after another.

X32_ZERO, X32_HALF, X32_ONE, X32_TWO = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(2.0)
X32_BIT, X32_SIGN = np.int32(1), np.int32(-0x80000000)
X32_FIELD, X32_FRACTION = np.int32(0x7F800000), np.int32(0x7FFFFF)
X32_S22, X32_S23, X32_S30 = np.int32(22), np.int32(23), np.int32(30)

# exp and tanh. log(2) in two parts; n*LN2 - x is exact with the first, a full float32.
X32_LOG2E = np.float32(1.442695)
X32_LN2, X32_LN2_LOW = np.float32(0.6931471824645996), np.float32(-1.9046542121259336e-09)
# Adding 1.5*2^23 rounds to an integer. 254 more: half the low bits is the biased exponent of 2^(n/2).
X32_EXP_SHIFT = np.float32(12582912.0 + 254.0)
X32_EXP_TOP, X32_EXP_END = np.float32(89.0), np.float32(-104.5)  # inf above, 0 below
# 127 more: the low bits are the biased exponent of 2^n.
X32_TANH_SHIFT = np.float32(12582912.0 + 127.0)
X32_TANH_TOP = np.float32(10.0)  # 1 above
# (exp(r) - 1 - r - r^2/2)/r^3 on abs(r) <= 0.3467; relative to r the error is 2^-31.1.
(X32_E0, X32_E1, X32_E2, X32_E3, X32_E4) = (
    np.float32(v) for v in (1.6666667e-01, 4.166649e-02, 8.333208e-03, 1.3932671e-03, 1.9944267e-04)
)

# log. log(2) = the first 16 bits (exact times any exponent) + the rest.
X32_LOG_LN2, X32_LOG_LN2_LOW = np.float32(0.693145751953125), np.float32(1.428606765330187e-06)
X32_LOG_ROOT = np.int32(0x3F3504F3)  # the bits of sqrt(1/2)
X32_LOG_TINY, X32_LOG_SCALE, X32_LOG_TINY_BIAS = np.float32(2.0**-126), np.float32(2.0**23), np.float32(23.0)
X32_MAX, X32_INF, X32_NAN = np.float32(3.4028234663852886e38), np.float32(np.inf), np.float32(np.nan)
# (log(1 + f) - f + f^2/2)/f^3 on -0.293 <= f <= 0.4143; relative to f the error is 2^-30.3.
(X32_L0, X32_L1, X32_L2, X32_L3, X32_L4, X32_L5, X32_L6, X32_L7, X32_L8) = (
    np.float32(v)
    for v in (
        3.333331e-01,
        -2.4999987e-01,
        2.0002225e-01,
        -1.6669251e-01,
        1.4218669e-01,
        -1.23843275e-01,
        1.187299e-01,
        -1.17901064e-01,
        6.9156155e-02,
    )
)

# sin and cos. pi/2 in three parts of 24 bits; the first rounded down, since -0 needs a positive second part.
X32_TRIG_TOP, X32_TRIG_SHIFT = np.float32(2.0**22), np.float32(12582912.0)
X32_TRIG_INV = np.float32(0.63661977)
(X32_PI0, X32_PI1, X32_PI2) = (np.float32(v) for v in (1.570796251296997, 7.549790126404332e-08, -1.7151245100058819e-15))
# (r - sin(r))/r^3 in r^2 on abs(r) <= 0.787; relative to sin(r) the error is 2^-32.5.
(X32_S0, X32_S1, X32_S2, X32_S3) = (np.float32(v) for v in (1.6666667e-01, -8.333379e-03, 1.9853064e-04, -2.83251e-06))
# (cos(r) - 1 + r^2/2)/r^4 in r^2 on abs(r) <= 0.787; relative to cos(r) the error is 2^-33.0.
(X32_C0, X32_C1, X32_C2) = (np.float32(v) for v in (4.1666646e-02, -1.3887308e-03, 2.4432109e-05))


@device
def expm1_core(x, n):
    """(r, w) with r + w = exp(x - n log 2) - 1 and w small beside r, for the integer n next to x/log 2."""
    a = fma(n, -X32_LN2, x)
    r = fma(n, -X32_LN2_LOW, a)
    low = fma(n, -X32_LN2_LOW, a - r)
    # Estrin's tree rather than Horner's chain: the chain's latency would be a tenth of the time.
    z = r * r
    q = fma(fma(X32_E4, z, fma(X32_E3, r, X32_E2)), z, fma(X32_E1, r, X32_E0))
    return r, fma(r * X32_HALF, r, fma(r * z, q, low))


@device
def exp(x):
    """e^x."""
    x = X32_EXP_TOP if x > X32_EXP_TOP else x
    x = X32_EXP_END if x < X32_EXP_END else x
    t = fma(x, X32_LOG2E, X32_EXP_SHIFT)
    r, w = expm1_core(x, t - X32_EXP_SHIFT)
    h = X32_ONE + r
    p = h + ((r - (h - X32_ONE)) + w)
    # 2^n in two factors: either alone is a normal number, and only the second product can round or overflow.
    b = np.float32(t).view(np.int32)
    c = np.int32(np.int32(b << X32_S22) & X32_FIELD).view(np.float32)
    d = np.int32(np.int32(np.int32(b + X32_BIT) << X32_S22) & X32_FIELD).view(np.float32)
    return (p * c) * d


@device
def tanh(x):
    """E/(E + 2) with E = exp(2 abs(x)) - 1; E, E + 2 and the quotient carry their rounding errors along."""
    a = abs(x)
    a = X32_TANH_TOP if a > X32_TANH_TOP else a
    y = a + a
    t = fma(y, X32_LOG2E, X32_TANH_SHIFT)
    r, w = expm1_core(y, t - X32_TANH_SHIFT)
    u = r + w
    v = (r - u) + w
    s = np.int32(np.float32(t).view(np.int32) << X32_S23).view(np.float32)
    h = s - X32_ONE
    e = fma(s, u, h)
    e_low = fma(s, v, fma(s, u, h - e))
    small = e < X32_TWO
    d = e + X32_TWO
    d_low = ((e if small else X32_TWO) - (d - (X32_TWO if small else e))) + e_low
    i = X32_ONE / d
    q = e * i
    q = fma(fma(-q, d_low, fma(-q, d, e) + e_low), i, q)
    sign = np.int32(np.float32(x).view(np.int32) & X32_SIGN)
    return np.int32(np.float32(q).view(np.int32) | sign).view(np.float32)


@device
def log(x):
    """log(x) = e log 2 + log(m) with sqrt(1/2) <= m < sqrt(2); log(m) by a polynomial in f = m - 1."""
    tiny = x < X32_LOG_TINY
    y = x * X32_LOG_SCALE if tiny else x
    bias = X32_LOG_TINY_BIAS if tiny else X32_ZERO
    b = np.int32(np.float32(y).view(np.int32) - X32_LOG_ROOT)
    e = np.float32(np.int32(b >> X32_S23)) - bias
    f = np.int32(np.int32(b & X32_FRACTION) + X32_LOG_ROOT).view(np.float32) - X32_ONE
    z = f * f
    q = fma(fma(X32_L7, f, X32_L6), z, fma(X32_L5, f, X32_L4))
    q = fma(fma(fma(X32_L8, z * z, q), z, fma(X32_L3, f, X32_L2)), z, fma(X32_L1, f, X32_L0))
    w = fma(f * -X32_HALF, f, fma(f * z, q, e * X32_LOG_LN2_LOW))
    h = fma(e, X32_LOG_LN2, f)
    y = h + ((f - fma(e, -X32_LOG_LN2, h)) + w)
    y = y if x > X32_ZERO else (-X32_INF if x == X32_ZERO else X32_NAN)
    return x if x > X32_MAX else y


@device
def quarter_turns(x):
    """(b, s, c): the low bits of b are the integer n next to x/(pi/2); s and c are sine and cosine of x - n pi/2."""
    x = x if abs(x) < X32_TRIG_TOP else X32_NAN
    t = fma(x, X32_TRIG_INV, X32_TRIG_SHIFT)
    n = t - X32_TRIG_SHIFT
    # a is exact, p + p_low = n PI1 exactly, r - r_low = x - n pi/2. The added zero keeps p a rounded product.
    a = fma(n, -X32_PI0, x)
    p = fma(n, X32_PI1, X32_ZERO)
    p_low = fma(n, X32_PI1, -p)
    r = a - p
    r_low = fma(n, X32_PI2, p_low - ((a - r) - p))
    z = r * r
    q = fma(fma(fma(X32_S3, z, X32_S2), z, X32_S1), z, X32_S0)
    k = fma(fma(X32_C2, z, X32_C1), z, X32_C0)
    g = r * -X32_HALF
    h = fma(g, r, X32_ONE)
    s = r - fma(r * z, q, r_low * h)  # a difference, so that -0 stays -0
    c = h + fma(r, r_low, fma(z * z, k, fma(g, r, X32_ONE - h)))
    return np.float32(t).view(np.int32), s, c


@device
def sin(x):
    """sin(x)."""
    b, s, c = quarter_turns(x)
    y = c if np.int32(b & X32_BIT) == X32_BIT else s
    sign = np.int32(np.int32(b << X32_S30) & X32_SIGN)
    return np.int32(np.float32(y).view(np.int32) ^ sign).view(np.float32)


@device
def cos(x):
    """cos(x)."""
    b, s, c = quarter_turns(x)
    y = s if np.int32(b & X32_BIT) == X32_BIT else c
    sign = np.int32(np.int32(np.int32(b + X32_BIT) << X32_S30) & X32_SIGN)
    return np.int32(np.float32(y).view(np.int32) ^ sign).view(np.float32)
