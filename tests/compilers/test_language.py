"""The kernel language, sentence by sentence; what is outside it is refused with its line and a remedy."""

import re

import numpy as np
import pytest
from language import HEAD, arguments, compiled, text

from samfast.compilers.errors import LanguageError
from samfast.compilers.language import typed_tree
from samfast.compilers.llvm import llvm_text


def by_python(source, given):
    """The text as Python runs it, with the target's functions."""
    from samfast.kernels import target_python

    names = {k: v for k, v in vars(target_python).items() if not k.startswith("__")}
    target_python.W = 8
    exec(compile(source, "it.py", "exec"), names)
    return names["run"](*given.values())


def both(body, before="", result="start"):
    """What the compiled text leaves in its arrays, which Python's run of the same text must leave too."""
    source = text(body, before, result)
    mine, theirs = arguments(), arguments()
    done = compiled(source)(*mine.values())
    assert done == by_python(source, theirs)
    for name, x in mine.items():
        assert np.asarray(x).tobytes() == np.asarray(theirs[name]).tobytes(), name
    return mine


# what the language has -----------------------------------------------------------------------------------------------
TEXTS = """
## numbers
sums[0] = 0.1 + 2 * 3.5 - 1 / 4
count[0] = 7 // 2 + 7 % 4 - (1 << 5)
## floating numbers
x = shift[0]
y = f32(x)
sums[0], sums[1], sums[2] = x + y, y * y, -x / shift[1]
## integers
a = first + 2 * n
b = a // 3 * 2 + a % 5
count[0], count[1] = b, -a
## words
a, b = seed ^ tag, u64(Z[3])
count[0] = i64((a << u64(7)) >> u64(3))
count[1] = i64((a & b) | (tag * a + b))
count[2] = i64(i32(u32(a)) >> i32(3))
Z[0] = u32(a)
## bits of a number
count[0] = shift[2].view(i64)
sums[0] = i64(shift[0].view(i64) ^ i64(1)).view(f64)
Z[1] = f32(sums[1]).view(u32)
## conversions
sums[0], sums[1] = T(start), f64(f32(first))
sums[2] = T(u32(seed))
count[0] = i64(i32(-5))
## comparisons
for l in range(8):
    sums[l] = 1.0 if shift[l] < 0.0 else (2.0 if shift[l] >= 0.5 else 3.0)
if seed > tag and not mask:
    count[0] = 1
## choice of an index
for l in range(12):
    count[l] = record[l if l < 5 else 2]
## a load that is not always made
for l in range(12):
    count[l] = record[l] if l < 7 else 0
## and, or as in Python
for l in range(12):
    if l < 7 and record[l] > 6 or l == 9:
        count[l] = 100
if mask or fails(count):
    count[1] = 5
if not mask and fails(count):
    count[2] = 6
## loops
for i in range(2, n, 3):
    for l in range(4):
        sums[l] += shift[l] * T(i)
for i in range(n, 2):
    sums[0] = 0.0
## variables
k, c = start, 0
worst = 0.0
while k < n:
    k += 2
    worst = worst + shift[c]
    if worst > 0.5:
        worst = 0.0
    c += 1
sums[0] = worst
count[0] = k
## tuples
s = (shift[0], shift[1])
k = 0
while k < 3:
    s = turned(s, T(k))
    k += 1
sums[0], sums[1] = s
sums[2] = sum_of(*s)
sums[3] = s[1:][0]
## arrays and rows
now = params[1]
sums[0] = now[2, 3] + params[0][1, 1]
X = rest(S, 8)
X[1] = 5.0
Y = S[16:]
Y[0] = X[2]
count[0] = params.shape[1] * 100 + record.shape[0] * 10 + values.size
a, b = take(S, 3, 4, 2)
put(G, 2, a * b)
## rows of one's own
A, B = scratch(2, T), scratch(1, u32)
for l in range(16):
    A[l] = T(l)
P = paired(B)
P[1] = seed
sums[0] = A[15] + A[8]
Z[0] = B[3]
## functions that are called
total(S, sums, 3, 8)
total(G, sums, 4, 5)
count[0] = longest(S, 2.5)
## constants decide
if W == 8:
    sums[0] = 1.0
else:
    sums[0] = nothing
for r in range(3):
    sums[r + 1] = K[2] if W > 4 else nowhere
## roots and fused products
sums[0], sums[1] = root_of(abs(shift[0])), fma(shift[1], shift[2], shift[3])
sums[2] = f64(fma(f32(shift[1]), f32(shift[2]), f32(shift[3])))
## truth as a number
m = shift[0] < 0.0
S[0] = m
S[1] = 3.0 if S[0] else 4.0
S[2] = 3.0 if shift[3] else 4.0
## to give up
for i in range(n):
    if i == 4:
        return i
    count[i] = 1
"""
SAME = dict(part.split("\n", 1) for part in TEXTS.strip().removeprefix("## ").split("\n## "))
BEFORE = """
K = (1.0, 2.0, 3.0)

@device
def root_of(x):
    return math.sqrt(x)

@device
def turned(s, x):
    for _ in range(2):
        s = (s[1] + x, s[0])
    return s

@inline
def sum_of(a, b):
    return a + b

@outline
def total(A, sums, at, count):
    x = 0.0
    for i in range(count):
        x += A[i]
    sums[at] = x

@outline
def longest(A, limit):
    k = 0
    while k < 20 and abs(A[k]) < limit:
        k += 1
    return k

@inline
def fails(count):
    count[11] += 1
    return count[11] > 0
"""


