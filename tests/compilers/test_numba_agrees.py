"""Both compilers give the same bits of the same text: states, sums, counts and stored values.

A few large programs, which together have every node of the language that any program of tests/helpers/programs.py has; each
takes Numba some seconds. `pytest -m acceptance` compares all of them.
"""

from dataclasses import replace

import numpy as np
import pytest
from programs import CASES, shard_of

from samfast import cache
from samfast.backends import cpu
from samfast.compilers import tree as t
from samfast.compilers.language import typed_tree

MODES = ("mixed", "float32", "float64")
PATHS = (1, 5, 280)  # the driver of one path, of few lanes, of blocks
EVERY = [(name, mode, paths) for name in CASES for mode in MODES for paths in PATHS]
SHORT = [
    ("functions", "mixed", 280),
    ("functions", "float32", 1),
    ("wide12", "float64", 280),
    ("linear-sign", "float32", 280),
    ("beale-raise", "float32", 280),
    ("labels-normal", "mixed", 5),
]


@pytest.mark.parametrize(
    "name, mode, paths", [*SHORT, *(pytest.param(*c, marks=pytest.mark.acceptance) for c in EVERY if c not in SHORT)]
)
def test_numba_gives_the_same_bits(name, mode, paths, monkeypatch):
    """Two settings; recorded in the midst of a draw; gone on with from there; across path number 2**32."""
    shard = shard_of(CASES[name], mode, paths=paths, record=(0, 3, 37))[0]

    def run(compiler):
        monkeypatch.setenv("SAMFAST_COMPILER", compiler)
        first = cpu.run_shard(shard)
        assert cache.load(shard.program).compiler == compiler
        return first, cpu.run_shard(replace(shard, start=37, state=first.state, record=np.array([41])))

    for mine, theirs in zip(run("llvm"), run("numba"), strict=True):
        for field in ("state", "values", "moments", "count"):
            assert getattr(mine, field).tobytes() == getattr(theirs, field).tobytes(), field


def nodes(function, seen=()):
    """What a tree is made of: kinds of operations with their types, kinds of statements."""
    found, seen = set(), {*seen, function.name}

    def visit(body):
        for s in body:
            match s:
                case t.Let(op=op):
                    types = frozenset(x.type for x in op.args)
                    found.add((op.kind, op.type, types, op.kind in ("add", "sub", "mul") and op.wraps))
                case t.For():
                    found.add(("For", s.fixed, s.step > 1))
                    visit(s.body)
                case t.While():
                    found.add("While")
                    visit([*s.head, *s.body])
                case t.If():
                    found.add(("If", bool(s.no)))
                    visit([*s.yes, *s.no])
                case t.Call(function=f):
                    found.add("Call")
                    if f.name not in seen:
                        seen.add(f.name)
                        visit(f.body)
                case t.Store() | t.Room():
                    found.add((type(s).__name__, s.array.type))
                case _:
                    found.add(type(s).__name__)

    visit(function.body)
    return found


def kinds(cases):
    texts = (shard_of(CASES[name], mode, paths=paths)[0].program.text for name, mode, paths in cases)
    return set().union(*(nodes(typed_tree(text)) for text in texts))


@pytest.mark.acceptance
def test_the_short_list_has_every_node_of_the_programs():
    assert kinds(EVERY) == kinds(SHORT)


def test_machine_code_of_another_processor_is_not_taken(tmp_path):
    """Numba's key holds the signature, the processor and its features; a file in the place of another key is none."""
    import pickle

    from samfast.cache import files
    from samfast.compilers.numba_cpu import MachineCode

    made = object.__new__(MachineCode)
    made._base, made._files, made._dump = tmp_path / "samfast_x.run", files, pickle.dumps
    keys = [("signature", (name, features), "index") for name in ("znver3", "haswell") for features in ("+avx2", "")]
    made.save(keys[0], "code")
    (file,) = tmp_path.iterdir()
    assert made.load(keys[0]) == "code"
    for other in keys[1:]:
        assert made._path(other) != file
        made._path(other).write_bytes(file.read_bytes())
        assert made.load(other) is None
