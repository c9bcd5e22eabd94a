"""exp, log, sin, cos, tanh of kernels/math32.py and math64.py: accuracy, special values, bits, machine code.

The errors in units in the last place (ulp) are those that the two files state; float32 was measured over all
arguments (`pytest -m slow` repeats it), float64 on some 10^7 arguments per function.
"""

import re
from functools import cache
from pathlib import Path

import language
import mpmath
import numpy as np
import pytest
from samfast.kernels import math32, math64

from samfast.compilers import native
from samfast.compilers.language import typed_tree
from samfast.compilers.llvm import llvm_text

LOOP = """
for i in range(n):
    x, y = rest(state, 128 * i), rest(values, 128 * i)
    for l in range(128):
        y[l] = {name}(x[l])
"""
NAMES = ("exp", "log", "sin", "cos", "tanh")
PLAIN = {32: math32, 64: math64}
FLOAT = {32: np.float32, 64: np.float64}
DIGITS, LEAST = {32: 24, 64: 53}, {32: -149, 64: -1074}
TRIG_TOP = {32: 2.0**22, 64: 2.0**45}
# Largest error in ulp; an exp in the subnormal range is rounded twice.
ERROR = {
    32: {"exp": 0.62, "log": 0.73, "sin": 0.98, "cos": 0.98, "tanh": 0.65},
    64: {"exp": 0.63, "log": 0.75, "sin": 0.74, "cos": 0.74, "tanh": 0.80},
}
SUBNORMAL_ERROR = 0.78
every = pytest.mark.parametrize(("bits", "name"), [(bits, name) for bits in PLAIN for name in NAMES])


def lanes(bits, name):
    """LLVM's text of a loop over 128 lanes: a driver that sets `values` to the function of `state`."""
    kernel = Path(PLAIN[bits].__file__).read_text()
    functions = kernel[kernel.index("\n", kernel.index("# linked:")) :]
    source = language.text(LOOP.format(name=name), functions).replace("T, N, W = np.float64", f"T, N, W = np.float{bits}")
    return llvm_text(typed_tree(source))


@cache
def kernel(bits, name):
    """The driver, compiled."""
    return native.Kernel(native.object_file(lanes(bits, name)), {"T": np.dtype(FLOAT[bits]), "N": np.dtype(np.uint32)})