@pytest.mark.parametrize("name", SAME)
def test_a_text_means_what_it_means_in_python(name):
    both(SAME[name], BEFORE)


def test_places_do_not_wrap_and_bits_may():
    ir = llvm_text(typed_tree(text("count[first + 1] = i64(seed) + i64(tag)")))
    assert "add nsw i64 %v" in ir and re.search(r"add i64 %v\d+, %v\d+", ir)


def test_no_product_is_fused_unless_the_text_says_so():
    code = compiled(text("for l in range(8):\n    sums[l] = shift[l] * shift[l] + S[l]"))
    given = arguments()
    x, s = given["shift"].copy(), given["S"].copy()
    code(*given.values())
    np.testing.assert_array_equal(given["sums"][:8], x * x + s[:8])
    assert "fast" not in llvm_text(typed_tree(text("sums[0] = shift[0] * shift[1] + 1.0")))


# what it has not -----------------------------------------------------------------------------------------------------
REFUSED = {  # body, message
    "types": ("count[0] = seed + first", "u64 with i64: convert one"),
    "integer with float": ("sums[0] = shift[0] * first", "f64 with i64: convert one"),
    "float to integer": ("count[0] = i64(shift[0])", "no conversion of floating numbers"),
    "narrowing": ("P = scratch(1, f32)\nP[0] = shift[0]", "f64 into a place of f32: convert it"),
    "division": ("count[0] = first / n", "write // or convert"),
    "power": ("sums[0] = shift[0] ** 2", "Pow is no part"),
    "a list": ("x = [1, 2]", "List is no part"),
    "a string": ("x = 'a'", "Constant is no part"),
    "a name": ("sums[0] = nobody", "nobody has no value here"),
    "a name that ended": ("for l in range(4):\n    x = shift[l]\nsums[0] = x", "x has no value here: a name that a loop"),
    "a variable of two types": ("x = 0.0\nfor l in range(n):\n    x = f32(1) * f32(l) < f32(3)", "a variable of type f64"),
    "an array as variable": ("A = S\nfor l in range(n):\n    A = G", "is an array or function"),
    "a function": ("sums[0] = len(S)", "len has no value here"),
    "a method": ("sums[0] = S.sum()", ".sum is no part"),
    "an end without a result": ("count[0] = sometimes(S)", "an end without one"),
    "itself": ("sums[0] = again(shift[0])", "cannot be called here"),
    "a loop over an array": ("for x in S:\n    pass", "a loop runs over range"),
    "an else of a loop": ("for l in range(3):\n    pass\nelse:\n    sums[0] = 1.0", "a loop is for i in range"),
    "a negative step": ("for l in range(8, 0, -1):\n    pass", "a loop's step is a positive constant"),
    "a negative index": ("sums[-1] = 0.0", "the index -1: count from 0"),
    "a float as index": ("sums[shift[0]] = 0.0", "an index of type f64"),
    "chained comparisons": ("if 0 < first < 3:\n    pass", "Compare is no part"),
    "a tuple's place": ("x = (shift[0], shift[1])\nsums[0] = x[first]", "its place is a constant"),
    "a slice": ("A = S[:4]", r"a slice is a\[first:\]"),
    "arguments by name": ("put(S, at=0, x=1.0)", "give them by their places"),
    "too few arguments": ("sums[0] = again()", "takes 1 arguments, not 0"),
    "return from a loop": ("sums[0] = early(S)", "return at its end"),
    "a view of another size": ("count[0] = f32(shift[0]).view(i64)", "a type of the same size"),
    "fma of two types": ("sums[0] = fma(shift[0], f32(shift[1]), shift[2])", "give it floating numbers of one type"),
    "a shift too far": ("count[0] = first << 64", "shift by 0 to 63"),
    "a loop from below": ("for l in range(-1, 3):\n    pass", "a loop from -1: begin at 0 or more"),
    "dividing by nothing": ("count[0] = first // 0", "divide by a positive number"),
    "what comes after": ("return 3\nsums[0] = 1.0", "statements after a return"),
    "raise": ("raise ValueError", "Raise is no part"),
    "import": ("import os", "Import is no part"),
}
OTHERS = """
@device
def again(x):
    return again(x)

@inline
def early(A):
    for l in range(len_of):
        if A[l] > 0.0:
            return A[l]
    return 0.0

@outline
def sometimes(A):
    if A[0] > 0.0:
        return 3

len_of = 4
"""


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_outside_is_refused_with_its_line(name):
    body, message = REFUSED[name]
    source = text(body, OTHERS)
    with pytest.raises(LanguageError, match=message) as caught:
        typed_tree(source, "it.py")
    file, line = str(caught.value).split(":")[:2]
    assert file == "it.py" and 1 <= int(line) <= len(source.splitlines()) and int(line) == caught.value.line


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("K = open('x')", "among the constants|what is no type"),
        ("K = __import__('os')", "among the constants"),
        ("K = 9.0 ** 9e9", "a power beyond"),
        ("K = (1).__class__", "among the constants"),
        ("T = np.int32", "T has a meaning already"),
        ("@device\ndef f(*x):\n    return x", "write plain ones"),
        ("class A: pass", "outside a function"),
        ("this is not", "not Python"),
    ],
)
def test_constants_are_evaluated_and_nothing_else_is_run(head, message):
    with pytest.raises(LanguageError, match=message):
        typed_tree(text("pass", head))


