"""simulate: check, render, cut into shards, run, merge. The same bits under every schedule."""
from __future__ import annotations

import os
import reprlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from .backends import arrays
from .backends.cpu import Part, Shard, host, initial, merge, toolchain
from .backends.run import run_shard
from .checks import CriticalPointError, DivergenceWarning, check, choice, identifier, integer, numbers
from .losses import Loss, PerPath
from .observe import ORIGIN, Observer, position
from .render import LIMIT, MODES, Program, clash, render
from .results import Run
from .rules import Rule
from .schedule import Interrupted, bar, execute, threads

BLOCK = 256             # paths that are summed in one tree on every device
GPU_STEPS = 1e12        # path-steps of one shard on a GPU: some seconds
SHARDS_PER_GPU = 4      # at least, if there are several
GPU_SHARE = 0.3         # of a GPU's free memory for one shard
SHARD_NS = 3e7          # estimated time of one shard: an interrupt or a retry loses no more than about this
LITTLE = 2 ** 18        # bytes that need no question whether they are free
FEW, WITH_NORMALS = 8, 32   # up to this many paths a narrow program is faster; a block of normals should fill vectors
RESERVED = (ORIGIN, "step_count")     # parameter names that the engine fills in
AUTO_SECONDS = 0.1      # estimated time on all processors from which device="auto" takes the GPU; a guess, not yet measured
Progress = bool | Callable[[int, int], None] | None


@dataclass(frozen=True)
class Job:
    """Everything that defines the paths, as plain data."""

    program: Program
    paths: int
    seed: int
    params: np.ndarray                  # (1, C, columns), or (times, C, columns): for the steps up to each recorded time
    rows: Mapping[str, np.ndarray]      # initial rows: (size, 1) or (size, paths)
    shift: np.ndarray                   # (C, features)
    shared_noise: bool
    on_divergence: str
    values: bool
    state: bool
    sweep: tuple[int, ...]
    given: Mapping[str, Any]
    kind: str = "numpy"                 # library of the arrays that a user gets
    first: int = 0                      # number of the first path: a replay starts elsewhere

    @property
    def configurations(self) -> int:
        return self.params.shape[1]

    @property
    def constant(self) -> bool:
        """Whether the parameters are the same at all times."""
        return len(self.params) == 1

    @property
    def mask(self) -> bool:
        return self.on_divergence != "keep"

    def groups(self) -> list[tuple[int, slice]]:
        """(noise tag, configurations that share it)."""
        n = self.configurations
        return [(0, slice(0, n))] if self.shared_noise else [(c, slice(c, c + 1)) for c in range(n)]

    def nanoseconds(self, paths: int, steps: int, configurations: int) -> float:
        """A rough estimate, for cutting into shards."""
        p = self.program
        per_step = 1.0 + 4.0 * p.calls / p.served * (1.5 if p.mode != "float64" else 2.5)
        return max(paths, p.lanes) * steps * (per_step + configurations * (0.05 * p.statements + 0.05))

    def chunk(self, steps: int, times: int) -> int:
        """Paths of one shard: 256*2^m, about SHARD_NS of work, and shards enough for the processors."""
        p, configurations = self.program, self.configurations if self.shared_noise else 1
        size = BLOCK
        per_block = configurations * times * len(p.labels) * p.moments * 8
        per_path = configurations * p.dtype.itemsize * (p.state_rows + times * len(p.labels) * self.values)
        if p.device == "cuda":
            from .backends.cuda import count
            each = per_path + configurations * 8 + 2 * per_block / BLOCK
            most = min(GPU_SHARE * _gpu_memory() / each, GPU_STEPS / max(1, steps * configurations))
            most = most if count() == 1 else min(most, self.paths / (SHARDS_PER_GPU * count()))
            while size < self.paths and 2 * size <= most:
                size *= 2
            return size
        while (size < self.paths and self.nanoseconds(2 * size, steps, configurations) < SHARD_NS
               and 2 * size // BLOCK * per_block < 2 ** 26 and 2 * size * per_path < 2 ** 28
               and 8 * threads() * 2 * size <= max(self.paths, 8 * threads() * 1024)):
            size *= 2
        return size

    def shards(self, start: int, times: np.ndarray, state: np.ndarray | None) -> list[Shard]:
        chunk, out = self.chunk(int(times[-1]) - start, len(times)), []
        for tag, which in self.groups():
            for a in range(0, self.paths, chunk):
                b = min(a + chunk, self.paths)
                rows = {k: v[:, a:b] if v.shape[1] > 1 else v for k, v in self.rows.items()}
                out.append(Shard(self.program, self.first + a, b - a, start, self.seed, tag, self.params[:, which],
                                 self.shift[which], times, rows, None if state is None else state[which, :, a:b],
                                 self.mask, self.values, self.state, toolchain()))
        return out


