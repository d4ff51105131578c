"""Events: the words that a worker says to its parent, as lines of JSON; and the outcomes of work.

They are written by ``line`` and read by ``read``, and nowhere else. The names on the wire stay, so
that a worker of an earlier revision is understood.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar


class Outcome(StrEnum):
    """How work ended."""

    OK = "ok"
    DIVERGED = "diverged"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out-of-memory"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"
    NOT_BEGUN = "not begun"


@dataclass(frozen=True)
class Waiting:
    """The worker waits for its next turn."""

    event: ClassVar[str] = "waiting"


@dataclass(frozen=True)
class Described:
    """The ledger of a worker that only set its backend up."""

    event: ClassVar[str] = "described"
    worker: dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """The rates that a backend attains: ``matmul`` [operations/s], ``copy`` [bytes/s]."""

    event: ClassVar[str] = "measured"
    attainable: dict[str, float]


@dataclass(frozen=True)
class Started:
    """Training begins: what the task is (see ``specification.about``), and the worker's ledger."""

    event: ClassVar[str] = "started"
    worker: dict[str, Any]
    specification: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    unit: str = "samples/s"
    targets: list[dict[str, Any]] = field(default_factory=list)
    margin: float | None = None
    validation: str | None = None
    lecture: dict[str, Any] | None = None


@dataclass(frozen=True)
class Resumed:
    """Training goes on after ``step`` steps; what was reported until then."""

    event: ClassVar[str] = "resumed"
    step: int
    chunks: list[dict[str, Any]]
    epochs: list[dict[str, Any]]


@dataclass(frozen=True)
class ChunkTrained:
    """A chunk of an epoch (from 1) was trained in ``seconds`` [s]: the loss of every step."""

    event: ClassVar[str] = "chunk"
    epoch: int
    samples: int
    operations: float
    seconds: float
    losses: list[float]


@dataclass(frozen=True)
class EpochEnded:
    """The metrics at the end of an epoch (from 1), and the train seconds until then."""

    event: ClassVar[str] = "epoch"
    epoch: int
    metrics: dict[str, float]
    train_seconds: float


@dataclass(frozen=True)
class Stopped:
    """Early stopping: the last ``epoch`` and the ``best``, whose model was taken back."""

    event: ClassVar[str] = "stopped"
    stopped: dict[str, int]


@dataclass(frozen=True)
class Shown:
    """Texts and matrices that show what was learned."""

    event: ClassVar[str] = "shown"
    texts: dict[str, str]
    heatmaps: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Finished:
    """Training has ended well: the ledger, compilations, seconds by phase, memory [bytes]."""

    event: ClassVar[str] = "finished"
    worker: dict[str, Any]
    compilations: dict[str, int]
    phases: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ChunkTimed:
    """A further chunk was trained to be timed alone."""

    event: ClassVar[str] = "further"
    samples: int
    operations: float
    seconds: float
    losses: list[float] = field(default_factory=list)
    """Empty from workers of before they were kept."""


@dataclass(frozen=True)
class Ended:
    """The job is done, or why it is not."""

    event: ClassVar[str] = "ended"
    outcome: Outcome
    reason: str | None = None


Event = (
    Waiting
    | Described
    | Measured
    | Started
    | Resumed
    | ChunkTrained
    | EpochEnded
    | Stopped
    | Shown
    | Finished
    | ChunkTimed
    | Ended
)
_KINDS: Mapping[str, type[Event]] = {kind.event: kind for kind in Event.__args__}


def line(event: Event) -> str:
    """The event as a line of JSON. ValueError for a number that is not finite."""
    return json.dumps({"event": event.event, **asdict(event)}, allow_nan=False) + "\n"


def read(text: str | bytes) -> Event:
    """The event of a line. ValueError if it is none; words that it has besides are passed over."""
    document = json.loads(text)
    kind = _KINDS.get(str(document.get("event"))) if isinstance(document, dict) else None
    if kind is None:
        raise ValueError(f"{text!r} is no event")
    known = {f.name: document[f.name] for f in fields(kind) if f.name in document}
    if "outcome" in known:
        known["outcome"] = Outcome(known["outcome"])
    try:
        return kind(**known)
    except TypeError as error:
        raise ValueError(f"{text!r} is no whole event: {error}") from None
