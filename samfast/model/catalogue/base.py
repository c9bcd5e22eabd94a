"""The rule that another one is put on."""

from __future__ import annotations

from ...checks import check
from ..parameters import Sweep
from ..rule import Rule
from ..rules import gd


def base_or_gd(name: str, base: Rule | None, lr: Sweep | None) -> Rule:
    """The base rule: the one that is given, or gradient descent with the rate lr."""
    check((base is None) != (lr is None), f"{name}: give a base rule or lr, one of them, e.g. {name}(lr=0.1, ...)")
    if lr is not None:
        return gd(lr=lr)
    made = Rule.checked("base", base)
    check(
        not made.draws,
        f"{name} of rule {made.name!r}: it has noise already; take a rule without, and add noise afterwards",
    )
    return made
