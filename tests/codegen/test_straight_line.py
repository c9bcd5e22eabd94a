"""What tracing does to the arithmetic: linear parts become one operation, long steps become several passes."""

import numpy as np
import pytest
from programs import CASES, Case, quadratic, shard_of

import samfast as sf
from samfast import tracing as T
from samfast.backends import cpu, cuda
from samfast.codegen.fusion import fuse
from samfast.codegen.linear import collect
from samfast.codegen.passes import cuts, split, value

W, V, Z = (T.var(n) for n in "wvz")
K, H = T.var("k", "param"), T.var("h", "param")
VALUES = {"w": np.array([0.3, -7.0]), "v": np.array([2.0, 0.1]), "z": np.array([-1.0, 5.0]), "k": 1.7, "h": 0.01}


def operations(e):
    """Operations that differ from path to path, as printed: signs are free."""
    return sum(not x.uniform and x.op not in ("var", "sign", "neg") for x in T.topological([e]))


def linear(e, merge):
    [new] = collect([e], merge)
    np.testing.assert_allclose(T.evaluate([new], VALUES)[0], T.evaluate([e], VALUES)[0], rtol=1e-14)
    return new


@pytest.mark.parametrize(
    "e, merged, apart",
    [
        (W - H * (K * (W + K * (K * W))), 1, 2),  # SAM on a quadratic
        ((W - H * Z) - H * (K * W), 3, 4),  # ... with noise: a*w - h*z
        (K * (H * (2 * W)), 1, 1),
        (-(K * W) + W, 1, 2),
        (W + W, 1, 1),
        (3 * W - 2 * W, 0, 0),
        (H * W + H * V, 3, 3),
        (K * W * V, 2, 2),
        (T.exp(K * (H * W + W)), 2, 2),
        (W - H * T.sin(W), 3, 3),
    ],
)
def test_linear_parts_are_one_operation(e, merged, apart):
    assert operations(linear(e, True)) == merged and operations(linear(e, False)) == apart


def chain(e):
    """The longest chain of operations that wait for each other."""
    longest = {}
    for x in T.topological([e]):
        free = x.uniform or x.op in ("var", "sign", "neg")
        longest[x.key] = (not free) + max((longest[a.key] for a in x.args if isinstance(a, T.Expr)), default=0)
    return longest[e.key]


def fma(a, b, c):
    return T.Expr("fma", a, b, c)


DEEP = V * Z + 1  # the state reaches it later than W


@pytest.mark.parametrize(
    "e, fused",
    [
        (2 * (DEEP * W) + V, fma(2 * W, fma(V, Z, T.const(1)), V)),  # what is late waits for one operation
        (V - 3 * (W * DEEP), fma(T.Expr("neg", 3 * W), fma(V, Z, T.const(1)), V)),
        (V - 3 * W, fma(T.const(-3), W, V)),
        (V * W + 4 * (W * W), fma(2 * W, 2 * W, V * W)),
        (W + K * (V * Z), fma(K * V, Z, W)),
        (T.sin(W * V) + W * V, T.sin(W * V) + W * V),
    ],
)  # the product is there anyway
def test_contractions(e, fused):
    assert repr(fuse([e])[0]) == repr(fused)


@pytest.mark.parametrize(
    "e, merged, apart",
    [
        (W - H * (K * (W + V * (K * W))), 2, 3),
        (W - K * (W - H * (V * W)), 2, 3),  # normalised SAM: (k + h*v)*w
        ((W - H * V) - H * (K * W + Z * (K * V)), 3, 5),
        (W - K * (V * Z + W), 2, 2),
        (W - K * (V * V + H * W), 3, 3),
    ],
)  # a product that is fused stays so
def test_what_multiplies_one_number_is_added_first(e, merged, apart):
    assert [operations(fuse([e], m)[0]) for m in (True, False)] == [merged, apart]
    linear(e, True)


def test_derivatives_do_not_wait():
    """Of x*f(y) with y, y^2, y^3 ...: the powers' derivatives side by side, constants outside, what is late added last."""
    x, y = W, V
    for n, (most, longest) in {2: (5, 3), 3: (6, 4), 4: (7, 4), 8: (9, 5)}.items():
        [d] = fuse(T.gradient(x * (y + y**2 + y**n), [y]))
        assert operations(d) <= most and chain(d) <= longest, (n, d)
        [value] = T.evaluate(T.gradient(x * (y + y**2 + y**n), [y]), VALUES)
        w, v = VALUES["w"], VALUES["v"]
        np.testing.assert_allclose(value, w * (1 + 2 * v + n * v ** (n - 1)), rtol=1e-14)
    [d] = T.gradient(6 * x * y + (3 * x * y) ** 2, [y])
    assert repr(d) == "mul(6.0, mul(add(1.0, mul(3.0, mul(w, v))), w))"


