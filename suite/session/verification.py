"""``tetragrad verify``: every backend against the oracle, as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import backends
import tasks
from suite.records.events import Outcome
from suite.records.verdict import Verdict
from suite.session import locator, probe, why
from suite.session.jobs import EXACT
from suite.session.locator import Search
from suite.session.reporter import Reporter
from suite.session.verifier import Verifier, Wanted
from tasks.task import Precision, Task

Watch = Callable[[Task, backends.Choice, Search], None]
"""Takes the search of a backend for its first difference from the oracle."""


def verify_all(
    choices: Sequence[tasks.Choice],
    chosen: Sequence[backends.Choice],
    precisions: Sequence[Precision],
    data: str,
    device: str,
    reporter: Reporter,
    options: Mapping[str, str] = tasks.NO_OPTIONS,
    watch: Watch | None = None,
    cache_folder: Path | None = None,
) -> list[Verdict]:
    """A fresh verdict for every combination: kept in ``cache_folder``, never taken from there.

    Every task has those of the ``options`` that make it another model. Of a backend that fails, the
    first operation that adds error is located. ``watch`` is told of the search, and then all that
    can be tested are searched.
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
            kept: dict[str, Any] = {"cache_folder": cache_folder, "fresh": True}
            made = Verifier(task, place, threads=1, explains=True, **kept).verify(able)
            found |= dict(zip(able, made, strict=True))
            reporter.busy(f"locating what differs in {task.label}")
            found |= _located(task, place, dict(zip(able, made, strict=True)), watch)
        verdicts += [
            found.get((one, precision)) or _skipped(task, one, precision, there[one], places[one])
            for one, precision in wanted
        ]
    return verdicts


def _located(
    task: Task, device: str, found: Mapping[Wanted, Verdict], watch: Watch | None
) -> dict[Wanted, Verdict]:
    """The failed verdicts whose backend could be searched, with what was found."""
    asked = dict(locator.wanted(found.values()))
    oracle = backends.oracle(task.name)
    if watch:
        asked = {choice: locator.STEPS for choice, _ in found if choice != oracle} | asked
    searches: dict[backends.Choice, Search] = {}
    if oracle in asked and (other := rival(oracle, task.name)):  # of itself it differs in nothing
        searches |= locator.search(task, device, {oracle: asked[oracle]}, other)
    others = {choice: steps for choice, steps in asked.items() if choice != oracle}
    searches |= locator.search(task, device, others, oracle) if others else {}
    if watch:
        for choice, search in searches.items():
            watch(task, choice, search)
    return {
        one: why.with_operation(
            task,
            replace(verdict, located=searches[one[0]].of(verdict, found.get((one[0], EXACT)))),
            searches[one[0]].first,
        )
        for one, verdict in found.items()
        if one[0] in searches and not verdict.verified
    }


def rival(oracle: backends.Choice, task: str) -> backends.Choice | None:
    """Another backend that an oracle in doubt can be held against; None if there is none."""
    others = (c for name in backends.names() if name != oracle[0] for c in backends.choices(name))
    return next((c for c in others if backends.unavailable(*c, task) is None), None)


def _skipped(
    task: Task, choice: backends.Choice, precision: Precision, reason: str | None, device: str
) -> Verdict:
    backend, mode = choice
    steps = task.envelopes[precision].steps
    oracle, _ = backends.oracle(task.name)
    return Verdict(
        *(task.label, backend, precision, steps, (), Outcome.SKIPPED, reason, mode, device, oracle)
    )
