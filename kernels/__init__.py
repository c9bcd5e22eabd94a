"""Everything that Numba compiles and a person wrote.

A kernel file is text first: `samfast.codegen.pipeline` cuts it at the line marked ``# linked``, puts the target's own
definitions of `device`, `stage`, `block`, `fma` and `scratch` above it, and pastes it into the module of a program.

| file | what it holds |
|---|---|
| `stream.py` | stream v1: which (seed, path, step) gives which number |
| `math32.py`, `math64.py` | exp, log, sin, cos, tanh without libm |
| `cpu.py`, `cpu_single.py` | the CPU drivers: lanes of paths, and one path |
| `cuda.py`, `cuda_wide.py` | the CUDA drivers: short programs, and programs of many coordinates |
| `numba_cpu.py`, `numba_cuda.py` | the targets: Numba on a CPU and on a GPU |
| `plain.py` | the CPU's text as plain Python |
| `emulator.py`, `cuda_simulator.py` | the CUDA text as plain Python: a thread each, and numba-cuda's simulator |
"""
