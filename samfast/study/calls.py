"""The call that a saved study or comparison names, read as data: nothing of it is executed."""

from __future__ import annotations

import ast
from typing import Any, NamedTuple

from ..checks import check, shown

FUNCTIONS = ("msd", "paired_msd", "exit_times")
ARGUMENTS = ("paths", "until")  # of .more


class Call(NamedTuple):
    """sf.function(**given), then .more(**each) for each of `more`."""

    function: str
    given: dict[str, Any]
    more: tuple[dict[str, Any], ...]


def read(text: str) -> Call:
    """The call in an attribute of a dataset; ValueError for one that samfast would not have written."""
    try:
        node: Any = ast.parse(text, mode="eval").body
        more: list[dict[str, Any]] = []
        while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "more":
            more.append(_keywords(node))
            node = node.func.value
        name = node.func.attr
        good = isinstance(node.func.value, ast.Name) and node.func.value.id == "sf" and name in FUNCTIONS
        good &= all(set(each) <= set(ARGUMENTS) for each in more)
        check(good, f"call={shown(text)}: it is none of sf.{', sf.'.join(FUNCTIONS)}")
        return Call(name, _keywords(node), tuple(reversed(more)))
    except (SyntaxError, AttributeError, TypeError, RecursionError, MemoryError):
        raise ValueError(f"call={shown(text)}: this is no call of samfast; compute the study anew") from None


def _keywords(node: ast.Call) -> dict[str, Any]:
    check(not node.args and all(k.arg for k in node.keywords), "call: it has other arguments than named ones")
    return {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
