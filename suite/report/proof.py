"""The page of a proof: one small HTML file that needs nothing but itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import backends
from suite.records.verdict import Deviation, Verdict
from suite.report import page
from suite.session.first_difference import Errors
from suite.session.locator import Search
from suite.system.environment import machine, package_versions
from tasks.paths import because
from tasks.task import RequestError, Task

SMALLEST = 1e-17
"""Errors are drawn from here to 1, on a logarithmic scale."""


@dataclass(frozen=True)
class Proof:
    """The verdicts of ``tetragrad verify``, the errors by operation, and the command."""

    verdicts: Sequence[Verdict]
    searches: Sequence[tuple[Task, backends.Choice, Search]]
    command: str

    @property
    def tasks(self) -> list[tuple[str, list[Verdict]]]:
        """The verdicts by their task, in their order."""
        grouped = groupby(self.verdicts, key=lambda verdict: verdict.task)
        return [(task, list(own)) for task, own in grouped]

    @property
    def same(self) -> bool:
        """Tells if all that was tested is the same model, and something was."""
        tested = [v for v in self.verdicts if v.tested]
        return bool(tested) and all(v.verified for v in tested)

    def searches_of(self, task: str) -> Iterator[tuple[str, Search]]:
        """Searches of a task by the backend's label."""
        return ((":".join(c), search) for t, c, search in self.searches if t.label == task)

    @property
    def versions(self) -> Mapping[str, str]:
        """The versions of the packages that the compared backends rest on."""
        known = package_versions()
        names = {v.backend for v in self.verdicts} | {v.oracle for v in self.verdicts}
        wanted = [p for name in sorted(names) for p in backends.load(name).PACKAGES]
        return {p: known[p] for p in dict.fromkeys(wanted) if p in known}


def write(proof: Proof, path: Path) -> None:
    """Writes the page. RequestError if it cannot be written there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(proof), encoding="utf-8")
    except OSError as error:
        raise RequestError(
            f"the proof cannot be written to {path.resolve()} {because(error)} with --report"
        ) from None


def render(proof: Proof) -> str:
    """The page as text."""
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        page.environment()
        .get_template("proof.html.jinja")
        .render(
            proof=proof,
            made=made,
            machine=machine(),
            share=share,
            width=width,
            verdict_word=verdict_word,
            first=first,
            style=page.asset("style.css"),
        )
    )


def share(finding: Deviation) -> float | None:
    """An error by what is allowed of it."""
    if finding.error is None or not finding.tolerance:
        return None
    return finding.error / finding.tolerance


def width(error: float | None) -> int:
    """The length of an error's bar [percent] on a logarithmic scale."""
    if error is None or error <= SMALLEST:
        return 0
    if not math.isfinite(error):
        return 100
    return round(100 * min(1.0, math.log10(error / SMALLEST) / math.log10(1 / SMALLEST)))


def verdict_word(verdict: Verdict) -> str:
    """The verdict in a few words."""
    if verdict.verified:
        return "the same model"
    return "not the same" if verdict.tested else "not tested"


def first(search: Search) -> Errors | None:
    """The row of the operation in which a backend first differs; None if it does in none."""
    named = search.first.operation if search.first else None
    return next((row for row in search.rows if row.operation == named), None)
