"""The typed tree: what the front end (`language`) makes of a program's text, and the printers (`llvm`) print.

Each number has a type: "i1", "i32", "u32", "i64", "u64", "f32" or "f64". A number is a constant or a name that is given once;
variables that are given more than once are read by "get" and written by `Set`. An array is a pointer to its elements.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# The promises that a checked build looks at, and the words of its errors.
PROMISES = {
    "range": "an index or length outside its array",
    "sign": "a number that is negative, zero or too large for this operation",
    "wrap": "a sum or product of places that does not fit 64 bits",
    "overlap": "arrays of one call that share an element, which one of them writes",
}
SIZES = {"i1": 1, "i32": 4, "u32": 4, "i64": 8, "u64": 8, "f32": 4, "f64": 8}


def is_float(t: str) -> bool:
    return t[0] == "f"


def is_unsigned(t: str) -> bool:
    return t[0] == "u"


@dataclass(frozen=True, slots=True)
class Const:
    """A number of the text."""

    type: str
    value: float


@dataclass(frozen=True, slots=True)
class Ref:
    """A number that is known when the program runs; wraps: whether its arithmetic may leave the range of its type."""

    type: str
    id: int
    wraps: bool = False


Number = Const | Ref


@dataclass(frozen=True, slots=True)
class Array:
    """A pointer to elements of one type; shape: the lengths of its axes, if the text asks for them; size: of all, if known."""

    type: str
    id: int
    shape: tuple[Number, ...] = ()
    size: Number | None = None


@dataclass(frozen=True, slots=True)
class Var:
    """A variable of the function: memory of its own."""

    type: str
    id: int


@dataclass(frozen=True, slots=True)
class Op:
    """One operation, by its kind.

    add sub mul div | udiv urem and or xor shl shr: two numbers of the type
    lt le gt ge eq ne: two numbers of one type, a truth value
    neg sqrt abs fma: floating numbers of the type
    select: condition, number, number | cast, bits: one number, by value and by its bits
    load: array, index | get: variable | within: index, length (the index, or 0 if it is outside)
    addfits subfits mulfits: whether the result of add, sub, mul fits the type of two signed numbers
    """

    kind: str
    type: str
    args: tuple[Number | Array | Var, ...]
    wraps: bool = False


@dataclass(frozen=True, slots=True)
class Let:
    """A name for the result of an operation."""

    ref: Ref
    op: Op


@dataclass(frozen=True, slots=True)
class Room:
    """An array of `count` elements on the stack, aligned to a cache line."""

    array: Array
    count: int


@dataclass(frozen=True, slots=True)
class Offset:
    """The array that begins at an element of another; of=None for the same place read as another type."""

    array: Array
    of: Array
    index: Number


@dataclass(frozen=True, slots=True)
class Store:
    array: Array
    index: Number
    value: Number


@dataclass(frozen=True, slots=True)
class Set:
    var: Var
    value: Number


@dataclass(frozen=True, slots=True)
class For:
    """For ref = first, first + step, ... below last; fixed: these are constants, and there is at least one round."""

    ref: Ref
    first: Number
    last: Number
    step: int
    fixed: bool
    body: list[Statement]


@dataclass(frozen=True, slots=True)
class While:
    head: list[Statement]
    test: Number
    body: list[Statement]


@dataclass(frozen=True, slots=True)
class If:
    test: Number
    yes: list[Statement]
    no: list[Statement]


@dataclass(frozen=True, slots=True)
class Call:
    """A call of another function; ref: the name of its result, if it has one."""

    ref: Ref | None
    function: Function
    args: tuple[Number | Array, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Return:
    value: Number | None


@dataclass(frozen=True, slots=True)
class Fault:
    """In a checked build: remember the line, and which promise was broken, if the condition does not hold."""

    holds: Number
    line: int
    promise: str


Statement = Let | Room | Offset | Store | Set | For | While | If | Call | Return | Fault


@dataclass(slots=True)
class Function:
    """A function with its variables; params: numbers and arrays by their names in the text."""

    name: str
    params: list[tuple[str, Number | Array]]
    result: str | None = None
    body: list[Statement] = field(default_factory=list)
    variables: list[Var] = field(default_factory=list)
