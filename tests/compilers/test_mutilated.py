"""Mutilated texts of programs are refused, or compile to text that LLVM verifies; nothing else happens, and not for long."""

import functools
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from programs import CASES, shard_of

from samfast import cache
from samfast.backends import cpu
from samfast.compilers import native
from samfast.compilers.errors import LanguageError
from samfast.compilers.language import typed_tree
from samfast.compilers.llvm import llvm_text

SHARDS = [shard_of(CASES[name], mode, paths=paths, record=(0, 3, 5))[0] for name, mode, paths in (
    ("functions", "float32", 5), ("labels", "mixed", 280), ("wide12", "mixed", 5), ("beale-noise", "float64", 1),
)]  # fmt: skip
TEXTS = [shard.program.text for shard in SHARDS]
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


CHILD = """
import sys
sys.path[:0] = {path!r}
from test_mutilated import outcome
print(outcome({seed}))
"""
LIMIT = 60  # seconds; a mutilated loop may never end


def ran(text, shard, compiler, fill=0):
    """Bytes of all that a text leaves in the arrays of a shard, which begin as `fill`; an IndexError if a promise is broken."""
    program = replace(shard.program, text=text)
    fresh = functools.partial(np.full, fill_value=fill)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMFAST_COMPILER", compiler)
        patch.setattr("samfast.backends.cpu.np.empty", lambda shape, dtype=float: fresh(shape, dtype=dtype))
        run = cache.load(program).run
        if compiler == "checked":
            run.fill = fill
        part = cpu.run_shard(replace(shard, program=program))
    return [getattr(part, f).tobytes() for f in ("state", "values", "moments", "count")]


def outcome(seed):
    """What becomes of a mutilated text: refused, a promise broken, memory read that was never written, or the same bits."""
    from samfast.backends.shard import StoppedError

    text, shard = mutilated(seed), SHARDS[seed % len(SHARDS)]
    if verdict(text) == "refused":
        return "refused"
    try:
        first, second = (ran(text, shard, "checked", fill) for fill in (0, 1))
        if first != second:
            return "never written"
        return "same" if ran(text, shard, "llvm") == first == ran(text, shard, "numba") else "DIFFERENT"
    except (IndexError, StoppedError, LanguageError):
        return "broken"
    except ImportError as error:  # the text is no module of Python, e.g. for a name that nothing defines
        return f"no module: {error!r:.80}"


@pytest.mark.acceptance
@pytest.mark.parametrize("first", range(0, 2000, 20))
def test_mutilated_texts_that_keep_the_promises_have_the_bits_of_numba(first, tmp_path, monkeypatch):
    """In a child, since Numba's code of a broken text may do anything, and with a time limit, since it may never end."""
    monkeypatch.setenv("SAMFAST_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("SAMFAST_STRICT", raising=False)
    path = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "helpers")]
    for seed in range(first, first + 20):
        child = [sys.executable, "-W", "ignore", "-c", CHILD.format(path=path, seed=seed)]
        try:
            done = subprocess.run(child, capture_output=True, text=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            continue
        said = done.stdout.split("\n")[0]
        print(seed, said or done.stderr[-300:])
        assert done.returncode == 0 and not said.startswith("DIFFERENT"), (seed, said, done.stderr[-2000:])
