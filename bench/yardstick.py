"""Builds, calls, checks and times `yardstick.cpp`, C++ that shows how fast one thread can be.

`load()` compiles it for this machine and returns a `Yardstick`, so that a benchmark can interleave it with
samfast in one process; `python bench/yardstick.py` prints its speeds beside its checks.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).with_name("yardstick.cpp")
# Contraction is off because a*b + c must not become fma where the stream does not say so.
FLAGS = [
    "-O3",
    "-march=native",
    "-std=c++17",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-shared",
    "-fPIC",
    "-w",
]  # the last flag is there because g++ 12 warns about its own AVX-512 headers

_POINTER, _COUNT, _WORD, _REAL = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64, ctypes.c_double
_RUN = [_WORD, _COUNT, _POINTER, _COUNT]
_LINEAR = [*_RUN, _REAL, _REAL, _REAL, _WORD, _POINTER, _POINTER]
_BEALE = [_POINTER, _POINTER, _COUNT, _COUNT, _REAL, _REAL]
_NORMALS = [_WORD, _COUNT, _COUNT, _WORD, _POINTER]
_SIGNATURES = {
    "linear_float32": _LINEAR,
    "linear_mixed": _LINEAR,
    "linear_float64": _LINEAR,
    "two_point_float32": _LINEAR,
    "two_point_float64": _LINEAR,
    "heavy_ball_mixed": [*_RUN, _REAL, _REAL, _REAL, _REAL, _WORD, _POINTER, _POINTER],
    "settings_mixed": [*_RUN, _POINTER, _POINTER, _REAL, _WORD, _POINTER, _POINTER],
    "beale_gd": _BEALE,
    "beale_sam": _BEALE,
    "beale_normalised": _BEALE,
    "quadratic": [_POINTER, _COUNT, _COUNT, _COUNT, _POINTER, _REAL, _REAL],
    "words": [_WORD, _COUNT, _COUNT, _WORD, ctypes.c_uint32, _POINTER],
    "normals_float32": _NORMALS,
    "normals_float64": _NORMALS,
}


class Yardstick:
    """The compiled yardstick. A number of paths must be a multiple of 16; a method runs in its caller's thread."""

    def __init__(self, library: Path):
        self.path = library
        self._lib = ctypes.CDLL(str(library))
        for name, types in _SIGNATURES.items():
            getattr(self._lib, name).argtypes = types
            getattr(self._lib, name).restype = ctypes.c_int if name == "quadratic" else None
        self.isa = {256: "avx2", 512: "avx512"}[self._lib.width()]

    def linear(self, kind, a, s, w0, record, paths, first=0, seed=0):
        """w <- a w + s z from w0; kind "float32", "mixed" (float64 state, float32 normals) or "float64".

        Returns the sums over paths of w - w0 and (w - w0)^2 after each number of steps in `record`.
        """
        return self._sums(f"linear_{kind}", 4, (a, s, w0), s, record, paths, first, seed)

    def two_point(self, kind, a, s, w0, record, paths, first=0, seed=0):
        """Runs the recursion of `linear` with z = 1 or -1; kind "float32" or "float64"."""
        return self._sums(f"two_point_{kind}", 128, (a, s, w0), s, record, paths, first, seed)

    def heavy_ball(self, b, c, s, w0, record, paths, first=0, seed=0):
        """Runs v <- b v - c w + s z, w <- w + v with float64 state and float32 normals; returns sums as `linear` does."""
        return self._sums("heavy_ball_mixed", 4, (b, c, s, w0), s, record, paths, first, seed)

    def settings(self, a, s, w0, record, paths, first=0, seed=0):
        """Runs 32 settings of `linear` on shared noise; returns sums of shape (32, records)."""
        a, s = (np.ascontiguousarray(x, dtype=np.float64) for x in (a, s))
        if a.shape != (32,) or s.shape != (32,):
            raise ValueError("a and s need 32 values each")
        values = (a.ctypes.data, s.ctypes.data, w0)
        return self._sums("settings_mixed", 4, values, s, record, paths, first, seed, (32,))

    def beale(self, rule, x, y, steps, lr, rho=0.0):
        """Descends on Beale's function and overwrites x and y with the ends; rule "gd", "sam" or "normalised"."""
        if x.shape != y.shape or x.ndim != 1:
            raise ValueError("x and y must be vectors of one length")
        paths = _check(x.size, x, y)
        getattr(self._lib, f"beale_{rule}")(x.ctypes.data, y.ctypes.data, paths, steps, lr, rho)

    def quadratic(self, w, eigenvalues, steps, lr, rho):
        """Runs normalised SAM on sum(eigenvalues w^2)/2 and overwrites w, whose shape is (dim, paths) with dim up to 64."""
        eigenvalues = np.ascontiguousarray(eigenvalues, dtype=np.float64)
        dim, paths = w.shape
        if eigenvalues.shape != (dim,):
            raise ValueError("one eigenvalue per row of w")
        if self._lib.quadratic(w.ctypes.data, _check(paths, w), dim, steps, eigenvalues.ctypes.data, lr, rho):
            raise ValueError("dim must be at most 64")

    def words(self, paths, calls, first=0, seed=0, tag=0):
        """Returns the random words of the stream, in the shape (paths, 4*calls)."""
        out = np.empty((_check(paths), 4 * calls), dtype=np.uint32)
        self._lib.words(first, paths, calls, seed, tag, out.ctypes.data)
        return out

    def normals(self, paths, calls, dtype="float64", first=0, seed=0):
        """Returns the normals of the stream with tag 0, in the shape (paths, 4*calls)."""
        out = np.empty((_check(paths), 4 * calls), dtype=dtype)
        getattr(self._lib, f"normals_{out.dtype.name}")(first, paths, calls, seed, out.ctypes.data)
        return out

    def _sums(self, name, multiple, values, s, record, paths, first, seed, shape=()):
        record = np.ascontiguousarray(record, dtype=np.int64)
        if np.any(record % multiple) or np.any(np.diff(record, prepend=0) < 0):
            raise ValueError(f"recorded steps must ascend and be multiples of {multiple}")
        if not np.all(np.greater(s, 0)):
            raise ValueError("s must be positive: the state is kept in units of s")
        if first >> 32 != (first + paths - 1) >> 32:
            raise ValueError("one call must not cross a path number that is a multiple of 2^32")
        one, two = np.zeros((2, *shape, record.size))
        getattr(self._lib, name)(
            first, _check(paths), record.ctypes.data, record.size, *values, seed, one.ctypes.data, two.ctypes.data
        )
        return one, two


