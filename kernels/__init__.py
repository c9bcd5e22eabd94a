"""Everything that Numba compiles and a person wrote.

A kernel file is text first: `samfast.render` cuts it at the line marked ``# linked``, puts the target's own
definitions of `device`, `stage`, `block`, `fma` and `scratch` above it, and pastes it into the module of a program.

| file | what it holds |
|---|---|
| `stream.py` | stream v1: which (seed, path, step) gives which number |
| `math32.py`, `math64.py` | exp, log, sin, cos, tanh without libm |
| `cpu.py` | the CPU driver |
| `numba_cpu.py`, `plain.py` | the targets: Numba on a CPU, and plain Python |
"""
