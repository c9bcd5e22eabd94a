"""The only files that run a compiled module."""
