"""The beginning of a cell's own training, as the oracle computes it: what is timed is what was
proved."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

import backends
from suite.records.cell import Cell
from suite.records.events import Outcome
from suite.records.record import Record
from suite.records.verdict import Deviation
from suite.session.equivalence import TIMED, TIMED_LOSSES, TIMED_STEPS, compare_timed
from suite.session.process import Ending, launch
from suite.system.revisions import Side
from tasks.task import Array, Task


class Trajectories:
    """The first losses of cells by the oracle in float64, computed once for each task and seed."""

    def __init__(self, timeout: float | None, python: str = sys.executable) -> None:
        self._timeout = timeout
        self._side = Side("the oracle", python=python)
        """This source, whatever revision is compared, with that Python's packages."""
        self._losses: dict[Any, Array | Ending] = {}
        """By conditions and seed; how the oracle ended instead, where it failed."""

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
                command=self._side.command,
                steps=TIMED_STEPS,
                output=str(output),
            )
            if ending.outcome is Outcome.INTERRUPTED:
                raise KeyboardInterrupt
            if ending.outcome is not Outcome.OK:
                self._losses[self._key(cell)] = ending
                return
            with np.load(output, allow_pickle=False) as arrays:
                self._losses[self._key(cell)] = arrays["losses"]

    def judge(self, record: Record, losses: Array, task: Task) -> None:
        """Holds the first losses of a record's training against them; the verdict takes it over.

        There is nothing to hold them against where the task drops out. Where the oracle failed,
        they are not shown to be right, and so the record is not verified.
        """
        oracle = self._losses[self._key(record.cell)]
        if record.equivalence is None:
            return
        if isinstance(oracle, Ending):
            deviation = Deviation(
                TIMED_LOSSES, None, TIMED, f"the oracle failed: {oracle.reason}", False
            )
        elif len(oracle):
            deviation = compare_timed(losses, oracle, task.envelopes[record.cell.precision])
        else:
            return
        deviation = replace(deviation, precision=record.cell.precision)
        findings = (*record.equivalence["findings"], asdict(deviation))
        record.equivalence = {**record.equivalence, "findings": findings}
        record.verified &= deviation.passed

    def _own(self, cell: Cell) -> Cell:
        backend, mode = backends.oracle(cell.task)
        own = replace(cell, backend=backend, mode=mode, device="cpu", precision="float64")
        return replace(own, early_stopping=None)

    def _key(self, cell: Cell) -> Any:
        return self._own(cell).key, cell.seed
