"""``tetragrad verify``: every backend against the oracle, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

import backends
import tasks
from suite import devices
from suite.console import table as new_table
from suite.equivalence import Verdict, Verifier, Wanted
from suite.progress import Reporter
from tasks import datasets
from tasks.task import Precision, Task

QUANTITIES = ("initial loss", "gradient", "loss", "state")


def verify_all(
    choices: Sequence[tasks.Choice],
    chosen: Sequence[backends.Choice],
    precisions: Sequence[Precision],
    data: str,
    device: str,
    reporter: Reporter,
) -> list[Verdict]:
    """A fresh verdict for every combination; nothing is taken from the cache."""
    verdicts = []
    places = {one: devices.chosen(one[0], device) for one in chosen}
    for name, variant in choices:
        source, notice = datasets.resolve(tasks.DATASETS[name], data)
        if notice:
            reporter.say(notice)
        task = tasks.load(name, "full", source, variant)
        there = {one: backends.load(one[0]).available(one[1]) for one in chosen}
        wanted = [(one, precision) for one in chosen for precision in precisions]
        reporter.busy(f"verifying {task.label}")
        found: dict[Wanted, Verdict] = {}
        for place in dict.fromkeys(places.values()):
            able = [w for w in wanted if there[w[0]] is None and places[w[0]] == place]
            made = Verifier(task, place, threads=1).verify(able)
            found |= dict(zip(able, made, strict=True))
        verdicts += [
            found.get((one, precision)) or _skipped(task, one, precision, there[one], places[one])
            for one, precision in wanted
        ]
    return verdicts


def _skipped(
    task: Task, choice: backends.Choice, precision: Precision, reason: str | None, device: str
) -> Verdict:
    backend, mode = choice
    steps = task.envelopes[precision].steps
    return Verdict(task.label, backend, precision, steps, (), "skipped", reason, mode, device)


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
        verdict = "same" if v.verified else "skipped" if v.outcome == "skipped" else "FAILED"
        place = [v.device] if elsewhere else []
        table.add_row(v.task, v.backend_label, *place, v.precision, steps, *cells, verdict)
    console.print(table)
    for v in verdicts:
        if v.explanation:
            text = f"{v.task} in {v.backend_label}, {v.precision}: {v.explanation}"
            console.print(escape(text), style="red", soft_wrap=True)
