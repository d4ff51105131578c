"""A search: its trials as a table, the best and its proof; and the JSON document for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from suite.session.search import Search, Trial
from suite.show import verdicts as verdict_tables
from suite.show.console import print_fitted, say, table


def ranked(search: Search) -> list[Trial]:
    """The trials: those that came to their end, the best first; those stopped early, the longest
    first; those that failed."""

    def place(trial: Trial) -> tuple[bool, bool, int, float]:
        last = trial.values[-1] if trial.values else 0.0
        return trial.value is None, not trial.stopped, -len(trial.values), -last

    return sorted(search.trials, key=place)


def print_search(search: Search, console: Console) -> None:
    """The trials, the proof of the best, and what it says."""
    plan = search.plan
    found = table(f"{plan.cell.task_label}: {plan.search} search, seed {plan.cell.seed}")
    for column in ("trial", *plan.space, plan.metric, "epochs", "outcome"):
        found.add_column(column)
    for trial in ranked(search):
        chosen = (trial.record.cell.options[name] for name in plan.space)
        last = f"{trial.values[-1]:.4f}" if trial.values else "-"
        found.add_row(str(trial.number), *chosen, last, str(len(trial.values)), trial.fate)
    print_fitted(found, console)
    for trial in search.trials:
        if trial.value is None and not trial.stopped:
            say(console, f"trial {trial.number}: {trial.fate}: {trial.record.reason}")
    verdict_tables.print_verdicts(search.verdicts, console)
    for text in sentences(search):
        say(console, text)
    if search.verified:
        say(console, f"to run it: {search.command}", "bold")


def sentences(search: Search) -> Iterator[str]:
    """The results of the search: the best, how sure that is, and its proof."""
    best, plan = search.best, search.plan
    if best is None:
        yield "no trial came to its end"
        return
    yield f"the best of {len(search.trials)} is trial {best.number}: {plan.metric} {best.value:.4f}"
    others = f"{search.near} other{'s are' if search.near != 1 else ' is'}" if search.near else ""
    yield (
        f"one standard error of it is {search.error:.4f}, over {search.scored:,} images held out"
        + (f"; {others} as good within that" if others else "; no other is as good within that")
    )
    tested = dict.fromkeys(v.backend_label for v in search.verdicts if v.tested)
    precisions = dict.fromkeys(v.precision for v in search.verdicts if v.tested)
    if search.verified:
        yield f"it is the same model in {', '.join(tested)}, in {' and '.join(precisions)}"
    else:
        wrong = dict.fromkeys(v.backend_label for v in search.verdicts if not v.verified)
        yield f"NOT VERIFIED: it is not shown to be the same model in {', '.join(wrong)}"
    yield "the test set was not evaluated"


def document(search: Search, page: Path) -> dict[str, Any]:
    """The search as ``tune --json`` prints it."""
    best = search.best
    return {
        "session": search.session,
        "search": asdict(search.plan),
        "trials": [
            {
                "number": trial.number,
                "options": trial.record.cell.options,
                "outcome": trial.record.outcome,
                "reason": trial.record.reason,
                "stopped": trial.stopped,
                trial.metric: trial.values,
            }
            for trial in search.trials
        ],
        "best": best.number if best else None,
        "verified": search.verified,
        "verdicts": [asdict(verdict) for verdict in search.verdicts],
        "command": search.command if search.verified else None,
        "page": str(page),
    }
