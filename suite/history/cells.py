"""Cells out of the MLflow store as a table of pandas, one row each."""

from __future__ import annotations

import ast
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import pandas as pd

import tasks
from suite.records import machines
from suite.records.cell import Conditions
from suite.report import words
from suite.tracking import reading
from suite.tracking.entries import COMPLETE_TAG, SESSION_TAG, TRAINING
from suite.tracking.errors import TrackingError
from suite.tracking.tracker import Tracker
from tasks.task import RequestError

if TYPE_CHECKING:
    from mlflow import MlflowClient

METRIC = "metrics."
"""Beginning of the names of columns that hold metrics, as MLflow has it."""
PER_SECOND = "_per_second"
"""End of the names of rates; each task has a rate of its own."""
RATES = (PER_SECOND, f"{PER_SECOND}_low", f"{PER_SECOND}_high", "efficiency")
_OF_TIME = (*RATES, "_seconds")
_CONDITIONS = tuple(f.name for f in fields(Conditions))
PARAMS = (*_CONDITIONS, "seed")
TAGS: tuple[str, ...] = (
    SESSION_TAG,
    COMPLETE_TAG,
    "outcome",
    "verified",
    "cpu",
    "data.digest",
    "git.commit",
)
TAGS += ("git.dirty", "machine", "version.*")


@dataclass(frozen=True)
class Comparable:
    """The conditions, the data and the processor that sessions share which make one series."""

    conditions: Conditions
    """Without a backend."""
    digest: str
    """SHA-256 of the data."""
    cpu: str

    def __hash__(self) -> int:
        return hash((self.conditions.key, self.digest, self.cpu))

    @property
    def profile(self) -> str:
        """How much was trained."""
        return self.conditions.profile

    @property
    def options(self) -> str:
        """Constants that were chosen: ``beam=4, sentence=Ein Hund rennt.``"""
        return ", ".join(f"{name}={value}" for name, value in self.conditions.options.items())

    def document(self) -> dict[str, Any]:
        """All of it, flat, for JSON."""
        own = asdict(self.conditions) | {"options": self.options}
        return {**own, "digest": self.digest, "cpu": self.cpu}

    def __str__(self) -> str:
        own = self.conditions
        data = "real data" if own.data == "real" else "GENERATED DATA, not the real data set"
        chosen = (f"early stopping after {own.early_stopping}" if own.early_stopping else "",)
        said = (
            own.profile,
            f"{data} ({self.digest[:8] or 'of unknown digest'})",
            *(own.device, own.precision, words.count(own.threads, "thread")),
            *(*chosen, self.options),
            self.cpu,
        )
        return " · ".join(filter(None, said))


def is_of_time(metric: str) -> bool:
    """Tells if a metric says how fast a cell was, which counts for verified cells alone."""
    return metric.endswith(_OF_TIME) or metric.startswith("phase_seconds/")


def read(tracker: Tracker, choice: tasks.Choice) -> pd.DataFrame:
    """The cells of a task and variant that went well, oldest first.

    Columns: ``session``, ``created`` [UTC], ``commit``, ``dirty``, ``backend``, ``mode``, ``seed``,
    ``verified`` (with all seeds of the session), ``conditions``, ``machine``, ``versions`` (a dict
    by package) and ``metrics.<name>``.
    RequestError if there are none, or the store cannot be read.
    """
    task, variant = choice
    label = f"{task}:{variant}" if variant else task
    try:
        with tracker.connection() as client:
            known = client.get_experiment_by_name(task)
            found = _search(client, known.experiment_id, variant) if known else pd.DataFrame()
    except TrackingError as error:
        raise RequestError(f"the MLflow store cannot be read: {error}") from None
    if found.empty:
        raise RequestError(
            f"MLflow has no cell of {label} that went well; `tetragrad run --task {label}` first, "
            "or `tetragrad sync` if its records were not sent"
        )
    return _tidied(found)


def _search(client: MlflowClient, experiment: str, variant: str | None) -> pd.DataFrame:
    """The cells that went well and of which all has arrived."""
    found = reading.table(client, experiment, PARAMS, TAGS)
    wanted = {
        "params.variant": str(variant),
        f"tags.{COMPLETE_TAG}": "true",
        "tags.outcome": "ok",
    }
    for name, value in wanted.items():
        found = found[found[name] == value] if name in found else found.iloc[:0]
    return found.dropna(axis="columns", how="all").reset_index(drop=True)


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
            "conditions": _comparables(found),
            "machine": _machines(found),
            "versions": [
                {name.removeprefix("tags.version."): value for name, value in row.items()}
                for row in found[versions].to_dict("records")
            ],
        }
    )
    # one seed that is not verified takes the speed of all
    seeds = tidied.groupby(["session", "backend", "mode"])
    tidied["verified"] = seeds["verified"].transform("all")
    metrics = found[[name for name in found if name.startswith(METRIC)]]
    return pd.concat([tidied, _of_turns(metrics)], axis="columns")


def _of_turns(metrics: pd.DataFrame) -> pd.DataFrame:
    """Names what training alone showed so in runs of before, which have it under the bare names."""
    found = metrics.copy()
    for name in metrics:
        own = f"{METRIC}{TRAINING}{name.removeprefix(METRIC)}"
        if name.endswith(RATES) and not name.startswith(METRIC + TRAINING):
            said = found[own] if own in found else pd.Series(float("nan"), found.index)
            before = said.isna()
            found[own] = said.where(~before, found[name])
            found[name] = found[name].mask(before)
    return found


def _machines(found: pd.DataFrame) -> list[str]:
    """The names of the machines; runs of before they were sent know the processor's alone."""
    said = found.get("tags.machine", pd.Series(index=found.index, dtype=object))
    facts = [
        machines.facts_in(text) if isinstance(text, str) and text else {"cpu": cpu}
        for text, cpu in zip(said, found["tags.cpu"], strict=True)
    ]
    return machines.names_of(facts)


def _comparables(found: pd.DataFrame) -> list[Comparable]:
    """The conditions of every run; equal ones are the same object, for there are few of them."""
    wanted = [f"params.{name}" for name in _CONDITIONS] + ["tags.data.digest", "tags.cpu"]
    names = [name for name in wanted if name in found]
    rows = [*found[names].itertuples(index=False, name=None)]
    own = {row: _comparable(dict(zip(names, row, strict=True))) for row in dict.fromkeys(rows)}
    shared = {comparable: comparable for comparable in own.values()}
    return [shared[own[row]] for row in rows]


def _comparable(row: dict[str, Any]) -> Comparable:
    """Reads a run's parameters; fields that it is too old to have are as nobody asked."""
    said = {f.name: row.get(f"params.{f.name}") for f in fields(Conditions)}
    own: dict[str, Any] = {n: v for n, v in said.items() if isinstance(v, str)}  # NaN: not said
    for name in own.keys() & {"threads", "early_stopping", "options"}:
        own[name] = ast.literal_eval(own[name])  # MLflow keeps texts
    own["variant"] = None if own.get("variant") == "None" else own.get("variant")
    own["options"] = dict(sorted(own.get("options", {}).items()))
    return Comparable(Conditions(**own).shared, row["tags.data.digest"], row["tags.cpu"])
