"""Verdicts, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from suite.records.events import Outcome
from suite.records.verdict import Verdict
from suite.show.console import table as new_table
from suite.system import devices

QUANTITIES = ("initial loss", "gradient", "loss", "state")


def print_verdicts(verdicts: Sequence[Verdict], console: Console) -> None:
    """The largest error of every quantity, then, for a failure, where it first parts."""
    table = new_table("Largest relative error against NumPy in float64")
    table.add_column("task", no_wrap=True, min_width=max(len(v.task) for v in verdicts))
    table.add_column("backend", no_wrap=True)
    elsewhere = any(v.device != devices.CPU for v in verdicts)
    for column in (*(["device"] if elsewhere else []), "dtype", "steps", *QUANTITIES):
        table.add_column(column)
    table.add_column("verdict", no_wrap=True)
    table.caption = "NumPy in float64 is the reference; its gradients: against central differences"
    for v in verdicts:
        errors = {f.quantity: "-" if f.error is None else f"{f.error:.1e}" for f in v.findings}
        cells = [errors.get(quantity, "-") for quantity in QUANTITIES]
        steps = str(v.steps)
        if "gradient" not in errors:
            cells[1], steps = errors.get("central differences", "-"), "-"
        verdict = "same" if v.verified else "skipped" if v.outcome is Outcome.SKIPPED else "FAILED"
        place = [v.device] if elsewhere else []
        table.add_row(v.task, v.backend_label, *place, v.precision, steps, *cells, verdict)
    console.print(table)
    for v in verdicts:
        if v.explanation:
            text = f"{v.task} in {v.backend_label}, {v.precision}: {v.explanation}"
            console.print(escape(text), style="red", soft_wrap=True)
