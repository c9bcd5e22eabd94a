"""A GPU that is not there: a module that passes for CuPy, with arrays that refuse to be mixed with the host's, and launches
that go to the emulator. What it cannot show is what a driver and a real device do."""

import sys
import types
from dataclasses import replace

import numpy as np

from samfast import cache
from samfast.backends import cuda
from samfast.codegen.linker import blocks_of
from samfast.codegen.program import BLOCK
from samfast.simulation import prepare

POINTERS = 9  # arguments of the driver that are arrays
KEYS = slice(11, 27)  # and those that are round keys


class Gpu(np.ndarray):
    """An array of the device."""

    known = {}  # noqa: RUF012 - by address, for the launches

    def __array_ufunc__(self, ufunc, method, *inputs, **keywords):
        out = keywords.pop("out", ())
        for x in (*inputs, *out):
            if isinstance(x, np.ndarray) and x.ndim and not isinstance(x, Gpu):
                raise TypeError(f"Unsupported type {type(x)}")
        bare = [x.view(np.ndarray) if isinstance(x, Gpu) else x for x in inputs]
        if out:
            keywords["out"] = tuple(x.view(np.ndarray) for x in out)
        return on_device(getattr(ufunc, method)(*bare, **keywords))

    def __array_function__(self, function, kinds, args, keywords):
        raise TypeError(f"numpy.{function.__name__} of an array of the device")

    def __setitem__(self, key, value):
        if isinstance(value, np.ndarray) and value.ndim and not isinstance(value, Gpu):
            raise TypeError(f"Unsupported type {type(value)}")
        super().__setitem__(key, value)

    def __dlpack_device__(self):
        return 2, 0

    def get(self):
        return np.array(self.view(np.ndarray))

    @property
    def data(self):
        address = self.__array_interface__["data"][0]
        Gpu.known[address] = self
        return types.SimpleNamespace(ptr=address)


Gpu.__module__ = "cupy"


def on_device(x):
    return x.view(Gpu) if isinstance(x, np.ndarray) else np.asarray(x).view(Gpu)


def bare(x):
    return [y.view(np.ndarray) for y in x] if isinstance(x, list | tuple) else x.view(np.ndarray)


def made(function):
    return lambda *args, **keywords: on_device(function(*args, **keywords))


class Launches:
    """Loads machine code, and launches the emulator's text of the same program."""

    def __init__(self):
        self.launched, self.loaded = [], []

    def Module(self):
        return types.SimpleNamespace(load=self.loaded.append, get_function=self.get_function)

    def get_function(self, name):
        assert name == "run"
        program = self.loaded[-1]

        def function(grid, threads, args):
            assert len(args) == 38 and all(isinstance(a, np.generic) for a in args) and grid[2] == threads[1] == 1
            self.launched.append((grid, threads))
            numbers, pointers = args[:-POINTERS], [Gpu.known[int(p)].view(np.ndarray) for p in args[-POINTERS:]]
            before, keys, after = numbers[: KEYS.start], tuple(numbers[KEYS]), numbers[KEYS.stop :]
            cache.load(program).run[grid[:2], threads[0]](*before, keys, *after, *pointers)

        return function


def install(monkeypatch, free=2**34):
    """CuPy and a compiler; returns the launches."""
    cupy, launches = types.ModuleType("cupy"), Launches()
    cupy.ndarray = Gpu
    cupy.asarray = lambda x, dtype=None: on_device(np.asarray(bare(x) if isinstance(x, Gpu) else x, dtype))
    cupy.array = lambda x, dtype=None, order="C": on_device(np.array(bare(x) if isinstance(x, Gpu) else x, dtype, order=order))
    cupy.empty, cupy.zeros, cupy.full = map(made, (np.empty, np.zeros, np.full))
    cupy.maximum = np.maximum  # asks the array
    cupy.where = lambda condition, *values: on_device(np.where(bare(condition), *map(bare, values)))
    cupy.stack = lambda parts, axis=0: on_device(np.stack(bare(list(parts)), axis))
    cupy.concatenate = lambda parts, axis=0: on_device(np.concatenate(bare(list(parts)), axis))
    cupy.nonzero = lambda x: tuple(map(on_device, np.nonzero(bare(x))))
    cupy.get_default_memory_pool = lambda: types.SimpleNamespace(free_bytes=lambda: 0)
    device = types.SimpleNamespace(id=0, compute_capability="90", mem_info=(free, 2 * free))
    runtime = types.SimpleNamespace(
        getDeviceCount=lambda: 1,
        driverGetVersion=lambda: 13000,
        getDeviceProperties=lambda number: {"name": b"stand-in"},
        memGetInfo=lambda: (free, 2 * free),
    )
    cupy.cuda = types.SimpleNamespace(
        runtime=runtime,
        Device=lambda: device,
        function=launches,
        get_current_stream=lambda: types.SimpleNamespace(synchronize=lambda: None),
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    lanes = prepare.lanes
    # few threads for few paths: the same bits
    monkeypatch.setattr(
        "samfast.simulation.prepare.lanes",
        lambda loss, rule, paths, device: min(lanes(loss, rule, paths, device), prepare.FEW if paths <= prepare.FEW else BLOCK),
    )
    monkeypatch.setattr(cuda, "missing", lambda: None)
    monkeypatch.setattr(cuda, "_loaded", types.SimpleNamespace())

    def emulated(program, cc):
        assert cc == (9, 0)
        imports, blocks = blocks_of("target_emulator")
        behind = program.text.index("u32, u64, i32, i64, f32, f64 =")  # the stream comes first after the target's header
        return replace(program, device="emulator", text="\n\n\n".join([imports, *blocks, program.text[behind:]]))

    monkeypatch.setattr(cuda, "machine_code", emulated)
    return launches