def test_a_module_without_such_a_driver_is_refused():
    with pytest.raises(LanguageError, match="there is no driver run"):
        typed_tree(HEAD)


# the checked build ---------------------------------------------------------------------------------------------------
RANGE, SIGN, WRAP, OVERLAP = "an index or length", "a number that is negative", "does not fit 64 bits", "share an element"
BROKEN = {  # a text, and what the error says of the line that ends in "# here"
    "index": ("sums[first * n] = 1.0  # here", RANGE),
    "negative index": ("sums[start - n] = 1.0  # here", RANGE),
    "index of a part": ("X = rest(S, 60)\nX[first] = 1.0  # here", RANGE),
    "part": ("X = rest(S, first * n)  # here\nX[0] = 1.0", RANGE),
    "part of a part": ("X = rest(rest(S, 60), n)  # here", RANGE),
    "index in a function": ("total(rest(S, 60), sums, 3, n)", RANGE),
    "row": ("sums[0] = params[first][0, 0]  # here", RANGE),
    "column": ("sums[0] = params[0][0, first]  # here", RANGE),
    "memory of the function": ("A = scratch(1, T)\nfor l in range(n):\n    A[l] = 0.0  # here", RANGE),
    "taken": ("sums[0] = take(S, 60, 3, 2)[0] + take(S, start, 70, 2)[1]  # here", RANGE),
    "put": ("put(S, start * 22, 1.0)  # here", RANGE),
    "paired": ("P = paired(Z)\ncount[0] = i64(P[first])  # here", RANGE),
    "division": ("count[0] = (start - n) // 2  # here", SIGN),
    "remainder": ("count[0] = n % (start - 3)  # here", SIGN),
    "shift": ("count[0] = i64(seed << (u64(n) * u64(8)))  # here", SIGN),
    "beginning of a loop": ("for i in range(start - n, 2):  # here\n    pass", SIGN),
    "sum": ("count[0] = (record[0] - i64(5) + 4611686018427387904) * 1 + 4611686018427387904  # here", WRAP),
    "product": ("count[0] = first * 1152921504606846976  # here", WRAP),
    "difference": ("count[0] = 0 - (start - 4) - 9223372036854775807 - n  # here", WRAP),
    "overlap": ("total(S, rest(S, 4), 0, 8)  # here", OVERLAP),
    "overlap by way of a function": ("outer_total(S, rest(S, 4), 8)  # here", OVERLAP),
}
OUTER = """
@outline
def outer_total(A, B, count):
    total(A, B, 0, count)
"""


