"""Pieces of kernel files, and the form of generated functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files


@cache
def blocks_of(name: str) -> tuple[str, tuple[str, ...]]:
    """A kernel file below its mark, as blocks that two empty lines part."""
    text = files("samfast.kernels").joinpath(name + ".py").read_text(encoding="utf-8")
    mark = "# --- target" if "# --- target" in text else "# linked:"
    head, _, body = text.partition(mark)
    body = body.partition("\n")[2]
    imports = "\n".join(line for line in head.splitlines() if line.startswith(("import ", "from ")))
    return imports, tuple(b.strip("\n") for b in body.strip("\n").split("\n\n\n") if b.strip())


_DEFINITION = re.compile(r"^@\w+.*\ndef (\w+)", re.S)


def defines(block: str) -> str | None:
    match = _DEFINITION.match(block) if block.startswith("@") else None
    return match[1] if match else None


@cache
def library(name: str, used: frozenset[str]) -> tuple[str, ...]:
    """The blocks of a kernel file: all constants, and the functions that are used or called by those."""
    _, blocks = blocks_of(name)
    functions = {n: b for b in blocks if (n := defines(b))}
    need, stack = set(), [u for u in used if u in functions]
    while stack:
        f = stack.pop()
        if f not in need:
            need.add(f)
            stack += [g for g in functions if g != f and re.search(rf"\b{g}\(", functions[f])]
    return tuple(b for b in blocks if (n := defines(b)) is None or n in need) if need else ()


def row(items: Sequence[str]) -> str:
    return "(" + "".join(f"{x}, " for x in items).strip() + ")"


def function(kind: str, signature: str, doc: str, body: Sequence[str]) -> str:
    lines = [f"@{kind}", f"def {signature}:"] + ([f'    """{doc}"""'] if doc else []) + ["    " + b for b in body]
    return "\n".join(lines)
