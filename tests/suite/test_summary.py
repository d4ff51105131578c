"""What a session's summary says of learning: readings, targets over seeds, comparisons."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from suite import summary
from suite.records import Record
from suite.runner import Session
from tests.suite.examples import CELL, example_record

ACCURACY = {"numpy": [0.861, 0.868, 0.872], "torch": [0.862, 0.867, 0.872]}


def record(backend: str, seed: int, accuracy: float, **changes: Any) -> Record:
    """Four epochs on real data; the target is met in the one that has the seed's number + 1."""
    metrics = [
        {"train_loss": 1 / n, "test_loss": 1 / n, "test_accuracy": 0.7 if n <= seed else accuracy}
        for n in range(1, 5)
    ]
    cell = replace(CELL, backend=backend, seed=seed, data="real", **changes)
    epochs = [
        {"epoch": n, "train_seconds": 2.0 * n, "metrics": m} for n, m in enumerate(metrics, 1)
    ]
    return replace(example_record(), cell=cell, epochs=epochs)


def session(accuracies: dict[str, list[float]] = ACCURACY) -> Session:
    found = [
        record(backend, seed, accuracy)
        for backend, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]
    return Session("s", Path("results"), found, {})


def printed(found: Session) -> list[str]:
    console = Console(file=io.StringIO(), width=300)
    summary.print_tables(found, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_backends_are_compared_with_numpy_over_the_seeds_of_both() -> None:
    (comparison,) = summary.document(session())["comparisons"]
    assert comparison["difference"] == pytest.approx(0)
    assert comparison["low"] == pytest.approx(-comparison["high"])
    del comparison["difference"], comparison["low"], comparison["high"]
    assert comparison == {
        "task": "fashion_mlp",
        "variant": None,
        "backend": "torch",
        "mode": "eager",
        "metric": "test_accuracy",
        "margin": 0.005,
        "verdict": "same",
        "pairs": 3,
    }
    text = "torch:eager against NumPy: same: test_accuracy differs by"
    assert any(line.startswith(text) for line in printed(session()))


@pytest.mark.parametrize(
    "accuracies",
    [{"numpy": [0.86], "torch": [0.86]}, {"torch": [0.86, 0.87], "jax": [0.86, 0.87]}],
)
def test_without_two_seeds_of_numpy_nothing_is_compared(accuracies: dict[str, list[float]]) -> None:
    assert summary.document(session(accuracies))["comparisons"] == []


def test_a_seed_that_failed_is_in_no_pair() -> None:
    found = session()
    found.records[0].outcome = "crashed"
    assert [c["pairs"] for c in summary.document(found)["comparisons"]] == [2]


def test_every_variant_is_compared_for_itself() -> None:
    found = session()
    found.records += [record(b, s, 0.86, variant="wide") for b in ACCURACY for s in (0, 1)]
    comparisons = summary.document(found)["comparisons"]
    assert [(c["variant"], c["pairs"]) for c in comparisons] == [(None, 3), ("wide", 2)]


def test_every_cell_is_read() -> None:
    found = session()
    document = summary.document(found)
    assert [cell["reading"]["label"] for cell in document["cells"]] == ["still learning"] * 6
    lines = [line for line in printed(found) if ": still learning: the validation loss is" in line]
    assert [line.split(":")[0] for line in lines] == ["numpy"] * 3 + ["torch"] * 3
    found.records[0] = replace(found.records[0], outcome="crashed", epochs=[])
    assert summary.document(found)["cells"][0]["reading"] is None


def test_it_says_where_training_ended_and_what_it_went_back_to() -> None:
    found = session()
    found.records[0].stopped = {"epoch": 4, "best": 2}
    assert summary.document(found)["cells"][0]["stopped"] == {"epoch": 4, "best": 2}
    (line,) = (line for line in printed(found) if "ended at" in line)
    assert line.startswith("numpy:eager seed 0: still learning")
    assert line.endswith("; ended at epoch 4, back to epoch 2")


def test_what_the_target_took_is_told_over_seeds() -> None:
    found = session({"numpy": [0.86, 0.87, 0.8]})
    assert (
        "numpy:eager to its target of test_accuracy: 2 of 3 seeds, median 1.5 epochs (1 to 2), "
        "3.00 s (2.00 to 4.00)"
    ) in printed(found)
    assert [c["epochs_to_target"] for c in summary.document(found)["cells"]] == [1, 2, None]
    assert not any("to its target" in line for line in printed(session({"numpy": [0.86]})))
    assert not any("to its target" in line for line in printed(session({"numpy": [0.8, 0.8]})))
