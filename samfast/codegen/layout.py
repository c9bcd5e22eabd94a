"""Where a program keeps its state, its parameters and its random numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .. import tracing as T
from ..model.parameters import TABLE
from .compose import Traced


def stride(draws: int, unit: int) -> int:
    """Numbers that a step owns: `draws` rounded up so that calls of `unit` numbers serve whole steps."""
    return -(-draws // unit) * unit if draws > unit else 1 << (draws - 1).bit_length() if draws else 0


@dataclass(frozen=True)
class Layout:
    """Rows of the state, columns of the parameters, and numbers of a step, by the names that the text uses.

    A vector has one row for each coordinate. A wide program keeps the rows of one coordinate side by side (w_0, v_0, w_1,
    v_1, ...), any other program those of one vector (w_0, w_1, ..., v_0, v_1, ...). Single numbers come behind all vectors.
    """

    dim: int
    spread: dict[str, int]  # vectors of the state -> place among the rows of one coordinate
    single: dict[str, int]  # single numbers of the state -> row
    rows: dict[str, tuple[int, ...]]  # name in `Program.rows` -> its rows
    state_rows: int
    columns: tuple[tuple[str, int], ...]  # (name, size) of the parameters that all paths share
    tables: dict[str, tuple[int, int]]  # parameters with a value for each update -> (first column, how many)
    vectors: dict[str, int]  # vector parameters that all paths share -> first column
    numbers: dict[str, int]  # noise vectors of a wide program -> number of coordinate 0 within a step
    signs: int  # signs in one word of noise, 0 where the noise is normal


def lay_out(traced: Traced, dim: int, per_path: frozenset[str], signs: int) -> Layout:
    """The layout of a program. Parameters that differ from path to path are rows of the state that no step changes."""
    sizes = {k: 1 if isinstance(v, T.Expr) else len(v) for k, v in traced.new.items() if isinstance(v, T.Expr) or k == "m"}
    spread = [k for k in traced.new if k not in sizes]
    for k in sorted(per_path):
        if isinstance(traced.params[k], T.Expr):
            sizes[f"p_{k}"] = 1
        else:
            spread.append(f"p_{k}")
    rows: dict[str, tuple[int, ...]] = {}
    for s, k in enumerate(spread):
        rows[k] = tuple(i * len(spread) + s if traced.wide else s * dim + i for i in range(dim))
    at, single = dim * len(spread), {}
    for k, n in sizes.items():
        rows[k] = tuple(range(at, at + n))
        single.update({k if n == 1 and k != "m" else f"{k}_{i}": at + i for i in range(n)})
        at += n
    state_rows = at
    common = {k: v for k, v in traced.params.items() if k not in per_path}
    scalars = [k for k, v in common.items() if isinstance(v, T.Expr)]
    vectors = [k for k in common if k not in scalars]
    at, found = len(scalars) + dim * len(vectors), {}
    for k, n in traced.tables.items():
        found[f"p_{k}"] = at, n
        at += n
    return Layout(
        dim=dim,
        spread={k: s for s, k in enumerate(spread)},
        single=single,
        rows=rows,
        state_rows=state_rows,
        columns=(*((k, 1) for k in scalars), *((k, dim) for k in vectors), *((k + TABLE, n) for k, n in traced.tables.items())),
        tables=found,
        vectors={f"p_{k}": len(scalars) + i * dim for i, k in enumerate(vectors)},
        numbers=dict(traced.noise),
        signs=signs,
    )


def column_names(traced: Traced, layout: Layout) -> list[str]:
    """How the text calls the columns of the parameters."""
    columns = [(k, n) for k, n in layout.columns if k in traced.params]
    return [f"p_{k}" if isinstance(traced.params[k], T.Expr) else f"p_{k}_{i}" for k, n in columns for i in range(n)]


def entries(layout: Layout, place: Callable[[str], str]) -> list[str]:
    """Statements that read the present values of the parameters given for each update. place: the text of a column's number."""
    return [
        f"{k} = {place(f'{first} + (k if k < {n - 1} else {n - 1})')}" if n > 1 else f"{k} = {place(str(first))}"
        for k, (first, n) in layout.tables.items()
    ]
