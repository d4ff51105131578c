"""``tetragrad verify``: every backend against the oracle, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import backends
import tasks
from suite.records.events import Outcome
from suite.records.verdict import Verdict
from suite.session import probe
from suite.session.reporter import Reporter
from suite.session.verifier import Verifier, Wanted
from tasks.task import Precision, Task


def verify_all(
    choices: Sequence[tasks.Choice],
    chosen: Sequence[backends.Choice],
    precisions: Sequence[Precision],
    data: str,
    device: str,
    reporter: Reporter,
    options: Mapping[str, str] = tasks.NO_OPTIONS,
) -> list[Verdict]:
    """A fresh verdict for every combination; nothing is taken from the cache.

    Every task has those of the ``options`` that make it another model.
    """
    verdicts = []
    places = {one: probe.chosen(one[0], device) for one in chosen}
    for name, variant in choices:
        source, notice = tasks.resolve(name, data)
        if notice:
            reporter.say(notice)
        chosen_here = tasks.of_the_model(name, options)
        task = tasks.load(name, "full", source, variant, chosen_here)
        there = {one: backends.unavailable(*one, name) for one in chosen}
        wanted = [(one, precision) for one in chosen for precision in precisions]
        reporter.busy(f"verifying {task.label}")
        found: dict[Wanted, Verdict] = {}
        for place in dict.fromkeys(places.values()):
            able = [w for w in wanted if there[w[0]] is None and places[w[0]] == place]
            made = Verifier(task, place, threads=1, explains=True).verify(able)
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
    oracle, _ = backends.oracle(task.name)
    return Verdict(
        *(task.label, backend, precision, steps, (), Outcome.SKIPPED, reason, mode, device, oracle)
    )
