"""All text that Numba compiles and a person wrote.

`samfast.codegen.linker` cuts a kernel file at its mark, the comment at the end of its imports, and puts what stands
below into the module of a program, in this order: the target (what `device`, `fma` and the like mean there), the stream, the
mathematics that the program uses, the program itself, the driver. Above the mark stands what a file needs to be imported alone.

| file | what it holds | what it promises |
|---|---|---|
| `stream.py` | stream v1 | which (seed, path, step) gives which number, for ever |
| `math32.py`, `math64.py` | exp, log, sin, cos, tanh without libm | the errors in their tables, the same bits on every target |
| `cpu.py` | driver for lanes of paths | `run` advances paths and sums the moments of their features |
| `cpu_single.py` | driver for one path | the bits of `cpu.py` |
| `cuda.py`, `cuda_wide.py` | drivers for short programs, and for programs of many coordinates | the bits of `cpu.py` |
| `target_cpu.py`, `target_cuda.py` | Numba on a CPU, numba-cuda on a GPU | machine code |
| `target_python.py` | the CPU's text as plain Python | the bits of the compiled code |
| `target_emulator.py`, `target_simulator.py` | the CUDA text as plain Python, and in numba-cuda's simulator | the same |
| `stubs.py`, `stubs_cuda.py` | an example of what a program supplies to a driver | for editors and linters only |
"""
