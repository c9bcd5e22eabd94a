"""Benchmarks: each workload states its work, its goal and how its answer is checked, and runs on every backend."""
