"""``tetragrad regress``: `check` and `compare` as one, for CI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

import tasks
from suite.cli import options
from suite.cli.check import cells_in, finished_in, sources
from suite.cli.options import (
    BASELINES,
    RESULTS,
    BackendOption,
    BaselinesOption,
    Data,
    DataOption,
    ProfileOption,
    RecordsOption,
    ResultsOption,
    TaskOption,
    TimeoutOption,
    interruptible,
)
from suite.records import record as records
from suite.records.findings import Finding, Findings
from suite.session import check as checking, compare as comparison
from suite.session.compare import THRESHOLD
from suite.session.plan import Plan
from suite.session.preparation import Preparation
from suite.session.reporter import Reporter
from suite.show.console import output
from suite.show.findings import print_checked, print_findings
from suite.show.progress import Terminal
from suite.system import revisions
from suite.system.revisions import HERE, Side
from tasks.task import RequestError


def regress(
    base: Annotated[
        str | None,
        typer.Argument(
            help="Git revision to compare speeds with. Default: the merge base with origin/main; "
            "on main, or where there is no origin/main, the commit before.",
            show_default=False,
        ),
    ] = None,
    task: TaskOption = [],  # noqa: B006  (typer copies it)
    backend: BackendOption = [],  # noqa: B006
    profile: ProfileOption = tasks.PROFILES[0],
    data: DataOption = Data.auto,
    limit: Annotated[
        float, typer.Option(min=0, help="Seconds of timing for each task and backend, at most.")
    ] = 5,
    recorded: RecordsOption = None,
    timeout: TimeoutOption = 3600,
    allow_no_base: Annotated[
        bool,
        typer.Option(
            "--allow-no-base",
            help="Where no BASE is named and no default one is there (a first commit, a shallow "
            "clone, an installed package), check against the baselines alone.",
        ),
    ] = False,
    folder: BaselinesOption = BASELINES,
    results: ResultsOption = RESULTS,
) -> None:
    """Compare results with the baselines, and speeds with an earlier revision.

    A speed is not timed where nothing that a worker runs has changed. Writes summary.md and
    junit.xml to the results folder's regress/. Exit code 1: a regression. Exit code 2, before
    anything is run: there is nothing to compare with.
    """
    options.require_possible(1, timeout)
    choices = tasks.chosen(task or tasks.names())
    plan = Plan(
        choices=choices,
        **options.contestants(backend, None, choices),
        conditions=options.conditions(profile),
        seeds=range(1),
        data=data.value,
        timeout=timeout,
        timing_limit=limit,
    )
    records.require_writable(results)
    with Terminal() as reporter, interruptible(), _base(base, allow_no_base) as old:
        there = checking.find(folder, choices, profile, sources(choices, data, reporter))
        finished = finished_in(results, recorded)
        wanted = checking.wanted(there, plan.backends, None, finished)
        checked = checking.check(wanted, cells_in(results, timeout, reporter, finished), profile)
        found = (*checked.found, *_compared(plan, old, results, reporter))
    findings = Findings("Regression check", found)
    console = output()
    print_checked(checked.found, console)
    print_findings([finding for finding in found if finding.passed is not True], console)
    findings.write(results / "regress" / "summary.md", results / "regress" / "junit.xml")
    print(f"{findings.summary}: {results / 'regress'}")
    raise typer.Exit(1 if findings.failed else 0)


def _compared(plan: Plan, base: Side | Finding, results: Path, reporter: Reporter) -> list[Finding]:
    """Speeds against the base, of those that are another program there; without one, why."""
    if isinstance(base, Finding):
        return [base]
    same = [choice for choice in plan.backends if revisions.same_program(base, HERE, choice[0])]
    found = comparison.untimed(replace(plan, backends=tuple(same)), base)
    rest = tuple(choice for choice in plan.backends if choice not in same)
    if rest:
        changed = replace(plan, backends=rest)
        preparation = Preparation(changed, results, reporter)
        found += comparison.compare(changed, base, HERE, THRESHOLD, preparation, reporter.busy)
    return found


@contextmanager
def _base(revision: str | None, allow_none: bool) -> Iterator[Side | Finding]:
    """The base, as long as the block lasts; or, if that is allowed, why there is none.

    RequestError if there is none and that is not allowed, or if a revision that was named is none.
    """
    none = None
    try:
        wanted = revisions.before() if revision is None else revision
    except RequestError as error:
        none = Finding("speed", "not compared", str(error), None)
    if none and not allow_none:
        raise RequestError(f"{none.reason}; or name a BASE, or allow that: --allow-no-base")
    if none:
        yield none
        return
    with revisions.checked_out(wanted) as tree:
        yield Side(revisions.short(wanted), tree)
