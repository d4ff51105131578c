"""Events: every one survives its line, and what is none is refused."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from suite.records import builder
from suite.records.events import (
    ChunkTimed,
    ChunkTrained,
    Described,
    Ended,
    EpochEnded,
    Event,
    Finished,
    Measured,
    Outcome,
    Resumed,
    Shown,
    Started,
    Stopped,
    Waiting,
    line,
    read,
)
from tests.suite.examples import CELL

WORKER = {"threads": {"blas": 1}, "affinity": [0, 1]}
CHUNK = ChunkTrained(epoch=1, samples=100, operations=4e8, seconds=0.25, losses=[2.5, 1.5])
EPOCH = EpochEnded(epoch=1, metrics={"train_loss": 2.0, "test_loss": 1.75}, train_seconds=0.25)
EVENTS: tuple[Event, ...] = (
    Waiting(),
    Described(WORKER),
    Measured({"matmul": 1e10, "copy": 5e9}),
    Started(
        WORKER,
        specification={"hidden": 128},
        provenance={"dataset": "fashion_mnist", "digest": "00ff"},
        unit="tokens/s",
        targets=[{"metric": "test_accuracy", "low": 0.85, "high": None}],
        margin=0.005,
        validation="test_loss",
        lecture={"document": "a lecture", "figures": {"test_loss": [0.5]}, "differs": "a seed"},
    ),
    Resumed(step=2, chunks=[vars(CHUNK)], epochs=[vars(EPOCH)]),
    CHUNK,
    EPOCH,
    Stopped({"epoch": 4, "best": 2}),
    Shown(
        {"greedy": "Ein Hund\nrennt, «schnell» 犬"}, {"cross": {"rows": ["a"], "values": [[1.0]]}}
    ),
    Finished(WORKER, {"first": 2, "again": 0}, {"train": 0.25}, {"peak": 2 * 10**8}),
    ChunkTimed(samples=100, operations=4e8, seconds=0.25, losses=[1.25]),
    Ended(Outcome.DIVERGED, "the loss is nan at step 3"),
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.event)
def test_every_event_survives_its_line(event: Event) -> None:
    said = line(event)
    assert said.endswith("\n")
    assert said.count("\n") == 1
    assert read(said) == event
    assert read(said.encode()) == event


def test_there_is_an_example_of_every_kind_and_each_has_a_name_of_its_own() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))
    assert len({event.event for event in EVENTS}) == len(EVENTS)


@pytest.mark.parametrize("outcome", Outcome)
def test_an_outcome_comes_back_as_one(outcome: Outcome) -> None:
    ended = read(line(Ended(outcome, "why")))
    assert isinstance(ended, Ended)
    assert ended.outcome is outcome


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.event)
def test_unknown_words_are_passed_over(event: Event) -> None:
    assert read(json.dumps({**json.loads(line(event)), "moon": "full"})) == event


def test_words_that_an_earlier_worker_does_not_say_are_as_if_nothing_came_of_them() -> None:
    assert read('{"event": "started", "worker": {}}') == Started({})
    further = '{"event": "further", "samples": 10, "operations": 5, "seconds": 0.5}'
    assert read(further) == ChunkTimed(10, 5, 0.5, losses=[])
    assert read('{"event": "ended", "outcome": "ok"}') == Ended(Outcome.OK, None)


@pytest.mark.parametrize(
    "text",
    [
        *("", "no JSON", "[]", "3", "null", "{}", '{"event": "moon"}', '{"event": null}'),
        '{"event": "chunk", "epoch": 1}',
        '{"event": "ended", "outcome": "splendid", "reason": null}',
    ],
)
def test_what_is_no_event_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (the parser of JSON has words of its own)
        read(text)


def test_a_number_that_is_not_finite_is_not_said() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        line(Measured({"matmul": float("inf")}))


def test_a_record_hears_what_is_kept_of_each() -> None:
    record = builder.begin("s", CELL)
    for event in (read(line(event)) for event in EVENTS if not isinstance(event, Resumed)):
        builder.hear(record, event)
    assert (record.specification, record.unit, record.margin) == (
        {"hidden": 128},
        "tokens/s",
        0.005,
    )
    assert record.chunks == [vars(CHUNK)]
    assert record.epochs == [vars(EPOCH)]
    assert record.stopped == {"epoch": 4, "best": 2}
    assert list(record.texts) == ["greedy"]
    assert (record.worker, record.memory) == (WORKER, {"peak": 2 * 10**8})
    builder.hear(record, Resumed(step=6, chunks=[], epochs=[]))
    assert (record.resumed, record.chunks, record.epochs) == (6, [], [])


def test_a_cell_that_was_not_begun_is_not_begun_until_it_ends() -> None:
    record = builder.begin("s", CELL)
    assert (record.outcome, record.reason) == (Outcome.NOT_BEGUN, None)
    assert (record.verified, record.chunks, record.throughput["median"]) == (False, [], None)
    builder.end(record, Outcome.CRASHED, "killed by SIGKILL", "the end of what it printed")
    assert (record.outcome, record.reason) == (Outcome.CRASHED, "killed by SIGKILL")
    assert record.stderr == "the end of what it printed"
    again = builder.begin("s", CELL)
    builder.end(again, Outcome.OK, None, "chatter")
    assert (again.outcome, again.stderr) == (Outcome.OK, "")
