"""(loss, rule, observer) -> Program: the text of one self-contained module, and where everything in it lives."""
from __future__ import annotations

from typing import Any

from .checks import check, choice, names_of
from .composition import Traced, compose
from .losses import Loss, PerPath
from .observe import ORIGIN, Observer
from .program import LIMIT, MODES, Program
from .rules import Rule
from .text_cpu import CpuText
from .text_cuda import CudaText
from .text_single import SingleText
from .tracing import Expr, NeedsCoordinatesError, Wide

UNROLLED = 8        # above this dim a program that can be traced wide is
TEXTS = {"cpu": CpuText, "plain": CpuText, "cuda": CudaText, "emulator": CudaText, "simulator": CudaText}

REMEMBERED = 100
_programs: dict[Any, Program] = {}      # by content: equal expressions have equal texts


def clash(loss: Loss, rule: Rule, observer: Observer) -> None:
    """Two owners of one parameter name."""
    owners: dict[str, str] = {}
    for owner, params in ((f"loss {loss.name!r}", loss.params), (f"rule {rule.name!r}", rule.params),
                          (f"observer {observer.name!r}", observer.params)):
        for k in params:
            check(k not in owners, f"parameter {k!r} belongs to {owners.get(k)} and to {owner}: rename one of them")
            owners[k] = owner


def render(loss: Loss, rule: Rule, observer: Observer, *, mode: str = "mixed", device: str = "cpu", lanes: int = 256,
           shared: bool = False, moments: int = 2, start_per_path: bool = False, wide: bool | None = None,
           single: bool = False) -> Program:
    """Trace (loss, rule, observer) and print the module.

    shared: several configurations will share the noise. wide: trace all coordinates at once (default: above dim 8, where
    the functions allow it). start_per_path: the start, where the observer needs it, differs from path to path.
    single: for one path only, which then needs no lanes of paths.
    """
    choice("dtype", mode, MODES)
    clash(loss, rule, observer)
    per_path = frozenset(k for o in (loss, rule) for k, v in o.params.items() if isinstance(v, PerPath))
    if start_per_path and ORIGIN in observer.params:
        per_path |= {ORIGIN}
    traced = None
    if wide or (wide is None and loss.dim > UNROLLED and not loss.samples):
        try:
            traced = compose(loss, rule, observer, per_path, True)
        except NeedsCoordinatesError:
            check(not wide, f"wide=True: the loss {loss.name!r}, the rule or the observer asks for single coordinates; "
                  f"write it with vector operations (it uses {names_of(loss.params)}), or leave wide out")
    if traced is None:
        traced = compose(loss, rule, observer, per_path, False)
    kind: Any = TEXTS[device]
    if single and kind is CpuText and not traced.wide:
        kind = SingleText
    what = (kind, loss.name, loss.dim, rule.name, observer.name, tuple(observer.labels), repr(observer.memory),
            content(traced), mode, device, lanes, shared, moments, per_path)
    program = _programs.get(what)
    if program is None:
        if len(_programs) >= REMEMBERED:
            _programs.clear()
        program = _programs[what] = kind(loss, rule, observer, traced, mode, device, lanes, shared, moments,
                                         per_path).program(per_path)
    return program


def content(traced: Any) -> Any:
    """What the text is made of: functions are called each time, and only what they gave is looked up."""
    if isinstance(traced, Expr):
        return traced.key
    if isinstance(traced, Traced):
        return tuple(content(x) for x in vars(traced).values())
    if isinstance(traced, dict):
        return tuple((k, content(v)) for k, v in traced.items())
    if isinstance(traced, Wide):
        return "wide", traced.one.key
    return tuple(content(x) for x in traced) if isinstance(traced, tuple | list) else traced


__all__ = ["LIMIT", "MODES", "Program", "clash", "render"]
