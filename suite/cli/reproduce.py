"""``tetragrad reproduce``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from suite.cli.options import RESULTS, ResultsOption, UriOption, interruptible, path_given
from suite.records import builder, published, record as records, soundness
from suite.records.findings import Findings
from suite.records.published import Attestation
from suite.records.record import Record
from suite.session import reproduce as reproduction
from suite.session.reproduce import Rerun
from suite.show.console import output
from suite.show.findings import print_findings
from suite.show.progress import Terminal
from suite.system import environment
from suite.tracking import tracker as tracking
from suite.tracking.errors import TrackingError
from suite.tracking.tracker import Tracker
from tasks import paths
from tasks.task import RequestError


def reproduce(
    what: Annotated[
        str,
        typer.Argument(metavar="RUN_ID|RECORD.json", help="A cell's MLflow run, or its record."),
    ],
    results: ResultsOption = RESULTS,
    tracking_uri: UriOption = None,
    attest: Annotated[
        Path | None,
        typer.Option(
            parser=path_given,
            metavar="FOLDER",
            help="Published folder that holds the record: add there what came of it on this "
            "machine.",
        ),
    ] = None,
) -> None:
    """Train a recorded cell again, and say what is different and what is the same.

    The new training is not kept. Exit code 1: the results are not the same.
    """
    record, content = _record(what, results, tracking_uri)
    if attest:
        published.require_published(attest, content)
    reproduction.losses(record)
    task = reproduction.require_rerunnable(record)
    console = output()
    with Terminal() as reporter, interruptible():
        reporter.busy(f"training {record.cell.label} again")
        rerun = reproduction.rerun(
            record,
            task,
            lambda begun: _print_beginning(begun, console),
            lambda event: reporter.cell_event(record.cell, event, task.config.epochs),
        )
    findings = rerun.findings()
    print_findings(findings.found, console)
    if attest:
        _attest(attest, content, rerun, findings)
    raise typer.Exit(findings.exit_code)


def _record(what: str, results: Path, uri: str | None) -> tuple[Record, str]:
    """The record in a file, or the one that an MLflow run keeps, and the hash of its content.

    RequestError if there is none.
    """
    path = paths.given(what)
    if path and (path.exists() or what.endswith(".json")):
        return records.read(path), soundness.digest(soundness.document_at(path))
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
        return records.read(path), soundness.digest(soundness.document_at(path))


def _attest(folder: Path, content: str, rerun: Rerun, findings: Findings) -> None:
    """Adds to a published folder that the results were the same here, or not, and renews it."""
    from suite.report import gallery  # slow to import

    attestation = Attestation(
        record=content,
        created=builder.now(),
        findings=findings.found,
        differences=tuple(map(str, rerun.differences)),
        machine=rerun.again.machine,
        packages=environment.computing(rerun.again.packages),
        git=rerun.again.git,
    )
    print(published.attest(folder, attestation))
    gallery.write(folder)


def _print_beginning(rerun: Rerun, console: Console) -> None:
    """Prints what is trained again, and first of all how its surroundings differ."""
    record = rerun.record
    lines = [f"{record.cell.label}, recorded {record.created}"]
    parted = rerun.differences
    lines += [f"The environment differs in {len(parted)} facts:"] if parted else []
    lines += [f"  {difference}" for difference in parted] or ["The environment is the same."]
    why = rerun.unpromised
    promise = f"need not be the same to the bit: {why}" if why else "must be the same to the bit"
    for line in (*lines, f"Losses {promise}."):
        console.print(escape(line), highlight=False, soft_wrap=True)
