"""The opening of an MLflow store."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
PATIENCE = 300.0
"""Seconds to wait for another process that makes a store's tables."""


def open_store(uri: str) -> MlflowClient:
    """The client of a store, whose tables are made if need be; raises whatever MLflow raises."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # it would print the address, password and all, where `run --json` prints its document
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    from mlflow import MlflowClient  # slow to import

    for noisy in ("alembic", "mlflow"):
        logging.getLogger(noisy).setLevel(logging.ERROR)  # ours says it, once
    with _alone(uri):
        return MlflowClient(uri)


def _alone(uri: str) -> AbstractContextManager[object]:
    """Held while a database is opened: its tables are made then, and two at once both fail.

    For the processes of this machine: where the file of a database lies, or by its address.
    """
    match = re.match(r"(\w+)(?:\+\w+)?://[^?]*", uri)
    if not match or match[1] not in DATABASES:
        return nullcontext()
    name = hashlib.sha256(match[0].encode()).hexdigest()[:16]
    place = Path(tempfile.gettempdir()) / f"tetragrad-{name}.lock"
    if file := re.fullmatch(r"sqlite:///(.+)", match[0]):
        place = Path(f"{file[1]}.lock")
    return FileLock(place, PATIENCE) if os.access(place.parent, os.W_OK) else nullcontext()