def _check(paths, *arrays):
    if paths % 16:
        raise ValueError("the number of paths must be a multiple of 16")
    if any(a.dtype != np.float64 or not a.flags.c_contiguous for a in arrays):
        raise ValueError("arrays changed in place must be C-contiguous float64")
    return paths


def load(compiler: str = "g++") -> Yardstick:
    """Loads the library, compiled if needed; its file name holds a hash of source, flags, compiler version and CPU."""
    command = [os.environ.get("CXX", compiler), *FLAGS]
    try:  # the predefined macros tell the compiler's version and the instruction sets that -march=native found
        macros = subprocess.run([*command, "-E", "-dM", "-x", "c++", os.devnull], check=True, capture_output=True)
    except FileNotFoundError:
        raise RuntimeError(f"the yardstick needs {command[0]}: install it or name another in CXX") from None
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{command[0]} failed:\n{error.stderr.decode(errors='replace')}") from None
    if b"__AVX2__" not in macros.stdout or b"__FMA__" not in macros.stdout:
        raise RuntimeError("the yardstick needs a CPU with AVX2 and FMA")
    key = hashlib.sha256(SOURCE.read_bytes() + " ".join(command).encode() + macros.stdout).hexdigest()[:20]
    library = _directory() / f"yardstick_{key}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
            fresh = Path(scratch, library.name)
            built = subprocess.run([*command, str(SOURCE), "-o", fresh], capture_output=True, text=True)
            if built.returncode:
                raise RuntimeError(f"{command[0]} failed:\n{built.stderr}")
            fresh.replace(library)
    return Yardstick(library)


