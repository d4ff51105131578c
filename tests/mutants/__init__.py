"""Planted mistakes: does the proof find them, and does it say where they are?

``nox -s mutants``, or ``python -m tests.mutants --help``.
"""
