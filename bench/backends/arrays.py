"""The backends NumPy, in blocks that stay in the cache, and CuPy, on whole arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..work import Answer, Backend, MissingError, Run, Work

BLOCK = 2**15  # numbers per array; its 256 kB of float64 and the temporaries fit the second-level cache
SIGNS = 64  # steps whose signs are drawn in one call; each random byte gives eight


def begin(work: Work, xp: Any, a: int, b: int, dtype: Any) -> tuple[Any, ...]:
    """Returns the start of paths a .. b-1; a row that all paths share is repeated for each path."""
    return tuple(
        xp.asarray(np.array(np.broadcast_to(x[..., a:b] if x.shape[-1] > 1 else x, (*x.shape[:-1], b - a))), dtype=dtype)
        for x in work.start
    )


def numpy(work: Work) -> Run:
    """Runs block by block in float64 on SFC64, the fastest of NumPy's generators here."""
    rows = max(int(np.prod(x.shape[:-1])) for x in work.start)
    size = int(max(1, min(work.paths, BLOCK // rows)))

    def run() -> Answer:
        draw = _signs if work.kind == "sign" else _normals
        parts = [
            walk(
                work,
                np,
                begin(work, np, a, min(a + size, work.paths), np.float64),
                draw(np.random.Generator(np.random.SFC64(a)), work.draws, min(size, work.paths - a)),
            )
            for a in range(0, work.paths, size)
        ]
        return joined(work, np, parts)

    return run


def quiet(work: Work) -> Run:
    """Runs `numpy` without its warnings, for work in which some paths diverge."""
    run = numpy(work)

    def silent() -> Answer:
        with np.errstate(all="ignore"):
            return run()

    return silent


def _normals(rng: np.random.Generator, draws: int, n: int) -> Callable[[], Any]:
    z = np.empty((draws, n))
    return lambda: rng.standard_normal(out=z) if draws else z


def _signs(rng: np.random.Generator, draws: int, n: int) -> Callable[[], Any]:
    left: list[np.ndarray] = []

    def draw() -> Any:
        if not left:
            bits = np.unpackbits(np.frombuffer(rng.bytes(SIGNS * draws * -(-n // 8)), np.uint8).reshape(SIGNS, draws, -1), -1)
            left.extend(1.0 - 2.0 * bits[..., :n])
        return left.pop()

    return draw


def walk(work: Work, xp: Any, s: tuple[Any, ...], draw: Callable[[], Any]) -> tuple[Any, list[Any]]:
    """Runs all steps from s; returns the final state and the list of what was recorded, one item per recorded time."""
    seen = []
    for _ in range(work.times):
        for _ in range(work.every):
            s = work.step(xp, s, draw(), work.gradient)
        if work.keep == "moments":
            f = work.feature(xp, s)  # type: ignore[misc]
            seen.append(xp.stack([f.sum(-1), (f * f).sum(-1)]))
        elif work.keep == "values":
            seen.append(stacked(xp, s))
    return s, seen


def stacked(xp: Any, s: tuple[Any, ...]) -> Any:
    return s[0] if s[0].ndim == 2 and len(s) == 1 else xp.stack(s)


def joined(work: Work, xp: Any, parts: list[Any]) -> Answer:
    if work.keep == "state":
        return {"w": xp.concatenate([stacked(xp, s) for s, _ in parts], -1)}
    if work.keep == "values":
        return {"values": xp.concatenate([xp.stack(seen) for _, seen in parts], -1)}
    total = sum(xp.stack(seen) for _, seen in parts) / work.paths
    return {"first": total[:, 0], "second": total[:, 1]}


def cupy(work: Work) -> Run:
    """Runs all paths as one array, with noise of the same dtype; the run returns when the device has finished."""
    import cupy as cp

    if not cp.is_available():
        raise MissingError("CuPy finds no GPU")
    dtype = cp.float32 if work.keep == "moments" else cp.float64

    def run() -> Answer:
        rng = cp.random.Generator(cp.random.XORWOW(0))

        def draw() -> Any:
            if work.kind == "sign":
                return 1 - 2 * rng.integers(0, 2, (work.draws, work.paths)).astype(dtype)
            return rng.standard_normal((work.draws, work.paths), dtype=dtype)

        result = joined(work, cp, [walk(work, cp, begin(work, cp, 0, work.paths, dtype), draw)])
        cp.cuda.Device().synchronize()
        return result

    return run


BACKENDS = (Backend("NumPy", numpy, share=1 / 8), Backend("CuPy", cupy, needs="cupy", clock="wall", threads=0))
