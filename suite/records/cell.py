"""Cells: one training run to make, and where those that are compared run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tasks import BATCH_SCALE
from tasks.task import DataSource, Precision


@dataclass(frozen=True)
class Cell:
    """One training run to make: what, with what, where."""

    task: str
    variant: str | None
    backend: str
    mode: str
    device: str
    precision: Precision
    seed: int
    profile: str
    data: DataSource
    threads: int
    early_stopping: int | None = None
    """Epochs without a lower validation metric after which training ends; None: it does not."""
    options: dict[str, str] = field(default_factory=dict)
    """Constants of the task that were chosen, by name."""

    @property
    def task_label(self) -> str:
        """The task as it is asked for: ``task`` or ``task:variant``."""
        return f"{self.task}:{self.variant}" if self.variant else self.task

    @property
    def batch_scale(self) -> int:
        """How many times as large batches are as those of the task."""
        return int(self.options.get(BATCH_SCALE, 1))

    @property
    def backend_label(self) -> str:
        """The backend as it is asked for: ``backend:mode``."""
        return f"{self.backend}:{self.mode}"

    @property
    def label(self) -> str:
        """A name for files, unique within a session."""
        task = self.task_label.replace(":", "-")
        return f"{task}-{self.backend}-{self.mode}-{self.device}-{self.precision}-seed{self.seed}"


def where(cells: Iterable[Cell]) -> str:
    """The device of ``cells``; where they differ, each with its backends: ``cpu (numpy:eager)``."""
    found: dict[str, dict[str, None]] = {}
    for cell in cells:
        found.setdefault(cell.device, {})[cell.backend_label] = None
    if len(found) == 1:
        return next(iter(found))
    return ", ".join(f"{device} ({', '.join(names)})" for device, names in found.items())


def computed(device: str, precision: str) -> str:
    """Where and how a table's figures came about: the precision too, if it is not float32."""
    return device if precision == "float32" else f"{device} · {precision}"
