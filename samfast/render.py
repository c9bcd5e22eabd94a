"""(loss, rule, observer) -> Program: the text of one self-contained module, and where everything in it lives."""
from __future__ import annotations

from .checks import check, choice, names_of
from .composition import compose
from .losses import Loss, PerPath
from .observe import ORIGIN, Observer
from .program import LIMIT, MODES, Program
from .rules import Rule
from .text_cpu import CpuText
from .tracing import NeedsCoordinatesError

UNROLLED = 8        # above this dim a program that can be traced wide is
TEXTS = {"cpu": CpuText, "plain": CpuText}


def clash(loss: Loss, rule: Rule, observer: Observer) -> None:
    """Two owners of one parameter name."""
    owners: dict[str, str] = {}
    for owner, params in ((f"loss {loss.name!r}", loss.params), (f"rule {rule.name!r}", rule.params),
                          (f"observer {observer.name!r}", observer.params)):
        for k in params:
            check(k not in owners, f"parameter {k!r} belongs to {owners.get(k)} and to {owner}: rename one of them")
            owners[k] = owner


def render(loss: Loss, rule: Rule, observer: Observer, *, mode: str = "mixed", device: str = "cpu", lanes: int = 256,
           shared: bool = False, moments: int = 2, start_per_path: bool = False, wide: bool | None = None) -> Program:
    """Trace (loss, rule, observer) and print the module.

    shared: several configurations will share the noise. wide: trace all coordinates at once (default: above dim 8, where
    the functions allow it). start_per_path: the start, where the observer needs it, differs from path to path.
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
    return TEXTS[device](loss, rule, observer, traced, mode, device, lanes, shared, moments, per_path).program(per_path)


__all__ = ["LIMIT", "MODES", "Program", "clash", "render"]
