"""The documentation site: `sphinx-build -W -n docs build/site`, with what `pip install ".[docs]"` brings.

Pages are Markdown (MyST). The mathematics is set by MathJax, whose files are copied from a package: the site asks nothing of
the network. Docstrings are plain text with :math: roles, not reStructuredText, so `plain_docstring` guards their symbols.
"""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import sys
from importlib.metadata import distribution
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not

import samfast

project, author, copyright = "samfast", "The samfast authors", "The samfast authors"
version = release = samfast.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx_copybutton"]
exclude_patterns = ["_build"]
nitpicky = True

myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
highlight_language = "none"  # a block without a language is what a terminal shows
suppress_warnings = ["myst.header"]  # the pages of benchmarks begin their tables below a heading of the machine

autodoc_typehints = "none"  # the docstrings say what an argument is
autodoc_member_order = "bysource"
add_module_names = False

smartquotes = False  # a docstring shows what is to be typed
html_theme = "furo"
html_title = f"samfast {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
copybutton_exclude = ".linenos, .gp, .go"

MATHJAX = ("tex-chtml.js", "output/chtml/fonts/woff-v2")  # what a page loads, of the 24 MB that the package holds
mathjax_path = "mathjax/tex-chtml.js"
mathjax3_config = {"chtml": {"matchFontHeight": False}}

RECORDS = ("Run", "Study", "Comparison", "Basins", "Interrupted", "StudyInterrupted", "CriticalPoint", "Stability")


def copy_mathjax(app, error):
    """MathJax's script and fonts, into the site."""
    if error is None and app.builder.format == "html":
        found = Path(str(distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax")))
        for name in MATHJAX:
            to = Path(app.outdir) / "_static" / "mathjax" / name
            to.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (found / name).is_dir() else shutil.copy)(
                found / name, to, **({"dirs_exist_ok": True} if (found / name).is_dir() else {})
            )


LEFT, RIGHT = "\ue000", "\ue001"  # stand for ** until the other symbols are guarded
KEPT = re.compile(r"(:\w+:`[^`]*`|``[^`]*``|`[^`]*`)")  # roles and literals


def plain_docstring(app, what, name, obj, options, lines):
    """Guard the symbols of plain text; a paragraph that is Python becomes a block of code."""
    paragraphs, named = inspect.cleandoc("\n".join(lines)).split("\n\n"), _parameters(obj)
    out = (_code(p) if _is_code(p) else _markup(p) or _guarded(_strong(p, named)) for p in paragraphs)
    lines[:] = "\n\n".join(out).replace(LEFT, "**").replace(RIGHT, "**").split("\n")


def _parameters(obj):
    try:
        return set(inspect.signature(obj).parameters)
    except (TypeError, ValueError):
        return set()


def _strong(paragraph, named):
    """ "lr, rho: a number ..." with the names of arguments in bold."""

    def marked(found):
        known = set(found[1].split(", ")) <= named
        return f"{LEFT}{found[1]}{RIGHT}: " if known else found[0]

    return re.sub(r"(?:(?<=^)|(?<=\. )|(?<=; )|(?<=\n))(\w+(?:, \w+)*): ", marked, paragraph)


def _is_code(paragraph):
    text = inspect.cleandoc(paragraph)
    if not re.search(r"^\s*(def |import |\w+(, \w+)* = |sf\.|print\()", text) or text.startswith(("===", "---")):
        return False
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def _code(paragraph):
    return ".. code-block:: python\n\n" + "\n".join("   " + line for line in inspect.cleandoc(paragraph).split("\n"))


def _markup(paragraph):
    return paragraph if paragraph.startswith(("===", ".. ")) else None


def _guarded(paragraph):
    """Markup that reStructuredText would see in *shape, |w|, v_ and `name`."""
    out = []
    for part in KEPT.split("\n".join(line.strip() for line in paragraph.split("\n"))):
        if KEPT.fullmatch(part) and part.startswith(":"):
            out.append(part)
        elif KEPT.fullmatch(part):
            out.append(f"``{part.strip('`')}``")
        else:
            out.append(re.sub(r"([*|\\]|_(?!\w))", r"\\\1", part))
    return "".join(out)


def short_signature(app, what, name, obj, options, signature, returned):
    """No constructor of what only samfast constructs."""
    hidden = name.rsplit(".")[-1] in RECORDS or (what == "class" and issubclass(obj, tuple))
    return ("", None) if signature and hidden else None


def setup(app):
    app.connect("build-finished", copy_mathjax)
    app.connect("autodoc-process-docstring", plain_docstring)
    app.connect("autodoc-process-signature", short_signature)
