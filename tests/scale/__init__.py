"""The suite with very many records: ``python -m tests.scale`` measures how long commands take.

By hand, on a quiet machine.
"""
