"""Where the rows of a program's state and the columns of its parameters live, and how many paths run side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .. import tracing as T
from ..model.loss import Loss
from ..model.rule import Rule
from .compose import Traced
from .program import BLOCK

# At most this many paths: lanes are 8 (32 with normals, which are drawn a vector at a time) instead of a block.
FEW, WITH_NORMALS = 8, 32


def stride(draws: int, unit: int) -> int:
    """Numbers that a step owns: n rounded up so that calls (of `unit` numbers) serve whole steps."""
    return -(-draws // unit) * unit if draws > unit else 1 << (draws - 1).bit_length() if draws else 0


@dataclass(frozen=True)
class Places:
    """Where the state and the parameters of a program live."""

    spread: list[str]  # names with one row per coordinate
    single: dict[str, int]  # names of one number each -> row
    rows: dict[str, tuple[int, ...]]  # name -> its rows
    state_rows: int
    columns: tuple[tuple[str, int], ...]  # (name, size) of the parameters that all paths share


def places(traced: Traced, dim: int, per_path: frozenset[str]) -> Places:
    """Rows of vectors first, coordinate by coordinate in a wide program; then those of single numbers."""
    single = {k: 1 if isinstance(v, T.Expr) else len(v) for k, v in traced.new.items() if k in ("alarm", "m")}
    spread = [k for k in traced.new if k not in single]
    for k in sorted(per_path):
        if isinstance(traced.params[k], T.Expr):
            single[f"p_{k}"] = 1
        else:
            spread.append(f"p_{k}")
    rows: dict[str, tuple[int, ...]] = {}
    for s, k in enumerate(spread):
        rows[k] = tuple(i * len(spread) + s if traced.wide else s * dim + i for i in range(dim))
    at, numbers = dim * len(spread), {}
    for k, n in single.items():
        rows[k] = tuple(range(at, at + n))
        numbers.update({k if n == 1 and k != "m" else f"{k}_{i}": at + i for i in range(n)})
        at += n
    common = [(k, v) for k, v in traced.params.items() if k not in per_path]
    scalars = [(k, 1) for k, v in common if isinstance(v, T.Expr)]
    return Places(spread, numbers, rows, at, tuple(scalars + [(k, dim) for k, v in common if not isinstance(v, T.Expr)]))


def column_names(traced: Traced, columns: Sequence[tuple[str, int]]) -> list[str]:
    """What the text calls the columns of the parameters."""
    return [f"p_{k}" if n == 1 and isinstance(traced.params[k], T.Expr) else f"p_{k}_{i}" for k, n in columns for i in range(n)]


@dataclass
class Layout:
    """Where the names of a wide program live."""

    dim: int
    rows: Mapping[str, int]  # wide row names -> place within a coordinate's rows
    per: int  # rows per coordinate
    single: Mapping[str, int]  # narrow row names -> row, counted from the start
    vectors: Mapping[str, int]  # wide parameters -> first column of `params`
    numbers: Mapping[str, int]  # wide noise -> number of coordinate 0
    signs: int = 0  # bits per word of sign noise, 0 for normals


def wide_layout(traced: Traced, dim: int, at: Places, signs: int) -> Layout:
    """The layout of a wide program."""
    first, vectors = 0, {}
    for k, n in at.columns:
        if not isinstance(traced.params[k], T.Expr):
            vectors[f"p_{k}"] = first
        first += n
    return Layout(dim, {k: s for s, k in enumerate(at.spread)}, len(at.spread), at.single, vectors, dict(traced.noise), signs)


def lanes(loss: Loss, rule: Rule, paths: int, device: str) -> int:
    """Paths that a program runs side by side."""
    normals = (rule.draws and rule.kind == "normal") or (loss.samples and loss.kind == "normal")
    if device == "cuda":
        return BLOCK
    few = WITH_NORMALS if normals and device == "cpu" else FEW
    return few if paths <= few else BLOCK
