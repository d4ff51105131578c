"""At 80 columns no name, address or number is broken into pieces."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import tasks
from suite.history import telling
from suite.history.series import History, PastSession, Series, SessionValue
from suite.records.verdict import Deviation, Verdict
from suite.show.verdicts import COLUMNS, print_verdicts
from tasks import datasets
from tests.suite.command import in_process


def rendered(console: Console) -> str:
    """The text that was printed to a console in memory."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", ["40", "80"])
def test_data_list_breaks_no_address_and_no_name(tmp_path: Path, width: str) -> None:
    done = in_process(tmp_path, "data", "list", COLUMNS=width, TETRAGRAD_DATA=str(tmp_path))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for name in datasets.NAMES:
        source = datasets.source(name)
        assert {*source.addresses} <= {*lines}
        assert f"{name}: {source.citation}" in lines
        (row,) = (line for line in lines if line.startswith(f" {name} "))
        assert source.licence in row
    for task in tasks.DATASETS:
        assert any(task in line.split() for line in lines)


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
@pytest.mark.parametrize("width", [60, 80])
def test_a_table_of_verdicts_cuts_no_exponent(device: str, width: int) -> None:
    found = [
        Deviation(quantity, 1.9e-12, 1e-11, "hidden.kernel", True)
        for quantities in COLUMNS.values()
        for quantity in quantities
    ]
    names = [("numpy", "eager"), ("tensorflow", "graph"), ("torch", "compile"), ("jax", "jit")]
    verdicts = [
        Verdict("transformer", b, "bfloat16", 100, tuple(found), mode=m, device=device)
        for b, m in names
    ]
    console = Console(file=io.StringIO(), width=width)
    print_verdicts(verdicts, console)
    text = rendered(console)
    assert text.count("1.9e-12") == 4 * len(COLUMNS)
    assert "…" not in text


def test_a_history_s_table_cuts_no_number() -> None:
    session = PastSession("20260101-000000-abcd", "2026-01-01T00:00:00", "0" * 40, False, {})
    names = [("numpy", "eager"), ("tensorflow", "graph"), ("torch", "compile"), ("jax", "jit")]
    values = (SessionValue(session, 3, 589_212.0, 1.0, 2.0),)
    conditions: Any = SimpleNamespace()
    series = tuple(Series(*name, values) for name in names)
    history = History(
        *("fashion_mlp", "samples_per_second", conditions, (session,), series, {}, {})
    )
    console = Console(file=io.StringIO(), width=80)
    telling.print_history(history, console)
    text = rendered(console)
    assert text.count("589.2k") == 4
    assert "…" not in text
    assert "20260101-000000-abcd" in text
