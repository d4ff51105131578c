"""All backends compute one model in every task, on real data where they are: the whole proof.

It is the verifier's own, but for its processes: what its workers would do, those of the backends
do here, one for each framework instead of ninety.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

import backends
import tasks
from suite.records.cell import Cell
from suite.records.events import Outcome
from suite.session import jobs, verifier
from suite.session.process import Ending
from suite.worker.main import JOBS
from tasks import datasets
from tests.backends.conftest import Call

# every default variant is left to `.ci/run`, whose smoke run of the matrix verifies it; variants
# that are one of these without dropout, or in part, are left to `verify`; imdb_text:embedding, the
# longest of all, is held by test_dropout in every backend and mode, of a smaller size
LABELS = ("autoencoder:spectral", "fewshot:triplet")


class Asked:
    """Stands for a worker: what it is asked for."""

    def __init__(self, cell: Cell, kind: str, **job: Any):
        self.cell, self.kind, self.job = cell, kind, job


def answer(backend: str, kind: str, cell: Cell, job: dict[str, Any]) -> None:
    """Does a worker's job in this process."""
    JOBS[kind](cell, lambda event: None, job)


@pytest.fixture
def in_the_backends_processes(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def launch_all(asked: Sequence[Asked], at_once: int) -> list[Ending]:
        for one in asked:
            choice = f"{one.cell.backend}:{one.cell.mode}"
            call(choice, one.cell.precision, answer, one.kind, one.cell, one.job)
        return [Ending(Outcome.OK, None)] * len(asked)

    monkeypatch.setattr(jobs, "Worker", Asked)
    monkeypatch.setattr(jobs, "launch_all", launch_all)


@pytest.mark.usefixtures("in_the_backends_processes")
@pytest.mark.parametrize("label", LABELS)
def test_all_backends_compute_the_same_model(label: str) -> None:
    ((name, variant),) = tasks.chosen([label])
    missing = datasets.missing(datasets.source(tasks.DATASETS[name]))
    task = tasks.load(name, "full", "generated" if missing else "real", variant)
    there = [one for one in backends.chosen([]) if backends.load(one[0]).available(one[1]) is None]
    wanted: list[verifier.Wanted] = [
        *((choice, "float32") for choice in there),
        *((choice, "float64") for choice in there),
    ]
    verdicts = verifier.Verifier(task, "cpu", threads=1).verify(wanted)
    found = {f"{v.backend_label} {v.precision}": v.explanation for v in verdicts if not v.verified}
    assert found == {}
    assert len(verdicts) == len(wanted)
    assert all(v.findings for v in verdicts)
