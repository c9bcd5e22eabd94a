"""The backend PyTorch, on one thread and in blocks that stay in the cache: step by step, or with chunks of steps compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..work import Answer, Backend, Run, Work
from .arrays import begin, joined, walk

BLOCK = 2**14  # paths per block; larger arrays would not stay in the cache
CHUNK = 16  # steps whose normals are drawn at once, or which are compiled together


def torch(dtype: str = "float32", compiled: bool = False) -> Callable[[Work], Run]:
    """Returns prepare(work) for float32 or float64. With compiled=True, torch.compile takes CHUNK steps at a time.

    Their numbers are drawn before by torch.randn, which is vectorised.
    """

    def prepare(work: Work) -> Run:
        import torch as library

        library.set_num_threads(1)
        library.manual_seed(0)
        real = getattr(library, dtype)
        size = min(work.paths, BLOCK)

        def steps(s: tuple[Any, ...], z: Any, count: int) -> tuple[Any, ...]:
            for k in range(count):
                s = work.step(library, s, z[k] if work.draws else None, work.gradient)
            return s

        fused = library.compile(steps, dynamic=False) if compiled else None

        def numbers(count: int, n: int) -> Any:
            shape = (count, work.draws, n)
            if work.kind == "sign":
                return 1 - 2 * library.randint(0, 2, shape, dtype=real)
            return library.randn(shape, dtype=real)

        @library.no_grad()
        def run() -> Answer:
            parts = []
            for a in range(0, work.paths, size):
                b = min(a + size, work.paths)
                s = begin(work, library, a, b, real)
                parts.append(
                    _chunks(work, library, s, numbers, fused, b - a)
                    if fused
                    else walk(work, library, s, _stream(numbers, b - a) if work.draws else lambda: None)
                )
            return joined(work, library, parts)

        return run

    return prepare


def _stream(numbers: Callable[[int, int], Any], n: int) -> Callable[[], Any]:
    left: list[Any] = []

    def draw() -> Any:
        if not left:
            left.extend(numbers(CHUNK, n))
        return left.pop()

    return draw


def _chunks(work: Work, library: Any, s: tuple[Any, ...], numbers: Any, fused: Any, n: int) -> Any:
    seen = []
    for _ in range(work.times):
        for done in range(0, work.every, CHUNK):
            count = min(CHUNK, work.every - done)
            s = fused(s, numbers(count, n) if work.draws else None, count)
        if work.keep == "moments":
            f = work.feature(library, s)  # type: ignore[misc]
            seen.append(library.stack([f.sum(-1), (f * f).sum(-1)]))
    return s, seen


FLOAT64 = Backend("PyTorch float64", torch("float64"), needs="torch", share=1 / 8)
BACKENDS = (
    Backend("PyTorch float32", torch("float32"), needs="torch", share=1 / 8),
    Backend("PyTorch float32, compiled", torch("float32", True), needs="torch", share=1 / 8, late=True),
)
