"""bench.gpu without a GPU: the kernel by hand on the processor, the dry run, and its timing on a stand-in for CuPy."""

import ctypes
import json
import shutil
import subprocess
import types
from dataclasses import replace

import gpu_standin
import numpy as np
import pytest
from samfast.bench import gpu, gpu_kernel, gpu_place, gpu_rows
from samfast.bench.work import WrongError
from samfast.bench.workloads import linear
from tolerance import relative

import samfast as sf
from samfast.backends import cuda
from samfast.simulation import prepare

pytestmark = pytest.mark.filterwarnings("ignore")  # of peers
AS_CPP = r"""
#include <cmath>
#include <cstring>
#define __device__ static
#define __global__
struct { long long x; } blockIdx, blockDim, threadIdx;
static int __float_as_int(float x) { int i; std::memcpy(&i, &x, 4); return i; }
static float __int_as_float(int i) { float x; std::memcpy(&x, &i, 4); return x; }
static unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((unsigned long long)a * b) >> 32); }
"""
LOOP = r"""
extern "C" void all(long long n, int every, int times, unsigned long long seed, REAL a, REAL c, REAL *out) {
    blockDim.x = 256;
    for (blockIdx.x = 0; blockIdx.x * 256 < n; blockIdx.x++)
        for (threadIdx.x = 0; threadIdx.x < 256; threadIdx.x++) linear(n, every, times, seed, a, c, out);
}
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
@pytest.mark.parametrize("mode", gpu_kernel.STEPS)
def test_the_kernel_by_hand_has_the_bits_of_samfast(mode, tmp_path):
    """Its text as C++, a thread after another."""
    (tmp_path / "kernel.cpp").write_text(AS_CPP + gpu_kernel.source(mode) + LOOP)
    library = tmp_path / "kernel.so"
    subprocess.run(["g++", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-o", library, tmp_path / "kernel.cpp"], check=True)
    work, (a, c) = linear.make(1.0, 300, 8, 3), gpu_kernel.coefficients(mode)
    out, real = np.empty((work.times, work.paths), a.dtype), ctypes.c_float if mode == "float32" else ctypes.c_double
    ctypes.CDLL(str(library)).all(
        ctypes.c_longlong(work.paths),
        work.every,
        work.times,
        ctypes.c_ulonglong(5),
        real(a),
        real(c),
        ctypes.c_void_p(out.ctypes.data),
    )
    loss, rule, start, given = linear.build(work)
    run = sf.simulate(loss, rule, start, record=work.record, paths=work.paths, values=True, dtype=mode, seed=5, **given)
    np.testing.assert_array_equal(out, run.values[..., 0], strict=True)


@pytest.mark.parametrize("mode", gpu_kernel.STEPS)
def test_the_kernel_by_hand_compiles(mode):
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="cuda.bindings is not installed")
    try:
        nvrtc.nvrtcVersion()
    except Exception as error:  # of its loader: the library of NVRTC is another package
        pytest.skip(f"NVRTC is not installed: {error}"[:100])
    assert gpu_kernel.machine_code(gpu_kernel.source(mode))[:4] == b"\x7fELF"
    with pytest.raises(RuntimeError, match="error"):
        gpu_kernel.machine_code(gpu_kernel.source(mode).replace("REAL w = 0;", "REAL w = ;"))


def test_a_dry_run(tmp_path, capsys):
    path = tmp_path / "gpu.json"
    assert gpu.main(["--dry-run", "--seconds", "3", "--json", str(path)]) == 0
    found, out = json.loads(path.read_text()), capsys.readouterr().out
    entries = [(c.name, e.name) for c in gpu_rows.contests() for e in c.entries]
    assert [(r["contest"], r["entry"]) for r in found["rows"]] == entries and len(set(entries)) == len(entries)
    for r in found["rows"]:
        assert r["check"].startswith(
            ("correct", "not run: needs a GPU", "not run: no time was left", "did not run: ModuleNotFoundError")
        ), r
        assert r["entry"] in out
    assert found["device"]["name"] == "dry run" and found["note"] in out and str(path) in out


def test_what_is_asked_wrongly(capsys):
    with pytest.raises(SystemExit) as stopped:
        gpu.main(["--only", "lines"])
    assert stopped.value.code == 2
    assert "--only lines: choose of linear, linear-1024" in capsys.readouterr().err
    if cuda.missing():
        with pytest.raises(SystemExit) as stopped:
            gpu.main([])
        assert stopped.value.code == 2
        assert "--dry-run goes without a GPU" in capsys.readouterr().err


def contest(name):
    (found,) = (c for c in gpu_rows.contests() if c.name == name)
    return found


def chosen(name, *words):
    """A contest with the entries whose names begin with one of the words."""
    of = contest(name)
    return replace(of, entries=tuple(e for e in of.entries if e.name.startswith(words)))


@pytest.mark.parametrize("name, words", [("linear", ("CuPy, cuRAND", "CuPy, Gen")), ("statistics", ("",)), ("sweep", ("JAX",))])
def test_peers_are_right(name, words):
    if words == ("JAX",):
        pytest.importorskip("jax")
    rows = gpu.measure(chosen(name, *words), gpu_place.DryRun(), lambda: 1.0, share=0)
    assert all(r["check"] == "correct" and r["rounds"] == 3 and r["rate"] > 0 for r in rows), rows
    assert rows[0]["ratio"] == 1


def test_wrong_answers_are_not_timed():
    of = contest("statistics")
    off = replace(of.entries[1], prepare=lambda cp, work: lambda: {"mean": np.float64(0.1), "var": np.float64(1.0)})
    short = replace(of.entries[1], name="short", prepare=lambda cp, work: lambda: {"counts": work.paths - 1})
    fails = replace(of.entries[1], name="fails", prepare=lambda cp, work: 1 / 0)
    rows = gpu.measure(replace(of, entries=(off, short, fails)), gpu_place.DryRun(), lambda: 1.0)
    assert [r["check"][:18] for r in rows] == ["wrong: mean off by", "wrong: 97647 of 97", "did not run: ZeroD"]
    assert not any("rate" in r for r in rows)


def test_the_first_paths_are_run_again_on_the_cpu():
    work = contest("beale-noise").make(2.0**-14)
    loss, rule, start, _ = gpu_rows.noisy(work)
    w = sf.simulate(loss, rule, start, record=work.record, dtype="float64").final().T
    right = gpu_rows.as_on_cpu(gpu_rows.noisy)
    assert right(work, {"w": w}) == "256 paths equal the CPU's, bit by bit"
    w[1, 3] = np.nextafter(w[1, 3], 9)
    with pytest.raises(WrongError, match="1 of 512 coordinates"):
        right(work, {"w": w})


def test_no_row_is_begun_late():
    rows = gpu.measure(contest("linear"), gpu_place.DryRun(), lambda: 0.0)
    assert {r["check"] for r in rows} == {"not run: needs a GPU", "not run: no time was left"}


class Event:
    def record(self):
        pass

    def synchronize(self):
        pass


@pytest.fixture
def launched(monkeypatch):
    """The launches of a stand-in for CuPy, on which every event is 2 ms after the one it is compared with."""
    found, render = gpu_standin.install(monkeypatch), prepare.render
    for name in ("samfast.simulation.job.BLOCK", "samfast.simulation.prepare.BLOCK", "samfast.simulation.prepare.WITH_NORMALS"):
        monkeypatch.setattr(name, 16)
    monkeypatch.setattr(
        "samfast.simulation.prepare.render",
        lambda *args, device, **options: render(*args, device="plain" if device == "cpu" else device, **options),
    )  # compiles nothing, gives the same bits
    import cupy

    device = types.SimpleNamespace(**vars(cupy.cuda.Device()), synchronize=lambda: None)
    monkeypatch.setattr(cupy.cuda, "Device", lambda *number: device)
    cupy.cuda.Event, cupy.cuda.get_elapsed_time = Event, lambda a, b: 2.0
    return found.launched


def shrunk(of, paths=4, steps=3):
    """A contest of samfast alone, with so few paths that they can be emulated."""

    def make(scale):
        work = of.make(2.0**-14)
        start = tuple(x[..., :paths] if x.shape[-1] > 1 else x for x in work.start)
        return replace(work, paths=paths, every=min(work.every, steps), times=min(work.times, 2), start=start)

    return replace(of, make=make, entries=tuple(e for e in of.entries if e.name.startswith("samfast")))


@pytest.mark.parametrize(
    "name", ["linear", "linear-1024", "sweep", "beale-sam", "beale-normalised", "beale-noise", "quadratic-16", "recording"]
)
def test_every_row_of_samfast_runs(name, launched):
    of = shrunk(contest(name))
    rows = gpu.measure(of, gpu_place.Gpu(), lambda: 1.0, share=0)
    assert len(rows) == len(of.entries) > 0 and launched
    for r in rows:
        assert r["check"] == "correct" and r["rounds"] == 3, r
        assert r["seconds"] == 2e-3 and r["kernel_seconds"] >= 2e-3


def test_samples_stay_on_the_gpu(launched):
    of = replace(chosen("statistics", "copy"), make=lambda scale: replace(linear.make(1.0, 256, 4, 1), paths=5))
    (row,) = gpu.measure(of, gpu_place.Gpu(), lambda: 1.0, share=0)
    assert row["check"] == "correct" and row["rate"] == 8 * 5 / 2e-3 and "kernel_seconds" not in row


def test_samfast_is_timed_between_events(launched):
    of = replace(chosen("linear", "samfast mixed"), make=lambda scale: replace(linear.make(1.0, 256, 4, 2), paths=12))
    place, launch = gpu_place.Gpu(), cuda._launch
    rows = gpu.measure(of, place, lambda: 1.0, share=0)
    gpu.against_limits(rows, of.entries, {("linear SAM diffusion", "mixed", False): 96e3})
    first, second = rows
    assert first["check"] == second["check"] == "correct" and cuda._launch is launch and place.cc == (9, 0)
    assert first["seconds"] == 2e-3 and first["rate"] == 12 * 8 / 2e-3 and first["kernel_seconds"] == 2 * 2e-3
    assert first["of_limit"] == relative(24e3 / 96e3, 1e-12) and "of_limit" not in second
    assert len(launched) == 2 * 4 * 2  # two programs, once to check, three times to measure, two launches each
    assert "25 %" in gpu.table({"device": {"name": "stand-in"}, "note": "", "rows": rows})


def test_counted_limits(tmp_path):
    assert gpu.limits(tmp_path / "none.json") == {}
    asked = {e.counted for c in gpu_rows.contests() for e in c.entries if e.counted}
    if (gpu.RESULTS / "counted-sm90.json").exists():
        assert asked <= set(gpu.limits())
