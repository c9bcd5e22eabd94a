"""One page for a folder of outcomes, with every picture, claim, measured value and verdict in a file that needs no other."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from ..atomic import beside
from .experiments import ONLY, VERDICTS, Claim, names
from .storage import read

PAGE = "index.html"
PAPERS = {
    "K": "Kim, Park, Choi, Lee: Stability Analysis of Sharpness-Aware Minimization",
    "B": "Bartlett, Long, Bousquet: The Dynamics of Sharpness-Aware Minimization",
}
CONDITION = ONLY.rstrip() + " …"
KINDS = (VERDICTS[0], CONDITION, *VERDICTS[1:])
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; margin: 2rem auto; max-width: 82rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; }
th { border-bottom: 2px solid #444; background: #fff; position: sticky; top: 0; }
th[aria-sort=ascending]::after { content: " ▲"; } th[aria-sort=descending]::after { content: " ▼"; }
td { border-bottom: 1px solid #ddd; } #claims td:first-child { white-space: nowrap; }
#claims th { cursor: pointer; } #summary { width: auto; }
#summary td + td, #summary th + th { text-align: right; } img { max-width: 100%; height: auto; } figure { margin: .8rem 0; }
.source, .note { color: #666; font-size: .85rem; }
.holds { color: #00643f; } .fails { color: #a63c00; } .part { color: #0a4f8a; }
input, select { font: inherit; padding: .25rem .5rem; margin: .6rem .6rem .6rem 0; } input { width: 22rem; }
"""
SCRIPT = """
const body = document.querySelector("#claims tbody"), rows = [...body.rows], search = document.querySelector("input");
const kind = document.querySelector("select"), shown = document.querySelector("#shown");
function choose() {
  const words = search.value.toLowerCase().split(" ").filter(Boolean);
  let n = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !(words.every(w => text.includes(w)) && (!kind.value || row.dataset.kind === kind.value));
    n += !row.hidden;
  }
  shown.textContent = `${n} of ${rows.length} claims`;
}
search.oninput = kind.onchange = choose;
const heads = document.querySelectorAll("#claims th");
heads.forEach((head, i) => {
  head.onclick = () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const value = row => i ? row.cells[i].textContent : row.dataset.place.padStart(6, "0");
    rows.sort((a, b) => (down ? -1 : 1) * value(a).localeCompare(value(b), "en", {numeric: true}));
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  };
});
choose();
"""


def write(folder: Path) -> Path | None:
    """Write folder/index.html from the outcomes in the folder, and return its path; None if there are none.

    The pictures are inside the page, which needs no network. A click on a heading sorts the claims, a search finds them.
    """
    records = [r for r in (read(folder / name) for name in _in_order(folder)) if r is not None]
    if not records:
        return None
    text = _page(folder, records)
    path = folder / PAGE
    beside(path, lambda file: file.write(text.encode()))
    return path


def _in_order(folder: Path) -> list[str]:
    """Returns the folders of experiments in the order of the papers, then other folders (of older versions) by name."""
    order = {name: i for i, name in enumerate(names())}
    found = [p.name for p in folder.iterdir() if p.is_dir()] if folder.is_dir() else []
    return sorted(found, key=lambda name: (order.get(name, len(order)), name))


def _page(folder: Path, records: list[dict[str, Any]]) -> str:
    claims = [(record["name"], claim) for record in records for claim in record["claims"]]
    options = "".join(f"<option>{escape(k)}</option>" for k in KINDS)
    rows = "".join(_row(i, name, claim) for i, (name, claim) in enumerate(claims))
    heads = "".join(f"<th>{h}</th>" for h in ("experiment", "claim", "measured", "verdict"))
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>samfast reproduce</title><style>{STYLE}</style></head><body>
<h1>The figures and theorems of both papers, computed again</h1>
<p class="note">{escape(_made(records))}</p>
{_summary(claims)}
<h2>Claims</h2>
<input type="search" placeholder="words in claim, value or source" aria-label="search"><select aria-label="verdict">
<option value="">every verdict</option>{options}</select><span id="shown" class="note"></span>
<table id="claims"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>
<h2>Pictures</h2>
{"".join(_pictures(folder, record) for record in records)}
<script>{SCRIPT}</script></body></html>
"""


def _made(records: list[dict[str, Any]]) -> str:
    versions = sorted({json.dumps(r["versions"], sort_keys=True) for r in records})
    told = ["; ".join(f"{k} {v}" for k, v in json.loads(text).items()) for text in versions]
    reduced = sorted({r["size"] for r in records} - {1.0})
    more = f" Computed at a reduced size: {', '.join(f'{s:g}' for s in reduced)}." if reduced else ""
    return f"{' | '.join(told)}.{more}"


def kind(verdict: str) -> str:
    """Returns the verdict without its condition."""
    return CONDITION if verdict.startswith(ONLY) else verdict


def _paper(name: str, claim: Claim) -> str:
    """Returns the paper of a claim, "K" or "B": the first letter of a register's entry, or of the experiment's name."""
    return (claim.text if name == "discrepancies" else name)[:1].upper()


def _summary(claims: Iterable[tuple[str, Claim]]) -> str:
    """Returns the table that counts the claims of each paper by their verdict."""
    counts = Counter((_paper(name, claim), kind(claim.verdict)) for name, claim in claims)
    columns = [k for k in KINDS if any(counts[p, k] for p in {p for p, _ in counts})]
    lines = []
    for paper in sorted({p for p, _ in counts}, key=lambda p: ("KB".find(p) % 3, p)):
        of = [counts[paper, k] for k in columns]
        lines.append("".join(f"<td>{escape(str(x))}</td>" for x in (PAPERS.get(paper, "other"), *of, sum(of))))
    heads = "".join(f"<th>{escape(h)}</th>" for h in ("paper", *columns, "all"))
    return f'<table id="summary"><tr>{heads}</tr>' + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _row(place: int, name: str, claim: Claim) -> str:
    look = {VERDICTS[0]: "holds", VERDICTS[1]: "fails"}.get(claim.verdict, "part")
    data = f'data-place="{place}" data-kind="{escape(kind(claim.verdict))}"'
    return (
        f'<tr {data}><td><a href="#{escape(name)}">{escape(name)}</a></td>'
        f'<td>{escape(claim.text)}<div class="source">{escape(claim.source)}</div></td><td>{escape(claim.measured)}</td>'
        f'<td class="{look}">{escape(claim.verdict)}</td></tr>\n'
    )


def _pictures(folder: Path, record: Mapping[str, Any]) -> str:
    """Returns the HTML of one experiment's pictures, which lie inside the page, and of links to its other files."""
    name = record["name"]
    images = [
        f'<figure><img alt="{escape(name)}: {escape(file)}" src="data:image/png;base64,'
        f'{b64encode((folder / name / file).read_bytes()).decode()}"></figure>'
        for file in record["files"]
        if file.endswith(".png")
    ]
    files = ", ".join(f'<a href="{escape(name)}/{escape(file)}">{escape(file)}</a>' for file in record["files"])
    return (
        f'<h2 id="{escape(name)}">{escape(name)}: {escape(record["title"])}</h2>{"".join(images)}'
        f'<p class="note">{record["seconds"]:.1f} s; files beside this page: {files}</p>\n'
    )
