"""Kim et al.: their figures and theorems, computed again."""