def simulate(loss: Loss, rule: Rule, start: Any, *, record: Any, paths: int | None = None,
             observe: Observer | None = None, seed: int | None = 0, dtype: str = "mixed",
             device: str | None = None, moments: int = 2, values: bool = False, state: bool = True,
             shared_noise: bool = True, on_divergence: str = "mask", executor: Executor | None = None,
             progress: Progress = None) -> Run:
    """Run many paths of a rule on a loss and keep the moments of what an observer sees.

    start: shape (dim,) for all paths, or (paths, dim). record: update counts at which to look, ascending, e.g.
    [0, 100, 1000]. observe: default position(). A parameter given as a sequence makes a sweep: parameters broadcast
    against each other as in NumPy, and all settings see the same noise unless shared_noise=False. A parameter given as
    per_path(values) differs from path to path.

    seed: an integer, or None for a fresh one (it is in the result). dtype: "mixed" (state in float64, normals drawn in
    float32), "float32", "float64". device: "cpu", or "cuda" for the current GPU (default: where `start` lies), with the
    same paths; "auto" takes the GPU if there is one and the work is long enough for it. A start on a GPU may be CuPy's,
    JAX's, PyTorch's or any with DLPack: values and final states then come as such arrays; with device="cuda" and a start
    on the host, as CuPy arrays.
    moments: 1 to 4 moments of every feature. values=True keeps every path's features; state=False saves the memory of
    the final state (then the run cannot be resumed).
    on_divergence: "mask" leaves a path out of the statistics at the recorded times at which a feature is not a number
    or farther than 1e75 from its start, or a coordinate is not finite, and warns; "raise" raises FloatingPointError;
    "keep" leaves it in.
    executor: any concurrent.futures executor (default: threads); the result is bitwise the same under all of them.
    progress: True for a bar, or a function (paths done, paths).
    """
    _check_how(executor, progress)
    times = _times(record, -1)
    options = dict(paths=paths, observe=observe, seed=seed, dtype=dtype, moments=moments, values=values, state=state,
                   shared_noise=shared_noise, on_divergence=on_divergence)
    job = checked(loss, rule, start, device=device, steps=int(times[-1]), **options)  # type: ignore[arg-type]
    return finish(ready(job, times), times, None, executor, progress, {})


def _better_device(job: Job, steps: int) -> str:
    """For device="auto": the GPU if there is one and the processors would need longer than it takes to get going."""
    if job.nanoseconds(job.paths, steps, job.configurations) / 1e9 / threads() < AUTO_SECONDS:
        return "cpu"
    from .backends.cuda import missing
    return "cpu" if missing() else "cuda"


