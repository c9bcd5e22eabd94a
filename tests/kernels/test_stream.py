"""The random stream: Philox words, the normals and signs made of them, their distribution. The stream is frozen.

Measured over 2^20 normals and the extreme words, relative to the radius: float64 normals err by at most 3.0e-11,
float32 normals by at most 4.2e-7 from the transform of u as float32 holds it. Of the u that the words name, float32
keeps 24 bits, which moves the radius r by up to 2^-23/r more: seen only for r well below 1.
"""

import hashlib
from dataclasses import replace
from functools import cache

import mpmath
import numpy as np
import pytest
from randomgen import Philox
from samfast.kernels import stream
from scipy import special, stats

import samfast as sf
from samfast.backends import cpu
from samfast.codegen import program
from samfast.simulation.job import check_size
from samfast.simulation.prepare import FEW, prepared_job

SEED, TAG, FIRST = 0xA4093822299F31D0, 7, 2**32 - 640  # paths on both sides of 2^32
STEPS = PATHS = 1024
MODES = ("mixed", "float64")  # float32 and float64 normals, both stored as float64
ERROR = {"mixed": 5e-7, "float32": 5e-7, "float64": 4e-11}


def words(call, tag, path, seed):
    """The four words of every Philox call, by the kernel's own text on NumPy arrays."""
    u64 = np.uint64
    call, path, k0, k1 = u64(call), u64(path), u64(seed & 0xFFFFFFFF), u64(seed >> 32)
    front = stream.rounds_of_path(path, u64(tag), k0)
    other = stream.rounds_of_path(path ^ u64(1), u64(tag), k0)  # its words are above those that are asked for
    both = np.stack(
        stream.last_rounds_of_two(*front, *other, *stream.rounds_of_call(call, path >> u64(32), k0, k1), k0, k1), -1
    )
    return both.astype(np.uint32)


def box_muller(a, b, mode="float64"):
    """(cos normal, sin normal, radius) of uint32 words in float64; u rounded as float32 normals have it, or exact."""
    n = a & 0x7FFFFFFF
    u = (n + 0.5) * 2.0**-31
    if mode != "float64":
        u = (n.astype(np.float32) * 2.0**-31 + 2.0**-32).astype(np.float32).astype(float)
    r, t = np.sqrt(-2 * np.log(u)), b.view(np.int32) * 2.0**-31
    minus = np.where(a >> 31, -1.0, 1.0)
    return minus * r * np.cos(np.pi / 2 * t), minus * r * np.sin(np.pi / 2 * t), r


def recorded(kind, mode, dim=1, *, steps=STEPS, paths=PATHS, device="cpu", sweep=1):
    """The numbers z themselves, (step, coordinate, path): the state of a rule whose step is w' = z."""
    before = FIRST % program.BLOCK if paths > FEW else 0  # a shard begins with a block
    paths += before
    rule = sf.Rule("noise", step=lambda w, v, grad, p, z: (z[0], v), draws=1, kind=kind)
    job = prepared_job(
        sf.losses.quadratic(np.ones(dim)), rule, np.zeros(dim), paths=paths, seed=SEED, dtype=mode, device=device, values=True
    )
    shards = replace(job, first_path=FIRST - before).shards(0, np.arange(1, steps + 1), None)
    return np.concatenate([cpu.run_shard(replace(s, tag=TAG)).values[0] for s in shards], -1)[..., before:]


@cache
def normals(mode):
    return recorded("normal", mode)[:, 0]


@cache
def signs():
    return recorded("sign", "float64")[:, 0]


