"""A stand-in for CuPy that computes with NumPy, as strict as a device: nothing leaves it unasked, and every call is noted."""

import types
from typing import ClassVar

import numpy as np

NUMBERS = (bool, int, float, np.generic)


def unwrapped(x):
    if isinstance(x, Array):
        return x.data
    if isinstance(x, tuple | list):
        return type(x)(unwrapped(y) for y in x)
    if isinstance(x, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")  # as CuPy says
    return x


def wrapped(x):
    return Array(x) if isinstance(x, np.ndarray | np.generic) else x


class Array:
    """An array of the device. What would wait for its values raises."""

    __array_ufunc__ = None  # NumPy's operators hand over to ours
    calls: ClassVar[set] = set()

    def __init__(self, data):
        self.data = np.asarray(data)

    shape, ndim, size, dtype = (property(lambda self, k=k: getattr(self.data, k)) for k in ("shape", "ndim", "size", "dtype"))

    def _waits(self, *args):
        raise AssertionError("this waits for the device")

    __bool__ = __float__ = __int__ = __index__ = __iter__ = __array__ = __len__ = _waits

    def __getitem__(self, key):
        parts = key if isinstance(key, tuple) else (key,)
        assert not any(isinstance(k, Array) and k.dtype == bool for k in parts), "a mask has as many entries as its values say"
        return wrapped(self.data[tuple(unwrapped(k) for k in parts)])

    __hash__ = None


def method(name):
    def call(self, *args, **keywords):
        Array.calls.add((name, tuple(sorted(keywords))))
        return wrapped(getattr(self.data, name)(*map(unwrapped, args), **keywords))

    return call


def operator(name):
    def call(self, *other):
        assert all(isinstance(x, (Array, *NUMBERS)) for x in other), f"{name} of {other}: CuPy refuses"
        return wrapped(getattr(self.data, name)(*map(unwrapped, other)))

    return call


for word in "astype reshape sum max min mean any all".split():
    setattr(Array, word, method(word))
for word in ("add radd sub rsub mul rmul truediv rtruediv floordiv pow rpow lt le gt ge eq ne and or neg invert abs").split():
    setattr(Array, f"__{word}__", operator(f"__{word}__"))
Array.__module__ = "cupy"
FROM_HOST = ("asarray",)  # the only functions that take arrays of NumPy


class Function:
    """A function of the namespace, or one of its ufuncs."""

    def __init__(self, name, notes):
        self.name, self.notes = name, notes

    def _call(self, name, function, args, keywords):
        self.notes.add((name, len(args), tuple(sorted(keywords))))
        take = (lambda x: x.data if isinstance(x, Array) else x) if name in FROM_HOST else unwrapped
        return wrapped(function(*map(take, args), **{k: take(x) for k, x in keywords.items()}))

    def __call__(self, *args, **keywords):
        return self._call(self.name, getattr(np, self.name), args, keywords)

    def at(self, target, *args):
        self._call(f"{self.name}.at", lambda _, *more: getattr(np, self.name).at(target.data, *more), (target, *args), {})


def device(free=2**30):
    """A module that passes for CuPy; its `notes` are (function, number of arguments, keywords)."""
    module = types.ModuleType("cupy")
    module.notes = set()
    module.ndarray = Array
    module.asnumpy = lambda x: x.data
    module.cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(memGetInfo=lambda: (free, 2 * free)))
    module.get_default_memory_pool = lambda: types.SimpleNamespace(free_bytes=lambda: 0)
    module.__getattr__ = lambda name: Function(name, module.notes)
    Array.calls = set()
    return module
