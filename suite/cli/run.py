"""``tetragrad run``."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import tasks
from suite.cli import options
from suite.cli.options import (
    RESULTS,
    BackendOption,
    BaseOption,
    CheckpointOption,
    ClusterOption,
    ConstantsOption,
    Data,
    DataOption,
    DeviceOption,
    JsonOption,
    MemoryOption,
    ModeOption,
    PatienceOption,
    PrecisionOption,
    ProfileOption,
    ResultsOption,
    ResumeOption,
    TaskOption,
    ThreadsOption,
    TimeoutOption,
    TimingLimitOption,
    TrainingPrecision,
    UriOption,
)
from suite.cli.report import write
from suite.fleet.fleet import Fleet, opened
from suite.records import record as records
from suite.report import content, notes
from suite.session import store as sessions
from suite.session.plan import Plan
from suite.session.runner import Runner, Session, exit_code
from suite.show import summary
from suite.show.console import output, say
from suite.show.progress import Terminal
from suite.system import devices, memory
from suite.tracking import tracker as tracking
from suite.tracking.tracker import Tracker


def run(
    context: typer.Context,
    task: TaskOption = [],  # noqa: B006  (typer copies it)
    backend: BackendOption = [],  # noqa: B006
    mode: ModeOption = None,
    device: DeviceOption = devices.CPU,
    precision: PrecisionOption = TrainingPrecision.float32,
    profile: ProfileOption = "quick",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 1,
    first_seed: Annotated[int, typer.Option(min=0, help="The first of them.")] = 0,
    threads: ThreadsOption = 1,
    data: DataOption = Data.auto,
    early_stopping: PatienceOption = None,
    option: ConstantsOption = [],  # noqa: B006
    timeout: TimeoutOption = 3600,
    timing_limit: TimingLimitOption = 20,
    base: BaseOption = None,
    memory_limit: MemoryOption = None,
    checkpoint_every: CheckpointOption = 60,
    resume: ResumeOption = None,
    cluster: ClusterOption = None,
    results: ResultsOption = RESULTS,
    tracking_uri: UriOption = None,
    report: Annotated[bool, typer.Option("--report", help="Write the report at the end.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train and time tasks in every backend, after verifying that it is the same model.

    Without --task: every task, in its default variant.
    """
    options.require_possible(0 if cluster else threads, timeout)  # a node counts its own
    limit = memory.parse(memory_limit)
    if resume:
        changes = (timeout, timing_limit, limit, checkpoint_every)
        plan = sessions.changed(context, sessions.read_plan(results, resume), changes)
    else:
        choices = tasks.chosen(task or tasks.names())
        asked = options.contestants(backend, mode, choices)
        plan = Plan(
            choices=choices,
            **asked,
            conditions=options.conditions(
                *(profile, device, precision.value),
                threads=threads,
                early_stopping=early_stopping,
                options=options.constants(option, choices, profile),
            ),
            seeds=range(first_seed, first_seed + seeds),
            data=data.value,
            timeout=timeout,
            timing_limit=timing_limit,
            base=options.base(base, asked["backends"]),
            checkpoint_every=checkpoint_every,
            memory_limit=limit,
        )
    session = _run(plan, results, tracking_uri, resume, cluster, tables=not as_json)
    _show(session, as_json, _browsing(results, tracking_uri))
    if report and not (session.interrupted or session.not_written):
        _report(session, tracking_uri, as_json)
    raise typer.Exit(exit_code(session))


def _report(session: Session, uri: str | None, as_json: bool) -> None:
    files = write(session.results, [session.id], None, uri)
    print(f"report: {files.html}", file=sys.stderr if as_json else sys.stdout)


def _browsing(results: Path, uri: str | None) -> str | None:
    """The command that shows this session in MLflow; None if nothing was sent there."""
    tracker = Tracker(uri or tracking.default_uri(results), results)
    return None if tracker.silent else tracker.command("browse")


def _show(session: Session, as_json: bool, browsing: str | None) -> None:
    if session.interrupted:
        own = records.elsewhere(session.results)
        print(f"to go on: tetragrad run --resume {session.id}{own}", file=sys.stderr)
    if as_json:
        print(json.dumps(summary.document(session), indent=1))
        return
    _print_answers(session, output())
    print(f"records: {session.results / 'records' / session.id}")
    if browsing:
        print(f"to see them in MLflow: {browsing}")


def _print_answers(session: Session, console: Console) -> None:
    """Which backend to take, as a report says it."""
    for answer in content.build(session.records, [*session.timings.values()]).answers:
        say(console, answer.headline, "bold")
        for text in answer.tasks:
            say(console, text)


def _run(
    plan: Plan,
    results: Path,
    uri: str | None,
    resumed: str | None,
    cluster: str | None,
    tables: bool,
) -> Session:
    """Runs the plan; with ``tables``, each task's are printed as soon as it is done.

    Those of a cluster come at the end, since its tasks are done at about the same time.
    """
    records.require_writable(results)
    tracker = Tracker(uri or tracking.default_uri(results), results)
    with Terminal(plan.timing_limit) as reporter, ExitStack() as stack:

        def show(part: Session) -> None:
            if tables:
                with reporter.hidden():
                    summary.print_tables(part, output())

        runner: Runner | Fleet
        if cluster:
            fleet = opened(cluster, plan, results, tracker, reporter, resumed)
            runner = stack.enter_context(fleet)
        else:
            runner = Runner(plan, results, tracker, reporter, resumed, show=show)
        if not resumed:
            sessions.write_plan(results, runner.session.id, plan)
        with sessions.lock(results, runner.session.id):
            session = runner.run()
        notes.try_write(tracker, results, session.id, reporter.say)
    if cluster and tables:
        for choice in plan.choices:
            summary.print_tables(session.of_choice(choice), output())
    return session
