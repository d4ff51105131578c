"""The command line, ``tetragrad``.

Exit codes: 0 all well; 1 the run found a failure; 2 the request was wrong; 130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

import backends
import tasks
from suite import (
    compare_cli,
    data_cli,
    devices,
    listing,
    memory,
    moving,
    notes,
    options,
    records,
    regress_cli,
    regression_cli,
    sessions,
    showing,
    summary,
    time_cli,
    tracking,
    verification,
)
from suite.console import output
from suite.equivalence import PRECISIONS
from suite.history.command import history
from suite.options import (
    RESULTS,
    BackendOption,
    BaseOption,
    CheckpointOption,
    ConstantsOption,
    Data,
    DataOption,
    DeviceOption,
    JsonOption,
    MemoryOption,
    ModeOption,
    PatienceOption,
    PrecisionChoice,
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
    path_given,
)
from suite.plan import Plan
from suite.progress import Reporter
from suite.runner import Runner, Session, exit_code
from suite.tracking import Tracker, TrackingError
from tasks.task import Precision, RequestError

if TYPE_CHECKING:
    from suite import report as reports

app = typer.Typer(
    help="Benchmarks four gradients of one model: NumPy, PyTorch, TensorFlow, JAX.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
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
    results: ResultsOption = RESULTS,
    tracking_uri: UriOption = None,
    report: Annotated[bool, typer.Option("--report", help="Write the report at the end.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train and time tasks in every backend, after verifying that it is the same model.

    Without --task: every task, in its default variant.
    """
    options.require_possible(threads, timeout)
    limit = memory.parse(memory_limit)
    if resume:
        values = (timeout, timing_limit, limit, checkpoint_every)
        plan = sessions.changed(context, sessions.read_plan(results, resume), values)
    else:
        choices = tasks.chosen(task or tasks.NAMES)
        chosen = backends.chosen(backend, mode)
        plan = Plan(
            choices=choices,
            backends=chosen,
            device=devices.parse(device),
            profile=options.chosen([profile], tasks.PROFILES, "profile")[0],
            seeds=range(first_seed, first_seed + seeds),
            threads=threads,
            data=data.value,
            timeout=timeout,
            timing_limit=timing_limit,
            base=options.base(base, chosen),
            early_stopping=early_stopping,
            options=options.constants(option, choices),
            checkpoint_every=checkpoint_every,
            memory_limit=limit,
            precision=precision.value,
        )
    session = _run(plan, results, tracking_uri, resume)
    _show(session, as_json)
    if report and not (session.interrupted or session.not_written):
        files = _report(results, [session.id], None, tracking_uri)
        print(f"report: {files.html}", file=sys.stderr if as_json else sys.stdout)
    raise typer.Exit(exit_code(session))


def _show(session: Session, as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary.document(session), indent=1))
        return
    summary.print_tables(session, output())
    print(f"records: {session.results / 'records' / session.id}")
    print("to see them in MLflow: tetragrad browse")


def _run(plan: Plan, results: Path, uri: str | None, resumed: str | None) -> Session:
    records.require_writable(results)
    tracker = Tracker(uri or tracking.default_uri(results), results)
    with Reporter() as reporter:
        runner = Runner(plan, results, tracker, reporter, resumed)
        if not resumed:
            sessions.write_plan(results, runner.session.id, plan)
        with sessions.lock(results, runner.session.id):
            session = runner.run()
        notes.try_write(tracker, results, session.id, reporter.say)
        return session


@app.command()
def verify(
    task: TaskOption = [],  # noqa: B006
    backend: BackendOption = [],  # noqa: B006
    mode: ModeOption = None,
    precision: Annotated[
        list[PrecisionChoice],
        typer.Option(help="Repeatable. Default: float32 and float64.", show_default=False),
    ] = [],  # noqa: B006
    data: DataOption = Data.auto,
    device: DeviceOption = devices.CPU,
) -> None:
    """Prove that every backend computes the same model as NumPy in float64.

    Without --task: every task in every variant.
    """
    chosen: Sequence[Precision] = [p.value for p in dict.fromkeys(precision)] or PRECISIONS
    with Reporter() as reporter:
        verdicts = verification.verify_all(
            tasks.chosen(task or [tasks.ALL]),
            backends.chosen(backend, mode),
            chosen,
            data.value,
            devices.parse(device),
            reporter,
        )
    verification.print_verdicts(verdicts, output())
    ran = [v for v in verdicts if v.outcome != "skipped"]
    raise typer.Exit(0 if ran and all(v.verified for v in ran) else 1)


