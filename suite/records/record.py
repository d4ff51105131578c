"""Records: what is kept of a cell, as one JSON file, written before all else."""

from __future__ import annotations

import json
import shlex
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from suite.records.cell import Cell
from suite.records.convergence import Reading, read_curve
from suite.records.events import Outcome
from suite.records.statistics import median_interval
from suite.system.files import write_text
from tasks.paths import because
from tasks.task import RequestError

RESULTS = Path("results")
"""Where they lie unless told."""
ENDS = ("median", "low", "high")
SCHEMA_VERSION = 2
"""Version 1, in which cells that were not begun were called interrupted, is read too."""


@dataclass
class Record:
    """A cell and all that came of it. Times in seconds, memory in bytes."""

    session: str
    """The id of the session that it is of."""
    cell: Cell
    """The conditions and the seed."""
    created: str
    """When the cell began, UTC, ISO 8601."""
    outcome: Outcome = Outcome.OK
    reason: str | None = None
    """Why it did not end well, in one line."""
    ended: str | None = None
    """When it ended, UTC, ISO 8601; None in records of before this was kept."""
    verified: bool = False
    """True if the backend was proved to compute the same model."""
    equivalence: dict[str, Any] | None = None
    """How the backend was verified: the findings, or why it was not."""
    specification: dict[str, Any] = field(default_factory=dict)
    """Every constant of the task."""
    unit: str = "samples/s"
    """The unit of the speed."""
    targets: list[dict[str, Any]] = field(default_factory=list)
    """Bands for the full profile: ``metric``, ``low`` and ``high``."""
    margin: float | None = None
    """By how much the first target's metric may differ between backends without it mattering; None
    in records of before there was a comparison."""
    validation: str | None = None
    """The metric by which the learning curve is read, besides ``train_loss``; None in records of
    before there was a reading."""
    lecture: dict[str, Any] | None = None
    """Figures that a lecture prints: its ``document``, the ``figures`` by metric, why ours
    ``differs``. None where it prints none of this, and in records of before it was kept."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """The data set: name, real or generated, digest."""
    packages: dict[str, str] = field(default_factory=dict)
    """Versions by distribution."""
    git: dict[str, Any] = field(default_factory=dict)
    """The commit of the source, and whether it was changed."""
    machine: dict[str, Any] = field(default_factory=dict)
    """Processor, memory, system and Python."""
    attainable: dict[str, float] = field(default_factory=dict)
    """Rates of the machine in this session: ``matmul`` [operations/s], ``copy`` [bytes/s]."""
    worker: dict[str, Any] = field(default_factory=dict)
    """The ledger: what the worker's speed depends on besides its program, as it saw it itself."""
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds by phase: import, data, build, compile, transfer, train, evaluate, score."""
    timed: dict[str, Any] | None = None
    """The measurement in turns beside the other backends, with this seed: ``rounds``; and the
    ``throughput`` and the ``efficiency``, each ``median``, ``low``, ``high`` (95%) or None. None of
    it where nothing was timed in turns, and in records of before it was kept here."""
    chunks: list[dict[str, Any]] = field(default_factory=list)
    """By training chunk: epoch, samples, operations, seconds of train, the loss of every step."""
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """By epoch: metrics and the train seconds until then."""
    stopped: dict[str, int] | None = None
    """With early stopping, the ``epoch`` that was the last and the ``best``, which it went back to.
    """
    resumed: int | None = None
    """After how many steps another process went on with the training, from a checkpoint."""
    texts: dict[str, str] = field(default_factory=dict)
    """Texts that a language model wrote after training, by the way in which they were drawn."""
    heatmaps: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Matrices to draw, by name: ``values``, and what its ``rows`` and ``columns`` are."""
    compilations: dict[str, int] = field(default_factory=dict)
    """Programs compiled: ``first`` before training, ``again`` during it, which should be 0."""
    memory: dict[str, int] = field(default_factory=dict)
    """Peak resident memory after the import and at the end."""
    stderr: str = ""
    """The end of what the worker printed, unless the cell went well."""
    schema_version: int = SCHEMA_VERSION

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of the trained model: of the last epoch, or of the best with early stopping."""
        last = self.stopped["best"] if self.stopped else len(self.epochs)
        return dict(self.epochs[last - 1]["metrics"]) if self.epochs else {}

    def first_losses(self, count: int) -> list[float]:
        """The losses of its first ``count`` steps; of all, if there are fewer."""
        return [loss for chunk in self.chunks[:count] for loss in chunk["losses"]][:count]

    @property
    def rates(self) -> list[float]:
        """Samples (or tokens) per second of train, chunk by chunk."""
        return [chunk["samples"] / chunk["seconds"] for chunk in self.chunks]

    @property
    def throughput(self) -> dict[str, Any]:
        """The speed: unit, median and 95% interval; None where nothing was timed in turns."""
        found = (self.timed or {}).get("throughput") or dict.fromkeys(ENDS)
        return {"unit": self.unit, **found}

    @property
    def training_throughput(self) -> dict[str, Any]:
        """The rate that training alone showed, as above; None where nothing was trained.

        It is no speed: warming up and the machine's drift are in it.
        """
        found = median_interval(self.rates) if self.chunks else (None, None, None)
        return {"unit": self.unit, **dict(zip(ENDS, found, strict=True))}

    @property
    def efficiency(self) -> float | None:
        """The median fraction of the machine's rate of matrix products, as timed in turns."""
        found = (self.timed or {}).get("efficiency")
        return None if found is None else float(found["median"])

    @property
    def training_efficiency(self) -> float | None:
        """The same fraction as training alone showed it; None where it is not known."""
        rates = [c["operations"] / c["seconds"] for c in self.chunks if "operations" in c]
        if not (any(rates) and "matmul" in self.attainable):
            return None
        return float(statistics.median(rates) / self.attainable["matmul"])

    @property
    def time_to_target(self) -> float | None:
        """Train seconds until the first target was met at the end of an epoch."""
        epoch = self.epochs_to_target
        return None if epoch is None else float(self.epochs[epoch - 1]["train_seconds"])

    @property
    def epochs_to_target(self) -> int | None:
        """The first epoch (from 1) at whose end the first target was met."""
        if not self.targets or not self.judged:
            return None
        met = (n for n, e in enumerate(self.epochs, 1) if _met(self.targets[0], e["metrics"]))
        return next(met, None)

    @property
    def reading(self) -> Reading | None:
        """The reading of the run's learning curve; None before the end of its first epoch."""
        if self.outcome is Outcome.DIVERGED:
            return Reading("diverging", len(self.epochs) + 1, self.reason or "")
        if not self.epochs or self.validation is None:
            return None
        metrics = [epoch["metrics"] for epoch in self.epochs]
        return read_curve([m["train_loss"] for m in metrics], [m[self.validation] for m in metrics])

    @property
    def judged(self) -> bool:
        """Tells if targets mean anything here: never on generated data."""
        return self.cell.data == "real"

    @property
    def missed_targets(self) -> list[dict[str, Any]]:
        """Targets that a full run on real data did not reach.

        They are those of the task's own number of epochs: early stopping is another task.
        """
        full = self.cell.profile == "full" and self.cell.early_stopping is None
        if not (self.judged and full and self.outcome is Outcome.OK):
            return []
        return [t for t in self.targets if not _met(t, self.metrics)]

    @property
    def missed(self) -> list[str]:
        """These targets in words."""
        return [
            f"{t['metric']} {self.metrics[t['metric']]:.4f} is not in [{t['low']}, {t['high']}]"
            for t in self.missed_targets
        ]


