"""The law of a rule with noise on a grid of one or two coordinates, for losses without a closed form.

Read step.py (one step as a mean and a covariance), grid.py, then generator.py and evolve.py for diffusions, transfer.py for
algorithms, density.py for the function that a user calls, result.py and figure.py for what it returns.
"""
