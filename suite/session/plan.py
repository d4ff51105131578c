"""The plan of a run, as the user asked for it, and the cells that it means."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass

import tasks
from backends import Choice
from suite.records.cell import Cell, Conditions
from suite.records.events import Outcome
from suite.records.record import Record
from suite.session import probe
from tasks.task import DataSource


@dataclass(frozen=True)
class Plan:
    """The run that the user asked for."""

    choices: tuple[tasks.Choice, ...]
    backends: tuple[Choice, ...]
    conditions: Conditions
    """Those of all cells, without task and backend; the device as it was asked for."""
    seeds: range
    data: str
    """The data as they were asked for: real, generated or auto."""
    timeout: float
    timing_limit: float
    """Seconds that may be added for each task and seed to know the ratios of speeds well."""
    base: str | None = None
    """``backend:mode`` to which ratios of speeds are formed; None: NumPy, or the first there is."""
    checkpoint_every: float = 60.0
    """Seconds of training."""
    memory_limit: int | None = None
    """Bytes that a worker may use."""
    named: tuple[Choice, ...] = ()
    """Those of the backends that were asked for by name: it is a failure if they are skipped."""


def failed(record: Record, named: Collection[Choice]) -> bool:
    """Tells if a record is not what was asked for: unless it is ``named``, it may be skipped."""
    if record.outcome is Outcome.SKIPPED:
        return (record.cell.backend, record.cell.mode) in named
    return record.outcome is not Outcome.OK or not record.verified


def cells(plan: Plan, choice: tasks.Choice, seed: int, source: DataSource) -> Iterator[Cell]:
    """The cells of one task and seed, one for each backend and mode: they are compared.

    A cell has those of the plan's options that its task knows.
    """
    shared, known = plan.conditions, tasks.options_of(*choice)
    options = {n: v for n, v in shared.options.items() if n in known or n == tasks.BATCH_SCALE}
    own = asdict(shared) | {"task": choice[0], "variant": choice[1], "data": source}
    for backend, mode in plan.backends:
        device = probe.chosen(backend, shared.device)
        place = {"backend": backend, "mode": mode, "device": device}
        yield Cell(**{**own, **place, "options": options}, seed=seed)
