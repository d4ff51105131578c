"""Sessions' records as they are stored: in the results, and in MLflow."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mlflow import MlflowClient

from suite.records import record as records
from suite.records.record import Record
from suite.tracking import tracker as tracking
from suite.tracking.entries import COMPLETE_TAG, RECORD_TAG


def kept(folder: Path) -> dict[str, Record]:
    """The records in a folder's results, by session and label."""
    found = [records.read(path) for path in records.all_paths(folder / "results")]
    by_name = {f"{record.session}/{record.cell.label}": record for record in found}
    assert len(by_name) == len(found)
    return by_name


def tracked(folder: Path, task: str = "fashion_mlp") -> Counter[str]:
    """How many whole runs MLflow has of every record of a task."""
    store = MlflowClient(tracking.default_uri(folder / "results"))
    experiment = store.get_experiment_by_name(task)
    assert experiment
    runs = store.search_runs([experiment.experiment_id], max_results=1000)
    tags = [run.data.tags for run in runs]
    return Counter(t[RECORD_TAG] for t in tags if RECORD_TAG in t and COMPLETE_TAG in t)
