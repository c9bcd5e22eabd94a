"""Mutilated texts of programs are refused, or compile to text that LLVM verifies; nothing else happens, and not for long."""

import re

import numpy as np
import pytest
from programs import CASES, shard_of

from samfast.compilers import native
from samfast.compilers.errors import LanguageError
from samfast.compilers.language import typed_tree
from samfast.compilers.llvm import llvm_text

TEXTS = [shard_of(CASES[name], mode, paths=paths)[0].program.text for name, mode, paths in (
    ("functions", "float32", 5), ("labels", "mixed", 280), ("wide12", "mixed", 5), ("beale-noise", "float64", 1),
)]  # fmt: skip
WORD = re.compile(r"[A-Za-z_]\w*|\d+\.?\d*|[^\s\w]")


def mutilated(seed):
    """A program below its header with one or two words or lines lost, doubled, exchanged or replaced."""
    rng = np.random.default_rng(seed)
    head, mark, body = TEXTS[seed % len(TEXTS)].partition("u32, u64, i32")
    for _ in range(rng.integers(1, 3)):
        lines = body.split("\n")
        i, j = rng.integers(len(lines), size=2)
        words = list(WORD.finditer(lines[i]))
        if words and rng.integers(4):
            a = words[rng.integers(len(words))]
            other = WORD.findall(lines[j]) or ["0"]
            new = ["", a[0] * 2, other[rng.integers(len(other))], "-1", "f32", "0.5"][rng.integers(6)]
            lines[i] = lines[i][: a.start()] + new + lines[i][a.end() :]
        elif rng.integers(2):
            lines[i], lines[j] = lines[j], lines[i]
        else:
            del lines[i]
        body = "\n".join(lines)
    return head + mark + body


def verdict(text):
    try:
        tree = typed_tree(text, "it.py")
    except LanguageError as error:
        assert re.match(r"it\.py:\d+: .+", str(error))
        return "refused"
    native.verified(llvm_text(tree))
    return "compiled"


@pytest.mark.parametrize("first", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(60, 2000, 60))])
def test_mutilated_texts_are_refused_or_verify(first):
    seen = [verdict(mutilated(seed)) for seed in range(first, first + 60)]
    assert {"refused", "compiled"} == set(seen), "the test mutilates too little or too much"
