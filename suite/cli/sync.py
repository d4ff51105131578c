"""``tetragrad sync``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from suite.cli.options import RESULTS, ResultsOption, UriOption, path_given
from suite.records import moving, record as records
from suite.report import notes
from suite.show.console import errors
from suite.tracking import tracker as tracking
from suite.tracking.errors import TrackingError
from suite.tracking.tracker import Tracker
from tasks.task import RequestError


def sync(
    folder: Annotated[
        Path | None,
        typer.Argument(
            parser=path_given,
            help="Copy these records here first: a results folder of another machine, or one of "
            "its sessions' folders of records.",
            show_default=False,
        ),
    ] = None,
    results: ResultsOption = RESULTS,
    tracking_uri: UriOption = None,
) -> None:
    """Send every record that MLflow does not have yet, once only."""
    console = errors()
    if tracking_uri == tracking.NONE:
        raise RequestError("--tracking none is no store to send to; name one, or leave it out")
    if folder:
        records.require_writable(results)
        print(f"{moving.bring_home(folder, results)} brought to {results}")
    uri = tracking_uri or tracking.default_uri(results)
    tracker = Tracker(uri, results)
    passed = notes.Bases()
    try:
        sent, there = tracking.sync(
            results, tracker, partial(console.print, markup=False, soft_wrap=True), passed.add
        )
        notes.write(tracker, results, known=passed)
    except TrackingError as error:
        console.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    print(f"{sent} sent, {there} already there")
