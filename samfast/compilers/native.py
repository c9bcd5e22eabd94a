"""From LLVM's text to a function that runs: an object file, and its place in memory by LLVM's ORC engine."""

from __future__ import annotations

import ctypes
import itertools
import struct
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from . import tree as t
from .language import ARGUMENTS

LEVEL = 3  # of optimisation, as Numba's
CHECKED = 0  # for a checked build: LLVM takes minutes over some of its long chains of conditions, and they are run briefly
ENTRY = "entry"
_lock = threading.Lock()  # of what this process has linked
_count = itertools.count()


@cache
def binding() -> Any:
    """llvmlite's door to LLVM, made ready once."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding


@cache
def host() -> tuple[str, str, str]:
    """(triple, processor, what it offers) of this machine, as LLVM names them."""
    llvm = binding()
    return llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


@cache
def versions() -> tuple[str, ...]:
    """What decides, beside the text and the machine, which machine code comes out."""
    import llvmlite

    return f"llvmlite {llvmlite.__version__}", "LLVM " + ".".join(map(str, binding().llvm_version_info))


@cache
def _know_others() -> None:
    """Make LLVM know the processors that are not of this machine's kind."""
    binding().initialize_all_targets()
    binding().initialize_all_asmprinters()


def target(triple: str, processor: str, features: str) -> Any:
    """A machine to compile for. Each module gets its own: an engine takes hold of the one that it is given."""
    if triple != host()[0]:
        _know_others()
    return (
        binding()
        .Target.from_triple(triple)
        .create_target_machine(cpu=processor, features=features, opt=LEVEL, reloc="pic", codemodel="default")
    )


def verified(text: str) -> Any:
    """The module of a text. What LLVM refuses raises RuntimeError, here and not as an abort in the midst of a pass."""
    module = binding().parse_assembly(text)
    module.verify()
    return module


def _optimised(text: str, machine: tuple[str, str, str] | None, level: int = LEVEL) -> tuple[Any, Any]:
    """(module, machine) of a text, after LLVM's passes."""
    llvm = binding()
    wanted = machine or host()
    tm = target(*wanted)
    module = verified(text)
    module.triple, module.data_layout = wanted[0], str(tm.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    options.loop_vectorization, options.slp_vectorization = level > 1, False
    builder = llvm.create_pass_builder(tm, options)
    builder.getModulePassManager().run(module, builder)
    return module, tm


def object_file(text: str, machine: tuple[str, str, str] | None = None, level: int = LEVEL) -> bytes:
    """Relocatable machine code of a module, for this machine or another (triple, processor, features)."""
    module, tm = _optimised(text, machine, level)
    return bytes(tm.emit_object(module))


def assembly(text: str, machine: tuple[str, str, str] | None = None) -> str:
    """The same in words, for readers and tests."""
    module, tm = _optimised(text, machine)
    return str(tm.emit_assembly(module))


@cache
def _engine() -> Any:
    return binding().create_lljit_compiler(target(*host()))


class Kernel:
    """The driver of one program, called with the arguments that Numba's takes. It holds no GIL."""

    def __init__(self, code: bytes, types: dict[str, np.dtype], file: str = "<program>", checked: bool = False) -> None:
        with _lock:
            library = binding().JITLibraryBuilder().add_object_img(code).add_current_process().export_symbol(ENTRY)
            self._code = library.link(_engine(), f"program{next(_count)}")  # unloaded when nobody refers to it
        self._call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(self._code[ENTRY])
        self._types = [types.get(kind.rstrip("*"), _PLAIN.get(kind.rstrip("*"))) for kind in ARGUMENTS.values()]
        self._axes = [kind.count("*") for kind in ARGUMENTS.values()]
        self._file, self._checked = file, checked
        self.fill = 0  # the byte that a checked build puts into the memory of functions before they use it

    def __call__(self, *arguments: Any) -> int:
        words: list[int] = []
        for x, dtype, axes in zip(arguments, self._types, self._axes, strict=True):
            if not axes:
                words.append(int(x) & 0xFFFFFFFFFFFFFFFF)
                continue
            if x.dtype != dtype or x.ndim != axes or not x.flags.c_contiguous:
                raise TypeError(f"an array of {x.dtype} and {x.ndim} axes where one of {dtype} and {axes} is needed")
            words += (x.ctypes.data, *x.shape)
        if self._checked:
            return self._told(words, arguments)
        return int(self._call(struct.pack(f"{len(words)}Q", *words)))

    def _told(self, words: list[int], arguments: Sequence[Any]) -> int:
        """The call of a checked build, which has two words more: the one where it tells a fault, and the byte to fill with."""
        arrays = [x for x, axes in zip(arguments, self._axes, strict=True) if axes and x.size]
        if any(np.may_share_memory(a, b) for a, b in itertools.combinations(arrays, 2)):
            raise IndexError(f"{self._file}: {t.PROMISES['overlap']}")
        told = ctypes.create_string_buffer(struct.pack(f"{len(words) + 2}Q", *words, 0, self.fill))
        done = int(self._call(ctypes.addressof(told)))
        if done < 0:  # a driver returns no negative number
            line, promise = divmod(-1 - done, len(t.PROMISES))
            raise IndexError(f"{self._file}:{line}: {list(t.PROMISES.values())[promise]}")
        return done


_PLAIN = {"f64": np.dtype(np.float64), "i64": np.dtype(np.int64)}
