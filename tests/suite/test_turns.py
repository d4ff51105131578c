"""Turns: one worker at work at a time, random orders, ends of all kinds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from suite.records.events import Described, Event
from suite.session.process import Worker
from suite.session.turns import Turns
from tests.suite.examples import CELL
from tests.suite.scripts import SCRIPT

THREE_TURNS = """
work("first")
for _ in range(3):
    turn()
    work("turn")
while turn(): work("further")
send(event="ended", outcome="ok", reason=None)
"""


@contextmanager
def workers(
    tmp_path: Path, *bodies: str, timeout: float = 30
) -> Iterator[tuple[list[Worker], list[tuple[int, Event]]]]:
    """Workers that do ``bodies``, and what they report, in order."""
    events: list[tuple[int, Event]] = []
    with ExitStack() as stack:
        found = []
        for number, body in enumerate(bodies):
            script = tmp_path / f"worker{number}.py"
            script.write_text(SCRIPT + body)

            def on_event(event: Event, number: int = number) -> None:
                events.append((number, event))

            command = (sys.executable, str(script))
            found.append(
                stack.enter_context(Worker(CELL, "train", on_event, timeout, command=command))
            )
        yield found, events


def test_one_works_at_a_time_in_random_orders_until_all_are_dismissed(tmp_path: Path) -> None:
    with workers(tmp_path, *[THREE_TURNS] * 3) as (found, events):
        turns = Turns(found, seed=0)
        turns.begin()
        for _ in range(5):
            turns.round(turns.alive)
        assert len(turns.alive) == 3
        turns.dismiss()
        assert [w.ending.outcome for w in found if w.ending] == ["ok"] * 3
    work = [(number, e.worker) for number, e in events if isinstance(e, Described)]
    times = [at for _, told in work for at in told.values()]
    assert times == sorted(times)  # none begins before the one before has ended
    order = [number for number, told in work if "begin" in told]
    rounds = [order[start : start + 3] for start in range(0, 18, 3)]
    assert all(sorted(found) == [0, 1, 2] for found in rounds)
    assert rounds[0] == [0, 1, 2]
    assert len(set(map(tuple, rounds[1:]))) > 1


def test_one_that_dies_drops_out_and_the_others_go_on(tmp_path: Path) -> None:
    with workers(tmp_path, "turn(); os._exit(3)", THREE_TURNS) as (found, _):
        turns = Turns(found, seed=0)
        turns.begin()
        for _ in range(3):
            turns.round(turns.alive)
        assert turns.alive == [found[1]]
        assert found[0].ending
        assert found[0].ending.outcome == "crashed"


def test_time_runs_out_for_work_not_for_waiting(tmp_path: Path) -> None:
    slow, patient = "turn(); time.sleep(60)", "turn(); work('turn')\nwhile turn(): work('more')"
    with workers(tmp_path, slow, patient, timeout=1.5) as (found, _):
        turns = Turns(found, seed=0)
        turns.begin()
        turns.round(found)
        assert found[0].ending
        assert found[0].ending.outcome == "timeout"
        time.sleep(2)
        turns.round(found)
        assert found[1].ending is None


def test_who_computes_while_others_work_is_found_out(tmp_path: Path) -> None:
    spinning = """
import threading
def spin():
    while True: pass
turn()
threading.Thread(target=spin, daemon=True).start()
while turn(): pass
"""
    with workers(tmp_path, spinning, "turn()\nwhile turn(): work('turn', .3)") as (found, _):
        turns = Turns(found, seed=0)
        turns.begin()
        for _ in range(4):
            turns.round(found)
        assert turns.idle_load(found[0]) > 0.2
        assert turns.idle_load(found[1]) < 0.1


def test_an_interrupt_reaches_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with workers(tmp_path, THREE_TURNS, THREE_TURNS) as (found, _):
        turns = Turns(found, seed=0)
        turns.begin()

        def interrupted(begin: float) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(found[0], "_work", interrupted)
        with pytest.raises(KeyboardInterrupt):
            turns.round(found)
        assert found[0].ending
        assert found[0].ending.outcome == "interrupted"
