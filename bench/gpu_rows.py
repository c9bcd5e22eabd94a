"""The contests of bench.gpu; each has a work, a check of answers, and the entries that do the work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import samfast as sf
from samfast import stats
from samfast.codegen.program import Program
from samfast.simulation.prepare import plan

from . import check, gpu_kernel, gpu_peers
from .backends import ours
from .work import Answer, Run, Work, WrongError
from .workloads import beale, every, linear, quadratic, recording, sweep, two_point

PATHS, STEPS = 2**22, 1024
SIZES = tuple(2**k for k in (10, 13, 16, 19, 22, 25, 27))
SAMPLES = 10**8
SHOWN = 1024  # paths that are run again on the CPU
MODES = ("float32", "mixed", "float64")


@dataclass(frozen=True, eq=False)
class Entry:
    """One row: prepare(cupy, work) -> run() -> answer, which is finished or on the current stream when run returns.

    program(work): the samfast program to compile in advance. counted: (program, mode, whether it is a sweep), the key of its
    limit in bench/results/counted-sm90.json. text: CUDA C to compile in advance. host: whether a dry run can run it, with
    NumPy in the place of CuPy.
    """

    name: str
    prepare: Callable[[Any, Work], Run]
    program: Callable[[Work], Program] | None = None
    counted: tuple[str, str, bool] | None = None
    text: str = ""
    host: bool = True


@dataclass(frozen=True, eq=False)
class Contest:
    """One work and its entries. make(scale) -> work; check(work, answer on the host) -> how far off it is, or WrongError.

    size(work): how much of `unit`, without its "/s", one run does.
    """

    name: str
    title: str
    make: Callable[[float], Work]
    check: Callable[[Work, Answer], str]
    entries: tuple[Entry, ...]
    unit: str = "path-steps/s"
    size: Callable[[Work], float] = lambda work: work.units


def mine(name: str, build: ours.Build, dtype: str, counted: str = "", shared: bool = False, **change: Any) -> Entry:
    """An entry that calls samfast as a user does. Starts that differ between paths lie on the GPU; `change` alters the work."""

    def options(work: Work) -> tuple[Any, Any, Any, dict[str, Any]]:
        loss, rule, start, given = build(work)
        return loss, rule, start, {"dtype": dtype, "state": work.keep == "state", "values": work.keep == "values", **given}

    def program(work: Work) -> Program:
        loss, rule, start, given = options(replace(work, **change))
        return plan(loss, rule, start, paths=work.paths, device="cuda", **given).program

    def prepare(cp: Any, work: Work) -> Run:
        loss, rule, start, given = options(replace(work, **change))
        if np.ndim(start) == 2:
            start = cp.asarray(start)
        return ours.simulated(lambda _: (loss, rule, start, given), device="cuda")(replace(work, **change))

    return Entry(name, prepare, program, (counted, dtype, shared) if counted else None, host=False)


def by_hand(mode: str) -> Entry:
    return Entry(
        f"CUDA C by hand, {mode}", lambda cp, work: gpu_kernel.prepare(cp, work, mode), text=gpu_kernel.source(mode), host=False
    )


# the linear diffusion -----------------------------------------------------------------------------------------------------
LINEAR = "linear SAM diffusion"
TWO = "the same, two-point noise"


def line(paths: int, steps: int = STEPS) -> Callable[[float], Work]:
    return lambda scale: linear.make(scale, paths, max(8, int(steps * min(1.0, 16 * scale)) // 32 * 8), 4)


def sizes() -> list[Contest]:
    return [
        Contest(
            f"linear-{paths}",
            f"linear SAM diffusion, mixed: {paths:,} paths x {STEPS} steps",
            line(paths),
            linear.right,
            (mine("samfast", linear.build, "mixed", LINEAR),),
        )
        for paths in SIZES
    ]


def modes() -> Contest:
    return Contest(
        "linear",
        f"linear SAM diffusion: {PATHS:,} paths x {STEPS} steps",
        line(PATHS),
        linear.right,
        (
            *(mine(f"samfast {mode}", linear.build, mode, LINEAR) for mode in MODES),
            *(mine(f"samfast {mode}, two-point noise", two_point.build, mode, TWO) for mode in MODES[:2]),
            by_hand("float32"),
            by_hand("mixed"),
            *(Entry(f"CuPy, {kind}", gpu_peers.cupy(kind), host=kind != "fused") for kind in ("fused", "cuRAND", "Generator")),
            Entry("JAX float32", gpu_peers.jax()),
            Entry("JAX float32, 8 steps unrolled", gpu_peers.jax(unroll=gpu_peers.UNROLL)),
            Entry("JAX float32, rbg", gpu_peers.jax(numbers="rbg")),
            Entry("JAX float64", gpu_peers.jax("float64")),
            Entry("PyTorch float32", gpu_peers.torch(False)),
            Entry("PyTorch float32, compiled", gpu_peers.torch(True), host=False),
        ),
    )


def settings() -> Contest:
    return Contest(
        "sweep",
        "32 settings on common noise: 1,048,576 paths x 512 steps, each setting counted",
        lambda scale: sweep.make(32 * scale),
        sweep.right,
        (
            mine("samfast mixed", sweep.build, "mixed", "the same, a sweep", True),
            mine("samfast float32", sweep.build, "float32", "the same, a sweep", True),
            Entry("JAX float32", gpu_peers.jax()),
        ),
    )


def recorded() -> Contest:
    return Contest(
        "recording",
        "mean and mean square at each of 128 steps, 1,048,576 paths",
        lambda scale: linear.make(8 * scale, every=1, times=recording.STEPS),
        either,
        (
            mine("samfast, recorded once", linear.build, "mixed", every=recording.STEPS, times=1),
            mine("samfast, every step", linear.build, "mixed"),
            mine("samfast float32, every step", linear.build, "float32"),
            mine("samfast float32, every value kept", linear.build, "float32", keep="values"),
        ),
    )


def either(work: Work, answer: Answer) -> str:
    """Checks moments, or all values, at every recorded time; an answer with the last time only is checked there."""
    if "values" in answer:
        x = np.asarray(answer["values"]).astype(float).reshape(len(work.record), -1)
        answer = {"first": x.mean(-1), "second": (x * x).mean(-1)}
    if len(answer["first"]) == 1:
        work = replace(work, every=work.steps, times=1)
    return linear.right(work, answer)


# paths from starts of their own -------------------------------------------------------------------------------------------
def as_on_cpu(build: ours.Build) -> Callable[[Work, Answer], str]:
    """Returns a check that runs the first paths again on the CPU and asks for the same bits."""

    def right(work: Work, answer: Answer) -> str:
        got = np.asarray(answer["w"])[:, :SHOWN]
        loss, rule, start, given = build(work)
        run = sf.simulate(loss, rule, np.asarray(start)[:SHOWN], record=work.record, dtype=str(got.dtype), **given)
        differ = int(np.count_nonzero(run.final().T != got))
        if differ:
            raise WrongError(f"{differ} of {got.size} coordinates are not the CPU's, bit by bit")
        return f"{got.shape[1]} paths equal the CPU's, bit by bit"

    return right


def noisy(work: Work) -> Any:
    return sf.losses.beale(), sf.noisy(beale.RULES["normalised"], sigma=0.1), np.stack(work.start, -1), {}


def beales() -> list[Contest]:
    """The contests on Beale's function: the deterministic ones of bench.workloads, and one with noise."""
    of = {name: every()[f"beale-{name}"] for name in ("sam", "normalised")}

    def contest(name: str, title: str, build: ours.Build, right: Callable[[Work, Answer], str]) -> Contest:
        return Contest(
            f"beale-{name}",
            f"{title}: 2,097,152 paths x 256 steps",
            lambda scale: of["sam"].make(16 * scale),
            right,
            tuple(mine(f"samfast {mode}", build, mode, title) for mode in ("float64", "float32")),
        )

    def plain(name: str) -> ours.Build:
        return lambda work: (sf.losses.beale(), beale.RULES[name], np.stack(work.start, -1), {})

    return [
        contest("sam", "Beale SAM", plain("sam"), of["sam"].check),
        contest("normalised", "Beale normalised SAM", plain("normalised"), of["normalised"].check),
        contest("noise", "Beale normalised SAM with noise", noisy, as_on_cpu(noisy)),
    ]