@app.command(name="list")
def list_() -> None:
    """Show tasks, and backends with versions and devices, or why one is not available."""
    listing.print_listing(output())


@app.command()
def show(task: str) -> None:
    """Show the four implementations of a task side by side."""
    showing.show(options.chosen([task], tasks.NAMES, "task")[0], output())


@app.command()
def sync(
    folder: Annotated[
        Path | None,
        typer.Argument(
            parser=path_given,
            help="Bring these records home first: a results folder of another machine, or one of "
            "its sessions' folders of records.",
            show_default=False,
        ),
    ] = None,
    results: ResultsOption = RESULTS,
    tracking_uri: UriOption = None,
) -> None:
    """Send every record that MLflow does not have yet, once only."""
    console = Console(stderr=True)
    if tracking_uri == tracking.NONE:
        raise RequestError("--tracking none is no store to send to; name one, or leave it out")
    if folder:
        records.require_writable(results)
        print(f"{moving.bring_home(folder, results)} brought to {results}")
    uri = tracking_uri or tracking.default_uri(results)
    tracker = Tracker(uri, results)
    try:
        sent, there = tracking.sync(results, tracker, console.print)
        notes.write(tracker, results)
    except TrackingError as error:
        console.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    print(f"{sent} sent, {there} already there")


@app.command()
def report(
    session: Annotated[
        list[str] | None,
        typer.Argument(
            help="Sessions, taken together, those of `time` beside one of `run`. Default: the "
            "latest of `run`.",
            show_default=False,
        ),
    ] = None,
    results: ResultsOption = RESULTS,
    output_folder: Annotated[
        Path | None,
        typer.Option(
            "--output",
            parser=path_given,
            help="Folder to write to. Default: in the results folder.",
        ),
    ] = None,
    tracking_uri: UriOption = None,
) -> None:
    """Write what sessions came to: one HTML page, with CSV, JSON and Markdown beside it."""
    files = _report(results, session or [], output_folder, tracking_uri)
    for path in (files.html, files.markdown, files.csv, files.json):
        print(path)


def _report(
    results: Path, wanted: Sequence[str], folder: Path | None, asked_uri: str | None
) -> reports.Files:
    """Writes the report and adds it to the sessions' MLflow runs."""
    from suite import report as reports  # slow to import

    found = reports.find(results, wanted)
    files = reports.write(results, found, folder, wanted)
    uri = asked_uri or tracking.default_uri(results)
    if uri != tracking.NONE:
        tracker = Tracker(uri, results) if tracking.has_store(uri, results) else None
        say = partial(Console(stderr=True).print, markup=False, highlight=False, soft_wrap=True)
        reports.track(tracker, found, files, say)
    return files


@app.command()
def browse(
    results: ResultsOption = RESULTS,
    tracking_uri: UriOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Serve MLflow's pages of the results on 127.0.0.1 and print their addresses."""
    uri = tracking_uri or tracking.default_uri(results)
    if not tracking.has_store(uri, results):
        raise RequestError(f"there are no results in {results.resolve()}; `tetragrad run` first")
    try:
        experiments = Tracker(uri, results).experiments()
    except TrackingError as error:
        raise RequestError(f"the MLflow store cannot be read: {error}") from None
    for name, experiment in experiments.items():
        # the bare address would open MLflow's pages for language-model traces
        page = f"#/experiments/{experiment}/runs?workflowType=machine_learning"
        print(f"{name}: http://127.0.0.1:{port}/{page}", flush=True)
    print("a session's runs unfold at its [+]; Ctrl-C ends the server", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)]
    # not as an argument, which every user of the machine can see: there may be a password in it
    os.execve(sys.executable, command, {**os.environ, "MLFLOW_BACKEND_STORE_URI": uri})


app.add_typer(data_cli.app, name="data")
app.command()(time_cli.time)
app.command(name="compare")(compare_cli.command)
app.command()(history)
app.command()(regression_cli.reproduce)
app.command()(regression_cli.check)
app.command()(regress_cli.regress)
app.add_typer(regression_cli.app, name="baseline")


def main() -> None:
    """Entry point: a request that cannot be met is one line on standard error and exit code 2."""
    try:
        app()
    except RequestError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
