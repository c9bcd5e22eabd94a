"""(loss, rule, observer) -> Program: the text of one self-contained module, and where everything in it lives.

The stages, each a file of this package, with what goes in and what comes out:

compose             loss, rule, observer -> Traced: one step and one observation as expressions of symbols
layout              Traced -> Layout: rows of the state, columns of the parameters, first numbers of the noise
linear, fusion      expressions -> expressions: sums collected; a product and a sum become one operation with one rounding
printing            expressions -> statements for one path, and the constants by name
passes              expressions -> loops over the lanes, for a step that is too long for one
wide, wide_cuda     expressions -> loops over the coordinates, for a program of many
writer              a ModuleSpec -> the constants and functions of its module; cpu, cpu_single and cuda write for their drivers
linker              constants, functions and pieces of kernel files -> one text, in which every name is defined
program             the text, with its layout, as plain data that any worker can run

recipe              a ModuleSpec <-> data, by which a saved run can be rendered again

`render` runs them all, and remembers the programs by what they are made of.
"""

from __future__ import annotations

from typing import Any

from ..checks import check, choice, names_of
from ..model.loss import Loss
from ..model.observer import ORIGIN, Observer
from ..model.parameters import PerPath
from ..model.rule import Rule
from ..tracing import Expr, NeedsCoordinatesError, Wide
from .compose import Traced, clash, trace_model
from .cpu import CpuWriter
from .cpu_single import SinglePathWriter
from .cuda import CudaWriter
from .program import LIMIT, MODES, Program
from .recipe import Recipe, specification
from .writer import ModuleSpec, ModuleWriter

WIDE_ABOVE = 8  # coordinates; above, a program is wide if its functions can be traced so
WRITERS: dict[str, type[ModuleWriter]] = {
    "cpu": CpuWriter,
    "plain": CpuWriter,
    "cuda": CudaWriter,
    "emulator": CudaWriter,
    "simulator": CudaWriter,
}

REMEMBERED = 100
_programs: dict[Any, Program] = {}  # by what _content says: equal expressions have equal texts
_recipes: dict[str, Recipe] = {}  # of these programs, by their text


def specified(
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
) -> tuple[type[ModuleWriter], ModuleSpec]:
    """What the program of a model is to compute, and the writer for it.

    mode: a key of MODES. device: "cpu", "plain", "cuda", "emulator" or "simulator". lanes: paths side by side.
    shared: several settings will share the noise. moments: powers of each feature that are summed.
    start_per_path: the observer's start differs from path to path. wide: all coordinates are one symbol (default: above
    WIDE_ABOVE coordinates, where the functions allow it). single: the run has one path. Raises TraceError where a function
    cannot be traced, and ValueError where two parameters have one name.
    """
    choice("dtype", mode, MODES)
    clash(loss, rule, observer)
    per_path = frozenset(k for o in (loss, rule) for k, v in o.params.items() if isinstance(v, PerPath))
    if start_per_path and ORIGIN in observer.params:
        per_path |= {ORIGIN}
    traced = None
    if wide or (wide is None and loss.dim > WIDE_ABOVE and not loss.samples):
        try:
            traced = trace_model(loss, rule, observer, per_path, True)
        except NeedsCoordinatesError:
            check(
                not wide,
                f"wide=True: the loss {loss.name!r}, the rule or the observer asks for single coordinates; "
                f"write it with vector operations (it uses {names_of(loss.params)}), or leave wide out",
            )
    if traced is None:
        traced = trace_model(loss, rule, observer, per_path, False)
    writer = WRITERS[device]
    if single and writer is CpuWriter and not traced.wide:
        writer = SinglePathWriter
    return writer, ModuleSpec(
        loss=loss,
        rule=rule,
        observer=observer,
        traced=traced,
        mode=mode,
        device=device,
        lanes=lanes,
        shared=shared,
        moments=moments,
        per_path=per_path,
    )


def written(writer: type[ModuleWriter], spec: ModuleSpec) -> Program:
    """The program of a specification; equal expressions give the one that is remembered."""
    what = (writer, _content(spec))
    program = _programs.get(what)
    if program is None:
        if len(_programs) >= REMEMBERED:
            _programs.clear()
            _recipes.clear()
        program = writer(spec).program()
        _recipes[program.text], _programs[what] = Recipe(spec, writer.__name__), program
    return program


def render(loss: Loss, rule: Rule, observer: Observer, **how: Any) -> Program:
    """The program of a model; `how` as for `specified`."""
    return written(*specified(loss, rule, observer, **how))


def recipe_of(program: Program) -> Recipe | None:
    """What a program that was just rendered was written from; None for one that was changed since."""
    return _recipes.get(program.text)


def written_again(recipe: str) -> tuple[Program, Recipe]:
    """The program of a recipe from a file, and the recipe; ValueError for one that is damaged."""
    name, spec = specification(recipe)
    writer = WRITERS.get(spec.device)
    if name == SinglePathWriter.__name__ and writer is CpuWriter and not spec.traced.wide:
        writer = SinglePathWriter
    check(writer is not None and writer.__name__ == name, "the recipe of its program is damaged (its device)")
    assert writer is not None
    return written(writer, spec), Recipe(spec, name)


def _content(x: Any) -> Any:
    """What the text is made of, as a key. Functions are called each time, and only what they gave is looked up."""
    if isinstance(x, ModuleSpec):
        of_loss, of_observer = (x.loss.name, x.loss.dim), (x.observer.name, tuple(x.observer.labels), repr(x.observer.memory))
        how = (x.mode, x.device, x.lanes, x.shared, x.moments, x.per_path)
        return (*of_loss, x.rule.name, *of_observer, _content(x.traced), *how)
    if isinstance(x, Expr):
        return x.key
    if isinstance(x, Traced):
        return tuple(_content(v) for v in vars(x).values())
    if isinstance(x, dict):
        return tuple((k, _content(v)) for k, v in x.items())
    if isinstance(x, Wide):
        return "wide", x.one.key
    return tuple(_content(v) for v in x) if isinstance(x, tuple | list) else x


__all__ = ["LIMIT", "MODES", "Program", "render"]
