"""A model becomes the text of one module; no Numba is needed for that.

Read compose (the model on symbols), linear and fusion (which operations), layout (where rows and columns live), printing,
passes and wide (statements), writer (one module), cpu, cpu_single and cuda (for each driver), linker (pieces of kernel
files), program (the record that results); render drives them all.
"""
