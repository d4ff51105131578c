"""``tetragrad browse``."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from suite.cli.options import RESULTS, ResultsOption, UriOption
from suite.tracking import tracker as tracking
from suite.tracking.tracker import Tracker, TrackingError
from tasks.task import RequestError


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