def coordinates(dim: int) -> Contest:
    of = quadratic.workload(dim)

    def build(work: Work) -> Any:
        return (
            sf.losses.quadratic(np.linspace(-0.5, 2, dim)),
            sf.sam(lr=quadratic.LR, rho=quadratic.RHO, normalize=True),
            work.start[0].T,
            {},
        )

    return Contest(
        of.name,
        f"normalised SAM on a quadratic of {dim} coordinates: {2**24 // dim:,} paths x 64 steps",
        lambda scale: of.make(16 * scale),
        of.check,
        (mine("samfast float64", build, "float64"),),
        unit="coordinate-steps/s",
    )


# statistics ---------------------------------------------------------------------------------------------------------------
def stored(call: Callable[[Any, Any], Answer]) -> Callable[[Any, Work], Run]:
    """Returns prepare for call(cupy, x), where x holds the displacements of all paths, simulated beforehand."""

    def prepare(cp: Any, work: Work) -> Run:
        if cp is np:
            x = np.random.default_rng(0).standard_normal(work.paths) * float(np.sqrt(linear.exact(work)[-1]))
        else:
            loss, rule, start, given = linear.build(work)
            x = sf.simulate(loss, rule, start, record=work.record, paths=work.paths, device="cuda", **given).final()[:, 0]
        return lambda: call(cp, x)

    return prepare


