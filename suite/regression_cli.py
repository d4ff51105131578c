"""The commands ``tetragrad reproduce | check | baseline update``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

import backends
import tasks
from suite import baselines, checking, options, records, reproduction, tracking
from suite.checking import Cells, Result
from suite.console import output
from suite.findings import print_findings
from suite.options import (
    BASELINES,
    RESULTS,
    BackendOption,
    BaselinesOption,
    Data,
    DataOption,
    ModeOption,
    ProfileOption,
    ResultsOption,
    TaskOption,
    TimeoutOption,
    UriOption,
)
from suite.progress import Reporter
from suite.records import Record
from suite.reproduction import Rerun
from suite.runner import new_session_id
from suite.tracking import Tracker, TrackingError
from tasks import datasets
from tasks.task import DataSource, RequestError

INTERRUPTED = 130
SMOKE = tasks.PROFILES[0]
app = typer.Typer(help="What runs are held against in `check`.", no_args_is_help=True)


def reproduce(
    what: Annotated[
        str,
        typer.Argument(metavar="RUN_ID|RECORD.json", help="A cell's MLflow run, or its record."),
    ],
    results: ResultsOption = RESULTS,
    tracking_uri: UriOption = None,
) -> None:
    """Train a recorded cell again, and say what differs around it and what came out the same.

    Nothing of the new training is kept. Exit code 1: it did not come out the same.
    """
    record = _record(what, results, tracking_uri)
    reproduction.losses(record)
    task = reproduction.require_rerunnable(record)
    console = output()
    with Reporter() as reporter, interruptible():
        reporter.busy(f"training {record.cell.label} again")
        rerun = reproduction.rerun(
            record,
            task,
            lambda begun: _print_beginning(begun, console),
            lambda event: reporter.cell_event(record.cell, event, task.config.epochs),
        )
    findings = rerun.findings()
    print_findings(findings.found, console)
    raise typer.Exit(findings.exit_code)


def check(
    task: TaskOption = [],  # noqa: B006  (typer copies it)
    backend: BackendOption = [],  # noqa: B006
    mode: ModeOption = None,
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
    junit: Annotated[Path | None, typer.Option(help="File for the findings as JUnit XML.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="File for the findings as Markdown.")
    ] = None,
    timeout: TimeoutOption = 3600,
    folder: BaselinesOption = BASELINES,
    results: ResultsOption = RESULTS,
) -> None:
    """Verify and train, and hold what comes of it against the baselines, in both directions.

    Without --task: every task, in its default variant. Exit code 1: something is not as it was.
    """
    options.chosen([profile], tasks.PROFILES, "profile")
    choices = tasks.chosen(task or tasks.NAMES)
    chosen = backends.chosen(backend, mode)
    with Reporter() as reporter:
        there = checking.find(folder, choices, profile, sources(choices, data, reporter))
        found = checking.wanted(there, chosen, seed)
        cells = cells_in(results, timeout, reporter)
        with interruptible():
            findings = checking.check(found, cells, profile)
    console = output()
    print_findings([finding for finding in findings.found if not finding.passed], console)
    counts = f"{len(findings.found)} checked, {len(findings.failed)} not as in the baselines"
    console.print(counts, highlight=False)
    findings.write(markdown, junit)
    raise typer.Exit(findings.exit_code)


@app.command()
def update(
    task: TaskOption = [],  # noqa: B006
    backend: BackendOption = [],  # noqa: B006
    mode: ModeOption = None,
    profile: ProfileOption = SMOKE,
    data: DataOption = Data.auto,
    seeds: Annotated[
        int, typer.Option(min=baselines.LEAST_SEEDS, help="How many seeds, of every backend.")
    ] = baselines.LEAST_SEEDS,
    first_seed: Annotated[int, typer.Option(min=0, help="The first of them.")] = 0,
    timeout: TimeoutOption = 3600,
    folder: BaselinesOption = BASELINES,
    results: ResultsOption = RESULTS,
) -> None:
    """Make baselines anew from runs that are verified and end well, or leave them as they are.

    Without --task: every task, in its default variant.
    """
    options.chosen([profile], tasks.PROFILES, "profile")
    choices = tasks.chosen(task or tasks.NAMES)
    chosen = backends.chosen(backend, mode)
    range_ = range(first_seed, first_seed + seeds)
    bad: list[str] = []
    with Reporter() as reporter, interruptible():
        used = sources(choices, data, reporter)
        cells = cells_in(results, timeout, reporter)
        for choice in choices:
            wanted = checking.planned(choice, chosen, profile, used[choice[0]], range_)
            bad += _update(folder, cells.run(wanted), range_)
    for why in bad:
        Console(stderr=True).print(escape(f"no baseline: {why}"), style="red", soft_wrap=True)
    raise typer.Exit(1 if bad else 0)


def _update(folder: Path, found: Sequence[Result], seeds: range) -> list[str]:
    """Writes the baseline that these make, or says why they make none."""
    if bad := [why for result in found if (why := checking.why_not(result))]:
        return bad
    cell = found[0].record.cell
    names = dict.fromkeys(result.record.cell.backend_label for result in found)
    command = (
        f"tetragrad baseline update --task {cell.task_label} --profile {cell.profile} "
        f"--data {cell.data} --seeds {len(seeds)} --first-seed {seeds.start}"
        f"{''.join(f' --backend {name}' for name in names)}"
    )
    made = baselines.baseline_of([result.record for result in found], command)
    print(f"{baselines.write(folder, made)}: {len(made.runs)} runs")
    return []


def sources(
    choices: Sequence[tasks.Choice], data: Data, reporter: Reporter
) -> dict[str, DataSource]:
    """Which data each task has here."""
    found: dict[str, DataSource] = {}
    for name in dict.fromkeys(name for name, _ in choices):
        found[name], notice = datasets.resolve(tasks.DATASETS[name], data.value)
        if notice:
            reporter.say(notice)
    return found


def cells_in(results: Path, timeout: float, reporter: Reporter) -> Cells:
    if timeout <= 0:
        raise RequestError(f"--timeout {timeout:g} leaves no time; give more than 0 seconds")
    records.require_writable(results)
    return Cells(results, new_session_id(), timeout, reporter)


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C ends the command without a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _record(what: str, results: Path, uri: str | None) -> Record:
    """The record in a file, or the one that an MLflow run keeps. RequestError if there is none."""
    if Path(what).exists() or what.endswith(".json"):
        return records.read(Path(what))
    uri = uri or tracking.default_uri(results)
    if not tracking.has_store(uri, results):
        raise RequestError(
            f"{what} is no file, and there is no MLflow store in {results.resolve()} to look for a "
            "run of that id; give a record's path, or --results or --tracking"
        )
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = Tracker(uri, results).fetch_record(what, Path(folder))
        except TrackingError as error:
            raise RequestError(f"{what} is no file, and as a run's id: {error}") from None
        if path is None:
            raise RequestError(f"the MLflow run {what} keeps no record; give the run of a cell")
        return records.read(path)


def _print_beginning(rerun: Rerun, console: Console) -> None:
    """What is trained again, and first of all how its surroundings differ."""
    record = rerun.record
    lines = [f"{record.cell.label}, recorded {record.created}"]
    parted = rerun.differences
    lines += [f"The environment differs in {len(parted)} facts:"] if parted else []
    lines += [f"  {difference}" for difference in parted] or ["The environment is the same."]
    why = rerun.unpromised
    promise = f"need not be the same to the bit: {why}" if why else "must be the same to the bit"
    for line in (*lines, f"Losses {promise}."):
        console.print(escape(line), highlight=False, soft_wrap=True)
