"""The entries of the register of discrepancies, by topic."""
