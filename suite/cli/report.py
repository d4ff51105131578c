"""``tetragrad report``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from suite.report import Files

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from suite.cli.options import RESULTS, ResultsOption, UriOption, path_given
from suite.show.console import errors
from suite.tracking import tracker as tracking
from suite.tracking.tracker import Tracker


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
    """Write the results of sessions as one HTML page, with CSV, JSON and Markdown beside it."""
    files = write(results, session or [], output_folder, tracking_uri)
    for path in (files.html, files.markdown, files.csv, files.json):
        print(path)


def write(
    results: Path, wanted: Sequence[str], folder: Path | None, asked_uri: str | None
) -> Files:
    """Writes the report and adds it to the sessions' MLflow runs."""
    from suite import report as reports  # slow to import

    found = reports.find(results, wanted)
    files = reports.write(results, found, folder, wanted)
    uri = asked_uri or tracking.default_uri(results)
    if uri != tracking.NONE:
        tracker = Tracker(uri, results) if tracking.has_store(uri, results) else None
        say = partial(errors().print, markup=False, highlight=False, soft_wrap=True)
        reports.track(tracker, found, files, say)
    return files
