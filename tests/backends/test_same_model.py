"""All backends compute one model in every task, on real data where they are: the full envelopes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

import backends
import tasks
from suite.equivalence import CENTRAL_DIFFERENCES, ORACLE, PRECISIONS, compare
from suite.records import Cell
from suite.worker import JOBS
from tasks import datasets
from tasks.rounding import envelope
from tasks.task import Precision, Task, Tree
from tests.backends.conftest import Call

# a model each; variants that are one of them without dropout, or in part, are left to `verify`
LABELS = (
    *("fashion_mlp", "imdb_text:bow", "imdb_text:bow_l2", "imdb_text:bow_batchnorm"),
    *("imdb_text:embedding", "autoencoder:joint", "fewshot:siamese", "fewshot:triplet"),
    *("lstm", "transformer"),
)


def full(label: str) -> Task:
    ((name, variant),) = tasks.chosen([label])
    missing = datasets.missing(datasets.source(tasks.DATASETS[name]))
    return tasks.load(name, "full", "generated" if missing else "real", variant)


def cell(task: Task, backend: str, precision: Precision) -> Cell:
    return Cell(
        task=task.name,
        variant=task.variant,
        backend=backend,
        mode=backends.choices(backend)[0][1],
        device="cpu",
        precision=precision,
        seed=task.verification_seed,
        profile="full",
        data=task.provenance.source,
        threads=1,
    )


def written(backend: str, kind: str, of: Cell, steps: int) -> Tree:
    """What a worker's job writes, done in this process."""
    with TemporaryDirectory() as folder:
        output = Path(folder) / "found.npz"
        job = {"steps": steps, "output": str(output)}
        JOBS[kind](of, lambda event, **fields: None, job)
        with np.load(output) as arrays:
            return dict(arrays)


@pytest.mark.parametrize("label", LABELS)
def test_all_backends_compute_the_same_model(call: Call, label: str) -> None:
    task = full(label)
    there = [name for name in backends.NAMES if backends.load(name).available() is None]

    def traced(backend: str, precision: Precision, steps: int) -> Tree:
        of = cell(task, backend, precision)
        found: Tree = call(backend, precision, written, "trace", of, steps)
        return found

    for precision in PRECISIONS:
        allowed = envelope(task, precision)
        oracle = traced(ORACLE, "float64", allowed.steps)
        for backend in there:
            if (backend, precision) != (ORACLE, "float64"):
                findings = compare(traced(backend, precision, allowed.steps), oracle, allowed)
                assert [f for f in findings if not f.passed] == [], (backend, precision)


@pytest.mark.parametrize("label", LABELS)
def test_numpys_gradients_are_those_of_central_differences(call: Call, label: str) -> None:
    of = cell(full(label), ORACLE, "float64")
    errors = call(ORACLE, "float64", written, "gradient_check", of, 0)
    assert errors
    assert {leaf: error for leaf, error in errors.items() if not error <= CENTRAL_DIFFERENCES} == {}
