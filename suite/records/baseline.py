"""Baselines: what a task came to, seed by seed, and how far another run may part from that.

One JSON file for each task, profile, kind of data and kind of device, in ``results/baselines/``:
``<task>-<profile>-<data>.json`` of the CPU, with ``-cuda`` behind of a card. They belong to the
source. Each holds every run that it was made from; the means and
spreads beside them are for its readers, and are taken from the runs again when it is used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from suite.records import record as records
from suite.records.cell import Conditions, conditions_from
from suite.records.record import Record
from suite.system import devices, environment
from tasks.paths import because
from tasks.task import RequestError

SCHEMA_VERSION = 2
"""Baselines of version 1, which had the conditions among their own fields, are read too."""
LEAST_SEEDS = 5
FALSE_ALARMS = 0.0025
"""The chance that a check of unchanged code raises an alarm: one of twenty checks does in 5%."""
STEPS = (1, 2, 5, 10, 20, 50, 100)
"""Whose losses are kept, as far as a run goes."""


@dataclass(frozen=True)
class Run:
    """Results of one run: quantities by name, and losses of single steps by their number."""

    backend: str
    mode: str
    seed: int
    quantities: dict[str, float]
    losses: dict[str, float]

    @property
    def backend_label(self) -> str:
        """The backend as it is asked for: ``backend:mode``."""
        return f"{self.backend}:{self.mode}"


@dataclass(frozen=True)
class Band:
    """Where a quantity of another run lies, unless something has changed."""

    mean: float
    spread: float
    """The standard deviation of the runs."""
    low: float
    high: float
    runs: int


@dataclass(frozen=True)
class Baseline:
    """The runs of one task, and what they were made with."""

    conditions: Conditions
    """Those of all runs: without a backend."""
    made: dict[str, Any]
    """When, in which session, by which command."""
    specification: dict[str, Any]
    provenance: dict[str, Any]
    packages: dict[str, str]
    """Versions of those that losses and metrics depend on."""
    git: dict[str, Any]
    machine: dict[str, Any]
    runs: tuple[Run, ...]
    schema_version: int = SCHEMA_VERSION

    @property
    def label(self) -> str:
        """The task as it is asked for: ``task`` or ``task:variant``."""
        return self.conditions.task_label

    @property
    def names(self) -> tuple[str, ...]:
        """The quantities that every run has."""
        return tuple(
            n for n in self.runs[0].quantities if all(n in r.quantities for r in self.runs)
        )

    def runs_of(self, backend_label: str) -> tuple[Run, ...]:
        """Those of one backend in one mode."""
        return tuple(run for run in self.runs if run.backend_label == backend_label)

    def values(self, name: str) -> list[float]:
        """A quantity (runs,), over all seeds and backends: they are the same model."""
        return [run.quantities[name] for run in self.runs]


def band(values: Sequence[float], false_alarms: float) -> Band | None:
    """The prediction interval for one more observation beside ``values`` (n,); None without spread.

    ``mean +- t s sqrt(1 + 1/n)`` with t the quantile ``1 - false_alarms / 2`` of Student's t with
    n - 1 degrees of freedom: of n + 1 independent normal observations, the last lies outside of
    what the first n give with the chance ``false_alarms`` exactly (Hahn & Meeker, "Statistical
    Intervals", 1991, section 4.7). So few seeds make a wide band, and not a wrong one. For a check
    that looks at m quantities, each gets FALSE_ALARMS / m (Bonferroni), as if all m were wrong
    independently; they go together, and the true chance is smaller. Values that are all the same
    say nothing of how they spread, and there is no band.
    """
    from scipy import stats  # slow to import

    n, mean = len(values), float(np.mean(values))
    spread = float(np.std(values, ddof=1)) if n > 1 else 0.0
    if spread <= 1e-12 * abs(mean):
        return None
    half = float(stats.t.ppf(1 - false_alarms / 2, n - 1)) * spread * math.sqrt(1 + 1 / n)
    return Band(mean, spread, mean - half, mean + half, n)


def run_of(record: Record) -> Run:
    """The part of a record that a baseline keeps, or that is compared with it."""
    losses = [loss for chunk in record.chunks for loss in chunk["losses"]]
    kept = {str(step): losses[step - 1] for step in STEPS if step <= len(losses)}
    cell = record.cell
    return Run(cell.backend, cell.mode, cell.seed, quantities(record), kept)


def quantities(record: Record) -> dict[str, float]:
    """Convergence and quality: train losses of the first and the last epoch, metrics at the end.

    A train loss is the mean over the fixed number of steps that an epoch has. The metrics are the
    one by which learning curves are read and those that have targets.
    """
    epochs = sorted({0, len(record.epochs) - 1})
    found = {
        f"train_loss, epoch {n + 1}": record.epochs[n]["metrics"]["train_loss"] for n in epochs
    }
    named = [record.validation, *(target["metric"] for target in record.targets)]
    metrics = record.metrics
    return found | {n: metrics[n] for n in named if n and n != "train_loss"}


def baseline_of(found: Sequence[Record], command: str) -> Baseline:
    """The baseline that good records of one task make, at least LEAST_SEEDS of each backend."""
    first = found[0]
    return Baseline(
        conditions=first.cell.shared,
        made={"created": first.created, "session": first.session, "command": command},
        specification=first.specification,
        provenance=first.provenance,
        packages=environment.computing(first.packages),
        git=first.git,
        machine=first.machine,
        runs=tuple(map(run_of, found)),
    )


def path_of(folder: Path, conditions: Conditions) -> Path:
    """Where the baseline of a task, profile, kind of data and kind of device lies."""
    # a folder's without its path, which is another one where the same folder is checked out anew
    label = "-".join(filter(None, (Path(conditions.task).name, conditions.variant)))
    device = devices.kind(conditions.device)
    place = "" if device == devices.CPU else f"-{device}"
    return folder / f"{label}-{conditions.profile}-{conditions.data}{place}.json"


def write(folder: Path, baseline: Baseline) -> Path:
    """Writes a baseline and returns its path. RequestError if it cannot be written."""
    path = path_of(folder, baseline.conditions)
    summary = {
        name: {"mean": found.mean, "spread": found.spread, "runs": found.runs}
        for name in baseline.names
        if (found := band(baseline.values(name), FALSE_ALARMS))
    }
    document = asdict(baseline)
    runs = document.pop("runs")
    try:
        records.write_json(path, {**document, "summary": summary, "runs": runs})
    except OSError as error:
        raise RequestError(f"{path} cannot be written {because(error)} with --baselines") from None
    return path


def read(path: Path) -> Baseline:
    """The baseline at ``path``; RequestError if it is none, or of another schema version."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        records.require_readable(path, document["schema_version"], SCHEMA_VERSION)
        del document["summary"]
        runs = tuple(Run(**run) for run in document["runs"])
        own = {"conditions": conditions_from(document), "runs": runs}
        found = Baseline(**{**document, **own, "schema_version": SCHEMA_VERSION})
        if not runs or not found.names:
            raise ValueError("it has no runs")
        source, data = found.provenance["source"], found.conditions.data
        if source != data:
            raise ValueError(f"its data are {source}, not {data}")
        return found
    except OSError as error:
        raise RequestError(f"{path} cannot be read {because(error)}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(
            f"{path} is not a baseline ({error}); make it anew with `tetragrad baseline update`"
        ) from None
