"""The catalogue of causes, for the documentation: ``python -m suite.causes.catalogue``."""

from __future__ import annotations

from collections.abc import Iterator

from suite.causes import buffers, gradients, movements, outputs, updates
from suite.causes.families import FAMILIES


def entries() -> Iterator[tuple[str, str, str]]:
    """Where a cause is looked for, its name, and which setting of which framework it is."""
    for family in FAMILIES:
        yield "operation", family.name, family.remedy
    for gradient in gradients.CAUSES:
        yield "loss and gradients", gradient.name, gradient.remedy
    for name, remedy in buffers.CAUSES:
        yield "buffers", name, remedy
    for update in (*updates.CAUSES, movements.NotTrained(), movements.OtherRate()):
        yield "update", update.name, update.remedy
    for remedy in (outputs.PROBABILITIES, outputs.ACTIVATION):
        yield "evaluation", outputs.NAME, remedy


def markdown() -> str:
    """The catalogue as a Markdown table."""
    rows = [("place", "cause", "which framework, which setting"), ("---",) * 3, *entries()]
    return "\n".join(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in r)} |" for r in rows)


if __name__ == "__main__":
    print(markdown())
