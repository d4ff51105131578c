"""Figures of a lecture: where they hold, and where they stand beside ours."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

import tasks
from suite.records import lecture
from suite.records.record import Record
from suite.records.specification import about
from suite.report import content, exports, page
from suite.session.runner import Session
from suite.show import summary
from tasks.fashion_mlp import FashionMLP, FashionMLPConfig, _params
from tasks.task import Provenance
from tests.suite.reported import record

PRINTED = {
    "document": "a lecture",
    "figures": {"parameters": [101_770], "train_loss": [0.5078, 0.3829], "test_accuracy": [0.8824]},
    "differs": "Seeds differ.",
}


def told(backend: str, seed: int = 0, **changes: Any) -> Record:
    """A record of what the lecture prints."""
    found = record(backend, seed, profile="full", data="real", lecture=PRINTED, **changes)
    return replace(found, specification={**found.specification, "parameters": 101_770})


def test_the_counts_that_lectures_print_are_those_of_the_leaves() -> None:
    def count(config: FashionMLPConfig) -> int:
        return sum(math.prod(leaf.shape) for leaf in _params(config).values())

    assert FashionMLP.lecture
    assert FashionMLP.lecture.figures["parameters"] == (count(FashionMLPConfig()),)
    # "6400*16+16*16+16*10+16+16+10 = 102'858 parameters", and "92 parameters" of 5-3-7-5-1
    assert count(FashionMLPConfig(inputs=6400, hidden=(16, 16))) == 102_858
    assert count(FashionMLPConfig(inputs=5, hidden=(3, 7, 5), classes=1)) == 92


def test_they_hold_for_the_full_profile_on_real_data_as_it_is_alone() -> None:
    full = tasks.load("fashion_mlp", "full", "generated")
    assert about(full)["lecture"] is None
    full.provenance = Provenance("fashion_mnist", "real", "00ff")
    assert about(full)["lecture"]["figures"]["test_accuracy"] == (0.8824,)
    full.profile = "quick"
    assert about(full)["lecture"] is None
    assert tasks.load("fashion_mlp", "full", "generated", None, {"l2": "1e-3"}).lecture is None


def test_a_figure_stands_beside_the_medians_of_the_same_epoch() -> None:
    found = [told("numpy", 0), told("numpy", 1), told("jax", 0)]
    rows = {row.quantity: row for row in lecture.beside(found)}
    assert list(rows) == [
        "parameters",
        "train_loss, epoch 1",
        "train_loss, epoch 2",
        "test_accuracy",
    ]
    first, last = (epoch["metrics"] for epoch in found[0].epochs)
    assert rows["train_loss, epoch 1"].ours["numpy:eager"] == first["train_loss"]
    assert rows["test_accuracy"].ours["jax:jit"] == last["test_accuracy"]
    assert rows["test_accuracy"].printed == 0.8824
    assert rows["parameters"].shown(rows["parameters"].printed) == "101,770"


@pytest.mark.parametrize(
    "changes", [{"lecture": None}, {"early_stopping": 2}, {"outcome": "crashed"}], ids=str
)
def test_other_records_have_none(changes: dict[str, Any]) -> None:
    found = told("numpy")
    of_cell = {k: v for k, v in changes.items() if k == "early_stopping"}
    rest = {k: v for k, v in changes.items() if k not in of_cell}
    other = replace(found, cell=replace(found.cell, **of_cell), **rest)
    assert lecture.beside([other]) == []
    assert lecture.printed([other]) is None


def test_table_page_and_markdown_show_them(tmp_path: Any) -> None:
    found = [told("numpy"), told("jax")]
    console = Console(width=120, record=True)
    summary.print_tables(Session("s", tmp_path, found, {}), console)
    report = content.build(found)
    for text in (console.export_text(), page.render(report), exports.as_markdown(report)):
        assert "lecture" in text
        for words in ("a lecture", "0.8824", "0.3829", "101,770", "Seeds differ."):
            assert words in text
    assert "lecture" not in exports.as_markdown(content.build([record("numpy")]))
