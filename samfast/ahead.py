"""Imports that the end of a command needs, done in a thread while LLVM compiles and the paths run: neither holds the GIL.

The command says what will be `wanted`; whoever begins the long work says `begin`, and whoever uses what was loaded says
`ready` first. Without `wanted` nothing happens, so a program that uses the library imports as ever, in its own thread.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from importlib import import_module

_wanted: tuple[str, ...] = ()
_thread: threading.Thread | None = None
_end = threading.Event()


def wanted(*modules: str) -> None:
    """To be imported once the long work begins. None of them may be a module of samfast, which the main thread imports."""
    global _wanted
    _wanted = modules


def begin() -> None:
    """Start the imports that are wanted. Until `ready` returns, this process must not fork: a child would wait for ever."""
    global _wanted, _thread
    if _wanted:
        modules, _wanted = _wanted, ()
        _end.clear()
        thread = threading.Thread(target=_import, args=(modules,), name="samfast-imports")
        thread.start()  # Ctrl-C may come up here
        _thread = thread


def ready() -> None:
    """Wait until they are done."""
    global _thread
    if _thread is not None:
        _thread.join()
        _thread = None


def drop() -> None:
    """Begin no further import, since the command ends."""
    global _wanted
    _wanted = ()
    _end.set()
    ready()


def _import(modules: tuple[str, ...]) -> None:
    for name in modules:
        if not _end.is_set():
            with suppress(Exception):  # whoever needs the module gets the error
                import_module(name)
