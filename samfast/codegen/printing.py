"""Expressions become statements without branches: each operation is explicit, each constant has the program's type."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..tracing.expr import BINARY, COMPARE, Expr


def statement(e: Expr, r: Sequence[str]) -> str:
    """The right-hand side of one operation on the names r."""
    if e.op in BINARY:
        return f"{r[0]} {BINARY[e.op]} {r[1]}"
    if e.op in COMPARE:
        return f"{r[0]} {COMPARE[e.op]} {r[1]}"
    if e.op == "where":
        return f"{r[1]} if {r[0]} else {r[2]}"
    return f"{e.op}({', '.join(r)})"


class Printer:
    """Prints statements, and collects the constants (named K0, K1, ...) and functions of all parts of a program."""

    def __init__(self) -> None:
        self.constants: dict[float, str] = {}
        self.functions: set[str] = set()
        self.work = 0  # statements of the last call whose values differ from path to path

    def name(self, value: float) -> str:
        key = 0.0 if value == 0 else value
        return self.constants.setdefault(key, f"K{len(self.constants)}")

    def lines(self, roots: Sequence[Expr], leaf: Callable[[Expr], str | None], suffix: str = "") -> tuple[list[str], list[str]]:
        """(statements, names of the roots). leaf(e) is the name of what needs no statement, None for what must be computed."""
        ref: dict[bytes, str] = {}
        out: list[str] = []
        stack = [(e, False) for e in reversed(roots)]
        self.work = 0
        while stack:
            e, ready = stack.pop()
            if e.key in ref:
                continue
            if not ready:
                known = self.name(e.args[0]) if e.op == "const" else "TINY" if e.op == "tiny" else leaf(e)
                if known is not None:
                    ref[e.key] = known
                    continue
                stack.append((e, True))
                stack.extend((a, False) for a in reversed(e.args) if isinstance(a, Expr))
                continue
            r = [ref[a.key] for a in e.args if isinstance(a, Expr)]
            if e.op == "neg":
                ref[e.key] = f"(-{r[0]})"
                continue
            if e.op not in BINARY and e.op not in COMPARE and e.op not in ("where", "fma", "flip"):
                self.functions.add(e.op)
            self.work += not e.uniform
            ref[e.key] = f"t{len(out)}{suffix}"
            out.append(f"{ref[e.key]} = {statement(e, r)}")
        return out, [ref[e.key] for e in roots]
