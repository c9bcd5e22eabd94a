"""Pieces of kernel files, the form of generated functions, and the module that both make.

A kernel file is cut by its syntax, never by its blank lines: a formatter may set it as it likes.
"""

from __future__ import annotations

import ast
import builtins
import re
import symtable
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

MARKS = "# --- target", "# linked:"  # what stands below the first of them that a file has is linked
ONLY = "  # with stop="  # ends lines of a driver that stand only in programs whose paths may stop
BUILTINS = frozenset(dir(builtins))
_FIRST_FUNCTION = re.compile(r"^def (\w+)", re.M)


@dataclass(frozen=True)
class Block:
    """One function of a kernel file, or the constants and comments between two functions (then `name` is None)."""

    name: str | None
    text: str
    loads: frozenset[str]  # names that the text reads


@cache
def kernel(name: str) -> tuple[str, tuple[Block, ...]]:
    """A kernel file: the imports above its mark, and the blocks below it."""
    head, body = _parted(files("samfast.kernels").joinpath(name + ".py").read_text(encoding="utf-8"), name)
    imports = [s for s in ast.parse(head).body if isinstance(s, ast.Import | ast.ImportFrom)]
    return "\n".join(_source(head, s) for s in imports), tuple(_cut(body))


def _parted(text: str, name: str) -> tuple[str, str]:
    for mark in MARKS:
        head, found, tail = text.partition(mark)
        if found:
            return head, tail.partition("\n")[2]
    raise ValueError(f"kernels/{name}.py: there is no line with {' or '.join(map(repr, MARKS))}; write one below the imports")


def _source(text: str, statement: ast.stmt) -> str:
    return ast.get_source_segment(text, statement) or ""


def _cut(body: str) -> Iterator[Block]:
    """The functions with a decorator, each with the comment that touches it; between them everything else as it stands."""
    lines, at = body.splitlines(), 0

    def between(end: int) -> Iterator[Block]:
        text = "\n".join(lines[at:end]).strip("\n")
        if text:
            yield Block(None, text, _loads(ast.parse(text)))

    for statement in ast.parse(body).body:
        if not isinstance(statement, ast.FunctionDef) or not statement.decorator_list:
            continue
        first, end = statement.decorator_list[0].lineno - 1, statement.end_lineno or statement.lineno
        while first > at and lines[first - 1].startswith("#"):
            first -= 1
        yield from between(first)
        yield Block(statement.name, "\n".join(lines[first:end]), _loads(statement))
        at = end
    yield from between(len(lines))


def _loads(tree: ast.AST) -> frozenset[str]:
    return frozenset(n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))


def blocks_of(name: str) -> tuple[str, tuple[str, ...]]:
    """The imports of a kernel file, and the texts of its blocks."""
    imports, blocks = kernel(name)
    return imports, tuple(b.text for b in blocks)


def drivers_of(name: str, stop: bool) -> list[str]:
    """The texts of the blocks of a driver's file; stop: whether paths may stop, else the lines marked by ONLY are left out."""
    return [
        "\n".join(line.removesuffix(ONLY) for line in text.split("\n") if stop or not line.endswith(ONLY))
        for text in blocks_of(name)[1]
    ]


def defines(block: str) -> str | None:
    """The function that a block defines; None for constants."""
    match = _FIRST_FUNCTION.search(block) if block.startswith(("@", "#")) else None
    return match[1] if match else None


@cache
def library(name: str, used: frozenset[str]) -> tuple[str, ...]:
    """The blocks of a kernel file: all constants, and the functions that are used, or that those read."""
    _, blocks = kernel(name)
    functions = {b.name: b for b in blocks if b.name}
    need: set[str] = set()
    stack = [u for u in used if u in functions]
    while stack:
        f = stack.pop()
        if f not in need:
            need.add(f)
            stack += functions[f].loads & functions.keys()
    return tuple(b.text for b in blocks if b.name is None or b.name in need) if need else ()


def linked(parts: Sequence[str]) -> str:
    """The text of a module, with two empty lines between its parts.

    Raises NameError, with file and function, if a function reads a name that neither the module nor Python has: Numba
    would only say so when it compiles the function, for a program in which it is called.
    """
    text = "\n\n\n".join(parts) + "\n"
    table = symtable.symtable(text, "module", "exec")
    known = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()} | BUILTINS | {"__name__"}
    for function, name in _globals(table):
        if name not in known:
            raise NameError(
                f"{_home(function, parts)}: function {function!r} reads {name!r}, which nothing in its module "
                "defines: define it in a kernel file that is linked, or let the writer generate it"
            )
    return text


def _globals(table: symtable.SymbolTable, owner: str = "") -> Iterator[tuple[str, str]]:
    """(function of the module, name that it or a function within it reads from the module)."""
    for child in table.get_children():
        inside = owner or child.get_name()
        for symbol in child.get_symbols():
            if symbol.is_global() and symbol.is_referenced():
                yield inside, symbol.get_name()
        yield from _globals(child, inside)


def _home(function: str, parts: Sequence[str]) -> str:
    """The kernel file that a function of a module comes from."""
    for file in files("samfast.kernels").iterdir():
        name = file.name.removesuffix(".py")
        if any(mark in file.read_text(encoding="utf-8") for mark in MARKS if file.name.endswith(".py")):
            if any(b.name == function and b.text in parts for b in kernel(name)[1]):
                return f"kernels/{file.name}"
    return "generated text"


def row(items: Sequence[str]) -> str:
    return "(" + "".join(f"{x}, " for x in items).strip() + ")"


def function(kind: str, signature: str, doc: str, body: Sequence[str]) -> str:
    lines = [f"@{kind}", f"def {signature}:"] + ([f'    """{doc}"""'] if doc else []) + ["    " + b for b in body]
    return "\n".join(lines)
