"""What the clock can tell apart, and what the suite costs: measured by hand, on a quiet machine.

``python -m tests.clock.trials`` and ``python -m tests.clock.cost``.
"""
