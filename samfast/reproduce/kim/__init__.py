"""The figures and theorems of Kim et al., computed again."""
