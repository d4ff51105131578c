"""Summaries of what a session learned: readings, targets over seeds, comparisons."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from suite.records.cell import Conditions
from suite.records.events import Outcome
from suite.records.record import Record
from suite.records.timing import Contestant, Timing
from suite.session.runner import Session
from suite.show import summary
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


def printed(found: Session, width: int = 300) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    summary.print_tables(found, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def row(lines: list[str], name: str) -> str:
    """The last table's row of that name: of speeds, where there are any."""
    return [line for line in lines if line.startswith(f" {name}")][-1]


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
    found.records[0].outcome = Outcome.CRASHED
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
    found.records[0] = replace(found.records[0], outcome=Outcome.CRASHED, epochs=[])
    assert summary.document(found)["cells"][0]["reading"] is None


def test_it_says_where_training_ended_and_what_it_went_back_to() -> None:
    found = session()
    found.records[0].stopped = {"epoch": 4, "best": 2}
    assert summary.document(found)["cells"][0]["stopped"] == {"epoch": 4, "best": 2}
    (line,) = (line for line in printed(found) if "ended at" in line)
    assert line.startswith("numpy:eager seed 0: still learning")
    assert line.endswith("; ended at epoch 4, back to epoch 2")


def timed(**changes: Any) -> Session:
    """PyTorch twice as fast as NumPy, in workers of which one may be ``changes`` apart."""
    contestants = (
        Contestant("numpy:eager", "numpy", "eager", True, (0.2,) * 5, 0.0),
        Contestant("torch:eager", "torch", "eager", True, (0.1,) * 5, 0.0),
    )
    timing = Timing(
        session="s",
        conditions=Conditions(task="fashion_mlp"),
        created="",
        unit="samples/s",
        samples=(100,) * 5,
        contestants=contestants,
        operations=(1e9,) * 5,
        machine={"matmul": 4e10, "copy": 1e10},
    )
    found = session({"numpy": [0.86], "torch": [0.86]})
    found.timings["fashion_mlp"] = timing
    found.records[1].worker = {**found.records[1].worker, **changes}
    return found


def test_ratios_of_unequal_conditions_are_marked_with_what_differs() -> None:
    found = timed(affinity=[0])
    found.records[0].worker = {"affinity": [0, 1]}
    timing = summary.document(found)["timings"]["fashion_mlp"]
    values = {"numpy:eager": "0, 1", "torch:eager": "0"}
    assert timing["differing"] == [{"fact": "CPU affinity", "values": values}]
    assert timing["contestants"]["torch:eager"]["differing"] == ["CPU affinity"]
    assert timing["contestants"]["numpy:eager"]["differing"] == []
    lines = printed(found)
    assert row(lines, "torch:eager").split()[3:5] == ["2.000*", "1.980-2.020"]
    told = "CPU affinity: 0, 1 (numpy:eager); 0 (torch:eager)"
    assert f"* not the same for all, so compare with care: {told}" in lines


def test_equal_conditions_are_not_marked() -> None:
    assert not any("*" in line for line in printed(timed()))
    assert summary.document(timed())["timings"]["fashion_mlp"]["differing"] == []


def test_efficiency_is_shown_where_it_is_known_and_counts() -> None:
    found = timed()
    torch = summary.document(found)["timings"]["fashion_mlp"]["contestants"]["torch:eager"]
    assert torch["efficiency"] == {"median": 0.25, "low": 0.25, "high": 0.25}
    assert row(printed(found), "torch:eager").split()[-2:] == ["25%", "yes"]
    assert any("share of the 40 GFLOP/s" in line for line in printed(found))
    found.timings["fashion_mlp"] = replace(found.timings["fashion_mlp"], machine={})
    assert row(printed(found), "torch:eager").split()[-2:] == ["-", "yes"]
    found = timed()
    found.records[1].verified = False
    assert [c["verified"] for c in summary.document(found)["cells"]] == [True, False]
    assert row(printed(found), "torch:eager").split()[-2:] == ["-", "NO"]


FAST, SLOW = (1234567.0, 12.345), (98765.4, 0.98765)
"""Rates and how many times as fast as NumPy they are: the widest that figures become."""


@pytest.mark.parametrize("rate", [FAST[0], SLOW[0], 999.6, 0.123])
@pytest.mark.parametrize("factor", [FAST[1], SLOW[1], 0.0123])
def test_the_tables_fit_80_columns_and_no_number_is_broken(rate: float, factor: float) -> None:
    names = [("numpy", "eager"), ("tensorflow", "graph"), ("torch", "compile"), ("jax", "jit")]
    noise = (0.7, 1.0, 1.3, 0.9, 1.1)
    contestants = tuple(
        Contestant(f"{b}:{m}", b, m, True, tuple(100 / rate / f * n for n in noise), 0.0)
        for (b, m), f in zip(names, (1.0, factor, factor, factor), strict=True)
    )
    found = timed()
    timing = found.timings["fashion_mlp"]
    found.timings["fashion_mlp"] = replace(timing, contestants=contestants)
    found.records = [record(b, 0, 0.86, mode=m) for b, m in names]
    for number, one in enumerate(found.records):
        one.worker = {"affinity": [number]}  # every ratio has its mark
    lines = printed(found, width=80)
    tables = [line for line in lines if line[:1] == " "]
    assert max(map(len, tables)) <= 80
    for backend, mode in names:
        learned, timed_ = (line.split() for line in tables if line.startswith(f" {backend}:{mode}"))
        assert (len(learned), learned[-1]) == (6, "yes")
        assert (len(timed_), timed_[-1]) == (7, "yes")


def test_a_spread_over_seeds_is_not_broken_at_80_columns() -> None:
    lines = printed(session({name: [0.861, 0.872] for name in ("numpy", "torch")}), width=80)
    line = row(lines, "torch:eager")
    assert line.split()[1:4] == ["0.2500±0.0000", "0.2500±0.0000", "0.8665±0.0078"]
    assert len(line) <= 80


@pytest.mark.parametrize("width", [60, 80])
def test_nothing_of_a_marked_speed_is_lost_in_a_narrow_table(width: int) -> None:
    found = timed()
    del found.records[0]
    found.records[0].verified = False
    timing = found.timings["fashion_mlp"]
    of_torch = replace(timing.contestants[1], verified=False)
    found.timings["fashion_mlp"] = replace(timing, contestants=(of_torch,))
    lines = printed(found, width)
    assert re.search(r"k\? .* NO$", row(lines, "torch:eager").rstrip())
    tables = [line for line in lines if line[:1] == " "]
    assert width == 60 or max(map(len, tables)) <= width
    assert "eager" in " ".join(tables)


def test_what_the_target_took_is_told_over_seeds() -> None:
    found = session({"numpy": [0.86, 0.87, 0.8]})
    assert (
        "numpy:eager to its target of test_accuracy: 2 of 3 seeds, median 1.5 epochs (1 to 2), "
        "3.00 s (2.00 to 4.00)"
    ) in printed(found)
    assert [c["epochs_to_target"] for c in summary.document(found)["cells"]] == [1, 2, None]
    assert not any("to its target" in line for line in printed(session({"numpy": [0.86]})))
    assert not any("to its target" in line for line in printed(session({"numpy": [0.8, 0.8]})))
