"""``tetragrad check``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import backends
import tasks
from suite.cli import options
from suite.cli.options import (
    BASELINES,
    RESULTS,
    BackendOption,
    BaselinesOption,
    Data,
    DataOption,
    DeviceOption,
    JUnitOption,
    MarkdownOption,
    ModeOption,
    ProfileOption,
    RecordsOption,
    ResultsOption,
    TaskOption,
    TimeoutOption,
    interruptible,
)
from suite.records import record as records
from suite.session import check as checking, finished as finished_records
from suite.session.check import Cells
from suite.session.finished import Finished
from suite.session.reporter import Reporter
from suite.session.runner import new_session_id
from suite.show.console import output
from suite.show.findings import print_checked, print_findings
from suite.show.progress import Terminal
from suite.system import devices
from tasks.task import DataSource, RequestError

SMOKE = tasks.PROFILES[0]


def check(
    task: TaskOption = [],  # noqa: B006  (typer copies it)
    backend: BackendOption = [],  # noqa: B006
    mode: ModeOption = None,
    device: DeviceOption = devices.CPU,
    profile: ProfileOption = SMOKE,
    data: DataOption = Data.auto,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Seed of every backend. Default: the first that it has in the baseline, from "
            "which losses at fixed steps are compared too.",
            show_default=False,
        ),
    ] = None,
    junit: JUnitOption = None,
    markdown: MarkdownOption = None,
    recorded: RecordsOption = None,
    timeout: TimeoutOption = 3600,
    folder: BaselinesOption = BASELINES,
    results: ResultsOption = RESULTS,
) -> None:
    """Verify and train, and compare the results with the baselines, in both directions.

    Without --task: every task, in its default variant. Exit code 1: a result has changed.
    """
    options.chosen([profile], tasks.PROFILES, "profile")
    place = options.one_device(device)
    choices = tasks.chosen(task or tasks.names())
    chosen = backends.chosen(backend, mode, of=choices)
    with Terminal() as reporter:
        used = sources(choices, data, reporter)
        there = checking.find(folder, choices, profile, used, place)
        finished = finished_in(results, recorded)
        found = checking.wanted(there, chosen, seed, finished)
        cells = cells_in(results, timeout, reporter, finished)
        with interruptible():
            findings = checking.check(found, cells, profile)
    console = output()
    print_checked(findings.found, console)
    print_findings([finding for finding in findings.found if not finding.passed], console)
    console.print(findings.summary, highlight=False)
    findings.write(markdown, junit)
    raise typer.Exit(findings.exit_code)


def sources(
    choices: Sequence[tasks.Choice], data: Data, reporter: Reporter
) -> dict[str, DataSource]:
    """Which data each task has here."""
    found: dict[str, DataSource] = {}
    for name in dict.fromkeys(name for name, _ in choices):
        found[name], notice = tasks.resolve(name, data.value)
        if notice:
            reporter.say(notice)
    return found


def finished_in(results: Path, session: str | None) -> Finished | None:
    """The records that ``--records`` names, if it is given."""
    return finished_records.of_session(results, session) if session else None


def cells_in(
    results: Path, timeout: float, reporter: Reporter, finished: Finished | None = None
) -> Cells:
    """Cells that begin in a new session, but for those that have ``finished``, which it says."""
    if timeout <= 0:
        raise RequestError(f"--timeout {timeout:g} leaves no time; give more than 0 seconds")
    records.require_writable(results)
    if finished:
        reporter.say(finished.told)
    return Cells(results, new_session_id(), timeout, reporter, finished)
