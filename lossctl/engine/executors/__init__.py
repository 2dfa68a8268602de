"""Executors: threads, forked processes, and the workers of a dask scheduler."""
