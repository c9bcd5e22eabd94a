"""Progress of a simulation, shown by a bar on the terminal or told to a function of the user. All bars are made here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = bool | Callable[[int, int], None] | None


def bar(total: int) -> Callable[[int], None]:
    """A progress bar on the terminal for `total` paths, as a function of the paths done; its .close() removes the bar."""
    shown = _bar(total=total)

    def step(done: int) -> None:
        shown.update(done - shown.n)
        if done >= total:
            shown.close()

    step.close = shown.close  # type: ignore[attr-defined]
    return step


@contextmanager
def command_bar() -> Iterator[Callable[[int, int], None]]:
    """A bar for a command, as a function for the argument `progress`; it is removed at the end, also after an error.

    The bar is shown before the first path is done, since the first run on a machine compiles for some seconds.
    """
    with _bar(desc="compiling, once per machine") as shown:

        def step(done: int, total: int) -> None:
            if shown.total != total:
                shown.reset(total)
                shown.set_description_str("simulating", refresh=False)
            shown.update(done - shown.n)

        yield step


def _bar(**more: Any) -> Any:
    from tqdm import tqdm

    return tqdm(unit="path", unit_scale=True, leave=False, mininterval=0.1, **more)