def copied(cp: Any, x: Any) -> Answer:
    return {"x": x.copy()[:1000]}


def moments_of(order: int, shift: float | None) -> Callable[[Any, Any], Answer]:
    def call(cp: Any, x: Any) -> Answer:
        m = stats.moments(x, order, shift=shift)
        return {"mean": m.mean, "var": m.var}

    return call


def counted(cp: Any, x: Any) -> Answer:
    return {"counts": stats.histogram(x, np.linspace(-0.05, 0.05, 65)).count}


def median(cp: Any, x: Any) -> Answer:
    return {"median": stats.quantiles(x, [0.5]).value}


def of_samples(work: Work, answer: Answer) -> str:
    v, n = float(linear.exact(work)[-1]), work.paths
    if "x" in answer:
        return "a copy"
    if "counts" in answer:
        if int(answer["counts"]) != n:
            raise WrongError(f"{int(answer['counts'])} of {n} samples were counted")
        return "all counted"
    if "median" in answer:
        return check.random("median", answer["median"], [0.0], np.sqrt(np.pi / 2 * v / n))
    return check.gaussian({"first": answer["mean"], "second": answer["var"]}, v, n)


def samples() -> Contest:
    """The contest of samfast.stats. Its first entry, a copy, shows the bandwidth of the memory, which limits the others."""
    calls = {
        "copy": copied,
        "CuPy mean and var": lambda cp, x: {"mean": x.mean(), "var": x.var()},
        "moments to order 2, shift given": moments_of(2, 0.0),
        "moments to order 2": moments_of(2, None),
        "moments to order 4, shift given": moments_of(4, 0.0),
        "histogram, 64 bins": counted,
        "median": median,
    }
    return Contest(
        "statistics",
        "samfast.stats of 100,000,000 stored float64 numbers",
        lambda scale: linear.make(1.0, max(256, int(SAMPLES * scale)), 4, 1),
        of_samples,
        tuple(Entry(name, stored(call), linear_program if name == "copy" else None) for name, call in calls.items()),
        unit="bytes/s",
        size=lambda work: 8.0 * work.paths,
    )


def linear_program(work: Work) -> Program:
    loss, rule, start, given = linear.build(work)
    return plan(loss, rule, start, paths=work.paths, device="cuda", **given).program


def contests() -> list[Contest]:
    """All contests, the most telling ones first, because a run that is short of time leaves out the last ones."""
    return [modes(), *sizes(), settings(), *beales(), samples(), recorded(), coordinates(16), coordinates(256)]
