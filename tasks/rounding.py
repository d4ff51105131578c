"""How far a backend may part from the oracle whose products round their factors, by precision."""

from __future__ import annotations

from suite.contract import Envelope, Precision, Task

BFLOAT16 = Envelope(steps=10, loss=5e-2, gradient=2e-1, state=1.0)
TF32_DIGITS = 3
"""Binary digits that TF32 keeps more of than bfloat16: 11 of them, not 8."""


def envelope(task: Task, precision: Precision) -> Envelope:
    """The task's own, or that of rounded products."""
    if precision in task.envelopes:
        return task.envelopes[precision]
    return BFLOAT16
