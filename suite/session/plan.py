"""What the user asked to be run, and the cells that this means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import backends
import tasks
from suite.records.cell import Cell
from suite.session import probe
from tasks.task import DataSource, Precision

PRECISION: Precision = "float32"


@dataclass(frozen=True)
class Plan:
    """What the user asked to be run."""

    choices: tuple[tasks.Choice, ...]
    backends: tuple[backends.Choice, ...]
    device: str
    """As it was asked for, ``auto`` included."""
    profile: str
    seeds: range
    threads: int
    data: str
    timeout: float
    timing_limit: float
    """Seconds that may be added for each task and seed to know the ratios of speeds well."""
    base: str | None = None
    """``backend:mode`` to which ratios of speeds are formed; None: NumPy, or the first there is."""
    early_stopping: int | None = None
    """Epochs of patience, if training is to be stopped early."""
    options: dict[str, str] = field(default_factory=dict)
    """Constants that were chosen, by name, of every task that has them."""
    checkpoint_every: float = 60.0
    """Seconds of training."""
    memory_limit: int | None = None
    """Bytes that a worker may use."""
    precision: Precision = PRECISION


def scaled(batch_scale: int) -> dict[str, str]:
    """The constant, if it takes one, that makes batches so many times as large."""
    return {} if batch_scale == 1 else {tasks.BATCH_SCALE: str(batch_scale)}


def cells(plan: Plan, choice: tasks.Choice, seed: int, source: DataSource) -> Iterator[Cell]:
    """The cells of one task and seed, one for each backend and mode: they are compared."""
    own = tasks.OPTIONS.get(choice[0], {})
    for backend, mode in plan.backends:
        yield Cell(
            task=choice[0],
            variant=choice[1],
            backend=backend,
            mode=mode,
            device=probe.chosen(backend, plan.device),
            precision=plan.precision,
            seed=seed,
            profile=plan.profile,
            data=source,
            threads=plan.threads,
            early_stopping=plan.early_stopping,
            options={
                name: value
                for name, value in plan.options.items()
                if name in own or name == tasks.BATCH_SCALE
            },
        )