@pytest.mark.parametrize("name", BROKEN)
def test_the_checked_build_tells_what_was_broken_and_the_line(name):
    body, said = BROKEN[name]
    source = text(body, BEFORE + OUTER)
    with pytest.raises(IndexError, match=rf"it.py:\d+: .*{said}") as caught:
        compiled(source, checked=True)(*arguments().values())
    line = source.splitlines()[int(str(caught.value).split(":")[1]) - 1]
    assert line.endswith("# here") or line.strip() in ("x += A[i]", "total(A, B, 0, count)")


def test_the_checked_build_compares_the_arrays_of_the_driver():
    given = arguments()
    given["G"] = given["S"][40:]
    with pytest.raises(IndexError, match=OVERLAP):
        compiled(text("pass"), checked=True)(*given.values())


def test_parts_of_one_array_that_do_not_touch_are_distinct():
    """The function reads the first 8 numbers, and writes the 9th."""
    compiled(text("total(S, rest(S, 8), 0, 8)", BEFORE), checked=True)(*arguments().values())


def test_the_checked_build_fills_the_memory_of_functions_as_asked():
    """Two runs that begin with other bytes, and end with other numbers, have read what was never written."""
    f = compiled(text("A = scratch(1, i64)\ncount[0] = A[3]"), checked=True)
    seen = []
    for f.fill in (0, 1):
        given = arguments()
        f(*given.values())
        seen.append(int(given["count"][0]))
    assert seen == [0, 0x0101010101010101]


@pytest.mark.parametrize("name", ["arrays and rows", "rows of one's own", "functions that are called", "variables", "loops"])
def test_the_checked_build_gives_the_same_numbers(name):
    source = text(SAME[name], BEFORE)
    one, other = arguments(), arguments()
    assert compiled(source)(*one.values()) == compiled(source, checked=True)(*other.values())
    for x, y in zip(one.values(), other.values(), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def test_a_call_refuses_arrays_of_another_kind():
    given = arguments() | {"S": np.zeros(64, np.float32)}
    with pytest.raises(TypeError, match="float32 and 1 axes where one of float64"):
        compiled(text("pass"))(*given.values())
    given = arguments() | {"S": np.zeros(128)[::2]}
    with pytest.raises(TypeError, match="an array of"):
        compiled(text("pass"))(*given.values())