def checked(loss: Loss, rule: Rule, start: Any, *, seed: int | None, dtype: str, device: str | None = None, moments: int,
            on_divergence: str, observe: Observer | None, steps: int, **options: Any) -> Job:
    """The job of a simulation of so many steps, with every argument looked at. Compiles nothing, writes nothing."""
    for name, value, kind, example in (
            ("loss", loss, Loss, "a Loss, e.g. sf.losses.beale() or a function decorated with @sf.loss(dim=2)"),
            ("rule", rule, Rule, "a Rule, e.g. sf.sam(lr=0.01, rho=0.05)"),
            ("observe", observe, Observer | None, "an Observer, e.g. sf.observe.msd()")):
        if not isinstance(value, kind):
            raise TypeError(f"{name}={value!r}: give {example}")
    choice("dtype", dtype, MODES)
    there = arrays.on_gpu(start)
    device = choice("device", ("cuda" if there else "cpu") if device is None else device, ("cpu", "cuda", "auto"))
    check(device != "cpu" or not there, "device='cpu': the start lies on a GPU; leave device out, or copy it to the host")
    if device == "cuda" or there:
        from .backends.cuda import require
        require()
    choice("on_divergence", on_divergence, ("mask", "raise", "keep"))
    moments = integer("moments", moments, 1, 2)
    check(moments <= 4, f"moments={moments}: give at most 4")
    _warn_of_slow_processor()
    def on(device: str) -> Job:
        return plan(loss, rule, start, observe=observe, seed=_seed(seed), dtype=dtype, device=device, moments=max(2, moments),
                    on_divergence=on_divergence, **options)
    if device == "auto":
        device = "cuda" if there else _better_device(on("cpu"), steps)
    return on(device)


def ready(job: Job, times: np.ndarray) -> Job:
    """A job that may begin: it fits into memory, and sums are about the features at the start of path 0."""
    _check_size(job, times)
    return replace(job, shift=_shift(job))


@cache
def _warn_of_slow_processor() -> None:
    """Once: without fused multiply-add in hardware every fma is a library call, and nothing vectorises."""
    about = host()
    if not about["fma"]:
        warnings.warn(f"the processor {about['name']!r} has no fused multiply-add: kernels give the same bits but are much "
                      "slower; use another machine for long runs", RuntimeWarning, stacklevel=3)


def resume(run: Run, *, record: Any = None, executor: Executor | None = None, progress: Progress = None) -> Run:
    """Go on from where a run ended, to further update counts; or finish a run that was interrupted (no record).

    The result holds the old records and the new ones, and is bitwise what one longer run would have given.
    """
    check(isinstance(run, Run), f"run={run!r}: give the result of simulate, or the .run of an Interrupted", TypeError)
    _check_how(executor, progress)
    if run.missing:
        check(record is None, "record: this run was interrupted; finish it first by resume(run), then go on")
        return finish(run.job, run.record, run.before, executor, progress, dict(run.parts))
    last = int(run.record[-1])
    check(run.state is not None, "state: this run kept none and cannot be resumed; give state=True to simulate")
    check(run.job.constant, "run: it has coefficients for its own times only; begin anew with all times")
    check(record is not None, f"record: give update counts beyond {last}, e.g. record=[{2 * max(last, 1)}]")
    times = _times(record, last)
    _check_size(run.job, times)
    return finish(run.job, times, run, executor, progress, {})


def replay(run: Run, path: int, record: Any = None) -> Run:
    """One path of a run again, alone, with its values stored at `record` (default: every step)."""
    path, job = integer("path", path, 0), run.job
    check(path < job.paths, f"path={path}: choose one of this run's paths, 0 to {job.paths - 1}")
    check(job.constant or record is None, f"record={record!r}: a run with coefficients for its own times is replayed at "
          "all of them; leave record out")
    whole = range(int(run.record[-1]) + 1) if job.constant else run.record
    times = _times(whole if record is None else record, -1)
    rows = {k: v[:, path:path + 1] if v.shape[1] > 1 else v for k, v in job.rows.items()}
    one = replace(job, paths=1, rows=rows, values=True, first=job.first + path, on_divergence="keep")
    _check_size(one, times)
    return finish(one, times, None, None, None, {})


def _check_how(executor: Any, progress: Any) -> None:
    check(executor is None or (hasattr(executor, "submit") and not isinstance(executor, type)),
          f"executor={executor!r}: give a concurrent.futures executor, e.g. ThreadPoolExecutor(4)", TypeError)
    check(progress is None or isinstance(progress, bool) or callable(progress),
          f"progress={progress!r}: give True for a bar, or a function of (paths done, paths)", TypeError)


