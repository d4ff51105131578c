"""Cells out of the MLflow store as a table of pandas, one row each."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

import pandas as pd

import tasks
from suite.report import words
from suite.tracking.tracker import COMPLETE_TAG, SESSION_TAG, Tracker, TrackingError
from tasks.task import RequestError

METRIC = "metrics."
"""What begins the names of columns that hold metrics, as MLflow has it."""
PER_SECOND = "_per_second"
"""What ends the names of rates; a task has one of its own."""
_OF_TIME = (PER_SECOND, f"{PER_SECOND}_low", f"{PER_SECOND}_high", "_seconds", "efficiency")
_DEFAULTS = {"early_stopping": "None", "options": "{}"}
"""What cells had of before there was a choice."""


@dataclass(frozen=True)
class Conditions:
    """What must be equal for the numbers of two sessions to make one series."""

    profile: str
    data: str
    digest: str
    """Of the data, SHA-256."""
    device: str
    precision: str
    threads: int
    early_stopping: int | None
    """Epochs of patience."""
    options: str
    """Constants that were chosen: ``beam=4, sentence=Ein Hund rennt.``"""
    cpu: str

    def __str__(self) -> str:
        data = "real data" if self.data == "real" else "GENERATED DATA, not the real data set"
        chosen = (
            f"early stopping after {self.early_stopping}" if self.early_stopping else "",
            self.options,
        )
        said = (
            self.profile,
            f"{data} ({self.digest[:8] or 'of unknown digest'})",
            *(self.device, self.precision, words.count(self.threads, "thread")),
            *chosen,
            self.cpu,
        )
        return " · ".join(filter(None, said))


def is_of_time(metric: str) -> bool:
    """Whether a metric says how fast a cell was, which counts of verified cells alone."""
    return metric.endswith(_OF_TIME) or metric.startswith("phase_seconds/")


def read(tracker: Tracker, choice: tasks.Choice) -> pd.DataFrame:
    """The cells of a task and variant that went well, oldest first.

    Columns: ``session``, ``created`` [UTC], ``commit``, ``dirty``, ``backend``, ``mode``, ``seed``,
    ``verified`` (with all seeds of the session), ``conditions``, ``versions`` (a dict by package)
    and ``metrics.<name>``.
    RequestError if there are none, or the store cannot be read.
    """
    task, variant = choice
    label = f"{task}:{variant}" if variant else task
    try:
        with tracker.connection():
            found = _search(task, variant)
    except TrackingError as error:
        raise RequestError(f"the MLflow store cannot be read: {error}") from None
    if found.empty:
        raise RequestError(
            f"MLflow has no cell of {label} that went well; `tetragrad run --task {label}` first, "
            "or `tetragrad sync` if its records were not sent"
        )
    return _tidied(found)


def _search(task: str, variant: str | None) -> pd.DataFrame:
    import mlflow  # slow to import

    wanted = (
        f"params.variant = '{variant}'",
        f"tags.`{COMPLETE_TAG}` = 'true'",
        "tags.outcome = 'ok'",
    )
    return mlflow.search_runs(
        experiment_names=[task], filter_string=" and ".join(wanted), order_by=["start_time ASC"]
    )


def _tidied(found: pd.DataFrame) -> pd.DataFrame:
    versions = [name for name in found if name.startswith("tags.version.")]
    params = {name: found[f"params.{name}"] for name in ("backend", "mode")}
    tidied = pd.DataFrame(
        {
            "session": found[f"tags.{SESSION_TAG}"],
            "created": found["start_time"],
            "commit": found["tags.git.commit"],
            "dirty": found["tags.git.dirty"] == "True",
            **params,
            "seed": found["params.seed"].astype(int),
            "verified": found["tags.verified"] == "true",
            "conditions": [_conditions(row) for row in found.to_dict("records")],
            "versions": [
                {name.removeprefix("tags.version."): row[name] for name in versions}
                for row in found.to_dict("records")
            ],
        }
    )
    # one seed that is not verified takes the speed of all
    seeds = tidied.groupby(["session", "backend", "mode"])
    tidied["verified"] = seeds["verified"].transform("all")
    metrics = found[[name for name in found if name.startswith(METRIC)]]
    return pd.concat([tidied, metrics], axis="columns")


def _conditions(row: dict[str, Any]) -> Conditions:
    def param(name: str) -> str:
        value = row.get(f"params.{name}")
        return value if isinstance(value, str) else _DEFAULTS[name]  # NaN where it was not said

    patience = param("early_stopping")
    options: dict[str, str] = ast.literal_eval(param("options"))
    return Conditions(
        profile=param("profile"),
        data=param("data"),
        digest=row["tags.data.digest"],
        device=param("device"),
        precision=param("precision"),
        threads=int(param("threads")),
        early_stopping=None if patience == "None" else int(patience),
        options=", ".join(f"{name}={value}" for name, value in sorted(options.items())),
        cpu=row["tags.cpu"],
    )
