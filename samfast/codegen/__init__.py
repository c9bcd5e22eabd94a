"""A model becomes the text of one module. Nothing here needs Numba.

Begin with the docstring of pipeline, which names the stages in their order; then compose, layout, linear, fusion, printing,
passes, wide, writer, cpu, linker, program.
"""
