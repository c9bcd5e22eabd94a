"""The figures and theorems of Bartlett et al., computed again."""
