"""A CUDA C kernel written by hand for the linear diffusion on stream v1; it shows the practical limit of one GPU."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

import samfast as sf

from .work import Run, Work, WrongError
from .workloads import linear

SHOWN = 256  # paths that are compared with samfast's bit by bit
OPTIONS = ("--fmad=false",)
SOURCE = r"""
typedef unsigned int u32;

__device__ float radius(u32 a) {                                // the signed radius of a pair of normals
    float u = fmaf((float)(int)(a & 0x7fffffffu), 4.656612873077393e-10f, 2.3283064365386963e-10f);
    int n = __float_as_int(u) - 0x3F3504F3;
    float e = (float)(n >> 23), f = __int_as_float((n & 0x7fffff) + 0x3F3504F3) - 1.0f;
    float q = fmaf(0.20213528628053548f, f, -0.324450489306088f);
    q = fmaf(q, f, 0.3450169633846033f);
    q = fmaf(q, f, -0.39800346387693714f);
    q = fmaf(q, f, 0.49939816553920879f);
    q = fmaf(q, f, -0.66670117357308745f);
    q = fmaf(q, f, 1.0000073026642764f);
    q = fmaf(q, f, -1.9999998906458434f);
    float r = sqrtf(fmaf(q, f, e * -1.3862943611198906f));
    return __int_as_float(__float_as_int(r) ^ (int)(a & 0x80000000u));
}

__device__ void turned(float r, u32 b, float &x, float &y) {    // both of them
    float t = (float)(int)b * 4.656612873077393e-10f, v = t * t;
    float s = fmaf(fmaf(fmaf(fmaf(0.00015148512897354376f, v, -0.0046737666087941941f), v, 0.07968967894545817f), v,
                        -0.64596371059933533f), v, 1.5707963184476774f);
    float c = fmaf(fmaf(fmaf(-0.00084564689871526521f, v, 0.019938066009270557f), v, -0.23369421095892251f), v,
                   0.9999997921734991f);
    x = fmaf(-r, v, r) * c;
    y = r * t * s;
}

__device__ void normals(u32 call, u32 low, u32 high, u32 k0, u32 k1, float *z) {
    u32 c0 = call, c1 = 0, c2 = low, c3 = high;                 // Philox4x32-10
    for (int round = 0; round < 10; round++) {
        u32 p = __umulhi(0xD2511F53u, c0), q = __umulhi(0xCD9E8D57u, c2);
        u32 low0 = 0xD2511F53u * c0, low2 = 0xCD9E8D57u * c2;
        c0 = q ^ c1 ^ k0; c1 = low2; c2 = p ^ c3 ^ k1; c3 = low0;
        k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
    }
    turned(radius(c0), c1, z[0], z[1]);
    turned(radius(c2), c3, z[2], z[3]);
}

extern "C" __global__ void linear(long long n, int every, int times, unsigned long long seed, REAL a, REAL c, REAL *out) {
    long long x = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (x >= n) return;
    REAL w = 0;
    u32 call = 0;
    for (int r = 0; r < times; r++) {
        for (int k = 0; k < every; k += 4, call++) {
            float z[4];
            normals(call, (u32)x, (u32)((unsigned long long)x >> 32), (u32)seed, (u32)(seed >> 32), z);
            for (int i = 0; i < 4; i++) w = STEP;
        }
        out[r * n + x] = w;
    }
}
"""
STEPS = {"float32": ("float", "fmaf(-a,w,fmaf(-c,z[i],w))"), "mixed": ("double", "fma(a,w,-(c*(double)z[i]))")}


def source(mode: str) -> str:
    """Returns the CUDA C of a mode, "float32" or "mixed". It has samfast's operations in samfast's order, for equal bits."""
    real, step = STEPS[mode]
    return f"#define REAL {real}\n#define STEP {step}\n{SOURCE}"


def coefficients(mode: str) -> tuple[Any, Any]:
    """Returns a and c of one step, rounded as samfast rounds them. In float32 the step is w <- (w - c z) - a w."""
    if mode == "float32":
        lr, rho, sigma = (np.float32(x) for x in (linear.LR, linear.RHO, linear.SIGMA))
        return lr * (np.float32(1) + rho), lr * sigma
    return np.float64(float(1 - Fraction(linear.LR) * Fraction(1 + linear.RHO))), np.float64(linear.LR * linear.SIGMA)


def machine_code(text: str, options: Sequence[str] = OPTIONS, cc: tuple[int, int] = (9, 0)) -> bytes:
    """Compiles CUDA C by NVRTC, which needs no GPU."""
    from cuda.bindings import nvrtc

    error, program = nvrtc.nvrtcCreateProgram(text.encode(), b"kernel.cu", 0, [], [])
    words = [o.encode() for o in (*options, f"--gpu-architecture=sm_{cc[0]}{cc[1]}")]
    (error,) = nvrtc.nvrtcCompileProgram(program, len(words), words)
    if int(error) != 0:
        log = b" " * nvrtc.nvrtcGetProgramLogSize(program)[1]
        nvrtc.nvrtcGetProgramLog(program, log)
        raise RuntimeError(log.decode(errors="replace"))
    code = b" " * nvrtc.nvrtcGetCUBINSize(program)[1]
    nvrtc.nvrtcGetCUBIN(program, code)
    return code


def prepare(cp: Any, work: Work, mode: str) -> Run:
    """Prepares the linear diffusion and compares its first paths with samfast's, bit by bit."""
    kernel, (a, c), n = cp.RawKernel(source(mode), "linear", options=OPTIONS), coefficients(mode), work.paths
    out = cp.empty((work.times, n), a.dtype)

    def launch() -> Any:
        kernel((-(-n // 256),), (256,), (np.int64(n), np.int32(work.every), np.int32(work.times), np.uint64(0), a, c, out))

    def run() -> dict[str, Any]:
        launch()
        return {"first": out.mean(1, dtype=np.float64), "second": (out * out).mean(1, dtype=np.float64)}

    launch()
    loss, rule, start, given = linear.build(work)
    same = sf.simulate(loss, rule, start, record=work.record, paths=min(n, SHOWN), values=True, dtype=mode, **given)
    differ = int(np.count_nonzero(out[:, :SHOWN].get() != same.values[..., 0]))
    if differ:
        raise WrongError(f"{differ} of {same.values.size} displacements are not samfast's, bit by bit")
    return run