def _times(record: Any, after: int) -> np.ndarray:
    whole, shown = False, f"record={reprlib.repr(record)}"
    try:
        raw = np.atleast_1d(np.asarray(list(record) if isinstance(record, range) else record))
        if raw.ndim == 1 and raw.size and raw.dtype.kind in "iuf" and bool((np.abs(raw) < 2.0 ** 62).all()):
            times = raw.astype(np.int64)
            whole = bool((times == raw).all())
    except (TypeError, ValueError, OverflowError):
        pass
    check(whole, f"{shown}: give update counts, whole numbers in ascending order, e.g. record=[0, 100, 1000]")
    check(bool((np.diff(times) > 0).all()), f"{shown}: the update counts must ascend without repeats, e.g. "
          "record=[0, 100, 1000]")
    check(int(times[0]) > after, f"{shown}: the first update count must be "
          + ("at least 0" if after < 0 else f"above {after}, where the run ended"))
    return times


def _seed(seed: Any) -> int:
    if seed is None:
        return int.from_bytes(os.urandom(8), "little")
    n = integer("seed", seed, 0, 42)
    check(n < 2 ** 64, f"seed={seed}: give an integer below 2**64")
    return n


def _origin(start: Any, dim: int) -> Any:
    if arrays.on_gpu(start):
        return _good_origin(arrays.to_cupy(start), dim)
    try:
        array = np.asarray(start, float)
    except (TypeError, ValueError):
        raise TypeError(f"start={start!r}: give numbers of shape (dim,) = ({dim},) or (paths, {dim})") from None
    return _good_origin(array, dim)


def _good_origin(array: Any, dim: int) -> Any:
    if array.ndim == 0 and dim == 1:
        array = array[None]
    check(array.ndim in (1, 2) and array.shape[-1] == dim and array.size > 0, f"start has shape {array.shape}: the "
          f"loss has dimension {dim}, so give shape ({dim},), or (paths, {dim}) for a start of each path's own")
    check(bool((abs(array) < np.inf).all()), "start holds a value that is not a finite number: remove it")
    return array


def _paths(paths: int | None, sizes: Mapping[str, int]) -> int:
    wanted = set(sizes.values())
    described = ", ".join(f"{k} has {n}" for k, n in sizes.items())
    check(len(wanted) <= 1, f"paths: the arrays with one entry per path disagree, {described}; give them one length")
    if paths is None:
        return wanted.pop() if wanted else 1
    n = integer("paths", paths, 1, "10_000")
    check(not wanted or wanted == {n}, f"paths={n}: of the arrays with one entry per path, {described}; give them {n} "
          "entries, or leave paths out")
    return n


def prepare(loss: Loss, rule: Rule, start: Any, **options: Any) -> Job:
    """Everything of a simulation but the times. device "plain" runs the text as ordinary Python."""
    job = plan(loss, rule, start, **options)
    return replace(job, shift=_shift(job))


def _given(loss: Loss, rule: Rule, observer: Observer) -> dict[str, Any]:
    """All parameters by name, checked."""
    clash(loss, rule, observer)
    for name, value in rule.params.items():
        numbers(name, value)
    for name in (*loss.params, *rule.params):
        identifier(name)
        check(name not in RESERVED, f"parameter name {name!r} is samfast's own: rename it")
    for name, value in observer.params.items():
        check(not isinstance(value, PerPath), f"{name}: a parameter of observer {observer.name!r} is the same for all "
              "paths; give a number, or a sequence for a sweep")
    given = {**observer.params, **loss.params, **rule.params}
    for name in loss.vectors | rule.vectors:
        check(not isinstance(given[name], PerPath), f"{name}: it has one value per coordinate, per_path gives one per "
              "path; give an array whose last axis has length dim")
    return {k: v for k, v in given.items() if k != ORIGIN}


