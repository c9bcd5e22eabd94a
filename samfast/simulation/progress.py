"""Progress of a simulation: a bar on the terminal, or a function of the user."""

from __future__ import annotations

from collections.abc import Callable

Progress = bool | Callable[[int, int], None] | None


def bar(total: int) -> Callable[[int], None]:
    """A progress bar on the terminal, in paths."""
    from tqdm import tqdm

    shown = tqdm(total=total, unit="path", unit_scale=True, leave=False, mininterval=0.1)

    def step(done: int) -> None:
        shown.update(done - shown.n)
        if done >= total:
            shown.close()

    step.close = shown.close  # type: ignore[attr-defined]
    return step