def test_a_small_rate_keeps_its_digits_in_float32():
    """1 - k is not formed: w - k*w with k = 1e-9 must still move w after many steps' worth of change."""
    new = linear(W - H * (K * W), False)
    assert new.op in ("add", "sub") and any(x is W or (isinstance(x, T.Expr) and x.key == W.key) for x in new.args)


def test_a_value_that_others_need_is_not_written_twice():
    m = K * V + H * W
    new = collect([m, W - H * m], True)
    assert sum(not x.uniform and x.op not in ("var", "neg") for x in T.topological(new)) == 5


def test_a_sum_of_thousands_of_terms():
    """As a loss written with a Python loop gives it: no recursion, and time that grows with the terms only."""
    x = T.const(0.0)
    for i in range(5000):
        x = x + T.sin(W * i) if i % 2 else x - (i * W) * V + H * W
    new = collect([x, x * W], True)
    assert np.allclose(T.evaluate(new, VALUES)[0], T.evaluate([x], VALUES)[0], rtol=1e-12)
    assert operations(new[0]) < operations(x) - 2000


def test_cuts_are_short_and_few_values_wait():
    x = W
    for _ in range(10):
        x = T.sin(x) * T.cos(x) + V
    roots = fuse([x, V + x])
    pieces, slots = split(roots, 60, 1.5)
    assert len(pieces) == len(cuts(roots, 60, 1.5)) > 4 and slots == 1
    work = [e.key for p in pieces for e in p.work]
    assert len(work) == len(set(work)) and all(len(p.kept) == 1 for p in pieces[:-1]) and not pieces[-1].kept


@pytest.mark.parametrize("device, run", [("plain", cpu.run_shard), ("emulator", cuda.run_shard)])
@pytest.mark.parametrize("paths", [1, 5])
def test_unrolled_steps_use_the_signs_of_their_own_step(device, run, paths):
    """Two signs a step: the steps of an unrolled pass (one record) and steps one by one (each recorded) are the same walk."""
    case = Case(quadratic(2), sf.noisy(sf.gd(lr=0.01), sigma=5.0, kind="sign"), sf.observe.position())
    together, alone = (run(shard_of(case, device=device, paths=paths, record=record)[0]) for record in ([64], list(range(65))))
    np.testing.assert_array_equal(together.values[:, 0], alone.values[:, -1])
    np.testing.assert_array_equal(together.state, alone.state)
    steps = np.diff(alone.values, axis=1)
    assert len(np.unique(np.sign(steps[0, :, 0, 0] * steps[0, :, 1, 0]))) == 2  # the two signs of a step differ at times


def test_cuts_leave_short_chains():
    """Wherever this is cut one value waits: the cut is in the middle."""
    x = V
    for _ in range(12):
        x = x * W + V
    assert cuts(fuse([x]), 10, 1.5) == [6, 12]


@pytest.mark.parametrize("name", ["beale", "functions", "beale-raise", "labels", "independent-sign"])
def test_passes_change_no_bit(name, monkeypatch):
    """Plain Python: the same numbers with one loop and with many, parameters and starts of each path included."""
    results = []
    for limit in (10**9, 8):
        monkeypatch.setattr("samfast.codegen.cpu.PASS", {256: limit, 512: limit})
        monkeypatch.setattr("samfast.codegen.pipeline._programs", {})
        shard, job = shard_of(CASES[name], device="plain", paths=5, record=(0, 3, 5), sweep=False, per_path=True)
        assert ("A = scratch(" in job.program.text.split("def moments")[0]) == (limit == 8)
        results.append(cpu.run_shard(shard))
    for field in ("state", "values", "moments"):
        np.testing.assert_array_equal(getattr(results[0], field), getattr(results[1], field), field)


@pytest.mark.parametrize("seed", range(40))
def test_what_waits_between_passes_is_there_when_it_is_needed(seed):
    """Random steps: whatever a pass needs was computed in it, or lies in a row of scratch that nothing has overwritten."""
    rng = np.random.default_rng(seed)
    nodes = [T.var(f"w_{i}") for i in range(4)]
    for _ in range(60):
        a, b = (nodes[-1 - int(i)] for i in rng.integers(0, min(len(nodes), 12), 2))
        nodes.append(a * b + nodes[int(rng.integers(0, 4))] if rng.random() < 0.5 else T.sin(a) - b)
    roots = fuse([nodes[-1], nodes[-5], nodes[20]])
    pieces, rows = split(roots, 9, 1.5)
    place, memory, done = {}, {}, set()
    for piece in pieces:
        inside = set()
        for e in piece.work:
            for a in (value(x) for x in e.args if isinstance(x, T.Expr)):
                if a.key in done:
                    assert memory[place[a.key]] == a.key
                else:
                    assert a.key in inside or a.op in ("var", "const")
            inside.add(e.key)
        done |= inside
        for e, slot in piece.kept:
            place[e.key], memory[slot] = slot, e.key
    assert len(pieces) > 5 and set(memory) == set(range(rows))
    for root in map(value, roots):
        assert root.key in {e.key for e in pieces[-1].work} or memory[place[root.key]] == root.key
