"""A traced model as data, from which its program can be written again without the functions of the user.

A saved run holds a recipe and not the text of its program: text from a file would have to be trusted, while a recipe can only
say which of our own operations to apply to which symbols. `written_again` checks every name, operation and length in it.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Sequence
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

from .. import tracing as T
from ..checks import check, said
from ..tracing.expr import BINARY, COMPARE, UNARY, Expr, topological
from .compose import Traced
from .writer import ModuleSpec

LEAVES = {"const": 1, "var": 3, "sign": 3, "tiny": 0}  # operation -> number of its arguments
INNER = {**dict.fromkeys(UNARY, 1), **dict.fromkeys((*BINARY, *COMPARE, "flip"), 2), "where": 3, "reduce": 1}
ROLES = ("state", "param", "time", "path", "noise")
NAME = re.compile(r"[A-Za-z]\w{0,79}", re.ASCII)
TITLE = re.compile(
    r"[\w+.,:()<> -]{1,400}", re.ASCII
)  # a name of a loss, rule or observer, which stands in the program's docstring
MOST_NODES, MOST_COORDINATES = 10**6, 10**6
LANES, MODES = (1, 8, 32, 256), ("mixed", "float32", "float64")


class Recipe:
    """What a program was written from. It is turned into text when it is saved or pickled, and not before."""

    def __init__(self, spec: ModuleSpec | None, writer: str, text: str = "") -> None:
        self._spec, self.writer, self._text = spec, writer, text

    @property
    def text(self) -> str:
        """The recipe in JSON; ValueError where a name of the model cannot stand in a file."""
        if not self._text:
            assert self._spec is not None
            self._text = encoded(self._spec, self.writer)
        return self._text

    def __reduce__(self) -> Any:
        return Recipe, (None, self.writer, self.text)


def encoded(spec: ModuleSpec, writer: str) -> str:
    """A specification, and the name of its writer, in JSON."""
    numbers: dict[bytes, int] = {}
    nodes: list[list[Any]] = []

    def node(e: Expr) -> int:
        for x in topological([e]):
            if x.key not in numbers:
                args = [numbers[a.key] if isinstance(a, Expr) else repr(a) if isinstance(a, float) else a for a in x.args]
                numbers[x.key] = len(nodes)
                nodes.append([x.op, *args])
        return numbers[e.key]

    def plain(x: Any) -> Any:
        if isinstance(x, Expr):
            return {"e": node(x)}
        if isinstance(x, T.Wide):
            return {"w": node(x.one)}
        if isinstance(x, T.Vector):
            return {"v": [node(T.lift(e)) for e in x]}
        if isinstance(x, dict):
            return {"d": [[k, plain(v)] for k, v in x.items()]}
        if isinstance(x, tuple | list):
            return {"t" if isinstance(x, tuple) else "l": [plain(v) for v in x]}
        return {"f": repr(x)} if isinstance(x, float) else x

    made = {
        "writer": writer,
        "loss": spec.loss.name,
        "dim": spec.loss.dim,
        "rule": spec.rule.name,
        "observer": spec.observer.name,
        "labels": list(spec.observer.labels),
        "memory": plain(tuple(map(float, spec.observer.memory))),
        "per_path": sorted(spec.per_path),
        **{k: getattr(spec, k) for k in ("mode", "device", "lanes", "shared", "moments")},
        "traced": {f.name: plain(getattr(spec.traced, f.name)) for f in fields(Traced)},
    }
    for kind in ("loss", "rule", "observer"):
        check(
            TITLE.fullmatch(made[kind]) is not None,
            f"save: the {kind} has the name {made[kind]!r:.60}, which a file cannot hold; use letters, digits, _, + and spaces",
        )
    return json.dumps(made | {"nodes": nodes}, separators=(",", ":"))


def specification(text: str) -> tuple[str, ModuleSpec]:
    """(name of the writer, specification) of a recipe; ValueError for one that `encoded` could not have made."""
    try:
        return _specification(json.loads(text))
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError, OverflowError, T.TraceError) as error:
        raise ValueError(f"the recipe of its program is damaged ({said(error)[:80]})") from None


def _good(condition: Any, what: str) -> None:
    check(bool(condition), what)


def _specification(raw: Any) -> tuple[str, ModuleSpec]:
    dim, labels = raw["dim"], raw["labels"]
    _good(all(TITLE.fullmatch(raw[k]) for k in ("loss", "rule", "observer")), "a name")
    _good(type(dim) is int and 1 <= dim <= MOST_COORDINATES, "dim")
    _good(raw["lanes"] in LANES and raw["mode"] in MODES and raw["moments"] in (2, 3, 4), "its form")
    _good(all(isinstance(x, str) and x.isprintable() for x in labels) and isinstance(raw["shared"], bool), "labels")
    _good(all(NAME.fullmatch(x) for x in raw["per_path"]), "parameters")
    nodes = _nodes(raw["nodes"])

    def value(x: Any) -> Any:
        if not isinstance(x, dict):
            _good(x is None or isinstance(x, str | int), "a value")
            return x
        ((kind, of),) = x.items()
        if kind in ("e", "w"):
            return nodes[_index(of, nodes)] if kind == "e" else T.Wide(nodes[_index(of, nodes)])
        if kind == "v":
            return T.Vector(nodes[_index(i, nodes)] for i in of)
        if kind == "d":
            return {str(k): value(v) for k, v in of}
        return float(of) if kind == "f" else [value(v) for v in of] if kind == "l" else tuple(value(v) for v in of)

    traced = Traced(**{f.name: value(raw["traced"][f.name]) for f in fields(Traced)})
    memory = value(raw["memory"])
    _check_traced(traced, dim, labels, memory)
    spec: Any = ModuleSpec(
        loss=SimpleNamespace(name=raw["loss"], dim=dim),  # type: ignore[arg-type]
        rule=SimpleNamespace(name=raw["rule"]),  # type: ignore[arg-type]
        observer=SimpleNamespace(name=raw["observer"], labels=tuple(labels), memory=memory),  # type: ignore[arg-type]
        traced=traced,
        per_path=frozenset(raw["per_path"]),
        **{k: raw[k] for k in ("mode", "device", "lanes", "shared", "moments")},
    )
    return str(raw["writer"]), spec


def _index(i: Any, nodes: Sequence[Any]) -> int:
    _good(type(i) is int and 0 <= i < len(nodes), "a reference")
    return int(i)


def _nodes(raw: Any) -> list[Expr]:
    """The expressions, each made of earlier ones."""
    _good(len(raw) <= MOST_NODES, "its size")
    nodes: list[Expr] = []
    for op, *args in raw:
        if op in LEAVES:
            _good(len(args) == LEAVES[op], op)
            if op == "const":
                nodes.append(T.const(float(args[0])))
                continue
            if op != "tiny":
                name, role, wide = args
                _good(
                    NAME.fullmatch(name) and not keyword.iskeyword(name) and role in ROLES and isinstance(wide, bool),
                    "a symbol",
                )
            nodes.append(Expr(op, *args))
        else:
            _good(len(args) == INNER.get(op, -1), f"an operation {op!r:.20}")
            nodes.append(Expr(op, *(nodes[_index(i, nodes)] for i in args)))
    return nodes


def _check_traced(t: Traced, dim: int, labels: Sequence[str], memory: Any) -> None:
    """The lengths on which the layout of a program rests."""
    for name, x in t.new.items():
        wanted = len(memory) if name == "m" else dim
        _good(NAME.fullmatch(name), "a row")
        if isinstance(x, Expr):  # one number: an alarm, the update of the stop, or a rule's own
            _good(name not in ("w", "m"), "a row")
        elif name == "m" or not t.wide:
            _good(isinstance(x, T.Vector) and not isinstance(x, T.Wide) and len(x) == wanted, "a row")
        else:
            _good(isinstance(x, T.Wide), "a row")
    for name, x in t.params.items():
        vector = isinstance(x, T.Wide) if t.wide else isinstance(x, T.Vector) and len(x) == dim
        _good(NAME.fullmatch(name) and (isinstance(x, Expr) or vector), "a parameter")
    _good(isinstance(memory, tuple) and all(isinstance(x, float) for x in memory) and ("m" in t.new) == bool(memory), "memory")
    _good("w" in t.new and len(t.features) == len(t.remembered) == len(labels), "features")
    _good(type(t.draws) is int and 0 <= t.draws <= 2**20 and t.kind in ("normal", "sign"), "noise")
    expected = [(f"z{d}", d * dim) for d in range(t.draws // dim)] if t.wide else []
    _good([tuple(x) for x in t.noise] == expected and isinstance(t.wide, bool) and str(t.counting).isprintable(), "noise")
