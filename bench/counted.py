"""Instructions of one path-step on a GPU, counted in the machine code, and the rate that they would allow an H100.

python -m samfast.bench.counted [--json PATH] compiles programs for sm_90, follows the loop of steps, and divides. It needs
numba-cuda and NVIDIA's nvdisasm but no GPU. The rate is counted, not measured, and assumes full overlap and full occupancy.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import samfast as sf
from samfast.cache import load
from samfast.codegen.pipeline import render
from samfast.compilers import numba_cuda

PHILOX = "-0x2daee0ad"  # Philox's first multiplier, as the disassembler writes it
HOPPER, SMS, CLOCK = (9, 0), 132, 1.7e9  # H100 SXM
# Results per clock of one multiprocessor: CUDA C++ Programming Guide, "Throughput of Native Arithmetic Instructions"
RATES = {"issue": 128, "fma": 128, "integer multiply": 64, "logic": 64, "double": 64, "special": 16}
PIPES = (
    ("U|R2UR", "uniform"),
    ("IMAD", "integer multiply"),
    ("FFMA|FMUL|FADD|HFMA2", "fma"),
    ("DFMA|DMUL|DADD|DSETP", "double"),
    ("MUFU|F2F|I2F\\.|F2I|POPC", "special"),
    ("BRA|BSSY|BSYNC|CALL|EXIT|NOP|WARPSYNC", "branch"),
    ("LD|ST|S2", "memory"),
)


def programs() -> list[tuple[str, Any, Any, Any]]:
    """Returns (name, loss, rule, observer) of each program that is counted."""
    line, beale = sf.losses.quadratic([-1.0]), sf.losses.beale()
    sam = sf.sam(lr=1e-2, rho=0.1)
    normalised = sf.sam(lr=1e-3, rho=1e-3, normalize=True)
    return [
        ("linear SAM diffusion", line, sf.diffusion(sam, sigma=0.1), sf.observe.msd()),
        ("the same, two-point noise", line, sf.diffusion(sam, sigma=0.1, kind="sign"), sf.observe.msd()),
        ("noisy heavy ball", line, sf.noisy(sf.gd(lr=1e-2, momentum=0.9), sigma=0.1), sf.observe.msd()),
        ("Beale SAM", beale, sf.sam(lr=1e-3, rho=1e-3), sf.observe.position()),
        ("Beale normalised SAM", beale, normalised, sf.observe.position()),
        ("Beale normalised SAM with noise", beale, sf.noisy(normalised, sigma=0.1), sf.observe.position()),
    ]


def disassembled(cubin: bytes) -> tuple[list[str], dict[str, int]]:
    """Disassembles a cubin; returns its instructions, and for each label the index of the instruction behind it."""
    wheels = (p for base in sys.path for p in Path(base).glob("nvidia/cu1*/bin/nvdisasm"))
    tool = shutil.which("nvdisasm") or next(map(str, wheels), "")
    if not tool:
        raise SystemExit("nvdisasm is missing: pip install nvidia-cuda-nvdisasm")
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        text = subprocess.run([tool, "-c", file.name], capture_output=True, text=True, check=True).stdout
    code: list[str] = []
    labels: dict[str, int] = {}
    for line in text.splitlines():
        if m := re.match(r"^(\.L_x_\d+):", line):
            labels[m[1]] = len(code)
        elif m := re.match(r"^\s+/\*[0-9a-f]+\*/\s+(.*?);", line):
            code.append(m[1].strip())
    return code, labels


def steps_loops(code: Sequence[str], labels: dict[str, int]) -> tuple[list[str], list[str]]:
    """Returns the instructions of one turn of the loop of steps, and those of one turn of the loop around it.

    The loop of steps is the longest one without a barrier or another loop inside.
    """

    def target(x: str) -> int | None:
        m = re.search(r"BRA.*`\((\.L_x_\d+)\)", x)
        return labels[m[1]] if m else None

    def turn(start: int, end: int) -> list[str]:
        at, path = start, []
        while at != end:
            path.append(code[at])
            to, sure = target(code[at]), not code[at].startswith("@")
            ahead = code[at + 1 : at + 6]  # a branch over a call skips the slow path of a root or a division
            until = next((k for k, y in enumerate(ahead) if "BRA" in y), len(ahead))
            jump = to is not None and (sure or any("CALL" in y for y in ahead[:until]))
            at = to if jump and to is not None else at + 1
        return [*path, code[end]]

    back = [(t, i) for i, x in enumerate(code) if (t := target(x)) is not None and t < i]
    free = [(t, i) for t, i in back if not any("BAR." in x for x in code[t:i])]
    inner = max((x for x in free if not any(x[0] <= a and b < x[1] for a, b in back if (a, b) != x)), key=lambda x: x[1] - x[0])
    around = min((x for x in free if x[0] <= inner[0] and inner[1] < x[1]), key=lambda x: x[1] - x[0])
    return turn(*inner), turn(*around)


def pipe(instruction: str) -> str:
    name = re.sub(r"^@!?U?P\w+\s+", "", instruction).split()[0]
    return next((unit for pattern, unit in PIPES if re.match(pattern, name)), "logic")


def count(loss: Any, rule: Any, observer: Any, mode: str, shared: bool) -> dict[str, Any]:
    """Counts the instructions per path-step of one setting by the unit that executes them, and the rate they allow an H100."""
    program = render(loss, rule, observer, mode=mode, device="cuda", shared=shared)
    module = load(program)
    code = numba_cuda.compile(program, module, HOPPER)
    inner, around = steps_loops(*disassembled(code.cubin))
    if program.calls and not any(PHILOX in x for x in inner):  # several turns of the inner loop share one draw of numbers
        inner = around + inner * (program.served // module.UNROLL - 1)
    units = Counter(pipe(x) for x in inner)
    steps = program.served * program.group
    total = sum(units.values())
    busy = {"issue": total, **{u: units[u] for u in RATES if u != "issue"}}
    busy["fma"] += units["integer multiply"]  # the unit of fused multiply-adds also multiplies integers
    times = {u: busy[u] / RATES[u] for u in RATES}
    bound = max(times, key=lambda u: times[u])
    return {
        "mode": mode,
        "configurations": program.group,
        "registers": code.registers,
        "spill_bytes": code.spills,
        "instructions_per_step": round(total / steps, 2),
        "by_unit": {u: round(n / steps, 2) for u, n in units.items()},
        "bound": bound,
        "path_steps_per_second": float(f"{SMS * CLOCK * steps / times[bound]:.3g}"),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| program | mode | settings per thread | registers | instructions per path-step | counted limit, path-steps/s |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['name']} | {r['mode']} | {r['configurations']} | {r['registers']} | {r['instructions_per_step']:.1f} | "
        f"{r['path_steps_per_second']:.1e} ({r['bound']}) |"
        for r in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the counts there")
    args = parser.parse_args()
    rows = []
    for name, loss, rule, observer in programs():
        for mode in ("mixed", "float32", "float64"):
            if rule.draws or mode != "mixed":
                rows.append({"name": name, **count(loss, rule, observer, mode, False)})
        if name == "linear SAM diffusion":
            rows += [{"name": "the same, a sweep", **count(loss, rule, observer, mode, True)} for mode in ("mixed", "float32")]
    print(table(rows))
    if args.json:
        from importlib.metadata import version

        tools = {p: version(p) for p in ("numba-cuda", "nvidia-nvjitlink", "nvidia-nvvm")}
        about = {
            "target": "sm_90",
            "assumed": {"multiprocessors": SMS, "clock_hz": CLOCK, "results_per_clock": RATES},
            "versions": {"samfast": sf.__version__, **tools},
            "kind": "counted from machine code, not measured",
        }
        args.json.write_text(json.dumps({**about, "programs": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
