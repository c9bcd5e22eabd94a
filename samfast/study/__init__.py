"""Simulated displacements and exit times beside their exact values and the published theorems.

Read process (what is simulated, and its closed forms), plan (a checked call), table (a dataset with its settings), batches
and exact_sampling (the paths), measured (the computation of msd), variables (numbers with names and units), then the calls:
displacement has msd, pairs has paired_msd, exits has exit_times. What they give is a Comparison (comparison) or a Study
(result), which stands on sgd_minus_sam (Corollary 1), remarks (what the papers say otherwise), panels and figures (pictures)
and saved (files). loading reads any file; calls and verifying compute it again.
"""
