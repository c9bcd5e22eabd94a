"""From the text of a program to machine code.

For the CPU, one front end and its printer: constants, language (text -> typed tree, tree.py) -> llvm (typed tree -> LLVM's
text) -> native (LLVM's text -> object file -> loaded function). Numba takes the same text as it is: numba_cpu, the reference,
and numba_cuda. `choice` says which of them is asked for. Nothing here knows where the cache keeps its files.
"""