def _directory() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "samfast" / "yardstick"
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(cache, os.W_OK):
            return cache
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="samfast-yardstick-"))


# -------------------------------------------------------------------------------------------------- checks
# Each check returns (passed, text).

A, S, W0, PATHS, STEPS = 0.98, 0.1, 0.7, 4096, 512


def _check_paths(run, step, z, limit=1e-11):
    """Compares the sums of `run(record, paths)` with plain NumPy steps on the same noise z (paths, steps)."""
    record = np.array([z.shape[1] // 2, z.shape[1]])
    v, w, expected = np.zeros(len(z)), np.full(len(z), W0), []
    for k in range(z.shape[1]):
        v, w = step(v, w, z[:, k].astype(np.float64))
        if k + 1 in record:
            expected.append(((w - W0).sum(), ((w - W0) ** 2).sum()))
    error = float(np.max(np.abs(np.transpose(run(record, len(z))) / expected - 1)))
    return error < limit, f"{error:.0e} from NumPy"


def _check_spread(sums, paths, mean, variance):
    """Compares the MSD at the last record with its exact value, in standard errors."""
    exact = variance + mean**2
    error = np.sqrt((2 * variance**2 + 4 * mean**2 * variance) / paths)
    z = float(np.max(np.abs(sums[1][..., -1] / paths - exact) / error))
    return z < 5, f"MSD off by {z:.1f} standard errors"


def _both(one, two):
    return one[0] and two[0], f"{one[1]}, paths {two[1]}"


def _linear_moments(a=A, s=S):
    return (a**STEPS - 1) * W0, s**2 * (1 - a ** (2 * STEPS)) / (1 - a**2)


def _linear_step(v, w, z):
    return v, A * w + S * z


def check_linear(yard, kind):
    paths = 16 * PATHS
    z = yard.normals(208, 16, "float64" if kind == "float64" else "float32", seed=7)
    sums = yard.linear(kind, A, S, W0, [STEPS], paths, seed=7)
    return _both(
        _check_spread(sums, paths, *_linear_moments()),
        _check_paths(
            lambda record, n: yard.linear(kind, A, S, W0, record, n, seed=7),
            _linear_step,
            z,
            limit=1e-4 if kind == "float32" else 1e-11,
        ),
    )


def check_two_point(yard, kind):
    paths = 16 * PATHS
    words = yard.words(208, 2, seed=7)
    z = 1.0 - 2.0 * (words[:, :, None] >> np.arange(31, -1, -1, dtype=np.uint32) & 1).reshape(208, -1)
    sums = yard.two_point(kind, A, S, W0, [STEPS], paths, seed=7)
    return _both(
        _check_spread(sums, paths, *_linear_moments()),
        _check_paths(
            lambda record, n: yard.two_point(kind, A, S, W0, record, n, seed=7),
            _linear_step,
            z,
            limit=1e-4 if kind == "float32" else 1e-11,
        ),
    )


def check_heavy_ball(yard):
    b, c, paths = 0.9, 0.01, 4 * PATHS
    matrix, mean, cov = np.array([[b, -c], [b, 1 - c]]), np.array([0, W0]), np.zeros((2, 2))
    for _ in range(STEPS):  # moments of (v, w)
        mean, cov = matrix @ mean, matrix @ cov @ matrix.T + S**2

    def step(v, w, z):
        v = b * v - c * w + S * z
        return v, w + v

    sums = yard.heavy_ball(b, c, S, W0, [STEPS], paths, seed=7)
    return _both(
        _check_spread(sums, paths, mean[1] - W0, cov[1, 1]),
        _check_paths(
            lambda record, n: yard.heavy_ball(b, c, S, W0, record, n, seed=7), step, yard.normals(208, 16, "float32", seed=7)
        ),
    )


def check_settings(yard):
    a, s = np.linspace(0.9, 0.99, 32), np.linspace(0.05, 0.2, 32)
    a[5], s[5] = A, S
    z = yard.normals(208, 16, "float32", seed=7)
    sums = yard.settings(a, s, W0, [STEPS], PATHS, seed=7)
    return _both(
        _check_spread(sums, PATHS, *_linear_moments(a, s)),
        _check_paths(lambda record, n: [x[5] for x in yard.settings(a, s, W0, record, n, seed=7)], _linear_step, z),
    )


def check_words(yard):
    rng = np.random.default_rng(1)
    same = " ".join(f"{w:08x}" for w in yard.words(16, 1)[0]) == "6627e8d5 e169c58d bc57ac4c 9b00dbd8"
    for seed, tag, first in rng.integers(0, 2**32, (5, 3), dtype=np.uint64):  # any key, tag, path
        seed, first = int(seed) * 0x100000001, int(first) * 2**32 + 5
        mine = yard.words(16, 3, first, seed, int(tag))
        same &= all(
            (mine[p, 4 * c : 4 * c + 4] == _philox((c, int(tag), first + p), seed)).all() for p in range(16) for c in range(3)
        )
    return bool(same), "known answer, and plain Python at random keys"


def _philox(counter, seed):
    c0, c1, c2, c3 = counter[0], counter[1], counter[2] & 0xFFFFFFFF, counter[2] >> 32
    for r in range(10):
        k0, k1 = seed + r * 0x9E3779B9 & 0xFFFFFFFF, (seed >> 32) + r * 0xBB67AE85 & 0xFFFFFFFF
        p, q = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (q >> 32) ^ c1 ^ k0, q & 0xFFFFFFFF, (p >> 32) ^ c3 ^ k1, p & 0xFFFFFFFF
    return np.array([c0, c1, c2, c3], dtype=np.uint32)


def check_normals(yard, dtype, limit):
    """Compares normals with NumPy's functions on the same words; `limit` allows for the stream's own polynomials."""
    words = yard.words(1024, 64, seed=3)
    a, b = words[:, 0::2], words[:, 1::2].view(np.int32)
    x = (a & 0x7FFFFFFF).astype(dtype).astype(np.float64)  # the stream is defined with this rounding to float32
    u = ((x + 0.5) * 2.0**-31).astype(dtype).astype(np.float64)
    t = b.astype(dtype).astype(np.float64) * 2.0**-31
    radius = np.sqrt(-2 * np.log(u)) * np.where(a >> 31, -1, 1)
    z = yard.normals(1024, 64, dtype, seed=3).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = max(
            np.nanmax(np.abs(z[:, i::2] - radius * f(np.pi / 2 * t)) / np.abs(radius)) for i, f in enumerate((np.cos, np.sin))
        )
    return bool(error < limit), f"{error:.1e} of the radius"


def _beale_gradient(x, y):
    p, q, r = 1 - y, 1 - y**2, 1 - y**3
    a, b, c = 1.5 - x * p, 2.25 - x * q, 2.625 - x * r
    return np.array([-2 * (a * p + b * q + c * r), 2 * x * (a + 2 * y * b + 3 * y**2 * c)])


def _plain(gradient, w, steps, lr, rho, normalise):
    for _ in range(steps):
        g = gradient(w)
        w = w - lr * gradient(w + rho * (g / np.sqrt((g * g).sum(0)) if normalise else g))
    return w


def _box(paths):
    rng = np.random.default_rng(5)
    return rng.uniform(0.5, 1.5, paths), rng.uniform(-0.3, 0.3, paths)


def _agree(got, expected):
    error = float(np.max(np.abs(got - expected) / np.maximum(1, np.abs(expected))))
    return error < 1e-12, f"{error:.1e} from NumPy"


def check_beale(yard, rule):
    x, y = _box(208)
    rho = 0.0 if rule == "gd" else 0.05
    expected = _plain(lambda w: _beale_gradient(*w), np.array([x, y]), 200, 1e-3, rho, rule == "normalised")
    yard.beale(rule, x, y, 200, 1e-3, rho)
    return _agree(np.array([x, y]), expected)


def _bowl(dim, paths):
    return np.random.default_rng(6).uniform(-1, 1, (dim, paths)), np.linspace(-0.5, 2, dim)


def check_quadratic(yard):
    results = []
    for dim, paths in ((16, 208), (6, 64)):
        w, eig = _bowl(dim, paths)
        expected = _plain(lambda v, eig=eig: eig[:, None] * v, w, 200, 1e-2, 0.05, True)
        yard.quadratic(w, eig, 200, 1e-2, 0.05)
        results.append(_agree(w, expected))
    return all(ok for ok, _ in results), results[0][1]


# -------------------------------------------------------------------------------------------------- table


def workloads(yard):
    """Returns name -> (call, path-steps per call, check); a call takes a few milliseconds."""
    table = {}
    for kind in ("float32", "mixed", "float64"):
        table[f"linear, {kind}"] = (
            partial(yard.linear, kind, A, S, W0, [512, 1024], 4096),
            4096 * 1024,
            partial(check_linear, yard, kind),
        )
    for kind in ("float32", "float64"):  # blocks of 96 lanes
        table[f"two-point, {kind}"] = (
            partial(yard.two_point, kind, A, S, W0, [4096, 8192], 3840),
            3840 * 8192,
            partial(check_two_point, yard, kind),
        )
    table["heavy ball, mixed"] = (
        partial(yard.heavy_ball, 0.9, 0.01, S, W0, [512, 1024], 4096),
        4096 * 1024,
        partial(check_heavy_ball, yard),
    )
    a, s = np.linspace(0.9, 0.99, 32), np.linspace(0.05, 0.2, 32)
    table["32 settings, mixed (each)"] = (
        partial(yard.settings, a, s, W0, [512, 1024], 1024),
        32 * 1024 * 1024,
        partial(check_settings, yard),
    )
    for rule in ("gd", "sam", "normalised"):
        table[f"Beale {rule}, float64"] = (
            partial(yard.beale, rule, *_box(4096), 1024, 1e-3, 1e-3),
            4096 * 1024,
            partial(check_beale, yard, rule),
        )
    table["quadratic d=16, normalised"] = (
        partial(yard.quadratic, *_bowl(16, 1024), 1024, 1e-2, 1e-2),
        1024 * 1024,
        partial(check_quadratic, yard),
    )
    return table


def measure(calls, repeats=21):
    """Returns the seconds of CPU time of each call; the calls take turns because the speed of a shared machine drifts."""
    times = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.thread_time_ns()
            call()
            times[name].append((time.thread_time_ns() - start) * 1e-9)
    return times


def main() -> int:
    yard = load()
    print(f"yardstick, {yard.isa}, one thread")
    checks = {
        "words": check_words(yard),
        "normals, float32": check_normals(yard, "float32", 5e-7),
        "normals, float64": check_normals(yard, "float64", 4e-11),
    }
    for name, (ok, text) in checks.items():
        print(f"  {name:<28}{'ok' if ok else 'WRONG':<7}{text}")
    table = workloads(yard)
    times = measure({name: call for name, (call, _, _) in table.items()})
    print(f"  {'workload':<28}{'ns per path-step':>17}{'best':>8}   check")
    for name, (_, count, check) in table.items():
        checks[name] = ok, text = check()
        median, best = np.median(times[name]) / count * 1e9, min(times[name]) / count * 1e9
        print(f"  {name:<28}{median:>17.3f}{best:>8.3f}   {'ok' if ok else 'WRONG':<7}{text}")
    return 0 if all(ok for ok, _ in checks.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
