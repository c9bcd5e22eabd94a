"""C++ with intrinsics (yardstick.cpp), compiled when first used; it shows the practical limit of one thread."""

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
    """Wraps call(yardstick, work) -> answer. Its ratio refers to samfast's compiled program alone, which does the same work."""

    def prepare(work: Work) -> Run:
        yard = compiled()
        return lambda: call(yard, work)

    return Backend(name, prepare, against=kernel)


def moments(work: Work, sums: Any) -> Answer:
    """Returns the answer of a work with keep="moments" from the yardstick's sums over the paths."""
    return {key: np.asarray(x).T / work.paths for key, x in zip(("first", "second"), sums, strict=True)}
