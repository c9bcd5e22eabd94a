"""What the front end raises."""

from __future__ import annotations


class LanguageError(Exception):
    """A text that is no part of the kernel language: file, line, what, and what to write instead."""

    def __init__(self, file: str, line: int, what: str, remedy: str) -> None:
        super().__init__(f"{file}:{line}: {what}" + (f": {remedy}" if remedy else ""))
        self.line = line
