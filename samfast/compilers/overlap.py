"""In a checked build, which parts of its arrays each call uses, and whether one that it writes is a part of another.

A note belongs to one array of one call. It has four words of memory: the first and last address that the call used, and the
first and last that it wrote. What lies between counts as used, so arrays whose elements alternate would be told wrongly.
"""

from __future__ import annotations

from itertools import combinations
from typing import Protocol

NOTHING = (2**64 - 1, 0, 2**64 - 1, 0)  # first and last of what was used, of what was written
EXTREME = ("umin", "umax", "umin", "umax")


class Printer(Protocol):
    """What is needed of the printer of a function."""

    declared: dict[str, str]
    rooms: list[str]

    def fresh(self) -> str: ...
    def out(self, line: str) -> None: ...
    def fault(self, holds: str, line: int, promise: str) -> None: ...


def filled(room: str, size: int, fault: str, declared: dict[str, str]) -> list[str]:
    """Lines that fill an array of a function with the byte that the caller gave."""
    declared["memset"] = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"
    place, word, byte = (f"{room}.{x}" for x in ("place", "word", "byte"))
    return [
        f"  {place} = getelementptr inbounds i64, ptr {fault}, i64 1",
        f"  {word} = load i64, ptr {place}",
        f"  {byte} = trunc i64 {word} to i8",
        f"  call void @llvm.memset.p0.i64(ptr {room}, i8 {byte}, i64 {size}, i1 false)",
    ]


def begin(p: Printer) -> str:
    """A new note, of nothing."""
    note = p.fresh()
    p.rooms.append(f"  {note} = alloca [4 x i64], align 8")
    for i, x in enumerate(NOTHING):
        p.out(f"store i64 {x}, ptr {_place(p, note, i)}")
    return note


def touch(p: Printer, note: str, place: str, size: int, written: bool) -> None:
    """Note that an element was used."""
    first, last = p.fresh(), p.fresh()
    p.out(f"{first} = ptrtoint ptr {place} to i64")
    p.out(f"{last} = add i64 {first}, {size - 1}")
    for i in range(4 if written else 2):
        _widen(p, note, i, (first, last)[i % 2])


def add(p: Printer, note: str, other: str) -> None:
    """Note that all was used that another note has."""
    for i in range(4):
        _widen(p, note, i, _word(p, other, i))


def end(p: Printer, notes: list[str], line: int) -> None:
    """After a call: a fault if it wrote in one array what it used in another."""
    for a, b in combinations(notes, 2):
        (a0, a1, a2, a3), (b0, b1, b2, b3) = ([_word(p, x, i) for i in range(4)] for x in (a, b))
        for first, last, other_first, other_last in ((a2, a3, b0, b1), (b2, b3, a0, a1)):
            before, after, apart = p.fresh(), p.fresh(), p.fresh()
            p.out(f"{before} = icmp ult i64 {last}, {other_first}")
            p.out(f"{after} = icmp ult i64 {other_last}, {first}")
            p.out(f"{apart} = or i1 {before}, {after}")
            p.fault(apart, line, "overlap")


def _place(p: Printer, note: str, i: int) -> str:
    place = p.fresh()
    p.out(f"{place} = getelementptr inbounds i64, ptr {note}, i64 {i}")
    return place


def _word(p: Printer, note: str, i: int) -> str:
    place, word = _place(p, note, i), p.fresh()
    p.out(f"{word} = load i64, ptr {place}")
    return word


def _widen(p: Printer, note: str, i: int, x: str) -> None:
    kind = EXTREME[i]
    p.declared[kind] = f"declare i64 @llvm.{kind}.i64(i64, i64)"
    place, old, new = _place(p, note, i), p.fresh(), p.fresh()
    p.out(f"{old} = load i64, ptr {place}")
    p.out(f"{new} = call i64 @llvm.{kind}.i64(i64 {old}, i64 {x})")
    p.out(f"store i64 {new}, ptr {place}")
