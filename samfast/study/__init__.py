"""Simulated displacements and exit times beside their exact values and the published theorems.

Read process (what is simulated, and its closed forms), plan (a checked call), table (a dataset with its settings), batches
and exact_sampling (the paths), dataset (numbers with names and units), msd, exit_times and paired_msd (the calls),
comparison, difference, discrepancies, panels and figures, storage; study puts a Study on top of them.
"""