def compiled(bits, name, x):
    x = np.asarray(x, FLOAT[bits])
    padded = np.resize(x, -(-x.size // 128) * 128)
    y = np.empty_like(padded)
    others = {k: v.astype(FLOAT[bits]) if k in ("params", "S", "G") else v for k, v in language.arguments().items()}
    kernel(bits, name)(*(others | dict(n=padded.size // 128, state=padded, values=y)).values())
    return y[: x.size]


def nearest_to_quarter_turns(bits):
    """Hard arguments: m 2^e closer to a multiple of pi/2 than with any smaller m, by continued fractions."""
    found = []
    with mpmath.workdps(60):
        for e in range(-DIGITS[bits], round(np.log2(TRIG_TOP[bits])) - DIGITS[bits] + 1):
            rest, last, m = mpmath.mpf(2) ** e / (mpmath.pi / 2), 1, 0
            for _ in range(99):
                whole = int(rest)
                last, m = m, whole * m + last
                if m >= 2 ** DIGITS[bits]:
                    break
                found.append(m * 2.0**e)
                rest = 1 / (rest - whole)
    return np.unique(found)[1:]


def arguments(bits, name, n=800, seed=5):
    """Samples of the whole domain and of its busiest part, and the numbers at every seam."""
    rng, tiny = np.random.default_rng(seed), float(np.finfo(FLOAT[bits]).tiny)
    low, high = -np.inf, np.inf
    signed = rng.choice([-1.0, 1.0], n)
    small = 10.0 ** rng.uniform(-12, 0, n)
    if name == "exp":
        low, high = (-103.0, 88.7) if bits == 32 else (-745.0, 709.7)
        seams = [*((np.arange(20) + 0.5) * np.log(2)), high, -low, tiny, 1e-30]
        parts = [rng.uniform(low, high, n), rng.uniform(-1, 1, n), signed * small]
    elif name == "log":
        low = 0.0
        seams = [*2.0 ** np.arange(-3, 4), *np.sqrt(2.0) ** np.arange(-5, 6), tiny, tiny * 2.0**-10, 1 / tiny]
        wide = np.exp(rng.uniform(np.log(tiny) - 6, -np.log(tiny), n))
        parts = [wide, rng.uniform(0.3, 3, n), 1 + signed * small]
    elif name == "tanh":
        seams = [*((np.arange(56) + 0.5) * np.log(2) / 2), tiny, tiny * 2.0**-10, 1e-20, 8.664, 9.02, 18.72]
        parts = [rng.uniform(-20, 20, n), rng.uniform(-1, 1, n), signed * small]
    else:
        low, high = -TRIG_TOP[bits], TRIG_TOP[bits]
        seams = [*((np.arange(20) + 0.5) * np.pi / 2), *nearest_to_quarter_turns(bits), tiny, 1e-20]
        parts = [rng.uniform(-10, 10, n), signed * 10.0 ** rng.uniform(-6, np.log10(high), n)]
    seams = np.asarray(seams, FLOAT[bits])
    beside = [np.nextafter(seams, FLOAT[bits](to)) for to in (0, np.inf)]
    seams = np.concatenate([seams, *beside])
    x = np.concatenate([*parts, seams, -seams]).astype(FLOAT[bits])
    return x[(x > low) & (x < high)]


def ulps(bits, y, exact):
    """Distance of y from `exact`, arrays, in units of the last place that `exact` has in this width."""
    step = np.ldexp(1.0, np.maximum(np.frexp(exact)[1] - DIGITS[bits], LEAST[bits]))
    return abs(y - exact) / step


def ulps_mpmath(bits, name, x, y):
    f = getattr(mpmath, name)
    with mpmath.workdps(32):
        errors = []
        for a, b in zip(x.tolist(), y.tolist(), strict=True):
            exact = f(mpmath.mpf(a))
            step = mpmath.ldexp(1, max(mpmath.frexp(exact)[1] - DIGITS[bits], LEAST[bits]))
            errors.append(float(abs(exact - b) / step))
    return np.array(errors)


@every
def test_error_in_ulp(bits, name):
    x = arguments(bits, name)
    y = compiled(bits, name, x)
    assert np.isfinite(y).all()
    error = ulps_mpmath(bits, name, x, y)
    twice = (name == "exp") & (abs(y) < np.finfo(y.dtype).tiny)
    allowed = np.where(twice, SUBNORMAL_ERROR, ERROR[bits][name])
    worst = np.argmax(error / allowed)
    assert error[worst] <= allowed[worst], f"{name}({x[worst]!r}) is off by {error[worst]:.3f} ulp"


def float32_errors(name, stride):
    """Largest error in ulp over every stride-th float32; the reference is NumPy's float64."""
    largest, block = 0.0, 1 << 20
    for first in range(0, 1 << 32, block * stride):
        last = min(first + block * stride, 1 << 32)
        x = np.arange(first, last, stride, dtype=np.uint64).astype(np.uint32).view(np.float32)
        y = compiled(32, name, x).astype(np.float64)
        with np.errstate(all="ignore"):
            exact = getattr(np, name)(x.astype(np.float64))
            if name in ("sin", "cos"):
                assert not (abs(y) > 1).any()
                exact = np.where(abs(x) < TRIG_TOP[32], exact, np.nan)
            rounded = exact.astype(np.float32)
            np.testing.assert_array_equal(np.isnan(y), np.isnan(exact))
        infinite = np.isinf(rounded)
        np.testing.assert_array_equal(y[infinite], rounded[infinite])
        kept = np.isfinite(exact) & ~infinite
        error = ulps(32, y[kept], exact[kept])
        if name == "exp":
            error[exact[kept] < 2.0**-126] *= ERROR[32][name] / SUBNORMAL_ERROR
        largest = max(largest, error.max(initial=0.0))
    return largest


@pytest.mark.parametrize("name", NAMES)
def test_float32_error_over_all_magnitudes(name):
    assert float32_errors(name, 5003) <= ERROR[32][name]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_float32_error_of_every_argument(name):
    assert ERROR[32][name] - 0.03 < float32_errors(name, 1) <= ERROR[32][name]


INF, NAN = np.inf, np.nan
SPECIAL = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (NAN, NAN), (1e38, INF), (-1e38, 0.0)],
    "log": [(1.0, 0.0), (0.0, -INF), (-0.0, -INF), (INF, INF), (-INF, NAN), (-1.0, NAN), (-1e-38, NAN), (NAN, NAN)],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (NAN, NAN), (1e38, NAN), (-1e38, NAN), (1e-20, 1e-20)],
    "cos": [(0.0, 1.0), (-0.0, 1.0), (INF, NAN), (-INF, NAN), (NAN, NAN), (1e38, NAN), (-1e38, NAN), (1e-20, 1.0)],
    "tanh": [
        (0.0, 0.0),
        (-0.0, -0.0),
        (INF, 1.0),
        (-INF, -1.0),
        (NAN, NAN),
        (1e38, 1.0),
        (-1e38, -1.0),
        (1e-20, 1e-20),
        (-1e-38, -1e-38),
    ],
}


@pytest.mark.parametrize("name", ["sin", "cos"])
@pytest.mark.parametrize("bits", PLAIN)
def test_sine_and_cosine_of_any_magnitude_are_right_or_nan(bits, name):
    """Against mpmath, from the smallest number to the largest and on both sides of the last argument that is reduced."""
    kind, top = FLOAT[bits], FLOAT[bits](TRIG_TOP[bits])
    rng, limits = np.random.default_rng(12), np.finfo(FLOAT[bits])
    x = np.ldexp(rng.uniform(0.5, 1, 2000), rng.integers(LEAST[bits] + 1, limits.maxexp + 1, 2000)).astype(kind)
    x = np.concatenate([x, [np.nextafter(top, kind(0)), top, np.nextafter(top, kind(np.inf)), 2 * top, limits.max]])
    x = np.concatenate([x, -x]).astype(kind)
    y, small = compiled(bits, name, x), abs(x) < top
    assert small.any() and not small.all()
    np.testing.assert_array_equal(np.isnan(y), ~small)
    with mpmath.workdps(330):  # 2^1024 has 309 digits before the point
        exact = np.array([float(getattr(mpmath, name)(mpmath.mpf(float(a)))) for a in x[small]])
    allowed = ERROR[bits][name] + (0.51 if bits == 64 else 0.01)  # exact is itself rounded to float64
    assert (ulps(bits, y[small].astype(float), exact) <= allowed).all()


@every
def test_special_values(bits, name):
    x, expected = np.array(SPECIAL[name], FLOAT[bits]).T
    y = compiled(bits, name, x)
    np.testing.assert_array_equal(y, expected)
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(y[number]), np.signbit(expected[number]))


def test_the_last_finite_exp_and_the_first_zero():
    for bits in PLAIN:
        limits = np.finfo(FLOAT[bits])
        last = np.nextafter(FLOAT[bits](mpmath.log(float(limits.max))), FLOAT[bits](0))
        least = FLOAT[bits](mpmath.log(float(limits.smallest_subnormal)))
        y = compiled(bits, "exp", [last, last * (1 + 4 * limits.eps), least, least - 1])
        assert np.isfinite(y[0]) and y[1] == INF and y[2] == limits.smallest_subnormal and y[3] == 0


@every
def test_compiled_equals_plain_python_bit_for_bit(bits, name):
    x = np.concatenate([arguments(bits, name, n=600, seed=6), np.array(SPECIAL[name], FLOAT[bits])[:, 0]])
    f = getattr(PLAIN[bits], name)
    with np.errstate(all="ignore"):
        plain = [f(v) for v in x]
    assert {type(v) for v in plain} == {FLOAT[bits]}
    plain, y = np.array(plain), compiled(bits, name, x)
    nan = np.isnan(plain)
    np.testing.assert_array_equal(nan, np.isnan(y))  # the bits of a nan differ between processors
    word = np.uint32 if bits == 32 else np.uint64
    np.testing.assert_array_equal(plain[~nan].view(word), y[~nan].view(word))


@every
def test_no_sum_takes_a_product(bits, name):
    """A compiler that may contract a*b + c, as CUDA's does, finds nothing to contract."""
    code = lanes(bits, name)
    products = re.findall(r"(%\S+) = fmul", code)
    sums = re.findall(r" = f(?:add|sub) \S+(?: x \S+)? (\S+), (\S+)", code)
    assert sums and products
    assert not set(products) & {operand for pair in sums for operand in pair}


@every
def test_machine_code_has_full_vectors_and_no_libm(bits, name):
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    if not features.get("fma"):
        pytest.skip("this processor has no fused multiply-add of 256 bits")
    code = native.assembly(lanes(bits, name))
    assert re.search(rf"vfn?m(?:add|sub)\d+p{'s' if bits == 32 else 'd'}.*[yz]mm", code)
    assert not re.search(rf"\b_*(?:{'|'.join((*NAMES, 'fma'))})f?\b", code)
