"""Functions that several programs of a process have in common are compiled once, for the first of them."""

from __future__ import annotations

from types import FunctionType
from typing import Any

from .files import digest
from .numba_private import definition, options

_functions: dict[bytes, Any] = {}  # compiled functions by what they are made of: programs share them


def share(names: dict[str, Any]) -> None:
    """Replace functions of a module by equal ones of an earlier module of this process, which may be compiled already."""
    for name, value in list(names.items()):
        if hasattr(value, "py_func") and name != "run":
            names[name] = _functions.setdefault(_made_of(value, {}), value)


def _made_of(compiled: Any, seen: dict[int, bytes]) -> bytes:
    """A digest of a function: its options, its code, and all that its code names, however deep."""
    if id(compiled) in seen:
        return seen[id(compiled)]
    seen[id(compiled)] = b"itself"
    function = definition(compiled) or compiled
    parts, codes = [repr((type(compiled), options(compiled))).encode()], [function.__code__]
    while codes:
        code = codes.pop()
        parts += [repr((code.co_name, code.co_code, code.co_names, code.co_varnames)).encode()]
        parts += [repr(c).encode() for c in code.co_consts if not hasattr(c, "co_code")]
        codes += [c for c in code.co_consts if hasattr(c, "co_code")]
        for name in code.co_names:
            value = function.__globals__.get(name)
            deep = definition(value) is not None or _own(value, function)
            parts += [name.encode(), _made_of(value, seen) if deep else repr((type(value), value)).encode()]
    seen[id(compiled)] = digest(b"\0".join(parts))
    return seen[id(compiled)]


def _own(value: Any, function: Any) -> bool:
    """Whether a value is a function that is not compiled, of the same module."""
    return isinstance(value, FunctionType) and value.__globals__ is function.__globals__
