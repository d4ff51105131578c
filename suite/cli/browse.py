"""``tetragrad browse``."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import Annotated, Any

import typer

from suite.cli.options import RESULTS, ResultsOption, UriOption
from suite.tracking import tracker as tracking, view
from suite.tracking.errors import TrackingError, without_secrets
from suite.tracking.tracker import Tracker
from tasks.task import RequestError

SERVER = (
    *(sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1"),
    *("--workers", "1"),  # for one person: four of them take a gigabyte and seconds to start
    "--port",
)
GRACE = 5.0
"""Seconds that the server has to end."""


def browse(
    results: ResultsOption = RESULTS,
    tracking_uri: UriOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Serve MLflow's pages of the results on 127.0.0.1 and print their addresses.

    Those of a store that is a server are its own: then there are the addresses alone.
    """
    uri = tracking_uri or tracking.default_uri(results)
    if not tracking.has_store(uri, results):
        raise RequestError(f"there are no results in {results.resolve()}; `tetragrad run` first")
    server = f"http://127.0.0.1:{port}"
    if there := re.match("https?://", uri):
        server = without_secrets(uri).rstrip("/")  # which has pages of its own
    else:
        _require_free(port)
    try:
        experiments = Tracker(uri, results).experiments()
    except TrackingError as error:
        raise RequestError(f"the MLflow store cannot be read: {error}") from None
    for name, experiment in experiments.items():
        # the bare address would open MLflow's pages for language-model traces
        page = f"#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning"
        shown = view.ADDRESS if view.TAG in experiment.tags else ""
        print(f"{name}: {server}/{page}{shown}", flush=True)
    if there:
        return
    print("there are all cells, the latest first; `Exit shared view` shows their sessions")
    print("Ctrl-C ends the server", flush=True)
    own = {
        # not as an argument, which every user of the machine can see: there may be a password in it
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight more processes, for language models
    }
    serve((*SERVER, str(port)), {**os.environ, **own})


def serve(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Runs a server until Ctrl-C or SIGTERM; its log is not shown.

    RequestError with the end of its log if it ends by itself.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with tempfile.TemporaryFile() as log:
            # a session of its own: Ctrl-C reaches this process alone, which ends the server
            process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            try:
                process.wait()
            except KeyboardInterrupt:
                return
            finally:
                _end(process)
            log.seek(0)
            said = log.read().decode(errors="replace").split("\n")
    finally:
        signal.signal(signal.SIGTERM, before)
    last = next((line.strip() for line in reversed(said) if line.strip()), "it said nothing")
    raise RequestError(
        f"MLflow's server ended with exit code {process.returncode}: "
        f"{without_secrets(last)}; look for what keeps it from serving, or try another "
        "--port"
    )


def _require_free(port: int) -> None:
    """RequestError if another program serves at the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise RequestError(
                f"--port {port} cannot be had ({error.strerror}); give another"
            ) from None


def _end(process: subprocess.Popen[Any]) -> None:
    """Ends a process with all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
