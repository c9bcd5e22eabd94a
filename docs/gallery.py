"""The gallery: docs/gallery.md and docs/gallery/*.png, from what `samfast reproduce` computes.

python docs/gallery.py [FOLDER]     FOLDER: results of `samfast reproduce all --out FOLDER` (default: computed now)
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from samfast import reproduce

HERE = Path(__file__).parent
WIDTH, COLOURS = 760, 64  # of a picture in the gallery: small files, sharp on a page
SHOWN = ("kim-", "bartlett-")  # experiments with pictures; the register of discrepancies is a table
HEAD = """# Gallery

Made by `python docs/gallery.py` from what `samfast reproduce all` computes. Each experiment is one file of
`samfast/reproduce/`; `samfast reproduce NAME` gives its pictures in full size (PNG, PDF), their data (CSV) and every number
behind its claims (JSON). Below each picture stand the claims of the paper, and whether they hold here.

"""


def small(path: Path) -> bytes:
    """A picture at the width of a page, with few colours."""
    image = Image.open(path).convert("RGB")
    image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def entry(record: dict) -> str:
    """A heading, the first picture, and the verdicts."""
    name = record["name"]
    verdicts = "\n".join(f"* {c.text.rstrip('.')}: **{c.verdict}**" for c in record["claims"])
    return f"## {name}\n\n{record['title']}.\n\n![{record['title']}](gallery/{name}.png)\n\n{verdicts}\n"


def main(folder: Path) -> None:
    for old in (HERE / "gallery").glob("*.png"):
        old.unlink()
    (HERE / "gallery").mkdir(exist_ok=True)
    entries = []
    for name in (n for n in reproduce.names() if n.startswith(SHOWN)):
        record = reproduce.done(name, folder)
        if record is None:
            reproduce.run(name, folder)
            record = reproduce.done(name, folder)
        pictures = [f for f in record["files"] if f.endswith(".png")]
        (HERE / "gallery" / f"{name}.png").write_bytes(small(folder / name / pictures[0]))
        entries.append(entry(record))
        print(name, flush=True)
    (HERE / "gallery.md").write_text(HEAD + "\n".join(entries), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:]:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            main(Path(made))
