"""Benchmarks for asv, by task and backend: ``nox -s asv``.

On generated data, in float32 on one thread of the CPU, in every task's default variant and every
backend's default mode, with the batches of the quick profile.
"""