def _met(target: dict[str, Any], metrics: dict[str, float]) -> bool:
    value = metrics[target["metric"]]
    return (target["low"] is None or value >= target["low"]) and (
        target["high"] is None or value <= target["high"]
    )


def write_json(path: Path, document: Any) -> None:
    """Writes a file whole or not at all. OSError, or ValueError for a number that is not finite."""
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def elsewhere(results: Path) -> str:
    """The option that a command needs to find these results: `` --results DIR``, or nothing."""
    return "" if results == RESULTS else f" --results {shlex.quote(str(results))}"


def path_of(results: Path, record: Record) -> Path:
    """Where a record lies: ``results/records/<session>/<cell>.json``."""
    return results / "records" / record.session / f"{record.cell.label}.json"


class NotWritten(Exception):
    """Results cannot be written any more: the disk is full, or has become read-only."""


def write(results: Path, record: Record) -> Path:
    """Writes a record and returns its path. Raises NotWritten."""
    path = path_of(results, record)
    try:
        write_json(path, asdict(record))
    except OSError as error:
        raise NotWritten(f"the record of {record.cell.label} {because(error)}") from None
    return path


def read(path: Path) -> Record:
    """The record at ``path``; RequestError if it is none, or of another schema version."""
    try:
        return parse(path.read_bytes(), path)
    except OSError as error:
        raise RequestError(f"{path} cannot be read {because(error)}") from None


def parse(content: bytes, path: Path) -> Record:
    """The record in the content of a file at ``path``. RequestError as for ``read``."""
    try:
        document = json.loads(content)
        require_readable(path, document["schema_version"], SCHEMA_VERSION)
        own = {
            "cell": Cell(**document["cell"]),
            "outcome": _outcome(document),
            "schema_version": SCHEMA_VERSION,
        }
        return Record(**{**document, **own})
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{path} is not a record ({error}); move it away") from None


def require_readable(path: Path, version: int, newest: int) -> None:
    """RequestError if a document is of a later schema than this program writes."""
    if not 1 <= version <= newest:
        raise RequestError(
            f"{path} has schema version {version}, this program reads 1 to {newest}; read it with "
            "the program that wrote it, or with a newer one"
        )


def _outcome(document: Mapping[str, Any]) -> Outcome:
    """The outcome in a document; version 1 told by the reason what was not begun."""
    if document["schema_version"] == 1 and document.get("reason") == "not begun":
        return Outcome.NOT_BEGUN
    return Outcome(document["outcome"])


def all_paths(results: Path) -> Iterator[Path]:
    """Every record under ``results``, oldest session first."""
    yield from sorted((results / "records").glob("*/*.json"))


def sessions(results: Path, kind: str = "records") -> Iterator[str]:
    """The sessions that have records, or timings, the latest first; none is looked into in vain."""
    folder = results / kind
    names = (
        sorted((path.name for path in folder.iterdir()), reverse=True) if folder.is_dir() else ()
    )
    return (name for name in names if any((folder / name).glob("*.json")))


def paths_of(results: Path, session: str) -> list[Path]:
    """The records of a session, or none."""
    return sorted((results / "records" / session).glob("*.json"))


def require_writable(results: Path) -> None:
    """RequestError, before any work is done, if ``results`` cannot be written."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=results):
            pass
    except OSError as error:
        raise RequestError(
            f"the results folder {results.resolve()} cannot be written {because(error)} with "
            "--results"
        ) from None
