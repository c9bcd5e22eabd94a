"""Programs compiled for other processors. Those for aarch64 are run under qemu, and those for x86-64-v3 here: the same bits.

A real ARM machine, Windows, macOS and the vectors of 512 bits of x86-64-v4 were not tried; for the last the text is compiled.
"""

import shutil
import struct
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
from programs import CASES, shard_of

from samfast import machine
from samfast.backends import cpu
from samfast.cache import objects
from samfast.compilers import native
from samfast.compilers.language import ARGUMENTS, typed_tree
from samfast.compilers.llvm import llvm_text

V3, V4 = (("x86_64-unknown-linux-gnu", f"x86-64-v{v}", "") for v in (3, 4))
ARM = ("aarch64-unknown-linux-gnu", "neoverse-n1", "")
EVERY = [(name, mode, paths) for name in CASES for mode in ("mixed", "float32", "float64") for paths in (1, 5, 280)]
ON_ARM = (
    [(name, "mixed", 280) for name in CASES] + [("functions", m, 5) for m in ("float32", "float64")] + [("linear", "mixed", 1)]
)
TOOLS = ("qemu-aarch64", "aarch64-linux-gnu-gcc")
HARNESS = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
extern int64_t entry(uint64_t *words);
int main(int argc, char **argv) {
    uint64_t words[64], sizes[64], head[2];
    int n = 0;
    FILE *f = fopen(argv[1], "rb");
    while (fread(head, 8, 2, f) == 2) {
        sizes[n] = head[0] ? head[1] : 0;
        words[n] = head[1];
        if (head[0]) {
            void *memory = aligned_alloc(64, (head[1] + 127) / 64 * 64);
            if (fread(memory, 1, head[1], f) != head[1]) return 2;
            words[n] = (uint64_t)memory;
        }
        n++;
    }
    fclose(f);
    int64_t done = entry(words);
    f = fopen(argv[2], "wb");
    fwrite(&done, 8, 1, f);
    for (int i = 0; i < n; i++) fwrite((void *)words[i], 1, sizes[i], f);
    fclose(f);
    return 0;
}
"""


def code_of(shard, processor):
    return native.object_file(llvm_text(typed_tree(shard.program.text)), processor)


def same(one, other):
    """Equal bits; of a number that is none the bits may differ, since processors make other ones."""
    for field in ("state", "values", "moments", "count"):
        a, b = getattr(one, field), getattr(other, field)
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b), field)
        assert np.where(np.isnan(a), 0, a).tobytes() == np.where(np.isnan(b), 0, b).tobytes(), field


@pytest.mark.skipif(machine.processor()["vector_bits"] < 256, reason="this processor is none of x86-64-v3")
@pytest.mark.parametrize(
    "name, mode, paths",
    [c if c == ("linear-sign", "float32", 5) else pytest.param(*c, marks=pytest.mark.acceptance) for c in EVERY],
)
def test_any_x86_64_with_fma_gives_the_same_bits(name, mode, paths, monkeypatch):
    shard = shard_of(CASES[name], mode, paths=paths, record=(0, 3, 37))[0]
    here = cpu.run_shard(shard)
    run = native.Kernel(code_of(shard, V3), objects._types(shard.program))
    monkeypatch.setattr("samfast.cache.load", lambda program: SimpleNamespace(run=run))
    same(here, cpu.run_shard(shard))


@pytest.mark.parametrize("name", ["linear-sign", *(pytest.param(n, marks=pytest.mark.acceptance) for n in CASES)])
def test_programs_compile_for_vectors_of_512_bits(name):
    shard = shard_of(CASES[name], paths=280)[0]
    assert "zmm" in native.assembly(llvm_text(typed_tree(shard.program.text)), (*V4[:2], "-prefer-256-bit"))


class Elsewhere:
    """A driver for aarch64, called as the one that runs here: its arrays go to a file, and come back from another."""

    def __init__(self, code, folder):
        self.folder = folder
        (folder / "harness.c").write_text(HARNESS)
        (folder / "program.o").write_bytes(code)
        link = ["aarch64-linux-gnu-gcc", "-O1", "-static", "harness.c", "program.o", "-lm", "-o", "program"]
        subprocess.run(link, cwd=folder, check=True)

    def __call__(self, *arguments):
        arrays = []
        with open(self.folder / "in", "wb") as file:
            for x, kind in zip(arguments, ARGUMENTS.values(), strict=True):
                if "*" not in kind:
                    file.write(struct.pack("<QQ", 0, int(x) & 0xFFFFFFFFFFFFFFFF))
                    continue
                file.write(struct.pack("<QQ", 1, x.nbytes) + x.tobytes())
                for length in x.shape:
                    file.write(struct.pack("<QQ", 0, length))
                arrays.append(x)
        subprocess.run(["qemu-aarch64", "./program", "in", "out"], cwd=self.folder, check=True, timeout=600)
        data, at = (self.folder / "out").read_bytes(), 8
        for x in arrays:
            np.copyto(x, np.frombuffer(data, x.dtype, x.size, at).reshape(x.shape), casting="no")
            at += x.nbytes
        return struct.unpack("<q", data[:8])[0]


@pytest.mark.acceptance
@pytest.mark.skipif(any(shutil.which(t) is None for t in TOOLS), reason=f"needs {' and '.join(TOOLS)}")
@pytest.mark.parametrize("name, mode, paths", ON_ARM)
def test_aarch64_gives_the_same_bits(name, mode, paths, tmp_path, monkeypatch):
    shard = shard_of(CASES[name], mode, paths=paths, record=(0, 3, 37))[0]
    here = cpu.run_shard(shard)
    run = Elsewhere(code_of(shard, ARM), tmp_path)
    monkeypatch.setattr("samfast.cache.load", lambda program: SimpleNamespace(run=run))
    same(here, cpu.run_shard(shard))
