"""The table of verdicts as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from textwrap import wrap

from .experiments import FAILS, HOLDS, ONLY, OPEN, SUFFICIENT, UNSTATED, Claim

COLUMNS = (46, 48, 26)  # characters for claim, measured, verdict
GAP = "  "


def table(name: str, claims: Iterable[Claim], title: str = "") -> str:
    """Returns columns of claim, measurement and verdict; below each claim stands its place in papers and theory."""
    lines = [f"{name}   {title}".rstrip(), "-" * (sum(COLUMNS) + 2 * len(GAP))]
    for claim in claims:
        lines += _row((claim.text, claim.measured, claim.verdict))
        lines += wrap(f"[{claim.source}]", sum(COLUMNS), initial_indent="  ", subsequent_indent="   ")
    return "\n".join([*lines, ""])


def _row(cells: Sequence[str]) -> list[str]:
    parts = [wrap(cell, width) for cell, width in zip(cells, COLUMNS, strict=True)]
    return [
        GAP.join(f"{part:<{width}}" for part, width in zip(line, COLUMNS, strict=True)).rstrip()
        for line in zip_longest(*parts, fillvalue="")
    ]


def total(claims: Iterable[Claim]) -> str:
    """Returns one line that counts the claims by verdict."""
    kinds = Counter(ONLY if c.verdict.startswith(ONLY) else c.verdict for c in claims)
    words = {
        HOLDS: ("holds", "hold"),
        ONLY: ("holds under a condition", "hold under a condition"),
        SUFFICIENT: ("is sufficient, not necessary", "are sufficient, not necessary"),
        UNSTATED: ("is not stated", "are not stated"),
        FAILS: ("does not hold", "do not hold"),
        OPEN: ("is open", "are open"),
    }
    counted = [f"{kinds[k]} {one if kinds[k] == 1 else many}" for k, (one, many) in words.items() if kinds[k]]
    return f"{kinds.total()} claim{'s' * (kinds.total() != 1)}: " + ", ".join(counted)
