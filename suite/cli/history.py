"""The command ``tetragrad history``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import backends
import tasks
from suite.cli.options import RESULTS, BackendOption, ResultsOption, UriOption, path_given
from suite.show.console import output
from suite.tracking import tracker as tracking
from suite.tracking.tracker import Tracker
from tasks.task import RequestError


def history(
    task: Annotated[
        str, typer.Argument(help="task, task:variant or a folder's path.", show_default=False)
    ],
    metric: Annotated[
        str | None, typer.Option(help="A metric in MLflow. Default: the throughput.")
    ] = None,
    backend: BackendOption = [],  # noqa: B006  (typer copies it)
    profile: Annotated[
        str | None, typer.Option(help="Sessions of this profile. Default: the latest one's.")
    ] = None,
    steps: Annotated[
        bool, typer.Option("--steps", help="Say where the metric changed its level.")
    ] = False,
    output_folder: Annotated[
        Path | None,
        typer.Option(
            "--output",
            parser=path_given,
            help="Folder to write to. Default: in the results folder.",
        ),
    ] = None,
    results: ResultsOption = RESULTS,
    tracking_uri: UriOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on standard output.")
    ] = False,
) -> None:
    """Show a metric of a task over the sessions in MLflow: a table, and a page with its plots."""
    from suite.history import page, series, telling  # slow to import

    choice = _one(task)
    wanted = backends.chosen(backend) if backend else ()
    uri = tracking_uri or tracking.default_uri(results)
    if not tracking.has_store(uri, results):
        raise RequestError(
            f"there is no MLflow store in {results.resolve()}; `tetragrad run` first"
        )
    found = series.build(Tracker(uri, results), choice, metric, wanted, profile, steps)
    path = page.write(found, results, output_folder)
    if as_json:
        print(json.dumps(telling.document(found, str(path)), indent=1))
        return
    telling.print_history(found, output())
    print(path)


def _one(task: str) -> tasks.Choice:
    found = tasks.choices(task)
    if len(found) > 1:
        raise RequestError(f"{task} is {len(found)} tasks; ask for the history of one of them")
    return found[0]
