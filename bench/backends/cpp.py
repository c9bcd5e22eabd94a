"""C++ with intrinsics (yardstick.cpp), compiled on the spot: the practical limit of one thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .. import yardstick
from ..work import Answer, Backend, MissingError, Run, Work


@cache
def compiled() -> yardstick.Yardstick:
    try:
        return yardstick.load()
    except (RuntimeError, OSError) as error:
        raise MissingError(str(error).splitlines()[0]) from None


def backend(call: Callable[[yardstick.Yardstick, Work], Answer], name: str = "C++", kernel: str = "samfast kernel") -> Backend:
    """call(yardstick, work) -> answer; compared with the compiled program of samfast by itself."""

    def prepare(work: Work) -> Run:
        yard = compiled()
        return lambda: call(yard, work)

    return Backend(name, prepare, against=kernel)


def moments(work: Work, sums: Any) -> Answer:
    """Of its sums over the paths."""
    return {key: np.asarray(x).T / work.paths for key, x in zip(("first", "second"), sums, strict=True)}