def plan(loss: Loss, rule: Rule, start: Any, *, paths: int | None = None, observe: Observer | None = None,
         seed: int = 0, dtype: str = "mixed", device: str = "cpu", moments: int = 2, values: bool = False,
         state: bool = True, shared_noise: bool = True, on_divergence: str = "mask") -> Job:
    """Check and render; the shift is still to be filled in. Compiles nothing, writes nothing."""
    observer = observe or position()
    origin = _origin(start, loss.dim)
    given = _given(loss, rule, observer)
    own = {k: v.values for k, v in given.items() if isinstance(v, PerPath)}
    sizes = {k: len(v) for k, v in own.items()} | ({"start": len(origin)} if origin.ndim == 2 else {})
    n = _paths(paths, sizes)
    vectors = loss.vectors | rule.vectors
    common = {k: np.asarray(v, float) for k, v in given.items() if k not in own}
    for k in rule.vectors:
        common[k] = np.atleast_1d(common[k])
        check(common[k].shape[-1] in (1, loss.dim), f"{k} has shape {common[k].shape}: its last axis is the "
              f"coordinates, so give it length 1 or dim={loss.dim}; for a sweep give shape (settings, 1)")
        common[k] = np.broadcast_to(common[k], (*common[k].shape[:-1], loss.dim))
    shapes = {k: v.shape[:-1] if k in vectors else v.shape for k, v in common.items()}
    try:
        sweep = np.broadcast_shapes(*shapes.values())
    except ValueError:
        described = ", ".join(f"{k} {s}" for k, s in shapes.items() if s)
        raise ValueError(f"the parameters of the sweep do not broadcast: {described}; give sequences of one length, or "
                         "shapes such as (3, 1) and (4,) for a grid") from None
    configurations = int(np.prod(sweep))
    check(configurations > 0, "a parameter is an empty sequence: give at least one value")
    program = render(loss, rule, observer, mode=dtype, device=device, lanes=_lanes(loss, rule, n, device),
                     shared=configurations > 1 and shared_noise, moments=moments, start_per_path=origin.ndim == 2,
                     single=n == 1)
    columns = []
    for name, size in program.columns:
        if name == ORIGIN:
            columns.append(np.broadcast_to(arrays.to_host(origin), (configurations, size)))
        elif name in vectors:
            columns.append(np.broadcast_to(common[name], (*sweep, size)).reshape(configurations, size))
        else:
            columns.append(np.broadcast_to(common[name], sweep).reshape(configurations, 1))
    params = np.ascontiguousarray(np.concatenate([*columns, np.zeros((configurations, 0))], 1), program.dtype)[None]
    where = origin.T if origin.ndim == 2 else origin[:, None]
    rows = {"w": where, **{f"p_{k}": v[None] for k, v in own.items()}}
    if f"p_{ORIGIN}" in program.rows:
        rows[f"p_{ORIGIN}"] = where
    return Job(program, n, seed, params, {k: v.astype(program.dtype, copy=False) for k, v in rows.items()},
               np.zeros((configurations, len(program.labels))), shared_noise, on_divergence, values, state,
               tuple(sweep), given, arrays.kind_of(start) if device == "cuda" else "numpy")


def _lanes(loss: Loss, rule: Rule, paths: int, device: str) -> int:
    normals = (rule.draws and rule.kind == "normal") or (loss.samples and loss.kind == "normal")
    if device == "cuda":
        return BLOCK
    few = WITH_NORMALS if normals and device == "cpu" else FEW
    return few if paths <= few else BLOCK


def _shift(job: Job) -> np.ndarray:
    """The features at the start of path 0: sums about it keep their digits."""
    rows = {k: v[:, :1] for k, v in job.rows.items()}
    shard = Shard(job.program, 0, 1, 0, 0, 0, job.params[:1], job.shift, np.zeros(1, np.int64), rows, None, False, True,
                  False, toolchain())
    part = run_shard(shard)
    assert part.values is not None
    value = arrays.to_host(part.values[:, 0, :, 0]).astype(float)
    return np.where(np.abs(value) < LIMIT, value, 0.0)


