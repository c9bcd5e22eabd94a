"""(loss, rule, observer) -> Program: the text of one self-contained module, and where everything in it lives.

The stages, each a file of this package:

compose             loss, rule, observer -> Traced: one step and one observation as expressions of symbols
linear, fusion      expressions -> expressions: sums collected, a product and a sum become one operation with one rounding
layout              Traced -> Places: rows of the state, columns of the parameters, numbers of a step
printing            expressions -> statements, one path at a time; the constants by name
passes, wide        expressions -> loops over the lanes, for a long step and for many coordinates (wide_cuda: for a GPU)
writer              all of it -> the functions of a module; cpu, cpu_single and cuda write those that their driver asks for
linker              the functions and the pieces of kernel files -> one text
program             the text and the layout as plain data, all that a worker needs
"""

from __future__ import annotations

from typing import Any

from ..checks import check, choice, names_of
from ..model.loss import Loss
from ..model.observer import ORIGIN, Observer
from ..model.parameters import PerPath
from ..model.rule import Rule
from ..tracing import Expr, NeedsCoordinatesError, Wide
from .compose import Traced, clash, compose
from .cpu import CpuText
from .cpu_single import SingleText
from .cuda import CudaText
from .program import LIMIT, MODES, Program

UNROLLED = 8  # above this dim a program that can be traced wide is
TEXTS = {"cpu": CpuText, "plain": CpuText, "cuda": CudaText, "emulator": CudaText, "simulator": CudaText}

REMEMBERED = 100
_programs: dict[Any, Program] = {}  # by content: equal expressions have equal texts


def render(
    loss: Loss,
    rule: Rule,
    observer: Observer,
    *,
    mode: str = "mixed",
    device: str = "cpu",
    lanes: int = 256,
    shared: bool = False,
    moments: int = 2,
    start_per_path: bool = False,
    wide: bool | None = None,
    single: bool = False,
) -> Program:
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
            check(
                not wide,
                f"wide=True: the loss {loss.name!r}, the rule or the observer asks for single coordinates; "
                f"write it with vector operations (it uses {names_of(loss.params)}), or leave wide out",
            )
    if traced is None:
        traced = compose(loss, rule, observer, per_path, False)
    kind: Any = TEXTS[device]
    if single and kind is CpuText and not traced.wide:
        kind = SingleText
    what = (
        kind,
        loss.name,
        loss.dim,
        rule.name,
        observer.name,
        tuple(observer.labels),
        repr(observer.memory),
        content(traced),
        mode,
        device,
        lanes,
        shared,
        moments,
        per_path,
    )
    program = _programs.get(what)
    if program is None:
        if len(_programs) >= REMEMBERED:
            _programs.clear()
        program = _programs[what] = kind(loss, rule, observer, traced, mode, device, lanes, shared, moments, per_path).program(
            per_path
        )
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


__all__ = ["LIMIT", "MODES", "Program", "render"]
