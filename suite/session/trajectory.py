"""The beginning of a cell's own training, as the oracle computes it: what is timed is what was
proved."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

import backends
from suite.records.cell import Cell
from suite.records.events import Outcome
from suite.records.record import Record
from suite.records.verdict import ORACLE
from suite.session.equivalence import TIMED_STEPS, compare_timed
from suite.session.process import launch
from tasks.task import Array, Task


class Trajectories:
    """The first losses of cells by the oracle in float64, computed once for each task and seed."""

    def __init__(self, timeout: float | None) -> None:
        self._timeout = timeout
        self._losses: dict[Any, Array] = {}
        """By conditions and seed."""

    def prepare(self, cell: Cell) -> None:
        """Computes the losses for a cell and its rivals. KeyboardInterrupt if interrupted."""
        own = self._own(cell)
        if self._key(cell) in self._losses:
            return
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "losses.npz"
            ending = launch(
                own,
                "first_losses",
                timeout=self._timeout,
                steps=TIMED_STEPS,
                output=str(output),
            )
            if ending.outcome is Outcome.INTERRUPTED:
                raise KeyboardInterrupt
            losses = np.empty(0)
            if ending.outcome is Outcome.OK:
                with np.load(output, allow_pickle=False) as arrays:
                    losses = arrays["losses"]
            self._losses[self._key(cell)] = losses

    def judge(self, record: Record, losses: Array, task: Task) -> None:
        """Holds the first losses of a record's training against them; the verdict takes it over.

        There is nothing to hold them against where the task drops out, or the oracle failed.
        """
        oracle = self._losses.get(self._key(record.cell), np.empty(0))
        if not (len(oracle) and len(losses) and record.equivalence):
            return
        envelope = task.envelopes[record.cell.precision]
        deviation = replace(
            compare_timed(losses, oracle, envelope), precision=record.cell.precision
        )
        findings = (*record.equivalence["findings"], asdict(deviation))
        record.equivalence = {**record.equivalence, "findings": findings}
        record.verified &= deviation.passed

    def _own(self, cell: Cell) -> Cell:
        _, mode = backends.choices(ORACLE)[0]
        own = replace(cell, backend=ORACLE, mode=mode, device="cpu", precision="float64")
        return replace(own, early_stopping=None)

    def _key(self, cell: Cell) -> Any:
        return self._own(cell).key, cell.seed
