"""The arguments of a simulation, checked and brought into one form."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from .. import arrays
from ..checks import check, choice, identifier, integer, real_array, shown, unfit
from ..codegen.compose import clash
from ..model.loss import Loss
from ..model.observer import ORIGIN, Observer
from ..model.parameters import Numbers, PerPath, unfolded
from ..model.rule import Rule

Device: TypeAlias = Literal["cpu", "cuda", "auto"]
DType: TypeAlias = Literal["mixed", "float32", "float64"]
OnDivergence: TypeAlias = Literal["mask", "raise", "keep"]
Record: TypeAlias = float | Sequence[float] | np.ndarray  # update counts


class OnDevice(Protocol):
    """An array of CuPy, JAX, PyTorch or another library with DLPack."""

    def __dlpack__(self) -> Any: ...


Point: TypeAlias = Numbers | OnDevice  # (dim,), or (paths, dim) where each path has its own start

FEW, WHOLE = 4, 1e-3  # an update count may be off by FEW roundings, but never by more than WHOLE
RESERVED = (ORIGIN, "step_count")  # names of parameters whose values the engine sets itself


def types(loss: Any, rule: Any, observe: Any) -> None:
    """Raise TypeError unless the three arguments are a Loss, a Rule and an Observer or None."""
    for name, value, kind, example in (
        ("loss", loss, Loss, "a Loss, e.g. sf.losses.beale() or a function decorated with @sf.loss(dim=2)"),
        ("rule", rule, Rule, "a Rule, e.g. sf.sam(lr=0.01, rho=0.05)"),
        ("observe", observe, Observer | None, "an Observer, e.g. sf.observe.msd()"),
    ):
        if not isinstance(value, kind):
            raise TypeError(f"{name}={shown(value)}: give {example}")


def device(device: str | None, start_on_gpu: bool) -> str:
    """The device to run on: by default the one that the start lies on; NoGpuError if that must be a GPU and none is usable."""
    device = choice("device", ("cuda" if start_on_gpu else "cpu") if device is None else device, ("cpu", "cuda", "auto"))
    check(
        device != "cpu" or not start_on_gpu, "device='cpu': the start lies on a GPU; leave device out, or copy it to the host"
    )
    if device == "cuda" or start_on_gpu:
        from ..backends.cuda import require

        require()
    return device


def executor_and_progress(executor: Any, progress: Any) -> None:
    """Raise TypeError unless these are an executor or None, and a truth value, a function or None."""
    check(
        executor is None or (hasattr(executor, "submit") and not isinstance(executor, type)),
        f"executor={executor!r}: give a concurrent.futures executor, e.g. ThreadPoolExecutor(4)",
        TypeError,
    )
    check(
        progress is None or isinstance(progress, bool) or (callable(progress) and not isinstance(progress, type)),
        f"progress={progress!r}: give True for a bar, or a function of (paths done, paths)",
        TypeError,
    )


def update_counts(record: Any, after: int) -> np.ndarray:
    """The update counts to record, ascending int64 and all above `after`; ValueError for a record that is not of this kind."""
    whole, shown = False, f"record={reprlib.repr(record)}"
    try:
        raw = np.atleast_1d(np.asarray(list(record) if isinstance(record, range) else record))
        if raw.ndim == 1 and raw.size and raw.dtype.kind in "iuf" and bool((np.abs(raw) < 2.0**62).all()):
            near = np.rint(raw)
            counts, off = near.astype(np.int64), np.abs(raw - near)
            if raw.dtype.kind == "f":  # times/lr is off by a few roundings, e.g. 0.3/0.1 gives 2.9999999999999996
                off = np.where(off <= np.minimum(FEW * np.finfo(raw.dtype).eps * np.abs(near), WHOLE), 0, off)
            whole = not off.any()
    except (TypeError, ValueError, OverflowError):
        pass
    check(whole, f"{shown}: give update counts, whole numbers in ascending order, e.g. record=[0, 100, 1000]")
    check(
        bool((np.diff(counts) > 0).all()), f"{shown}: the update counts must ascend without repeats, e.g. record=[0, 100, 1000]"
    )
    check(
        int(counts[0]) > after,
        f"{shown}: the first update count must be " + ("at least 0" if after < 0 else f"above {after}, where the run ended"),
    )
    return counts


def seed(seed: Any) -> int:
    """The seed as an integer below 2**64; for None a fresh one from the operating system."""
    if seed is None:
        return int.from_bytes(os.urandom(8), "little")
    n = integer("seed", seed, 0, 42)
    check(n < 2**64, f"seed={seed}: give an integer below 2**64")
    return n


def origin(start: Any, dim: int) -> Any:
    """The start as an array, (dim,) or (paths, dim), of CuPy if it lies on a GPU, else of NumPy."""
    if arrays.on_gpu(start):
        return _good_origin(arrays.to_cupy(start), dim)
    try:
        array = real_array("start", start)
    except TypeError:
        raise TypeError(f"start={reprlib.repr(start)}: give numbers of shape (dim,) = ({dim},) or (paths, {dim})") from None
    return _good_origin(array, dim)


def _good_origin(array: Any, dim: int) -> Any:
    if array.ndim == 0 and dim == 1:
        array = array[None]
    check(
        array.ndim in (1, 2) and array.shape[-1] == dim and array.size > 0,
        f"start has shape {array.shape}: the "
        f"loss has dimension {dim}, so give shape ({dim},), or (paths, {dim}) for a start of each path's own",
    )
    with np.errstate(over="ignore", invalid="ignore"):  # a finite sum has finite terms only, and takes a tenth of the time
        finite = bool(abs(array.sum()) < np.inf) or bool((abs(array) < np.inf).all())
    check(finite, "start holds a value that is not a finite number: remove it")
    return array


def paths(paths: int | None, sizes: Mapping[str, int]) -> int:
    """The number of paths, 1 if nothing gives it; sizes: lengths, by name, of the arrays that have one entry per path."""
    wanted = set(sizes.values())
    described = ", ".join(f"{k} has {n}" for k, n in sizes.items())
    check(len(wanted) <= 1, f"paths: the arrays with one entry per path disagree, {described}; give them one length")
    if paths is None:
        return wanted.pop() if wanted else 1
    n = integer("paths", paths, 1, "10_000")
    check(
        not wanted or wanted == {n},
        f"paths={n}: of the arrays with one entry per path, {described}; give them {n} entries, or leave paths out",
    )
    return n


def parameters(loss: Loss, rule: Rule, observer: Observer) -> dict[str, Any]:
    """All parameters by name, checked against each other; each was checked where its loss, rule or observer was made."""
    clash(loss, rule, observer)
    for name in (*loss.params, *rule.params):
        identifier(name)
        check(name not in RESERVED, f"parameter name {name!r} is samfast's own: rename it")
    for name, value in observer.params.items():
        check(
            not isinstance(value, PerPath),
            f"{name}: a parameter of observer {observer.name!r} is the same for all "
            "paths; give a number, or a sequence for a sweep",
        )
    given = unfolded({**observer.params, **loss.params, **rule.params})
    for name in sorted(loss.vectors | rule.vectors):
        check(
            name not in given or not isinstance(given[name], PerPath) or given[name].values.ndim == 2,
            f"{name}: it has one value per coordinate, per_path gives one per path; "
            "give per_path an array of shape (paths, dim)",
        )
    return {k: v for k, v in given.items() if k != ORIGIN}


def sweep(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of the sweep, to which the parameters of these shapes broadcast; ValueError if they do not."""
    try:
        shape = np.broadcast_shapes(*shapes.values())
    except ValueError:
        raise ValueError(f"the parameters of the sweep: {unfit(shapes)}") from None
    check(0 not in shape, "a parameter is an empty sequence: give at least one value")
    return tuple(shape)
