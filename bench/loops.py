"""Instructions of the innermost vector loops on this processor, ours and those of the C++: the counts in docs/speed.md.

    python -m samfast.bench.loops linear beale-sam      # names as `samfast bench --list` has them; the C++ needs objdump

Counts, not times: how often a loop runs, and how many paths one turn serves, is seen in its text (--text).
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence

from samfast.compilers import native
from samfast.compilers.language import typed_tree
from samfast.compilers.llvm import llvm_text

from . import yardstick
from .workloads import every

KINDS = (
    ("multiplications", r"vf?n?m(add|sub|ul)\w*p[sd]"),
    ("additions", r"v(add|sub)p[sd]"),
    ("roots, divisions", r"v(sqrt|div)p"),
    ("choices, shuffles, conversions", r"v\w*(blend|shuf|perm|unpck|cvt|extract)"),
    ("integer", r"vp(add|sub|mul|xor|and|or|s[lr][la])|v(xor|and|or)p"),
    ("moves between registers", r"vmov[^(]*$"),
    ("loads, stores", r"vmov|vpmov|vbroadcast"),
)
VECTOR = re.compile(r"%[yz]mm")
KERNEL = "samfast kernel"
LEAST = 5  # vector instructions that a loop must have to be shown, which leaves out the copying of a tail


def loops(code: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Returns the innermost loops of (label or address, instruction) pairs in AT&T syntax.

    A loop reaches from the target of a backward jump to that jump.
    """
    place = {label: i for i, (label, _) in enumerate(code) if label}
    found = []
    for i, (_, text) in enumerate(code):
        jump = re.match(r"j\w+\s+(\S+)", text)
        if jump and place.get(jump[1], i) < i:
            body = [t for _, t in code[place[jump[1]] : i + 1]]
            if sum(t[0] == "j" for t in body) == 1 and sum(bool(VECTOR.search(t)) for t in body) >= LEAST:
                found.append(body)
    return found


def kinds(loop: Sequence[str]) -> Counter[str]:
    """Counts the instructions of a loop by their kind."""
    return Counter(next((kind for kind, pattern in KINDS if re.match(pattern, text)), "other") for text in loop)


def from_compiler(assembly: str) -> list[tuple[str, str]]:
    """Returns (label, instruction) pairs of LLVM's text, where a label stands on a line of its own."""
    code, label = [], ""
    for line in assembly.splitlines():
        if m := re.match(r"(\.L\w+):", line):
            label = m[1]
        elif re.match(r"\s+[a-z]", line):
            code.append((label, line.split("#")[0].strip()))
            label = ""
    return code


def from_objdump(text: str) -> dict[str, list[tuple[str, str]]]:
    """Returns the (address, instruction) pairs of each function of a library; in objdump's text a jump names an address."""
    functions: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for line in text.splitlines():
        if m := re.match(r"[0-9a-f]+ <(.*)>:", line):
            name = m[1]
        elif m := re.match(r"\s+([0-9a-f]+):\s+(.*\S)", line):
            functions.setdefault(name, []).append((m[1], m[2]))
    return functions


def ours(name: str) -> str:
    """Returns the assembly of a workload's program."""
    workload = every()[name]
    (kernel,) = (b for b in workload.backends if b.name == KERNEL)
    return native.assembly(llvm_text(typed_tree(kernel.prepare(workload.make(0.01)).program.text)))


def show(title: str, code: Sequence[tuple[str, str]], text: bool) -> None:
    """Prints one line for all loops that have the same counts."""
    same: dict[str, list[list[str]]] = {}
    for loop in loops(code):
        counts = ", ".join(f"{n} {kind}" for kind, n in kinds(loop).most_common())
        same.setdefault(f"{len(loop):>4}  {counts}", []).append(loop)
    for line, found in same.items():
        print(f"{title:<40} {len(found):>2} x {line}")
        for instruction in found[0] if text else ():
            print(f"    {instruction}")


def main(arguments: Sequence[str] | None = None) -> None:
    with_kernel = [name for name, w in every().items() if any(b.name == KERNEL for b in w.backends)]
    parser = argparse.ArgumentParser(
        prog="python -m samfast.bench.loops", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="+", choices=with_kernel, metavar="WORKLOAD")
    parser.add_argument("--text", action="store_true", help="the instructions too")
    given = parser.parse_args(arguments)
    for name in given.workloads:
        show(name, from_compiler(ours(name)), given.text)
    if shutil.which("objdump"):
        disassembled = subprocess.run(
            ["objdump", "-dC", "--no-show-raw-insn", yardstick.load().path], capture_output=True, text=True, check=True
        ).stdout
        for function, code in from_objdump(disassembled).items():
            function = function.split(" [clone")[0]
            name = re.sub(r" __vector\((\d+)\)", r" x \1", function)  # "float __vector(8)", the type of a register
            show("C++ " + re.sub(r"(?<=[\w>])\([^()]*\)$", "", name).removeprefix("void "), code, given.text)


if __name__ == "__main__":
    main()
