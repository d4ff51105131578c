"""Measurements by hand, on a quiet machine: differences the clock can tell, the suite's cost.

``python -m tests.clock.trials`` and ``python -m tests.clock.cost``.
"""
