"""From the text of a program to machine code, without Numba: one front end, several printers.

constants, language (text -> typed tree, tree.py) -> llvm (typed tree -> LLVM's text) -> native (LLVM's text -> object file ->
loaded function). Nothing here knows of the cache.
"""