def _check_size(job: Job, times: np.ndarray) -> None:
    """Refuse what does not fit, before anything is allocated."""
    p = job.program
    check(int(times[-1]) // p.served * p.calls < 2 ** 32, f"record={int(times[-1])}: one path draws at most 2**32 "
          f"Philox calls, here {2 ** 32 // max(1, p.calls) * p.served:,} steps; use another seed for a further run")
    configurations, features = job.configurations, len(p.labels)
    shards = -(-job.paths // job.chunk(int(times[-1]), len(times)))
    need = {"values": 2 * configurations * len(times) * features * job.paths * p.dtype.itemsize if job.values else 0,
            "state": 2 * configurations * p.state_rows * job.paths * p.dtype.itemsize if job.state else 0,
            "sums": configurations * len(times) * features * p.moments * 8 * (shards + 2)}      # 2: in parts and merged
    if p.device == "cuda":
        _check_gpu(need)
        need = {"sums": need["sums"]}
    have = arrays.free_memory() if sum(need.values()) > LITTLE else None
    check(have is None or sum(need.values()) < 0.8 * have,
          "memory: this run needs " + ", ".join(f"{v / 1e9:.3g} GB for {k}" for k, v in need.items() if v)
          + f", and {(have or 0) / 1e9:.3g} GB are free: record fewer times or paths, or give values=False or "
          "state=False", MemoryError)


def _gpu_memory() -> float:
    """Free bytes of the current GPU."""
    import cupy
    return arrays.free_memory(cupy) or 0.0


def _check_gpu(need: Mapping[str, int]) -> None:
    """What stays on the GPU must leave room for a shard's own arrays."""
    kept, have = {k: v // 2 for k, v in need.items() if k != "sums"}, _gpu_memory()
    check(sum(kept.values()) < (1 - GPU_SHARE) * have, "memory: this run needs "
          + ", ".join(f"{v / 1e9:.3g} GB for {k}" for k, v in kept.items() if v) + f" on the GPU, where {have / 1e9:.3g} GB "
          "are free: run fewer paths at once, or give values=False or state=False", MemoryError)


def finish(job: Job, times: np.ndarray, before: Run | None, executor: Executor | None, progress: Progress,
            parts: dict[tuple[int, int], Part]) -> Run:
    """Run the shards that `parts` lacks, from the end of `before` if that is given, and merge all."""
    start, state = (0, None) if before is None else (int(before.record[-1]), before.state)
    shards = job.shards(start, times, state)
    sizes = {(s.tag, s.first): s.paths for s in shards}
    parts = {k: q for k, q in parts.items() if sizes.get(k) == q.paths}     # another machine may cut other shards
    todo = [s for s in shards if (s.tag, s.first) not in parts]
    total = sum(sizes.values())
    done_before = total - sum(s.paths for s in todo)
    show = bar(total) if progress is True else None
    report = None
    if show is not None or callable(progress):
        def report(done: int) -> None:
            if show is not None:
                show(done_before + done)
            elif callable(progress):
                progress(done_before + done, total)
    estimate = job.nanoseconds(job.paths, int(times[-1]) - start, job.configurations)
    try:
        if todo:
            execute(todo, executor, report, parts, estimate)
    except KeyboardInterrupt:
        raise Interrupted(_collect(job, times, parts, shards, before)) from None
    finally:
        if show is not None:
            show.close()  # type: ignore[attr-defined]
    run = _collect(job, times, parts, shards, before)
    known = set() if before is None else {(c, path) for c, path, _ in before.diverged.tolist()}
    fresh = _sorted([row for row in run.diverged.tolist() if (row[0], row[1]) not in known])
    _complain(run, fresh, [parts[k] for k in sizes])
    return run if before is None else _append(before, run, fresh)


def _append(old: Run, new: Run, fresh: np.ndarray) -> Run:
    """The records of one run and of its continuation. fresh: what diverged in the continuation only."""
    t = len(old.sweep)
    values = None
    if old.values is not None and new.values is not None:
        values = _joined(old.values, new.values, t, old.job.kind)
    return replace(new, record=np.concatenate([old.record, new.record]), sums=np.concatenate([old.sums, new.sums], t),
                   count=np.concatenate([old.count, new.count], t), values=values,
                   diverged=_sorted([*old.diverged.tolist(), *fresh.tolist()]))


def _joined(a: Any, b: Any, axis: int, kind: str) -> Any:
    """One array of two; on the host if one of them is there."""
    if arrays.on_gpu(a) and arrays.on_gpu(b):
        both = [arrays.to_cupy(a), arrays.to_cupy(b)]
        return arrays.like(arrays.module_of(both[0]).concatenate(both, axis), kind)
    return np.concatenate([arrays.to_host(a), arrays.to_host(b)], axis)


def _sorted(diverged: list[list[int]]) -> np.ndarray:
    """By configuration, then path: the same order under every schedule."""
    return np.array(sorted(diverged), np.int64).reshape(-1, 3)


def _collect(job: Job, times: np.ndarray, parts: Mapping[tuple[int, int], Part], shards: Sequence[Shard],
             before: Run | None) -> Run:
    """Merge the shards that there are, in path order, into one result."""
    p, configurations = job.program, job.configurations
    missing = tuple((s.tag, s.first) for s in shards if (s.tag, s.first) not in parts)
    kept = [s for s in shards if (s.tag, s.first) in parts]
    sums = np.zeros((configurations, len(times), len(p.labels), p.moments))
    count = np.zeros((configurations, len(times)), np.int64)
    values = state = None
    some = next((parts[s.tag, s.first] for s in kept), None)
    if some is not None and job.values and not missing:
        values = arrays.module_of(some.values).empty((configurations, len(times), job.paths, len(p.labels)), p.dtype)
    if some is not None and job.state and not missing:
        state = arrays.module_of(some.state).empty((configurations, p.state_rows, job.paths), p.dtype)
    diverged: list[list[int]] = []
    by_tag: dict[int, list[Part]] = {}
    for s in kept:
        by_tag.setdefault(s.tag, []).append(parts[s.tag, s.first])
    for tag, which in job.groups():
        mine = by_tag.get(tag, [])
        if mine:
            sums[which] = merge([q.sums for q in mine])
        for q in mine:
            at = slice(q.first - job.first, q.first - job.first + q.paths)
            count[which] += q.count
            diverged += (q.diverged + np.array([which.start, 0, 0])).tolist()
            if values is not None and q.values is not None:
                values[which, :, at] = q.values.swapaxes(2, 3)
            if state is not None and q.state is not None:
                state[which, :, at] = q.state
    shape = job.sweep
    if values is not None:
        values = arrays.like(values.reshape(*shape, *values.shape[1:]), job.kind)
    return Run(job, times, p.labels, shape, job.given, sums.reshape(*shape, *sums.shape[1:]),
               count.reshape(*shape, *count.shape[1:]), job.shift.reshape(*shape, -1), _sorted(diverged),
               sum(s.paths for s in kept if s.tag == 0), job.seed,
               values, state, missing,
               dict(parts) if missing else {}, before if missing else None)


def _complain(run: Run, diverged: np.ndarray, parts: Sequence[Part]) -> None:
    alarms = [tuple(int(x) for x in row) for q in parts for row in q.alarms]
    if alarms:
        raise CriticalPointError(f"{len(alarms)} paths met an exactly zero gradient, where a normalised step is "
                                 f"undefined; the first is path {alarms[0][1]}. Use at_critical='stay' to go on")
    if len(diverged) and run.job.mask:
        _, path, step = diverged[0].tolist()
        per = {} if not run.sweep else {int(k): int(v) for k, v in zip(*np.unique(diverged[:, 0], return_counts=True),
                                                                      strict=True)}
        text = (f"{len(diverged):,} of {run.paths * run.job.configurations:,} paths diverged"
                + (f" (by configuration: {per})" if per else "") + f"; the first is path {path}, by step {step}. ")
        if run.job.on_divergence == "raise":
            raise FloatingPointError(text + "A smaller lr or rho may keep them; on_divergence='mask' gives a run, "
                                     f"whose run.replay({path}) shows one")
        warnings.warn(text + f"They are left out of the statistics: run.replay({path}) shows one; a smaller lr or rho "
                      "may keep them", DivergenceWarning, stacklevel=4)


__all__ = ["Job", "initial", "plan", "prepare", "replay", "resume", "simulate"]
