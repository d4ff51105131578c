"""Terminal output: progress with the time left, tables of every task, colours that mean."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

import tasks
from suite.records import baseline
from suite.records.events import ChunkTimed, ChunkTrained, Resumed
from suite.records.record import Record
from suite.session.runner import Session
from suite.show import console, summary
from suite.show.console import output
from suite.show.progress import Terminal
from tasks.own import Constants
from tasks.scaling import chunks_of_epoch
from tests.suite import reported
from tests.suite.examples import CELL
from tests.suite.test_widths import rendered

BASELINES = Path(__file__).parents[2] / "results" / "baselines"
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]m")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """One that takes standard error for a terminal, with 5 s to time in turns."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = Terminal(5.0)
    shown.busy("[1/8] imdb_text:bow_validation, seed 0")
    return shown


def chunk(epoch: int = 1) -> ChunkTrained:
    return ChunkTrained(epoch, 128, 1e6, 0.1, [2.5, 2.0])


@pytest.mark.parametrize("task", tasks.names())
def test_the_chunks_of_an_epoch_are_known_beforehand(task: str) -> None:
    *_, variant = tasks.variants(task)
    loaded = tasks.load(task, "smoke", "generated", variant)
    assert chunks_of_epoch(loaded.config) == sum(1 for _ in loaded.chunks("train"))


def test_so_are_those_of_a_task_in_a_folder() -> None:
    assert chunks_of_epoch(Constants(batch=8, steps=10, chunk_steps=4, epochs=1)) == 3
    assert chunks_of_epoch(Constants(batch=8, steps=3, chunk_steps=4, epochs=1)) == 1
    assert chunks_of_epoch(SimpleNamespace(epochs=1, batch=8)) is None  # of another package


def test_the_bar_is_as_far_as_all_cells_together(terminal: Terminal) -> None:
    cells = [replace(CELL, backend="numpy"), replace(CELL, backend="jax", mode="jit")]
    for one in (*cells, cells[0]):
        terminal.cell_event(one, chunk(), epochs=2)
    (bar,) = terminal.bar.tasks
    assert (bar.completed, bar.total) == (3, 2 * 2 * 9)  # the quick profile has 9 chunks an epoch
    terminal.cell_event(cells[1], Resumed(6, [{}] * 5, []), epochs=2)
    terminal.cell_event(cells[1], chunk(), epochs=2)
    assert bar.completed == 2 + 6
    terminal.cell_event(cells[0], ChunkTimed(128, 1e6, 0.1), epochs=2)
    assert bar.total == 5  # seconds, at most
    assert bar.fields["note"] == "timing in turns"
    terminal.busy("[2/8] lstm")
    terminal.cell_event(cells[0], chunk(), epochs=2)
    assert bar.completed == 1


def test_it_says_how_long_there_is_left_and_fits_80_columns(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(100))
    terminal.bar.get_time = lambda: float(next(now))
    for _ in range(5):
        terminal.cell_event(CELL, chunk(), epochs=1)
    monkeypatch.delenv("FORCE_COLOR")
    shown = Console(file=io.StringIO(), width=80)
    shown.print(terminal.bar.get_renderable())
    lines = rendered(shown).splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert re.search(r"\d\d:\d\d left", text)
    for word in ("[1/8]", "imdb_text:bow_validation,", "seed", "epoch 1/1, loss 2.0000"):
        assert word in text


def metrics_of_baselines() -> Iterator[tuple[str, list[str]]]:
    for path in sorted(BASELINES.glob("*.json")):
        found = baseline.read(path)
        names = [name.split(",")[0] for name in found.names if not name.endswith("_ci95")]
        yield found.label, list(dict.fromkeys(names))


@pytest.mark.parametrize(("label", "names"), [*metrics_of_baselines()])
def test_the_table_of_every_task_fits_80_columns_in_whole_words(
    label: str, names: list[str]
) -> None:
    task, _, variant = label.partition(":")
    metrics = dict.fromkeys(names, 77.3333)

    def one(backend: str) -> Record:
        found = reported.record(backend, task=task, variant=variant or None)
        epochs = [{"epoch": 1, "train_seconds": 12.0, "metrics": metrics}]
        return replace(found, epochs=epochs, targets=[], validation=None)

    found = [one(backend) for backend in reported.MODES]
    shown = Console(file=io.StringIO(), width=80)
    summary.print_tables(Session("s", Path("results"), found, {}), shown)
    table = [line for line in rendered(shown).splitlines() if line.startswith(" ")]
    assert max(map(len, table)) <= 80
    words = {word for line in table for word in line.split()}
    assert {part for name in names for part in name.split("_")} <= words
    for backend, mode in reported.MODES.items():
        (row,) = (line.split() for line in table if f"{backend}:{mode}" in line)
        assert row[1:] == [*["77.3333"] * len(names), "-", "yes"]


def test_prose_is_broken_between_words_on_a_terminal_and_whole_in_a_file() -> None:
    text = f"records: {'x' * 90} {'word ' * 20}"
    for terminal in (True, False):
        shown = Console(file=io.StringIO(), width=80, force_terminal=terminal)
        console.say(shown, text)
        lines = rendered(shown).splitlines()
        assert " ".join(" ".join(lines).split()) == " ".join(text.split())
        assert (len(lines) == 1) is not terminal


@pytest.mark.parametrize("no_color", [False, True])
def test_colours_mean_something_and_can_be_had_without(
    no_color: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    found = [reported.record("numpy"), reported.unverified("torch"), reported.failed("jax")]
    summary.print_tables(Session("s", Path("results"), found, {}), output())
    text = capsys.readouterr().out
    assert "yes" in text
    assert bool(COLOUR.search(text)) is not no_color
    if not no_color:
        for word, number in (("yes", 32), ("NO", 31), ("crashed", 31)):
            assert re.search(rf"\x1b\[{number}m\s*{word}", text), word
        assert not re.search(r"\x1b\[[0-9;]*36m", text)  # no numbers in cyan, which mean nothing