def expected_normals(steps, stride, dim, paths=PATHS, mode="float64"):
    """Normals and radii, (step, coordinate, path), by float64 NumPy; step k owns the numbers from stride*k on."""
    w = words(np.arange(-(-steps * stride // 4)), TAG, FIRST + np.arange(paths)[:, None], SEED).reshape(paths, -1)
    c, s, r = box_muller(w[:, ::2], w[:, 1::2], mode)
    z, r = np.stack([c, s], -1).reshape(paths, -1), np.repeat(r, 2, -1)
    return [x[:, : steps * stride].reshape(paths, steps, stride)[..., :dim].transpose(1, 2, 0) for x in (z, r)]


def expected_signs(steps, stride, dim, paths=PATHS):
    w = words(np.arange(-(-steps * stride // 128)), TAG, FIRST + np.arange(paths)[:, None], SEED).reshape(paths, -1)
    bits = (w[..., None] >> np.arange(31, -1, -1, dtype=np.uint32) & 1).reshape(paths, -1)
    return 1.0 - 2.0 * bits[:, : steps * stride].reshape(paths, steps, stride)[..., :dim].transpose(1, 2, 0)


# the words -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers_of_philox(counter, key, answer):
    """The vectors published with Random123 (Salmon et al., SC 2011), on scalars as a compiler sees them."""
    got = words(counter[0], counter[1], counter[2] | counter[3] << 32, key[0] | key[1] << 32)
    assert tuple(int(w) for w in got) == answer


@pytest.mark.parametrize(("path", "calls"), [(2**63 + 12345, 2**18), *[(2**32 - 8 + i, 64) for i in range(16)]])
def test_words_equal_an_independent_philox(path, calls):
    """2^20 words of one path, and some of paths around 2^32; counter (call, tag, path low, path high)."""
    # that generator counts up before it draws
    counter = (path << 64 | TAG << 32) - 1
    want = Philox(counter=counter, key=SEED, number=4, width=32).random_raw(4 * calls)
    np.testing.assert_array_equal(words(np.arange(calls), TAG, path, SEED).ravel(), want)


# the normals ---------------------------------------------------------------------------------------------------------
def test_reference_normals_by_high_precision():
    """The float64 NumPy formula, the measure of all below, is good to 4e-16 of the radius."""
    a, b = words(np.arange(100), 1, 2, 3)[:, :2].T
    c, s, r = box_muller(a, b)
    with mpmath.workdps(40):
        for i in range(100):
            u = (mpmath.mpf(int(a[i]) % 2**31) + 0.5) / 2**31
            size = mpmath.sqrt(-2 * mpmath.log(u)) * (-1 if a[i] >> 31 else 1)
            t = mpmath.mpf(int(b.view(np.int32)[i])) / 2**31
            exact = size * mpmath.cospi(t / 2), size * mpmath.sinpi(t / 2), abs(size)
            assert all(abs(got - x) < 4e-16 * abs(size) for got, x in zip((c[i], s[i], r[i]), exact, strict=True))


def assert_close(got, want, radius, mode):
    error = np.abs(got - want)
    worst = np.argmax(error - ERROR[mode] * radius)
    assert (error <= ERROR[mode] * radius).all(), f"{got.flat[worst]!r} for {want.flat[worst]!r}"


@pytest.mark.parametrize("mode", MODES)
def test_a_million_compiled_normals(mode):
    """Every one is the Box-Muller transform of its own words, to the accuracy stated."""
    got = normals(mode)[:, None]
    assert_close(got, *expected_normals(STEPS, 1, 1, mode=mode), mode)
    if mode == "mixed":
        np.testing.assert_array_equal(got, got.astype(np.float32))
        exact, radius = expected_normals(STEPS, 1, 1)
        assert (np.abs(got - exact) < ERROR[mode] * radius + 2**-23 / radius).all()
        assert np.abs(got - exact).max() > 1e-8  # they are not the float64 ones


@pytest.mark.parametrize(("bits", "mode"), [(32, "float32"), (64, "float64")])
def test_normals_of_extreme_words(bits, mode):
    """Finite, within 6.67, of the right sign, and as accurate as elsewhere."""
    edge = [0, 1, 2, 2**23, 2**24 - 1, 2**30, 2**31 - 2, 2**31 - 1]
    edge += [x + 2**31 for x in edge]
    a, b = (x.ravel() for x in np.meshgrid(np.array(edge, np.uint32), np.array(edge, np.uint32)))
    radius, turned = getattr(stream, f"radius{bits}"), getattr(stream, f"turned{bits}")
    got = np.array([turned(radius(x), y) for x, y in zip(a, b, strict=True)])
    c, s, r = box_muller(a, b, mode)
    assert got.dtype == mode and np.isfinite(got).all() and np.abs(got).max() <= 6.67
    assert_close(got, np.stack([c, s], -1), r[:, None], mode)


@pytest.mark.parametrize(("dim", "stride"), [(1, 1), (2, 2), (3, 4), (5, 8), (12, 12)])
@pytest.mark.parametrize("mode", ["mixed", "float32", "float64"])
def test_which_number_a_step_gets(mode, dim, stride):
    """The layouts that the stream's text promises, in plain Python (equal to compiled code by test_bits)."""
    got = recorded("normal", mode, dim, steps=9, paths=3, device="plain")
    assert_close(got, *expected_normals(9, stride, dim, 3, mode), mode)


@pytest.mark.parametrize(("dim", "stride"), [(1, 1), (3, 4), (33, 64), (130, 256)])
def test_which_sign_a_step_gets(dim, stride):
    got = recorded("sign", "float64", dim, steps=5, paths=3, device="plain")
    np.testing.assert_array_equal(got, expected_signs(5, stride, dim, 3))


def test_a_million_compiled_signs():
    np.testing.assert_array_equal(signs(), expected_signs(STEPS, 1, 1)[:, 0])


# the distribution ----------------------------------------------------------------------------------------------------
def correlations(x, f):
    """z-scores of mean(f(a)*f(b)) for pairs of numbers of one stream; f(x) has mean 0 and variance 1."""
    y = f(x)
    pairs = {
        "partner": (y[::2], y[1::2]),
        **{f"step +{k}": (y[:-k], y[k:]) for k in (1, 2, 3, 4, 8)},
        **{f"path +{k}": (y[:, :-k], y[:, k:]) for k in (1, 2, 8, 128)},
        "step and path": (y[:-1, :-1], y[1:, 1:]),
    }
    return {name: np.sum(a * b) / np.sqrt(a.size) for name, (a, b) in pairs.items()}


def deviations(x):
    """z-scores of what standard normals have: moments 1 to 6, no correlation of values nor of squares."""
    even = np.cumprod([1, *range(1, 13, 2)])  # E x^0, x^2, x^4, ..., x^12
    found = {}
    for k in range(1, 7):
        mean = even[k // 2] if k % 2 == 0 else 0
        found[f"moment {k}"] = (np.mean(x**k) - mean) / np.sqrt((even[k] - mean**2) / x.size)
    found |= correlations(x, lambda x: x)
    return found | {"square, " + k: z for k, z in correlations(x, lambda x: (x * x - 1) / np.sqrt(2)).items()}


# 28 z-scores of 2^20 numbers, limit 5: a false alarm in 1.6e-5 of all seeds. Found in 99.9 % of all seeds, at 8
# standard deviations: a mean of 0.008, a variance wrong by 1.1 %, a correlation of 0.008 of numbers or their squares.
@pytest.mark.parametrize("mode", MODES)
def test_distribution_of_normals(mode):
    bad = {name: z for name, z in deviations(normals(mode)).items() if abs(z) > 5}
    assert not bad


# Kolmogorov-Smirnov: p < 1e-6 is a false alarm in 1e-6 of all seeds; it finds a distribution function wrong by 0.0026.
@pytest.mark.parametrize("mode", MODES)
def test_distribution_function_of_normals(mode):
    assert stats.kstest(normals(mode).ravel(), "norm").pvalue > 1e-6


def test_signs_are_balanced_and_independent():
    """12 z-scores, limit 5 (false alarm 7e-6); 0.3 % more minus signs would be seen."""
    x = signs()
    assert abs(x.sum()) / np.sqrt(x.size) < 5
    assert not {name: z for name, z in correlations(x, lambda x: x).items() if abs(z) > 5}


def _repeat(x, k, axis):
    return np.repeat(np.take(x, range(0, x.shape[axis], k), axis), k, axis)


def _call_used_twice(x):
    k = np.arange(len(x))
    return x[k // 8 * 4 + k % 4]


FAULTS = {
    "no sign": np.abs,
    "one sign a pair": lambda x: np.abs(x) * np.repeat(np.sign(x[::2]), 2, 0),
    "mean": lambda x: x + 0.008,
    "variance": lambda x: x * 1.01,
    "uniform": lambda x: 3**0.5 * (2 * special.ndtr(x) - 1),
    "few values": lambda x: np.round(2 * x) / 2,
    "partner repeated": lambda x: _repeat(x, 2, 0),
    "path repeated": lambda x: _repeat(x, 2, 1),
    "call used twice": _call_used_twice,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault):
    assert max(abs(z) for z in deviations(FAULTS[fault](normals("float64"))).values()) > 6


# the freeze ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("what", "pin"),
    [
        ("words", "54d4208b2a0061f360a5c62468bd74786f75469552eab61feac11371bdfb5d3c"),
        ("float32 normals", "082a40dd72fdb38d87f4393ad96bc6f4b2c72e0224ef7a830279949091f708df"),
        ("float64 normals", "52ca12310f8da3a6ab9f2ccb81b4030ae2f80f306bc461a9cea2480217ef2536"),
        ("signs", "18fc9eb49f3d0c27d664487c92b299dc83997129a57674aea55bc413358cae6b"),
    ],
)
def test_the_stream_is_frozen(what, pin):
    """Results of all versions compare path by path: a change of any bit needs a stream of a new name."""
    data = {
        "words": lambda: words(np.arange(256), TAG, FIRST + np.arange(PATHS)[:, None], SEED).astype("<u4"),
        "float32 normals": lambda: normals("mixed").astype("<f4"),
        "float64 normals": lambda: normals("float64").astype("<f8"),
        "signs": lambda: signs().astype("i1"),
    }[what]()
    assert hashlib.sha256(np.ascontiguousarray(data)).hexdigest() == pin


# --- how far it goes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, dim, most", [("normal", 1, 2**34), ("sign", 1, 2**39), ("normal", 2, 2**33), ("normal", 6, 2**31)]
)
def test_the_last_step_of_a_path(kind, dim, most):
    """2**32 Philox calls of 4 normals or 128 signs; six normals take two calls. The limit is the last step that has numbers."""
    rule = sf.noisy(sf.gd(lr=0.1), sigma=0.1, kind=kind)
    job = prepared_job(sf.losses.quadratic(np.ones(dim)), rule, np.zeros(dim), device="plain")
    check_size(job, np.array([most]))
    with pytest.raises(
        ValueError, match=rf"record={most + 1}: one path draws at most 2\*\*32 Philox calls, here {most:,} steps;"
    ):
        check_size(job, np.array([most + 1]))
