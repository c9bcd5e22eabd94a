"""Every form in which products, sums and signs meet is printed with its value: compared with NumPy on small whole numbers.

All values and all intermediate results are exact in float32, so that fused and collected operations must give NumPy's numbers.
"""

import numpy as np
import pytest

import samfast as sf
from samfast.backends import cpu
from samfast.model.observer import Observer
from samfast.simulation.prepare import prepared_job
from samfast.tracing import Vector

H, K = 2.0, 5.0
# Functions of three numbers a, b, c that differ from path to path, and of h, k, which all paths share.
FORMS = {
    "a*b + c": lambda a, b, c, h, k: a * b + c,
    "a*b - c": lambda a, b, c, h, k: a * b - c,
    "c - a*b": lambda a, b, c, h, k: c - a * b,
    "-(a*b) + c": lambda a, b, c, h, k: -(a * b) + c,
    "-(a*b) - c": lambda a, b, c, h, k: -(a * b) - c,
    "a*b + b*c": lambda a, b, c, h, k: a * b + b * c,
    "a*b - b*c": lambda a, b, c, h, k: a * b - b * c,
    "-(a*b) - (-(b*c))": lambda a, b, c, h, k: -(a * b) - (-(b * c)),
    "k*a + a": lambda a, b, c, h, k: k * a + a,
    "k*a - a": lambda a, b, c, h, k: k * a - a,
    "a - k*a": lambda a, b, c, h, k: a - k * a,
    "-(k*a) + a": lambda a, b, c, h, k: -(k * a) + a,
    "-(k*a) - a": lambda a, b, c, h, k: -(k * a) - a,
    "h*k*a - a": lambda a, b, c, h, k: h * k * a - a,
    "a - h*(k*a)": lambda a, b, c, h, k: a - h * (k * a),
    "h*a - k*a": lambda a, b, c, h, k: h * a - k * a,
    "-a - h*a - k*a": lambda a, b, c, h, k: -a - h * a - k * a,
    "k*a + h*(b*a)": lambda a, b, c, h, k: k * a + h * (b * a),
    "k*a - h*(b*a)": lambda a, b, c, h, k: k * a - h * (b * a),
    "a - h*(b - k*c)": lambda a, b, c, h, k: a - h * (b - k * c),
    "a - h*(b - k*(a - c))": lambda a, b, c, h, k: a - h * (b - k * (a - c)),
    "c - k*(a*b)": lambda a, b, c, h, k: c - k * (a * b),
    "c - 4*(a*a)": lambda a, b, c, h, k: c - 4.0 * (a * a),
    "-4*(a*a) + c": lambda a, b, c, h, k: -4.0 * (a * a) + c,
}
SUMS = {
    "sum(a)": lambda a, b, total: total(a),
    "sum(-a)": lambda a, b, total: total(-a),
    "sum(a*a)": lambda a, b, total: total(a * a),
    "sum(-a*a)": lambda a, b, total: total(-a * a),
    "sum(-(a*b))": lambda a, b, total: total(-(a * b)),
    "sum(a*b - a)": lambda a, b, total: total(a * b - a),
    "3*sum(a) - sum(a*b)": lambda a, b, total: 3.0 * total(a) - total(a * b),
    "sum(a*sum(b) - b)": lambda a, b, total: total(a * total(b) - b),
}
modes = pytest.mark.parametrize("mode", ["float32", "float64", "mixed"])


def run(dim, rule, observer, start, mode, steps):
    """(feature, path) after so many steps, in plain Python."""
    loss = sf.loss(dim=dim, h=H, k=K)(lambda w, p: (p.h + p.k) * sf.dot(w, w))
    job = prepared_job(loss, rule, start, observe=observer, dtype=mode, device="plain", values=True)
    [shard] = job.shards(0, np.array([steps]), None)
    return cpu.run_shard(shard).values[0, 0], job.program


def starts(dim, paths=4):
    """Small whole numbers, none of them 0."""
    return np.random.default_rng(3).choice([-7.0, -4.0, -3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 5.0, 6.0], (paths, dim))


STAY = sf.Rule("stay", step=lambda w, v, grad, p, z: (w, v))


@modes
def test_forms_of_an_observation(mode):
    """As features, whose sums are not collected."""
    seen = Observer("forms", lambda s: [f(*s.w, s.p.h, s.p.k) for f in FORMS.values()], tuple(FORMS))
    w = starts(3)
    got, _ = run(3, STAY, seen, w, mode, 0)
    for row, (form, f) in zip(got, FORMS.items(), strict=True):
        np.testing.assert_array_equal(row, f(*w.T, H, K), form)


@modes
@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_step(form, mode):
    """As the new state, whose sums are collected in float64."""
    rule = sf.Rule("form", step=lambda w, v, grad, p, z: (Vector([FORMS[form](*w, p.h, p.k), w[1], w[2]]), v))
    w = starts(3)
    got, _ = run(3, rule, sf.observe.position(), w, mode, 1)
    np.testing.assert_array_equal(got[0], FORMS[form](*w.T, H, K))


@modes
def test_forms_of_wide_programs(mode):
    """Coordinate by coordinate, in a step and in an observation: a is w, b is 2w - 1 and c is 3 - w."""

    def of(w, p, f):
        return f(w, 2.0 * w - 1.0, 3.0 - w, p.h, p.k)

    w, p = starts(12), sf.model.parameters.Parameters("numbers", {"h": H, "k": K})
    seen = Observer("forms", lambda s: [of(s.w, s.p, f) for f in FORMS.values()], tuple(FORMS))
    got, program = run(12, STAY, seen, w, mode, 0)
    assert program.wide
    for rows, (form, f) in zip(got.reshape(len(FORMS), 12, -1), FORMS.items(), strict=True):
        np.testing.assert_array_equal(rows, of(w, p, f).T, form)
    for form, f in FORMS.items():
        rule = sf.Rule("form", step=lambda w, v, grad, p, z, f=f: (of(w, p, f), v))
        got, program = run(12, rule, sf.observe.position(), w, mode, 1)
        assert program.wide
        np.testing.assert_array_equal(got, of(w, p, f).T, form)


@modes
@pytest.mark.parametrize("dim", [5, 12], ids=["unrolled", "wide"])
def test_forms_under_a_sum(dim, mode):
    seen = Observer("sums", lambda s: [f(s.w, 2.0 * s.w - 1.0, sf.total) for f in SUMS.values()], tuple(SUMS))
    w = starts(dim)
    got, program = run(dim, STAY, seen, w, mode, 0)
    assert program.wide == (dim == 12)
    for row, (form, f) in zip(got, SUMS.items(), strict=True):
        np.testing.assert_array_equal(row, [f(x, 2.0 * x - 1.0, np.sum) for x in w], form)
