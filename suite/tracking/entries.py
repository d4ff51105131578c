"""The entries of a cell's MLflow run: its name, tags, parameters and metrics, from the record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from suite.records import machines
from suite.records.events import Outcome
from suite.records.record import Record
from suite.records.specification import flat
from suite.system import environment

if TYPE_CHECKING:
    from mlflow.entities import Metric

RECORD_TAG, SESSION_TAG, COMPLETE_TAG = (
    f"tetragrad.{name}" for name in ("record", "session", "complete")
)
PARENT_TAG = "mlflow.parentRunId"
NOTED_TAG = "tetragrad.noted"
"""The tag of a session's run for the basis of its note."""
TRAINING = "training_"
"""Beginning of the names of metrics that training alone showed, beside those of rounds in turns.

Runs of before have none, and what training alone showed under the bare names."""


def run_name(record: Record) -> str:
    """The name of a cell's run, with its outcome unless that was well."""
    cell = record.cell
    variant = f"{cell.variant} " if cell.variant else ""
    state = "not verified" if record.outcome is Outcome.OK else record.outcome
    said = "" if record.verified else f" ({state})"
    return f"{variant}{cell.backend_label} seed {cell.seed}{said}"


def milliseconds(record: Record) -> int:
    return round(1000 * datetime.fromisoformat(record.created).timestamp())


def ended(record: Record) -> int:
    """When the cell ended [ms]; if that was not kept, when its phases alone would have."""
    if record.ended:
        return round(1000 * datetime.fromisoformat(record.ended).timestamp())
    return milliseconds(record) + round(1000 * sum(record.phases.values()))


def tags_of(record: Record) -> dict[str, str]:
    cell = record.cell
    return {
        RECORD_TAG: f"{record.session}/{cell.label}",
        SESSION_TAG: record.session,
        "outcome": record.outcome,
        "reason": record.reason or "",
        "verified": str(record.verified).lower(),
        "reading": str(record.reading or ""),
        "data": cell.data,
        "data.digest": record.provenance.get("digest", ""),
        "variant": cell.variant or "",
        "backend": cell.backend,
        "mode": cell.mode,
        "device": cell.device,
        "git.commit": str(record.git.get("commit")),
        "git.dirty": str(record.git.get("dirty")),
        "cpu": str(record.machine.get("cpu")),
        "machine": machines.text_of(machines.facts_of(record.machine)),
        "python": str(record.machine.get("python")),
        "system": str(record.machine.get("system")),
        "threads.seen": str(record.worker.get("threads", {})),
        **{f"version.{k}": v for k, v in environment.computing(record.packages).items()},
    }


def params_of(record: Record) -> list[Any]:
    from mlflow.entities import Param

    return [
        Param(k, str(v)) for k, v in {**asdict(record.cell), **flat(record.specification)}.items()
    ]


def metrics_of(record: Record) -> Iterator[Metric]:
    """Curves, then last values.

    Every curve is there twice: by chunk's step or by epoch, and, as ``by_train_ms/<name>``, by the
    milliseconds of train until then (MLflow's steps are whole numbers). Timestamps advance with
    train time too, so that MLflow's relative-time axis is train time.
    """
    from mlflow.entities import Metric

    start = milliseconds(record)

    def point(name: str, value: float, step: int, train_seconds: float) -> Iterator[Metric]:
        elapsed = round(1000 * train_seconds)
        yield Metric(name, value, start + elapsed, step)
        yield Metric(f"by_train_ms/{name}", value, start + elapsed, elapsed)

    step, elapsed = 0, 0.0
    for chunk in record.chunks:
        step += len(chunk["losses"])
        elapsed += chunk["seconds"]
        mean = sum(chunk["losses"]) / len(chunk["losses"])
        yield from point("train_loss_per_chunk", mean, step, elapsed)
    for epoch in record.epochs:
        for name, value in epoch["metrics"].items():
            yield from point(name, value, epoch["epoch"], epoch["train_seconds"])
    for name, value in summary_of(record).items():
        yield Metric(name, value, start + round(1000 * elapsed), 0)


def _of_best_epoch(record: Record) -> dict[str, float]:
    """With early stopping, the trained model's metrics: MLflow shows the last epoch's as final."""
    if not record.stopped:
        return {}
    return {f"best_epoch/{name}": value for name, value in record.metrics.items()}


def _rates(name: str, speed: Mapping[str, Any]) -> dict[str, Any]:
    return {name: speed["median"], f"{name}_low": speed["low"], f"{name}_high": speed["high"]}


def speed_name(unit: str) -> str:
    """The name of the metric that is a speed in that unit: ``samples_per_second``."""
    return unit.replace("/s", "_per_second")


def summary_of(record: Record) -> dict[str, float]:
    name = speed_name(record.unit)
    summary = {
        **_rates(name, record.throughput),
        **_rates(f"{TRAINING}{name}", record.training_throughput),
        "efficiency": record.efficiency if record.verified else None,
        f"{TRAINING}efficiency": record.training_efficiency if record.verified else None,
        "time_to_target_seconds": record.time_to_target,
        "epochs_to_target": record.epochs_to_target,
        **_of_best_epoch(record),
        "peak_memory_bytes": record.memory.get("peak"),
        **{f"phase_seconds/{phase}": value for phase, value in record.phases.items()},
    }
    return {k: float(v) for k, v in summary.items() if v is not None}
