"""Records, a baseline and a timing like those that sessions write."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from suite.records.baseline import Baseline, baseline_of
from suite.records.cell import Cell, Conditions
from suite.records.record import Record
from suite.records.timing import Contestant, Timing

CELL = Cell(
    task="fashion_mlp",
    variant=None,
    backend="numpy",
    mode="eager",
    device="cpu",
    precision="float32",
    seed=3,
    profile="quick",
    data="generated",
    threads=1,
)


def example_record(session: str = "20260101-000000-abcd") -> Record:
    """Two epochs of two chunks of three steps, at 500, 1000, 1000 and 2000 samples/s.

    In turns it was timed at 1000, too.
    """
    return Record(
        session=session,
        cell=CELL,
        created="2026-01-01T00:00:00.000+00:00",
        verified=True,
        specification={"hidden": 128, "optimizer": {"learning_rate": 1e-3, "rho": 0.9}},
        targets=[
            {"metric": "test_accuracy", "low": 0.85, "high": None},
            {"metric": "train_loss", "low": 0.305, "high": 0.33},
        ],
        margin=0.005,
        validation="test_loss",
        provenance={"dataset": "fashion_mnist", "source": "generated", "digest": "00ff"},
        packages={"numpy": "2.4.6"},
        git={"commit": "0" * 40, "dirty": False},
        machine={"cpu": "a processor", "python": "3.11"},
        attainable={"matmul": 1e10, "copy": 1e10},
        worker={"devices": ["cpu"], "threads": {"blas": 1}},
        phases={"import": 0.1, "data": 0.1, "build": 0.1, "compile": 0.0, "train": 0.5},
        timed=timed(1000),
        chunks=[
            {
                "epoch": 1,
                "samples": 100,
                "operations": 4e8,
                "seconds": 0.2,
                "losses": [2.0, 1.5, 1.0],
            },
            {
                "epoch": 1,
                "samples": 100,
                "operations": 4e8,
                "seconds": 0.1,
                "losses": [0.9, 0.8, 0.7],
            },
            {
                "epoch": 2,
                "samples": 100,
                "operations": 4e8,
                "seconds": 0.1,
                "losses": [0.6, 0.5, 0.4],
            },
            {
                "epoch": 2,
                "samples": 100,
                "operations": 4e8,
                "seconds": 0.05,
                "losses": [0.4, 0.3, 0.2],
            },
        ],
        epochs=[
            {
                "epoch": 1,
                "train_seconds": 0.3,
                "metrics": {"train_loss": 1.15, "test_loss": 0.9, "test_accuracy": 0.7},
            },
            {
                "epoch": 2,
                "train_seconds": 0.45,
                "metrics": {"train_loss": 0.4, "test_loss": 0.5, "test_accuracy": 0.8},
            },
        ],
        texts={"greedy": "To be"},
        memory={"after_import": 10**8, "peak": 2 * 10**8},
    )


def timed(rate: float) -> dict[str, Any]:
    """Rounds in turns as a record keeps them: ``rate`` samples/s, 2% around, an efficiency."""
    return {
        "rounds": 9,
        "throughput": {"median": rate, "low": 0.98 * rate, "high": 1.02 * rate},
        "efficiency": {"median": 0.4, "low": 0.3, "high": 0.5},
    }


def example_runs() -> list[Record]:
    """Five seeds of NumPy and five others of JAX, with accuracies around .8."""
    found = []
    for number in range(10):
        record = copy.deepcopy(example_record())
        backend, mode = ("numpy", "eager") if number < 5 else ("jax", "jit")
        record.cell = replace(CELL, backend=backend, mode=mode, seed=number)
        record.epochs[1]["metrics"]["test_accuracy"] += (number - 4.5) / 1000
        found.append(record)
    return found


def example_baseline() -> Baseline:
    return baseline_of(example_runs(), "tetragrad baseline update")


def example_timing(*seconds: list[float]) -> Timing:
    """A timing of numpy:eager, torch:eager and so on, each with its seconds; 100 samples a turn."""
    contestants = tuple(
        Contestant(f"{name}:eager", name, "eager", True, tuple(own), 0.0)
        for name, own in zip(("numpy", "torch", "jax"), seconds, strict=False)
    )
    return Timing(
        session="20260101-000000-abcd",
        conditions=Conditions(task="fewshot", variant="triplet"),
        created="2026-01-01T00:00:00.000+00:00",
        unit="images/s",
        samples=(100,) * len(seconds[0]),
        contestants=contestants,
    )
